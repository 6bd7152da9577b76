// Calls the judges, and holds what they share: wording, look-ups with a suggestion, and what makes
// an address unfit.
#include "config/validate.hpp"

#include <algorithm>

#include "config/judge.hpp"
#include "config/limits.hpp"
#include "config/nearest.hpp"
#include "config/resolve.hpp"

namespace vxplane::config {

void Judge::refuse(Position where, std::string path, std::string message) {
    // What is wrong with an external vxlan is wrong with each of its parts.
    if (where.line != 0 && !told_.emplace(where.line, where.column, path, message).second) return;
    problems_.push_back({topology_.file, where, std::move(path), std::move(message)});
}

const Port* Judge::port(Position where, const std::string& path, const std::string& name,
                        PortRole role) {
    const std::string_view role_name = role == PortRole::underlay ? "underlay" : "access";
    const Port* const found = find_port(topology_, name);
    if (found == nullptr) {
        std::vector<std::string_view> names;
        for (const Port& port : topology_.ports) {
            if (port.role == role) names.push_back(port.name);
        }
        std::string message = "there is no port " + quoted(name);
        const std::string_view guess = nearest(name, names);
        if (!guess.empty()) message += ", the nearest is " + quoted(guess);
        refuse(where, path, message + " (a port with role: " + std::string(role_name) + ")");
        return nullptr;
    }
    if (found->role != role) {
        refuse(where, path,
               "port " + quoted(name) + " has another role" + line_text(found->where) +
                   " (a port with role: " + std::string(role_name) + ")");
        return nullptr;
    }
    return found;
}

void Judge::range(Position where, const std::string& path, std::uint64_t value, std::uint64_t min,
                  std::uint64_t max) {
    if (value >= min && value <= max) return;
    refuse(where, path,
           std::to_string(value) + " is out of range (" + std::to_string(min) + " to " +
               std::to_string(max) + ")");
}

bool Judge::remote(Position where, const std::string& path, const IpAddress& address,
                   bool may_be_ours) {
    if (address.is_multicast()) {
        refuse(where, path,
               address.text() + " is a multicast group (the address of one remote VTEP; or group)");
        return false;
    }
    if (const auto unfit = unfit_vtep(address)) {
        refuse(where, path, *unfit + " (the address of one remote VTEP)");
        return false;
    }
    // RFC 3021: on a /31 both addresses are hosts. IPv6 has no broadcast.
    const Connected direct = connected_to(topology_, address);
    if (direct.port != nullptr && address.is_ipv4() && direct.subnet.length < 31) {
        const std::uint32_t host_mask = 0xFFFFFFFFU >> direct.subnet.length;
        const std::uint32_t host = address.ipv4_number() & host_mask;
        if (host == 0 || host == host_mask) {
            refuse(where, path,
                   address.text() + " is the " + (host == 0 ? "network" : "broadcast") +
                       " address of a subnet of port " + quoted(direct.port->name) +
                       " (the address of one remote VTEP)");
            return false;
        }
    }
    if (const Port* const owner = owner_of(topology_, address)) {
        if (may_be_ours) return true;
        refuse(where, path,
               address.text() + " is our own address, of port " + quoted(owner->name) +
                   " (the address of one remote VTEP; in fdb also ours, with the vni or dstport of "
                   "another segment or local-bypass: false)");
        return false;
    }
    remotes_.insert(address);
    return true;
}

bool Judge::remote_of(const Vxlan& vxlan, Position where, const std::string& path,
                      const IpAddress& address, bool may_be_ours) {
    const bool of_link = is_link_local(address);
    if (address.is_ipv4() || address.is_multicast() || (!of_link && !is_of_one_link(vxlan))) {
        return remote(where, path, address, may_be_ours);
    }
    if (of_link != is_of_one_link(vxlan)) {
        refuse(where, path,
               of_link ? address.text() +
                             " is on every link, and the segment has no link-local address of its "
                             "own (local: one of ours, and dev: its port)"
                       : address.text() +
                             " is not on the link of the segment, whose own address "
                             "is link-local (a link-local address, or another local)");
        return false;
    }
    const Port* const dev = dev_of(topology_, vxlan);
    if (dev != nullptr && has_address(*dev, address)) {
        refuse(where, path,
               address.text() + " is our own address, of port " + quoted(dev->name) +
                   " (the address of one remote VTEP)");
        return false;
    }
    return true;
}

std::string line_text(Position where) {
    return where.line == 0 ? std::string() : ", line " + std::to_string(where.line);
}

std::string item_path(std::string_view list, std::size_t index, std::string_view key) {
    std::string path(list);
    path += '[';
    path += std::to_string(index);
    path += ']';
    if (!key.empty()) {
        path += '.';
        path += key;
    }
    return path;
}

Position position_at(const std::vector<Position>& all, std::size_t index, Position otherwise) {
    return index < all.size() ? all[index] : otherwise;
}

std::optional<std::string> unfit_vtep(const IpAddress& address) {
    if (is_link_local(address)) return address.text() + " is on every link";
    return unfit_host(address);
}

std::string nearest_text(std::string_view word, const std::vector<std::string>& names) {
    const std::vector<std::string_view> candidates(names.begin(), names.end());
    const std::string_view guess = nearest(word, candidates);
    return guess.empty() ? std::string() : ", the nearest is " + quoted(guess);
}

std::optional<std::string> unfit_prefix(const IpPrefix& prefix) {
    if (const auto unfit = unfit_host(prefix.address)) return unfit;
    if (prefix.length == 0) return prefix.text() + " has no prefix length";
    // RFC 3021: on a /31 both addresses are hosts. IPv6 has no broadcast.
    if (!prefix.address.is_ipv4() || prefix.length > 30) return std::nullopt;
    const std::uint32_t host_mask = 0xFFFFFFFFU >> prefix.length;
    const std::uint32_t host = prefix.address.ipv4_number() & host_mask;
    if (host == 0) return prefix.text() + " is the address of the network";
    if (host == host_mask) return prefix.text() + " is the broadcast address of the network";
    return std::nullopt;
}

std::optional<std::string> unfit_host(const IpAddress& address) {
    constexpr std::uint32_t loopback = 127;
    if (!address.is_ipv4()) {
        if (address.is_multicast()) return address.text() + " is a multicast address";
        if (address.is_unspecified()) return address.text() + " is the unspecified address";
        const bool low = std::all_of(address.bytes.begin(), address.bytes.end() - 1,
                                     [](std::uint8_t byte) { return byte == 0; });
        if (low && address.bytes[15] == 1) return address.text() + " is a loopback address";
        return std::nullopt;
    }
    const std::uint32_t number = address.ipv4_number();
    if (number == 0xFFFFFFFFU) return address.text() + " is the broadcast address";
    if (address.is_multicast()) return address.text() + " is a multicast address";
    if (number >> 24 == 0) return address.text() + " is in the network 0.0.0.0/8";
    if (number >> 24 == loopback) return address.text() + " is a loopback address";
    return std::nullopt;
}

Problems validate(const Topology& topology) {
    Judge judge(topology);
    judge_system(judge);
    judge_ports(judge);
    judge_queues(judge);
    judge_routes(judge);
    judge_neighbours(judge);
    judge_nexthops(judge);
    judge_vxlans(judge);
    judge_groups(judge);
    judge_tables(judge);
    judge_ipvlans(judge);
    judge_leaks(judge);
    return judge.take();
}

void judge_system(Judge& judge) {
    const System& system = judge.topology().system;
    const auto at = [&](std::string_view key) { return system.keys.of(key, system.where); };

    if (system.workers.size() > limits::workers_max) {
        judge.refuse(at("workers"), "system.workers",
                     std::to_string(system.workers.size()) + " workers are too many (at most 64)");
    }
    for (std::size_t i = 0; i < system.workers.size(); ++i) {
        const unsigned cpu = system.workers[i];
        const Position where = position_at(system.worker_where, i, at("workers"));
        const std::string path = item_path("system.workers", i);
        judge.range(where, path, cpu, 0, limits::cpu_max);
        const auto end = system.workers.begin() + static_cast<std::ptrdiff_t>(i);
        if (std::find(system.workers.begin(), end, cpu) != end) {
            judge.refuse(where, path,
                         "CPU " + std::to_string(cpu) + " has a worker already (one each)");
        }
    }
    if (system.control &&
        std::ranges::find(system.workers, *system.control) != system.workers.end()) {
        judge.refuse(at("control"), "system.control",
                     "CPU " + std::to_string(*system.control) +
                         " has a worker already (a CPU that is not among workers)");
    }
    judge.range(at("memory"), "system.memory", system.memory, limits::memory_min,
                limits::memory_max);
    judge.range(at("fdb-capacity"), "system.fdb-capacity", system.fdb_capacity, 1,
                limits::fdb_capacity_max);
    judge.range(at("tunnel-capacity"), "system.tunnel-capacity", system.tunnel_capacity, 1,
                limits::tunnel_capacity_max);
    if (system.socket.empty() || system.socket.size() > limits::socket_path_max) {
        judge.refuse(
            at("socket"), "system.socket",
            "a path of " + std::to_string(system.socket.size()) + " bytes (1 to 107 bytes)");
    }
}

}  // namespace vxplane::config
