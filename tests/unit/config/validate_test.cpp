// Rules named by their statement, and topologies that no file was behind. Every other rule has its
// file in bad/.
#include "config/validate.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "config/load.hpp"
#include "config/parse.hpp"

namespace vxplane::config {
namespace {

const std::string head =
    "version: 1\n"
    "ports:\n"
    "  up: {device: eth0, role: underlay, addresses: [10.0.0.1/24]}\n";

std::string problems_of(const std::string& text) {
    std::string lines;
    for (const Problem& problem : check_text(head + text, "t").problems) {
        lines += problem.text() + "\n";
    }
    return lines;
}

TEST(ConfigValidate, VX59_more_entries_than_maxaddr_are_refused) {
    EXPECT_EQ(problems_of("vxlans:\n"
                          "  a:\n"
                          "    id: 7\n"
                          "    maxaddr: 1\n"
                          "    fdb:\n"
                          "      - {mac: 02:00:00:00:00:01, dst: 10.0.0.2}\n"
                          "      - {mac: 02:00:00:00:00:02, dst: 10.0.0.2}\n"),
              "t:7:14: vxlans.a.maxaddr: 2 entries are configured (at least 2, or 0 for no "
              "limit)\n");
}

TEST(ConfigValidate, VX59_the_flood_list_does_not_count_towards_maxaddr) {
    EXPECT_EQ(problems_of("vxlans:\n"
                          "  a:\n"
                          "    id: 7\n"
                          "    maxaddr: 1\n"
                          "    fdb:\n"
                          "      - {mac: 00:00:00:00:00:00, dst: 10.0.0.2}\n"
                          "      - {mac: 02:00:00:00:00:02, dst: 10.0.0.2}\n"),
              "");
}

TEST(ConfigValidate, VX60_a_second_remote_for_a_unicast_address_is_refused) {
    EXPECT_EQ(problems_of("vxlans:\n"
                          "  a:\n"
                          "    id: 7\n"
                          "    fdb:\n"
                          "      - {mac: 02:00:00:00:00:01, dst: [10.0.0.2, 10.0.0.3]}\n"),
              "t:8:50: vxlans.a.fdb[0].dst: a second remote for the unicast address "
              "02:00:00:00:00:01 (one remote, or nhid with a group of them)\n");
}

TEST(ConfigValidate, VX60_duplicates_in_a_flood_list_are_refused) {
    EXPECT_EQ(problems_of("vxlans:\n"
                          "  a:\n"
                          "    id: 7\n"
                          "    fdb:\n"
                          "      - {mac: 00:00:00:00:00:00, dst: [10.0.0.2, 10.0.0.2]}\n"),
              "t:8:50: vxlans.a.fdb[0].dst[1]: 10.0.0.2 is given twice (each remote once)\n");
}

TEST(ConfigValidate, VX60_flood_lists_and_multicast_addresses_take_several_remotes) {
    EXPECT_EQ(problems_of("vxlans:\n"
                          "  a:\n"
                          "    id: 7\n"
                          "    fdb:\n"
                          "      - {mac: 00:00:00:00:00:00, dst: [10.0.0.2, 10.0.0.3]}\n"
                          "      - {mac: 01:00:5e:00:00:01, dst: [10.0.0.2, 10.0.0.3]}\n"),
              "");
}

TEST(ConfigValidate, VX95_one_vni_twice_with_the_same_dstport_is_refused) {
    EXPECT_EQ(problems_of("vxlans:\n  a: {id: 7}\n  b: {id: 7}\n"),
              "t:6:11: vxlans.b.id: VNI 7 with dstport 4789 is both segment 'b' and segment 'a', "
              "line 5 (each VNI once per dstport)\n");
}

TEST(ConfigValidate, VX95_one_vni_with_two_dstports_is_allowed) {
    EXPECT_EQ(problems_of("vxlans:\n  a: {id: 7}\n  b: {id: 7, dstport: 8472}\n"), "");
}

TEST(ConfigValidate, VX95_one_vni_over_each_family_is_allowed) {
    const std::string ports =
        "  six: {device: eth9, role: underlay, addresses: [\"2001:db8::1/64\"]}\n";
    EXPECT_EQ(problems_of(ports + "vxlans:\n  a: {id: 7}\n  b: {id: 7, local: \"2001:db8::1\"}\n"),
              "");
}

TEST(ConfigValidate, VX95_vni_zero_and_above_24_bits_are_refused) {
    EXPECT_EQ(problems_of("vxlans:\n  a: {id: 0}\n  b: {id: 16777216}\n"),
              "t:5:11: vxlans.a.id: '0' is not valid here (a number from 1 to 16777215)\n"
              "t:6:11: vxlans.b.id: '16777216' is not valid here (a number from 1 to 16777215)\n");
    EXPECT_EQ(problems_of("vxlans:\n  a: {id: 16777215}\n  b: {id: 1}\n"), "");
}

TEST(ConfigValidate, VX21_a_segment_larger_than_the_uplink_allows_names_the_uplink) {
    EXPECT_EQ(problems_of("vxlans:\n  a: {id: 7, mtu: 1451}\n"),
              "t:5:19: vxlans.a.mtu: 1451 and 50 bytes of headers exceed the mtu 1500 of uplink "
              "'up' (at most 1450)\n");
    EXPECT_EQ(problems_of("vxlans:\n  a: {id: 7, mtu: 1450}\n"), "");
}

TEST(ConfigValidate, an_access_port_is_as_large_as_it_likes_unless_its_mtu_was_given) {
    const std::string segment = "vxlans:\n  a: {id: 7, ports: [vm1]}\n";
    EXPECT_EQ(problems_of("  vm1: {device: t, role: access}\n" + segment), "");
    EXPECT_EQ(problems_of("  vm1: {device: t, role: access, mtu: 1400}\n" + segment), "");
    EXPECT_EQ(problems_of("  vm1: {device: t, role: access, mtu: 1500}\n" + segment),
              "t:4:39: ports.vm1.mtu: 1500 exceeds the mtu of segment 'a' (at most 1450)\n");
}

TEST(ConfigValidate, judges_numbers_of_topologies_made_by_hand) {
    Topology t;
    t.file = "none";
    t.system.memory = 1;
    t.system.fdb_capacity = 0;
    t.system.tunnel_capacity = 0;
    Port up;
    up.name = "up";
    up.device = "eth0";
    up.role = PortRole::underlay;
    up.addresses = {*parse_prefix("10.0.0.1/24")};
    up.mtu = 9217;
    up.rx_queues = 65;
    up.rx_descriptors = 1;
    up.tx_descriptors = 1;
    t.ports = {up, up};
    Vxlan a;
    a.name = "a";
    a.dstport = 0;
    a.mtu = 67;
    a.ageing = 4294968;
    a.srcport = {5, 5};
    t.vxlans = {a};
    std::vector<std::string> paths;
    for (const Problem& problem : validate(t)) {
        EXPECT_EQ(problem.file, "none");
        EXPECT_EQ(problem.where.line, 0);
        paths.push_back(problem.path);
    }
    for (const char* path :
         {"system.memory", "system.fdb-capacity", "system.tunnel-capacity", "ports.up",
          "ports.up.mtu", "ports.up.rx-queues", "ports.up.rx-descriptors",
          "ports.up.tx-descriptors", "ports.up.device", "ports.up.addresses[0]", "vxlans.a.id",
          "vxlans.a.dstport", "vxlans.a.mtu", "vxlans.a.ageing", "vxlans.a.srcport"}) {
        EXPECT_NE(std::ranges::find(paths, path), paths.end()) << path;
    }
}

/// Ports besides `up`, each with a kernel twin or without.
std::string more_ports(unsigned count, bool twins) {
    std::string text;
    for (unsigned i = 0; i < count; ++i) {
        const std::string n = std::to_string(i);
        text += "  p" + n + ": {device: d" + n + ", role: " +
                (twins ? "underlay, addresses: [10.1." + n + ".1/24], host: h" + n : "access") +
                "}\n";
    }
    return text;
}

TEST(ConfigValidate, more_ports_than_dpdk_opens_are_refused) {
    EXPECT_EQ(problems_of(more_ports(31, false)), "");
    EXPECT_EQ(problems_of(more_ports(33, false)),
              "t:35:3: ports: 34 ports, kernel twins included, are too many (at most 32)\n");
}

TEST(ConfigValidate, kernel_twins_count_as_ports) {
    EXPECT_EQ(problems_of(more_ports(15, true)), "");
    EXPECT_EQ(problems_of(more_ports(16, true)),
              "t:19:3: ports: 33 ports, kernel twins included, are too many (at most 32)\n");
}

Topology with_segments(std::uint32_t count) {
    Topology t;
    Port up;
    up.name = "up";
    up.device = "eth0";
    up.role = PortRole::underlay;
    up.addresses = {*parse_prefix("10.0.0.1/24")};
    t.ports = {up};
    for (std::uint32_t i = 0; i < count; ++i) {
        Vxlan vxlan;
        vxlan.name = "s" + std::to_string(i);
        vxlan.id = i + 1;
        t.vxlans.push_back(std::move(vxlan));
    }
    return t;
}

TEST(ConfigValidate, more_segments_than_can_be_numbered_are_refused) {
    EXPECT_TRUE(validate(with_segments(65'000)).empty());
    const Problems problems = validate(with_segments(65'001));
    ASSERT_EQ(problems.size(), 1U);
    EXPECT_EQ(problems.front().path, "vxlans");
    EXPECT_EQ(problems.front().message, "65001 segments are too many (at most 65000)");
}

TEST(ConfigValidate, an_empty_topology_is_valid) {
    EXPECT_TRUE(validate({}).empty());
}

}  // namespace
}  // namespace vxplane::config
