// Checksums of bytes that may lie in several buffers. rte_raw_cksum_mbuf() is not used: behind a
// buffer with an odd number of bytes it forgets the carries of the next one (DPDK 22.11).
#pragma once

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "dataplane/net/checksum.hpp"

namespace vxplane::packet {

/// Adds `length` > 0 bytes of the chain that begin `offset` bytes into the frame; the caller has
/// checked that the frame is that long.
inline net::Sum add_chain(net::Sum sum, const rte_mbuf* segment, std::uint32_t offset,
                          std::uint32_t length) noexcept {
    while (offset >= segment->data_len) {
        offset -= segment->data_len;
        segment = segment->next;
    }
    bool odd = false;
    for (;;) {
        const std::uint32_t here = std::min<std::uint32_t>(length, segment->data_len - offset);
        const std::byte* from = rte_pktmbuf_mtod_offset(segment, const std::byte*, offset);
        const net::Sum piece = net::add_bytes(0, from, here);
        // Behind an odd number of bytes, every byte stands in the other half of its word.
        sum += odd ? net::swap_bytes(net::fold(piece)) : piece;
        length -= here;
        if (length == 0) [[likely]] {
            return sum;
        }
        odd = odd != ((here & 1U) != 0);
        offset = 0;
        segment = segment->next;
    }
}

/// Writes a checksum, or another word, `at` bytes into the frame, which is that long. Byte by byte:
/// it may lie in two buffers.
inline void put_word(rte_mbuf* segment, std::uint32_t at, net::Be16 value) noexcept {
    std::array<std::byte, sizeof value> bytes;
    std::memcpy(bytes.data(), &value, sizeof value);
    for (const std::byte byte : bytes) {
        while (at >= segment->data_len) {
            at -= segment->data_len;
            segment = segment->next;
        }
        *rte_pktmbuf_mtod_offset(segment, std::byte*, at++) = byte;
    }
}

}  // namespace vxplane::packet
