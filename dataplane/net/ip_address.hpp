// An address of either family as one value: what tables that serve both are keyed with.
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "dataplane/net/ipv4_address.hpp"

namespace vxplane::net {

/// Sixteen bytes in wire order; IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2). Alignment 1.
struct IpAddress {
    std::array<std::uint8_t, 16> bytes{};

    constexpr IpAddress() noexcept = default;
    // NOLINTNEXTLINE(google-explicit-constructor): the same address, in a wider type
    constexpr IpAddress(Ipv4Address v4) noexcept {
        if (!std::is_constant_evaluated()) {
            // As two words: who compares or hashes it next reads words, and would wait for bytes.
            const std::uint64_t high = v4_high(v4);
            std::memcpy(bytes.data() + 8, &high, sizeof high);
            return;
        }
        const std::uint32_t number = v4.number();
        bytes[10] = 0xFF;
        bytes[11] = 0xFF;
        for (unsigned i = 0; i < 4; ++i) {
            bytes[12 + i] = static_cast<std::uint8_t>(number >> (24 - 8 * i));
        }
    }
    constexpr explicit IpAddress(const std::array<std::uint8_t, 16>& v6) noexcept : bytes(v6) {}

    [[nodiscard]] constexpr bool is_v4() const noexcept {
        if (!std::is_constant_evaluated()) {
            return low() == 0 && first_half(high()) == v4_mark();
        }
        for (unsigned i = 0; i < 10; ++i) {
            if (bytes[i] != 0) {
                return false;
            }
        }
        return bytes[10] == 0xFF && bytes[11] == 0xFF;
    }
    /// high() of an IPv4 address; low() is 0.
    [[nodiscard]] static constexpr std::uint64_t v4_high(Ipv4Address v4) noexcept {
        const std::uint64_t address = v4.be.wire();
        return std::endian::native == std::endian::little ? address << 32 | 0xFFFF0000U
                                                          : address | 0xFFFF'0000'0000ULL;
    }
    /// Only for IPv4.
    [[nodiscard]] constexpr Ipv4Address v4() const noexcept {
        return Ipv4Address::of(bytes[12], bytes[13], bytes[14], bytes[15]);
    }
    /// `::`, which no host has. The IPv4 counterpart is not.
    [[nodiscard]] constexpr bool is_unset() const noexcept { return *this == IpAddress{}; }
    [[nodiscard]] constexpr bool is_multicast() const noexcept {
        return is_v4() ? v4().is_multicast() : bytes[0] == 0xFF;
    }
    /// fe80::/10, RFC 4291 section 2.5.6.
    [[nodiscard]] constexpr bool is_link_local() const noexcept {
        return bytes[0] == 0xFE && (bytes[1] & 0xC0U) == 0x80;
    }
    /// The words as they lie in memory, for hashing and comparing.
    [[nodiscard]] std::uint64_t low() const noexcept { return word(0); }
    [[nodiscard]] std::uint64_t high() const noexcept { return word(8); }

    constexpr auto operator<=>(const IpAddress&) const noexcept = default;

  private:
    /// The bytes 0, 0, ff, ff as a word.
    static constexpr std::uint32_t v4_mark() noexcept {
        return std::endian::native == std::endian::little ? 0xFFFF0000U : 0x0000FFFFU;
    }
    static constexpr std::uint32_t first_half(std::uint64_t word) noexcept {
        return static_cast<std::uint32_t>(std::endian::native == std::endian::little ? word
                                                                                     : word >> 32);
    }
    [[nodiscard]] std::uint64_t word(std::size_t at) const noexcept {
        std::uint64_t value = 0;
        std::memcpy(&value, bytes.data() + at, sizeof value);
        return value;
    }
};
static_assert(sizeof(IpAddress) == 16 && alignof(IpAddress) == 1);

/// The solicited-node group of an IPv6 address (RFC 4291 section 2.7.1).
constexpr IpAddress solicited_node(const IpAddress& address) noexcept {
    IpAddress group;
    group.bytes = {0xFF, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xFF, 0, 0, 0};
    for (unsigned i = 13; i < 16; ++i) {
        group.bytes[i] = address.bytes[i];
    }
    return group;
}

}  // namespace vxplane::net
