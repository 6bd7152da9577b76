// Slaves as routers, and slaves that are bound to their link: what is behind a slave, who may send
// to it, and by which port a slave's packets never leave.
#include <gtest/gtest.h>

#include "tests/support/slave_scene.hpp"

namespace vxplane::support {
namespace {

/// A route of the host says that 10.9.0.0/16 is behind red.
struct Routers : Slaves {
    explicit Routers(IpvlanMode mode) : Slaves(mode) {
        table::NextHop next;
        next.kind = table::NextHopKind::slave;
        next.index = 0;
        to_red = hop(next);
        route(main, "10.9.0.0", 16, {table::RouteType::unicast, to_red});
        master().routes_to_slaves = true;
    }
    std::uint32_t to_red = 0;
};
/// By a route of a sibling: one hop.
Frame from_sibling(const char* to) {
    return datagram("10.1.0.2", to, 63);
}

TEST(SlaveRoutes, IV24_what_the_host_routes_to_a_slave_reaches_it_from_the_wire) {
    for (const IpvlanMode mode : {IpvlanMode::l2, IpvlanMode::l3}) {
        Routers s(mode);
        Golden(s.lab, s.up, from_peer("10.9.0.7"))
            .out(s.red, from_peer("10.9.0.7"))
            .uncut()
            .check();
        // Addresses come first, and what is behind nobody is the host's.
        Golden(s.lab, s.up, from_peer("10.1.0.2"))
            .out(s.blue, from_peer("10.1.0.2"))
            .uncut()
            .check();
        const Frame other = from_peer("10.8.0.7");
        Golden(s.lab, s.up, other).out(s.host_twin, other).uncut().check();
    }
}

TEST(SlaveRoutes, IV24_only_datagrams_to_our_own_station_are_routed_to_a_slave) {
    Routers s(IpvlanMode::l3);
    const Frame all = from_peer("10.9.0.7").to(kBroadcast);
    Golden(s.lab, s.up, all).out(s.host_twin, all).uncut().check();
    Golden(s.lab, s.up, request("10.1.0.100", "10.9.0.7")).punts(Punt::arp).uncut().check();
}

TEST(SlaveRoutes, IV24_rules_of_a_slave_see_what_goes_through_it) {
    Routers s(IpvlanMode::l3);
    table::HookRule no;
    no.hook = table::Hook::forward;
    no.destination = table::RulePrefix(any_ip("10.9.1.0"), 24);
    no.verdict = table::RuleVerdict::drop;
    s.rules(0, {no});
    s.track();
    s.lab.publish();
    Golden(s.lab, s.up, from_peer("10.9.1.7")).drops(DropReason::hook_drop).uncut().check();
    Golden(s.lab, s.up, from_peer("10.9.0.7")).out(s.red, from_peer("10.9.0.7")).uncut().check();
}

TEST(SlaveRoutes, IV24_a_slave_of_another_ipvlan_is_behind_another_link) {
    Routers s(IpvlanMode::l3);
    s.masters.push_back(s.master());
    s.slaves[0].master = 1;
    const Frame frame = from_peer("10.9.0.7");
    Golden(s.lab, s.up, frame).out(s.host_twin, frame).uncut().check();
    Golden(s.lab, s.blue, datagram("10.1.0.2", "10.9.0.7"))
        .drops(DropReason::route_other_exit)
        .uncut()
        .check();
}

TEST(SlaveRoutes, RP72_a_slave_that_forwards_nothing_gets_what_it_has_itself) {
    Routers s(IpvlanMode::l3);
    s.slaves[0].forwards = false;
    s.slaves[0].routes = 2;
    Slaves::route(s.own_table, "10.9.8.0", 24, {table::RouteType::unicast, s.to_red});  // local
    Golden(s.lab, s.up, from_peer("10.9.0.7")).drops(DropReason::forwarding_off).uncut().check();
    Golden(s.lab, s.blue, datagram("10.1.0.2", "10.9.0.7"))
        .drops(DropReason::forwarding_off)
        .uncut()
        .check();
    Golden(s.lab, s.up, from_peer("10.9.8.7")).out(s.red, from_peer("10.9.8.7")).uncut().check();
    Golden(s.lab, s.blue, datagram("10.1.0.2", "10.9.8.7"))
        .out(s.red, from_sibling("10.9.8.7"))
        .uncut()
        .check();
    Golden(s.lab, s.up, from_peer("10.1.0.1")).out(s.red, from_peer("10.1.0.1")).uncut().check();
}

TEST(SlaveRoutes, IV29_l3s_forwards_nothing_from_the_wire) {
    Routers s(IpvlanMode::l3s);
    s.slaves[0].routes = 2;
    Slaves::route(s.own_table, "10.9.8.0", 24, {table::RouteType::unicast, s.to_red});  // local
    Golden(s.lab, s.up, from_peer("10.9.0.7")).drops(DropReason::slave_not_local).uncut().check();
    Golden(s.lab, s.up, from_peer("10.9.8.7")).out(s.red, from_peer("10.9.8.7")).uncut().check();
    Golden(s.lab, s.up, from_peer("10.1.0.1")).out(s.red, from_peer("10.1.0.1")).uncut().check();
    // Siblings send to each other as in l3.
    Golden(s.lab, s.blue, datagram("10.1.0.2", "10.9.0.7"))
        .out(s.red, from_sibling("10.9.0.7"))
        .uncut()
        .check();
}

TEST(SlaveRoutes, IV29_nor_what_a_rule_of_the_host_leads_to_a_slave) {
    Routers s(IpvlanMode::l3s);
    table::HookRule lead;
    lead.hook = table::Hook::prerouting;
    lead.priority = table::hook_priority::kDestinationNat;
    lead.destination = table::RulePrefix(any_ip("10.1.0.200"), 32);
    lead.verdict = table::RuleVerdict::dnat;
    lead.to = any_ip("10.9.0.7");
    lead.to_slave = 0;
    table::HookRule home = lead;
    home.destination = table::RulePrefix(any_ip("10.1.0.201"), 32);
    home.to = any_ip("10.1.0.1");
    s.rules(table::kNoSlave, {lead, home});
    s.track();
    s.lab.publish();
    Golden(s.lab, s.up, from_peer("10.1.0.200")).drops(DropReason::slave_not_local).uncut().check();
    Golden(s.lab, s.up, from_peer("10.1.0.201")).out(s.red, from_peer("10.1.0.1")).uncut().check();
}

/// A second underlay port, 192.0.2.1/24, whose gateway 192.0.2.99 is resolved.
struct TwoExits : Slaves {
    explicit TwoExits(IpvlanMode mode) : Slaves(mode) {
        PortWords words;
        words.mac = mac("02:00:00:00:00:20");
        other = lab.underlay("other", words);
        lab.own(ip("192.0.2.1"), other);
        table::NextHop gateway;
        gateway.kind = table::NextHopKind::gateway;
        gateway.port = other;
        gateway.max_frame = 1514;
        gateway.neighbour = neighbour("192.0.2.99", kGateway);
        by_other = hop(gateway);
    }
    PortId other = 0;
    std::uint32_t by_other = 0;
};

TEST(SlaveRoutes, RP76_a_slave_leaves_by_its_link_unless_its_own_table_says_otherwise) {
    TwoExits s(IpvlanMode::l3);
    Slaves::route(s.main, "203.0.113.0", 24, {table::RouteType::unicast, s.by_other});
    const Frame frame = datagram("10.1.0.1", "203.0.113.5");
    Golden(s.lab, s.red, frame).drops(DropReason::route_other_exit).uncut().check();
    s.slaves[0].routes = 2;
    Slaves::route(s.own_table, "203.0.113.0", 24, {table::RouteType::unicast, s.by_other});
    s.lab.publish();
    Golden(s.lab, s.red, frame)
        .out(s.other,
             datagram("10.1.0.1", "203.0.113.5", 63).to(kGateway).from(mac("02:00:00:00:00:20")))
        .uncut()
        .check();
}

TEST(SlaveRoutes, RP76_a_source_that_became_the_links_leaves_by_no_other_port) {
    TwoExits s(IpvlanMode::l3);
    s.slaves[0].routes = 2;
    Slaves::route(s.own_table, "203.0.113.0", 24, {table::RouteType::unicast, s.by_other});
    table::HookRule hide;
    hide.hook = table::Hook::postrouting;
    hide.priority = table::hook_priority::kSourceNat;
    hide.verdict = table::RuleVerdict::masquerade;
    hide.source = table::RulePrefix(any_ip("10.1.0.1"), 32);
    s.rules(table::kNoSlave, {hide});
    s.track();
    s.slaves[1].routes = 2;
    s.lab.publish();
    Golden(s.lab, s.red, datagram("10.1.0.1", "203.0.113.5"))
        .drops(DropReason::route_other_exit)
        .uncut()
        .check();
    Golden(s.lab, s.blue, datagram("10.1.0.2", "203.0.113.5"))
        .out(s.other,
             datagram("10.1.0.2", "203.0.113.5", 63).to(kGateway).from(mac("02:00:00:00:00:20")))
        .uncut()
        .check();
}

}  // namespace
}  // namespace vxplane::support
