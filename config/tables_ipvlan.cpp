// Keys of ipvlans, their slaves, routing tables and rules; the other objects are in tables.cpp.
#include <algorithm>
#include <array>

#include "config/access.hpp"
#include "config/limits.hpp"
#include "config/resolve.hpp"

namespace vxplane::config {
namespace {

using namespace values;  // NOLINT(google-build-using-namespace): made for this file

/// Keys of a next hop that a route may also have itself.
constexpr std::array hop_words{Words("via"),    Words("dev"),    Words("slave"), Words("vxlan"),
                               Words("remote"), Words("lladdr"), Words("table")};

/// A next hop that is written into the route makes one entry of `hops`.
template <auto Member>
constexpr Access<TableRoute> hop() {
    return {[](Reader& reader, const YamlNode& node, const ValueType& type, TableRoute& out) {
                const auto given = std::ranges::count_if(
                    hop_words, [&](std::string_view word) { return out.keys.has(word); });
                if (given == 1) out.hops.emplace(out.hops.begin())->where = out.where;
                Hop& made = out.hops.front();
                reader.value(node, type, made.*Member);
                made.keys = out.keys;
            },
            [](const TableRoute& from, const ValueType& type) {
                return show(from.hops.size() == 1 ? from.hops.front().*Member : Hop{}.*Member,
                            type);
            }};
}

constexpr std::array hop_keys{
    Key<Hop>{{"via", false, &ip, "gateway"}, scalar<&Hop::via>()},
    Key<Hop>{{"dev", false, &text, "underlay port, or the port of the slave itself"},
             scalar<&Hop::dev>()},
    Key<Hop>{{"slave", false, &text, "slave of the same ipvlan, or IPVLAN/NAME"},
             scalar<&Hop::slave>()},
    Key<Hop>{{"vxlan", false, &text, "segment, with remote and lladdr"}, scalar<&Hop::vxlan>()},
    Key<Hop>{{"remote", false, &ip, "VTEP of the node behind the segment"}, scalar<&Hop::remote>()},
    Key<Hop>{{"lladdr", false, &mac, "MAC of that node inside the segment"},
             scalar<&Hop::lladdr>()},
    Key<Hop>{{"table", false, &text, "go on in one of tables, or in the table of a slave"},
             scalar<&Hop::table>()},
    Key<Hop>{{"weight", false, &weight, "share of the flows; 1 unless said"},
             scalar<&Hop::weight>()},
};

constexpr ValueType hop_type{.kind = Kind::object, .object = describe<Hop>};
constexpr ValueType hop_list = list_of(hop_type);

constexpr Access<TableRoute> hops{
    [](Reader& reader, const YamlNode& node, const ValueType& type, TableRoute& out) {
        reader.objects(node, type, out.hops);
    },
    [](const TableRoute& from, const ValueType& type) {
        return from.hops.size() > 1 || (from.hops.size() == 1 && from.hops.front().weight != 1)
                   ? show(from.hops, type)
                   : std::string("[]");
    }};

constexpr std::array table_route_keys{
    Key<TableRoute>{{"to", true, &destination, "prefix without host bits"},
                    scalar<&TableRoute::to>()},
    Key<TableRoute>{{"type", false, &route_type, "as `ip route`; unicast unless said"},
                    scalar<&TableRoute::type>()},
    Key<TableRoute>{{"via", false, &ip, "gateway, on the link of the ipvlan or on dev"},
                    hop<&Hop::via>()},
    Key<TableRoute>{{"dev", false, &text, "underlay port, or the port of the slave itself"},
                    hop<&Hop::dev>()},
    Key<TableRoute>{{"slave", false, &text, "slave of the same ipvlan, or IPVLAN/NAME"},
                    hop<&Hop::slave>()},
    Key<TableRoute>{{"vxlan", false, &text, "segment, with remote and lladdr"}, hop<&Hop::vxlan>()},
    Key<TableRoute>{{"remote", false, &ip, "VTEP of the node behind the segment"},
                    hop<&Hop::remote>()},
    Key<TableRoute>{{"lladdr", false, &mac, "MAC of that node inside the segment"},
                    hop<&Hop::lladdr>()},
    Key<TableRoute>{{"table", false, &text, "go on in one of tables, or in the table of a slave"},
                    hop<&Hop::table>()},
    Key<TableRoute>{{"nexthops", false, &hop_list, "several, chosen by flow"}, hops},
};

constexpr ValueType table_route{.kind = Kind::object, .object = describe<TableRoute>};
constexpr ValueType table_route_list = list_of(table_route);

constexpr std::array table_keys{
    Key<RouteTable>{{"routes", false, &table_route_list, "longest prefix first, in any order"},
                    objects<&RouteTable::routes>()},
};

constexpr std::array rule_keys{
    Key<Rule>{{"name", false, &text, "for counters; none: its place in the list"},
              scalar<&Rule::name>()},
    Key<Rule>{{"hook", true, &hook, "where the packet is judged"}, scalar<&Rule::hook>()},
    Key<Rule>{{"priority", false, &priority,
               "lowest first; that of its action unless said: raw for notrack, dstnat for dnat, "
               "srcnat for snat and masquerade, filter for the rest"},
              scalar<&Rule::priority>()},
    Key<Rule>{{"iif", false, &text, "slave the packet comes from; in rules of an ipvlan"},
              scalar<&Rule::iif>()},
    Key<Rule>{{"vrf", false, &text, "tenant the packet comes from; in rules of an ipvlan"},
              scalar<&Rule::vrf>()},
    Key<Rule>{{"protocol", false, &protocol, "of the transport header"}, scalar<&Rule::protocol>()},
    Key<Rule>{{"saddr", false, &network, "source address"}, scalar<&Rule::saddr>()},
    Key<Rule>{{"daddr", false, &network, "destination address"}, scalar<&Rule::daddr>()},
    Key<Rule>{{"sport", false, &ports, "source port"}, scalar<&Rule::sport>()},
    Key<Rule>{{"dport", false, &ports, "destination port"}, scalar<&Rule::dport>()},
    Key<Rule>{{"ct", false, &ct, "state of the connection"}, list<&Rule::ct>()},
    Key<Rule>{{"action", true, &action, "what is done with a packet that matches"},
              scalar<&Rule::action>()},
    Key<Rule>{{"to", false, &ip, "new address of dnat and snat"}, scalar<&Rule::to>()},
    Key<Rule>{{"slave", false, &text, "that has the address of dnat; in rules of an ipvlan"},
              scalar<&Rule::slave>()},
    Key<Rule>{{"to-ports", false, &nat_ports, "new ports; kept where possible unless said"},
              scalar<&Rule::to_ports>()},
};

constexpr ValueType rule{.kind = Kind::object, .object = describe<Rule>};
constexpr ValueType rule_list = list_of(rule);

constexpr std::array nat_keys{
    Key<NatPair>{{"public", true, &ip, "address on the wire"}, scalar<&NatPair::public_>()},
    Key<NatPair>{{"private", false, &ip, "address of the slave; its first unless said"},
                 scalar<&NatPair::private_>()},
};

constexpr ValueType nat_pair{.kind = Kind::object, .object = describe<NatPair>};
constexpr ValueType nat_list = list_of(nat_pair);

constexpr std::array slave_keys{
    Key<Slave>{{"port", true, &text, "access port of its own", Effect::restart},
               scalar<&Slave::port>()},
    Key<Slave>{
        {"addresses", false, &prefixes, "that lead to it, with prefix length", Effect::items},
        placed<&Slave::addresses, &Slave::address_where>()},
    Key<Slave>{{"vrf", false, &text, "tenant: addresses and connections of its own; none: shared"},
               scalar<&Slave::vrf>()},
    Key<Slave>{{"mtu", false, &mtu, "the link's unless said"}, scalar<&Slave::mtu>()},
    Key<Slave>{{"up", false, &boolean, "false: nothing is delivered; true unless said"},
               scalar<&Slave::up>()},
    Key<Slave>{{"rp_filter", false, &rp_filter, "source must have a route back; off unless said"},
               scalar<&Slave::rp_filter>()},
    Key<Slave>{{"check-source", false, &boolean,
                "only its own addresses may be the source; false unless said"},
               scalar<&Slave::check_source>()},
    Key<Slave>{{"forwarding", false, &boolean,
                "gets what routes say is behind it (l3s: from siblings alone); true unless said"},
               scalar<&Slave::forwarding>()},
    Key<Slave>{{"proxy_arp", false, &boolean,
                "l3, l3s: its ARP and ND requests are answered; true unless said"},
               scalar<&Slave::proxy_arp>()},
    Key<Slave>{{"allmulticast", false, &boolean, "l2: hears all groups; false unless said"},
               scalar<&Slave::allmulticast>()},
    Key<Slave>{{"groups", false, &ips, "l2: multicast groups that it hears", Effect::items},
               placed<&Slave::groups, &Slave::group_where>()},
    Key<Slave>{{"rate", false, &rate, "limit towards the wire; none unless said"},
               scalar<&Slave::rate>()},
    Key<Slave>{
        {"routes", false, &table_route_list, "its own; where they end, those of the link go on"},
        objects<&Slave::routes>()},
    Key<Slave>{{"rules", false, &rule_list, "judged for this slave"}, objects<&Slave::rules>()},
    Key<Slave>{{"nat", false, &nat_list, "1:1, in both directions"}, objects<&Slave::nat>()},
};

constexpr ValueType slave_type{.kind = Kind::object, .object = describe<Slave>};
constexpr ValueType slave_map{.kind = Kind::map, .item = &slave_type, .name_is = "slave name"};

constexpr std::array conntrack_keys{
    Key<ConntrackOptions>{{"on", false, &boolean, "true where a rule needs it, unless said"},
                          scalar<&ConntrackOptions::on>()},
    Key<ConntrackOptions>{{"capacity", false, &connections, "most connections; 65536 unless said"},
                          scalar<&ConntrackOptions::capacity>()},
    // How long a connection is remembered without a packet.
    Key<ConntrackOptions>{{"tcp-syn-sent", false, &timeout, "seconds; 120 unless said"},
                          scalar<&ConntrackOptions::tcp_syn_sent>()},
    Key<ConntrackOptions>{{"tcp-syn-recv", false, &timeout, "seconds; 60 unless said"},
                          scalar<&ConntrackOptions::tcp_syn_recv>()},
    Key<ConntrackOptions>{{"tcp-established", false, &timeout, "seconds; 432000 unless said"},
                          scalar<&ConntrackOptions::tcp_established>()},
    Key<ConntrackOptions>{{"tcp-fin-wait", false, &timeout, "seconds; 120 unless said"},
                          scalar<&ConntrackOptions::tcp_fin_wait>()},
    Key<ConntrackOptions>{{"tcp-close-wait", false, &timeout, "seconds; 60 unless said"},
                          scalar<&ConntrackOptions::tcp_close_wait>()},
    Key<ConntrackOptions>{{"tcp-last-ack", false, &timeout, "seconds; 30 unless said"},
                          scalar<&ConntrackOptions::tcp_last_ack>()},
    Key<ConntrackOptions>{{"tcp-time-wait", false, &timeout, "seconds; 120 unless said"},
                          scalar<&ConntrackOptions::tcp_time_wait>()},
    Key<ConntrackOptions>{{"tcp-close", false, &timeout, "seconds; 10 unless said"},
                          scalar<&ConntrackOptions::tcp_close>()},
    Key<ConntrackOptions>{{"udp", false, &timeout, "seconds; 30 unless said"},
                          scalar<&ConntrackOptions::udp>()},
    Key<ConntrackOptions>{{"udp-stream", false, &timeout, "seconds; 120 unless said"},
                          scalar<&ConntrackOptions::udp_stream>()},
    Key<ConntrackOptions>{{"icmp", false, &timeout, "seconds; 30 unless said"},
                          scalar<&ConntrackOptions::icmp>()},
    Key<ConntrackOptions>{{"generic", false, &timeout, "seconds; 600 unless said"},
                          scalar<&ConntrackOptions::generic>()},
};

constexpr ValueType conntrack{.kind = Kind::object, .object = describe<ConntrackOptions>};

void read_conntrack(Reader& reader, const YamlNode& node, const ValueType& /*type*/, Ipvlan& out) {
    if (node.kind != YamlNode::Kind::null) reader.object(node, out.conntrack);
}

/// Two flags in a list are what people try who know that `ip link` has three words for them.
void read_flag(Reader& reader, const YamlNode& node, const ValueType& type, Ipvlan& out) {
    std::string words;
    for (const YamlNode& item : node.items) {
        words += (words.empty() ? "" : " and ") + item.text;
    }
    if (node.kind == YamlNode::Kind::list && node.items.size() > 1) {
        reader.refuse(node.where, words + " exclude each other (" + type.allowed() + ")");
        return;
    }
    reader.value(node, type, out.flag);
}

constexpr std::array ipvlan_keys{
    Key<Ipvlan>{{"link", true, &text, "underlay port, the master", Effect::restart},
                scalar<&Ipvlan::link>()},
    Key<Ipvlan>{{"mode", false, &mode, "as `ip link add type ipvlan`; l3 unless said"},
                scalar<&Ipvlan::mode>()},
    Key<Ipvlan>{{"flag", false, &flag, "between slaves; bridge unless said"},
                {read_flag, shown<&Ipvlan::flag>}},
    Key<Ipvlan>{{"host-access", false, &boolean,
                 "l2: slaves and the host reach each other; false unless said"},
                scalar<&Ipvlan::host_access>()},
    Key<Ipvlan>{{"decrement-ttl", false, &boolean,
                 "l3, l3s: from slave to wire is a hop; false unless said"},
                scalar<&Ipvlan::decrement_ttl>()},
    Key<Ipvlan>{
        {"dhcp-snoop", false, &boolean,
         "l2: answers of DHCP servers find the slave that asked, and what they lease becomes "
         "its address; false unless said"},
        scalar<&Ipvlan::dhcp_snoop>()},
    Key<Ipvlan>{{"mcast_snooping", false, &boolean,
                 "l2: slaves hear the groups that they join by IGMP or MLD; true unless said"},
                scalar<&Ipvlan::mcast_snooping>()},
    Key<Ipvlan>{{"masquerade", false, &boolean,
                 "slaves of a vrf, and private addresses, leave with the link's address; false "
                 "unless said"},
                scalar<&Ipvlan::masquerade>()},
    Key<Ipvlan>{{"masquerade-ports", false, &nat_ports,
                 "1024-65535 unless said; where a host "
                 "shares the link, none of its own ports, as 61000-65535"},
                scalar<&Ipvlan::masquerade_ports>()},
    Key<Ipvlan>{{"conntrack", false, &conntrack, "connections; on where a rule needs it"},
                {read_conntrack, nullptr}},
    Key<Ipvlan>{{"rules", false, &rule_list, "judged on the side of the link"},
                objects<&Ipvlan::rules>()},
    Key<Ipvlan>{{"slaves", false, &slave_map, "who shares the link"}, named<&Ipvlan::slaves>()},
};

}  // namespace

template <>
std::span<const Key<Hop>> keys_of<Hop>() {
    return hop_keys;
}
template <>
std::span<const Key<TableRoute>> keys_of<TableRoute>() {
    return table_route_keys;
}
template <>
std::span<const Key<RouteTable>> keys_of<RouteTable>() {
    return table_keys;
}
template <>
std::span<const Key<Rule>> keys_of<Rule>() {
    return rule_keys;
}
template <>
std::span<const Key<NatPair>> keys_of<NatPair>() {
    return nat_keys;
}
template <>
std::span<const Key<Slave>> keys_of<Slave>() {
    return slave_keys;
}
template <>
std::span<const Key<ConntrackOptions>> keys_of<ConntrackOptions>() {
    return conntrack_keys;
}
template <>
std::span<const Key<Ipvlan>> keys_of<Ipvlan>() {
    return ipvlan_keys;
}

}  // namespace vxplane::config
