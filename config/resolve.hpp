// Values that the file leaves open and that follow from other parts of the topology: met by
// validate, and by control when it turns a topology into table writes. Pure; pointers point into
// the topology that was passed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/topology.hpp"

namespace vxplane::config {

[[nodiscard]] const Port* find_port(const Topology& topology, std::string_view name);
[[nodiscard]] const Vxlan* find_vxlan(const Topology& topology, std::string_view name);
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
/// choose too (in the next hop's subnet, else the first). `tos`: of the packet.
struct Egress {
    const Port* port = nullptr;
    std::optional<IpAddress> next_hop{};
    std::optional<IpAddress> source{};
};
[[nodiscard]] Egress egress_to(const Topology& topology, const IpAddress& address,
                               std::uint8_t tos = 0);

/// `10.1.0.0/16 tos 0x10`: what tells a route from all others.
[[nodiscard]] std::string name_of(const Route& route);

/// `group`, `remote` and the destinations of the all-zero entries, each once, in the order of the
/// file.
[[nodiscard]] std::vector<IpAddress> flood_list(const Vxlan& vxlan);
/// Copies that a flood may take: one remote may be there with several VNIs.
[[nodiscard]] std::size_t flood_copies(const Vxlan& vxlan);
/// All members of a group.
[[nodiscard]] std::vector<IpAddress> remotes_of(const NexthopGroup& group);

/// Over what a segment has tunnels: the families of `local`, `local6` and all remotes of the file;
/// where it names no address, that of effective_local().
struct Families {
    bool ipv4 = false;
    bool ipv6 = false;
};
[[nodiscard]] Families families_of(const Topology& topology, const Vxlan& vxlan);

/// Whether the port has the address itself.
[[nodiscard]] bool has_address(const Port& port, const IpAddress& address);

/// fe80::/10: one on each link, so it says nothing without a port.
[[nodiscard]] bool is_link_local(const IpAddress& address);
/// Its own IPv6 address is link-local, and so are its remotes over IPv6: `dev` says on which link.
[[nodiscard]] bool is_of_one_link(const Vxlan& vxlan);

/// Bytes of headers around an inner packet: 50, or 70 where there may be IPv6 around it.
[[nodiscard]] std::uint16_t overhead_of(const Topology& topology, const Vxlan& vxlan);

/// `local`, or the group's port's, or the source towards the first remote (flood list, then FDB,
/// then next-hop groups), or the first IPv4 address of an underlay port, or else its first IPv6
/// one. None when no underlay port has one.
[[nodiscard]] std::optional<IpAddress> effective_local(const Topology& topology,
                                                       const Vxlan& vxlan);

/// The port named by `dev` of a segment: of its group, or of the link it is of; null without.
[[nodiscard]] const Port* dev_of(const Topology& topology, const Vxlan& vxlan);

/// The underlay port that has the effective local address; that of `local6` or `dev` where it has
/// the smaller mtu.
[[nodiscard]] const Port* uplink_of(const Topology& topology, const Vxlan& vxlan);

/// The first address of an underlay port that is of the family, and not link-local.
[[nodiscard]] std::optional<IpAddress> first_address(const Port& port, IpAddress::Family family);

/// Bytes of an inner frame after its Ethernet header: `mtu`, or the uplink's less overhead_of()
/// (VX-21). 0 when there is no uplink.
[[nodiscard]] std::uint16_t effective_mtu(const Topology& topology, const Vxlan& vxlan);

/// What the segments of an access port take, the least of them; 0 when it is in none.
[[nodiscard]] std::uint16_t segment_mtu(const Topology& topology, const Port& port);

// ipvlans: resolve_ipvlan.cpp.

[[nodiscard]] const Ipvlan* find_ipvlan(const Topology& topology, std::string_view name);
/// The ipvlan whose link is the underlay port of that name.
[[nodiscard]] const Ipvlan* ipvlan_of_link(const Topology& topology, std::string_view port);
[[nodiscard]] const Slave* find_slave(const Ipvlan& ipvlan, std::string_view name);
[[nodiscard]] const RouteTable* find_table(const Topology& topology, std::string_view name);

/// A slave and the ipvlan it belongs to; both null when there is none.
struct SlaveRef {
    const Ipvlan* ipvlan = nullptr;
    const Slave* slave = nullptr;
    [[nodiscard]] explicit operator bool() const { return slave != nullptr; }
};
/// The slave whose port is the access port of that name.
[[nodiscard]] SlaveRef slave_of_port(const Topology& topology, std::string_view port);

/// The first address of the slave of the family of `like`; all zero, of that family, without one.
[[nodiscard]] IpAddress first_like(const Slave& slave, const IpAddress& like);

/// What a rule has whose priority is not given; see Rule::priority.
[[nodiscard]] int default_priority(RuleAction action);

/// What `slave: TEXT` of a next hop means in a route of `home` (null in a route of `tables:`):
/// IPVLAN/NAME, or NAME in `home`, or, without a home, the only slave of that name.
[[nodiscard]] SlaveRef resolve_slave(const Topology& topology, const Ipvlan* home,
                                     std::string_view text);

/// What `table: TEXT` of a next hop means: one of `tables:`, or else the table of the slave that
/// `slave: TEXT` would mean. All null when there is neither.
struct TableRef {
    const RouteTable* table = nullptr;
    SlaveRef slave{};
};
[[nodiscard]] TableRef resolve_table(const Topology& topology, const Ipvlan* home,
                                     std::string_view text);

/// Bytes after the Ethernet header: `mtu`, or that of the link, or that of the slave's port where
/// the file gives a smaller one (IV-04). 0 when the link is not there.
[[nodiscard]] std::uint16_t effective_mtu(const Topology& topology, const Ipvlan& ipvlan,
                                          const Slave& slave);

/// Whether connections are tracked: `conntrack: {on: ...}` where it is given, else whether
/// anything needs it (NAT of any kind, or a rule that asks for a state).
[[nodiscard]] bool conntrack_on(const Ipvlan& ipvlan);
[[nodiscard]] bool needs_conntrack(const Ipvlan& ipvlan);

/// Tenants of an ipvlan, in the order in which slaves name them. The shared one, which has no name,
/// is not among them: `vrf` numbers are 0 for it and 1 + place here for the others.
[[nodiscard]] std::vector<std::string_view> vrfs_of(const Ipvlan& ipvlan);

/// Rules of the side of the link: `rules:`, then what `nat:` of its slaves and `masquerade:` stand
/// for. 1:1 is snat in postrouting for what comes from the slave and, in l3s, dnat in prerouting
/// with `slave` set. In l2 and l3 that dnat is among the rules of the slave, and the public address
/// has to lead to the slave (public_addresses). Not sorted by priority; what was written comes
/// before what was made. Rules that were made have names no file can give, such as
/// `snat[203.0.113.10]` and `masquerade[10.0.0.0/8]`.
[[nodiscard]] std::vector<Rule> link_rules(const Ipvlan& ipvlan);
[[nodiscard]] std::vector<Rule> slave_rules(const Ipvlan& ipvlan, const Slave& slave);

/// Addresses of `nat:` by slave: the link answers ARP and ND for them, and what arrives for them is
/// the slave's.
struct PublicAddress {
    IpAddress address;
    const Slave* slave = nullptr;
};
[[nodiscard]] std::vector<PublicAddress> public_addresses(const Ipvlan& ipvlan);

}  // namespace vxplane::config
