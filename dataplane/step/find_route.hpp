// Routing tables and next hops: where a datagram goes, and what has to be written to send it there.
#pragma once

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/icmpv6.hpp"
#include "dataplane/packet/large.hpp"
#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"
#include "dataplane/step/read_flow.hpp"
#include "dataplane/step/select_slave.hpp"

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
    FindRoute(const Context& ctx, std::uint16_t in_port) noexcept
        : tables_(*ctx.tables),
          link_(tables_.masters[tables_.slaves[tables_.ports[in_port].slave].master].port) {}

    /// `first` may be null. What the first table does not know, or throws, the second one is asked.
    /// That is the host's, for all its ports: a slave is bound to its link, and leaves by another
    /// port where a table of its own says so.
    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta, Context& ctx,
                               const table::RouteTable* first,
                               const table::RouteTable* second) const noexcept {
        using packet::DropReason;
        using packet::Punt;
        using packet::Verdict;
        const auto* ip = p.data() + sizeof(net::EthernetHeader);
        const bool ipv6 = meta.slaves.ipv6;
        const table::RouteTable* now = first != nullptr ? first : second;
        const table::RouteTable* later = first != nullptr ? second : nullptr;
        for (unsigned turn = 0; turn < kMostTables && now != nullptr; ++turn) {
            const table::RouteValue value =
                ipv6 ? now->lookup_v6(ip + kDestination6) : now->lookup_v4(ip + kDestination4);
            if (!value.found() || value.type() == table::RouteType::throw_) {
                now = later;
                later = nullptr;
                continue;
            }
            switch (value.type()) {
                [[likely]] case table::RouteType::unicast : break;
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
            if (hop->port != link_ && now == second && is_elsewhere(*hop, meta)) [[unlikely]] {
                return Verdict::drop(DropReason::route_other_exit);
            }
            meta.destination = number;
            return Verdict::go_on();
        }
        return ask_control(meta, Punt::route_unreachable,
                           now == nullptr ? DropReason::route_none : DropReason::route_loop);
    }

  private:
    static constexpr unsigned kMostTables = 8;
    static constexpr std::size_t kDestination4 = offsetof(net::Ipv4Header, destination);
    static constexpr std::size_t kDestination6 = offsetof(net::Ipv6Header, destination);

    [[gnu::noinline]] std::uint32_t member_of(const table::NextHop& group, packet::Packet& p,
                                              packet::PacketMeta& meta,
                                              Context& ctx) const noexcept {
        ReadFlow{}(p, meta, ctx);
        // Source ports of tunnels are made from the same hash: another mix keeps both even.
        const auto choice = static_cast<std::uint32_t>(net::mix(meta.flow_hash, 2));
        return tables_.next_hop_slots[group.index + (choice & (group.count - 1))];
    }

    /// A slave of another ipvlan is behind another link.
    [[gnu::noinline]] [[nodiscard]] bool is_elsewhere(
        const table::NextHop& hop, const packet::PacketMeta& meta) const noexcept {
        return hop.kind != table::NextHopKind::slave ||
               tables_.slaves[hop.index].master != meta.slaves.master;
    }

    const table::Tables& tables_;
    std::uint16_t link_;
};

/// Whether the slave has the address itself: it is given to it, or a route of type `local` in its
/// table says so, which is one that leads to itself.
[[gnu::noinline]] inline bool has_itself(const table::Tables& tables, std::uint16_t number,
                                         const net::IpAddress& address) noexcept {
    const table::Slave& slave = tables.slaves[number];
    if (tables.slave_addresses->find(table::slave_scope(slave.master, slave.vrf), address) ==
        number) {
        return true;
    }
    const table::RouteValue value = tables.route_tables[slave.routes]->lookup(address);
    if (!value.found() || value.type() != table::RouteType::unicast) {
        return false;
    }
    const table::NextHop& hop = tables.next_hops[value.next_hop()];
    return hop.kind == table::NextHopKind::slave && hop.index == number;
}

/// Follows a next hop: writes the Ethernet header, counts the hop, and leaves `out_port`, or
/// `tunnel` and `segment` for AddTunnel.
class FollowNextHop {
  public:
    FollowNextHop(const Context& ctx, std::uint16_t in_port) noexcept
        : tables_(*ctx.tables), hops_(ctx.tables->next_hops.data()) {
        const table::PortEntry& in = tables_.ports[in_port];
        if (in.role == table::PortRole::slave) {
            link_ = tables_.masters[tables_.slaves[in.slave].master].port;
            link_mac_ = net::MacAddress::from_number(tables_.ports[link_].mac);
        }
    }

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
        if (hop.kind == table::NextHopKind::slave && !takes(hop, p, meta)) [[unlikely]] {
            return packet::Verdict::drop(packet::DropReason::forwarding_off);
        }
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
        ethernet->source = hop.port == link_
                               ? link_mac_
                               : net::MacAddress::from_number(tables_.ports[hop.port].mac);
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
        return SelectSlave::deliver(p, meta, number, tables_.slave_exits[number]);
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
        count_hop4(*ip);
        return true;
    }
    /// The same where it is known that some are left.
    static void count_hop4(net::Ipv4Header& ip) noexcept {
        // RFC 1624 equation 3 with a word whose upper byte is the TTL: whatever the word was, its
        // complement and the new one add up to this.
        constexpr std::uint16_t kOneLess = net::Be16::of(0xFFFF - 0x100).wire();
        const std::uint32_t sum =
            std::uint32_t{static_cast<std::uint16_t>(~ip.checksum.wire())} + kOneLess;
        ip.checksum =
            net::Be16::from_wire(static_cast<std::uint16_t>(~((sum >> 16) + (sum & 0xFFFFU))));
        --ip.ttl;
    }

  private:
    /// A slave that forwards nothing takes what it has itself.
    [[gnu::noinline]] [[nodiscard]] bool takes(const table::NextHop& hop, const packet::Packet& p,
                                               const packet::PacketMeta& meta) const noexcept {
        return tables_.slaves[hop.index].forwards ||
               has_itself(tables_, static_cast<std::uint16_t>(hop.index),
                          destination_of(p, meta.slaves.ipv6));
    }
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
            return packet::Verdict::drop((segment.watch & table::watch::kDown) != 0
                                             ? packet::DropReason::admin_down
                                             : packet::DropReason::port_gone);
        }
        auto* ethernet = p.at<net::EthernetHeader>(0);
        ethernet->destination = hop.inner_destination;
        ethernet->source = hop.inner_source;
        ReadFlow{}(p, meta, ctx);
        meta.segment = hop.segment;
        meta.vni_word = segment.vni_word;
        meta.tunnel = hop.index;
        meta.out_port = table::kNoPort;
        ctx.tunnels_ahead = true;
        return packet::Verdict::go_on();
    }

    const table::Tables& tables_;
    const table::NextHop* hops_;
    /// Most leave by the link of the slave's master.
    std::uint16_t link_ = table::kNoPort;
    net::MacAddress link_mac_;
};

}  // namespace vxplane::step
