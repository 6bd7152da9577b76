// The outer UDP checksum. Senders of VXLAN over IPv4 leave it out (RFC 7348 section 5); where one
// is there it must be right.
#pragma once

#include "dataplane/net/checksum.hpp"
#include "dataplane/packet/chain_sum.hpp"
#include "dataplane/packet/rx_sums.hpp"
#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

struct CheckUdp {
    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta,
                               Context& ctx) const noexcept {
        const auto* udp = p.at<net::UdpHeader>(meta.outer_size);
        if (udp->checksum.wire() == 0) [[likely]] {
            return packet::Verdict::go_on();
        }
        if ((ctx.tables->ports[meta.in_port].trusted_sums & packet::set_of(packet::RxSum::udp4)) !=
                0 &&
            packet::message_is_called_good(p.mbuf())) {
            return packet::Verdict::go_on();
        }
        return verify(p.mbuf(), meta.outer_size);
    }

  private:
    // Apart from the common way, which keeps its registers.
    [[gnu::noinline]] static packet::Verdict verify(const rte_mbuf* mbuf,
                                                    std::uint32_t at) noexcept {
        const auto* ip =
            rte_pktmbuf_mtod_offset(mbuf, const net::Ipv4Header*, sizeof(net::EthernetHeader));
        const auto* udp = rte_pktmbuf_mtod_offset(mbuf, const net::UdpHeader*, at);
        const std::uint16_t length = udp->length.value();
        const net::Sum whole =
            packet::add_chain(net::pseudo_header(ip->source, ip->destination, ip->protocol, length),
                              mbuf, at, length);
        return net::fold(whole) == 0xFFFF
                   ? packet::Verdict::go_on()
                   : packet::Verdict::drop(packet::DropReason::udp_bad_checksum);
    }
};

}  // namespace vxplane::step
