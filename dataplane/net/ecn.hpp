// Explicit congestion notification across a tunnel: what the outer header gets from the inner one,
// and what the inner one becomes when the tunnel ends.
#pragma once

#include <array>
#include <cstdint>

namespace vxplane::net {

/// The low two bits of the TOS byte or traffic class (RFC 3168 section 5).
enum class Ecn : std::uint8_t { not_ect = 0, ect1 = 1, ect0 = 2, ce = 3 };

constexpr std::uint8_t kEcnMask = 3;
constexpr Ecn ecn_of(std::uint8_t tos) noexcept {
    return static_cast<Ecn>(tos & kEcnMask);
}

/// How a congestion mark of the inner packet is shown outside: RFC 6040 section 4.1 copies it,
/// RFC 3168 section 9.1.1 (and the Linux kernel) sends ECT(0) instead.
enum class EcnMode : std::uint8_t { rfc6040, rfc3168 };

/// The two outer bits for an inner packet.
constexpr std::uint8_t ecn_outside(std::uint8_t inner_tos, EcnMode mode) noexcept {
    const std::uint8_t inner = inner_tos & kEcnMask;
    return inner == 3 && mode == EcnMode::rfc3168 ? 2 : inner;
}

/// What becomes of the inner field at the end of the tunnel.
enum class EcnAction : std::uint8_t {
    keep,      ///< nothing changes
    anomaly,   ///< nothing changes, but the combination is worth a count
    set_ce,    ///< the inner field becomes CE
    set_ect1,  ///< the inner field becomes ECT(1)
    drop       ///< congestion cannot be told to a sender that does not speak ECN
};

/// RFC 6040 figure 4, as the Linux kernel's __INET_ECN_decapsulate reads it.
/// Rows: inner field; columns: outer field.
constexpr EcnAction ecn_inside(Ecn inner, Ecn outer) noexcept {
    using enum EcnAction;
    constexpr std::array<std::array<EcnAction, 4>, 4> kFigure4{{
        // outer: Not-ECT, ECT(1), ECT(0), CE
        {keep, anomaly, anomaly, drop},  // inner Not-ECT
        {keep, keep, keep, set_ce},      // inner ECT(1)
        {keep, set_ect1, keep, set_ce},  // inner ECT(0)
        {keep, keep, keep, keep},        // inner CE
    }};
    return kFigure4[static_cast<std::size_t>(inner)][static_cast<std::size_t>(outer)];
}

}  // namespace vxplane::net
