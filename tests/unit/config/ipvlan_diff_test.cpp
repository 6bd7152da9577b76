// Steps between two topologies with ipvlans, as a person reads them.
#include <gtest/gtest.h>

#include <string>

#include "config/diff.hpp"
#include "config/load.hpp"

namespace vxplane::config {
namespace {

const std::string head =
    "version: 1\n"
    "ports:\n"
    "  up: {device: e0, role: underlay, addresses: [10.0.0.1/24]}\n"
    "  up2: {device: e1, role: underlay, addresses: [10.9.0.1/24]}\n"
    "  p1: {device: t1, role: access}\n"
    "  p2: {device: t2, role: access}\n";

Topology load(const std::string& text) {
    const LoadResult result = check_text(head + text, "t");
    for (const Problem& problem : result.problems) ADD_FAILURE() << problem.text();
    return result.topology;
}

std::string steps(const std::string& from, const std::string& to) {
    std::string lines;
    for (const Change& change : diff(load(from), load(to))) lines += change.line() + "\n";
    return lines;
}

std::string of_ipvlan(const std::string& from, const std::string& to) {
    const std::string begin = "ipvlans:\n  a: {link: up";
    return steps(begin + from + "}\n", begin + to + "}\n");
}

std::string of_slave(const std::string& from, const std::string& to) {
    const std::string begin = ", slaves: {blue: {port: p2}, red: {port: p1";
    return of_ipvlan(begin + from + "}}", begin + to + "}}");
}

TEST(ConfigIpvlanDiff, IV02_mode_and_flag_change_online) {
    EXPECT_EQ(of_ipvlan("", ", mode: l3s, flag: private, host-access: true, decrement-ttl: true"),
              "modify ipvlans.a.mode: l3 -> l3s\n"
              "modify ipvlans.a.flag: bridge -> private\n"
              "modify ipvlans.a.host-access: false -> true\n"
              "modify ipvlans.a.decrement-ttl: false -> true\n");
    EXPECT_EQ(of_ipvlan("", ", mode: l3, flag: bridge, conntrack: {on: false}"), "")
        << "defaults written out";
}

TEST(ConfigIpvlanDiff, link_and_port_need_a_restart) {
    EXPECT_EQ(steps("ipvlans: {a: {link: up}}\n", "ipvlans: {a: {link: up2}}\n"),
              "modify ipvlans.a.link: up -> up2 (needs a restart)\n");
    EXPECT_EQ(steps("ipvlans: {a: {link: up, slaves: {red: {port: p1}}}}\n",
                    "ipvlans: {a: {link: up, slaves: {red: {port: p2}}}}\n"),
              "modify ipvlans.a.slaves.red.port: p1 -> p2 (needs a restart)\n");
}

TEST(ConfigIpvlanDiff, IV08_keys_of_a_slave_change_online) {
    EXPECT_EQ(of_slave(", addresses: [10.1.0.5/24], groups: [224.0.0.5]",
                       ", addresses: [10.1.0.6/24], groups: [224.0.0.6], up: false, vrf: t, "
                       "mtu: 1400, rp_filter: strict, check-source: true, forwarding: false, "
                       "proxy_arp: false, "
                       "allmulticast: true, rate: 1500kbit"),
              "remove ipvlans.a.slaves.red.groups: 224.0.0.5\n"
              "remove ipvlans.a.slaves.red.addresses: 10.1.0.5/24\n"
              "modify ipvlans.a.slaves.red.vrf: none -> t\n"
              "modify ipvlans.a.slaves.red.mtu: 0 -> 1400\n"
              "modify ipvlans.a.slaves.red.up: true -> false\n"
              "modify ipvlans.a.slaves.red.rp_filter: off -> strict\n"
              "modify ipvlans.a.slaves.red.check-source: false -> true\n"
              "modify ipvlans.a.slaves.red.forwarding: true -> false\n"
              "modify ipvlans.a.slaves.red.proxy_arp: true -> false\n"
              "modify ipvlans.a.slaves.red.allmulticast: false -> true\n"
              "modify ipvlans.a.slaves.red.rate: none -> 1500kbit\n"
              "add ipvlans.a.slaves.red.addresses: 10.1.0.6/24\n"
              "add ipvlans.a.slaves.red.groups: 224.0.0.6\n");
}

TEST(ConfigIpvlanDiff, routes_are_compared_by_their_prefix) {
    EXPECT_EQ(of_slave(", routes: [{to: default, via: 10.0.0.9}, {to: 10.1.0.0/16, slave: blue}, "
                       "{to: 10.2.0.0/16, type: blackhole}]",
                       ", routes: [{to: 10.3.0.0/16, via: 10.0.0.9, dev: up}, "
                       "{to: 10.2.0.0/16, type: throw}, "
                       "{to: default, nexthops: [{via: 10.0.0.9}, {via: 10.0.0.8, weight: 2}]}]"),
              "remove ipvlans.a.slaves.red.routes[10.1.0.0/16]: to 10.1.0.0/16, slave blue\n"
              "modify ipvlans.a.slaves.red.routes[10.2.0.0/16].type: blackhole -> throw\n"
              "modify ipvlans.a.slaves.red.routes[0.0.0.0/0].via: 10.0.0.9 -> none\n"
              "modify ipvlans.a.slaves.red.routes[0.0.0.0/0].nexthops: [] -> [via 10.0.0.9, via "
              "10.0.0.8 weight 2]\n"
              "add ipvlans.a.slaves.red.routes[10.3.0.0/16]: to 10.3.0.0/16, via 10.0.0.9, dev "
              "up\n");
    EXPECT_EQ(of_slave(", routes: [{to: default, via: 10.0.0.9}]",
                       ", routes: [{to: default, nexthops: [{via: 10.0.0.9}]}]"),
              "")
        << "one next hop is one next hop";
}

TEST(ConfigIpvlanDiff, tables_are_compared_by_their_prefixes_too) {
    EXPECT_EQ(steps("tables: {s: {routes: [{to: default, via: 10.0.0.9}]}, gone: {}}\n",
                    "tables: {s: {routes: [{to: default6, type: prohibit}]}, fresh: {}}\n"),
              "remove tables.s.routes[0.0.0.0/0]: to default, via 10.0.0.9\n"
              "remove tables.gone\n"
              "add tables.s.routes[::/0]: to default6, type prohibit\n"
              "add tables.fresh\n");
}

TEST(ConfigIpvlanDiff, rules_are_known_by_their_names_or_by_what_they_say) {
    EXPECT_EQ(
        of_ipvlan(", rules: [{name: web, hook: input, action: drop}, {hook: input, dport: 9, "
                  "protocol: tcp, action: drop}]",
                  ", rules: [{name: web, hook: input, action: reject, priority: 5}, {hook: "
                  "output, protocol: icmp, action: accept}]"),
        "remove ipvlans.a.rules[hook input, protocol tcp, dport 9, action drop]: hook input, "
        "protocol tcp, dport 9, action drop\n"
        "modify ipvlans.a.rules[web].priority: filter -> 5\n"
        "modify ipvlans.a.rules[web].action: drop -> reject\n"
        "add ipvlans.a.rules[hook output, protocol icmp, action accept]: hook output, protocol "
        "icmp, action accept\n");
}

TEST(ConfigIpvlanDiff, the_order_of_rules_is_a_difference) {
    const std::string one = "{name: one, hook: input, action: drop}";
    const std::string two = "{name: two, hook: input, action: accept}";
    const std::string three = "{name: three, hook: input, action: accept}";
    EXPECT_EQ(of_slave(", rules: [" + one + ", " + two + "]",
                       ", rules: [" + three + ", " + two + ", " + one + "]"),
              "modify ipvlans.a.slaves.red.rules: order [one][two] -> [two][one]\n"
              "add ipvlans.a.slaves.red.rules[three]: name three, hook input, action accept\n");
}

TEST(ConfigIpvlanDiff, pairs_change_online_where_connections_are_tracked_already) {
    const std::string on = "conntrack: {on: true}, ";
    const auto text = [&](const std::string& nat) {
        return "ipvlans: {a: {" + on +
               "link: up, slaves: {red: {port: p1, addresses: "
               "[10.1.0.5/24, 10.1.0.6/24]" +
               nat + "}}}}\n";
    };
    EXPECT_EQ(steps(text(", nat: [{public: 10.0.0.8}, {public: 10.0.0.9, private: 10.1.0.6}]"),
                    text(", nat: [{public: 10.0.0.9, private: 10.1.0.5}]")),
              "remove ipvlans.a.slaves.red.nat[10.0.0.8]: public 10.0.0.8, private 10.1.0.5\n"
              "modify ipvlans.a.slaves.red.nat[10.0.0.9].private: 10.1.0.6 -> 10.1.0.5\n");
}

TEST(ConfigIpvlanDiff, tracking_that_begins_is_named_whatever_it_is_for) {
    EXPECT_EQ(of_ipvlan("", ", masquerade: true"),
              "modify ipvlans.a.masquerade: false -> true\n"
              "modify ipvlans.a.conntrack.on: false -> true\n");
    EXPECT_EQ(of_ipvlan(", conntrack: {on: true}",
                        ", conntrack: {on: true}, masquerade: true, masquerade-ports: 2000-3000"),
              "modify ipvlans.a.masquerade: false -> true\n"
              "modify ipvlans.a.masquerade-ports: 1024-65535 -> 2000-3000\n");
}

TEST(ConfigIpvlanDiff, a_tracker_that_is_in_use_keeps_its_capacity_until_a_restart) {
    EXPECT_EQ(of_ipvlan(", conntrack: {on: true}", ", conntrack: {on: true, capacity: 100}"),
              "modify ipvlans.a.conntrack.capacity: 65536 -> 100 (needs a restart)\n");
    EXPECT_EQ(of_ipvlan("", ", conntrack: {on: true, capacity: 100}"),
              "modify ipvlans.a.conntrack.on: false -> true\n"
              "modify ipvlans.a.conntrack.capacity: 65536 -> 100\n");
}

TEST(ConfigIpvlanDiff, what_is_inside_goes_first_and_comes_last) {
    const std::string full =
        "ipvlans:\n"
        "  a:\n"
        "    link: up\n"
        "    rules: [{name: r, hook: input, action: drop}]\n"
        "    slaves:\n"
        "      red: {port: p1, routes: [{to: default, via: 10.0.0.9}]}\n"
        "vxlans: {s: {id: 7, local: 10.0.0.1, router: a}}\n";
    EXPECT_EQ(steps(full, ""),
              "remove vxlans.s: id 7, local 10.0.0.1, router a\n"
              "remove ipvlans.a.rules[r]: name r, hook input, action drop\n"
              "remove ipvlans.a.slaves.red.routes[0.0.0.0/0]: to default, via 10.0.0.9\n"
              "remove ipvlans.a.slaves.red: port p1\n"
              "remove ipvlans.a: link up\n");
    EXPECT_EQ(steps("", full),
              "add ipvlans.a: link up\n"
              "add ipvlans.a.slaves.red: port p1\n"
              "add ipvlans.a.slaves.red.routes[0.0.0.0/0]: to default, via 10.0.0.9\n"
              "add ipvlans.a.rules[r]: name r, hook input, action drop\n"
              "add vxlans.s: id 7, local 10.0.0.1, router a\n");
}

}  // namespace
}  // namespace vxplane::config
