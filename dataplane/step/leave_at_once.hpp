// What nearly all datagrams of slaves are: IPv4 without options, to somebody whose way and next hop
// are known, and nobody has to be asked. They are judged and sent in one go, without a change until
// it is certain that they leave; all else is read and routed step by step (ReadSlaveFrame,
// RoutePacket), which this must equal.
#pragma once

#include <bit>

#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"
#include "dataplane/step/find_route.hpp"
#include "dataplane/step/read_slave_frame.hpp"
#include "dataplane/step/slave_hooks.hpp"

namespace vxplane::step {

/// Goes on with what ReadSlaveFrame leaves, or with what RoutePacket does: then `slaves.to` is
/// kLeaves.
/// `Hooked`: whether the master is.
template <bool Hooked>
class LeaveAtOnce {
  public:
    LeaveAtOnce(const Context& ctx, std::uint16_t in_port) noexcept
        : read_(ctx, in_port),
          tables_(*ctx.tables),
          hops_(tables_.next_hops.data()),
          host_addresses_(*tables_.addresses),
          addresses_(*tables_.slave_addresses) {
        const std::uint16_t number = tables_.ports[in_port].slave;
        const table::Slave& slave = tables_.slaves[number];
        const table::Master& master = tables_.masters[slave.master];
        const table::PortEntry& link = tables_.ports[master.port];
        // Slaves without routes have a table, too. One that has some, but not the way of a packet,
        // is asked again step by step.
        const table::RouteTable* own = tables_.route_tables[slave.routes];
        has_own_routes_ = slave.routes != 0 && !own->v4.is_empty();
        routes_ = has_own_routes_ ? own : tables_.route_tables[master.routes];
        link_ = master.port;
        link_mac_ = net::MacAddress::from_number(link.mac);
        way_ = packet::SlaveWay::at(slave.master);
        way_.from = number;
        way_.to = packet::SlaveWay::kLeaves;
        way_.routed = true;
        scope_ = table::slave_scope(slave.master, slave.vrf);
        longest_ = slave.max_frame;
        counts_hops_ = master.decrement_ttl;
        checks_source_ = slave.check_source;
        knows_siblings_ = master.flag == table::IpvlanFlag::bridge;
        possible_ = slave.up && master.mode != table::IpvlanMode::l2 &&
                    slave.urpf == table::UrpfMode::off && slave.policer == 0 &&
                    master.flag != table::IpvlanFlag::private_ &&
                    (!Hooked || has_short_way(tables_, master, number));
    }

    [[gnu::always_inline]] packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta,
                                                      Context& ctx) const noexcept {
        if (possible_ && is_plain(p) && (!checks_source_ || is_own(p))) [[likely]] {
            if (knows_siblings_) {
                const std::uint32_t found =
                    addresses_.find(scope_, p.at<net::Ipv4Header>(kIp)->destination);
                if (found < table::kPublicAddress) {
                    meta.slaves = way_;
                    meta.slaves.routed = false;
                    // to_sibling() says to whom.
                    ctx.slaves_left = true;
                    return read_.to_sibling(meta, static_cast<std::uint16_t>(found));
                }
            }
            if (leave(p, meta, ctx)) [[likely]] {
                return packet::Verdict::go_on();
            }
        }
        ctx.slaves_left = true;
        return read_(p, meta, ctx);
    }

  private:
    static constexpr std::uint32_t kIp = sizeof(net::EthernetHeader);
    static constexpr std::uint32_t kPorts = 4;
    /// RouteValue::raw() above the number of the next hop.
    static constexpr std::uint32_t kUnicast =
        table::RouteValue(table::RouteType::unicast, 0).raw() >> 28;

    /// A whole datagram with a plain header, to a single MAC address, without padding behind it.
    [[nodiscard]] bool is_plain(const packet::Packet& p) const noexcept {
        using Bytes = std::array<std::uint8_t, 4>;
        constexpr auto kPlain = std::bit_cast<std::uint32_t>(Bytes{0x08, 0x00, 0x45, 0});
        constexpr auto kMask = std::bit_cast<std::uint32_t>(Bytes{0xFF, 0xFF, 0xFF, 0});
        constexpr std::uint32_t kType = offsetof(net::EthernetHeader, type);
        const std::uint32_t length = p.length();
        return p.contiguous() >= kIp + sizeof(net::Ipv4Header) + kPorts && length <= longest_ &&
               (net::load<std::uint32_t>(p.data() + kType) & kMask) == kPlain &&
               !p.at<net::EthernetHeader>(0)->destination.is_group() &&
               length == kIp + p.at<net::Ipv4Header>(kIp)->total_length.value();
    }

