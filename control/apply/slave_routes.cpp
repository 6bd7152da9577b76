#include "control/apply/slave_routes.hpp"

#include <algorithm>

#include "config/resolve.hpp"
#include "control/apply/from_topology.hpp"

namespace vxplane::control {

namespace {

using table::NextHopKind;

table::RouteType type_of(config::RouteType type) {
    return static_cast<table::RouteType>(type);
}

/// The port by which the topology's routes reach a neighbour.
const config::Port* port_to(const config::Topology& topology, const std::string& dev,
                            const std::optional<config::IpAddress>& via) {
    if (!dev.empty()) {
        return config::find_port(topology, dev);
    }
    return via ? config::connected_to(topology, *via).port : nullptr;
}

HopSpec on_port(const Machine& machine, const config::Port* port,
                const std::optional<config::IpAddress>& via) {
    HopSpec spec;
    const OpenPort* open = port == nullptr ? nullptr : machine.by_name(port->name);
    if (open == nullptr) {
        return spec;  // leads nowhere
    }
    spec.kind = via ? NextHopKind::gateway : NextHopKind::link;
    spec.port = open->port->id();
    if (via) {
        spec.via = ip_of(*via);
    }
    return spec;
}

HopSpec to_slave(const RouteNames& names, const std::string& full) {
    HopSpec spec;
    spec.kind = NextHopKind::slave;
    spec.index = names.slave(full);
    spec.max_frame = names.slave_max_frame(full);
    return spec;
}

HopSpec hop_of(const config::Topology& topology, const Machine& machine, const RouteNames& names,
               const config::Ipvlan* home, const config::Hop& hop) {
    HopSpec spec;
    if (!hop.slave.empty()) {
        const config::SlaveRef found = config::resolve_slave(topology, home, hop.slave);
        return found ? to_slave(names, full_name(*found.ipvlan, *found.slave)) : spec;
    }
    if (!hop.table.empty()) {
        const config::TableRef found = config::resolve_table(topology, home, hop.table);
        if (found.table != nullptr || found.slave) {
            spec.kind = NextHopKind::table;
            spec.index = names.table(found.table != nullptr
                                         ? found.table->name
                                         : full_name(*found.slave.ipvlan, *found.slave.slave));
        }
        return spec;
    }
    if (!hop.vxlan.empty()) {
        spec.kind = NextHopKind::vxlan;
        spec.segment = names.segment(hop.vxlan);
        spec.remote = ip_of(*hop.remote);
        spec.inner_destination = mac_of(*hop.lladdr);
        return spec;
    }
    const config::Port* port = hop.dev.empty() ? nullptr : config::find_port(topology, hop.dev);
    // The slave's own port stands for the link that it shares.
    if (home != nullptr && (port == nullptr || port->role != config::PortRole::underlay)) {
        port = config::find_port(topology, home->link);
    }
    return on_port(machine, port != nullptr ? port : port_to(topology, hop.dev, hop.via), hop.via);
}

RouteSpec blackhole() {
    return {table::RouteType::blackhole, {}};
}

}  // namespace

Network to_network(const config::IpPrefix& prefix) {
    return {ip_of(config::network_of(prefix).address), prefix.length};
}

RouteSpecs main_routes(const config::Topology& topology, const Machine& machine,
                       const RouteNames& names) {
    RouteSpecs routes;
    const auto unicast = [](HopSpec hop) {
        return RouteSpec{table::RouteType::unicast, {{hop, 1}}};
    };
    const auto each_address = [&](const auto& visit) {
        for (const config::Port& port : topology.ports) {
            if (port.role == config::PortRole::underlay && machine.by_name(port.name) != nullptr) {
                for (const config::IpPrefix& own : port.addresses) {
                    visit(port, own);
                }
            }
        }
    };
    each_address([&](const config::Port& port, const config::IpPrefix& own) {
        routes[to_network(own)] = unicast(on_port(machine, &port, std::nullopt));
        if (own.address.is_ipv4() && own.length < 31) {
            const std::uint32_t last = own.address.ipv4_number() | ~net::prefix_mask(own.length);
            routes[{net::Ipv4Address::of(last), 32}] = blackhole();
        } else if (!own.address.is_ipv4()) {
            net::IpAddress local;
            local.bytes[0] = 0xFE;
            local.bytes[1] = 0x80;
            routes.try_emplace({local, 64}, unicast(on_port(machine, &port, std::nullopt)));
        }
    });
    for (const config::Route& route : topology.routes) {
        if (route.tos != 0) {
            continue;  // tunnels alone are led by their TOS
        }
        RouteSpec spec{type_of(route.type), {}};
        const config::SlaveRef behind = config::resolve_slave(topology, nullptr, route.slave);
        if (behind) {
            spec = unicast(to_slave(names, full_name(*behind.ipvlan, *behind.slave)));
        } else if (route.type == config::RouteType::unicast) {
            spec = unicast(on_port(machine, port_to(topology, route.dev, route.via), route.via));
        }
        routes[to_network(route.to)] = spec;
    }
    // Last: an own address is never a next hop.
    each_address([&](const config::Port&, const config::IpPrefix& own) {
        const auto bits = static_cast<std::uint8_t>(own.address.is_ipv4() ? 32 : 128);
        routes[{ip_of(own.address), bits}] = {table::RouteType::local, {}};
    });
    return routes;
}

std::string named(const config::Hop& hop) {
    return !hop.slave.empty()   ? "slave " + hop.slave
           : !hop.vxlan.empty() ? "vxlan " + hop.vxlan
           : !hop.table.empty() ? "table " + hop.table
           : !hop.dev.empty()   ? "port " + hop.dev
                                : "network with " + (hop.via ? hop.via->text() : std::string("it"));
}

RouteSpec spec_of(const config::Topology& topology, const Machine& machine, const RouteNames& names,
                  const config::Ipvlan* home, const config::Slave* own,
                  const config::TableRoute& route) {
    RouteSpec spec{type_of(route.type), {}};
    if (route.type == config::RouteType::unicast) {
        for (const config::Hop& hop : route.hops) {
            spec.hops.push_back({hop_of(topology, machine, names, home, hop), hop.weight});
        }
    } else if (route.type == config::RouteType::local && own != nullptr) {
        // An address that the slave has besides.
        spec.type = table::RouteType::unicast;
        spec.hops.push_back({to_slave(names, full_name(*home, *own)), 1});
    }
    return spec;
}

}  // namespace vxplane::control
