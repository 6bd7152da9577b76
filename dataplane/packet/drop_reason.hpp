// Every reason for which vxplane gives a packet up: one table, from which the enum, the names, the
// help of the metrics and the list in the documentation are made. A packet that is not forwarded
// has exactly one of these.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vxplane::packet {

/// How much a count of this reason should worry an operator.
enum class Severity : std::uint8_t {
    normal,       ///< happens in a healthy network
    malformed,    ///< somebody sends frames that are not what they claim
    refused,      ///< a rule of the topology or of the protocol forbids it
    unreachable,  ///< the way out is missing
    overload      ///< a queue or a pool was too small
};

// X(name, severity, "sentence")
#define VXPLANE_DROP_REASONS(X)                                                                    \
    X(eth_runt, malformed, "shorter than an Ethernet header")                                      \
    X(eth_too_long, malformed, "longer than the MTU of the port where it arrived")                 \
    X(eth_not_for_us, normal, "destination MAC address is not that of the underlay port")          \
    X(eth_bad_source, malformed, "source MAC address is zero or a group address")                  \
    X(eth_link_local, normal, "destination 01:80:c2:00:00:0x is for the neighbour only")           \
    X(access_no_segment, refused, "access port is a member of no segment")                         \
    X(access_vlan, refused, "VLAN tag on an access port whose segment does not allow tags")        \
    X(access_untagged, refused, "no VLAN tag on a trunk, and its port has no pvid")                \
    X(access_unknown_vid, refused, "VLAN id of a trunk that leads to no VNI of its vxlan")         \
    X(access_vxlan, refused, "VXLAN made by a tenant, and the segment refuses it (refuse-vxlan)")  \
    X(ip4_truncated, malformed, "IPv4 packet shorter than its header")                             \
    X(ip4_bad_version, malformed, "EtherType says IPv4, the version field does not")               \
    X(ip4_bad_header_length, malformed, "IPv4 header length below 20 or beyond the packet")        \
    X(ip4_bad_total_length, malformed, "IPv4 total length below the header or beyond the frame")   \
    X(ip4_bad_checksum, malformed, "IPv4 header checksum is wrong")                                \
    X(ip4_bad_source, malformed, "IPv4 source is an address that no host has")                     \
    X(ip6_bad_source, malformed, "IPv6 source is an address that no host has")                     \
    X(outer_own_vtep, malformed, "outer source address is one of our own")                         \
    X(outer_fragment, refused, "outer packet is a fragment")                                       \
    X(outer_fragment_bad, malformed,                                                               \
      "fragment that no datagram can have, or beside those there are")                             \
    X(outer_fragment_lost, unreachable, "the rest of the outer packet did not come within 30 s")   \
    X(outer_fragment_full, overload, "no room for so many outer fragments")                        \
    X(udp_bad_length, malformed, "UDP length below 8 or beyond the IP payload")                    \
    X(udp_bad_checksum, malformed, "UDP checksum is present and wrong")                            \
    X(udp_no_checksum, refused, "no UDP checksum over IPv6, and udp6zerocsumrx is off")            \
    X(vxlan_too_short, malformed, "no room for a VXLAN header and an inner Ethernet header")       \
    X(vxlan_no_vni_flag, malformed, "VXLAN header without the I flag")                             \
    X(vxlan_reserved_bits, refused, "VXLAN header with a reserved bit set")                        \
    X(gpe_version, refused, "VXLAN-GPE of another version")                                        \
    X(gpe_no_protocol, refused, "VXLAN-GPE header that does not say what is inside (P bit)")       \
    X(gpe_oam, refused, "VXLAN-GPE packet for operation and maintenance (O bit)")                  \
    X(gpe_unknown_protocol, refused, "VXLAN-GPE with something inside that is not what it takes")  \
    X(gpe_no_owner, unreachable, "IP in VXLAN-GPE for an address that no neighbour has")           \
    X(gpe_not_ip, refused, "frame that is not IP for a peer that takes IP without Ethernet")       \
    X(vxlan_bad_remcsum, malformed,                                                                \
      "missing checksum is said to stand behind the end of the frame")                             \
    X(vxlan_unknown_vni, refused, "VNI is not configured for this UDP port")                       \
    X(vxlan_other_group, refused, "sent to a multicast group that the segment does not use")       \
    X(admin_down, refused, "the segment is down (state)")                                          \
    X(peer_unknown, refused, "outer source is no peer of the segment (peers)")                     \
    X(peer_port, refused, "outer source port outside the range of the segment (check-srcport)")    \
    X(vxlan_own_mac, malformed, "inner source MAC address is that of the VTEP itself")             \
    X(vxlan_bad_source_mac, malformed, "inner source MAC address is zero or a group address")      \
    X(vxlan_inner_vlan, refused, "VLAN tag inside, and the segment does not allow tags")           \
    X(vxlan_inner_truncated, malformed, "inner IP packet shorter than its fixed header")           \
    X(vxlan_ecn_lost, normal, "outer CE, inner sender does not speak ECN: RFC 6040 says drop")     \
    X(fdb_conflict, refused, "source MAC address is fixed at another place")                       \
    X(fdb_miss, normal, "unknown destination and nowhere to flood it to")                          \
    X(fdb_same_port, normal, "destination is on the port where the frame came from")               \
    X(fdb_split_horizon, normal, "came from a remote VTEP, destination is behind a remote VTEP")   \
    X(flood_empty, normal, "broadcast or multicast, and no other member of the segment")           \
    X(mdb_no_listener, normal, "for a multicast group, and no other member wants it")              \
    X(flood_limit, overload, "more floods of the segment than its flood-limit allows")             \
    X(flood_no_buffer, overload, "no buffer for a copy of a flooded frame")                        \
    X(proxy_no_buffer, overload, "no buffer for an answer to ARP or neighbour discovery")          \
    X(control_no_copy, overload, "no buffer for a copy of a frame that control wants to see")      \
    X(tunnel_oversize, refused, "does not fit the MTU of the underlay port with its outer header") \
    X(tunnel_no_headroom, overload, "no buffer for the outer header")                              \
    X(tunnel_no_route, unreachable, "no route to the remote VTEP")                                 \
    X(tunnel_blackhole, refused, "route to the remote VTEP is of type blackhole")                  \
    X(tunnel_unreachable, unreachable, "route to the remote VTEP is of type unreachable")          \
    X(tunnel_prohibited, refused, "route to the remote VTEP is of type prohibit")                  \
    X(neigh_failed, unreachable, "next hop to the remote VTEP does not answer ARP")                \
    X(neigh_queue_full, overload, "queue of the unresolved next hop is full, oldest goes first")   \
    X(slave_down, refused, "the ipvlan slave is down")                                             \
    X(slave_private, refused, "to a sibling, and the ipvlan's flag is private")                    \
    X(slave_not_ip, refused, "neither IPv4 nor IPv6, and the ipvlan routes (l3, l3s)")             \
    X(slave_group, refused, "broadcast or multicast, and the ipvlan routes (l3, l3s)")             \
    X(slave_pause, normal, "MAC PAUSE frame on an ipvlan")                                         \
    X(slave_oversize, refused, "longer than the MTU of the ipvlan slave where it would leave")     \
    X(slave_copies_full, overload, "more copies of broadcasts in one poll than the ipvlan allows") \
    X(slave_no_copy, overload, "no buffer for a copy of a broadcast to ipvlan slaves")             \
    X(slave_bad_source, refused, "source address that no host has")                                \
    X(slave_spoofed, refused, "source address that is not the slave's (check-source)")             \
    X(slave_vlan, refused, "VLAN tag, and the slave's source is checked (check-source)")           \
    X(slave_unknown, normal, "routed to an ipvlan's slaves, and none has the address")             \
    X(slave_arp_foreign, refused, "ARP or ND of a slave from an address that is not its own")      \
    X(slave_lease_refused, refused, "DHCP lease of an address that is somebody else's already")    \
    X(slave_rate, overload, "more towards the wire than the slave's rate")                         \
    X(slave_not_local, refused, "from the wire to what is behind a slave, and the ipvlan is l3s")  \
    X(forwarding_off, refused, "to what is behind a slave, and the slave forwards nothing")        \
    X(route_none, unreachable, "no route in the slave's table nor in the host's")                  \
    X(route_blackhole, refused, "route of type blackhole")                                         \
    X(route_unreachable, unreachable, "route of type unreachable")                                 \
    X(route_prohibit, refused, "route of type prohibit")                                           \
    X(route_loop, refused, "tables that lead to each other")                                       \
    X(route_reverse, refused, "reverse path filter: the source is not reached by this slave")      \
    X(route_other_exit, refused, "its source is bound to the ipvlan's link, the way out is not")   \
    X(route_ttl, normal, "TTL or hop limit is used up")                                            \
    X(route_no_fragment, overload, "no buffer for a fragment")                                     \
    X(route_too_big, refused, "longer than the MTU of the way out, and may not be fragmented")     \
    X(ip6_malformed, malformed, "IPv6 packet truncated, or of another version")                    \
    X(ip6_mapped_address, malformed, "IPv6 packet from or to an IPv4-mapped address")              \
    X(hook_drop, refused, "a rule says drop")                                                      \
    X(hook_reject, refused, "a rule says reject, and the answer was not made")                     \
    X(ct_table_full, overload, "no place for a connection, and none that may be dropped early")    \
    X(ct_invalid, refused, "of no connection, and its tenant's address means nothing outside")     \
    X(ct_fragment_no_first, refused, "later fragment, and the first one was not seen")             \
    X(ct_clash, refused, "began a connection that another packet began otherwise")                 \
    X(nat_ports_exhausted, overload, "no port is free for the translated address")                 \
    X(nat_no_address, unreachable, "masquerade, and the way out has no address of the family")     \
    X(group_refused, refused, "of a policy group that the port does not accept (accept-groups)")   \
    X(port_oversize, refused, "longer than the MTU of the port where it would leave")              \
    X(port_gone, normal, "port or segment was taken out of the topology meanwhile")                \
    X(host_unclaimed, normal, "for the host, and the port has no kernel twin")                     \
    X(arp_malformed, malformed, "ARP packet that is not Ethernet and IPv4, or has a bad sender")   \
    X(nd_malformed, malformed, "neighbour discovery that RFC 4861 says to discard")                \
    X(icmp_malformed, malformed, "ICMP message truncated or with a wrong checksum")                \
    X(control_rate, overload, "more packets for control than its rate limit allows")               \
    X(control_share, overload, "more for control from one port of a slave than its share of it")   \
    X(control_ring_full, overload, "ring to the control thread is full")                           \
    X(inject_ring_full, overload, "ring from the control thread to the worker is full")            \
    X(handoff_full, overload, "ring to the worker that owns the transmit queue is full")           \
    X(backlog_full, overload, "backlog of the worker that the flow is steered to is full")         \
    X(flow_limit, overload, "one flow takes most of a backlog that is half full")                  \
    X(tx_full, overload, "transmit queue of the port stayed full")                                 \
    X(tx_no_buffer, overload, "port takes no chained buffers, and none was free for a copy")

