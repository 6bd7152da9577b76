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

Tunnels::Tunnels(std::uint32_t capacity, const table::Fib4& routes, Neighbours& neighbours,
                 Publisher& publisher)
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

std::optional<std::uint32_t> Tunnels::find(std::uint32_t profile, net::Ipv4Address remote) const {
    const auto at = by_peer_.find(table::peer_key(profile, remote));
    return at == by_peer_.end() ? std::nullopt : std::optional(at->second);
}

std::optional<std::uint32_t> Tunnels::acquire(std::uint32_t profile, net::Ipv4Address remote,
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
    records_[id] = {profile, remote, 1, std::nullopt, ++last_serial_, {}};
    by_peer_[table::peer_key(profile, remote)] = id;
    build(id, now);
    return id;
}

void Tunnels::release(std::uint32_t id) {
    Record& record = records_[id];
    if (--record.users != 0) {
        return;
    }
    by_peer_.erase(table::peer_key(record.profile, record.remote));
    if (record.next_hop) {
        by_next_hop_.erase({*record.next_hop, id});
        neighbours_.unwant(*record.next_hop);
        record.next_hop.reset();
    }
    lines_[id].state = table::TunnelState::refused;
    lines_[id].refusal = packet::DropReason::port_gone;
    changed_ = true;
    --used_;
    publisher_.after_next_publication([this, id] { rested_.push_back(id); });
}

void Tunnels::allow_reuse() {
    free_.insert(free_.end(), rested_.begin(), rested_.end());
    rested_.clear();
}

std::pair<table::TunnelSpec, std::optional<NeighbourKey>> Tunnels::plan(
    const Record& record) const {
    using packet::DropReason;
    std::optional<NeighbourKey> next_hop;
    const TunnelProfile& profile = profile_list_[record.profile];
    table::TunnelSpec spec;
    spec.local = net::Ipv4Address::of(profile.local);
    spec.remote = record.remote;
    spec.dstport = profile.dstport;
    spec.source_port_lo = profile.source_port_lo;
    spec.source_port_span = profile.source_port_span;
    spec.ttl = profile.ttl;
    spec.tos = profile.tos;
    spec.dont_fragment = profile.dont_fragment;
    spec.inherit = profile.inherit;
    spec.udp_checksum = profile.udp_checksum;
    spec.ecn = profile.ecn;
    // Size is judged before the route: a frame that no underlay could take is not worth asking for.
    spec.underlay_mtu = 0xFFFF;
    const auto refuse = [&spec](table::TunnelState state, DropReason reason) {
        spec.state = state;
        spec.refusal = reason;
    };
    const auto route = routes_.lookup(record.remote.number());
    if (!route || route->type == table::RouteType::throw_) {
        refuse(table::TunnelState::told, DropReason::tunnel_no_route);
    } else if (route->type == table::RouteType::blackhole) {
        refuse(table::TunnelState::refused, DropReason::tunnel_blackhole);
    } else if (route->type == table::RouteType::unreachable) {
        refuse(table::TunnelState::told, DropReason::tunnel_unreachable);
    } else if (route->type == table::RouteType::prohibit) {
        refuse(table::TunnelState::told, DropReason::tunnel_prohibited);
    } else if (route->type == table::RouteType::local || !uplinks_.contains(route->port)) {
        refuse(table::TunnelState::told, DropReason::tunnel_no_route);
    } else {
        const Uplink& uplink = uplinks_.at(route->port);
        spec.out_port = route->port;
        const net::Ipv4Address via =
            route->via == 0 ? record.remote : net::Ipv4Address::of(route->via);
        if (profile.local == 0) {
            spec.local = uplink.source_for(via);
        }
        spec.source_mac = uplink.mac;
        spec.underlay_mtu = uplink.mtu;
        spec.state = table::TunnelState::waiting;
        next_hop = NeighbourKey{route->port, via};
    }
    return {spec, next_hop};
}

void Tunnels::build(std::uint32_t id, Time now) {
    const auto [spec, next_hop] = plan(records_[id]);
    lead(id, spec, next_hop, now);
}

void Tunnels::lead(std::uint32_t id, const table::TunnelSpec& spec,
                   std::optional<NeighbourKey> next_hop, Time now) {
    Record& record = records_[id];
    record.built = spec;
    record.next_hop = next_hop;
    lines_[id] = table::make_tunnel(spec);
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
        if (records_[id].users == 0) {
            continue;
        }
        const auto [spec, next_hop] = plan(records_[id]);
        const std::optional<NeighbourKey> before = records_[id].next_hop;
        if (spec == records_[id].built && next_hop == before) {
            continue;
        }
        if (before) {
            by_next_hop_.erase({*before, id});
        }
        lead(id, spec, next_hop, now);
        // After the new one is wanted: a next hop that stays is not forgotten in between.
        if (before) {
            neighbours_.unwant(*before);
        }
    }
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
        lines_[id].ethernet.destination = mac;
        lines_[id].state = table::TunnelState::ready;
        changed_ = true;
    }
}

bool Tunnels::unreachable(NeighbourKey key) {
    bool lost = false;
    for (const std::uint32_t id : behind(key)) {
        table::TunnelState& state = lines_[id].state;
        lost = lost || state == table::TunnelState::ready;
        state = table::TunnelState::waiting;
    }
    changed_ = changed_ || lost;
    return lost;
}

std::optional<NeighbourKey> Tunnels::next_hop(std::uint32_t id) const {
    return id < records_.size() && records_[id].users != 0 ? records_[id].next_hop : std::nullopt;
}

void Tunnels::fill(table::Tables& tables) {
    std::vector<std::pair<std::uint64_t, std::uint32_t>> peers(by_peer_.begin(), by_peer_.end());
    tables.tunnels = table::Shared<table::Tunnel>(lines_);
    tables.peers = std::make_shared<const table::FlatMap>(peers);
    changed_ = false;
}

}  // namespace vxplane::control
