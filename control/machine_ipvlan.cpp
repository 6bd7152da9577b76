// What ipvlans ask of ports and workers: slaves share the MAC address of their link, and
// connections are tracked by one worker, who then polls all ports of the ipvlan, and of segments
// that it is the router of.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "config/problem.hpp"
#include "config/resolve.hpp"
#include "control/machine.hpp"

namespace vxplane::control {

namespace {

/// Whether the ipvlan tracks connections and a segment hands it packets, too.
bool is_tracking_router(const config::Topology& topology, const config::Vxlan& vxlan) {
    const config::Ipvlan* router =
        vxlan.router.empty() ? nullptr : config::find_ipvlan(topology, vxlan.router);
    return router != nullptr && config::conntrack_on(*router);
}

}  // namespace

std::uint16_t device_mtu(const config::Topology& topology, const config::Port& port) {
    for (const config::Ipvlan& ipvlan : topology.ipvlans) {
        for (const config::Slave& slave : ipvlan.slaves) {
            if (slave.port == port.name) {
                return config::effective_mtu(topology, ipvlan, slave);
            }
        }
    }
    return port.mtu;
}

std::uint16_t offered_mtu(const config::Topology& topology, const config::Port& port) {
    const std::uint16_t device = device_mtu(topology, port);
    if (port.keys.has("mtu") || !port.device.starts_with("net_tap")) {
        return device;
    }
    const std::uint16_t segments = config::segment_mtu(topology, port);
    return segments == 0 ? device : std::min(segments, device);
}

std::optional<std::string> Machine::pin_ipvlans(const config::Topology& topology) {
    unsigned turn = 0;
    // Tunnel packets arrive at any underlay port, so then all these have one worker.
    std::optional<unsigned> only;
    for (const config::Vxlan& vxlan : topology.vxlans) {
        if (!is_tracking_router(topology, vxlan)) {
            continue;
        }
        if (!only) {
            const config::Port* link =
                config::find_port(topology, config::find_ipvlan(topology, vxlan.router)->link);
            const std::vector<unsigned> named =
                link == nullptr ? std::vector<unsigned>{} : pollers_of(*link);
            only = named.empty() ? 0 : named.front();
            for (const config::Port& port : topology.ports) {
                if (port.role == config::PortRole::underlay) {
                    pins_[port.name] = {*only, "router of vxlan " + vxlan.name};
                }
            }
        }
        for (const std::string& port : vxlan.ports) {
            pins_[port] = {*only, "router of vxlan " + vxlan.name};
        }
    }
    for (const config::Ipvlan& ipvlan : topology.ipvlans) {
        if (!config::conntrack_on(ipvlan)) {
            continue;
        }
        if (steering_wanted_) {
            const config::System& system = topology.system;
            return config::Problem{topology.file, system.keys.of("steering", system.where),
                                   "system.steering",
                                   "software gives packets to other workers than the one that "
                                   "tracks the connections of ipvlan " +
                                       ipvlan.name + " (none)"}
                .text();
        }
        const config::Port* link = config::find_port(topology, ipvlan.link);
        const std::vector<unsigned> named =
            link == nullptr ? std::vector<unsigned>{} : pollers_of(*link);
        const unsigned worker = named.empty() ? turn++ % worker_count() : named.front();
        pins_[ipvlan.link] = {worker, "ipvlan " + ipvlan.name};
        for (const config::Slave& slave : ipvlan.slaves) {
            pins_[slave.port] = {worker, "ipvlan " + ipvlan.name};
        }
        pinned_ipvlans_[ipvlan.name] = worker;
        if (worker_count() > 1) {
            spdlog::info("ipvlan {}: connections are tracked, so worker {} polls all its ports",
                         ipvlan.name, worker);
        }
    }
    return std::nullopt;
}

std::vector<std::string> Machine::unpinned(const config::Topology& to) const {
    constexpr const char* kRestart = " is polled by another: it takes a restart";
    std::vector<std::string> all;
    for (const config::Ipvlan& ipvlan : to.ipvlans) {
        if (steering_ != nullptr && config::conntrack_on(ipvlan)) {
            all.push_back("ipvlans." + ipvlan.name +
                          ".conntrack.on: connections are one worker's, and system.steering "
                          "gives packets to others: it takes a restart");
        }
    }
    for (const config::Vxlan& vxlan : to.vxlans) {
        if (!is_tracking_router(to, vxlan)) {
            continue;
        }
        const OpenPort* link = by_name(config::find_ipvlan(to, vxlan.router)->link);
        for (const OpenPort& open : ports_) {
            const bool brings =
                !open.is_twin && (open.config->role == config::PortRole::underlay ||
                                  std::ranges::count(vxlan.ports, open.config->name) != 0);
            const bool strays =
                link != nullptr && std::ranges::any_of(open.pollers, [link](unsigned worker) {
                    return worker != link->first_worker;
                });
            if (brings && strays) {
                all.push_back("vxlans." + vxlan.name +
                              ".router: connections are one worker's, and port " +
                              open.config->name + kRestart);
                break;
            }
        }
    }
    return all;
}

void Machine::share_macs(const config::Topology& topology) {
    for (const config::Ipvlan& ipvlan : topology.ipvlans) {
        const OpenPort* link = by_name(ipvlan.link);
        for (const config::Slave& slave : ipvlan.slaves) {
            const OpenPort* open = by_name(slave.port);
            if (link != nullptr && open != nullptr && open->port->mac() != link->port->mac()) {
                open->port->share_mac(link->port->mac());
            }
        }
    }
}

}  // namespace vxplane::control
