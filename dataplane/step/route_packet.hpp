// A slave's datagram finds its way: its own routing table, then the host's, then the next hop's MAC
// address (the kernel's ipvlan_process_outbound(), with a table for each slave in front).
#pragma once

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/icmpv6.hpp"
#include "dataplane/packet/large.hpp"
#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"
#include "dataplane/step/read_flow.hpp"
#include "dataplane/step/select_slave.hpp"
#include "dataplane/step/slave_hooks.hpp"

namespace vxplane::step {

/// Where a datagram with a contiguous header behind a plain Ethernet header is going.
inline net::IpAddress destination_of(const packet::Packet& p, bool ipv6) noexcept {
    constexpr std::uint32_t kIp = sizeof(net::EthernetHeader);
    return ipv6 ? net::IpAddress(p.at<net::Ipv6Header>(kIp)->destination)
                : net::IpAddress(p.at<net::Ipv4Header>(kIp)->destination);
}
inline net::IpAddress source_of(const packet::Packet& p, bool ipv6) noexcept {
    constexpr std::uint32_t kIp = sizeof(net::EthernetHeader);
    return ipv6 ? net::IpAddress(p.at<net::Ipv6Header>(kIp)->source)
                : net::IpAddress(p.at<net::Ipv4Header>(kIp)->source);
}

/// Sends a packet to control with what control is to say, or to be dropped for `otherwise`.
inline packet::Verdict ask_control(packet::PacketMeta& meta, packet::Punt why,
                                   packet::DropReason otherwise) noexcept {
    meta.punt = why;
    meta.if_refused = otherwise;
    return packet::Verdict::divert(packet::Lane::control);
}

/// Goes on with `destination` = number of a next hop that is no group and no table.
class FindRoute {
  public:
    FindRoute(const Context& ctx, std::uint16_t /*in_port*/) noexcept : tables_(*ctx.tables) {}

    /// `first` may be null. What the first table does not know, or throws, the second one is asked.
    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta, Context& ctx,
                               const table::RouteTable* first,
                               const table::RouteTable* second) const noexcept {
        using packet::DropReason;
        using packet::Punt;
        using packet::Verdict;
        const net::IpAddress destination = destination_of(p, meta.slaves.ipv6);
        const table::RouteTable* now = first != nullptr ? first : second;
        const table::RouteTable* later = first != nullptr ? second : nullptr;
        for (unsigned turn = 0; turn < kMostTables && now != nullptr; ++turn) {
            const table::RouteValue value = now->lookup(destination);
            if (!value.found() || value.type() == table::RouteType::throw_) {
                now = later;
                later = nullptr;
                continue;
            }
            switch (value.type()) {
                case table::RouteType::unicast:
                    break;
                case table::RouteType::local:
                    return Verdict::divert(packet::Lane::host);
                case table::RouteType::blackhole:
                    return Verdict::drop(DropReason::route_blackhole);
                case table::RouteType::unreachable:
                    return ask_control(meta, Punt::route_unreachable,
                                       DropReason::route_unreachable);
                case table::RouteType::prohibit:
                    return ask_control(meta, Punt::route_prohibited, DropReason::route_prohibit);
                case table::RouteType::throw_:
                    break;
            }
            std::uint32_t number = value.next_hop();
            const table::NextHop* hop = &tables_.next_hops[number];
            if (hop->kind == table::NextHopKind::group) {
                number = member_of(*hop, p, meta, ctx);
                hop = &tables_.next_hops[number];
            }
            if (hop->kind == table::NextHopKind::table) {
                now = tables_.route_tables[hop->index];
                continue;
            }
            if (hop->kind == table::NextHopKind::none) {
                now = nullptr;
                continue;
            }
            meta.destination = number;
            return Verdict::go_on();
        }
        return ask_control(meta, Punt::route_unreachable,
                           now == nullptr ? DropReason::route_none : DropReason::route_loop);
    }

  private:
    static constexpr unsigned kMostTables = 8;

