// A frame that a slave sends: to a sibling, to the host, to the wire, or on to routing. Behaviour
// of the kernel's ipvlan_queue_xmit().
#pragma once

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/dhcp.hpp"
#include "dataplane/packet/large.hpp"
#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"
#include "dataplane/step/own_source.hpp"
#include "dataplane/step/select_slave.hpp"
#include "dataplane/step/slave_address.hpp"

namespace vxplane::step {

/// Goes on with `out_port` set, or with `slaves.routed` for RoutePacket: then the frame is one
/// untagged, well-formed datagram without padding, whose header is contiguous.
class ReadSlaveFrame {
  public:
    ReadSlaveFrame(const Context& ctx, std::uint16_t in_port) noexcept
        : number_(ctx.tables->ports[in_port].slave),
          slave_(ctx.tables->slaves[number_]),
          master_(ctx.tables->masters[slave_.master]),
          addresses_(*ctx.tables->slave_addresses),
          scope_(table::slave_scope(slave_.master, slave_.vrf)),
          exits_(ctx.tables->slave_exits.data()),
          way_(packet::SlaveWay::at(slave_.master)),
          watched_(slave_.policer != 0 || master_.dhcp_snoop) {
        way_.from = number_;
    }

    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta,
                               Context& ctx) const noexcept {
        using packet::DropReason;
        using packet::Verdict;
        meta.slaves = way_;
        if (p.contiguous() < sizeof(net::EthernetHeader)) {
            return Verdict::drop(DropReason::eth_runt);
        }
        if (!slave_.up) {
            return Verdict::drop(DropReason::slave_down);
        }
        if (p.length() > slave_.max_frame &&
            p.length() > slave_.max_frame + net::tag_bytes(p.data(), p.contiguous()) &&
            !packet::is_large(p.mbuf())) [[unlikely]] {
            return Verdict::drop(DropReason::eth_too_long);
        }
        if (slave_.check_source) [[unlikely]] {
            const DropReason why = judge_source(p, {addresses_, scope_, number_});
            if (why != DropReason::none) {
                return Verdict::drop(why);
            }
        }
        return master_.mode == table::IpvlanMode::l2 ? bridged(p, meta, ctx) : routed(p, meta);
    }

    packet::Verdict to_sibling(packet::PacketMeta& meta, std::uint16_t sibling) const noexcept {
        if (master_.flag == table::IpvlanFlag::private_) {
            return packet::Verdict::drop(packet::DropReason::slave_private);
        }
        // RoutePacket gives it away.
        meta.slaves.to = sibling;
        __builtin_prefetch(&exits_[sibling]);
        return packet::Verdict::go_on();
    }

  private:
    static constexpr std::uint16_t kPause = 0x8808;  // IEEE 802.3 annex 31A
    static constexpr std::uint32_t kIp = sizeof(net::EthernetHeader);

    packet::Verdict bridged(packet::Packet& p, packet::PacketMeta& meta,
                            Context& ctx) const noexcept {
        using packet::DropReason;
        using packet::Lane;
        using packet::Verdict;
        const auto* ethernet = p.at<net::EthernetHeader>(0);
        if (master_.flag != table::IpvlanFlag::vepa && ethernet->destination == ethernet->source) {
            const std::uint16_t sibling = find(p);
            if (sibling == table::kNoSlave) {
                return Verdict::divert(Lane::host);
            }
            return to_sibling(meta, sibling);
        }
        const bool group = ethernet->destination.is_group();
        if (group && ethernet->type.value() == kPause) [[unlikely]] {
            return Verdict::drop(DropReason::slave_pause);
        }
        if (group) [[unlikely]] {
            return slave_.policer != 0 && !ctx.may_send(slave_, p.length())
                       ? Verdict::drop(DropReason::slave_rate)
                       : Verdict::divert(Lane::group);
        }
        meta.out_port = master_.port;
        if (watched_) [[unlikely]] {
            return watched(p, ctx);
        }
        return fits(p, ctx) ? Verdict::go_on() : Verdict::drop(DropReason::port_oversize);
    }

