// Next-hop groups of the FDB: their tunnels, and who serves which flows.
#include <algorithm>

#include "control/apply/bridge.hpp"

namespace vxplane::control {

std::optional<Bridge::List> Bridge::tunnels_of(const std::vector<Member>& members,
                                               std::uint32_t profile, Time now) {
    List all;
    for (const Member& member : members) {
        const std::uint32_t number = member.own == OwnNumbers{}
                                         ? profile
                                         : profile_with(tunnels_.profile(profile), member.own);
        const auto tunnel = tunnels_.acquire(number, member.remote, now);
        if (!tunnel) {
            for (const std::uint32_t taken : all) {
                tunnels_.release(taken);
            }
            return std::nullopt;
        }
        all.push_back(*tunnel);
    }
    return all;
}

Bridge::Problem Bridge::change_nexthops(const Nexthops& groups, Time now) {
    std::vector<std::pair<std::uint32_t, List>> changed;
    bool full = false;
    for (const auto& [key, id] : group_ids_) {
        const auto next = groups.find(key.second);
        if (groups_[id].empty() || next == groups.end() ||
            next->second == nexthops_.at(key.second)) {
            continue;
        }
        auto members = tunnels_of(next->second, key.first, now);
        full = full || !members;
        if (members) {
            changed.emplace_back(id, *std::move(members));
        }
    }
    for (auto& [id, members] : changed) {
        if (!full) {
            groups_[id].swap(members);
            lists_changed_ = true;
        }
        for (const std::uint32_t tunnel : members) {
            tunnels_.release(tunnel);
        }
    }
    if (full) {
        return "the tunnel table is full (system: tunnel-capacity)";
    }
    for (const auto& [nhid, members] : groups) {
        nexthops_[nhid] = members;
        share_out(nhid);
    }
    return std::nullopt;
}

void Bridge::set_nexthops(Nexthops groups) {
    nexthops_ = std::move(groups);
    for (const auto& [nhid, members] : nexthops_) {
        share_out(nhid);
    }
}

void Bridge::share_out(std::uint32_t nhid) {
    const std::vector<Member>& wanted = nexthops_.at(nhid);
    Shares& shares = shares_[nhid];
    const auto is_wanted = [&wanted](const Member& one) {
        return std::find(wanted.begin(), wanted.end(), one) != wanted.end();
    };
    std::vector<GroupSlots::Member> due;
    for (const Member& member : wanted) {
        auto& known = shares.members;
        auto at = std::find(known.begin(), known.end(), member);
        if (at == known.end()) {
            // Who comes takes the place, and with it the flows, of one who has left.
            at = std::find_if_not(known.begin(), known.end(), is_wanted);
            at = at == known.end() ? known.insert(at, member) : at;
            *at = member;
        }
        due.emplace_back(static_cast<std::uint32_t>(at - known.begin()) + 1, 1);
    }
    shares.slots = GroupSlots(std::move(due), shares.slots);
}

Bridge::List Bridge::slots_of(std::uint32_t group) const {
    List slots;
    if (groups_[group].empty()) {
        return slots;
    }
    const std::uint32_t nhid = group_nhid_[group];
    const Shares& shares = shares_.at(nhid);
    const std::vector<Member>& order = nexthops_.at(nhid);
    List tunnels(shares.members.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
        const auto at = std::find(shares.members.begin(), shares.members.end(), order[i]);
        tunnels[static_cast<std::size_t>(at - shares.members.begin())] = groups_[group][i];
    }
    for (const std::uint32_t number : shares.slots.slots()) {
        slots.push_back(tunnels[number - 1]);
    }
    return slots;
}

}  // namespace vxplane::control
