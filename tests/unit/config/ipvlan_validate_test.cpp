// Rules about ipvlans that are named by their statement, what is allowed beside what is refused,
// and topologies that no file was behind. The rest has its files in bad/.
#include <gtest/gtest.h>

#include <string>

#include "config/load.hpp"
#include "config/parse.hpp"
#include "config/validate.hpp"

namespace vxplane::config {
namespace {

const std::string head =
    "version: 1\n"
    "ports:\n"
    "  up: {device: e0, role: underlay, addresses: [10.0.0.1/24]}\n"
    "  up2: {device: e1, role: underlay, addresses: [10.9.0.1/24]}\n"
    "  p1: {device: t1, role: access}\n"
    "  p2: {device: t2, role: access}\n"
    "  p3: {device: t3, role: access}\n";

std::string problems_of(const std::string& text) {
    std::string lines;
    for (const Problem& problem : check_text(head + text, "t").problems) {
        lines += problem.text() + "\n";
    }
    return lines;
}

TEST(ConfigIpvlan, IV01_private_and_vepa_together_are_refused) {
    EXPECT_EQ(problems_of("ipvlans:\n  a: {link: up, flag: [private, vepa]}\n"),
              "t:9:23: ipvlans.a.flag: private and vepa exclude each other (bridge, private or "
              "vepa)\n");
}

TEST(ConfigIpvlan, IV19_dhcp_is_snooped_where_clients_can_ask) {
    EXPECT_EQ(problems_of("ipvlans:\n  a: {link: up, dhcp-snoop: true}\n"),
              "t:9:29: ipvlans.a.dhcp-snoop: clients ask by broadcast, and l3 and l3s carry none "
              "(false, or mode: l2)\n");
    EXPECT_EQ(problems_of("ipvlans:\n  a: {link: up, mode: l2, dhcp-snoop: true}\n"), "");
    EXPECT_EQ(problems_of("ipvlans:\n  a: {link: up, dhcp-snoop: false}\n"), "");
}

TEST(ConfigIpvlan, IV15_snooping_is_on_or_off) {
    EXPECT_EQ(problems_of("ipvlans:\n  a: {link: up, mode: l2, mcast_snooping: 2}\n"),
              "t:9:43: ipvlans.a.mcast_snooping: '2' is not valid here (true or false)\n");
    EXPECT_EQ(problems_of("ipvlans:\n  a: {link: up, mode: l2, mcast-snooping: false}\n"), "");
}

TEST(ConfigIpvlan, IV04_a_slave_above_the_mtu_of_the_master_is_refused) {
    const std::string slave = "ipvlans:\n  a: {link: up, slaves: {red: {port: p1, mtu: ";
    EXPECT_EQ(problems_of(slave + "1501}}}\n"),
              "t:9:47: ipvlans.a.slaves.red.mtu: 1501 exceeds the mtu of link 'up' (at most "
              "1500)\n");
    EXPECT_EQ(problems_of(slave + "1500}}}\n"), "");
}

TEST(ConfigIpvlan, IV06_an_address_of_another_slave_is_refused_with_its_name) {
    EXPECT_EQ(problems_of("ipvlans:\n"
                          "  a:\n"
                          "    link: up\n"
                          "    slaves:\n"
                          "      red: {port: p1, addresses: [10.0.0.5/24]}\n"
                          "      blue: {port: p2, addresses: [10.0.0.5/32]}\n"),
              "t:13:36: ipvlans.a.slaves.blue.addresses[0]: 10.0.0.5 is the address of slave "
              "'red', line 12 (each address once on ipvlan a, unless the slaves are of different "
              "vrf)\n");
}

TEST(ConfigIpvlan, IV06_the_address_of_the_master_is_refused) {
    EXPECT_EQ(
        problems_of("ipvlans:\n"
                    "  a: {link: up, slaves: {red: {port: p1, addresses: [10.0.0.1/32]}}}\n"),
        "t:9:54: ipvlans.a.slaves.red.addresses[0]: 10.0.0.1 is the address of the link, port "
        "'up', line 3 (an address of the slave's own)\n");
}

TEST(ConfigIpvlan, IV07_IV51_tenants_and_other_masters_may_have_the_same_address) {
    EXPECT_EQ(
        problems_of("ipvlans:\n"
                    "  a:\n"
                    "    link: up\n"
                    "    slaves:\n"
                    "      red: {port: p1, vrf: red, addresses: [10.1.0.5/24]}\n"
                    "      blue: {port: p2, addresses: [10.1.0.5/24]}\n"
                    "  b: {link: up2, slaves: {red: {port: p3, addresses: [10.1.0.5/24]}}}\n"),
        "");
}

TEST(ConfigIpvlan, IV28_slaves_in_the_subnet_of_the_master_are_allowed) {
    EXPECT_EQ(problems_of("ipvlans:\n"
                          "  a: {link: up, slaves: {red: {port: p1, addresses: [10.0.0.5/24]}}}\n"),
              "");
}

TEST(ConfigIpvlan, IV51_a_gateway_may_be_outside_of_all_subnets_of_a_tenant) {
    EXPECT_EQ(problems_of("ipvlans:\n"
                          "  a:\n"
                          "    link: up\n"
                          "    slaves:\n"
                          "      red:\n"
                          "        port: p1\n"
                          "        addresses: [10.1.0.5/24]\n"
                          "        routes: [{to: default, via: 10.0.0.254}, {to: 10.2.0.0/16, via: "
                          "10.1.0.1}, {to: 10.3.0.0/16, via: 10.9.0.1}]\n"),
              "");
}

std::string leaks(const std::string& of_red, const std::string& of_blue) {
    return problems_of(
        "ipvlans:\n"
        "  a:\n"
        "    link: up\n"
        "    slaves:\n"
        "      red: {port: p1, routes: [" +
        of_red + "]}\n      blue: {port: p2, routes: [" + of_blue + "]}\n");
}

TEST(ConfigIpvlan, RP71_tables_that_lead_in_a_circle_are_refused_with_the_circle) {
    EXPECT_EQ(leaks("{to: 10.1.0.0/16, table: blue}", "{to: default, table: red}"),
              "t:12:57: ipvlans.a.slaves.red.routes[0]: tables lead in a circle: red -> blue -> "
              "red for 10.1.0.0/16 (a route in one of them that leads out of it)\n");
}

TEST(ConfigIpvlan, RP71_tables_that_lead_to_each_other_for_different_prefixes_are_allowed) {
    EXPECT_EQ(leaks("{to: 10.1.0.0/16, table: blue}", "{to: 10.2.0.0/16, table: red}"), "");
    EXPECT_EQ(leaks("{to: default, table: blue}, {to: 10.2.0.0/16, via: 10.0.0.9}",
                    "{to: 10.2.0.0/16, table: red}"),
              "")
        << "red has a longer route";
    EXPECT_EQ(leaks("{to: 10.1.0.0/16, table: blue}", "{to: default6, table: red}"), "");
}

TEST(ConfigIpvlan, many_tables_that_lead_into_many_are_followed_in_time) {
    std::string text = "tables:\n";
    constexpr int layers = 40;
    for (int i = 0; i < layers; ++i) {
        for (const char* side : {"l", "r"}) {
            text += "  " + std::string(side) + std::to_string(i) + ": {routes: [{to: default, ";
            const std::string next = std::to_string(i + 1);
            text += i + 1 == layers
                        ? "type: unreachable}]}\n"
                        : "nexthops: [{table: l" + next + "}, {table: r" + next + "}]}]}\n";
        }
    }
    EXPECT_EQ(problems_of(text), "");
}

TEST(ConfigIpvlan, ranges_of_ports_may_be_shared_where_they_do_not_meet) {
    EXPECT_EQ(problems_of("ipvlans:\n"
                          "  a:\n"
                          "    link: up\n"
                          "    masquerade: true\n"
                          "    masquerade-ports: 1024-2047\n"
                          "    rules:\n"
                          "      - {hook: postrouting, action: snat, to: 10.0.0.1, to-ports: "
                          "2048-3000}\n"
                          "      - {hook: postrouting, action: snat, to: 10.0.0.2, to-ports: "
                          "1024-3000}\n"
                          "      - {hook: postrouting, action: snat, to: 10.0.0.1}\n"),
              "");
}

TEST(ConfigIpvlan, router_of_a_segment_is_an_ipvlan) {
    EXPECT_EQ(problems_of("vxlans:\n  s: {id: 7, local: 10.0.0.1, router: b}\n"
                          "ipvlans:\n  a: {link: up}\n"),
              "t:9:39: vxlans.s.router: there is no ipvlan 'b', the nearest is 'a' (one of "
              "ipvlans)\n");
    EXPECT_EQ(problems_of("vxlans:\n  s: {id: 7, local: 10.0.0.1, router: a}\n"
                          "ipvlans:\n  a: {link: up}\n"),
              "");
}

Topology with_slaves(std::uint32_t count) {
    Topology t;
    Ipvlan a;
    a.name = "a";
    a.link = "up";
    for (std::uint32_t i = 0; i < count; ++i) {
        Slave slave;
        slave.name = "s" + std::to_string(i);
        a.slaves.push_back(std::move(slave));
    }
    t.ipvlans.push_back(std::move(a));
    return t;
}

TEST(ConfigIpvlan, more_slaves_than_can_be_numbered_are_refused) {
    const Problems problems = validate(with_slaves(65'535));
    ASSERT_EQ(problems.size(), 1U);
    EXPECT_EQ(problems.front().path, "ipvlans");
    EXPECT_EQ(problems.front().message, "65535 slaves are too many (at most 65534)");
}

TEST(ConfigIpvlan, groups_beyond_the_room_of_a_filter_are_refused) {
    std::string groups;
    for (int i = 0; i < 27; ++i) {
        groups += (i == 0 ? "" : ", ") + ("239.0.0." + std::to_string(i));
    }
    const std::string slave = "ipvlans:\n  a: {link: up, slaves: {red: {port: p1, groups: [";
    EXPECT_EQ(problems_of(slave + groups + "], allmulticast: true}}}\n"), "");
    EXPECT_EQ(problems_of(slave + groups + "]}}}\n"),
              "t:9:50: ipvlans.a.slaves.red.groups: 29 groups, those of its addresses included, "
              "are too many (at most 28, or allmulticast: true)\n");
}

TEST(ConfigIpvlan, judges_rules_and_routes_of_topologies_made_by_hand) {
    Topology t = with_slaves(1);
    Rule rule;
    rule.hook = Hook::postrouting;
    rule.action = RuleAction::snat;
    rule.priority = 100;
    rule.to = parse_ip("10.0.0.9");
    rule.to_ports = Ports{9, 8};
    rule.sport = {5, 4};
    t.ipvlans[0].rules.push_back(rule);
    t.ipvlans[0].masquerade_ports = {7, 6};
    t.ipvlans[0].conntrack.capacity = 1;
    TableRoute route;
    route.to = *parse_prefix("10.0.0.0/8");
    route.hops.resize(65);
    for (Hop& hop : route.hops) hop.via = parse_ip("10.0.0.254");
    route.hops[0].weight = 257;
    t.ipvlans[0].slaves[0].routes = {route, route};
    t.ipvlans[0].slaves[0].rate = 1;
    std::string paths;
    for (const Problem& problem : validate(t)) paths += problem.path + "\n";
    EXPECT_EQ(paths,
              "ipvlans.a.link\n"
              "ipvlans.a.conntrack.capacity\n"
              "ipvlans.a.slaves.s0.port\n"
              "ipvlans.a.slaves.s0.rate\n"
              "ipvlans.a.slaves.s0.routes[0].nexthops\n"
              "ipvlans.a.slaves.s0.routes[0].nexthops[0].weight\n"
              "ipvlans.a.slaves.s0.routes[1].nexthops\n"
              "ipvlans.a.slaves.s0.routes[1].nexthops[0].weight\n"
              "ipvlans.a.slaves.s0.routes[1].to\n"
              "ipvlans.a.rules[0].sport\n"
              "ipvlans.a.rules[0].to-ports\n"
              "ipvlans.a.masquerade-ports\n");
}

}  // namespace
}  // namespace vxplane::config
