// Large packets: several TCP segments of one flow behind one set of headers, as a port with `gro`
// makes them and as guests send them. Steps that look at a length meet this.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "dataplane/net/headers.hpp"

namespace vxplane::packet {

/// A large packet is always a chain, is marked by RTE_MBUF_F_TX_TCP_SEG, and has the payload of
/// each segment but the last in `tso_segsz`. `l2_len`, `l3_len` and `l4_len` are those of the TCP
/// segment, `outer_l2_len` and `outer_l3_len` those of the tunnel in which it arrived, or 0. All
/// its lengths and checksums are right, so that it may also leave as it is.
inline bool is_large(const rte_mbuf* mbuf) noexcept {
    return (mbuf->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0;
}

/// Length of the longest frame that a tenant's frame, without a tunnel, is going to be cut into.
inline std::uint32_t longest_inner(const rte_mbuf* mbuf) noexcept {
    return is_large(mbuf) ? static_cast<std::uint32_t>(mbuf->l2_len + mbuf->l3_len + mbuf->l4_len +
                                                       mbuf->tso_segsz)
                          : mbuf->pkt_len;
}

/// The same of a frame as it arrived, tunnel and all.
inline std::uint32_t longest_arrived(const rte_mbuf* mbuf) noexcept {
    const std::uint32_t inner = longest_inner(mbuf);
    return !is_large(mbuf) || mbuf->outer_l2_len == 0
               ? inner
               : static_cast<std::uint32_t>(inner + mbuf->outer_l2_len + mbuf->outer_l3_len +
                                            sizeof(net::UdpHeader) + sizeof(net::VxlanHeader));
}

/// What the merge stage knows of a buffer behind the first one of a large packet, in its
/// `tx_offload`: the folded sum of its bytes.
constexpr std::uint64_t kSumIsKnown = 1ULL << 63;

}  // namespace vxplane::packet
