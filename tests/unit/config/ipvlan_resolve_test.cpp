// What control asks of ipvlans: names, sizes, and the rules that short words stand for.
#include <gtest/gtest.h>

#include <string>

#include "config/load.hpp"
#include "config/resolve.hpp"

namespace vxplane::config {
namespace {

std::string text_of(const std::string& of_a) {
    return "version: 1\n"
           "ports:\n"
           "  up: {device: e0, role: underlay, addresses: [203.0.113.2/24], mtu: 1600}\n"
           "  up2: {device: e1, role: underlay, addresses: [198.51.100.2/24]}\n"
           "  p1: {device: t1, role: access}\n"
           "  p2: {device: t2, role: access, mtu: 1300}\n"
           "  p3: {device: t3, role: access}\n"
           "  p4: {device: t4, role: access}\n"
           "tables: {shared: {}}\n"
           "ipvlans:\n"
           "  a:\n"
           "    link: up\n" +
           of_a +
           "    slaves:\n"
           "      red: {port: p1, vrf: r, addresses: [10.0.0.5/24], nat: [{public: "
           "203.0.113.10}]}\n"
           "      blue: {port: p2, vrf: b, addresses: [10.0.0.5/24]}\n"
           "      green: {port: p3, mtu: 1400}\n"
           "  b:\n"
           "    link: up2\n"
           "    slaves:\n"
           "      red: {port: p4}\n";
}

Topology load(const std::string& of_a) {
    const LoadResult result = check_text(text_of(of_a), "t");
    for (const Problem& problem : result.problems) ADD_FAILURE() << problem.text();
    return result.topology;
}

/// `HOOK PRIORITY: match -> action`
std::string lines(const std::vector<Rule>& rules) {
    std::string all;
    for (const Rule& rule : rules) {
        all += std::to_string(static_cast<int>(rule.hook)) + " " + std::to_string(rule.priority);
        if (!rule.iif.empty()) all += " iif " + rule.iif;
        if (!rule.vrf.empty()) all += " vrf " + rule.vrf;
        if (rule.saddr) all += " saddr " + rule.saddr->text();
        if (rule.daddr) all += " daddr " + rule.daddr->text();
        all += rule.action == RuleAction::dnat         ? " dnat"
               : rule.action == RuleAction::snat       ? " snat"
               : rule.action == RuleAction::masquerade ? " masquerade"
                                                       : " other";
        if (rule.to) all += " to " + rule.to->text();
        if (!rule.slave.empty()) all += " slave " + rule.slave;
        if (rule.to_ports) {
            all += " ports " + std::to_string(rule.to_ports->lo) + "-" +
                   std::to_string(rule.to_ports->hi);
        }
        all += "\n";
    }
    return all;
}

TEST(ConfigIpvlanResolve, IV52_one_to_one_is_dnat_of_the_slave_and_snat_of_the_master) {
    for (const char* mode : {"l2", "l3"}) {
        const Topology t = load(std::string("    mode: ") + mode + "\n");
        const Ipvlan& a = t.ipvlans.at(0);
        EXPECT_EQ(lines(link_rules(a)), "4 100 iif red saddr 10.0.0.5/32 snat to 203.0.113.10\n");
        EXPECT_EQ(lines(slave_rules(a, a.slaves.at(0))),
                  "0 -100 daddr 203.0.113.10/32 dnat to 10.0.0.5\n");
        EXPECT_EQ(lines(slave_rules(a, a.slaves.at(1))), "");
    }
}

TEST(ConfigIpvlanResolve, IV25_in_l3s_one_to_one_is_of_the_master_alone) {
    const Topology t = load("    mode: l3s\n");
    const Ipvlan& a = t.ipvlans.at(0);
    EXPECT_EQ(lines(link_rules(a)),
              "0 -100 daddr 203.0.113.10/32 dnat to 10.0.0.5 slave red\n"
              "4 100 iif red saddr 10.0.0.5/32 snat to 203.0.113.10\n");
    EXPECT_EQ(lines(slave_rules(a, a.slaves.at(0))), "");
}

TEST(ConfigIpvlanResolve, IV51_masquerade_is_of_tenants_and_private_addresses_after_other_rules) {
    const Topology t = load(
        "    masquerade: true\n"
        "    masquerade-ports: 5000-5999\n"
        "    rules: [{hook: postrouting, action: accept, priority: srcnat}]\n");
    EXPECT_EQ(lines(link_rules(t.ipvlans.at(0))),
              "4 100 other\n"
              "4 100 iif red saddr 10.0.0.5/32 snat to 203.0.113.10\n"
              "4 100 vrf r masquerade ports 5000-5999\n"
              "4 100 vrf b masquerade ports 5000-5999\n"
              "4 100 saddr 10.0.0.0/8 masquerade ports 5000-5999\n"
              "4 100 saddr 172.16.0.0/12 masquerade ports 5000-5999\n"
              "4 100 saddr 192.168.0.0/16 masquerade ports 5000-5999\n"
              "4 100 saddr 100.64.0.0/10 masquerade ports 5000-5999\n"
              "4 100 saddr fc00::/7 masquerade ports 5000-5999\n");
}

TEST(ConfigIpvlanResolve, rules_that_were_made_have_names_that_differ) {
    const Topology t = load("    mode: l3s\n    masquerade: true\n");
    std::string names;
    for (const Rule& rule : link_rules(t.ipvlans.at(0))) names += rule.name + "\n";
    EXPECT_EQ(names,
              "dnat[203.0.113.10]\nsnat[203.0.113.10]\nmasquerade[r]\nmasquerade[b]\n"
              "masquerade[10.0.0.0/8]\nmasquerade[172.16.0.0/12]\nmasquerade[192.168.0.0/16]\n"
              "masquerade[100.64.0.0/10]\nmasquerade[fc00::/7]\n");
}

TEST(ConfigIpvlanResolve, public_addresses_lead_to_their_slaves) {
    const Topology t = load("");
    const auto all = public_addresses(t.ipvlans.at(0));
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].address.text(), "203.0.113.10");
    EXPECT_EQ(all[0].slave->name, "red");
    EXPECT_TRUE(public_addresses(t.ipvlans.at(1)).empty());
}

