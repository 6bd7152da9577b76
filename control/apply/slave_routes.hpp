// Routes of slaves, of `tables:` and of the host from a topology, as Routing takes them.
#pragma once

#include <string>

#include "config/topology.hpp"
#include "control/apply/routing.hpp"
#include "control/machine.hpp"
#include "dataplane/table/slave.hpp"

namespace vxplane::control {

[[nodiscard]] Network to_network(const config::IpPrefix& prefix);

/// What routes name and only control knows the numbers of. By IPVLAN/NAME for slaves.
class RouteNames {
  public:
    RouteNames() = default;
    RouteNames(const RouteNames&) = delete;
    RouteNames& operator=(const RouteNames&) = delete;
    virtual ~RouteNames() = default;
    [[nodiscard]] virtual std::uint16_t slave(const std::string& full) const = 0;
    [[nodiscard]] virtual std::uint16_t slave_max_frame(const std::string& full) const = 0;
    [[nodiscard]] virtual std::uint32_t table(const std::string& name) const = 0;
    [[nodiscard]] virtual std::uint16_t segment(const std::string& name) const = 0;
};

/// The host's: networks of our addresses, the addresses themselves, `routes:`.
[[nodiscard]] RouteSpecs main_routes(const config::Topology& topology, const Machine& machine,
                                     const RouteNames& names);

/// One entry of a slave's `routes:` (`home` and `own` set), or of `tables:` (both null).
[[nodiscard]] RouteSpec spec_of(const config::Topology& topology, const Machine& machine,
                                const RouteNames& names, const config::Ipvlan* home,
                                const config::Slave* own, const config::TableRoute& route);

/// What of the topology a next hop is about, such as `slave a/red` or `vxlan blue`.
[[nodiscard]] std::string named(const config::Hop& hop);

/// As in routes: IPVLAN/NAME.
[[nodiscard]] inline std::string full_name(const config::Ipvlan& ipvlan,
                                           const config::Slave& slave) {
    return ipvlan.name + "/" + slave.name;
}

}  // namespace vxplane::control
