// Every key of the file: one table per object, in the order in which people meet the keys. To add
// a key, add a member to the value in topology.hpp and a row here. The system and its ports are in
// tables_ports.cpp, ipvlans in tables_ipvlan.cpp.
#include <array>
#include <limits>

#include "config/access.hpp"
#include "config/limits.hpp"
#include "config/value_types.hpp"

namespace vxplane::config {
namespace {

using namespace values;  // NOLINT(google-build-using-namespace): made for this file

void read_version(Reader& reader, const YamlNode& node, const ValueType& type, Topology& /*out*/) {
    unsigned number = 0;
    reader.value(node, type, number);
}

constexpr std::array route_keys{
    Key<Route>{{"to", true, &destination, "prefix without host bits"}, scalar<&Route::to>()},
    Key<Route>{{"type", false, &route_type, "as `ip route`; unicast unless said"},
               scalar<&Route::type>()},
    Key<Route>{{"via", false, &ip, "next hop, on a subnet of an underlay port"},
               scalar<&Route::via>()},
    Key<Route>{{"dev", false, &text, "underlay port; none: the one whose subnet holds via"},
               scalar<&Route::dev>()},
    Key<Route>{
        {"src", false, &ip, "our address for tunnels that go there, where they have no local"},
        scalar<&Route::src>()},
    Key<Route>{{"mtu", false, &mtu, "of the way, where it takes less than the port"},
               scalar<&Route::mtu>()},
    Key<Route>{{"tos", false, &route_tos, "of outer headers over IPv4; without it all others"},
               scalar<&Route::tos>()},
    Key<Route>{
        {"slave", false, &text, "instead of via and dev: what is behind a slave of an ipvlan"},
        scalar<&Route::slave>()},
};

constexpr std::array neighbour_keys{
    Key<Neighbour>{{"address", true, &ip, "IP address"}, scalar<&Neighbour::address>()},
    Key<Neighbour>{{"lladdr", true, &mac, "its MAC address"}, scalar<&Neighbour::lladdr>()},
    Key<Neighbour>{{"dev", true, &text, "underlay port it is reached by"},
                   scalar<&Neighbour::dev>()},
};

constexpr std::array nexthop_member_keys{
    Key<NexthopMember>{{"dst", true, &ip, "remote VTEP"}, scalar<&NexthopMember::dst>()},
    Key<NexthopMember>{{"vni", false, &vni, "to send with; that of the segment unless said"},
                       scalar<&NexthopMember::vni>()},
    Key<NexthopMember>{{"dstport", false, &udp_port, "to send to; that of the segment unless said"},
                       scalar<&NexthopMember::dstport>()},
};
constexpr ValueType nexthop_member{.kind = Kind::object, .object = describe<NexthopMember>};
constexpr ValueType nexthop_member_list = list_of(nexthop_member);

constexpr std::array nexthop_keys{
    Key<NexthopGroup>{{"group", false, &ips, "remote VTEPs"},
                      placed<&NexthopGroup::remotes, &NexthopGroup::remote_where>()},
    Key<NexthopGroup>{{"members", false, &nexthop_member_list,
                       "remote VTEPs too, with a VNI or UDP port of their own"},
                      objects<&NexthopGroup::members>()},
};

constexpr std::array fdb_keys{
    Key<FdbEntry>{{"mac", true, &mac, "all zero: the flood list"}, scalar<&FdbEntry::mac>()},
    Key<FdbEntry>{{"dst", false, &ip_or_ips, "remote VTEP; several only in a flood list"},
                  placed<&FdbEntry::dst, &FdbEntry::dst_where>()},
    Key<FdbEntry>{{"nhid", false, &nexthop_id, "one of nexthops"}, scalar<&FdbEntry::nhid>()},
    Key<FdbEntry>{{"port", false, &text, "access port of this segment"}, scalar<&FdbEntry::port>()},
    Key<FdbEntry>{{"state", false, &fdb_state, "neither ages; permanent unless said"},
                  scalar<&FdbEntry::state>()},
    Key<FdbEntry>{{"router", false, &boolean, "a router: rsc looks behind it; false unless said"},
                  scalar<&FdbEntry::router>()},
    Key<FdbEntry>{{"vni", false, &vni, "to send with; that of the segment unless said"},
                  scalar<&FdbEntry::vni>()},
    Key<FdbEntry>{{"dstport", false, &udp_port, "to send to; that of the segment unless said"},
                  scalar<&FdbEntry::dstport>()},
    Key<FdbEntry>{
        {"src-vni", false, &vni, "of an external vxlan: VNI of the entry; all unless said"},
        scalar<&FdbEntry::src_vni>()},
};

constexpr ValueType segment_neighbour{.kind = Kind::object, .object = describe<SegmentNeighbour>};
constexpr ValueType segment_neighbour_list = list_of(segment_neighbour);

constexpr ValueType mdb{.kind = Kind::object, .object = describe<MdbEntry>};
constexpr ValueType mdb_list = list_of(mdb);

constexpr std::array tunnel_info_keys{
    Key<TunnelInfo>{{"vid", true, &text, "VLAN of trunks, or a range such as 10-20"},
                    scalar<&TunnelInfo::vid>()},
    Key<TunnelInfo>{{"id", true, &text, "VNI, or a range of as many"}, scalar<&TunnelInfo::id>()},
};
constexpr ValueType tunnel_info{.kind = Kind::object, .object = describe<TunnelInfo>};
constexpr ValueType tunnel_info_list = list_of(tunnel_info);

constexpr ValueType fdb{.kind = Kind::object, .object = describe<FdbEntry>};
constexpr ValueType fdb_list = list_of(fdb);

constexpr std::array vxlan_keys{
    Key<Vxlan>{{"id", false, &vni, "VNI; of every vxlan that is not external", Effect::recreate},
               scalar<&Vxlan::id>()},
    Key<Vxlan>{{"external", false, &boolean,
                "many VNIs, each with an FDB and counters of its own; false unless said",
                Effect::recreate},
               scalar<&Vxlan::external>()},
    Key<Vxlan>{{"vni", false, &text, "of an external vxlan: VNIs such as 100-200,300"},
               scalar<&Vxlan::vni>()},
    Key<Vxlan>{
        {"vnifilter", false, &boolean,
         "of an external vxlan: no VNI is heard but those in vni; true, and nothing else so far"},
        scalar<&Vxlan::vnifilter>()},
    Key<Vxlan>{{"tunnel-info", false, &tunnel_info_list,
                "of an external vxlan: VNIs that VLAN tags on its ports stand for"},
               objects<&Vxlan::tunnel_info>()},
    Key<Vxlan>{{"local", false, &ip, "our address; none: of the port the route chooses"},
               scalar<&Vxlan::local>()},
    Key<Vxlan>{{"local6", false, &ip, "our IPv6 address where local is IPv4: remotes of both"},
               scalar<&Vxlan::local6>()},
    Key<Vxlan>{{"remote", false, &ip, "short for one remote in the flood list"},
               scalar<&Vxlan::remote>()},
    Key<Vxlan>{{"group", false, &ip, "multicast group of the underlay that carries floods"},
               scalar<&Vxlan::group>()},
    Key<Vxlan>{
        {"dev", false, &text, "underlay port of group, of link-local addresses, or of remote"},
        scalar<&Vxlan::dev>()},
    Key<Vxlan>{{"state", false, &link_state, "down: nothing passes; up unless said"},
               scalar<&Vxlan::state>()},
    Key<Vxlan>{{"dstport", false, &udp_port, "UDP port; 4789 unless said, flannel has 8472",
                Effect::recreate},
               scalar<&Vxlan::dstport>()},
    Key<Vxlan>{
        {"srcport", false, &port_range, "outer UDP source ports; [32768, 60999] unless said"},
        scalar<&Vxlan::srcport>()},
    Key<Vxlan>{{"ttl", false, &ttl,
                "of the outer header; auto is 64, 1 to a group; inherit that of the inner packet"},
               scalar<&Vxlan::ttl>()},
    Key<Vxlan>{{"tos", false, &tos, "of the outer header; inherit: the DSCP of the inner packet"},
               scalar<&Vxlan::tos>()},
    Key<Vxlan>{
        {"df", false, &df, "don't-fragment bit of the outer header; inherit: set for IPv6 inside"},
        scalar<&Vxlan::df>()},
    Key<Vxlan>{{"ecn", false, &ecn, "how congestion marks are carried over"},
               scalar<&Vxlan::ecn>()},
    Key<Vxlan>{
        {"flowlabel", false, &flow_label,
         "of an outer IPv6 header; 0 unless said; entropy: made from the inner flow; inherit: "
         "that of IPv6 inside"},
        scalar<&Vxlan::flowlabel>()},
    Key<Vxlan>{{"udpcsum", false, &boolean, "outer UDP checksum over IPv4; false unless said"},
               scalar<&Vxlan::udpcsum>()},
    Key<Vxlan>{{"udp6zerocsumtx", false, &boolean, "leave out the outer UDP checksum over IPv6"},
               scalar<&Vxlan::udp6zerocsumtx>()},
    Key<Vxlan>{{"udp6zerocsumrx", false, &boolean,
                "take packets without UDP checksum over IPv6; false unless said"},
               scalar<&Vxlan::udp6zerocsumrx>()},
    Key<Vxlan>{{"remcsumtx", false, &boolean,
                "leave checksums that guests left open to the remote; false unless said"},
               scalar<&Vxlan::remcsumtx>()},
    Key<Vxlan>{
        {"remcsumrx", false, &boolean, "make checksums that remotes left open; false unless said"},
        scalar<&Vxlan::remcsumrx>()},
    Key<Vxlan>{{"learning", false, &boolean, "learn from received frames; true unless said"},
               scalar<&Vxlan::learning>()},
    Key<Vxlan>{{"ageing", false, &ageing, "seconds; 0: never; 300 unless said"},
               scalar<&Vxlan::ageing>()},
    Key<Vxlan>{{"fdb-conflict", false, &fdb_conflict,
                "frames from an address whose entry is fixed elsewhere: drop them, or forward them "
                "and learn nothing; drop unless said"},
               scalar<&Vxlan::fdb_conflict>()},
    Key<Vxlan>{{"flood-limit", false, &flood_limit,
                "frames a second that are flooded to all members; 0: any number; 0 unless said"},
               scalar<&Vxlan::flood_limit>()},
    Key<Vxlan>{
        {"dup-addr-max-moves", false, &max_moves,
         "an address that moves more often is a duplicate and stays; 0: never; 5 unless said"},
        scalar<&Vxlan::dup_addr_max_moves>()},
    Key<Vxlan>{{"dup-addr-time", false, &dup_addr_time,
                "seconds in which moves are counted; 180 unless said"},
               scalar<&Vxlan::dup_addr_time>()},
    Key<Vxlan>{{"dup-addr-freeze", false, &dup_addr_freeze,
                "seconds that a duplicate stays; 0: until it is removed; 1800 unless said"},
               scalar<&Vxlan::dup_addr_freeze>()},
    Key<Vxlan>{{"maxaddr", false, &u32, "most FDB entries; 0: no limit"},
               scalar<&Vxlan::maxaddr>()},
    Key<Vxlan>{{"inner-vlan", false, &boolean, "let VLAN-tagged inner frames pass"},
               scalar<&Vxlan::inner_vlan>()},
    Key<Vxlan>{{"gbp", false, &boolean, "group policy ids in the VXLAN header; false unless said",
                Effect::recreate},
               scalar<&Vxlan::gbp>()},
    Key<Vxlan>{{"gpe", false, &boolean,
                "external: the VXLAN header says what is inside (VXLAN-GPE); false unless said",
                Effect::recreate},
               scalar<&Vxlan::gpe>()},
    Key<Vxlan>{
        {"reserved-bits", false, &text,
         "of received VXLAN headers: strict refuses any, ignore none, 0xf7ffffff000000ff and "
         "the like those; strict unless said"},
        scalar<&Vxlan::reserved_bits>()},
    Key<Vxlan>{
        {"mtu", false, &mtu, "of inner frames; underlay's less 50, or 70 with IPv6, unless said"},
        scalar<&Vxlan::mtu>()},
    Key<Vxlan>{{"mss-clamp", false, &boolean,
                "lower the MSS of TCP through tunnels to what fits; false unless said"},
               scalar<&Vxlan::mss_clamp>()},
    Key<Vxlan>{
        {"fragment", false, &fragment,
         "what is too long for a tunnel: dropped (off), or cut outside or inside its header; "
         "off unless said"},
        scalar<&Vxlan::fragment>()},
    Key<Vxlan>{{"local-bypass", false, &boolean,
                "what is for one of our own VTEP addresses does not leave; true unless said"},
               scalar<&Vxlan::local_bypass>()},
    Key<Vxlan>{{"mac", false, &mac, "of the VTEP itself; made from the id unless said"},
               scalar<&Vxlan::mac>()},
    Key<Vxlan>{
        {"router", false, &text, "ipvlan whose slaves get what is sent to mac by IP address"},
        scalar<&Vxlan::router>()},
    Key<Vxlan>{{"proxy", false, &boolean,
                "answer ARP and ND for neighbours behind remote VTEPs; false unless said"},
               scalar<&Vxlan::proxy>()},
    Key<Vxlan>{{"proxy-fallback", false, &proxy_fallback,
                "what proxy cannot answer: flood it, or as the kernel keep it from remote VTEPs; "
                "flood unless said"},
               scalar<&Vxlan::proxy_fallback>()},
    Key<Vxlan>{{"proxy-dad", false, &boolean,
                "answer probes for duplicate addresses, too, and not leave them to who has the "
                "address; false unless said"},
               scalar<&Vxlan::proxy_dad>()},
    Key<Vxlan>{{"neigh-suppress", false, &boolean,
                "as `bridge link set neigh_suppress on`: proxy that floods what it cannot answer; "
                "false unless said"},
               scalar<&Vxlan::neigh_suppress>()},
    Key<Vxlan>{{"neigh-learning", false, &boolean,
                "learn neighbours from ARP and ND; they age as FDB entries; false unless said"},
               scalar<&Vxlan::neigh_learning>()},
    Key<Vxlan>{{"neigh-maxaddr", false, &neigh_maxaddr,
                "most neighbours that are learned; 4096 unless said"},
               scalar<&Vxlan::neigh_maxaddr>()},
    Key<Vxlan>{
        {"rsc", false, &boolean,
         "send IP for a router straight to the neighbour, when it is known; false unless said"},
        scalar<&Vxlan::rsc>()},
    Key<Vxlan>{{"l2miss", false, &boolean, "events for unknown MAC addresses; false unless said"},
               scalar<&Vxlan::l2miss>()},
    Key<Vxlan>{{"l3miss", false, &boolean, "events for unknown IP addresses; false unless said"},
               scalar<&Vxlan::l3miss>()},
    Key<Vxlan>{{"peers", false, &networks, "VTEPs that are heard; none: any"},
               placed<&Vxlan::peers, &Vxlan::peer_where>()},
    Key<Vxlan>{
        {"check-srcport", false, &ports, "outer UDP source ports that are heard; any unless said"},
        scalar<&Vxlan::check_srcport>()},
    Key<Vxlan>{{"refuse-vxlan", false, &boolean,
                "drop VXLAN to our UDP ports that comes from access ports; false unless said"},
               scalar<&Vxlan::refuse_vxlan>()},
    Key<Vxlan>{
        {"neighbours", false, &segment_neighbour_list, "who has an IP address, always there"},
        objects<&Vxlan::neighbours>()},
    Key<Vxlan>{{"ports", false, &texts, "access ports that belong to the segment", Effect::items},
               placed<&Vxlan::ports, &Vxlan::port_where>()},
    Key<Vxlan>{{"fdb", false, &fdb_list, "entries that are always there"}, objects<&Vxlan::fdb>()},
    Key<Vxlan>{{"mcast-snooping", false, &boolean,
                "groups of tenants go to the access ports that report them (IGMP, MLD); false "
                "unless said"},
               scalar<&Vxlan::mcast_snooping>()},
    Key<Vxlan>{{"mdb", false, &mdb_list, "who gets groups of tenants, always there"},
               objects<&Vxlan::mdb>()},
};

void read_system(Reader& reader, const YamlNode& node, const ValueType& /*type*/, Topology& out) {
    if (node.kind != YamlNode::Kind::null) reader.object(node, out.system);
}

void read_nexthops(Reader& reader, const YamlNode& node, const ValueType& type, Topology& out) {
    reader.named(node, type, out.nexthops, [](NexthopGroup& made, std::string_view name) {
        const auto id = parse_number(name);
        if (!id || *id < nexthop_id.min || *id > nexthop_id.max) return false;
        made.id = static_cast<std::uint32_t>(*id);
        return true;
    });
}

constexpr ValueType system_type{.kind = Kind::object, .object = describe<System>};
constexpr ValueType port{.kind = Kind::object, .object = describe<Port>};
constexpr ValueType port_map{.kind = Kind::map, .item = &port, .name_is = "port name"};
constexpr ValueType route{.kind = Kind::object, .object = describe<Route>};
constexpr ValueType route_list = list_of(route);
constexpr ValueType neighbour{.kind = Kind::object, .object = describe<Neighbour>};
constexpr ValueType neighbour_list = list_of(neighbour);
constexpr ValueType nexthop{.kind = Kind::object, .object = describe<NexthopGroup>};
constexpr ValueType nexthop_map{
    .kind = Kind::map, .min = 1, .max = any_u32, .item = &nexthop, .name_is = "next-hop id"};
constexpr ValueType vxlan{.kind = Kind::object, .object = describe<Vxlan>};
constexpr ValueType table{.kind = Kind::object, .object = describe<RouteTable>};
constexpr ValueType table_map{.kind = Kind::map, .item = &table, .name_is = "table name"};
constexpr ValueType ipvlan{.kind = Kind::object, .object = describe<Ipvlan>};
constexpr ValueType ipvlan_map{.kind = Kind::map, .item = &ipvlan, .name_is = "ipvlan name"};
constexpr ValueType vxlan_map{.kind = Kind::map, .item = &vxlan, .name_is = "segment name"};

constexpr std::array topology_keys{
    Key<Topology>{{"version", true, &version, "of this format"}, {read_version, nullptr}},
    Key<Topology>{{"system", false, &system_type, "the process itself"}, {read_system, nullptr}},
    Key<Topology>{{"ports", false, &port_map, "network ports taken over"},
                  named<&Topology::ports>()},
    Key<Topology>{{"routes", false, &route_list, "of the underlay"}, objects<&Topology::routes>()},
    Key<Topology>{{"neighbours", false, &neighbour_list, "permanent entries of the underlay"},
                  objects<&Topology::neighbours>()},
    Key<Topology>{{"nexthops", false, &nexthop_map, "FDB next-hop groups"},
                  {read_nexthops, nullptr}},
    Key<Topology>{{"vxlans", false, &vxlan_map, "segments"}, named<&Topology::vxlans>()},
    Key<Topology>{{"tables", false, &table_map, "routing tables for routes with table: NAME"},
                  named<&Topology::tables>()},
    Key<Topology>{{"ipvlans", false, &ipvlan_map, "hosts that share an underlay port's MAC"},
                  named<&Topology::ipvlans>()},
};

}  // namespace

template <>
std::span<const Key<Route>> keys_of<Route>() {
    return route_keys;
}
template <>
std::span<const Key<Neighbour>> keys_of<Neighbour>() {
    return neighbour_keys;
}
template <>
std::span<const Key<NexthopMember>> keys_of<NexthopMember>() {
    return nexthop_member_keys;
}
template <>
std::span<const Key<NexthopGroup>> keys_of<NexthopGroup>() {
    return nexthop_keys;
}
template <>
std::span<const Key<FdbEntry>> keys_of<FdbEntry>() {
    return fdb_keys;
}
template <>
std::span<const Key<TunnelInfo>> keys_of<TunnelInfo>() {
    return tunnel_info_keys;
}
template <>
std::span<const Key<Vxlan>> keys_of<Vxlan>() {
    return vxlan_keys;
}
template <>
std::span<const Key<Topology>> keys_of<Topology>() {
    return topology_keys;
}

std::vector<KeyDescription> describe_topology() {
    return describe<Topology>();
}

}  // namespace vxplane::config