TEST(ConfigIpvlanResolve, connections_are_tracked_where_something_needs_it) {
    const Topology t = load("");
    EXPECT_TRUE(conntrack_on(t.ipvlans.at(0))) << "1:1";
    EXPECT_FALSE(conntrack_on(t.ipvlans.at(1)));
    Ipvlan b = t.ipvlans.at(1);
    b.masquerade = true;
    EXPECT_TRUE(conntrack_on(b));
    b.masquerade = false;
    b.conntrack.on = true;
    EXPECT_TRUE(conntrack_on(b));
    b.conntrack.on = false;
    Rule rule;
    b.slaves[0].rules = {rule};
    EXPECT_FALSE(conntrack_on(b)) << "a rule about the packet alone";
    b.slaves[0].rules[0].ct = {"new"};
    EXPECT_TRUE(conntrack_on(b));
    b.conntrack.keys.add("on", {1, 1});
    EXPECT_FALSE(conntrack_on(b)) << "turned off";
    EXPECT_TRUE(needs_conntrack(b));
}

TEST(ConfigIpvlanResolve, IV04_mtu_is_that_of_the_link_unless_said) {
    const Topology t = load("");
    const Ipvlan& a = t.ipvlans.at(0);
    EXPECT_EQ(effective_mtu(t, a, a.slaves.at(0)), 1600);
    EXPECT_EQ(effective_mtu(t, a, a.slaves.at(1)), 1300) << "its port has less";
    EXPECT_EQ(effective_mtu(t, a, a.slaves.at(2)), 1400);
    EXPECT_EQ(effective_mtu({}, a, a.slaves.at(0)), 0);
}

TEST(ConfigIpvlanResolve, finds_things_by_their_names) {
    const Topology t = load("");
    const Ipvlan* const a = find_ipvlan(t, "a");
    ASSERT_NE(a, nullptr);
    EXPECT_EQ(find_ipvlan(t, "c"), nullptr);
    EXPECT_EQ(ipvlan_of_link(t, "up"), a);
    EXPECT_EQ(ipvlan_of_link(t, "p1"), nullptr);
    EXPECT_EQ(slave_of_port(t, "p4").ipvlan->name, "b");
    EXPECT_FALSE(slave_of_port(t, "up"));
    EXPECT_EQ(find_table(t, "shared"), &t.tables.at(0));
    EXPECT_EQ(vrfs_of(*a), (std::vector<std::string_view>{"r", "b"}));
}

TEST(ConfigIpvlanResolve, a_name_in_a_route_is_of_the_same_ipvlan_unless_it_says_which) {
    const Topology t = load("");
    const Ipvlan* const a = find_ipvlan(t, "a");
    const Ipvlan* const b = find_ipvlan(t, "b");
    EXPECT_EQ(resolve_slave(t, a, "red").slave, find_slave(*a, "red"));
    EXPECT_EQ(resolve_slave(t, b, "red").slave, find_slave(*b, "red"));
    EXPECT_EQ(resolve_slave(t, a, "b/red").slave, find_slave(*b, "red"));
    EXPECT_FALSE(resolve_slave(t, b, "blue"));
    EXPECT_FALSE(resolve_slave(t, nullptr, "red")) << "two have that name";
    EXPECT_EQ(resolve_slave(t, nullptr, "blue").slave, find_slave(*a, "blue"));
    EXPECT_EQ(resolve_table(t, a, "shared").table, &t.tables.at(0));
    EXPECT_EQ(resolve_table(t, a, "blue").slave.slave, find_slave(*a, "blue"));
    EXPECT_FALSE(resolve_table(t, a, "none").slave);
}

}  // namespace
}  // namespace vxplane::config
