// What ipvlans ask of ports and workers: slaves share the MAC address of their link, and
// connections are tracked by one worker, who then polls all ports of the ipvlan.
#include <spdlog/spdlog.h>

#include "config/problem.hpp"
#include "config/resolve.hpp"
#include "control/machine.hpp"

namespace vxplane::control {

std::optional<std::string> Machine::pin_ipvlans(const config::Topology& topology) {
    unsigned turn = 0;
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
        pins_[ipvlan.link] = worker;
        for (const config::Slave& slave : ipvlan.slaves) {
            pins_[slave.port] = worker;
        }
        pinned_ipvlans_[ipvlan.name] = worker;
        if (worker_count() > 1) {
            spdlog::info("ipvlan {}: connections are tracked, so worker {} polls all its ports",
                         ipvlan.name, worker);
        }
    }
    return std::nullopt;
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
