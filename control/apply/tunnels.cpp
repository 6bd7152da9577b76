#include "control/apply/tunnels.hpp"

#include <algorithm>

namespace vxplane::control {

namespace {

/// Ids per tunnel of the capacity. Those that wait for the end of a grace period count, and a stuck
/// worker must not make their number grow without end.
constexpr std::uint32_t kIdsPerTunnel = 2;
/// This part of the capacity is kept for remotes that people configure: peers that are learned, or
/// made up by somebody, cannot lock them out.
constexpr std::uint32_t kReserve = 8;

}  // namespace

Tunnels::Tunnels(std::uint32_t capacity, const table::UnderlayRoutes& routes,
                 Neighbours& neighbours, Publisher& publisher)
    : capacity_(std::min(capacity, table::FdbValue::max_index / kIdsPerTunnel)),
      routes_(routes),
      neighbours_(neighbours),
      publisher_(publisher) {}

std::uint32_t Tunnels::profile_id(const TunnelProfile& profile) {
    const auto [at, added] =
        profiles_.try_emplace(profile, static_cast<std::uint32_t>(profile_list_.size()));
    if (added) {
        profile_list_.push_back(profile);
    }
    return at->second;
}

std::optional<std::uint32_t> Tunnels::find(std::uint32_t profile,
                                           const net::IpAddress& remote) const {
    const auto at = by_peer_.find({profile, remote});
    return at == by_peer_.end() ? std::nullopt : std::optional(at->second);
}

bool Tunnels::sends(const net::IpAddress& remote, std::uint16_t dstport, std::uint32_t vni) const {
    for (std::uint32_t i = 0; i < profile_list_.size(); ++i) {
        const TunnelProfile& profile = profile_list_[i];
        if (profile.vni == vni && profile.dstport == dstport && find(i, remote)) {
            return true;
        }
    }
    return false;
}

std::optional<std::uint32_t> Tunnels::acquire(std::uint32_t profile, const net::IpAddress& remote,
                                              Time now, bool learned) {
    if (const auto known = find(profile, remote)) {
        ++records_[*known].users;
        return known;
    }
    const std::uint32_t limit = learned ? capacity_ - capacity_ / kReserve : capacity_;
    if (used_ >= limit || (free_.empty() && records_.size() >= capacity_ * kIdsPerTunnel)) {
        ++refused_;
        return std::nullopt;
    }
    std::uint32_t id = 0;
    if (free_.empty()) {
        id = static_cast<std::uint32_t>(records_.size());
        records_.emplace_back();
        lines_.emplace_back();
    } else {
        id = free_.back();
        free_.pop_back();
    }
    high_water_ = std::max(high_water_, ++used_);
    records_[id] = {profile, remote, 1, std::nullopt, ++last_serial_, {}, std::nullopt};
    by_peer_[{profile, remote}] = id;
    build(id, now);
    return id;
}

void Tunnels::release(std::uint32_t id) {
    Record& record = records_[id];
    if (--record.users != 0) {
        return;
    }
    by_peer_.erase({record.profile, record.remote});
    record.tos_values.reset();
    release_ways(id);
    if (record.next_hop) {
        by_next_hop_.erase({*record.next_hop, id});
        neighbours_.unwant(*record.next_hop);
        record.next_hop.reset();
    }
    lines_[id].state = table::TunnelState::refused;
    lines_[id].refusal = packet::DropReason::port_gone;
    lines6_.erase(id);
    changed_ = true;
    --used_;
    publisher_.after_next_publication([this, id] { rested_.push_back(id); });
}

void Tunnels::allow_reuse() {
    free_.insert(free_.end(), rested_.begin(), rested_.end());
    rested_.clear();
}

Tunnels::Found Tunnels::route_to(const net::IpAddress& remote, std::uint8_t tos) const {
    const auto or_none = [](std::uint32_t address) {
        return address == 0 ? net::IpAddress{} : net::IpAddress(net::Ipv4Address::of(address));
    };
    if (remote.is_v4()) {
        const auto route = routes_.v4_for(tos).lookup(remote.v4().number());
        return !route ? Found{}
                      : Found{route->type, route->port,
                              route->via == 0 ? remote : net::Ipv4Address::of(route->via),
                              or_none(route->src), route->mtu};
    }
    const auto route = routes_.v6.lookup(remote);
    return !route ? Found{}
                  : Found{route->type, route->port, route->via.is_unset() ? remote : route->via,
                          route->src, route->mtu};
}

void Tunnels::plan_local(table::TunnelSpec& spec, const TunnelProfile& profile,
                         std::uint16_t port) const {
    if (profile.local_bypass) {
        spec.state = table::TunnelState::local;
        return;
    }
    // To the wire, from the port that has the address to itself.
    const Uplink& uplink = uplinks_.at(port);
    spec.out_port = port;
    spec.source_mac = uplink.mac;
    spec.next_hop = uplink.mac;
    spec.underlay_mtu = uplink.mtu;
    spec.state = table::TunnelState::ready;
    if (spec.local.is_unset() || (spec.local.is_v4() && spec.local.v4().is_zero())) {
        spec.local = spec.remote;
    }
}

Tunnels::Found Tunnels::way_to(const TunnelProfile& profile, const net::IpAddress& remote) const {
    if (!remote.is_multicast() && !remote.is_link_local()) {
        return route_to(remote, profile.route_tos.value_or(profile.tos));
    }
    return uplinks_.contains(profile.dev)
               ? Found{table::RouteType::unicast, profile.dev, remote, {}, 0}
               : Found{};
}

std::optional<Tunnels::TosValues> Tunnels::tos_values(const Record& record) const {
    const TunnelProfile& profile = profile_list_[record.profile];
    if (!profile.inherit.tos || profile.route_tos || routes_.by_tos.empty() ||
        !record.remote.is_v4() || record.remote.is_multicast()) {
        return std::nullopt;
    }
    std::array<Found, table::kRouteTosValues> found;
    TosValues values{};
    for (std::size_t i = 0; i < found.size(); ++i) {
        found[i] = route_to(record.remote, static_cast<std::uint8_t>(i * table::kRouteTosStep));
        const auto same = std::find(found.begin(), found.end(), found[i]) - found.begin();
        values[i] = static_cast<std::uint8_t>(same * table::kRouteTosStep);
    }
    return values == TosValues{} ? std::nullopt : std::optional(values);
}

Tunnels::Plan Tunnels::plan(const Record& record) const {
    using packet::DropReason;
    std::optional<NeighbourKey> next_hop;
    const TunnelProfile& profile = profile_list_[record.profile];
    table::TunnelSpec spec;
    const bool ipv6 = !record.remote.is_v4();
    const bool by_route = ipv6 ? profile.local6.is_unset() : profile.local == 0;
    spec.local = ipv6 ? profile.local6 : net::IpAddress(net::Ipv4Address::of(profile.local));
    spec.remote = record.remote;
    spec.dstport = profile.dstport;
    spec.source_port_lo = profile.source_port_lo;
    spec.source_port_span = profile.source_port_span;
    spec.ttl = record.remote.is_multicast() ? profile.group_ttl : profile.ttl;
    spec.tos = profile.tos;
    spec.dont_fragment = profile.dont_fragment;
    spec.inherit = profile.inherit;
    spec.flow_label = profile.flow_label;
    spec.udp_checksum = ipv6 ? profile.udp6_checksum : profile.udp_checksum;
    spec.clamp_mss = profile.clamp_mss;
    spec.fragments = profile.fragments;
    spec.group_policy = profile.group_policy;
    spec.gpe = profile.gpe;
    spec.remote_sum = profile.remote_sum;
    spec.ecn = profile.ecn;
    spec.vni = profile.vni;
    // Size is judged before the route: a frame that no underlay could take is not worth asking for.
    spec.underlay_mtu = 0xFFFF;
    const auto refuse = [&spec](table::TunnelState state, DropReason reason) {
        spec.state = state;
        spec.refusal = reason;
    };
    if (auto values = tos_values(record)) {
        spec.by_tos = true;
        return {spec, std::nullopt, values};
    }
    const Found route = way_to(profile, record.remote);
    if (!route.type || route.type == table::RouteType::throw_) {
        refuse(table::TunnelState::told, DropReason::tunnel_no_route);
    } else if (route.type == table::RouteType::blackhole) {
        refuse(table::TunnelState::refused, DropReason::tunnel_blackhole);
    } else if (route.type == table::RouteType::unreachable) {
        refuse(table::TunnelState::told, DropReason::tunnel_unreachable);
    } else if (route.type == table::RouteType::prohibit) {
        refuse(table::TunnelState::told, DropReason::tunnel_prohibited);
    } else if (!uplinks_.contains(route.port)) {
        refuse(table::TunnelState::told, DropReason::tunnel_no_route);
    } else if (route.type == table::RouteType::local) {
        plan_local(spec, profile, route.port);
    } else {
        const Uplink& uplink = uplinks_.at(route.port);
        spec.out_port = route.port;
        if (by_route) {
            spec.local =
                route.src.is_unset() ? uplink.source_for(record.remote, route.via) : route.src;
        }
        spec.source_mac = uplink.mac;
        spec.underlay_mtu = std::min(uplink.mtu, path_mtu(record.remote).value_or(uplink.mtu));
        if (route.mtu != 0) {
            spec.underlay_mtu = std::min(spec.underlay_mtu, route.mtu);
        }
        spec.state = table::TunnelState::waiting;
        next_hop = NeighbourKey{route.port, route.via};
    }
    return {spec, next_hop, std::nullopt};
}

void Tunnels::build(std::uint32_t id, Time now) {
    lead(id, plan(records_[id]), now);
}

bool Tunnels::acquire_ways(std::uint32_t id, const TosValues& values, Time now) {
    TunnelProfile profile = profile_list_[records_[id].profile];
    const net::IpAddress remote = records_[id].remote;
    table::TosWays ways{};
    for (std::size_t i = 0; i < ways.size(); ++i) {
        profile.route_tos = values[i];
        const auto way = acquire(profile_id(profile), remote, now, true);
        if (!way) {
            while (i-- != 0) {
                release(ways[i]);
            }
            return false;
        }
        ways[i] = *way;
    }
    tos_ways_[id] = ways;
    return true;
}

void Tunnels::release_ways(std::uint32_t id) {
    if (const auto ways = tos_ways_.extract(id)) {
        for (const std::uint32_t way : ways.mapped()) {
            release(way);
        }
    }
}

void Tunnels::lead(std::uint32_t id, const Plan& plan, Time now) {
    table::TunnelSpec spec = plan.spec;
    std::optional<TosValues> tos_values = plan.tos_values;
    if (tos_values && !acquire_ways(id, *tos_values, now)) {
        spec.state = table::TunnelState::refused;
        spec.refusal = packet::DropReason::tunnel_no_route;
        spec.by_tos = false;
        tos_values.reset();
    }
    // Not before: records move when some are acquired.
    Record& record = records_[id];
    record.built = spec;
    record.next_hop = plan.next_hop;
    record.tos_values = tos_values;
    const std::uint16_t longest_before = lines_[id].max_frame;
    lines_[id] = table::make_tunnel(spec);
    lengths_ += lines_[id].max_frame != longest_before ? 1U : 0U;
    lines6_.erase(id);
    if (!spec.remote.is_v4() && spec.state != table::TunnelState::local) {
        lines6_[id] = table::make_tunnel6(spec);
    }
    changed_ = true;
    if (record.next_hop) {
        by_next_hop_.insert({*record.next_hop, id});
        neighbours_.want(*record.next_hop, now);
        if (const auto mac = neighbours_.use(*record.next_hop, now)) {
            reachable(*record.next_hop, *mac);
        }
    }
}

void Tunnels::reroute(Time now) {
    for (std::uint32_t id = 0; id < records_.size(); ++id) {
        reroute_one(id, now);
    }
}

void Tunnels::reroute_one(std::uint32_t id, Time now) {
    if (records_[id].users == 0) {
        return;
    }
    const Plan next = plan(records_[id]);
    const std::optional<NeighbourKey> before = records_[id].next_hop;
    if (next.spec == records_[id].built && next.next_hop == before &&
        next.tos_values == records_[id].tos_values) {
        return;
    }
    if (before) {
        by_next_hop_.erase({*before, id});
    }
    // Their users change hands: the same way is acquired before it is released.
    const auto ways = tos_ways_.extract(id);
    lead(id, next, now);
    if (ways) {
        for (const std::uint32_t way : ways.mapped()) {
            release(way);
        }
    }
    // After the new one is wanted: a next hop that stays is not forgotten in between.
    if (before) {
        neighbours_.unwant(*before);
    }
}

std::uint16_t Tunnels::longest(std::uint32_t id) const {
    std::uint16_t least = lines_[id].max_frame;
    if (const auto ways = tos_ways_.find(id); ways != tos_ways_.end()) {
        for (const std::uint32_t way : ways->second) {
            least = std::min(least, lines_[way].max_frame);
        }
    }
    return least;
}

std::vector<std::uint32_t> Tunnels::behind(NeighbourKey key) const {
    std::vector<std::uint32_t> ids;
    for (auto at = by_next_hop_.lower_bound({key, 0}); at != by_next_hop_.end() && at->first == key;
         ++at) {
        ids.push_back(at->second);
    }
    return ids;
}

void Tunnels::reachable(NeighbourKey key, net::MacAddress mac) {
    for (const std::uint32_t id : behind(key)) {
        if (const auto line6 = lines6_.find(id); line6 != lines6_.end()) {
            line6->second.ethernet.destination = mac;
        } else {
            lines_[id].ethernet.destination = mac;
        }
        lines_[id].state = table::ready_state(records_[id].built);
        changed_ = true;
    }
}

bool Tunnels::unreachable(NeighbourKey key) {
    bool lost = false;
    for (const std::uint32_t id : behind(key)) {
        table::TunnelState& state = lines_[id].state;
        lost = lost || state == table::ready_state(records_[id].built);
        state = table::TunnelState::waiting;
    }
    changed_ = changed_ || lost;
    return lost;
}

std::optional<NeighbourKey> Tunnels::next_hop(std::uint32_t id) const {
    return id < records_.size() && records_[id].users != 0 ? records_[id].next_hop : std::nullopt;
}

void Tunnels::fill(table::Tables& tables) {
    std::vector<std::pair<std::uint64_t, std::uint32_t>> peers;
    std::vector<std::pair<table::ScopedAddress, std::uint32_t>> peers6;
    for (const auto& [peer, id] : by_peer_) {
        const auto& [profile, remote] = peer;
        peers.emplace_back(
            table::peer_key(profile, remote.is_v4() ? remote.v4() : table::peer6_name(id)), id);
        if (!remote.is_v4()) {
            peers6.emplace_back(table::ScopedAddress{remote, profile}, id);
        }
    }
    std::vector<table::TosWays> tos_ways;
    for (const auto& [id, ways] : tos_ways_) {
        lines_[id].set_tos_ways(static_cast<std::uint32_t>(tos_ways.size()));
        tos_ways.push_back(ways);
    }
    tables.tos_ways = table::Shared<table::TosWays>(std::move(tos_ways));
    std::vector<table::Tunnel6> lines6;
    for (const auto& [id, line6] : lines6_) {
        lines_[id].set_line6(static_cast<std::uint32_t>(lines6.size()));
        lines6.push_back(line6);
    }
    tables.tunnels = table::Shared<table::Tunnel>(lines_);
    tables.tunnels6 = table::Shared<table::Tunnel6>(std::move(lines6));
    tables.peers6 = peers6.empty() ? nullptr : std::make_shared<const table::AddressMap>(peers6);
    tables.peers = std::make_shared<const table::FlatMap>(peers);
    changed_ = false;
}

}  // namespace vxplane::control
