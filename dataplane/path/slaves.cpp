// Apart from the paths that meet them, whose code stays as short as it was without ipvlan.
#include "dataplane/path/slaves.hpp"

#include <optional>

#include "dataplane/net/dhcp.hpp"
#include "dataplane/net/membership.hpp"
#include "dataplane/path/from_master.hpp"
#include "dataplane/path/from_slave.hpp"
#include "dataplane/step/check_exit.hpp"
#include "dataplane/step/find_route.hpp"
#include "dataplane/step/select_slave.hpp"

namespace vxplane::path {

void run_from_slave(packet::Burst& burst, step::Context& ctx, Exit& exit) noexcept {
    ctx.slaves_left = false;
    ctx.tunnels_ahead = false;
    const table::Tables& tables = *ctx.tables;
    const table::Slave& slave = tables.slaves[tables.ports[burst.in_port].slave];
    tables.masters[slave.master].hooked ? FromSlaveOf<true>::run(burst, ctx, exit)
                                        : FromSlaveOf<false>::run(burst, ctx, exit);
}

void run_from_master(packet::Burst& burst, step::Context& ctx, Exit& exit) noexcept {
    const table::Tables& tables = *ctx.tables;
    tables.masters[tables.ports[burst.in_port].master].hooked
        ? FromMasterOf<true>::run(burst, ctx, exit)
        : FromMasterOf<false>::run(burst, ctx, exit);
}

void to_host(packet::Packet p, packet::PacketMeta& meta, step::Context& ctx, Exit& exit) noexcept {
    const table::Tables& tables = *ctx.tables;
    const table::PortEntry& in = tables.ports[meta.in_port];
    std::uint16_t twin = in.partner;
    if (in.role == table::PortRole::slave) {
        const table::Master& master = tables.masters[tables.slaves[in.slave].master];
        twin = tables.ports[master.port].partner;
        if (meta.slaves.routed) {
            p.at<net::EthernetHeader>(0)->destination = net::MacAddress::from_number(master.mac);
        }
    }
    if (twin == table::kNoPort) {
        exit.drop(p.mbuf(), packet::DropReason::host_unclaimed);
        return;
    }
    const std::uint32_t longest =
        tables.ports[twin].max_frame + net::tag_bytes(p.data(), p.contiguous());
    if (p.length() > longest && packet::longest_arrived(p.mbuf()) > longest) {
        exit.drop(p.mbuf(), packet::DropReason::port_oversize);
    } else {
        exit.send(p.mbuf(), twin);
    }
}

/// Control gets a copy that shares the payload; the frame itself goes its way.
[[gnu::noinline]] static void copy_to_control(packet::Packet p, const packet::PacketMeta& meta,
                                              packet::Punt why, step::Context& ctx,
                                              Exit& exit) noexcept {
    exit.counters().copies.add(1);
    rte_mbuf* copy = ctx.pools->share(p.mbuf());
    if (copy == nullptr) {
        exit.count_drop(packet::DropReason::slave_no_copy);
        return;
    }
    packet::PacketMeta about = meta;
    about.punt = why;
    about.if_refused = packet::DropReason::none;
    about.one_of_many = true;
    exit.to_control(copy, about);
}

void overhear(packet::Packet p, packet::PacketMeta& meta, step::Context& ctx, Exit& exit) noexcept {
    copy_to_control(p, meta, packet::Punt::dhcp, ctx, exit);
    exit.send(p.mbuf(), meta.out_port);
}

namespace {

/// What slaves' own rules say of a frame to many; what is no IP packet has none.
class GroupRules {
  public:
    GroupRules(packet::Packet& p, const packet::PacketMeta& meta, const step::Context& ctx,
               const table::Master& master) noexcept
        : slaves_(ctx.tables->slaves.data()), about_(meta) {
        const net::Be16 type = p.at<net::EthernetHeader>(0)->type;
        if (master.hooked && (type == net::ether_type::kIpv4 || type == net::ether_type::kIpv6)) {
            read_ = hooks_.emplace(ctx, master).read(p);
        }
    }
    packet::Verdict of_sender(packet::PacketMeta& meta, std::uint16_t number) noexcept {
        if (!hooks_ || slaves_[number].hooks == 0) {
            return packet::Verdict::go_on();
        }
        return read_.goes_on() ? hooks_->group_from(meta, number) : read_;
    }
    /// `none` where it gets its copy. Nobody is told of one that it does not get.
    packet::DropReason of_receiver(std::uint16_t number) noexcept {
        if (!hooks_ || slaves_[number].hooks == 0) {
            return packet::DropReason::none;
        }
        const packet::Verdict verdict =
            read_.goes_on() ? hooks_->group_into(about_, number) : read_;
        return verdict.goes_on()   ? packet::DropReason::none
               : verdict.is_drop() ? verdict.reason()
                                   : about_.if_refused;
    }

