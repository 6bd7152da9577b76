// Values that follow from other parts of the topology.
#include "config/resolve.hpp"

#include <gtest/gtest.h>

#include <string>

#include "config/load.hpp"
#include "config/parse.hpp"

namespace vxplane::config {
namespace {

Topology topology(const std::string& segment) {
    const LoadResult result = check_text(
        "version: 1\n"
        "ports:\n"
        "  one: {device: eth0, role: underlay, addresses: [10.0.1.1/24], mtu: 1500}\n"
        "  two: {device: eth1, role: underlay, addresses: [10.0.2.1/24, 10.0.3.1/24], mtu: 9000}\n"
        "routes:\n"
        "  - {to: default, via: 10.0.1.254}\n"
        "  - {to: 10.9.0.0/16, via: 10.0.3.254}\n"
        "  - {to: 10.9.9.0/24, type: blackhole}\n"
        "nexthops:\n"
        "  5: {group: [10.0.2.9]}\n"
        "vxlans:\n"
        "  a: {id: 7, " +
            segment + "}\n",
        "t");
    for (const Problem& problem : result.problems) ADD_FAILURE() << problem.text();
    return result.topology;
}

std::string local_of(const std::string& segment) {
    const Topology t = topology(segment);
    const auto local = effective_local(t, t.vxlans.at(0));
    return local ? local->text() : "none";
}

TEST(ConfigResolve, local_is_what_the_file_says) {
    EXPECT_EQ(local_of("local: 10.0.3.1"), "10.0.3.1");
}

TEST(ConfigResolve, local_is_the_source_towards_the_first_remote) {
    EXPECT_EQ(local_of("remote: 10.0.2.7"), "10.0.2.1");
    EXPECT_EQ(local_of("remote: 10.0.3.7"), "10.0.3.1");
    EXPECT_EQ(local_of("remote: 10.9.0.7"), "10.0.3.1") << "by the route";
    EXPECT_EQ(local_of("remote: 192.0.2.7"), "10.0.1.1") << "by the default route";
    EXPECT_EQ(local_of("fdb: [{mac: 02:00:00:00:00:01, dst: 10.0.2.7}]"), "10.0.2.1");
    EXPECT_EQ(local_of("fdb: [{mac: 02:00:00:00:00:01, nhid: 5}]"), "10.0.2.1");
}

TEST(ConfigResolve, local_without_a_remote_is_the_first_address) {
    EXPECT_EQ(local_of("learning: true"), "10.0.1.1");
    EXPECT_EQ(local_of("remote: 10.9.9.7"), "10.0.1.1") << "the route refuses";
    EXPECT_FALSE(effective_local({}, {}));
}

TEST(ConfigResolve, VX21_families_are_those_of_all_addresses_and_IPv6_takes_70_bytes) {
    const auto of = [](const std::string& segment) {
        const LoadResult result = check_text(
            "version: 1\n"
            "ports:\n"
            "  one: {device: eth0, role: underlay, addresses: [10.0.1.1/24, \"2001:db8::1/64\"]}\n"
            "  two: {device: eth1, role: underlay, addresses: [\"2001:db8:1::1/64\"], mtu: 1400}\n"
            "nexthops:\n"
            "  5: {group: [\"2001:db8::9\"]}\n"
            "vxlans:\n"
            "  a: {id: 7, " +
                segment + "}\n",
            "t");
        for (const Problem& problem : result.problems) ADD_FAILURE() << problem.text();
        const Families families = families_of(result.topology, result.topology.vxlans.at(0));
        return std::string(families.ipv4 ? "4" : "") + (families.ipv6 ? "6" : "") + " " +
               std::to_string(effective_mtu(result.topology, result.topology.vxlans.at(0)));
    };
    EXPECT_EQ(of("learning: true"), "4 1450");
    EXPECT_EQ(of("local: 10.0.1.1"), "4 1450");
    EXPECT_EQ(of("local: \"2001:db8::1\""), "6 1430");
    EXPECT_EQ(of("remote: \"2001:db8::2\""), "6 1430");
    EXPECT_EQ(of("local: 10.0.1.1, remote: \"2001:db8::2\""), "46 1430");
    EXPECT_EQ(of("remote: 10.0.1.2, fdb: [{mac: 02:00:00:00:00:01, nhid: 5}]"), "46 1430");
    EXPECT_EQ(of("local: 10.0.1.1, local6: \"2001:db8:1::1\""), "46 1330") << "the smaller mtu";
}

TEST(ConfigResolve, VX21_mtu_is_the_uplinks_less_50) {
    for (const auto& [segment, mtu] :
         {std::pair{"local: 10.0.1.1", 1450}, {"local: 10.0.2.1", 8950}, {"mtu: 1000", 1000}}) {
        const Topology t = topology(segment);
        EXPECT_EQ(effective_mtu(t, t.vxlans.at(0)), mtu) << segment;
    }
    EXPECT_EQ(effective_mtu({}, {}), 0);
}

TEST(ConfigResolve, VX21_an_access_port_has_the_least_of_its_segments) {
    const LoadResult loaded = check_text(
        "version: 1\n"
        "ports:\n"
        "  up: {device: eth0, role: underlay, mtu: 1600, "
        "addresses: [10.0.1.1/24, \"2001:db8::1/64\"]}\n"
        "  a: {device: net_tap1, role: access}\n"
        "  b: {device: net_tap2, role: access}\n"
        "  trunk: {device: net_tap3, role: access}\n"
        "  alone: {device: net_tap4, role: access}\n"
        "vxlans:\n"
        "  four: {id: 1, local: 10.0.1.1, ports: [a]}\n"
        "  six: {id: 2, remote: \"2001:db8::2\", ports: [b]}\n"
        "  many: {external: true, vni: \"10,20\", local: 10.0.1.1, ports: [trunk], "
        "tunnel-info: [{vid: 10, id: 10}, {vid: 20, id: 20}], "
        "fdb: [{mac: \"00:00:00:00:00:00\", dst: \"2001:db8::9\", src-vni: 20}]}\n",
        "t.yaml");
    for (const Problem& problem : loaded.problems) ADD_FAILURE() << problem.text();
    const Topology& t = loaded.topology;
    const auto of = [&t](const char* port) { return segment_mtu(t, *find_port(t, port)); };
    EXPECT_EQ(of("a"), 1550);
    EXPECT_EQ(of("b"), 1530);
    EXPECT_EQ(of("trunk"), 1530) << "its VNI 20 has a remote of IPv6";
    EXPECT_EQ(of("alone"), 0);
}

TEST(ConfigResolve, egress_is_the_longest_match) {
    const Topology t = topology("learning: true");
    const auto name = [&](const char* address) {
        const Egress egress = egress_to(t, *parse_ip(address));
        return egress.port == nullptr ? std::string("none")
                                      : egress.port->name + " " + egress.next_hop->text();
    };
    EXPECT_EQ(name("10.0.2.7"), "two 10.0.2.7");
    EXPECT_EQ(name("10.9.1.1"), "two 10.0.3.254");
    EXPECT_EQ(name("10.9.9.1"), "none");
    EXPECT_EQ(name("192.0.2.1"), "one 10.0.1.254");
}

TEST(ConfigResolve, VX18_egress_follows_the_tos) {
    Topology t = topology("learning: true");
    const auto add = [&](const char* to, const char* via, std::uint8_t tos) {
        Route route;
        route.to = *parse_prefix(to);
        route.via = parse_ip(via);
        route.tos = tos;
        t.routes.push_back(route);
    };
    add("198.51.100.0/24", "10.0.1.1", 0);
    add("198.51.100.0/24", "10.0.1.2", 0x10);
    add("198.51.0.0/16", "10.0.1.3", 0x08);
    const auto by = [&](unsigned tos) {
        return egress_to(t, *parse_ip("198.51.100.9"), static_cast<std::uint8_t>(tos))
            .next_hop->text();
    };
    EXPECT_EQ(by(0), "10.0.1.1");
    EXPECT_EQ(by(0x10), "10.0.1.2");
    EXPECT_EQ(by(0xF3), "10.0.1.2") << "of the TOS, the bits 0x1c";
    EXPECT_EQ(by(0x08), "10.0.1.1") << "the longer prefix, though the shorter is for this TOS";
    EXPECT_EQ(name_of(t.routes.back()), "198.51.0.0/16 tos 0x8");
}

TEST(ConfigResolve, flood_list_is_remote_and_all_zero_entries) {
    const Topology t = topology(
        "remote: 10.0.2.7, fdb: [{mac: 00:00:00:00:00:00, dst: [10.0.2.8, 10.0.2.9]}, "
        "{mac: 02:00:00:00:00:01, dst: 10.0.2.10}]");
    std::string text;
    for (const IpAddress& remote : flood_list(t.vxlans.at(0))) text += remote.text() + " ";
    EXPECT_EQ(text, "10.0.2.7 10.0.2.8 10.0.2.9 ");
}

TEST(ConfigResolve, networks_are_compared_bit_by_bit) {
    EXPECT_EQ(network_of(*parse_prefix("10.255.255.255/9")).text(), "10.128.0.0/9");
    EXPECT_EQ(network_of(*parse_prefix("10.1.2.3/32")).text(), "10.1.2.3/32");
    EXPECT_EQ(network_of(*parse_prefix("10.1.2.3/0")).text(), "0.0.0.0/0");
    EXPECT_TRUE(contains(*parse_prefix("10.1.2.3/31"), *parse_ip("10.1.2.2")));
    EXPECT_FALSE(contains(*parse_prefix("10.1.2.3/31"), *parse_ip("10.1.2.4")));
    EXPECT_FALSE(contains(*parse_prefix("0.0.0.0/0"), *parse_ip("::1")));
}

}  // namespace
}  // namespace vxplane::config
