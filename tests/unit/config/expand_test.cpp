// External vxlans: what the loader makes of them, and what a diff says of many VNIs.
#include <gtest/gtest.h>

#include "config/diff.hpp"
#include "config/load.hpp"
#include "config/resolve.hpp"

namespace vxplane::config {
namespace {

const char* const base = R"(version: 1
ports:
  up: {device: eth0, role: underlay, addresses: [10.0.0.1/24]}
  all: {device: "net_tap0,iface=all", role: access}
  some: {device: "net_tap1,iface=some", role: access, pvid: 11, vlans: 12-13}
vxlans:
  plain: {id: 7}
  many:
    external: true
    vni: VNIS
    ports: [all, some]
    ageing: 60
    tunnel-info: [{vid: 10-13, id: 1000-1003}, {vid: 20, id: 300}]
    fdb:
      - {mac: "00:00:00:00:00:00", dst: 10.0.0.2}
      - {mac: "02:00:00:00:00:01", dst: 10.0.0.2, src-vni: 1001, vni: 9}
      - {mac: "02:00:00:00:00:02", port: some}
)";

LoadResult with(const std::string& vnis, const std::string& more = "") {
    std::string text = base;
    text.replace(text.find("VNIS"), 4, vnis);
    return check_text(text + more, "t.yaml");
}

TEST(ConfigExternal, VX96_each_vni_becomes_a_segment) {
    const LoadResult result = with("300,1000-1004");
    ASSERT_TRUE(result.problems.empty()) << result.problems.front().message;
    ASSERT_EQ(result.topology.vxlans.size(), 7U);
    const auto part = [&](const char* name) -> const Vxlan& {
        return *find_vxlan(result.topology, name);
    };
    for (const char* name : {"many:300", "many:1000", "many:1001", "many:1004"}) {
        EXPECT_EQ(part(name).part_of, "many");
        EXPECT_EQ(part(name).ageing, 60U);
    }
    EXPECT_EQ(part("many:1001").id, 1001U);
    EXPECT_EQ(part("many:1001").vid, 11U);
    EXPECT_EQ(part("many:1004").vid, 0U) << "heard, and on no trunk";
    EXPECT_TRUE(part("many:1004").ports.empty());
    using Names = std::vector<std::string>;
    EXPECT_EQ(part("many:1000").ports, (Names{"all"}));
    EXPECT_EQ(part("many:1001").ports, (Names{"all", "some"}));
    EXPECT_EQ(part("many:1002").ports, (Names{"all", "some"}));
    EXPECT_EQ(part("many:300").ports, (Names{"all"}));
    // Entries of all VNIs, of one, and of those where the trunk is.
    EXPECT_EQ(part("many:1000").fdb.size(), 1U);
    EXPECT_EQ(part("many:1001").fdb.size(), 3U);
    EXPECT_EQ(part("many:1002").fdb.size(), 2U);
    EXPECT_EQ(part("plain").part_of, "");
}

TEST(ConfigExternal, VX74_VX81_neighbours_and_groups_are_of_every_vni_or_of_one) {
    const LoadResult result =
        with("300,1000-1003",
             "    proxy: true\n"
             "    neighbours:\n"
             "      - {ip: 10.1.0.1, lladdr: \"02:00:00:00:00:07\"}\n"
             "      - {ip: 10.1.0.2, lladdr: \"02:00:00:00:00:08\", src-vni: 1001}\n"
             "    mdb:\n"
             "      - {group: 239.1.1.1, dst: 10.0.0.2, vni: 70, dstport: 8472}\n"
             "      - {group: 239.1.1.1, dst: 10.0.0.2, vni: 71, src-vni: 300}\n"
             "      - {group: 239.1.1.2, port: [some, all]}\n"
             "      - {group: 239.1.1.3, port: some}\n");
    ASSERT_TRUE(result.problems.empty()) << result.problems.front().text();
    const auto part = [&](const char* name) -> const Vxlan& {
        return *find_vxlan(result.topology, name);
    };
    EXPECT_EQ(part("many:1000").neighbours.size(), 1U);
    ASSERT_EQ(part("many:1001").neighbours.size(), 2U);
    EXPECT_EQ(part("many:1001").neighbours[1].ip.text(), "10.1.0.2");
    ASSERT_EQ(part("many:300").mdb.size(), 3U) << "the trunk `some` is not in this VNI";
    EXPECT_EQ(part("many:300").mdb[0].vni, 70U);
    EXPECT_EQ(part("many:300").mdb[0].dstport, 8472U);
    EXPECT_EQ(part("many:300").mdb[1].vni, 71U);
    EXPECT_EQ(part("many:300").mdb[2].ports, std::vector<std::string>{"all"});
    ASSERT_EQ(part("many:1001").mdb.size(), 3U);
    EXPECT_EQ(part("many:1001").mdb[1].ports, (std::vector<std::string>{"some", "all"}));
    EXPECT_EQ(part("many:1001").mdb[2].group.text(), "239.1.1.3");
}

TEST(ConfigExternal, VX96_VX97_a_diff_says_of_many_vnis_at_once) {
    const Topology before = with("300,1000-1100").topology;
    const auto lines = [&](const LoadResult& next) {
        std::string text;
        EXPECT_TRUE(next.problems.empty());
        for (const Change& change : diff(before, next.topology)) text += change.line() + "\n";
        return text;
    };
    EXPECT_EQ(lines(with("300,1000-1100")), "");
    const std::string more = lines(with("300,1000-1099,1200-1202"));
    EXPECT_NE(more.find("remove vxlans.many: vni 1100"), std::string::npos) << more;
    EXPECT_NE(more.find("add vxlans.many: vni 1200-1202"), std::string::npos) << more;
    EXPECT_EQ(std::count(more.begin(), more.end(), '\n'), 4) << more;
    std::string slower = base;
    slower.replace(slower.find("VNIS"), 4, "300,1000-1100");
    slower.replace(slower.find("ageing: 60"), 10, "ageing: 90");
    EXPECT_EQ(lines(check_text(slower, "t.yaml")),
              "modify vxlans.many.ageing: 60 -> 90 (vni 300,1000-1100)\n");
}

}  // namespace
}  // namespace vxplane::config
