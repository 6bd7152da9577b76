// Tables for people, as text, from results as the daemon gives them.
#include <gtest/gtest.h>

#include "control/ctl/render.hpp"

namespace vxplane::control::ctl {
namespace {

TEST(CtlHuman, three_digits_of_worth) {
    EXPECT_EQ(human(0), "0");
    EXPECT_EQ(human(7), "7");
    EXPECT_EQ(human(0.5), "0.50");
    EXPECT_EQ(human(999), "999");
    EXPECT_EQ(human(999.7), "1.00k");
    EXPECT_EQ(human(1250), "1.25k");
    EXPECT_EQ(human(12500), "12.5k");
    EXPECT_EQ(human(125000), "125k");
    EXPECT_EQ(human(14'880'952), "14.9M");
    EXPECT_EQ(human(1e10), "10.0G");
    EXPECT_EQ(human(9.996e9), "10.0G");
}

}  // namespace
}  // namespace vxplane::control::ctl