  private:
    const table::Slave* slaves_;
    packet::PacketMeta about_;
    std::optional<step::SlaveHooks> hooks_;
    packet::Verdict read_ = packet::Verdict::go_on();
};

}  // namespace

void copy_to_slaves(packet::Packet p, packet::PacketMeta& meta, step::Context& ctx,
                    Exit& exit) noexcept {
    const table::Tables& tables = *ctx.tables;
    const table::Master& master = tables.masters[meta.slaves.master];
    const std::uint64_t group = p.at<net::EthernetHeader>(0)->destination.number();
    constexpr std::uint16_t kPause = 0x8808;  // IEEE 802.3 annex 31A
    const bool from_host = tables.ports[meta.in_port].role == table::PortRole::twin;
    const bool from_wire = meta.slaves.from == table::kNoSlave && !from_host;
    const std::uint16_t vrf = meta.slaves.from == table::kNoSlave
                                  ? std::uint16_t{0}
                                  : tables.slaves[meta.slaves.from].vrf;
    const auto copy_to = [&](std::uint16_t out_port, std::uint32_t longest) {
        if (ctx.group_copies[master.port] >= master.copies_per_poll) {
            exit.counters().copies.add(1);
            exit.count_drop(packet::DropReason::slave_copies_full);
            return false;
        }
        if (p.length() > longest && packet::longest_arrived(p.mbuf()) > longest) {
            exit.counters().copies.add(1);
            exit.count_drop(packet::DropReason::slave_oversize);
            return false;
        }
        ++ctx.group_copies[master.port];
        exit.counters().copies.add(1);
        rte_mbuf* copy = ctx.pools->share(p.mbuf());
        if (copy == nullptr) {
            exit.count_drop(packet::DropReason::slave_no_copy);
            return false;
        }
        exit.send(copy, out_port);
        return true;
    };
    if (master.mcast_snooping && meta.slaves.from != table::kNoSlave &&
        net::may_be_report(p.data(), p.contiguous())) {
        copy_to_control(p, meta, packet::Punt::slave_report, ctx, exit);
    }
    GroupRules rules(p, meta, ctx, master);
    if (meta.slaves.from != table::kNoSlave) {
        const packet::Verdict verdict = rules.of_sender(meta, meta.slaves.from);
        if (verdict.is_drop()) {
            exit.counters().ports[meta.in_port].dropped.add(1);
            exit.drop(p.mbuf(), verdict.reason());
            return;
        }
        if (!verdict.goes_on()) {
            exit.to_control(p.mbuf(), meta);
            return;
        }
    }
    if (master.dhcp_snoop && !from_host &&
        net::is_dhcp(p.data(), p.contiguous(),
                     from_wire ? net::DhcpWay::to_client : net::DhcpWay::to_server)) {
        copy_to_control(p, meta, packet::Punt::dhcp, ctx, exit);
    }
    if (!from_wire || p.at<net::EthernetHeader>(0)->type.value() != kPause) {
        for (std::uint32_t i = 0; i < master.slave_count; ++i) {
            const std::uint16_t number = tables.slave_list[master.slave_begin + i];
            const table::Slave& slave = tables.slaves[number];
            if (number == meta.slaves.from || !slave.up || slave.vrf != vrf ||
                !slave.groups.hears(group)) {
                continue;
            }
            const packet::DropReason reason = rules.of_receiver(number);
            if (reason != packet::DropReason::none) {
                exit.counters().copies.add(1);
                exit.count_drop(reason);
            } else if (copy_to(slave.port, slave.max_frame)) {
                exit.counters().ports[slave.port].tx_groups.add(1);
            }
        }
    }
    if (from_wire) {
        const packet::Verdict verdict = step::SelectSlave::to_host(p, meta, ctx);
        if (verdict.is_drop()) {
            exit.drop(p.mbuf(), verdict.reason());
        } else if (verdict.lane() == packet::Lane::control) {
            exit.to_control(p.mbuf(), meta);
        } else {
            to_host(p, meta, ctx, exit);
        }
        return;
    }
    const std::uint16_t twin = tables.ports[master.port].partner;
    if (master.host_access && twin != table::kNoPort && !from_host) {
        copy_to(twin, tables.ports[twin].max_frame);
    }
    const std::uint32_t longest =
        tables.ports[master.port].max_frame + net::tag_bytes(p.data(), p.contiguous());
    if (p.length() > longest && packet::longest_arrived(p.mbuf()) > longest) {
        exit.drop(p.mbuf(), packet::DropReason::port_oversize);
    } else {
        exit.send(p.mbuf(), master.port);
    }
}

namespace {

/// Too long for the slave, in a datagram that may not be fragmented on the way.
bool is_too_big(const packet::Packet& p, const packet::PacketMeta& meta,
                const table::Slave& slave) noexcept {
    return p.length() > slave.max_frame && packet::longest_arrived(p.mbuf()) > slave.max_frame &&
           (meta.slaves.ipv6 ||
            (p.at<net::Ipv4Header>(sizeof(net::EthernetHeader))->fragment.value() &
             net::Ipv4Header::kDontFragment) != 0);
}

}  // namespace

void to_router(packet::Packet p, packet::PacketMeta& meta, step::Context& ctx,
               Exit& exit) noexcept {
    using packet::DropReason;
    const table::Tables& tables = *ctx.tables;
    const std::uint16_t number = tables.segments[meta.segment].router;
    net::IpAddress wanted;
    if (number == table::kNoMaster) {
        exit.drop(p.mbuf(), DropReason::fdb_miss);
        return;
    }
    const step::Spoken spoken = step::read_address(p, step::End::destination, wanted);
    if (spoken != step::Spoken::ipv4 && spoken != step::Spoken::ipv6) {
        exit.drop(p.mbuf(), DropReason::slave_not_ip);
        return;
    }
    const table::Master& master = tables.masters[number];
    const std::uint32_t length = p.length();
    const bool from_tunnel = meta.from_tunnel;
    const std::uint16_t segment = meta.segment;
    meta.slaves = packet::SlaveWay::at(number);
    meta.slaves.ipv6 = spoken == step::Spoken::ipv6;
    std::uint32_t slave = tables.slave_addresses->find(table::slave_scope(number, 0), wanted);
    packet::Verdict verdict = packet::Verdict::go_on();
    const auto look_behind = [&](const net::IpAddress& destination) {
        if (verdict.goes_on() && slave == table::AddressMap::kNone && master.routes_to_slaves) {
            verdict = step::SelectSlave::by_route(meta, tables, destination);
            slave = meta.slaves.to == table::kNoSlave ? slave : meta.slaves.to;
        }
    };
    if (!master.hooked) {
        look_behind(wanted);
    } else {
        step::SlaveHooks hooks(ctx, master);
        verdict = hooks.read(p);
        if (verdict.goes_on()) {
            verdict = hooks.from_segment(meta);
        }
        if (verdict.goes_on() && hooks.way() != table::kNoSlave) {
            slave = hooks.way();
        }
        look_behind(hooks.destination());
        if (verdict.goes_on() && slave < table::kNoSlave) {
            verdict = hooks.into_slave(meta, static_cast<std::uint16_t>(slave));
        }
    }
    if (verdict.goes_on() && slave >= table::kNoSlave) {
        verdict = packet::Verdict::drop(DropReason::slave_unknown);
    }
    if (verdict.goes_on() && is_too_big(p, meta, tables.slaves[slave])) [[unlikely]] {
        meta.tunnel = tables.slaves[slave].max_frame - sizeof(net::EthernetHeader);
        verdict = step::ask_control(meta, packet::Punt::too_big, DropReason::slave_oversize);
    }
    if (verdict.goes_on() && !step::FollowNextHop::count_hop(p, meta.slaves.ipv6)) [[unlikely]] {
        verdict = step::ask_control(meta, packet::Punt::ttl_exceeded, DropReason::route_ttl);
    }
    if (verdict.goes_on()) {
        verdict = step::FollowNextHop(ctx, meta.in_port)
                      .to_slave(p, meta, static_cast<std::uint16_t>(slave), master);
    }
    if (!verdict.goes_on()) {
        if (from_tunnel && !verdict.is_drop()) {
            // The answer goes back by the tunnel. On the wire nobody knows addresses of a segment.
            const std::uint32_t peer = tables.peers->find(
                table::peer_key(tables.segments[segment].profile, meta.outer_source));
            meta.destination = peer;
            if (peer == table::FlatMap::kNone) {
                verdict = packet::Verdict::drop(meta.if_refused);
            }
        }
        verdict.is_drop() ? exit.drop(p.mbuf(), verdict.reason()) : exit.to_control(p.mbuf(), meta);
        return;
    }
    if (from_tunnel) {
        exit.counters().segments[segment].rx_packets.add(1);
        exit.counters().segments[segment].rx_bytes.add(length);
    }
    exit.send(p.mbuf(), meta.out_port);
}

}  // namespace vxplane::path
