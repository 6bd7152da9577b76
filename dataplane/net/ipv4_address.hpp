// IPv4 addresses in wire order, with the tests that forwarding needs.
#pragma once

#include <compare>
#include <cstdint>

#include "dataplane/net/big_endian.hpp"

namespace vxplane::net {

/// An IPv4 address in wire order; alignment 1.
struct Ipv4Address {
    Be32 be;

    /// 10.0.0.1 is 0x0A000001.
    [[nodiscard]] constexpr std::uint32_t number() const noexcept { return be.value(); }
    static constexpr Ipv4Address of(std::uint32_t host_order) noexcept {
        return {Be32::of(host_order)};
    }
    static constexpr Ipv4Address of(std::uint8_t a, std::uint8_t b, std::uint8_t c,
                                    std::uint8_t d) noexcept {
        return of(std::uint32_t{a} << 24 | std::uint32_t{b} << 16 | std::uint32_t{c} << 8 | d);
    }
    [[nodiscard]] constexpr bool is_zero() const noexcept { return be.wire() == 0; }
    [[nodiscard]] constexpr bool is_multicast() const noexcept { return number() >> 28 == 0xE; }
    [[nodiscard]] constexpr bool is_loopback() const noexcept { return number() >> 24 == 127; }
    [[nodiscard]] constexpr bool is_broadcast() const noexcept { return be.wire() == 0xFFFFFFFFU; }
    /// True for an address that one host can have (RFC 1122 section 3.2.1.3).
    [[nodiscard]] constexpr bool is_unicast() const noexcept {
        return number() >> 24 != 0 && number() >> 28 < 0xE;
    }
    /// Of class A to C, neither 0.0.0.0/8 nor loopback: one question for what nearly all are.
    [[nodiscard]] constexpr bool is_usual() const noexcept {
        const std::uint32_t first = number() >> 24;
        return first - 1 < 126 || first - 128 < 96;
    }
    constexpr bool operator==(const Ipv4Address&) const noexcept = default;
};
static_assert(sizeof(Ipv4Address) == 4 && alignof(Ipv4Address) == 1);

/// The mask of a prefix length, host order: 24 is 0xFFFFFF00.
constexpr std::uint32_t prefix_mask(std::uint8_t length) noexcept {
    return length == 0 ? 0 : ~0U << (32 - length);
}

}  // namespace vxplane::net
