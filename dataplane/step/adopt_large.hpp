// Frames of virtio guests: they may be large, and their checksum may be left to whoever takes them.
// The merge stage turns them into large packets of ours.
#pragma once

#include <rte_mbuf.h>

#include <cstring>

#include "dataplane/packet/chain_sum.hpp"
#include "dataplane/packet/large.hpp"
#include "dataplane/port/pool.hpp"
#include "dataplane/step/tcp_frame.hpp"

namespace vxplane::step {

/// Marks a chain as what is_large() says.
inline void mark_large(rte_mbuf* mbuf, const TcpFrame& at, std::uint16_t segment) noexcept {
    mbuf->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
    mbuf->tx_offload = 0;
    mbuf->l2_len = static_cast<std::uint64_t>(at.l3 - at.inner) & 0x7F;
    mbuf->l3_len = static_cast<std::uint64_t>(at.l4 - at.l3) & 0x1FF;
    mbuf->l4_len = static_cast<std::uint64_t>(at.payload - at.l4) & 0xFF;
    mbuf->tso_segsz = segment;
    if (at.in_tunnel()) {
        mbuf->outer_l2_len = static_cast<std::uint64_t>(at.outer_l3) & 0x7F;
        mbuf->outer_l3_len = static_cast<std::uint64_t>(at.udp - at.outer_l3) & 0x1FF;
    }
}

inline bool is_left_by_guest(const rte_mbuf* mbuf) noexcept {
    return (mbuf->ol_flags & RTE_MBUF_F_RX_LRO) != 0 ||
           (mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_NONE;
}

/// A frame of a virtio guest, which may be large, and whose checksum may be left to us. False when
/// it cannot be made a packet of ours: then it goes on as the long frame that it is.
inline bool adopt_from_guest(rte_mbuf*& mbuf, const TcpFrame& at, std::uint32_t max_frame,
                             port::WorkerPools& pools) noexcept {
    std::byte* frame = rte_pktmbuf_mtod(mbuf, std::byte*);
    const std::uint32_t length = mbuf->pkt_len;
    const std::uint16_t segment = mbuf->tso_segsz;
    const bool is_long = (mbuf->ol_flags & RTE_MBUF_F_RX_LRO) != 0 && length > at.payload &&
                         segment != 0 && length - at.payload > segment;
    if ((mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_NONE) {
        auto* tcp = reinterpret_cast<net::TcpHeader*>(frame + at.l4);
        tcp->checksum = {};
        tcp->checksum = net::finish(packet::add_chain(
            pseudo_sum(frame + at.l3, at.v6, net::ip_protocol::kTcp, length - at.l4), mbuf, at.l4,
            length - at.l4));
    }
    mbuf->ol_flags &= ~(RTE_MBUF_F_RX_LRO | RTE_MBUF_F_RX_L4_CKSUM_MASK);
    if (!is_long || at.payload + std::uint32_t{segment} > max_frame || length - at.l3 > 65'535) {
        return !is_long;
    }
    if (mbuf->nb_segs == 1) {
        // A large packet is a chain: its headers get a buffer of their own.
        rte_mbuf* header = pools.header();
        if (header == nullptr || rte_pktmbuf_tailroom(header) < at.payload) {
            rte_pktmbuf_free(header);
            return false;
        }
        std::memcpy(rte_pktmbuf_append(header, at.payload), frame, at.payload);
        rte_pktmbuf_adj(mbuf, at.payload);
        header->next = mbuf;
        header->nb_segs = 2;
        header->pkt_len = length;
        header->port = mbuf->port;
        mbuf = header;
    }
    for (rte_mbuf* rest = mbuf->next; rest != nullptr; rest = rest->next) {
        rest->tx_offload = 0;
    }
    mark_large(mbuf, at, segment);
    return true;
}

}  // namespace vxplane::step
