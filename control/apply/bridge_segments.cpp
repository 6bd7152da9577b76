// Segments and next-hop groups as they come, change and go, also while workers use them.
#include <algorithm>

#include "control/apply/bridge.hpp"

namespace vxplane::control {

using table::FdbKey;
using table::FdbKind;
using table::FdbState;
using table::FdbValue;

namespace {

// Nothing names a segment for so long after it has gone: packets wait for a next hop some seconds,
// what workers learned waits milliseconds.
constexpr std::chrono::seconds kSegmentRest{30};

}  // namespace

std::uint16_t Bridge::add_segment(const SegmentSpec& spec, Time now) {
    auto index = static_cast<std::uint16_t>(specs_.size());
    if (!resting_.empty() && now - resting_.front().first >= kSegmentRest) {
        index = resting_.front().second;
        resting_.erase(resting_.begin());
    } else {
        specs_.emplace_back();
        segments_.emplace_back();
        used_.push_back(0);
    }
    specs_[index] = spec;
    segments_[index] = {};
    segments_[index].flood_remotes = new_list();
    segments_[index].in_use = true;
    fill_segment(index);
    return index;
}

std::size_t Bridge::free_segments(std::size_t room, Time now) const {
    const auto rested = std::count_if(resting_.begin(), resting_.end(), [now](const auto& one) {
        return now - one.first >= kSegmentRest;
    });
    return room - std::min(room, specs_.size()) + static_cast<std::size_t>(rested);
}

void Bridge::fill_segment(std::uint16_t index) {
    const SegmentSpec& spec = specs_[index];
    table::Segment& segment = segments_[index];
    segment.vni = spec.vni;
    segment.vni_word = net::VxlanHeader::of(spec.vni).vni_reserved.wire();
    segment.own_mac = spec.own_mac.number();
    segment.profile = tunnels_.profile_id(spec.profile);
    segment.local_count = static_cast<std::uint16_t>(spec.ports.size());
    segment.max_frame = static_cast<std::uint16_t>(spec.mtu + sizeof(net::EthernetHeader));
    segment.learning = spec.learning;
    segment.inner_vlan = spec.inner_vlan;
    segment.flood_rate = table::Segment::flood_rate_of(spec.flood_limit);
    segment.flood_limit = spec.flood_limit == 0 ? nullptr : &flood_limits_[index];
    // Who listens to groups is told apart: it stays until that is.
    segment.watch =
        static_cast<std::uint16_t>(spec.watch | (segment.watch & table::watch::kMulticast));
    ++shape_version_;
    fdb_.count_correction();
    segment.reserved_flags = static_cast<std::uint32_t>(spec.reserved_bits >> 32);
    segment.reserved_vni = static_cast<std::uint32_t>(spec.reserved_bits);
    segment.udp6_zero_rx = spec.udp6_zero_rx;
    shape_changed_ = true;
}

void Bridge::set_router(std::uint16_t segment, std::uint16_t master, Time now) {
    const FdbKey key = FdbKey::make(specs_[segment].own_mac.number(), segment);
    const auto before = routers_.find(segment);
    if (before != routers_.end() && (master == table::kNoMaster || before->second != key)) {
        if (const auto hit = fdb_.find(before->second); hit.value.kind() == FdbKind::router) {
            erase(before->second, hit.value);
        }
        routers_.erase(before);
    }
    if (master != table::kNoMaster && !routers_.contains(segment)) {
        store(key, FdbValue::make(FdbKind::router, 0, FdbState::permanent, epoch(now)), now);
        routers_[segment] = key;
    }
    if (segments_[segment].router != master) {
        segments_[segment].router = master;
        shape_changed_ = true;
    }
}

bool Bridge::release_shape() {
    shape_held_ = false;
    return commit_and_wait();
}

void Bridge::change_port(std::uint16_t id, bool learning, bool promiscuous, bool reassembles) {
    table::PortEntry& entry = ports_[id];
    shape_changed_ = shape_changed_ || entry.learning != learning ||
                     entry.promiscuous != promiscuous || entry.reassembles != reassembles;
    entry.learning = learning;
    entry.promiscuous = promiscuous;
    entry.reassembles = reassembles;
}

void Bridge::set_group_policy(std::uint16_t id, net::GroupPolicy policy,
                              std::vector<std::uint16_t> accepted) {
    std::sort(accepted.begin(), accepted.end());
    shape_changed_ =
        shape_changed_ || ports_[id].policy != policy || accepted_groups_[id] != accepted;
    ports_[id].policy = policy;
    accepted_groups_[id] = std::move(accepted);
}

void Bridge::build_groups(table::Tables& next) {
    std::vector<std::uint16_t> all;
    for (const auto& [id, accepted] : accepted_groups_) {
        ports_[id].accepted_begin = static_cast<std::uint32_t>(all.size());
        ports_[id].accepted_count = static_cast<std::uint32_t>(accepted.size());
        all.insert(all.end(), accepted.begin(), accepted.end());
    }
    next.accepted_groups = table::Shared<std::uint16_t>(std::move(all));
}

void Bridge::set_in_use(std::uint16_t index, bool in_use) {
    segments_[index].in_use = in_use;
    shape_changed_ = true;
    ++shape_version_;
}

void Bridge::build_guards(table::Tables& next) {
    std::vector<table::Guard> guards(1);
    std::vector<table::PeerPrefix> prefixes;
    std::vector<std::pair<table::ScopedAddress, std::uint32_t>> hosts;
    std::vector<std::pair<std::uint64_t, std::uint32_t>> routers;
    for (std::size_t i = 0; i < segments_.size(); ++i) {
        segments_[i].guard = 0;
        const SegmentSpec& spec = specs_[i];
        if (!segments_[i].in_use) {
            continue;
        }
        for (const net::MacAddress mac : spec.routers) {
            routers.emplace_back(FdbKey::make(mac.number(), static_cast<std::uint16_t>(i)).raw, 0);
        }
        // Segments come to 65,000, so numbers of guards fit.
        if (!spec.guard.asks()) {
            continue;
        }
        segments_[i].guard = static_cast<std::uint16_t>(guards.size());
        table::Guard guard;
        guard.source_port_lo = spec.guard.source_port_lo;
        guard.source_port_hi = spec.guard.source_port_hi;
        guard.link = spec.guard.link;
        guard.listed = !spec.guard.peers.empty();
        guard.begin = static_cast<std::uint32_t>(prefixes.size());
        for (const table::PeerPrefix& peer : spec.guard.peers) {
            if (peer.length == (peer.address.is_v4() ? 32 : 128)) {
                hosts.emplace_back(table::ScopedAddress{peer.address, segments_[i].guard}, 0);
            } else {
                prefixes.push_back(peer);
            }
        }
        guard.count = static_cast<std::uint32_t>(prefixes.size()) - guard.begin;
        guards.push_back(guard);
    }
    next.guards = table::Shared<table::Guard>(std::move(guards));
    next.peer_prefixes = table::Shared<table::PeerPrefix>(std::move(prefixes));
    next.allowed_peers = hosts.empty() ? nullptr : std::make_shared<const table::AddressMap>(hosts);
    next.routers = routers.empty() ? nullptr : std::make_shared<const table::FlatMap>(routers);
}

Bridge::Problem Bridge::change_segment(std::uint16_t index, const SegmentSpec& spec, Time now) {
    if (spec.profile != specs_[index].profile) {
        if (auto problem = lead_to(index, spec.profile, now)) {
            return problem;
        }
    }
    const std::uint32_t before = specs_[index].ageing;
    specs_[index] = spec;
    fill_segment(index);
    if (spec.ageing != 0 && (before == 0 || spec.ageing < before)) {
        wheel_.rescan(millis(now),
                      [index](std::uint64_t key) { return FdbKey{key}.segment() == index; });
    }
    return std::nullopt;
}

void Bridge::build_members(table::Tables& next) {
    std::vector<std::uint16_t> members;
    std::vector<std::uint16_t> trunks;
    std::vector<std::uint16_t> vids;
    for (table::PortEntry& port : ports_) {
        port.segment = port.home = table::kNoSegment;
        port.trunk = table::kNoTrunk;
        port.plain_frame = port.max_frame;
        port.plain_exit = table::plain_exit_of(port);
    }
    for (std::size_t i = 0; i < segments_.size(); ++i) {
        const SegmentSpec& spec = specs_[i];
        if (!segments_[i].in_use) {
            continue;
        }
        const auto index = static_cast<std::uint16_t>(i);
        for (const std::uint16_t id : spec.ports) {
            table::PortEntry& port = ports_[id];
            if (spec.part_of.empty()) {
                port.segment = index;
                port.plain_frame = table::plain_frame_of(port, segments_[i]);
                continue;
            }
            port.plain_frame = 0;
            if (port.trunk == table::kNoTrunk) {
                port.trunk = static_cast<std::uint16_t>(trunks.size() / table::kVids);
                trunks.resize(trunks.size() + table::kVids, table::kNoSegment);
            }
            if (std::find(spec.untagged.begin(), spec.untagged.end(), id) != spec.untagged.end()) {
                port.home = index;
            }
            // A tag that says the same as none is understood, too.
            trunks[port.trunk * table::kVids + spec.vid] = index;
        }
        if (spec.vid != 0) {
            vids.resize(segments_.size());
            vids[i] = spec.vid;
        }
        segments_[i].local_begin = static_cast<std::uint32_t>(members.size());
        members.insert(members.end(), spec.ports.begin(), spec.ports.end());
    }
    next.members = table::Shared<std::uint16_t>(std::move(members));
    next.trunks = table::Shared<std::uint16_t>(std::move(trunks));
    next.vids = table::Shared<std::uint16_t>(std::move(vids));
}

OwnNumbers Bridge::plain(std::uint16_t segment, OwnNumbers own) const {
    const SegmentSpec& spec = specs_[segment];
    return {own.vni == spec.vni.number ? 0 : own.vni,
            own.dstport == spec.profile.dstport ? std::uint16_t{0} : own.dstport};
}

OwnNumbers Bridge::own_of(std::uint16_t segment, std::uint32_t profile) const {
    if (profile == profile_of(segment)) {
        return {};
    }
    const TunnelProfile& found = tunnels_.profile(profile);
    return plain(segment, {found.vni, found.dstport});
}

std::uint32_t Bridge::profile_with(const TunnelProfile& profile, OwnNumbers own) {
    TunnelProfile other = profile;
    other.vni = own.vni != 0 ? own.vni : other.vni;
    other.dstport = own.dstport != 0 ? own.dstport : other.dstport;
    return tunnels_.profile_id(other);
}

std::optional<std::uint32_t> Bridge::acquire_tunnel(std::uint16_t segment,
                                                    const net::IpAddress& remote, OwnNumbers own,
                                                    Time now) {
    const OwnNumbers other = plain(segment, own);
    return tunnels_.acquire(other == OwnNumbers{}
                                ? profile_of(segment)
                                : profile_with(tunnels_.profile(profile_of(segment)), other),
                            remote, now);
}

std::uint32_t Bridge::profile_like(std::uint16_t segment, const TunnelProfile& profile,
                                   std::uint32_t like) {
    return profile_with(profile, own_of(segment, like));
}

bool Bridge::is_at(std::uint16_t segment, std::uint32_t tunnel, const FdbPlace& place,
                   bool exactly) const {
    const OwnNumbers own = own_of(segment, tunnels_.profile_number(tunnel));
    return tunnels_.remote(tunnel) == *place.remote &&
           (exactly ? own == place.own
                    : (place.own.vni == 0 || place.own.vni == own.vni) &&
                          (place.own.dstport == 0 || place.own.dstport == own.dstport));
}

Bridge::Problem Bridge::lead_to(std::uint16_t index, const TunnelProfile& profile, Time now) {
    std::vector<std::pair<FdbKey, std::uint32_t>> entries;  // key, tunnel or group
    std::vector<std::pair<std::uint32_t, List>> lists;
    bool full = false;
    const auto take = [&](std::uint32_t list) {
        lists.emplace_back(list, List{});
        for (const std::uint32_t old : lists_[list]) {
            const auto tunnel =
                tunnels_.acquire(profile_like(index, profile, tunnels_.profile_number(old)),
                                 tunnels_.remote(old), now);
            full = full || !tunnel;
            if (tunnel) {
                lists.back().second.push_back(*tunnel);
            }
        }
    };
    take(segments_[index].flood_remotes);
    fdb_.for_each([&](FdbKey key, FdbValue value, std::uint32_t) {
        if (full || key.segment() != index || value.kind() == FdbKind::port ||
            value.kind() == FdbKind::router) {
            return;
        }
        if (value.kind() == FdbKind::flood_list) {
            take(value.index());
            return;
        }
        const bool is_tunnel = value.kind() == FdbKind::tunnel;
        const std::uint32_t next = profile_like(
            index, profile,
            is_tunnel ? tunnels_.profile_number(value.index()) : group_profile_[value.index()]);
        const auto place = is_tunnel ? tunnels_.acquire(next, tunnels_.remote(value.index()), now)
                                     : group_of(next, group_nhid_[value.index()], now);
        full = full || !place;
        if (place) {
            entries.emplace_back(key, *place);
        }
    });
    const bool seen = !full && !worker_is_stuck() && commit_and_wait();
    for (const auto& [key, place] : entries) {
        const auto hit = fdb_.find(key);
        if (hit.value.kind() == FdbKind::tunnel) {
            tunnels_.release(seen ? hit.value.index() : place);
        }
        if (seen) {
            fdb_.put(key,
                     FdbValue::make(hit.value.kind(), place, hit.value.state(), hit.value.epoch()));
        }
    }
    for (auto& [list, remotes] : lists) {
        if (seen) {
            lists_[list].swap(remotes);
            lists_changed_ = true;
        }
        for (const std::uint32_t tunnel : remotes) {
            tunnels_.release(tunnel);
        }
    }
    if (seen) {
        return std::nullopt;
    }
    return full ? "the tunnel table is full (system: tunnel-capacity)"
                : "a worker does not answer; see the health of the daemon";
}

std::uint32_t Bridge::sweep(const Nexthops& groups, Time now) {
    std::uint32_t removed = 0;
    fdb_.count_correction();
    fdb_.for_each([&](FdbKey key, FdbValue value, std::uint32_t) {
        const std::uint16_t segment = key.segment();
        bool stays = segments_[segment].in_use;
        if (stays && value.kind() == FdbKind::port) {
            const auto& members = specs_[segment].ports;
            stays = std::find(members.begin(), members.end(), value.index()) != members.end();
        } else if (stays && value.kind() == FdbKind::nexthop_group) {
            stays = groups.contains(group_nhid_[value.index()]);
        } else if (stays && value.kind() == FdbKind::tunnel) {
            const net::IpAddress remote = tunnels_.remote(value.index());
            stays = value.is_fixed() || (may_be_remote(remote) && speaks(segment, remote));
        }
        if (!stays) {
            erase(key, value);
            ++removed;
        }
    });
    for (const auto& [key, id] : group_ids_) {
        if (!groups.contains(key.second)) {
            for (const std::uint32_t tunnel : groups_[id]) {
                tunnels_.release(tunnel);
            }
            groups_[id].clear();
            lists_changed_ = true;
        }
    }
    nexthops_ = groups;
    std::erase_if(shares_, [&groups](const auto& one) { return !groups.contains(one.first); });
    for (std::size_t i = 0; i < segments_.size(); ++i) {
        if (!segments_[i].in_use && segments_[i].flood_remotes != 0) {
            drop_list(segments_[i].flood_remotes);
            segments_[i].flood_remotes = 0;
            specs_[i] = {};
            resting_.emplace_back(now, static_cast<std::uint16_t>(i));
        }
    }
    commit();
    return removed;
}

}  // namespace vxplane::control
