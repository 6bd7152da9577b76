// From the values of a topology to what the tables' owners take: met at start and at reload.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "config/topology.hpp"
#include "control/apply/bridge.hpp"
#include "control/machine.hpp"

namespace vxplane::control {

[[nodiscard]] inline net::MacAddress mac_of(const config::MacAddress& mac) {
    return {mac.bytes};
}
[[nodiscard]] inline net::IpAddress ip_of(const config::IpAddress& address) {
    return address.is_ipv4() ? net::IpAddress(net::Ipv4Address::of(address.ipv4_number()))
                             : net::IpAddress(address.bytes);
}
/// Only for IPv4.
[[nodiscard]] inline net::Ipv4Address ipv4_of(const config::IpAddress& address) {
    return net::Ipv4Address::of(address.ipv4_number());
}

/// Of an access port; none where it marks nothing.
[[nodiscard]] net::GroupPolicy group_policy_of(const config::Port& port);

/// The addresses of an underlay port, in the order of the file.
[[nodiscard]] std::vector<OwnAddress> own_addresses(const config::Port& port);

/// For which the port answers ARP and ND: its own, the public ones of its ipvlan's slaves, and in
/// l3 and l3s those of slaves that lie in its own subnets, as nobody else can answer for them.
[[nodiscard]] std::vector<OwnAddress> answered_addresses(const config::Topology& topology,
                                                         const config::Port& port);

/// All own addresses with the DPDK ids of their ports; only ports that `machine` has.
[[nodiscard]] std::vector<std::pair<OwnAddress, std::uint16_t>> all_addresses(
    const config::Topology& topology, const Machine& machine);

/// Prefix (host order) and its length.
using Prefix = std::pair<std::uint32_t, std::uint8_t>;
using Prefix6 = std::pair<net::IpAddress, std::uint8_t>;
/// Networks of our addresses, the addresses themselves, and what `routes:` says of packets with
/// that TOS.
[[nodiscard]] std::map<Prefix, table::Route> routes_of(const config::Topology& topology,
                                                       const Machine& machine,
                                                       std::uint8_t tos = 0);

[[nodiscard]] std::map<Prefix6, table::Route6> routes6_of(const config::Topology& topology,
                                                          const Machine& machine);

/// Makes `routes` those of a topology. False when they have no room: some are missing then.
bool set_routes(table::UnderlayRoutes& routes, const config::Topology& topology,
                const Machine& machine);

/// Ports by their DPDK ids.
[[nodiscard]] SegmentSpec segment_of(const config::Topology& topology, const config::Vxlan& vxlan,
                                     const Machine& machine);

[[nodiscard]] Bridge::Nexthops nexthops_of(const config::Topology& topology);

[[nodiscard]] NeighbourKey neighbour_of(const config::Neighbour& neighbour, const Machine& machine);

/// The flood list and the entries of a segment, one request for each remote.
[[nodiscard]] std::vector<FdbRequest> requests_of(const config::Vxlan& vxlan, std::uint16_t segment,
                                                  const Machine& machine);

}  // namespace vxplane::control
