// Interface ids of slaves that share a MAC address.
#include "control/apply/interface_id.hpp"

#include <gtest/gtest.h>

#include <set>

#include "control/apply/words.hpp"
#include "tests/support/frame.hpp"

namespace vxplane::control {
namespace {

TEST(InterfaceIds, IV10_each_slave_has_one_of_its_own_and_keeps_it) {
    std::vector<std::string> names;
    for (int i = 0; i < 60'000; ++i) {
        names.push_back("ipvl0/s" + std::to_string(i));
    }
    const auto all = interface_numbers(names);
    const std::set<std::uint16_t> distinct(all.begin(), all.end());
    EXPECT_EQ(distinct.size(), names.size());
    EXPECT_GE(*distinct.begin(), 1U);
    EXPECT_LE(*distinct.rbegin(), 0xFFFDU);
    // Those that come later change nothing for those that are there.
    names.resize(100);
    const auto before = interface_numbers(names);
    EXPECT_TRUE(std::equal(before.begin(), before.end(), all.begin()));
    // And without the others it is the same one, unless two names met.
    EXPECT_EQ(interface_numbers({names[0]}).front(), all[0]);
}

TEST(InterfaceIds, IV10_are_formed_as_the_kernels_ipvlan_does) {
    const net::MacAddress mac = support::mac("02:12:34:56:78:9a");
    EXPECT_EQ(text(link_local(interface_id(mac, 0x0102))), "fe80::212:3401:256:789a");
    EXPECT_EQ(text(link_local(plain_interface_id(mac))), "fe80::12:34ff:fe56:789a");
}

}  // namespace
}  // namespace vxplane::control
