// The routes of the underlay, from the values of a topology.
#include <algorithm>
#include <set>

#include "config/resolve.hpp"
#include "control/apply/from_topology.hpp"

namespace vxplane::control {

namespace {

/// Makes the routes of one family those that are wanted; false when they have no room.
template <class Fib, class Wanted>
bool set_family(Fib& fib, const Wanted& wanted) {
    std::vector<typename Wanted::key_type> gone;
    fib.for_each([&](const auto& prefix, std::uint8_t length, const auto& /*route*/) {
        if (!wanted.contains({prefix, length})) {
            gone.emplace_back(prefix, length);
        }
    });
    for (const auto& [prefix, length] : gone) {
        fib.remove(prefix, length);
    }
    bool room = true;
    for (const auto& [prefix, route] : wanted) {
        room = room && fib.add(prefix.first, prefix.second, route);
    }
    return room;
}

}  // namespace

std::map<Prefix, table::Route> routes_of(const config::Topology& topology, const Machine& machine,
                                         std::uint8_t tos) {
    std::map<Prefix, table::Route> routes;
    const auto all = all_addresses(topology, machine);
    for (const auto& [own, port] : all) {
        if (own.address.is_v4()) {
            const std::uint32_t mask = net::prefix_mask(own.prefix_length);
            routes[{own.address.v4().number() & mask, own.prefix_length}] = {
                table::RouteType::unicast, port, 0};
        }
    }
    // Longer than any subnet, hence after all of them: an own address is never a next hop.
    for (const auto& [own, port] : all) {
        if (own.address.is_v4()) {
            routes[{own.address.v4().number(), 32}] = {table::RouteType::local, port, 0};
        }
    }
    for (const config::Route& route : topology.routes) {
        if (!route.to.address.is_ipv4() || (route.tos != 0 && route.tos != tos)) {
            continue;
        }
        const Prefix prefix{route.to.address.ipv4_number(), route.to.length};
        const auto other = routes.find(prefix);
        if (other != routes.end() && other->second.tos > route.tos) {
            continue;  // of the routes to one prefix, that for this TOS alone
        }
        table::Route out;
        out.tos = route.tos;
        out.type = static_cast<table::RouteType>(route.type);
        const config::Port* port = nullptr;
        out.src = route.src ? route.src->ipv4_number() : 0;
        out.mtu = route.mtu;
        if (route.via) {
            out.via = route.via->ipv4_number();
            port = config::connected_to(topology, *route.via).port;
        }
        if (!route.dev.empty()) {
            port = config::find_port(topology, route.dev);
        }
        if (!route.slave.empty()) {
            out.type = table::RouteType::unreachable;  // no VTEP is behind a slave
        }
        if (port != nullptr) {
            out.port = machine.by_name(port->name)->port->id();
        }
        routes[prefix] = out;
    }
    return routes;
}

std::map<Prefix6, table::Route6> routes6_of(const config::Topology& topology,
                                            const Machine& machine) {
    std::map<Prefix6, table::Route6> routes;
    // A link-local network is on every link: no route of it leads anywhere.
    for (const config::Port& port : topology.ports) {
        const OpenPort* open = machine.by_name(port.name);
        if (open == nullptr || port.role != config::PortRole::underlay) {
            continue;
        }
        for (const config::IpPrefix& own : port.addresses) {
            if (own.address.is_ipv4() || ip_of(own.address).is_link_local()) {
                continue;
            }
            const config::IpPrefix network = config::network_of(own);
            routes.insert_or_assign({ip_of(network.address), network.length},
                                    table::Route6{table::RouteType::unicast, open->port->id(), {}});
        }
    }
    for (const auto& [own, port] : all_addresses(topology, machine)) {
        if (!own.address.is_v4()) {
            routes[{own.address, 128}] = {table::RouteType::local, port, {}};
        }
    }
    for (const config::Route& route : topology.routes) {
        if (route.to.address.is_ipv4()) {
            continue;
        }
        table::Route6 out;
        out.type = static_cast<table::RouteType>(route.type);
        const config::Port* port = nullptr;
        out.src = route.src ? ip_of(*route.src) : net::IpAddress{};
        out.mtu = route.mtu;
        if (route.via) {
            out.via = ip_of(*route.via);
            port = config::connected_to(topology, *route.via).port;
        }
        if (!route.dev.empty()) {
            port = config::find_port(topology, route.dev);
        }
        if (!route.slave.empty()) {
            out.type = table::RouteType::unreachable;  // no VTEP is behind a slave
        }
        if (port != nullptr) {
            out.port = machine.by_name(port->name)->port->id();
        }
        routes[{ip_of(route.to.address), route.to.length}] = out;
    }
    return routes;
}

bool set_routes(table::UnderlayRoutes& routes, const config::Topology& topology,
                const Machine& machine) {
    std::set<std::uint8_t> values;
    for (const config::Route& route : topology.routes) {
        if (route.tos != 0) {
            values.insert(route.tos);
        }
    }
    bool room = set_family(routes.v4, routes_of(topology, machine)) &&
                set_family(routes.v6, routes6_of(topology, machine));
    std::erase_if(routes.by_tos, [&](const auto& one) { return !values.contains(one.first); });
    for (const std::uint8_t tos : values) {
        table::Fib4& fib = routes.by_tos.try_emplace(tos, routes.v4.capacity()).first->second;
        room = set_family(fib, routes_of(topology, machine, tos)) && room;
    }
    return room;
}

}  // namespace vxplane::control