    /// As judge_source() says of most.
    [[nodiscard]] bool is_own(const packet::Packet& p) const noexcept {
        const net::Ipv4Address source = p.at<net::Ipv4Header>(kIp)->source;
        return !source.is_zero() && addresses_.find(scope_, source) == way_.from;
    }

    [[gnu::always_inline]] bool leave(packet::Packet& p, packet::PacketMeta& meta,
                                      Context& ctx) const noexcept {
        const auto& ip = *p.at<net::Ipv4Header>(kIp);
        const net::Ipv4Address destination = ip.destination;
        if (!net::plain_ipv4_checksum_is_right(ip) || !ip.source.is_usual() ||
            !destination.is_usual() || ip.ttl <= 1 ||
            host_addresses_.find(destination.be.wire()) == table::kNoHost) [[unlikely]] {
            return false;
        }
        const auto* wanted = reinterpret_cast<const std::byte*>(&ip.destination);
        const std::uint32_t value = routes_->lookup_v4(wanted).raw();
        const std::uint32_t number = value & table::RouteValue::kMaxNextHop;
        if (value >> 28 != kUnicast) [[unlikely]] {
            return false;
        }
        const table::NextHop& hop = hops_[number];
        const bool into_segment = hop.kind == table::NextHopKind::vxlan;
        const bool by_link = hop.port == link_;
        if (p.length() > hop.max_frame ||
            (!by_link && (!has_own_routes_ || (Hooked && !into_segment)))) [[unlikely]] {
            return false;
        }
        const table::Neighbour* neighbour = nullptr;
        if (into_segment) {
            if (!tables_.segments[hop.segment].in_use) [[unlikely]] {
                return false;
            }
        } else {
            neighbour = find(hop, destination);
            if (neighbour == nullptr) [[unlikely]] {
                return false;
            }
        }
        if (Hooked && !pass(p, meta, ctx)) {
            return false;
        }
        if (counts_hops_ || !by_link) {
            FollowNextHop::count_hop4(*p.at<net::Ipv4Header>(kIp));
        }
        meta.slaves = way_;
        auto* ethernet = p.at<net::EthernetHeader>(0);
        if (!into_segment) {
            ethernet->destination = neighbour->mac;
            ethernet->source =
                by_link ? link_mac_ : net::MacAddress::from_number(tables_.ports[hop.port].mac);
            meta.out_port = hop.port;
            return true;
        }
        ethernet->destination = hop.inner_destination;
        ethernet->source = hop.inner_source;
        meta.flow_hash = net::plain_ipv4_flow_hash(p.data() + kIp);
        meta.inner_tos = ip.tos;
        meta.l3_offset = kIp;
        meta.inner_is_ip = true;
        meta.destination = number;
        meta.segment = hop.segment;
        meta.vni_word = tables_.segments[hop.segment].vni_word;
        meta.tunnel = hop.index;
        meta.out_port = table::kNoPort;
        ctx.tunnels_ahead = true;
        return true;
    }

    /// Whoever is behind the next hop, if that is known.
    [[nodiscard]] const table::Neighbour* find(const table::NextHop& hop,
                                               net::Ipv4Address destination) const noexcept {
        std::uint32_t at = hop.neighbour;
        if (hop.kind != table::NextHopKind::gateway) {
            if (hop.kind != table::NextHopKind::link) [[unlikely]] {
                return nullptr;
            }
            at = tables_.neighbour_addresses->find(hop.port, destination);
        }
        if (at >= tables_.neighbours.size()) [[unlikely]] {
            return nullptr;
        }
        const table::Neighbour& neighbour = tables_.neighbours[at];
        return neighbour.usable ? &neighbour : nullptr;
    }

    /// Counts the packet for its connection, which has taken the short way and leads away from
    /// slaves, and translates it. False, and nothing has happened, when there is none.
    [[gnu::always_inline]] static bool pass(packet::Packet& p, const packet::PacketMeta& meta,
                                            const Context& ctx) noexcept {
        const table::ConnRef known = find_leaving(p, meta, ctx);
        if (!known) [[unlikely]] {
            return false;
        }
        const table::Connection& c = ctx.flow_keys[meta.source_bucket].conntrack->at(known);
        if (c.is_translated()) {
            translate_known(p, c, known.direction(), Half::source);
        }
        return true;
    }

    ReadSlaveFrame read_;
    const table::Tables& tables_;
    const table::NextHop* hops_;
    const table::FlatMap& host_addresses_;
    const table::AddressMap& addresses_;
    const table::RouteTable* routes_;  ///< its own, or the host's
    packet::SlaveWay way_;
    std::uint32_t scope_;
    std::uint32_t longest_;
    std::uint16_t link_;
    net::MacAddress link_mac_;
    bool has_own_routes_;
    bool counts_hops_;
    bool checks_source_;
    bool knows_siblings_;
    bool possible_;
};

}  // namespace vxplane::step
