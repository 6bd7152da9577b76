// The outer UDP checksum of a tunnel packet, without reading the payload where the inner checksum
// is known to be right: the kernel's local checksum offload (lco_csum() in include/linux/skbuff.h).
#pragma once

#include "dataplane/net/checksum.hpp"
#include "dataplane/packet/chain_sum.hpp"
#include "dataplane/packet/large.hpp"
#include "dataplane/packet/packet.hpp"
#include "dataplane/packet/rx_sums.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

/// As put_udp_checksum() for a packet whose inner checksum was called good by a device that is
/// believed about those of `trusted`; `ip_at` is where the inner IP header begins. Reads everything
/// where that checksum is another, or covers less than the rest.
[[gnu::noinline]] void put_known_checksum(rte_mbuf* mbuf, std::uint32_t udp_at, net::Sum pseudo,
                                          std::uint32_t ip_at, packet::RxSums trusted) noexcept;

/// Writes the checksum of the UDP message that begins `udp_at` bytes into the frame, its length in
/// place and its checksum field zero; VXLAN header and inner frame follow. `pseudo`: the sum of its
/// pseudo header. Needs `l3_offset` and `inner_is_ip` of the inner frame.
[[gnu::always_inline]] inline void put_udp_checksum(rte_mbuf* mbuf, std::uint32_t udp_at,
                                                    net::Sum pseudo, const packet::PacketMeta& meta,
                                                    const Context& ctx) noexcept {
    // The port has verified what the tenant sent. Of what came through a tunnel it spoke of the
    // outer checksum.
    constexpr std::uint64_t kGood = RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_OUTER_L4_CKSUM_GOOD;
    if ((mbuf->ol_flags & kGood) != 0 && !meta.from_tunnel && meta.inner_is_ip &&
        !packet::is_large(mbuf) && packet::message_is_called_good(mbuf)) {
        const packet::RxSums trusted = ctx.tables->ports[meta.in_port].trusted_sums;
        if (trusted != 0) {
            constexpr std::uint32_t kBetween = sizeof(net::UdpHeader) + sizeof(net::VxlanHeader);
            put_known_checksum(mbuf, udp_at, pseudo, udp_at + kBetween + meta.l3_offset, trusted);
            return;
        }
    }
    auto* udp = rte_pktmbuf_mtod_offset(mbuf, net::UdpHeader*, udp_at);
    udp->checksum = net::udp_finish(packet::add_chain(pseudo, mbuf, udp_at, udp->length.value()));
}

}  // namespace vxplane::step