enum class DropReason : std::uint8_t {
    none = 0,  ///< not dropped
#define VXPLANE_X(name, severity, text) name,
    VXPLANE_DROP_REASONS(VXPLANE_X)
#undef VXPLANE_X
        count
};

constexpr std::size_t kDropReasons = static_cast<std::size_t>(DropReason::count);

struct DropReasonInfo {
    std::string_view name;
    Severity severity;
    std::string_view text;
};

/// Indexed by DropReason.
constexpr std::array<DropReasonInfo, kDropReasons> kDropReasonInfo{
    {{"none", Severity::normal, "not dropped"},
#define VXPLANE_X(name, severity, text) {#name, Severity::severity, text},
     VXPLANE_DROP_REASONS(VXPLANE_X)
#undef VXPLANE_X
    }};

constexpr const DropReasonInfo& info(DropReason reason) noexcept {
    return kDropReasonInfo[static_cast<std::size_t>(reason)];
}

constexpr std::string_view name(Severity severity) noexcept {
    constexpr std::array<std::string_view, 5> kNames{"normal", "malformed", "refused",
                                                     "unreachable", "overload"};
    return kNames[static_cast<std::size_t>(severity)];
}

/// Packets by reason. One writer.
using DropCounts = std::array<std::uint64_t, kDropReasons>;

}  // namespace vxplane::packet