    [[gnu::noinline]] std::uint32_t member_of(const table::NextHop& group, packet::Packet& p,
                                              packet::PacketMeta& meta,
                                              Context& ctx) const noexcept {
        ReadFlow{}(p, meta, ctx);
        // Source ports of tunnels are made from the same hash: another mix keeps both even.
        const auto choice = static_cast<std::uint32_t>(net::mix(meta.flow_hash, 2));
        return tables_.next_hop_slots[group.index + (choice & (group.count - 1))];
    }

    const table::Tables& tables_;
};

/// Follows a next hop: writes the Ethernet header, counts the hop, and leaves `out_port`, or
/// `tunnel` and `segment` for AddTunnel.
class FollowNextHop {
  public:
    FollowNextHop(const Context& ctx, std::uint16_t /*in_port*/) noexcept
        : tables_(*ctx.tables), hops_(ctx.tables->next_hops.data()) {}

    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta, Context& ctx,
                               const table::Master& master) const noexcept {
        const packet::Verdict verdict = judge(p, meta, master);
        return verdict.goes_on() ? go(p, meta, ctx, master) : verdict;
    }

    /// The first half: is there a hop left, and does it fit?
    packet::Verdict judge(packet::Packet& p, packet::PacketMeta& meta,
                          const table::Master& master) const noexcept {
        const table::NextHop& hop = hops_[meta.destination];
        const bool is_hop = master.decrement_ttl || hop.port != master.port;
        if (is_hop && !count_hop(p, meta.slaves.ipv6)) {
            return ask_control(meta, packet::Punt::ttl_exceeded, packet::DropReason::route_ttl);
        }
        return is_too_long(p, hop) && !may_be_fragmented(p, meta.slaves.ipv6)
                   ? too_big(meta, hop)
                   : packet::Verdict::go_on();
    }
    /// The second half.
    packet::Verdict go(packet::Packet& p, packet::PacketMeta& meta, Context& ctx,
                       const table::Master& master) const noexcept {
        using packet::DropReason;
        using packet::Verdict;
        const table::NextHop& hop = hops_[meta.destination];
        if (hop.kind == table::NextHopKind::slave) {
            return to_slave(p, meta, static_cast<std::uint16_t>(hop.index), master);
        }
        const bool too_long = is_too_long(p, hop);
        if (hop.kind == table::NextHopKind::vxlan) {
            const Verdict verdict = into_segment(p, meta, hop, ctx);
            return verdict.goes_on() && too_long ? Verdict::divert(packet::Lane::pieces) : verdict;
        }
        const std::uint32_t at = hop.kind == table::NextHopKind::gateway
                                     ? hop.neighbour
                                     : on_link(destination_of(p, meta.slaves.ipv6), hop.port);
        auto* ethernet = p.at<net::EthernetHeader>(0);
        ethernet->source = net::MacAddress::from_number(tables_.ports[hop.port].mac);
        if (at >= tables_.neighbours.size() || !tables_.neighbours[at].usable) [[unlikely]] {
            // What waits for a neighbour goes as it is: too long for that.
            return too_long ? Verdict::drop(DropReason::route_too_big) : unresolved(p, meta, hop);
        }
        ethernet->destination = tables_.neighbours[at].mac;
        meta.out_port = hop.port;
        return too_long ? Verdict::divert(packet::Lane::pieces) : Verdict::go_on();
    }

    /// With an Ethernet header from its master.
    packet::Verdict to_slave(packet::Packet& p, packet::PacketMeta& meta, std::uint16_t number,
                             const table::Master& master) const noexcept {
        const table::Slave& slave = tables_.slaves[number];
        auto* ethernet = p.at<net::EthernetHeader>(0);
        ethernet->destination =
            net::MacAddress::from_number(slave.mac != 0 ? slave.mac : master.mac);
        ethernet->source = net::MacAddress::from_number(master.mac);
        return SelectSlave::deliver(p, meta, number, slave);
    }

    /// Takes one off TTL or hop limit; false when none is left.
    static bool count_hop(packet::Packet& p, bool ipv6) noexcept {
        constexpr std::uint32_t kIp = sizeof(net::EthernetHeader);
        if (ipv6) {
            auto* ip = p.at<net::Ipv6Header>(kIp);
            if (ip->hop_limit <= 1) {
                return false;
            }
            --ip->hop_limit;
            return true;
        }
        auto* ip = p.at<net::Ipv4Header>(kIp);
        if (ip->ttl <= 1) {
            return false;
        }
        // TTL and protocol are one 16-bit word of the checksum.
        const auto word = [ip](unsigned ttl) {
            return net::Be16::of(static_cast<std::uint16_t>(ttl << 8 | ip->protocol));
        };
        ip->checksum = net::update_checksum(ip->checksum, word(ip->ttl), word(ip->ttl - 1U));
        --ip->ttl;
        return true;
    }

  private:
    [[nodiscard]] std::uint32_t on_link(const net::IpAddress& destination,
                                        std::uint16_t port) const noexcept {
        return tables_.neighbour_addresses->find(port, destination);
    }

    [[gnu::noinline]] static packet::Verdict unresolved(packet::Packet& p, packet::PacketMeta& meta,
                                                        const table::NextHop& hop) noexcept {
        const net::IpAddress destination = destination_of(p, meta.slaves.ipv6);
        if (hop.kind == table::NextHopKind::link && destination.is_multicast()) {
            p.at<net::EthernetHeader>(0)->destination = net::group_mac(destination);
            meta.out_port = hop.port;
            return packet::Verdict::go_on();
        }
        meta.tunnel = meta.destination;
        meta.segment = hop.port;
        return ask_control(meta, packet::Punt::next_hop, packet::DropReason::none);
    }

    /// Slaves judge their own sizes.
    static bool is_too_long(const packet::Packet& p, const table::NextHop& hop) noexcept {
        return p.length() > hop.max_frame && hop.kind != table::NextHopKind::slave &&
               packet::longest_inner(p.mbuf()) > hop.max_frame;
    }
    /// IPv4 without DF. Large packets are cut where they leave.
    static bool may_be_fragmented(const packet::Packet& p, bool ipv6) noexcept {
        return !ipv6 && !packet::is_large(p.mbuf()) &&
               (p.at<net::Ipv4Header>(sizeof(net::EthernetHeader))->fragment.value() &
                net::Ipv4Header::kDontFragment) == 0;
    }
    [[gnu::noinline]] static packet::Verdict too_big(packet::PacketMeta& meta,
                                                     const table::NextHop& hop) noexcept {
        meta.tunnel = hop.max_frame - static_cast<std::uint32_t>(sizeof(net::EthernetHeader));
        return ask_control(meta, packet::Punt::too_big, packet::DropReason::route_too_big);
    }

    [[gnu::noinline]] packet::Verdict into_segment(packet::Packet& p, packet::PacketMeta& meta,
                                                   const table::NextHop& hop,
                                                   Context& ctx) const noexcept {
        const table::Segment& segment = tables_.segments[hop.segment];
        if (!segment.in_use) {
            return packet::Verdict::drop(packet::DropReason::port_gone);
        }
        auto* ethernet = p.at<net::EthernetHeader>(0);
        ethernet->destination = hop.inner_destination;
        ethernet->source = hop.inner_source;
        ReadFlow{}(p, meta, ctx);
        meta.segment = hop.segment;
        meta.vni_word = segment.vni_word;
        meta.tunnel = hop.index;
        meta.out_port = table::kNoPort;
        return packet::Verdict::go_on();
    }

    const table::Tables& tables_;
    const table::NextHop* hops_;
};

