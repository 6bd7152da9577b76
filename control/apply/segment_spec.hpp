// A segment as configured, in the terms of the data plane: what from_topology makes of the file and
// Bridge keeps.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control/apply/moves.hpp"
#include "control/apply/tunnels.hpp"
#include "dataplane/table/tables.hpp"

namespace vxplane::control {

/// Who has an IP address in a segment, by the topology.
struct NeighbourSpec {
    net::IpAddress address;
    net::MacAddress mac;
    bool router = false;
    bool operator==(const NeighbourSpec&) const = default;
};

/// Which peers are heard.
struct GuardSpec {
    std::vector<table::PeerPrefix> peers;  ///< none: any
    std::uint16_t source_port_lo = 0;
    std::uint16_t source_port_hi = 0xFFFF;
    /// DPDK id of the only underlay port that is heard over IPv6; kNoPort: any.
    std::uint16_t link = table::kNoPort;
    bool operator==(const GuardSpec&) const = default;
    [[nodiscard]] bool asks() const noexcept { return *this != GuardSpec{}; }
};

/// How a remote is spoken to where it is not as the segment says: `vni` and `port` of bridge(8).
struct OwnNumbers {
    std::uint32_t vni = 0;      ///< to send with; 0: that of the segment
    std::uint16_t dstport = 0;  ///< UDP; 0: that of the segment
    auto operator<=>(const OwnNumbers&) const = default;
};

/// A member of a group of tenants, by the topology or by hand: a remote VTEP or an access port.
struct MdbSpec {
    net::IpAddress group;
    net::IpAddress source;  ///< `::` = any
    bool include = false;   ///< only `sources`, not all but them
    std::vector<net::IpAddress> sources;
    net::IpAddress remote;                ///< `::` = `port`
    OwnNumbers own;                       ///< of the remote
    std::uint16_t port = table::kNoPort;  ///< DPDK id
    auto operator<=>(const MdbSpec&) const = default;
};

/// A segment as configured; the index is its place in Tables::segments.
struct SegmentSpec {
    std::string name;
    net::Vni vni;
    TunnelProfile profile;
    net::MacAddress own_mac;
    std::uint16_t mtu = 1450;    ///< of inner frames, after their Ethernet header
    std::uint32_t ageing = 300;  ///< seconds; 0 = never
    std::uint32_t maxaddr = 0;   ///< 0 = no limit
    std::uint32_t neigh_maxaddr = 4096;
    bool learning = true;
    bool inner_vlan = false;
    net::IpAddress group;           ///< of the underlay, in the flood list; `::` = none
    std::uint32_t flood_limit = 0;  ///< flooded frames per second; 0 = any number
    MoveLimits moves;
    /// Of the 64-bit VXLAN header: bits that must be zero.
    std::uint64_t reserved_bits =
        std::uint64_t{table::Segment::kStrictFlags} << 32 | table::Segment::kStrictVni;
    bool ipv4 = true;  ///< has tunnels over IPv4
    bool ipv6 = false;
    bool udp6_zero_rx = false;  ///< takes packets without UDP checksum over IPv6
    std::uint16_t watch = 0;    ///< of table::watch
    GuardSpec guard;
    std::vector<NeighbourSpec> neighbours;
    bool mcast_snooping = false;
    std::vector<MdbSpec> mdb;
    std::vector<net::MacAddress> routers;  ///< FDB entries with `router`
    std::vector<std::uint16_t> ports;      ///< DPDK ids of member access ports
    std::string part_of;                   ///< the external vxlan that it is a part of
    std::uint16_t vid = 0;                 ///< of a part: VLAN on trunks
    std::vector<std::uint16_t> untagged;   ///< of `ports`: where it has no tag
    bool operator==(const SegmentSpec&) const = default;
};

}  // namespace vxplane::control
