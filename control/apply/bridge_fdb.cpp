// The FDB's one writer: what people put in and take out. Peers and time: bridge_learn.cpp.
#include <algorithm>

#include "control/apply/bridge.hpp"
#include "control/apply/words.hpp"

namespace vxplane::control {

using table::FdbKey;
using table::FdbKind;
using table::FdbState;
using table::FdbValue;

namespace {

constexpr const char* kNoAnswer = "a worker does not answer; see the health of the daemon";

}  // namespace

bool Bridge::is_full(std::uint16_t segment) const {
    const std::uint32_t limit = specs_[segment].maxaddr;
    return (limit != 0 && used_[segment] >= limit) || fdb_.used() >= fdb_.capacity();
}

Bridge::Problem Bridge::check_room(std::uint16_t segment) const {
    const SegmentSpec& spec = specs_[segment];
    if (spec.maxaddr != 0 && used_[segment] >= spec.maxaddr) {
        return "segment " + spec.name + " holds as many addresses as its maxaddr " +
               std::to_string(spec.maxaddr) + " allows";
    }
    if (fdb_.used() >= fdb_.capacity()) {
        return "the forwarding database is full (system: fdb-capacity " +
               std::to_string(fdb_.capacity()) + ")";
    }
    return std::nullopt;
}

Bridge::Problem Bridge::check_remote(std::uint16_t segment, const net::IpAddress& remote,
                                     OwnNumbers own) const {
    if (remote.is_multicast() && remote == specs_[segment].group) {
        return std::nullopt;
    }
    const auto is_it = [&remote](const auto& own) { return own.first.address == remote; };
    const bool is_ours =
        !remote.is_link_local() && std::any_of(addresses_.begin(), addresses_.end(), is_it);
    // It comes in where its VNI belongs, or goes to the wire.
    const bool leads_in = is_ours && (own != OwnNumbers{} || !specs_[segment].profile.local_bypass);
    if (!leads_in && !may_be_remote(remote)) {
        return "dst " + text(remote) + " cannot be a remote (ours, or an address that no host has)";
    }
    if (speaks(segment, remote)) {
        return std::nullopt;
    }
    const std::string dst = "dst " + text(remote) + " is ";
    const std::string its = ", and segment " + specs_[segment].name;
    return remote.is_v4() ? dst + "IPv4" + its + " has no tunnels over IPv4 (local)"
           : !specs_[segment].ipv6
               ? dst + "IPv6" + its + " has no tunnels over IPv6 (local or local6)"
           : remote.is_link_local() ? dst + "link-local" + its + " is not of one link (local)"
                                    : dst + "not link-local" + its + " is of one link (local)";
}

std::uint32_t Bridge::new_list() {
    lists_changed_ = true;
    if (!free_lists_.empty()) {
        const std::uint32_t id = free_lists_.back();
        free_lists_.pop_back();
        return id;
    }
    lists_.emplace_back();
    return static_cast<std::uint32_t>(lists_.size() - 1);
}

void Bridge::drop_list(std::uint32_t id) {
    for (const std::uint32_t tunnel : lists_[id]) {
        tunnels_.release(tunnel);
    }
    lists_[id].clear();
    lists_changed_ = true;
    publisher_.after_next_publication([this, id] { free_lists_.push_back(id); });
}

std::optional<std::uint32_t> Bridge::group_of(std::uint32_t profile, std::uint32_t nhid, Time now) {
    const auto [at, added] = group_ids_.try_emplace({profile, nhid}, 0);
    if (!added && !groups_[at->second].empty()) {
        return at->second;
    }
    std::optional<List> members = tunnels_of(nexthops_.at(nhid), profile, now);
    if (!members) {
        if (added) {
            group_ids_.erase(at);
        }
        return std::nullopt;
    }
    if (added) {
        at->second = static_cast<std::uint32_t>(groups_.size());
        groups_.emplace_back();
        group_nhid_.push_back(nhid);
        group_profile_.push_back(profile);
    }
    groups_[at->second] = *std::move(members);
    lists_changed_ = true;
    return at->second;
}

void Bridge::give_back(FdbValue value) {
    if (value.kind() == FdbKind::tunnel) {
        tunnels_.release(value.index());
    } else if (value.kind() == FdbKind::flood_list) {
        drop_list(value.index());
    }
}

void Bridge::erase(FdbKey key, FdbValue value) {
    wheel_.forget(key.raw);
    take_out(key, value);
}

void Bridge::take_out(FdbKey key, FdbValue value) {
    fdb_.erase(key);
    previous_.erase(key.raw);
    sequences_.erase(key.raw);
    moves_.forget(key.raw);
    --used_[key.segment()];
    give_back(value);
}

Bridge::Problem Bridge::store(FdbKey key, FdbValue value, Time now) {
    const auto before = fdb_.find(key);
    if (fdb_.put(key, value) == table::Fdb::Put::full) {
        return "the forwarding database has no room for this entry (system: fdb-capacity " +
               std::to_string(fdb_.capacity()) + ")";
    }
    if (before) {
        give_back(before.value);
    } else {
        ++used_[key.segment()];
    }
    if (value.state() == FdbState::dynamic) {
        wheel_.track(key.raw, millis(now));
    } else if (before) {
        wheel_.forget(key.raw);
    }
    return std::nullopt;
}

Bridge::Problem Bridge::add(const FdbRequest& request, Time now) {
    return put(request, false, now);
}

Bridge::Problem Bridge::replace(const FdbRequest& request, Time now) {
    return put(request, true, now);
}

bool Bridge::is_guarded(const FdbRequest& request, FdbKey key, FdbValue before) const {
    return request.state == FdbState::controller && before.is_fixed() &&
           before.state() != FdbState::controller && before.kind() != FdbKind::router &&
           !moves_.is_duplicate(key.raw);
}

void Bridge::tell_refused(const FdbRequest& request, Time now) {
    // A controller that asks without end leaves room for other news.
    constexpr unsigned kMostTold = 10;
    ++counters_.adds_refused;
    if (now - refusals_since_ >= std::chrono::seconds(1)) {
        refusals_since_ = now;
        refusals_told_ = 0;
    }
    if (refusals_told_ == kMostTold) {
        return;
    }
    ++refusals_told_;
    FdbView asked;
    asked.segment = request.segment;
    asked.mac = request.mac;
    asked.state = request.state;
    if (request.place.remote) {
        asked.remotes = {*request.place.remote};
        asked.own = {request.place.own};
    }
    asked.nhid = request.place.nhid;
    asked.port = request.place.port;
    asked.sequence = request.sequence;
    tell(FdbNews::Kind::refused, std::move(asked));
}

Bridge::Problem Bridge::check_owner(const FdbRequest& request, FdbKey key, FdbValue before) const {
    if (is_guarded(request, key, before)) {
        return text(request.mac) + " is a " + std::string(text(before.state())) +
               " entry that a person made, and no controller changes it";
    }
    const auto known = sequences_.find(key.raw);
    if (request.sequence && known != sequences_.end() && *request.sequence <= known->second) {
        return text(request.mac) + " has sequence " + std::to_string(known->second) + ", and " +
               std::to_string(*request.sequence) + " is not newer";
    }
    return std::nullopt;
}

Bridge::Problem Bridge::put(const FdbRequest& request, bool replacing, Time now) {
    if (request.place.remote) {
        if (auto problem = check_remote(request.segment, *request.place.remote,
                                        plain(request.segment, request.place.own))) {
            return problem;
        }
    }
    if (request.mac.is_zero() || request.mac.is_group()) {
        return put_list(request, replacing, now);
    }
    const FdbKey key = FdbKey::make(request.mac.number(), request.segment);
    const auto before = fdb_.find(key);
    if (before && is_guarded(request, key, before.value)) {
        tell_refused(request, now);
    }
    if (before && !replacing) {
        return text(request.mac) +
               " is there already; a unicast address has one remote (use replace, or a "
               "next-hop group by nhid)";
    }
    if (before && before.value.kind() == FdbKind::router) {
        return text(request.mac) + " is the segment's own address, and its router has it";
    }
    auto problem = before ? check_owner(request, key, before.value) : check_room(request.segment);
    if (problem) {
        return problem;
    }
    if (worker_is_stuck()) {
        return kNoAnswer;
    }
    FdbValue value;
    const std::uint8_t stamp = epoch(now);
    const OwnNumbers own = plain(request.segment, request.place.own);
    const std::uint32_t profile = own == OwnNumbers{}
                                      ? profile_of(request.segment)
                                      : profile_with(specs_[request.segment].profile, own);
    if (request.place.port) {
        const auto& members = specs_[request.segment].ports;
        if (std::find(members.begin(), members.end(), *request.place.port) == members.end()) {
            return "the port is not a member of segment " + specs_[request.segment].name;
        }
        value = FdbValue::make(FdbKind::port, *request.place.port, request.state, stamp);
    } else if (request.place.nhid) {
        if (!nexthops_.contains(*request.place.nhid)) {
            return "there is no next-hop group " + std::to_string(*request.place.nhid);
        }
        for (const Member& member : nexthops_.at(*request.place.nhid)) {
            problem = check_remote(request.segment, member.remote, {});
            if (problem) {
                return problem;
            }
        }
        const auto group = group_of(profile, *request.place.nhid, now);
        if (!group) {
            return "the tunnel table is full (system: tunnel-capacity)";
        }
        value = FdbValue::make(FdbKind::nexthop_group, *group, request.state, stamp);
    } else {
        const auto tunnel = tunnels_.acquire(profile, *request.place.remote, now);
        if (!tunnel) {
            return "the tunnel table is full (system: tunnel-capacity)";
        }
        value = FdbValue::make(FdbKind::tunnel, *tunnel, request.state, stamp);
    }
    // Workers must know the tunnel before an FDB entry can lead them to it.
    if (!commit_and_wait()) {
        give_back(value);
        return kNoAnswer;
    }
    fdb_.count_correction();
    problem = store(key, value, now);
    if (problem) {
        give_back(value);
        return problem;
    }
    moves_.forget(key.raw);
    if (request.sequence) {
        sequences_[key.raw] = *request.sequence;
    } else {
        sequences_.erase(key.raw);
    }
    tell(before ? FdbNews::Kind::replaced : FdbNews::Kind::added, view(key, value, now));
    return std::nullopt;
}

Bridge::Problem Bridge::put_list(const FdbRequest& request, bool replacing, Time now) {
    const std::string mac = text(request.mac);
    if (!request.place.remote) {
        return mac + " is a flood list or a group address: it takes dst";
    }
    if (replacing) {
        return mac + " has a list of remotes: add and del change it one by one";
    }
    const FdbKey key = FdbKey::make(request.mac.number(), request.segment);
    const auto before = request.mac.is_zero() ? table::Fdb::Hit{} : fdb_.find(key);
    if (!request.mac.is_zero() && !before) {
        if (auto problem = check_room(request.segment)) {
            return problem;
        }
    }
    if (before && before.value.kind() != FdbKind::flood_list) {
        return mac + " is there already with another kind of place";
    }
    if (worker_is_stuck()) {
        return kNoAnswer;
    }
    const bool fresh = !request.mac.is_zero() && !before;
    const std::uint32_t list = request.mac.is_zero() ? segments_[request.segment].flood_remotes
                               : before              ? before.value.index()
                                                     : new_list();
    const net::IpAddress remote = *request.place.remote;
    FdbPlace place = request.place;
    place.own = plain(request.segment, place.own);
    for (const std::uint32_t id : lists_[list]) {
        if (is_at(request.segment, id, place, true)) {
            return mac + " dst " + text(remote) + " is there already";
        }
    }
    const auto tunnel =
        tunnels_.acquire(profile_with(specs_[request.segment].profile, place.own), remote, now);
    if (!tunnel) {
        if (fresh) {
            drop_list(list);
        }
        return "the tunnel table is full (system: tunnel-capacity)";
    }
    lists_[list].push_back(*tunnel);
    lists_changed_ = true;
    const bool seen = commit_and_wait();
    if (fresh) {
        const FdbValue value =
            FdbValue::make(FdbKind::flood_list, list, FdbState::permanent, epoch(now));
        Problem problem = seen ? store(key, value, now) : kNoAnswer;
        if (problem) {
            drop_list(list);
            return problem;
        }
    }
    tell(FdbNews::Kind::added, view_of_list(request.segment, request.mac, list));
    return std::nullopt;
}

Bridge::Problem Bridge::remove(std::uint16_t segment, net::MacAddress mac,
                               const std::optional<net::IpAddress>& remote, OwnNumbers own) {
    const FdbPlace place{remote, {}, {}, plain(segment, own)};
    const FdbKey key = FdbKey::make(mac.number(), segment);
    const auto hit = mac.is_zero() ? table::Fdb::Hit{} : fdb_.find(key);
    const bool is_list = mac.is_zero() || (hit && hit.value.kind() == FdbKind::flood_list);
    if (!mac.is_zero() && !hit) {
        return text(mac) + " is not in segment " + specs_[segment].name;
    }
    if (hit.value.kind() == FdbKind::router) {
        return text(mac) + " is the segment's own address, and its router has it";
    }
    if (!is_list) {
        const bool other = remote && (hit.value.kind() != FdbKind::tunnel ||
                                      !is_at(segment, hit.value.index(), place, own.vni != 0));
        if (other) {
            return text(mac) + " has no dst " + text(*remote);
        }
        tell(FdbNews::Kind::removed, view(key, hit.value, Neighbours::Clock::now()));
        fdb_.count_correction();
        erase(key, hit.value);
        commit();
        return std::nullopt;
    }
    const std::uint32_t list = mac.is_zero() ? segments_[segment].flood_remotes : hit.value.index();
    List& remotes = lists_[list];
    const auto at = std::find_if(remotes.begin(), remotes.end(), [&](std::uint32_t id) {
        return remote && is_at(segment, id, place, true);
    });
    if (remotes.empty() || (remote && at == remotes.end())) {
        return text(mac) + (remote ? " has no dst " + text(*remote) : " has no remotes");
    }
    FdbView gone = view_of_list(segment, mac, list);
    if (remote && remotes.size() > 1) {
        gone.remotes = {*remote};
        gone.own = {place.own};
        const std::uint32_t tunnel = *at;
        remotes.erase(at);
        lists_changed_ = true;
        tunnels_.release(tunnel);
    } else if (mac.is_zero()) {
        for (const std::uint32_t id : remotes) {
            tunnels_.release(id);
        }
        remotes.clear();
        lists_changed_ = true;
    } else {
        erase(key, hit.value);
    }
    tell(FdbNews::Kind::removed, std::move(gone));
    commit();
    return std::nullopt;
}

std::uint32_t Bridge::flush(const FdbFilter& filter) {
    const Time now = Neighbours::Clock::now();
    std::uint32_t removed = 0;
    fdb_.count_correction();
    fdb_.for_each([&](FdbKey key, FdbValue value, std::uint32_t) {
        if (filter.segment && *filter.segment != key.segment()) {
            return;
        }
        if (value.kind() == FdbKind::router ||
            (value.kind() == FdbKind::flood_list && !filter.place.remote && !filter.state)) {
            return;
        }
        if (!fits(filter, view(key, value, now))) {
            return;
        }
        ++removed;
        if (value.kind() == FdbKind::flood_list && filter.place.remote &&
            lists_[value.index()].size() > 1) {
            flush_list(key.segment(), value.index(), filter.place);
            return;
        }
        erase(key, value);
    });
    for (std::uint16_t i = 0; filter.place.remote && i < segments_.size(); ++i) {
        if (fits(filter, view_of_list(i, {}, segments_[i].flood_remotes))) {
            removed += flush_list(i, segments_[i].flood_remotes, filter.place);
        }
    }
    commit();
    return removed;
}

std::uint32_t Bridge::flush_list(std::uint16_t segment, std::uint32_t list, const FdbPlace& place) {
    const auto gone = std::erase_if(lists_[list], [&](std::uint32_t tunnel) {
        const bool meant = is_at(segment, tunnel, place, false);
        if (meant) {
            tunnels_.release(tunnel);
        }
        return meant;
    });
    lists_changed_ = lists_changed_ || gone != 0;
    return static_cast<std::uint32_t>(gone);
}

}  // namespace vxplane::control
