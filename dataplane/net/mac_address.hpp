// A MAC address as six bytes in wire order, and as the 48-bit number that the FDB is keyed by.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "dataplane/net/big_endian.hpp"

namespace vxplane::net {

/// Six bytes in wire order; alignment 1.
struct MacAddress {
    std::array<std::uint8_t, 6> bytes{};

    /// The first wire byte becomes the most significant of 48 bits.
    [[nodiscard]] constexpr std::uint64_t number() const noexcept {
        if (!std::is_constant_evaluated()) {
            // Two loads; compilers make six of what is below.
            std::uint32_t high = 0;
            std::uint16_t low = 0;
            std::memcpy(&high, bytes.data(), sizeof high);
            std::memcpy(&low, bytes.data() + sizeof high, sizeof low);
            return std::uint64_t{Be32::from_wire(high).value()} << 16 |
                   Be16::from_wire(low).value();
        }
        return std::uint64_t{bytes[0]} << 40 | std::uint64_t{bytes[1]} << 32 |
               std::uint64_t{bytes[2]} << 24 | std::uint64_t{bytes[3]} << 16 |
               std::uint64_t{bytes[4]} << 8 | std::uint64_t{bytes[5]};
    }
    static constexpr MacAddress from_number(std::uint64_t n) noexcept {
        return {{static_cast<std::uint8_t>(n >> 40), static_cast<std::uint8_t>(n >> 32),
                 static_cast<std::uint8_t>(n >> 24), static_cast<std::uint8_t>(n >> 16),
                 static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n)}};
    }
    /// ff:ff:ff:ff:ff:ff in number() form.
    static constexpr std::uint64_t kBroadcastNumber = 0xFFFF'FFFF'FFFFULL;
    static constexpr MacAddress broadcast() noexcept {
        return {{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}};
    }
    /// IEEE 802 group bit: multicast and broadcast.
    [[nodiscard]] constexpr bool is_group() const noexcept { return (bytes[0] & 1U) != 0; }
    [[nodiscard]] constexpr bool is_zero() const noexcept { return number() == 0; }
    constexpr bool operator==(const MacAddress&) const noexcept = default;
};
static_assert(sizeof(MacAddress) == 6 && alignof(MacAddress) == 1);

/// Group bit of a MAC address in number() form.
constexpr std::uint64_t kMacGroupBit = 1ULL << 40;

/// MAC addresses 01:80:c2:00:00:00 to 0f are consumed by bridges, never forwarded
/// (IEEE 802.1D table 7-10).
constexpr std::uint64_t kLinkLocalMacs = 0x0180C2000000ULL;
constexpr std::uint64_t kLinkLocalMacMask = 0xFFFFFFFFFFF0ULL;

}  // namespace vxplane::net
