#include "dataplane/step/read_outer6.hpp"

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/icmpv6.hpp"
#include "dataplane/packet/chain_sum.hpp"
#include "dataplane/packet/rx_sums.hpp"
#include "dataplane/step/find_segment.hpp"

namespace vxplane::step {

namespace {

bool has_right_checksum(const packet::Packet& p, std::uint32_t at) noexcept {
    const auto* ip = p.at<net::Ipv6Header>(sizeof(net::EthernetHeader));
    const std::uint16_t length = p.at<net::UdpHeader>(at)->length.value();
    return net::fold(packet::add_chain(net::pseudo_header(*ip, net::ip_protocol::kUdp, length),
                                       p.mbuf(), at, length)) == 0xFFFF;
}

net::Ipv4Address name_of_peer(const table::Tables& tables, std::uint32_t profile,
                              const net::IpAddress& source) noexcept {
    const std::uint32_t tunnel =
        tables.peers6 == nullptr ? table::AddressMap::kNone : tables.peers6->find(profile, source);
    return tunnel == table::AddressMap::kNone ? table::kUnknownPeer6 : table::peer6_name(tunnel);
}

}  // namespace

bool is_tunnel6(const packet::Packet& p, const table::Tables& tables) noexcept {
    constexpr std::uint32_t kIp = sizeof(net::EthernetHeader);
    if (tables.addresses6 == nullptr || p.contiguous() < kIp + sizeof(net::Ipv6Header) ||
        p.at<net::EthernetHeader>(0)->type != net::ether_type::kIpv6) {
        return false;
    }
    const net::Ipv6Upper upper = net::upper_of(p.data() + kIp, p.contiguous() - kIp);
    const std::uint32_t udp = kIp + upper.offset;
    if (upper.protocol != net::ip_protocol::kUdp || !upper.is_whole ||
        tables.addresses6->find(0, net::IpAddress(p.at<net::Ipv6Header>(kIp)->destination)) ==
            table::AddressMap::kNone) {
        return false;
    }
    return !upper.is_later && p.contiguous() >= udp + sizeof(net::UdpHeader) &&
           tables.dstports->contains(
               table::dstport_key(p.at<net::UdpHeader>(udp)->destination.value(), true));
}

packet::Verdict read_outer6(packet::Packet& p, packet::PacketMeta& meta, Context& ctx) noexcept {
    using packet::DropReason;
    using packet::Verdict;
    const table::Tables& tables = *ctx.tables;
    const bool has_checksum = p.at<net::UdpHeader>(meta.outer_size)->checksum.wire() != 0;
    const bool verified =
        (tables.ports[meta.in_port].trusted_sums & packet::set_of(packet::RxSum::udp6)) != 0 &&
        packet::message_is_called_good(p.mbuf());
    if (has_checksum && !verified && !has_right_checksum(p, meta.outer_size)) {
        return Verdict::drop(DropReason::udp_bad_checksum);
    }
    meta.outer_source = table::kUnknownPeer6;
    const Verdict verdict = FindSegment::find<true>(p, meta, ctx);
    if (!verdict.goes_on()) {
        return verdict;
    }
    const table::Segment& segment = tables.segments[meta.segment];
    if (!has_checksum && !segment.udp6_zero_rx) {
        return Verdict::drop(DropReason::udp_no_checksum);
    }
    const net::IpAddress source(p.at<net::Ipv6Header>(sizeof(net::EthernetHeader))->source);
    meta.outer_source = name_of_peer(tables, segment.profile, source);
    return Verdict::go_on();
}

}  // namespace vxplane::step
