// The internet checksum (RFC 1071) and its incremental form (RFC 1624).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dataplane/net/headers.hpp"

namespace vxplane::net {

/// A one's complement sum that has not been folded yet. Sums of wire-order words: the result, too,
/// is in wire order (RFC 1071 section 2, byte order independence).
using Sum = std::uint64_t;

/// Adds `size` bytes. An odd last byte counts as if a zero followed; only the last piece of a
/// message may therefore have an odd size.
inline Sum add_bytes(Sum sum, const void* data, std::size_t size) noexcept {
    const auto* p = static_cast<const unsigned char*>(data);
    // Four-byte words into 64 bits: no carry can be lost below 2^32 words. As a plain loop, which
    // compilers turn into vector instructions.
    const std::size_t words = size / sizeof(std::uint32_t);
    for (std::size_t i = 0; i < words; ++i) {
        std::uint32_t w = 0;
        std::memcpy(&w, p + i * sizeof w, sizeof w);
        sum += w;
    }
    p += words * sizeof(std::uint32_t);
    size %= sizeof(std::uint32_t);
    if (size >= 2) {
        std::uint16_t w = 0;
        std::memcpy(&w, p, sizeof w);
        sum += w;
        p += 2;
        size -= 2;
    }
    if (size == 1) {
        sum += Be16::of(static_cast<std::uint16_t>(*p << 8)).wire();
    }
    return sum;
}

/// Folds to 16 bits, wire order, not complemented.
constexpr std::uint16_t fold(Sum sum) noexcept {
    sum = (sum >> 32) + (sum & 0xFFFFFFFFU);
    sum = (sum >> 16) + (sum & 0xFFFFU);
    sum = (sum >> 16) + (sum & 0xFFFFU);
    sum = (sum >> 16) + (sum & 0xFFFFU);
    return static_cast<std::uint16_t>(sum);
}

/// The checksum field that belongs to a sum of a few words in host order. The order of bytes does
/// not matter to the sum (RFC 1071 section 2), and one swap at the end is cheaper than one per
/// word.
constexpr Be16 finish_host(std::uint32_t sum) noexcept {
    sum = (sum >> 16) + (sum & 0xFFFFU);
    sum += sum >> 16;
    return Be16::of(static_cast<std::uint16_t>(~sum));
}

/// The checksum field that belongs to a sum.
constexpr Be16 finish(Sum sum) noexcept {
    return Be16::from_wire(static_cast<std::uint16_t>(~fold(sum)));
}

/// True when a header with its checksum in place sums to all ones.
inline bool ipv4_checksum_is_right(const Ipv4Header& header) noexcept {
    if (header.header_length() == sizeof header) [[likely]] {
        return fold(add_bytes(0, &header, sizeof header)) == 0xFFFF;  // known size: no loop
    }
    return fold(add_bytes(0, &header, header.header_length())) == 0xFFFF;
}

/// The same for a header without options. A sum is all ones after folding if 65,535 divides it, for
/// 2^16 leaves 1; a header that says version 4 never sums to 0.
inline bool plain_ipv4_checksum_is_right(const Ipv4Header& header) noexcept {
    std::uint64_t words[2];
    std::uint32_t last = 0;
    std::memcpy(words, &header, sizeof words);
    std::memcpy(&last, &header.destination, sizeof last);
    const Sum sum = (words[0] & 0xFFFFFFFFU) + (words[0] >> 32) + (words[1] & 0xFFFFFFFFU) +
                    (words[1] >> 32) + last;
    return sum % 0xFFFF == 0;
}

inline Be16 ipv4_checksum(const Ipv4Header& header) noexcept {
    const Sum sum = add_bytes(0, &header, header.header_length());
    return finish(sum + static_cast<std::uint16_t>(~header.checksum.wire()));
}

/// RFC 768 pseudo header: addresses, protocol and length of the UDP or TCP message.
inline Sum pseudo_header(Ipv4Address source, Ipv4Address destination, std::uint8_t protocol,
                         std::uint16_t length) noexcept {
    return Sum{source.be.wire()} + destination.be.wire() + Be16::of(protocol).wire() +
           Be16::of(length).wire();
}

/// RFC 8200 section 8.1: the pseudo header of IPv6, of the same length as that of IPv4 here, for no
/// message is longer than 65,535 bytes.
inline Sum pseudo_header(const Ipv6Header& header, std::uint8_t protocol,
                         std::uint16_t length) noexcept {
    return add_bytes(add_bytes(0, header.source.data(), header.source.size()),
                     header.destination.data(), header.destination.size()) +
           Be16::of(protocol).wire() + Be16::of(length).wire();
}

/// RFC 768: a checksum that computes to zero is sent as all ones, for zero means "none".
constexpr Be16 udp_finish(Sum sum) noexcept {
    const Be16 checksum = finish(sum);
    return checksum.wire() == 0 ? Be16::from_wire(0xFFFF) : checksum;
}

/// RFC 1624 equation 3: the checksum after one 16-bit word of what it covers went from `before`
/// to `after`.
constexpr Be16 update_checksum(Be16 checksum, Be16 before, Be16 after) noexcept {
    const Sum sum = Sum{static_cast<std::uint16_t>(~checksum.wire())} +
                    static_cast<std::uint16_t>(~before.wire()) + after.wire();
    return finish(sum);
}

}  // namespace vxplane::net
