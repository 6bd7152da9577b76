// IP packets in fragments, as routers make them.
#pragma once

#include <cstring>
#include <vector>

#include "dataplane/net/checksum.hpp"
#include "tests/support/frame.hpp"

namespace vxplane::support {

constexpr std::size_t kFramed = 14;  ///< where the IP header of a frame begins

inline void put16(Bytes& bytes, std::size_t at, std::size_t value) {
    bytes[at] = static_cast<std::uint8_t>(value >> 8);
    bytes[at + 1] = static_cast<std::uint8_t>(value);
}

inline Bytes fragment4(const Bytes& whole, std::size_t from, std::size_t size, bool more) {
    const std::size_t header = kFramed + (whole[kFramed] & 0xFU) * 4;
    Bytes bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(header));
    const auto begin = whole.begin() + static_cast<std::ptrdiff_t>(header + from);
    bytes.insert(bytes.end(), begin, begin + static_cast<std::ptrdiff_t>(size));
    put16(bytes, kFramed + 2, header - kFramed + size);
    put16(bytes, kFramed + 6, from / 8 | (more ? 0x2000U : 0U));
    put16(bytes, kFramed + 10, 0);
    const net::Be16 sum = net::finish(net::add_bytes(0, bytes.data() + kFramed, header - kFramed));
    std::memcpy(bytes.data() + kFramed + 10, &sum, sizeof sum);
    return bytes;
}

inline Bytes fragment6(const Bytes& whole, std::size_t from, std::size_t size, bool more) {
    constexpr std::size_t kHeader = kFramed + 40;
    Bytes bytes(whole.begin(), whole.begin() + kHeader);
    bytes.insert(bytes.end(), {whole[kFramed + 6], 0, 0, 0, 0, 0, 0x43, 0x21});
    put16(bytes, kHeader + 2, from | (more ? 1U : 0U));
    bytes[kFramed + 6] = 44;
    const auto begin = whole.begin() + static_cast<std::ptrdiff_t>(kHeader + from);
    bytes.insert(bytes.end(), begin, begin + static_cast<std::ptrdiff_t>(size));
    put16(bytes, kFramed + 4, 8 + size);
    return bytes;
}

inline bool is_ipv6(const Bytes& whole) {
    return whole[12] == 0x86;
}
inline std::size_t payload_of(const Bytes& whole) {
    return whole.size() - kFramed - (is_ipv6(whole) ? 40 : (whole[kFramed] & 0xFU) * 4);
}
inline Bytes fragment(const Bytes& whole, std::size_t from, std::size_t size, bool more) {
    return is_ipv6(whole) ? fragment6(whole, from, size, more) : fragment4(whole, from, size, more);
}

/// `sizes`: bytes of payload of each fragment but the last.
inline std::vector<Bytes> cut(const Bytes& whole, const std::vector<std::size_t>& sizes) {
    std::vector<Bytes> fragments;
    std::size_t from = 0;
    for (const std::size_t size : sizes) {
        fragments.push_back(fragment(whole, from, size, true));
        from += size;
    }
    fragments.push_back(fragment(whole, from, payload_of(whole) - from, false));
    return fragments;
}

}  // namespace vxplane::support
