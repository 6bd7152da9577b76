// First look at a frame from the underlay: a tunnel packet for us goes on; ARP, neighbour discovery
// and ICMP for us go to control; everything else belongs to the host.
#pragma once

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/headers.hpp"
#include "dataplane/net/icmpv6.hpp"
#include "dataplane/packet/large.hpp"
#include "dataplane/packet/rx_sums.hpp"
#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

/// Goes on with `outer_size` = offset of the UDP header, for an unfragmented UDP packet to one of
/// our addresses and one of our VXLAN ports. Over IPv6 the same is said by Lane::tunnel6, and so is
/// that a frame is to a group address where some segment has a group, which read_group() judges.
struct ClassifyUnderlay {
    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta,
                               Context& ctx) const noexcept {
        using packet::DropReason;
        using packet::Lane;
        using packet::Verdict;
        const table::PortEntry& port = ctx.tables->ports[meta.in_port];
        meta.if_refused = DropReason::none;
        if (p.contiguous() < sizeof(net::EthernetHeader)) {
            return Verdict::drop(DropReason::eth_runt);
        }
        const auto* ethernet = p.at<net::EthernetHeader>(0);
        // Tags are looked for only where they make the difference.
        if (p.length() > port.max_frame &&
            p.length() > port.max_frame + net::tag_bytes(p.data(), p.contiguous()) &&
            !packet::is_large(p.mbuf()) && !ctx.reassembled) [[unlikely]] {
            return Verdict::drop(DropReason::eth_too_long);
        }
        if (ethernet->destination.number() != port.mac) [[unlikely]] {
            return foreign_destination(p, *ethernet, port, meta, ctx);
        }
        if (ethernet->type == net::ether_type::kIpv4) [[likely]] {
            return ipv4(p, port, meta, ctx);
        }
        return not_ipv4(p, *ethernet, meta, ctx);
    }

    /// Control answers for what the table of slaves' addresses says of a target: a slave that does
    /// not speak for itself, or a public address.
    static bool is_answered(std::uint32_t found, const table::Master& master) noexcept {
        return found != table::AddressMap::kNone &&
               (master.mode != table::IpvlanMode::l2 || found >= table::kPublicAddress);
    }

  private:
    friend class GroupFrame;

    static packet::Verdict to_control(packet::PacketMeta& meta, packet::Punt why) noexcept {
        meta.punt = why;
        return packet::Verdict::divert(packet::Lane::control);
    }

    /// Of another EtherType, or not to our MAC address.
    [[gnu::noinline]] static packet::Verdict not_ipv4(packet::Packet& p,
                                                      const net::EthernetHeader& ethernet,
                                                      packet::PacketMeta& meta,
                                                      Context& ctx) noexcept {
        if (ethernet.type == net::ether_type::kArp) {
            return to_control(meta, packet::Punt::arp);
        }
        const bool may_be_ours =
            ethernet.type == net::ether_type::kIpv6 && ctx.tables->addresses6 != nullptr;
        return may_be_ours ? ipv6(p, meta, ctx) : packet::Verdict::divert(packet::Lane::host);
    }

    /// Solicitations of our addresses and of slaves', all advertisements, echo requests to us, and
    /// tunnel packets.
    static packet::Verdict ipv6(packet::Packet& p, packet::PacketMeta& meta,
                                Context& ctx) noexcept {
        using net::Icmpv6Header;
        using packet::Lane;
        using packet::Verdict;
        constexpr std::uint32_t kIp = sizeof(net::EthernetHeader);
        const auto is_own = [&ctx](const net::IpAddress& address) {
            return ctx.tables->addresses6->find(0, address) != table::AddressMap::kNone;
        };
        if (p.contiguous() < kIp + sizeof(net::Ipv6Header)) {
            return Verdict::divert(Lane::host);
        }
        const auto* ip = p.at<net::Ipv6Header>(kIp);
        const net::Ipv6Upper upper = net::upper_of(p.data() + kIp, p.contiguous() - kIp);
        const std::uint32_t at = kIp + upper.offset;
        if (upper.protocol == net::ip_protocol::kUdp && ip->version() == 6 && upper.is_whole) {
            const bool to_us = p.at<net::EthernetHeader>(0)->destination.number() ==
                               ctx.tables->ports[meta.in_port].mac;
            return to_us && is_own(net::IpAddress(ip->destination)) ? udp6(p, *ip, upper, meta, ctx)
                                                                    : Verdict::divert(Lane::host);
        }
        if (ip->version() != 6 || upper.protocol != net::ip_protocol::kIcmpv6 || !upper.is_whole ||
            upper.is_later || p.contiguous() < at + sizeof(Icmpv6Header)) {
            return Verdict::divert(Lane::host);
        }
        switch (p.at<Icmpv6Header>(at)->type) {
            case Icmpv6Header::kSolicitation:
                return p.contiguous() >= at + sizeof(net::NdHeader) &&
                               (is_own(p.at<net::NdHeader>(at)->target) ||
                                is_of_slave(p.at<net::NdHeader>(at)->target, meta, *ctx.tables))
                           ? to_control(meta, packet::Punt::arp)
                           : Verdict::divert(Lane::host);
            case Icmpv6Header::kAdvertisement:
                return to_control(meta, packet::Punt::arp);
            case Icmpv6Header::kEchoRequest:
                return is_own(net::IpAddress(ip->destination)) && !upper.is_fragment &&
                               net::is_host(net::IpAddress(ip->source))
                           ? to_control(meta, packet::Punt::icmp)
                           : Verdict::divert(Lane::host);
            case Icmpv6Header::kPacketTooBig:
                return is_own(net::IpAddress(ip->destination)) && !upper.is_fragment &&
                               is_about_tunnel6(p, at + sizeof(Icmpv6Header), *ctx.tables)
                           ? to_control(meta, packet::Punt::icmp)
                           : Verdict::divert(Lane::host);
            default:
                return Verdict::divert(Lane::host);
        }
    }

    /// Whether it is on the link, is left to control, as with ARP.
    static bool is_of_slave(const net::IpAddress& address, const packet::PacketMeta& meta,
                            const table::Tables& tables) noexcept {
        const std::uint16_t master = tables.ports[meta.in_port].master;
        if (master == table::kNoMaster) {
            return false;
        }
        return is_answered(tables.slave_addresses->find(table::slave_scope(master, 0), address),
                           tables.masters[master]);
    }

    /// What is quoted looks like a tunnel packet of ours.
    static bool is_about_tunnel6(const packet::Packet& p, std::uint32_t quoted,
                                 const table::Tables& tables) noexcept {
        if (p.contiguous() < quoted + sizeof(net::Ipv6Header)) {
            return false;
        }
        const net::Ipv6Upper sent = net::upper_of(p.data() + quoted, p.contiguous() - quoted);
        const std::uint32_t udp = quoted + sent.offset;
        return p.at<net::Ipv6Header>(quoted)->version() == 6 &&
               sent.protocol == net::ip_protocol::kUdp && sent.is_whole && !sent.is_later &&
               p.contiguous() >= udp + 4 &&
               tables.dstports->contains(
                   table::dstport_key(net::load<net::Be16>(p.data() + udp + 2).value(), true));
    }

    /// `upper` is whole, and the packet is for us, or for a group of ours.
    static packet::Verdict udp6(packet::Packet& p, const net::Ipv6Header& ip,
                                const net::Ipv6Upper& upper, packet::PacketMeta& meta,
                                Context& ctx) noexcept {
        using packet::DropReason;
        using packet::Lane;
        using packet::Verdict;
        const table::PortEntry& port = ctx.tables->ports[meta.in_port];
        if (upper.is_fragment && port.reassembles) {
            return Verdict::divert(Lane::fragment);
        }
        if (upper.is_later) {
            return port.partner == table::kNoPort ? Verdict::drop(DropReason::outer_fragment)
                                                  : Verdict::divert(Lane::host);
        }
        const std::uint32_t at = sizeof(net::EthernetHeader) + upper.offset;
        const std::uint32_t end =
            sizeof(net::EthernetHeader) + sizeof ip + ip.payload_length.value();
        if (end < at + sizeof(net::UdpHeader) || p.contiguous() < at + sizeof(net::UdpHeader)) {
            return Verdict::drop(DropReason::udp_bad_length);
        }
        const auto* header = p.at<net::UdpHeader>(at);
        if (!ctx.tables->dstports->contains(
                table::dstport_key(header->destination.value(), true))) {
            return Verdict::divert(Lane::host);
        }
        if (upper.is_fragment) {
            return Verdict::drop(DropReason::outer_fragment);
        }
        if (p.length() < end) {
            return Verdict::drop(DropReason::ip6_malformed);
        }
        const net::IpAddress source(ip.source);
        if (source.is_v4() || !net::is_host(source)) {
            return Verdict::drop(DropReason::ip6_bad_source);
        }
        const std::uint32_t length = header->length.value();
        if (length < sizeof(net::UdpHeader) || at + length > end) {
            return Verdict::drop(DropReason::udp_bad_length);
        }
        if (ctx.tables->addresses6->find(0, source) != table::AddressMap::kNone) {
            return Verdict::drop(DropReason::outer_own_vtep);
        }
        meta.outer_tos = ip.traffic_class();
        meta.outer_size = static_cast<std::uint16_t>(at);
        return Verdict::divert(Lane::tunnel6);
    }

    static packet::Verdict foreign_destination(packet::Packet& p,
                                               const net::EthernetHeader& ethernet,
                                               const table::PortEntry& port,
                                               packet::PacketMeta& meta, Context& ctx) noexcept {
        if (!ethernet.destination.is_group()) {
            return port.promiscuous ? packet::Verdict::divert(packet::Lane::host)
                                    : packet::Verdict::drop(packet::DropReason::eth_not_for_us);
        }
        return ctx.tables->joined != nullptr ? packet::Verdict::divert(packet::Lane::tunnel6)
                                             : not_ipv4(p, ethernet, meta, ctx);
    }

    static packet::Verdict ipv4(packet::Packet& p, const table::PortEntry& port,
                                packet::PacketMeta& meta, Context& ctx) noexcept {
        using packet::DropReason;
        using packet::Lane;
        using packet::Verdict;
        constexpr std::uint32_t kIp = sizeof(net::EthernetHeader);
        if (p.contiguous() < kIp + sizeof(net::Ipv4Header)) {
            return Verdict::drop(DropReason::ip4_truncated);
        }
        const auto* ip = p.at<net::Ipv4Header>(kIp);
        if (ip->version() != 4) {
            return Verdict::drop(DropReason::ip4_bad_version);
        }
        const std::uint32_t header = ip->header_length();
        if (header < sizeof(net::Ipv4Header) || p.contiguous() < kIp + header) {
            return Verdict::drop(DropReason::ip4_bad_header_length);
        }
        const std::uint32_t total = ip->total_length.value();
        if (total < header || p.length() < kIp + total) {
            return Verdict::drop(DropReason::ip4_bad_total_length);
        }
        const bool verified = (port.trusted_sums & packet::set_of(packet::RxSum::ipv4)) != 0 &&
                              packet::header_is_called_good(p.mbuf());
        if (!verified && !net::ipv4_checksum_is_right(*ip)) {
            return Verdict::drop(DropReason::ip4_bad_checksum);
        }
        const std::uint32_t owner = ctx.tables->addresses->find(ip->destination.be.wire());
        if (owner == table::FlatMap::kNone || owner == table::kNoHost) {
            return Verdict::divert(Lane::host);
        }
        if (!ip->source.is_unicast() || ip->source.is_loopback()) {
            return Verdict::drop(DropReason::ip4_bad_source);
        }
        if (ip->protocol == net::ip_protocol::kUdp) [[likely]] {
            return udp(p, *ip, port, meta, ctx);
        }
        return is_for_control(p, *ip, *ctx.tables->dstports) ? to_control(meta, packet::Punt::icmp)
                                                             : Verdict::divert(Lane::host);
    }

    static packet::Verdict udp(packet::Packet& p, const net::Ipv4Header& ip,
                               const table::PortEntry& port, packet::PacketMeta& meta,
                               Context& ctx) noexcept {
        using packet::DropReason;
        using packet::Verdict;
        const std::uint32_t at = sizeof(net::EthernetHeader) + ip.header_length();
        const std::uint32_t payload = ip.total_length.value() - ip.header_length();
        const bool is_fragment = ip.is_fragment();
        if (is_fragment && port.reassembles) [[unlikely]] {
            return Verdict::divert(packet::Lane::fragment);
        }
        if ((ip.fragment.value() & net::Ipv4Header::kOffsetMask) != 0) [[unlikely]] {
            // Without ports nobody knows whose it is: the twin, if there is one, reassembles.
            return port.partner == table::kNoPort ? Verdict::drop(DropReason::outer_fragment)
                                                  : Verdict::divert(packet::Lane::host);
        }
        if (payload < sizeof(net::UdpHeader) || p.contiguous() < at + sizeof(net::UdpHeader)) {
            return Verdict::drop(DropReason::udp_bad_length);
        }
        const auto* header = p.at<net::UdpHeader>(at);
        if (!ctx.tables->dstports->contains(header->destination.value())) {
            return Verdict::divert(packet::Lane::host);
        }
        if (is_fragment) {
            return Verdict::drop(DropReason::outer_fragment);
        }
        const std::uint32_t length = header->length.value();
        if (length < sizeof(net::UdpHeader) || length > payload) {
            return Verdict::drop(DropReason::udp_bad_length);
        }
        const std::uint32_t sender = ctx.tables->addresses->find(ip.source.be.wire());
        if (sender != table::FlatMap::kNone) [[unlikely]] {
            return Verdict::drop(sender == table::kNoHost ? DropReason::ip4_bad_source
                                                          : DropReason::outer_own_vtep);
        }
        meta.outer_source = ip.source;
        meta.outer_tos = ip.tos;
        meta.outer_size = static_cast<std::uint16_t>(at);
        return Verdict::go_on();
    }

    /// An echo request, or news of a path about what looks like a tunnel packet of ours.
    [[gnu::noinline]] static bool is_for_control(packet::Packet& p, const net::Ipv4Header& ip,
                                                 const table::FlatMap& dstports) noexcept {
        using net::IcmpHeader;
        const std::uint32_t at = sizeof(net::EthernetHeader) + ip.header_length();
        if (ip.protocol != net::ip_protocol::kIcmp || ip.is_fragment() ||
            p.contiguous() < at + sizeof(IcmpHeader)) {
            return false;
        }
        const auto& icmp = *p.at<IcmpHeader>(at);
        if (icmp.type != IcmpHeader::kUnreachable ||
            icmp.code != IcmpHeader::kFragmentationNeeded) {
            return icmp.type == IcmpHeader::kEchoRequest;
        }
        const std::uint32_t quoted = at + sizeof icmp;
        if (p.contiguous() < quoted + sizeof(net::Ipv4Header)) {
            return false;
        }
        const auto& sent = *p.at<net::Ipv4Header>(quoted);
        const std::uint32_t ports = quoted + sent.header_length();
        return sent.version() == 4 && sent.header_length() >= sizeof sent &&
               sent.protocol == net::ip_protocol::kUdp && p.contiguous() >= ports + 4 &&
               dstports.contains(net::load<net::Be16>(p.data() + ports + 2).value());
    }
};

}  // namespace vxplane::step