    /// To the wire, with a limited rate or with somebody who listens.
    [[gnu::noinline]] packet::Verdict watched(const packet::Packet& p,
                                              Context& ctx) const noexcept {
        using packet::DropReason;
        using packet::Verdict;
        if (slave_.policer != 0 && !ctx.may_send(slave_, p.length())) {
            return Verdict::drop(DropReason::slave_rate);
        }
        if (!fits(p, ctx)) {
            return Verdict::drop(DropReason::port_oversize);
        }
        return master_.dhcp_snoop && net::is_dhcp(p.data(), p.contiguous(), net::DhcpWay::to_server)
                   ? Verdict::divert(packet::Lane::overheard)
                   : Verdict::go_on();
    }

    packet::Verdict routed(packet::Packet& p, packet::PacketMeta& meta) const noexcept {
        using packet::DropReason;
        using packet::Verdict;
        const auto* ethernet = p.at<net::EthernetHeader>(0);
        if (ethernet->type == net::ether_type::kIpv4 && !ethernet->destination.is_group())
            [[likely]] {
            return ipv4(p, meta);
        }
        if (const std::uint16_t sibling = find_sibling(p); sibling != table::kNoSlave) {
            return to_sibling(meta, sibling);
        }
        if (ethernet->destination.is_group() && ethernet->type == net::ether_type::kIpv4) {
            return Verdict::drop(DropReason::slave_group);
        }
        if (ethernet->type == net::ether_type::kIpv6) {
            if (slave_.answers_gateway && is_solicitation(p)) {
                return to_control(meta, packet::Punt::slave_nd);
            }
            return ethernet->destination.is_group() ? Verdict::drop(DropReason::slave_group)
                                                    : ipv6(p, meta);
        }
        if (ethernet->type == net::ether_type::kArp && slave_.answers_gateway) {
            return to_control(meta, packet::Punt::slave_arp);
        }
        return Verdict::drop(ethernet->destination.is_group() ? DropReason::slave_group
                                                              : DropReason::slave_not_ip);
    }

    /// Vepa knows siblings by way of the wire only.
    [[nodiscard]] std::uint16_t find_sibling(const packet::Packet& p) const noexcept {
        if (master_.flag == table::IpvlanFlag::vepa) {
            return table::kNoSlave;
        }
        const std::uint16_t sibling = find(p);
        return sibling == number_ && asks_for_itself(p) ? table::kNoSlave : sibling;
    }
    [[nodiscard]] std::uint16_t find_sibling(net::Ipv4Address destination) const noexcept {
        if (master_.flag == table::IpvlanFlag::vepa) [[unlikely]] {
            return table::kNoSlave;
        }
        const std::uint32_t found = addresses_.find(scope_, destination);
        return found < table::kPublicAddress ? static_cast<std::uint16_t>(found) : table::kNoSlave;
    }

    /// A host on Ethernet would take its own probe, sent back, for another host with its address.
    [[nodiscard]] bool asks_for_itself(const packet::Packet& p) const noexcept {
        const net::Be16 type = p.at<net::EthernetHeader>(0)->type;
        return slave_.answers_gateway && (type == net::ether_type::kArp ||
                                          (type == net::ether_type::kIpv6 && is_solicitation(p)));
    }

