// The underlay: routes, permanent neighbours, and next-hop groups of the FDB.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "config/judge.hpp"
#include "config/nearest.hpp"
#include "config/resolve.hpp"

namespace vxplane::config {
namespace {

void judge_slave(Judge& judge, const Route& route, const std::string& path) {
    const auto at = [&](std::string_view key) { return route.keys.of(key, route.where); };
    if (route.via || !route.dev.empty()) {
        judge.refuse(at("slave"), path + ".slave",
                     "the route leads several ways (slave, or via and dev)");
        return;
    }
    if (resolve_slave(judge.topology(), nullptr, route.slave)) return;
    const bool full = route.slave.find('/') != route.slave.npos;
    std::vector<std::string> names;
    for (const Ipvlan& ipvlan : judge.topology().ipvlans) {
        for (const Slave& one : ipvlan.slaves) {
            names.push_back(full ? ipvlan.name + "/" + one.name : one.name);
        }
    }
    const bool several = std::ranges::find(names, route.slave) != names.end();
    judge.refuse(at("slave"), path + ".slave",
                 several ? quoted(route.slave) + " is a slave of several ipvlans (IPVLAN/NAME)"
                         : "there is no slave " + quoted(route.slave) +
                               nearest_text(route.slave, names) + " (a slave, or IPVLAN/NAME)");
}

void judge_next_hop(Judge& judge, const Route& route, const std::string& path) {
    const auto at = [&](std::string_view key) { return route.keys.of(key, route.where); };
    if (!route.slave.empty()) {
        judge_slave(judge, route, path);
        return;
    }
    const Port* dev = nullptr;
    if (!route.dev.empty()) {
        dev = judge.port(at("dev"), path + ".dev", route.dev, PortRole::underlay);
        if (dev == nullptr) return;
    }
    if (!route.via) {
        if (dev == nullptr) {
            judge.refuse(route.where, path, "a unicast route leads nowhere (via, dev or slave)");
        }
        return;
    }
    const std::string via_path = path + ".via";
    if (const auto unfit = unfit_host(*route.via)) {
        judge.refuse(at("via"), via_path, *unfit + " (the address of a next hop)");
        return;
    }
    if (route.via->family != route.to.address.family) {
        judge.refuse(at("via"), via_path,
                     route.via->text() + " is not of the family of " + route.to.text() +
                         " (a next hop of the same family; default6 is ::/0)");
        return;
    }
    if (owner_of(judge.topology(), *route.via) != nullptr) {
        judge.refuse(at("via"), via_path,
                     route.via->text() + " is our own address (the address of a next hop)");
        return;
    }
    if (is_link_local(*route.via)) {
        if (dev == nullptr) {
            judge.refuse(at("via"), via_path,
                         route.via->text() + " is on every link (dev: the underlay port)");
        }
        return;
    }
    const auto holds = [&](const IpPrefix& own) { return contains(own, *route.via); };
    if (dev != nullptr && std::ranges::none_of(dev->addresses, holds)) {
        judge.refuse(at("via"), via_path,
                     route.via->text() + " is not on a subnet of port " + quoted(dev->name) +
                         " (an address that a neighbour of the port has)");
    } else if (dev == nullptr && connected_to(judge.topology(), *route.via).port == nullptr) {
        judge.refuse(at("via"), via_path,
                     route.via->text() +
                         " is on no subnet of ours (an address in the subnet of an underlay port)");
    }
}

void judge_way(Judge& judge, const Route& route, const std::string& path) {
    const auto at = [&](std::string_view key) { return route.keys.of(key, route.where); };
    const bool leaves = route.type == RouteType::unicast && route.slave.empty();
    for (const std::string_view key : {"src", "mtu"}) {
        if (!leaves && route.keys.has(key)) {
            judge.refuse(at(key), path + "." + std::string(key),
                         "a route that does not leave by a port has no " + std::string(key) +
                             " (with via or dev only)");
        }
    }
    if (!leaves || !route.src) return;
    if (route.src->family != route.to.address.family) {
        judge.refuse(at("src"), path + ".src",
                     route.src->text() + " is not of the family of " + route.to.text() +
                         " (an address of ours of the same family)");
    } else if (owner_of(judge.topology(), *route.src) == nullptr) {
        judge.refuse(
            at("src"), path + ".src",
            route.src->text() + " is not our address (an address of a port with role: underlay)");
    }
}

void judge_tos(Judge& judge, const Route& route, const std::string& path) {
    if (route.tos == 0) return;
    const Position where = route.keys.of("tos", route.where);
    if ((route.tos & ~limits::route_tos_mask) != 0) {
        judge.refuse(where, path + ".tos",
                     "routes are looked for by the bits 0x1c of the outer TOS (4, 8, 12, 16, 20, "
                     "24 or 28)");
    } else if (!route.to.address.is_ipv4()) {
        judge.refuse(
            where, path + ".tos",
            route.to.text() + " is of IPv6, whose routes have no tos (tos over IPv4 only)");
    } else if (!route.slave.empty()) {
        judge.refuse(where, path + ".tos",
                     "no tunnel leads to what is behind a slave (tos, or slave)");
    }
}

void judge_route(Judge& judge, const Route& route, const std::string& path) {
    const auto at = [&](std::string_view key) { return route.keys.of(key, route.where); };
    judge_way(judge, route, path);
    judge_tos(judge, route, path);
    if (network_of(route.to) != route.to) {
        judge.refuse(at("to"), path + ".to",
                     route.to.text() + " has host bits set (" + network_of(route.to).text() + ")");
    }
    if (route.type == RouteType::unicast) {
        judge_next_hop(judge, route, path);
        return;
    }
    const std::string type(type_name(route.type));
    if (route.via) {
        judge.refuse(at("via"), path + ".via",
                     "a route of type " + type + " has no next hop (via with unicast only)");
    }
    if (!route.slave.empty()) {
        judge.refuse(at("slave"), path + ".slave",
                     "a route of type " + type + " leads to no slave (slave with unicast only)");
    }
    if (route.dev.empty()) return;
    if (route.type == RouteType::local) {
        judge.port(at("dev"), path + ".dev", route.dev, PortRole::underlay);
    } else {
        judge.refuse(at("dev"), path + ".dev",
                     "a route of type " + type + " has no port (dev with unicast or local only)");
    }
}

}  // namespace

std::string_view type_name(RouteType type) {
    switch (type) {
        case RouteType::unicast:
            return "unicast";
        case RouteType::local:
            return "local";
        case RouteType::blackhole:
            return "blackhole";
        case RouteType::unreachable:
            return "unreachable";
        case RouteType::prohibit:
            return "prohibit";
        case RouteType::throw_:
            return "throw";
    }
    return "unknown";
}

void judge_routes(Judge& judge) {
    std::map<std::pair<IpPrefix, std::uint8_t>, Position> seen;
    const auto& routes = judge.topology().routes;
    for (std::size_t i = 0; i < routes.size(); ++i) {
        const std::string path = item_path("routes", i);
        judge_route(judge, routes[i], path);
        const auto [earlier, fresh] =
            seen.try_emplace({routes[i].to, routes[i].tos}, routes[i].where);
        if (!fresh) {
            judge.refuse(routes[i].keys.of("to", routes[i].where), path + ".to",
                         "there is a route to " + name_of(routes[i]) + " already" +
                             line_text(earlier->second) + " (one route per prefix and tos)");
        }
    }
}

void judge_neighbours(Judge& judge) {
    std::map<std::pair<std::string, IpAddress>, Position> seen;
    const auto& neighbours = judge.topology().neighbours;
    for (std::size_t i = 0; i < neighbours.size(); ++i) {
        const Neighbour& neighbour = neighbours[i];
        const auto at = [&](std::string_view key) {
            return neighbour.keys.of(key, neighbour.where);
        };
        judge.port(at("dev"), item_path("neighbours", i, "dev"), neighbour.dev, PortRole::underlay);
        const std::string path = item_path("neighbours", i, "address");
        if (const auto unfit = unfit_host(neighbour.address)) {
            judge.refuse(at("address"), path, *unfit + " (the address of a neighbour)");
        } else if (owner_of(judge.topology(), neighbour.address) != nullptr) {
            judge.refuse(
                at("address"), path,
                neighbour.address.text() + " is our own address (the address of a neighbour)");
        }
        if (neighbour.lladdr.is_zero() || neighbour.lladdr.is_multicast()) {
            judge.refuse(
                at("lladdr"), item_path("neighbours", i, "lladdr"),
                neighbour.lladdr.text() + " is not the address of one station (a unicast MAC)");
        }
        const auto [earlier, fresh] =
            seen.try_emplace({neighbour.dev, neighbour.address}, neighbour.where);
        if (!fresh) {
            judge.refuse(at("address"), path,
                         neighbour.address.text() + " is given twice" + line_text(earlier->second) +
                             " (once per port)");
        }
    }
}

void judge_nexthops(Judge& judge) {
    std::set<std::uint32_t> ids;
    for (const NexthopGroup& group : judge.topology().nexthops) {
        const std::string path = "nexthops." + std::to_string(group.id);
        if (group.id == 0) judge.refuse(group.where, path, "0 is not an id (1 to 4294967295)");
        if (!ids.insert(group.id).second) {
            judge.refuse(group.where, path, "given twice (each id once)");
        }
        if (group.remotes.empty() && group.members.empty()) {
            judge.refuse(group.where, path, "the group is empty (group: [10.0.0.2, 10.0.0.3])");
        }
        std::set<IpAddress> seen;
        for (std::size_t i = 0; i < group.remotes.size(); ++i) {
            const Position where = position_at(group.remote_where, i, group.where);
            const std::string item = item_path(path + ".group", i);
            if (!judge.remote(where, item, group.remotes[i])) continue;
            if (!seen.insert(group.remotes[i]).second) {
                judge.refuse(where, item,
                             group.remotes[i].text() + " is given twice (each remote once)");
            }
        }
        for (std::size_t i = 0; i < group.members.size(); ++i) {
            const NexthopMember& member = group.members[i];
            const Position where = member.keys.of("dst", member.where);
            judge.remote(where, item_path(path + ".members", i, "dst"), member.dst);
        }
    }
}

}  // namespace vxplane::config
