// Steps between two topologies, as a person reads them.
#include "config/diff.hpp"

#include <gtest/gtest.h>

#include <string>

#include "config/load.hpp"
#include "config/reader.hpp"

namespace vxplane::config {
namespace {

const std::string head =
    "version: 1\n"
    "ports:\n"
    "  up: {device: eth0, role: underlay, addresses: [10.0.0.1/24]}\n"
    "  vm1: {device: t1, role: access}\n"
    "  vm2: {device: t2, role: access}\n";

Topology load(const std::string& text) {
    const LoadResult result = check_text(text, "t");
    for (const Problem& problem : result.problems) ADD_FAILURE() << problem.text();
    return result.topology;
}

std::string steps(const std::string& from, const std::string& to) {
    std::string lines;
    for (const Change& change : diff(load(from), load(to))) lines += change.line() + "\n";
    return lines;
}

TEST(ConfigDiff, nothing_differs_between_equal_topologies) {
    const std::string text = head + "vxlans:\n  a: {id: 7, ports: [vm1], remote: 10.0.0.2}\n";
    EXPECT_EQ(steps(text, text), "");
    EXPECT_EQ(steps(head + "vxlans:\n  a: {id: 7, ageing: 300}\n  b: {id: 8}\n",
                    head + "vxlans:\n  b: {id: 8}\n  a: {id: 7}\n"),
              "")
        << "neither order nor a default written out is a difference";
}

TEST(ConfigDiff, VX97_options_of_a_segment_change_online) {
    EXPECT_EQ(steps(head + "vxlans:\n  a: {id: 7}\n",
                    head + "vxlans:\n  a: {id: 7, learning: false, ageing: 60, df: set, tos: 4, "
                           "ttl: 9, remote: 10.0.0.2}\n"),
              "modify vxlans.a.remote: none -> 10.0.0.2\n"
              "modify vxlans.a.ttl: auto -> 9\n"
              "modify vxlans.a.tos: 0 -> 4\n"
              "modify vxlans.a.df: unset -> set\n"
              "modify vxlans.a.learning: true -> false\n"
              "modify vxlans.a.ageing: 300 -> 60\n");
}

TEST(ConfigDiff, VX97_groups_of_tenants_change_online) {
    const std::string vxlan = head + "vxlans:\n  a: {id: 7, ports: [vm1], remote: 10.0.0.2";
    const std::string one = ", mdb: [{group: 239.7.7.7, dst: 10.0.0.2}]}\n";
    EXPECT_EQ(steps(vxlan + "}\n", vxlan + one),
              "add vxlans.a.mdb[239.7.7.7 dst 10.0.0.2]: group 239.7.7.7, dst [10.0.0.2]\n");
    EXPECT_EQ(steps(vxlan + one,
                    vxlan + ", mdb: [{group: 239.7.7.7, dst: 10.0.0.2, filter-mode: include, "
                            "source-list: [10.9.9.9]}, {group: 239.7.7.7, port: vm1}]}\n"),
              "modify vxlans.a.mdb[239.7.7.7 dst 10.0.0.2].filter-mode: exclude -> include\n"
              "modify vxlans.a.mdb[239.7.7.7 dst 10.0.0.2].source-list: [] -> [10.9.9.9]\n"
              "add vxlans.a.mdb[239.7.7.7 port vm1]: group 239.7.7.7, port [vm1]\n");
}

/// Keys whose values have no text.
template <class T>
void expect_shown_one_by_one(const std::string& expected) {
    std::string names;
    for (const Key<T>& key : keys_of<T>()) {
        if (key.access.show == nullptr) names.append(key.description.name).append(" ");
    }
    EXPECT_EQ(names, expected);
}

TEST(ConfigDiff, lists_of_objects_are_compared_by_the_differ_itself) {
    // A name that is new here needs a line in Differ::inside(), or its changes are not seen.
    expect_shown_one_by_one<Vxlan>("tunnel-info neighbours fdb mdb ");
    expect_shown_one_by_one<NexthopGroup>("members ");
    expect_shown_one_by_one<Port>("");
    expect_shown_one_by_one<MdbEntry>("");
    expect_shown_one_by_one<FdbEntry>("");
}

TEST(ConfigDiff, VX97_vni_and_dstport_need_removal_and_addition) {
    EXPECT_EQ(steps(head + "vxlans:\n  a: {id: 7, ports: [vm1]}\n  b: {id: 8}\n",
                    head + "vxlans:\n  a: {id: 8, ports: [vm1]}\n  b: {id: 7}\n"),
              "remove vxlans.b: id 8; made anew: id: 8 -> 7\n"
              "remove vxlans.a: id 7, ports [vm1]; made anew: id: 7 -> 8\n"
              "add vxlans.a: id 8, ports [vm1]\n"
              "add vxlans.b: id 7\n");
    EXPECT_EQ(
        steps(head + "vxlans:\n  a: {id: 7}\n", head + "vxlans:\n  a: {id: 7, dstport: 8472}\n"),
        "remove vxlans.a: id 7; made anew: dstport: 4789 -> 8472\n"
        "add vxlans.a: id 7, dstport 8472\n");
}

TEST(ConfigDiff, VX97_what_headers_have_needs_removal_and_addition) {
    EXPECT_EQ(steps(head + "vxlans:\n  a: {id: 7}\n", head + "vxlans:\n  a: {id: 7, gbp: true}\n"),
              "remove vxlans.a: id 7; made anew: gbp: false -> true\n"
              "add vxlans.a: id 7, gbp true\n");
    const std::string many = head + "vxlans:\n  a: {external: true, vni: 7-9, dstport: 4790";
    EXPECT_EQ(steps(many + "}\n", many + ", gpe: true}\n"),
              "remove vxlans.a: vni 7-9; made anew: gpe: false -> true\n"
              "add vxlans.a: vni 7-9\n");
}

TEST(ConfigDiff, an_access_port_leaves_one_segment_before_it_joins_another) {
    EXPECT_EQ(steps(head + "vxlans:\n  a: {id: 7}\n  b: {id: 8, ports: [vm1]}\n",
                    head + "vxlans:\n  a: {id: 7, ports: [vm1]}\n  b: {id: 8}\n"),
              "remove vxlans.b.ports: vm1\n"
              "add vxlans.a.ports: vm1\n");
}

TEST(ConfigDiff, entries_are_compared_by_their_address) {
    EXPECT_EQ(steps(head + "vxlans:\n  a: {id: 7, fdb: [{mac: 02:00:00:00:00:01, dst: 10.0.0.2}, "
                           "{mac: 02:00:00:00:00:02, dst: 10.0.0.2}]}\n",
                    head + "vxlans:\n  a: {id: 7, fdb: [{mac: 02:00:00:00:00:03, dst: 10.0.0.2}, "
                           "{mac: 02:00:00:00:00:02, dst: 10.0.0.3}]}\n"),
              "remove vxlans.a.fdb[02:00:00:00:00:01]: mac 02:00:00:00:00:01, dst [10.0.0.2]\n"
              "modify vxlans.a.fdb[02:00:00:00:00:02].dst: [10.0.0.2] -> [10.0.0.3]\n"
              "add vxlans.a.fdb[02:00:00:00:00:03]: mac 02:00:00:00:00:03, dst [10.0.0.2]\n");
}

TEST(ConfigDiff, what_is_inside_goes_first_and_comes_last) {
    const std::string full = head +
                             "nexthops:\n  5: {group: [10.0.0.2]}\n"
                             "vxlans:\n  a: {id: 7, fdb: [{mac: 02:00:00:00:00:01, nhid: 5}]}\n";
    EXPECT_EQ(steps(full, head),
              "remove vxlans.a.fdb[02:00:00:00:00:01]: mac 02:00:00:00:00:01, nhid 5\n"
              "remove vxlans.a: id 7\n"
              "remove nexthops.5: group [10.0.0.2]\n");
    EXPECT_EQ(steps(head, full),
              "add nexthops.5: group [10.0.0.2]\n"
              "add vxlans.a: id 7\n"
              "add vxlans.a.fdb[02:00:00:00:00:01]: mac 02:00:00:00:00:01, nhid 5\n");
}

TEST(ConfigDiff, says_what_needs_a_restart) {
    EXPECT_EQ(steps("version: 1\nsystem: {log: info, memory: 512M}\n",
                    "version: 1\nsystem: {log: debug, memory: 1G, workers: [1]}\n"
                    "ports: {vm1: {device: t1, role: access}}\n"),
              "modify system.workers: [] -> [1] (needs a restart)\n"
              "modify system.memory: 512M -> 1024M (needs a restart)\n"
              "modify system.log: info -> debug\n"
              "add ports.vm1: device t1, role access (needs a restart)\n");
    EXPECT_EQ(steps(head, head + "routes: [{to: default, via: 10.0.0.9}]\n"),
              "add routes[0.0.0.0/0]: to default, via 10.0.0.9\n");
    const std::string plain = head + "routes: [{to: default, via: 10.0.0.9}";
    EXPECT_EQ(steps(plain + "]\n", plain + ", {to: default, via: 10.0.0.8, tos: 0x10}]\n"),
              "add routes[0.0.0.0/0 tos 0x10]: to default, via 10.0.0.8, tos 16\n");
}

TEST(ConfigDiff, addresses_of_a_port_change_one_by_one) {
    const auto port = [](const std::string& addresses) {
        return "version: 1\nports: {up: {device: e, role: underlay, addresses: [" + addresses +
               "]}}\n";
    };
    EXPECT_EQ(steps(port("10.0.0.1/24, 10.0.1.1/24"), port("10.0.1.1/24, 10.0.2.1/24")),
              "remove ports.up.addresses: 10.0.0.1/24\n"
              "add ports.up.addresses: 10.0.2.1/24\n");
}

}  // namespace
}  // namespace vxplane::config
