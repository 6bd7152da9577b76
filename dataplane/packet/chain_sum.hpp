// The checksum of bytes that may lie in several buffers. rte_raw_cksum_mbuf() is not used: behind a
// buffer with an odd number of bytes it forgets the carries of the next one (DPDK 22.11).
#pragma once

#include <rte_mbuf.h>

#include <algorithm>

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

}  // namespace vxplane::packet