/// Both, for the datagrams that ReadSlaveFrame marked.
class RoutePacket {
  public:
    RoutePacket(const Context& ctx, std::uint16_t in_port) noexcept
        : find_(ctx, in_port),
          follow_(ctx, in_port),
          tables_(*ctx.tables),
          number_(tables_.ports[in_port].slave),
          slave_(tables_.slaves[number_]),
          master_(tables_.masters[slave_.master]),
          own_(slave_.routes == 0 ? nullptr : tables_.route_tables[slave_.routes]),
          host_(tables_.route_tables[master_.routes]) {}

    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta,
                               Context& ctx) const noexcept {
        using packet::DropReason;
        using packet::Verdict;
        if (!meta.slaves.routed) {
            return bridged(p, meta, ctx);
        }
        if (slave_.urpf != table::UrpfMode::off && !is_reached_by_slave(p, meta)) {
            return Verdict::drop(DropReason::route_reverse);
        }
        if (!meta.slaves.ipv6 && !is_host(p.at<net::Ipv4Header>(kIp)->destination)) {
            return Verdict::drop(DropReason::slave_group);
        }
        if (slave_.policer != 0 &&
            !ctx.buckets[meta.in_port].take(slave_.policer, p.length(), ctx.now)) [[unlikely]] {
            return Verdict::drop(DropReason::slave_rate);
        }
        if (master_.hooked) {
            return through_hooks(p, meta, ctx);
        }
        if (is_group(p, meta)) [[unlikely]] {
            return onto_link(p, meta);
        }
        Verdict verdict = find_(p, meta, ctx, own_, host_);
        if (verdict.goes_on()) {
            verdict = follow_(p, meta, ctx, master_);
        }
        return verdict;
    }

  private:
    static constexpr std::uint32_t kIp = sizeof(net::EthernetHeader);

    /// To a sibling, or by the wire as it is (mode l2).
    packet::Verdict bridged(packet::Packet& p, packet::PacketMeta& meta,
                            Context& ctx) const noexcept {
        if (master_.hooked) [[unlikely]] {
            if (const packet::Verdict verdict = own_rules(p, meta, ctx); !verdict.goes_on()) {
                return verdict;
            }
        }
        return meta.slaves.to == table::kNoSlave
                   ? packet::Verdict::go_on()
                   : SelectSlave::deliver(p, meta, meta.slaves.to, tables_.slaves[meta.slaves.to]);
    }
    /// The rules of the slaves themselves. What is no datagram has none.
    [[gnu::noinline]] packet::Verdict own_rules(packet::Packet& p, packet::PacketMeta& meta,
                                                Context& ctx) const noexcept {
        const net::Be16 type = p.at<net::EthernetHeader>(0)->type;
        if (type != net::ether_type::kIpv4 && type != net::ether_type::kIpv6) {
            return packet::Verdict::go_on();
        }
        SlaveHooks hooks(ctx, master_);
        packet::Verdict verdict = hooks.read(p);
        if (verdict.goes_on()) {
            verdict = hooks.from_slave(meta, number_);
        }
        if (!verdict.goes_on()) {
            return verdict;
        }
        return meta.slaves.to != table::kNoSlave ? hooks.to_sibling(meta, meta.slaves.to)
                                                 : hooks.leave(meta, true);
    }

    [[gnu::noinline]] packet::Verdict through_hooks(packet::Packet& p, packet::PacketMeta& meta,
                                                    Context& ctx) const noexcept {
        SlaveHooks& hooks = ctx.journeys[meta.source_bucket];
        packet::Verdict verdict = hooks.resume(p);
        if (verdict.goes_on()) {
            verdict = hooks.from_slave(meta, number_);
        }
        if (verdict.goes_on()) {
            verdict = hooks.into_host(meta);
        }
        if (!verdict.goes_on()) {
            return verdict;
        }
        // A connection knows its other end; so does the public address of a sibling.
        std::uint16_t sibling = hooks.way();
        if (sibling == table::kNoSlave) {
            sibling = sibling_behind_rules(hooks.destination());
            if (sibling != table::kNoSlave && master_.flag == table::IpvlanFlag::private_) {
                return packet::Verdict::drop(packet::DropReason::slave_private);
            }
        }
        if (sibling == table::kNoSlave && is_group(p, meta)) {
            verdict = hooks.leave(meta, true);
            return verdict.goes_on() ? onto_link(p, meta) : verdict;
        }
        if (sibling == table::kNoSlave) {
            verdict = find_(p, meta, ctx, own_, host_);
            if (!verdict.goes_on()) {
                return verdict;
            }
            const table::NextHop& hop = tables_.next_hops[meta.destination];
            // An error is about the packet as its sender knows it.
            verdict = follow_.judge(p, meta, master_);
            if (!verdict.goes_on()) {
                return verdict;
            }
            if (hop.kind != table::NextHopKind::slave) {
                verdict = hooks.leave(meta, hop.kind != table::NextHopKind::vxlan);
                return verdict.goes_on() ? follow_.go(p, meta, ctx, master_) : verdict;
            }
            sibling = static_cast<std::uint16_t>(hop.index);
        }
        verdict = hooks.turn_back(meta, sibling);
        return verdict.goes_on() ? follow_.to_slave(p, meta, sibling, master_) : verdict;
    }

    /// One that a rule has led to, or that has the public address; vepa knows no siblings. Others
    /// were found before there were rules, and tenants do not see each other.
    [[nodiscard]] std::uint16_t sibling_behind_rules(
        const net::IpAddress& destination) const noexcept {
        if (master_.flag == table::IpvlanFlag::vepa) {
            return table::kNoSlave;
        }
        std::uint32_t found = tables_.slave_addresses->find(
            table::slave_scope(slave_.master, slave_.vrf), destination);
        if (found < table::kNoSlave) {
            return static_cast<std::uint16_t>(found);
        }
        if (slave_.vrf != 0) {
            found =
                tables_.slave_addresses->find(table::slave_scope(slave_.master, 0), destination);
        }
        return found != table::AddressMap::kNone && found >= table::kPublicAddress
                   ? static_cast<std::uint16_t>(found)
                   : table::kNoSlave;
    }

    /// RFC 3704: strict, the way back leads to the slave; loose, there is one.
    [[gnu::noinline]] bool is_reached_by_slave(const packet::Packet& p,
                                               const packet::PacketMeta& meta) const noexcept {
        const net::IpAddress source = source_of(p, meta.slaves.ipv6);
        if (tables_.slave_addresses->find(table::slave_scope(slave_.master, slave_.vrf), source) ==
            number_) {
            return true;
        }
        for (const table::RouteTable* routes : {own_, host_}) {
            const table::RouteValue value =
                routes == nullptr ? table::RouteValue{} : routes->lookup(source);
            if (!value.found() || value.type() != table::RouteType::unicast) {
                continue;
            }
            const table::NextHop& hop = tables_.next_hops[value.next_hop()];
            if (slave_.urpf == table::UrpfMode::loose ||
                (hop.kind == table::NextHopKind::slave ? hop.index == number_
                                                       : hop.port == slave_.port)) {
                return true;
            }
        }
        return false;
    }
    /// A group of IPv6 in a frame to a single MAC address, as a device that knows no neighbours
    /// sends it. Groups of IPv4 are refused.
    static bool is_group(const packet::Packet& p, const packet::PacketMeta& meta) noexcept {
        return meta.slaves.ipv6 && p.at<net::Ipv6Header>(kIp)->destination[0] == 0xFF;
    }
    /// Groups are on the master's link, whatever other routes say: the kernel's table `local` is
    /// asked first, and has ff00::/8 for each device.
    [[gnu::noinline]] packet::Verdict onto_link(const packet::Packet& p,
                                                packet::PacketMeta& meta) const noexcept {
        const table::PortEntry& port = tables_.ports[master_.port];
        if (p.length() > port.max_frame && packet::longest_inner(p.mbuf()) > port.max_frame) {
            return packet::Verdict::drop(packet::DropReason::port_oversize);
        }
        auto* ethernet = p.at<net::EthernetHeader>(0);
        ethernet->destination = net::group_mac(destination_of(p, true));
        ethernet->source = net::MacAddress::from_number(port.mac);
        meta.out_port = master_.port;
        return packet::Verdict::go_on();
    }
    [[nodiscard]] bool is_host(net::Ipv4Address destination) const noexcept {
        return !destination.is_multicast() && !destination.is_broadcast() &&
               !destination.is_loopback() && destination.number() >> 24 != 0 &&
               tables_.addresses->find(destination.be.wire()) != table::kNoHost;
    }

    FindRoute find_;
    FollowNextHop follow_;
    const table::Tables& tables_;
    std::uint16_t number_;
    const table::Slave& slave_;
    const table::Master& master_;
    const table::RouteTable* own_;
    const table::RouteTable* host_;
};

}  // namespace vxplane::step
