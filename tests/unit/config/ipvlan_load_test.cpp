// The values that a file yields for ipvlans, routing tables and rules.
#include <gtest/gtest.h>

#include <string>

#include "config/load.hpp"
#include "config/parse.hpp"
#include "config/reader.hpp"
#include "config/resolve.hpp"
#include "config/show.hpp"

namespace vxplane::config {
namespace {

const std::string head =
    "version: 1\n"
    "ports:\n"
    "  up: {device: eth0, role: underlay, addresses: [10.0.0.1/24, \"2001:db8::1/64\"]}\n"
    "  p1: {device: t1, role: access}\n"
    "  p2: {device: t2, role: access}\n"
    "vxlans:\n"
    "  seg: {id: 7, router: a}\n"
    "tables:\n"
    "  shared: {routes: [{to: 10.8.0.0/16, via: 10.0.0.8}]}\n"
    "ipvlans:\n"
    "  a:\n"
    "    link: up\n";

Topology load(const std::string& text) {
    const LoadResult result = check_text(head + text, "t.yaml");
    for (const Problem& problem : result.problems) ADD_FAILURE() << problem.text();
    return result.topology;
}

TEST(ConfigIpvlan, IV01_mode_is_l3_and_the_flag_bridge_unless_said) {
    const Ipvlan a = load("").ipvlans.at(0);
    EXPECT_EQ(a.mode, IpvlanMode::l3);
    EXPECT_EQ(a.flag, IpvlanFlag::bridge);
    EXPECT_FALSE(a.host_access || a.decrement_ttl || a.dhcp_snoop || a.masquerade);
    EXPECT_TRUE(a.mcast_snooping);
    EXPECT_EQ(a.masquerade_ports, (Ports{1024, 65535}));
    EXPECT_EQ(a.conntrack.capacity, 65536U);
    EXPECT_TRUE(a.slaves.empty() && a.rules.empty());
}

TEST(ConfigIpvlan, IV01_modes_and_flags_are_the_words_of_iproute2) {
    for (const auto& [word, mode] :
         {std::pair("l2", IpvlanMode::l2), {"l3", IpvlanMode::l3}, {"l3s", IpvlanMode::l3s}}) {
        EXPECT_EQ(load(std::string("    mode: ") + word + "\n").ipvlans.at(0).mode, mode);
    }
    for (const auto& [word, flag] : {std::pair("bridge", IpvlanFlag::bridge),
                                     {"private", IpvlanFlag::private_},
                                     {"vepa", IpvlanFlag::vepa}}) {
        EXPECT_EQ(load(std::string("    flag: ") + word + "\n").ipvlans.at(0).flag, flag);
    }
}

TEST(ConfigIpvlan, reads_every_key_of_an_ipvlan_and_a_slave) {
    const Topology t = load(R"(    mode: l3s
    flag: vepa
    host-access: true
    decrement-ttl: true
    dhcp-snoop: false
    mcast_snooping: false
    masquerade: true
    masquerade-ports: 2000-3000
    conntrack: {on: true, capacity: 1000}
    slaves:
      red:
        port: p1
        addresses: [10.1.0.5/24, "2001:db8:1::5/64"]
        vrf: tenant
        mtu: 1400
        up: false
        rp_filter: loose
        check-source: true
        proxy_arp: false
        allmulticast: true
        groups: [224.0.0.5, "ff02::5"]
        rate: 100mbit
        nat: [{public: 10.0.0.10}, {public: "2001:db8::10", private: "2001:db8:1::5"}]
)");
    EXPECT_EQ(t.vxlans.at(0).router, "a");
    const Ipvlan& a = t.ipvlans.at(0);
    EXPECT_EQ(a.name, "a");
    EXPECT_EQ(a.link, "up");
    EXPECT_TRUE(a.host_access && a.decrement_ttl && !a.dhcp_snoop && !a.mcast_snooping &&
                a.masquerade);
    EXPECT_EQ(a.masquerade_ports, (Ports{2000, 3000}));
    EXPECT_TRUE(a.conntrack.on);
    EXPECT_EQ(a.conntrack.capacity, 1000U);
    const Slave& red = a.slaves.at(0);
    EXPECT_EQ(red.name, "red");
    EXPECT_EQ(red.port, "p1");
    EXPECT_EQ(red.addresses.at(1).text(), "2001:db8:1::5/64");
    EXPECT_EQ(red.vrf, "tenant");
    EXPECT_EQ(red.mtu, 1400);
    EXPECT_FALSE(red.up);
    EXPECT_EQ(red.rp_filter, Urpf::loose);
    EXPECT_TRUE(red.check_source && !red.proxy_arp && red.allmulticast);
    EXPECT_EQ(red.groups.at(1).text(), "ff02::5");
    EXPECT_EQ(red.rate, 100'000'000U);
    EXPECT_EQ(red.nat.at(0).public_.text(), "10.0.0.10");
    EXPECT_EQ(red.nat.at(0).private_.text(), "10.1.0.5") << "the first address of the family";
    EXPECT_EQ(red.nat.at(1).private_.text(), "2001:db8:1::5");
}

TEST(ConfigIpvlan, a_slave_is_up_and_answered_unless_said) {
    const Slave red = load("    slaves: {red: {port: p1}}\n").ipvlans.at(0).slaves.at(0);
    EXPECT_TRUE(red.up && red.proxy_arp);
    EXPECT_FALSE(red.check_source || red.allmulticast);
    EXPECT_EQ(red.rp_filter, Urpf::off);
    EXPECT_EQ(red.rate, 0U);
    EXPECT_EQ(red.mtu, 0);
    EXPECT_TRUE(red.vrf.empty());
}

TEST(ConfigIpvlan, keys_are_known_with_either_dash) {
    const Ipvlan a =
        load("    host_access: true\n    slaves: {red: {port: p1, rp-filter: strict}}\n")
            .ipvlans.at(0);
    EXPECT_TRUE(a.host_access);
    EXPECT_EQ(a.slaves.at(0).rp_filter, Urpf::strict);
}

TEST(ConfigIpvlan, RP71_reads_routes_of_every_kind) {
    const Topology t = load(R"(    slaves:
      blue: {port: p2}
      red:
        port: p1
        routes:
          - {to: default, via: 10.0.0.254}
          - {to: default6, via: "fe80::1"}
          - {to: 10.1.0.0/16, dev: up}
          - {to: 10.2.0.0/16, slave: blue}
          - {to: 10.3.0.0/16, vxlan: seg, remote: 10.0.0.9, lladdr: "02:00:00:00:00:09"}
          - {to: 10.4.0.0/16, table: shared}
          - {to: 10.5.0.0/16, type: throw}
          - {to: 10.6.0.0/16, nexthops: [{via: 10.0.0.2, weight: 3}, {slave: blue}]}
          - {to: 10.7.0.0/16, dev: p1}
          - {lladdr: "02:00:00:00:00:0a", remote: 10.0.0.9, vxlan: seg, to: 10.8.0.0/16}
)");
    const std::vector<TableRoute>& routes = t.ipvlans.at(0).slaves.at(1).routes;
    const ValueType plain{.kind = ValueType::Kind::text};
    std::string text;
    for (const TableRoute& route : routes) {
        text += route.to.text() + ":";
        for (const Hop& hop : route.hops) text += " [" + show(hop, plain) + "]";
        text += "\n";
    }
    EXPECT_EQ(text,
              "0.0.0.0/0: [via 10.0.0.254]\n"
              "::/0: [via fe80::1]\n"
              "10.1.0.0/16: [dev up]\n"
              "10.2.0.0/16: [slave blue]\n"
              "10.3.0.0/16: [vxlan seg remote 10.0.0.9 lladdr 02:00:00:00:00:09]\n"
              "10.4.0.0/16: [table shared]\n"
              "10.5.0.0/16:\n"
              "10.6.0.0/16: [via 10.0.0.2 weight 3] [slave blue]\n"
              "10.7.0.0/16: [dev p1]\n"
              "10.8.0.0/16: [vxlan seg remote 10.0.0.9 lladdr 02:00:00:00:00:0a]\n");
    EXPECT_EQ(routes.at(6).type, RouteType::throw_);
    EXPECT_EQ(t.tables.at(0).name, "shared");
    EXPECT_EQ(t.tables.at(0).routes.at(0).hops.at(0).via->text(), "10.0.0.8");
}

TEST(ConfigIpvlan, RP53_reads_rules_in_the_words_of_nft) {
    const Topology t = load(R"(    rules:
      - {name: web, hook: prerouting, priority: mangle, protocol: tcp, saddr: 192.0.2.0/24,
         daddr: 10.0.0.1, sport: 1024-65535, dport: 80, ct: [new, untracked], action: dnat,
         to: 10.1.0.5, to-ports: [8080, 8090]}
      - {hook: forward, priority: -10, protocol: 47, ct: invalid, action: drop}
      - {hook: postrouting, iif: red, vrf: tenant, action: masquerade}
    slaves: {red: {port: p1, vrf: tenant}}
)");
    const std::vector<Rule>& rules = t.ipvlans.at(0).rules;
    const Rule& web = rules.at(0);
    EXPECT_EQ(web.name, "web");
    EXPECT_EQ(web.hook, Hook::prerouting);
    EXPECT_EQ(web.priority, -150);
    EXPECT_EQ(web.protocol, 6);
    EXPECT_EQ(web.saddr->text(), "192.0.2.0/24");
    EXPECT_EQ(web.daddr->text(), "10.0.0.1/32") << "an address alone has all its bits";
    EXPECT_EQ(web.sport, (Ports{1024, 65535}));
    EXPECT_EQ(web.dport, (Ports{80, 80}));
    EXPECT_EQ(web.ct, (std::vector<std::string>{"new", "untracked"}));
    EXPECT_EQ(web.action, RuleAction::dnat);
    EXPECT_EQ(web.to->text(), "10.1.0.5");
    EXPECT_EQ(web.to_ports, (Ports{8080, 8090}));
    EXPECT_EQ(rules.at(1).priority, -10);
    EXPECT_EQ(rules.at(1).protocol, 47);
    EXPECT_EQ(rules.at(1).ct, (std::vector<std::string>{"invalid"}));
    EXPECT_FALSE(rules.at(1).saddr || rules.at(1).to || rules.at(1).to_ports);
    EXPECT_EQ(rules.at(1).dport, Ports{});
    EXPECT_EQ(rules.at(2).iif, "red");
    EXPECT_EQ(rules.at(2).vrf, "tenant");
}

TEST(ConfigIpvlan, RP53_the_priority_of_a_rule_is_that_of_its_action_unless_said) {
    const Topology t = load(R"(    rules:
      - {hook: prerouting, action: dnat, to: 10.1.0.5}
      - {hook: postrouting, action: snat, to: 10.0.0.1}
      - {hook: postrouting, action: masquerade}
      - {hook: prerouting, action: notrack}
      - {hook: input, action: accept}
      - {hook: postrouting, action: accept, priority: srcnat}
)");
    std::vector<int> priorities;
    for (const Rule& rule : t.ipvlans.at(0).rules) priorities.push_back(rule.priority);
    EXPECT_EQ(priorities, (std::vector<int>{-100, 100, 100, -300, 0, 100}));
}

TEST(ConfigParse, rates_are_bits_per_second_as_tc_writes_them) {
    EXPECT_EQ(parse_rate("1000"), 1000U);
    EXPECT_EQ(parse_rate("5bit"), 5U);
    EXPECT_EQ(parse_rate("5kbit"), 5'000U);
    EXPECT_EQ(parse_rate("5mbit"), 5'000'000U);
    EXPECT_EQ(parse_rate("5gbit"), 5'000'000'000U);
    for (const char* bad : {"", "bit", "kbit", "5M", "5 mbit", "-5mbit", "5tbit", "1.5mbit",
                            "18446744073709551615gbit"}) {
        EXPECT_FALSE(parse_rate(bad)) << bad;
    }
}

TEST(ConfigParse, ports_are_one_or_a_range_low_end_first) {
    EXPECT_EQ(parse_ports("80"), (Ports{80, 80}));
    EXPECT_EQ(parse_ports("0-65535"), Ports{});
    EXPECT_EQ(parse_ports("5-5"), (Ports{5, 5}));
    for (const char* bad : {"", "-", "80-", "-80", "6-5", "65536", "0-65536", "1-2-3", "http"}) {
        EXPECT_FALSE(parse_ports(bad)) << bad;
    }
}

TEST(ConfigParse, signed_numbers_have_32_bits) {
    EXPECT_EQ(parse_signed("-300"), -300);
    EXPECT_EQ(parse_signed("2147483647"), 2147483647);
    for (const char* bad : {"", "-", "--1", "2147483648", "-2147483648", "1-"}) {
        EXPECT_FALSE(parse_signed(bad)) << bad;
    }
}

TEST(ConfigParse, a_network_is_a_prefix_or_an_address) {
    EXPECT_EQ(parse_network("10.0.0.1")->text(), "10.0.0.1/32");
    EXPECT_EQ(parse_network("2001:db8::1")->text(), "2001:db8::1/128");
    EXPECT_EQ(parse_network("10.0.0.0/8")->text(), "10.0.0.0/8");
    EXPECT_FALSE(parse_network("10.0.0.0/33"));
    EXPECT_FALSE(parse_network("10.0.0"));
}

}  // namespace
}  // namespace vxplane::config
