// Values that the file leaves open and that follow from other parts of the topology: met by
// validate, and by control when it turns a topology into table writes. Pure; pointers point into
// the topology that was passed.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "config/topology.hpp"

namespace vxplane::config {

[[nodiscard]] const Port* find_port(const Topology& topology, std::string_view name);
[[nodiscard]] const NexthopGroup* find_nexthop(const Topology& topology, std::uint32_t id);

/// Whether `address` lies in the network of `prefix`; host bits of `prefix` do not matter.
[[nodiscard]] bool contains(const IpPrefix& prefix, const IpAddress& address);

/// The prefix with its host bits cleared.
[[nodiscard]] IpPrefix network_of(const IpPrefix& prefix);

/// The underlay port with the longest subnet that holds `address`, and that subnet; null without.
struct Connected {
    const Port* port = nullptr;
    IpPrefix subnet{};
};
[[nodiscard]] Connected connected_to(const Topology& topology, const IpAddress& address);

/// The underlay port that has `address`.
[[nodiscard]] const Port* owner_of(const Topology& topology, const IpAddress& address);

/// Where a packet to `address` leaves: the longest match among subnets and routes. `port` is null
/// when there is no route or it refuses; `source` is the address of the port that the kernel would
/// choose too (in the next hop's subnet, else the first).
struct Egress {
    const Port* port = nullptr;
    std::optional<IpAddress> next_hop{};
    std::optional<IpAddress> source{};
};
[[nodiscard]] Egress egress_to(const Topology& topology, const IpAddress& address);

/// `remote` and the destinations of the all-zero entries, each once, in the order of the file.
[[nodiscard]] std::vector<IpAddress> flood_list(const Vxlan& vxlan);

/// `local`, or the source towards the first remote (flood list, then FDB, then next-hop groups), or
/// the first address of the first underlay port. None when no underlay port has an address.
[[nodiscard]] std::optional<IpAddress> effective_local(const Topology& topology,
                                                       const Vxlan& vxlan);

/// The underlay port that has the effective local address.
[[nodiscard]] const Port* uplink_of(const Topology& topology, const Vxlan& vxlan);

/// Bytes of an inner frame after its Ethernet header: `mtu`, or the uplink's less 50 (VX-21). 0
/// when there is no uplink.
[[nodiscard]] std::uint16_t effective_mtu(const Topology& topology, const Vxlan& vxlan);

}  // namespace vxplane::config
