// Every combination of the two ECN fields, both ways.
#include "dataplane/net/ecn.hpp"

#include <gtest/gtest.h>

namespace vxplane::net {
namespace {

TEST(Ecn, VX11_outside_follows_the_inner_field) {
    for (const EcnMode mode : {EcnMode::rfc6040, EcnMode::rfc3168}) {
        EXPECT_EQ(ecn_outside(0, mode), 0);
        EXPECT_EQ(ecn_outside(1, mode), 1);
        EXPECT_EQ(ecn_outside(2, mode), 2);
    }
    EXPECT_EQ(ecn_outside(3, EcnMode::rfc6040), 3);
    EXPECT_EQ(ecn_outside(3, EcnMode::rfc3168), 2);
}

TEST(Ecn, VX11_dscp_of_the_inner_packet_does_not_leak) {
    for (std::uint32_t tos = 0; tos < 256; ++tos) {
        const auto byte = static_cast<std::uint8_t>(tos);
        EXPECT_EQ(ecn_outside(byte, EcnMode::rfc6040), tos & 3U);
        EXPECT_EQ(static_cast<std::uint32_t>(ecn_of(byte)), tos & 3U);
    }
}

TEST(Ecn, inside_is_figure_4_of_rfc6040) {
    using enum Ecn;
    struct Case {
        Ecn inner, outer;
        EcnAction action;
    };
    const Case cases[] = {
        {not_ect, not_ect, EcnAction::keep}, {not_ect, ect0, EcnAction::anomaly},
        {not_ect, ect1, EcnAction::anomaly}, {not_ect, ce, EcnAction::drop},
        {ect0, not_ect, EcnAction::keep},    {ect0, ect0, EcnAction::keep},
        {ect0, ect1, EcnAction::set_ect1},   {ect0, ce, EcnAction::set_ce},
        {ect1, not_ect, EcnAction::keep},    {ect1, ect0, EcnAction::keep},
        {ect1, ect1, EcnAction::keep},       {ect1, ce, EcnAction::set_ce},
        {ce, not_ect, EcnAction::keep},      {ce, ect0, EcnAction::keep},
        {ce, ect1, EcnAction::keep},         {ce, ce, EcnAction::keep},
    };
    for (const Case& c : cases) {
        EXPECT_EQ(ecn_inside(c.inner, c.outer), c.action)
            << "inner " << static_cast<int>(c.inner) << " outer " << static_cast<int>(c.outer);
    }
}

}  // namespace
}  // namespace vxplane::net
