// A slave's datagram finds its way: its own routing table, then the host's, then the next hop's MAC
// address (the kernel's ipvlan_process_outbound(), with a table for each slave in front).
#pragma once

#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"
#include "dataplane/step/find_route.hpp"
#include "dataplane/step/slave_hooks.hpp"

namespace vxplane::step {

/// FindRoute and FollowNextHop, with rules between, for the datagrams that ReadSlaveFrame marked.
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

    /// Whether LeaveAtOnce has left any of the burst.
    static bool is_due(const Context& ctx) noexcept { return ctx.slaves_left; }

    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta,
                               Context& ctx) const noexcept {
        using packet::DropReason;
        using packet::Verdict;
        if (meta.slaves.to == packet::SlaveWay::kLeaves) {
            return Verdict::go_on();
        }
        if (!meta.slaves.routed) {
            return bridged(p, meta, ctx);
        }
        if (slave_.urpf != table::UrpfMode::off && !is_reached_by_slave(p, meta)) {
            return Verdict::drop(DropReason::route_reverse);
        }
        if (!meta.slaves.ipv6 && !is_host(p.at<net::Ipv4Header>(kIp)->destination)) {
            return Verdict::drop(DropReason::slave_group);
        }
        if (slave_.policer != 0 && !ctx.may_send(slave_, p.length())) [[unlikely]] {
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
                   : SelectSlave::deliver(p, meta, meta.slaves.to,
                                          tables_.slave_exits[meta.slaves.to]);
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
        using packet::Verdict;
        SlaveHooks* hooks = nullptr;
        const table::ConnRef known = find_leaving(p, meta, ctx);
        if (!known) [[unlikely]] {
            hooks = &long_way(p, meta, ctx);
            Verdict verdict = hooks->resume(p);
            if (verdict.goes_on()) {
                verdict = hooks->from_slave(meta, number_);
            }
            if (verdict.goes_on()) {
                verdict = hooks->into_host(meta);
            }
            if (!verdict.goes_on()) {
                return verdict;
            }
            // A connection knows its other end; so does the public address of a sibling.
            std::uint16_t sibling = hooks->way();
            if (sibling == table::kNoSlave) {
                sibling = sibling_behind_rules(hooks->destination());
                if (sibling != table::kNoSlave && master_.flag == table::IpvlanFlag::private_) {
                    return Verdict::drop(packet::DropReason::slave_private);
                }
            }
            if (sibling != table::kNoSlave) {
                return turn_back(*hooks, p, meta, sibling);
            }
            if (is_group(p, meta)) {
                verdict = hooks->leave(meta, true);
                return verdict.goes_on() ? onto_link(p, meta) : verdict;
            }
        }
        Verdict verdict = find_(p, meta, ctx, own_, host_);
        if (verdict.goes_on()) {
            // An error is about the packet as its sender knows it.
            verdict = follow_.judge(p, meta, master_);
        }
        if (!verdict.goes_on()) {
            return verdict;
        }
        const table::NextHop& hop = tables_.next_hops[meta.destination];
        const bool into_segment = hop.kind == table::NextHopKind::vxlan;
        const bool usual =
            into_segment || (hop.kind != table::NextHopKind::slave && hop.port == master_.port);
        if (hooks == nullptr && usual) [[likely]] {
            const table::Connection& c = master_.conntrack->at(known);
            if (c.is_translated()) {
                translate_known(p, c, known.direction(), Half::source);
            }
            return follow_.go(p, meta, ctx, master_);
        }
        if (hooks == nullptr) {
            hooks = &long_way(p, meta, ctx);
            hooks->know(known);
        }
        if (hop.kind == table::NextHopKind::slave) {
            return turn_back(*hooks, p, meta, static_cast<std::uint16_t>(hop.index));
        }
        verdict = hooks->leave(meta, !into_segment);
        if (!usual && verdict.goes_on() && is_of_link(source_of(p, meta.slaves.ipv6)))
            [[unlikely]] {
            return Verdict::drop(packet::DropReason::route_other_exit);
        }
        return verdict.goes_on() ? follow_.go(p, meta, ctx, master_) : verdict;
    }
    SlaveHooks& long_way(packet::Packet& p, const packet::PacketMeta& meta,
                         Context& ctx) const noexcept {
        return ctx.flow_keys[meta.source_bucket].conntrack == nullptr
                   ? ctx.journeys[meta.source_bucket]
                   : SlaveHooks::start(p, ctx, meta.source_bucket, master_, number_);
    }
    [[gnu::noinline]] packet::Verdict turn_back(SlaveHooks& hooks, packet::Packet& p,
                                                packet::PacketMeta& meta,
                                                std::uint16_t sibling) const noexcept {
        const packet::Verdict verdict = hooks.turn_back(meta, sibling);
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

    /// Translated to an address that is answered on the link alone: what comes back by another port
    /// would find nobody.
    [[gnu::noinline]] [[nodiscard]] bool is_of_link(const net::IpAddress& source) const noexcept {
        const std::uint32_t known =
            tables_.slave_addresses->find(table::slave_scope(slave_.master, 0), source);
        if (known != table::AddressMap::kNone && known >= table::kPublicAddress) {
            return true;
        }
        return source.is_v4() ? tables_.addresses->find(source.v4().be.wire()) == master_.port
                              : tables_.addresses6 != nullptr &&
                                    tables_.addresses6->find(0, source) == master_.port;
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
        return (destination.is_usual() ||
                (!destination.is_multicast() && !destination.is_broadcast() &&
                 !destination.is_loopback() && destination.number() >> 24 != 0)) &&
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
