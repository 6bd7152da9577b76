#include "dataplane/step/gpe.hpp"

#include "dataplane/net/icmpv6.hpp"
#include "dataplane/packet/large.hpp"
#include "dataplane/step/clamp_mss.hpp"
#include "dataplane/step/watch_segment.hpp"

namespace vxplane::step {
namespace {

using net::VxlanHeader;
using packet::DropReason;
using packet::Verdict;

constexpr std::uint16_t kMacHeader = sizeof(net::EthernetHeader);

/// Zero: nobody's.
net::MacAddress gpe_owner_of(const net::IpAddress& target, std::uint16_t number,
                             const table::Tables& tables) noexcept {
    if (target.is_multicast()) {
        return net::group_mac(target);
    }
    if (target.is_v4() && target.v4().number() == ~0U) {
        return net::MacAddress::broadcast();
    }
    const table::Segment& segment = tables.segments[number];
    const std::uint32_t known = tables.segment_neighbours == nullptr
                                    ? table::AddressMap::kNone
                                    : tables.segment_neighbours->find(number, target);
    if (known != table::AddressMap::kNone) {
        return tables.known_neighbours[known].mac;
    }
    if (segment.router != table::kNoMaster) {
        return net::MacAddress::from_number(segment.own_mac);
    }
    return segment.local_count == 1
               ? net::MacAddress::from_number(tables.ports[tables.members[segment.local_begin]].mac)
               : net::MacAddress{};
}

Verdict put_ethernet(packet::Packet& p, packet::PacketMeta& meta, std::uint16_t number, bool v4,
                     const table::Tables& tables) noexcept {
    const std::uint32_t at = meta.outer_size + sizeof(net::UdpHeader) + sizeof(VxlanHeader);
    const std::uint32_t size =
        meta.outer_size + p.at<net::UdpHeader>(meta.outer_size)->length.value();
    const std::uint32_t least = at + (v4 ? sizeof(net::Ipv4Header) : sizeof(net::Ipv6Header));
    if (size < least || p.contiguous() < least) {
        return Verdict::drop(DropReason::vxlan_inner_truncated);
    }
    const auto* ip = p.at<net::Ipv4Header>(at);
    if (ip->version() != (v4 ? 4U : 6U)) {
        return Verdict::drop(DropReason::gpe_unknown_protocol);
    }
    const net::MacAddress owner =
        gpe_owner_of(v4 ? net::IpAddress(ip->destination)
                        : net::IpAddress(p.at<net::Ipv6Header>(at)->destination),
                     number, tables);
    if (owner.is_zero()) {
        return Verdict::drop(DropReason::gpe_no_owner);
    }
    *p.at<net::EthernetHeader>(at - kMacHeader) = {
        owner, gpe_peer_mac(outer_sender_of(p.data())),
        v4 ? net::ether_type::kIpv4 : net::ether_type::kIpv6};
    meta.outer_size = static_cast<std::uint16_t>(meta.outer_size - kMacHeader);
    return Verdict::go_on();
}

/// What stands behind the datagram only filled up the Ethernet frame.
void cut_padding(packet::Packet& p, bool v4) noexcept {
    if (packet::is_large(p.mbuf())) {
        return;
    }
    const auto& v6 = *p.at<net::Ipv6Header>(0);
    const std::uint32_t length =
        v4 ? p.at<net::Ipv4Header>(0)->total_length.value() : sizeof v6 + v6.payload_length.value();
    const std::uint32_t least = v4 ? sizeof(net::Ipv4Header) : sizeof v6 + 1;
    if (length >= least && length < p.length()) {
        p.cut_to(length);
    }
}

}  // namespace

Verdict read_gpe(packet::Packet& p, packet::PacketMeta& meta, std::uint16_t number,
                 const table::Tables& tables) noexcept {
    const auto& header = *p.at<VxlanHeader>(meta.outer_size + sizeof(net::UdpHeader));
    const table::Segment& segment = tables.segments[number];
    const std::uint32_t flags = header.flags.value();
    if ((flags & VxlanHeader::kGpeProtocolFlag) == 0) {
        return Verdict::drop(DropReason::gpe_no_protocol);
    }
    if ((flags & VxlanHeader::kGpeVersion) != 0) {
        return Verdict::drop(DropReason::gpe_version);
    }
    if ((flags & VxlanHeader::kGpeOam) != 0) {
        return Verdict::drop(DropReason::gpe_oam);
    }
    const bool remote_sum = (segment.watch & table::watch::kRemoteSum) != 0;
    const std::uint32_t meant = VxlanHeader::kGpeProtocolFlag | VxlanHeader::kGpeProtocol |
                                (remote_sum ? VxlanHeader::kRemoteSumFlag : 0);
    if ((flags & segment.reserved_flags & ~meant) != 0 ||
        (!remote_sum && (header.vni_reserved.value() & segment.reserved_vni) != 0)) {
        return Verdict::drop(DropReason::vxlan_reserved_bits);
    }
    switch (flags & VxlanHeader::kGpeProtocol) {
        case VxlanHeader::kGpeEthernet:
            return Verdict::go_on();
        case VxlanHeader::kGpeIpv4:
            return put_ethernet(p, meta, number, true, tables);
        case VxlanHeader::kGpeIpv6:
            return put_ethernet(p, meta, number, false, tables);
        default:
            return Verdict::drop(DropReason::gpe_unknown_protocol);
    }
}

Verdict bare_for_gpe(packet::Packet& p, table::Tunnel& line, packet::PacketMeta& meta,
                     Context& ctx) noexcept {
    if (!meta.inner_is_ip || meta.l3_offset != kMacHeader) {
        return Verdict::drop(DropReason::gpe_not_ip);
    }
    if ((line.flags & table::Tunnel::kClampMss) != 0) {
        p = packet::Packet(clamp_mss_into(p.mbuf(), 0, line, meta, ctx));
        line.flags = static_cast<std::uint8_t>(line.flags & ~table::Tunnel::kClampMss);
    }
    const bool v4 = p.at<net::EthernetHeader>(0)->type == net::ether_type::kIpv4;
    line.vxlan.flags = VxlanHeader::gpe_flags(v4 ? VxlanHeader::kGpeIpv4 : VxlanHeader::kGpeIpv6);
    p.cut_front(kMacHeader);
    meta.l3_offset = 0;
    if (packet::is_large(p.mbuf())) {
        p.mbuf()->l2_len = 0;
    }
    cut_padding(p, v4);
    return Verdict::go_on();
}

}  // namespace vxplane::step
