#include "control/apply/reload.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "config/resolve.hpp"
#include "control/apply/from_topology.hpp"
#include "control/apply/words.hpp"

namespace vxplane::control {

namespace {

/// The object that a path names is the same for a worker: VNI and port are its key.
bool is_same_segment(const config::Vxlan& one, const config::Vxlan& other) {
    // What peers must know of: none of it changes without them, and so without loss.
    return one.id == other.id && one.dstport == other.dstport && one.gbp == other.gbp &&
           one.gpe == other.gpe;
}

const config::Vxlan* find_vxlan(const config::Topology& topology, const std::string& name) {
    const auto at = std::find_if(topology.vxlans.begin(), topology.vxlans.end(),
                                 [&name](const config::Vxlan& one) { return one.name == name; });
    return at == topology.vxlans.end() ? nullptr : &*at;
}

bool is_list(const FdbRequest& request) {
    return request.mac.is_zero() || request.mac.is_group();
}

FdbRequest request_of(const FdbView& view) {
    FdbRequest request;
    request.segment = view.segment;
    request.mac = view.mac;
    request.state = view.state;
    request.place.port = view.port;
    request.place.nhid = view.nhid;
    if (!view.remotes.empty()) {
        request.place.remote = view.remotes.front();
    }
    if (!view.own.empty()) {
        request.place.own = view.own.front();
    }
    return request;
}

bool ends_with(const std::string& path, std::string_view key) {
    return path.size() > key.size() && path.ends_with(key) &&
           path[path.size() - key.size() - 1] == '.';
}

/// Keys of `system` and `ports` that workers and devices take while they run.
bool is_live(const config::Change& change) {
    if (change.path.starts_with("system.")) {
        return ends_with(change.path, "log") || ends_with(change.path, "icmp-rate");
    }
    if (change.path.starts_with("ports.")) {
        return ends_with(change.path, "addresses") || ends_with(change.path, "learning") ||
               ends_with(change.path, "promiscuous") || ends_with(change.path, "mtu") ||
               ends_with(change.path, "pvid") || ends_with(change.path, "vlans") ||
               ends_with(change.path, "mac") || ends_with(change.path, "reassembly") ||
               ends_with(change.path, "group-policy") || ends_with(change.path, "policy-flags") ||
               ends_with(change.path, "accept-groups");
    }
    return true;
}

std::string_view reason_of(const config::Change& change) {
    if (change.path.starts_with("system.")) {
        return "is set when the process starts";
    }
    return change.kind == config::Change::Kind::modify
               ? "is set when the port is opened, and ports are opened when the process starts"
               : "ports are opened when the process starts";
}

}  // namespace

Reload::Reload(ReloadParts parts, const config::Topology& from, const config::Topology& to)
    : parts_(parts), from_(from), to_(to), changes_(config::diff(from, to)) {}

std::vector<std::string> Reload::refusals() const {
    std::vector<std::string> all;
    for (const config::Change& change : changes_) {
        if (change.needs_restart || !is_live(change)) {
            all.push_back(change.path + ": " + std::string(reason_of(change)) +
                          ": it takes a restart");
        }
    }
    refuse_ports(all);
    for (std::string& one : parts_.machine.unpinned(to_)) {
        all.push_back(std::move(one));
    }
    for (std::string& one : parts_.slaves.refusals(to_)) {
        all.push_back(std::move(one));
    }
    std::size_t fresh = 0;
    for (const config::Vxlan& vxlan : to_.vxlans) {
        const config::Vxlan* before = find_vxlan(from_, vxlan.name);
        fresh += before == nullptr || !is_same_segment(*before, vxlan) ? 1U : 0U;
    }
    const std::size_t free = parts_.bridge.free_segments(parts_.machine.segment_room(), now_);
    if (fresh > free) {
        all.push_back("vxlans: " + std::to_string(fresh) + " new segments, and workers have " +
                      "counters for " + std::to_string(free) + " more: it takes a restart");
    }
    return all;
}

Reload::Problem Reload::apply() {
    if (parts_.bridge.worker_is_stuck()) {
        return "a worker does not answer; see the health of the daemon";
    }
    parts_.bridge.hold_shape();
    if (auto problem = prepare()) {
        for (; !undo_.empty(); undo_.pop_back()) {
            undo_.back()();
        }
        // Tunnels that were made in between were led by the other routes.
        parts_.tunnels.reroute(now_);
        parts_.bridge.release_shape();
        parts_.bridge.sweep(nexthops_of(from_), now_);
        return problem;
    }
    set_frames();
    parts_.slaves.accept(to_, now_);
    set_ports();
    parts_.tunnels.reroute(now_);
    // What the rest removes is out of sight then, or some worker is stuck and an alarm says so.
    parts_.bridge.release_shape();
    for (const Undo& action : last_) {
        action();
    }
    swept_ = parts_.bridge.sweep(nexthops_of(to_), now_);
    announce();
    return std::nullopt;
}

Reload::Problem Reload::prepare() {
    undo([this] { set_underlay(from_); });
    if (auto problem = prepare_ports()) {
        return problem;
    }
    set_underlay(to_);
    undo([this] { lead_by(from_); });
    if (auto problem = lead_by(to_)) {
        return problem;
    }
    if (auto problem = prepare_neighbours()) {
        return problem;
    }
    const Bridge::Nexthops before = nexthops_of(from_);
    if (auto problem = parts_.bridge.change_nexthops(nexthops_of(to_), now_)) {
        return problem;
    }
    undo([this, before] {
        if (const auto problem = parts_.bridge.change_nexthops(before, now_)) {
            spdlog::error("reload: next-hop groups stay changed: {}", *problem);
        }
    });
    if (auto problem = prepare_segments()) {
        return problem;
    }
    undo([this] { parts_.slaves.discard(); });
    return parts_.slaves.prepare(to_, now_);
}

void Reload::set_underlay(const config::Topology& topology) {
    for (const config::Port& port : topology.ports) {
        const OpenPort* open = parts_.machine.by_name(port.name);
        if (open == nullptr || port.role != config::PortRole::underlay) {
            continue;
        }
        const net::MacAddress mac{open->port->mac()};
        const std::vector<OwnAddress> own = own_addresses(port);
        parts_.neighbours.set_port(open->port->id(), mac, answered_addresses(topology, port));
        parts_.tunnels.set_uplink(open->port->id(),
                                  {mac, std::min(port.mtu, open->port->mtu()), own});
    }
    auto addresses = all_addresses(topology, parts_.machine);
    std::vector<OwnAddress> all;
    for (const auto& [own, port] : addresses) {
        all.push_back(own);
    }
    parts_.punts.set_addresses(std::move(all));
    parts_.bridge.set_addresses(std::move(addresses));
}

Reload::Problem Reload::lead_by(const config::Topology& topology) {
    if (set_routes(parts_.routes, topology, parts_.machine)) {
        return std::nullopt;
    }
    return "routes: there is room for " + std::to_string(parts_.routes.v4.capacity()) +
           " since the process started, addresses included";
}

Reload::Problem Reload::prepare_neighbours() {
    std::map<NeighbourKey, net::MacAddress> before;
    std::map<NeighbourKey, net::MacAddress> after;
    for (const config::Neighbour& one : from_.neighbours) {
        before[neighbour_of(one, parts_.machine)] = mac_of(one.lladdr);
    }
    for (const config::Neighbour& one : to_.neighbours) {
        after[neighbour_of(one, parts_.machine)] = mac_of(one.lladdr);
    }
    for (const auto& [key, mac] : after) {
        const auto old = before.find(key);
        if (old != before.end() && old->second == mac) {
            continue;
        }
        if (!parts_.neighbours.add_permanent(key, mac, now_)) {
            return "neighbours: the table is full, " + text(key.address) + " has no room";
        }
        const bool was_there = old != before.end();
        undo([this, key = key, was_there, was = was_there ? old->second : net::MacAddress{}] {
            if (was_there) {
                parts_.neighbours.add_permanent(key, was, now_);
            } else {
                parts_.neighbours.forget(key, now_);
            }
        });
    }
    for (const auto& [key, mac] : before) {
        if (!after.contains(key)) {
            finally([this, key = key] { parts_.neighbours.forget(key, now_); });
        }
    }
    return std::nullopt;
}

Reload::Problem Reload::prepare_segments() {
    for (const config::Vxlan& vxlan : from_.vxlans) {
        const config::Vxlan* next = find_vxlan(to_, vxlan.name);
        if (next != nullptr && is_same_segment(vxlan, *next)) {
            continue;
        }
        const std::uint16_t index = *parts_.bridge.find_segment(vxlan.name);
        parts_.bridge.set_in_use(index, false);
        undo([this, index] { parts_.bridge.set_in_use(index, true); });
    }
    for (const config::Vxlan& vxlan : to_.vxlans) {
        const config::Vxlan* before = find_vxlan(from_, vxlan.name);
        const bool kept = before != nullptr && is_same_segment(*before, vxlan);
        if (auto problem = prepare_segment(vxlan, kept ? before : nullptr)) {
            return "vxlans." + vxlan.name + ": " + *problem;
        }
    }
    return std::nullopt;
}

Reload::Problem Reload::prepare_segment(const config::Vxlan& next, const config::Vxlan* before) {
    Bridge& bridge = parts_.bridge;
    const SegmentSpec spec = segment_of(to_, next, parts_.machine);
    std::uint16_t index = 0;
    if (before == nullptr) {
        index = bridge.add_segment(spec, now_);
        new_segments_.push_back(index);
        undo([&bridge, index] { bridge.set_in_use(index, false); });
    } else {
        index = *bridge.find_segment(next.name);
        const SegmentSpec old = bridge.segment(index);
        if (spec != old) {
            if (auto problem = bridge.change_segment(index, spec, now_)) {
                return problem;
            }
        }
        Problem problem = prepare_fdb(index, next, before);
        // Noted last, so taken back first: entries may lead to ports that are members only then.
        undo([this, index, old] {
            if (const auto failed = parts_.bridge.change_segment(index, old, now_)) {
                spdlog::error("reload: segment {} stays changed: {}", old.name, *failed);
            }
        });
        return problem;
    }
    return prepare_fdb(index, next, before);
}

Reload::Problem Reload::prepare_fdb(std::uint16_t index, const config::Vxlan& next,
                                    const config::Vxlan* before) {
    // A unicast address has one place, a list has many.
    const auto by_key = [&](const config::Vxlan& vxlan) {
        std::map<std::tuple<std::uint64_t, net::IpAddress, OwnNumbers>, FdbRequest> all;
        for (const FdbRequest& one : requests_of(vxlan, index, parts_.machine)) {
            const bool list = is_list(one);
            all[{one.mac.number(), list ? *one.place.remote : net::IpAddress{},
                 list ? one.place.own : OwnNumbers{}}] = one;
        }
        return all;
    };
    const auto after = by_key(next);
    const auto old = before == nullptr ? decltype(by_key(next)){} : by_key(*before);
    Bridge& bridge = parts_.bridge;
    for (const auto& [key, request] : old) {
        if (after.contains(key)) {
            continue;
        }
        if (is_list(request)) {
            // Floods never have less than both lists have in common.
            finally([this, request = request] {
                parts_.bridge.remove(request.segment, request.mac, request.place.remote,
                                     request.place.own);
            });
            continue;
        }
        const auto present = bridge.find(index, request.mac, now_);
        if (present && present->state != table::FdbState::dynamic) {
            bridge.remove(index, request.mac, std::nullopt);
            undo([this, was = request_of(*present)] { parts_.bridge.replace(was, now_); });
        }
    }
    for (const auto& [key, request] : after) {
        const auto known = old.find(key);
        if (known != old.end() && known->second == request) {
            continue;
        }
        if (auto problem = put_entry(request)) {
            return "fdb: " + *problem;
        }
    }
    return std::nullopt;
}

Reload::Problem Reload::put_entry(const FdbRequest& request) {
    Bridge& bridge = parts_.bridge;
    const auto present = bridge.find(request.segment, request.mac, now_);
    if (is_list(request)) {
        // Somebody may have added it by hand.
        for (std::size_t i = 0; present && i < present->remotes.size(); ++i) {
            if (present->remotes[i] == *request.place.remote &&
                present->own[i] == request.place.own) {
                return std::nullopt;
            }
        }
        if (auto problem = bridge.add(request, now_)) {
            return problem;
        }
        undo([this, request] {
            parts_.bridge.remove(request.segment, request.mac, request.place.remote,
                                 request.place.own);
        });
        return std::nullopt;
    }
    if (auto problem = bridge.replace(request, now_)) {
        return problem;
    }
    if (present) {
        undo([this, was = request_of(*present)] { parts_.bridge.replace(was, now_); });
    } else {
        undo([this, request] { parts_.bridge.remove(request.segment, request.mac, std::nullopt); });
    }
    return std::nullopt;
}

}  // namespace vxplane::control
