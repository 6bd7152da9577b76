// External vxlans for people: one line each, and a line per VNI when asked for by name.
#include <gtest/gtest.h>

#include "control/ctl/external.hpp"
#include "control/ctl/render.hpp"

namespace vxplane::control::ctl {
namespace {

Json part(const char* of, unsigned vni, unsigned packets) {
    return {{"name", std::string(of) + ":" + std::to_string(vni)},
            {"part_of", of},
            {"vni", vni},
            {"vid", vni - 90},
            {"ports", {vni % 2 == 0 ? "even" : "odd"}},
            {"remotes", {"10.0.0.2"}},
            {"fdb_used", 1},
            {"rx", {{"packets", packets}, {"bytes", 100}, {"drops", 1}, {"errors", 0}}},
            {"tx", {{"packets", 2}, {"bytes", 200}, {"drops", 0}, {"errors", 3}}}};
}

TEST(CtlExternal, ranges_are_ascending_and_each_number_stands_once) {
    EXPECT_EQ(ranges({}), "");
    EXPECT_EQ(ranges({7}), "7");
    EXPECT_EQ(ranges({300, 101, 100, 102, 102, 5}), "5,100-102,300");
    EXPECT_EQ(ranges({1, 3, 2, 5, 4}), "1-5");
}

TEST(CtlExternal, VX96_its_vnis_are_one_row) {
    const Json rows = one_row_each({part("a", 100, 1),
                                    {{"name", "plain"}, {"vni", 7}},
                                    part("b", 100, 5),
                                    part("a", 101, 2),
                                    part("a", 200, 4)});
    ASSERT_EQ(rows.size(), 3U);
    EXPECT_EQ(rows[0]["name"], "a");
    EXPECT_EQ(rows[0]["vni"], "100-101,200");
    EXPECT_EQ(rows[0]["rx"]["packets"], 7);
    EXPECT_EQ(rows[0]["tx"]["errors"], 9);
    EXPECT_EQ(rows[0]["fdb_used"], 3);
    EXPECT_EQ(rows[0]["ports"], Json({"even", "odd"}));
    EXPECT_EQ(rows[1]["name"], "plain");
    EXPECT_EQ(rows[2]["vni"], "100");
}

TEST(CtlExternal, VX96_asked_for_by_name_it_shows_each_vni) {
    EXPECT_EQ(
        render(View::segment, Json::array({part("a", 100, 1), part("a", 101, 2)})),
        R"(VNI  VID  PORTS  REMOTES   FDB  RX-PACKETS  RX-BYTES  RX-DROPS  RX-ERRORS  TX-PACKETS  TX-BYTES  TX-DROPS  TX-ERRORS
100   10  even   10.0.0.2    1           1       100         1          0           2       200         0          3
101   11  odd    10.0.0.2    1           2       100         1          0           2       200         0          3
)");
    EXPECT_FALSE(is_one_external(Json::array({part("a", 100, 1), part("b", 101, 2)})));
    EXPECT_FALSE(is_one_external(Json::array({part("a", 100, 1)}))) << "NAME:VNI was asked for";
    EXPECT_FALSE(is_one_external(Json::array()));
}

}  // namespace
}  // namespace vxplane::control::ctl