    packet::Verdict ipv4(packet::Packet& p, packet::PacketMeta& meta) const noexcept {
        using packet::DropReason;
        using packet::Verdict;
        const std::uint32_t contiguous = p.contiguous();
        const std::uint32_t length = p.length();
        if (contiguous < kIp + sizeof(net::Ipv4Header)) {
            return Verdict::drop(DropReason::ip4_truncated);
        }
        const auto* ip = p.at<net::Ipv4Header>(kIp);
        if (ip->version() != 4) {
            return Verdict::drop(DropReason::ip4_bad_version);
        }
        const std::uint32_t header = ip->header_length();
        if (header < sizeof *ip) {
            return Verdict::drop(DropReason::ip4_bad_header_length);
        }
        const std::uint32_t total = ip->total_length.value();
        if (total < header || length < kIp + total) {
            return Verdict::drop(DropReason::ip4_bad_total_length);
        }
        // A sibling gets what its own IP layer can judge.
        if (const std::uint16_t sibling = find_sibling(ip->destination);
            sibling != table::kNoSlave) {
            return to_sibling(meta, sibling);
        }
        if (contiguous < kIp + header) {
            return Verdict::drop(DropReason::ip4_bad_header_length);
        }
        if (!net::ipv4_checksum_is_right(*ip)) {
            return Verdict::drop(DropReason::ip4_bad_checksum);
        }
        // As the kernel's ip_route_output_key(): 0.0.0.0 may ask for an address.
        if (!ip->source.is_usual() &&
            (ip->source.is_multicast() || ip->source.is_broadcast() || ip->source.is_loopback() ||
             (ip->source.number() >> 24 == 0 && !ip->source.is_zero()))) [[unlikely]] {
            return Verdict::drop(DropReason::slave_bad_source);
        }
        if (length != kIp + total) {
            p.cut_to(kIp + total);
        }
        meta.slaves.routed = true;
        return Verdict::go_on();
    }

    static packet::Verdict ipv6(packet::Packet& p, packet::PacketMeta& meta) noexcept {
        using packet::DropReason;
        using packet::Verdict;
        if (p.contiguous() < kIp + sizeof(net::Ipv6Header)) {
            return Verdict::drop(DropReason::ip6_malformed);
        }
        const auto* ip = p.at<net::Ipv6Header>(kIp);
        const std::uint32_t total = kIp + sizeof *ip + ip->payload_length.value();
        if (ip->version() != 6 || p.length() < total) {
            return Verdict::drop(DropReason::ip6_malformed);
        }
        const net::IpAddress source(ip->source);
        const net::IpAddress destination(ip->destination);
        // Tables of both families would take it for IPv4.
        if (source.is_v4() || destination.is_v4()) {
            return Verdict::drop(DropReason::ip6_mapped_address);
        }
        if (source.is_multicast() || !may_travel(source)) {
            return Verdict::drop(DropReason::slave_bad_source);
        }
        if (destination.is_unset() || !may_travel(destination)) {
            return Verdict::drop(DropReason::slave_group);
        }
        if (p.length() != total) {
            p.cut_to(total);
        }
        meta.slaves.routed = true;
        meta.slaves.ipv6 = true;
        return Verdict::go_on();
    }

    static packet::Verdict to_control(packet::PacketMeta& meta, packet::Punt why) noexcept {
        meta.punt = why;
        meta.if_refused = packet::DropReason::none;
        return packet::Verdict::divert(packet::Lane::control);
    }

    [[nodiscard]] std::uint16_t find(const packet::Packet& p) const noexcept {
        net::IpAddress wanted;
        if (read_address(p, End::destination, wanted) == Spoken::nothing) {
            return table::kNoSlave;
        }
        const std::uint32_t found = addresses_.find(scope_, wanted);
        // A public address is a matter of rules.
        return found < table::kPublicAddress ? static_cast<std::uint16_t>(found) : table::kNoSlave;
    }
    static bool is_solicitation(const packet::Packet& p) noexcept {
        return p.contiguous() >= kSolicitation + kSolicitationSize &&
               p.at<net::Ipv6Header>(kIp)->next_header == net::ip_protocol::kIcmpv6 &&
               static_cast<std::uint8_t>(p.data()[kSolicitation]) == kSolicitationType;
    }
    [[nodiscard]] bool fits(const packet::Packet& p, const Context& ctx) const noexcept {
        const std::uint32_t longest =
            ctx.tables->ports[master_.port].max_frame + net::tag_bytes(p.data(), p.contiguous());
        return p.length() <= longest || packet::longest_arrived(p.mbuf()) <= longest;
    }

    std::uint16_t number_;
    const table::Slave& slave_;
    const table::Master& master_;
    const table::AddressMap& addresses_;
    std::uint32_t scope_;
    const table::SlaveExit* exits_;
    packet::SlaveWay way_;
    bool watched_;
};

}  // namespace vxplane::step
