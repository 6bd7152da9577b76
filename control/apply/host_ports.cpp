#include "control/apply/host_ports.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "config/resolve.hpp"

namespace vxplane::control {

namespace {

std::string text_of(const config::Ports& ports) {
    return std::to_string(ports.lo) + "-" + std::to_string(ports.hi);
}

}  // namespace

std::optional<config::Ports> read_port_range(std::string_view text) {
    std::istringstream in{std::string(text)};
    config::Ports ports;
    if (!(in >> ports.lo >> ports.hi) || ports.lo > ports.hi) {
        return std::nullopt;
    }
    return ports;
}

std::optional<config::Ports> host_port_range() {
    std::ifstream file("/proc/sys/net/ipv4/ip_local_port_range");
    std::string line;
    return std::getline(file, line) ? read_port_range(line) : std::nullopt;
}

std::optional<std::string> clash_of_ports(const config::Topology& topology,
                                          const config::Ipvlan& ipvlan, const config::Ports& host) {
    const config::Port* link = config::find_port(topology, ipvlan.link);
    const config::Ports& own = ipvlan.masquerade_ports;
    if (!ipvlan.masquerade || link == nullptr || link->host.empty() || own.hi < host.lo ||
        host.hi < own.lo) {
        return std::nullopt;
    }
    const config::Ports above{static_cast<std::uint16_t>(host.hi + 1), 65535};
    const bool has_room = host.hi < 65535 - 1000;
    return "ipvlans." + ipvlan.name + ".masquerade-ports: " + text_of(own) +
           " has ports that the kernel behind " + link->host +
           " gives to its own connections (net.ipv4.ip_local_port_range " + text_of(host) +
           "): answers to these may be taken for a slave's" +
           (has_room ? " (masquerade-ports: " + text_of(above) + ")" : "");
}

void warn_of_ports(const config::Topology& topology) {
    for (const config::Ipvlan& ipvlan : topology.ipvlans) {
        const auto range = ipvlan.masquerade ? host_port_range() : std::nullopt;
        if (const auto clash = range ? clash_of_ports(topology, ipvlan, *range) : std::nullopt) {
            spdlog::warn(*clash);
        }
    }
}

}  // namespace vxplane::control
