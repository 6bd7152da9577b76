// How many ICMP messages a source gets.
#include <gtest/gtest.h>

#include "control/resolve/icmp.hpp"

namespace vxplane::control {
namespace {

using namespace std::chrono_literals;
using net::Ipv4Address;

constexpr auto kUs = Ipv4Address::of(10, 0, 0, 1);
constexpr auto kThem = Ipv4Address::of(10, 0, 0, 2);

TEST(IcmpLimiter, VX27_a_hundred_per_source_and_second_and_the_rest_is_counted) {
    IcmpLimiter limiter;
    IcmpLimiter::Time now{5s};
    int allowed = 0;
    for (int i = 0; i < 5'000; ++i) {  // five seconds, one each millisecond
        allowed += limiter.allow(1, kThem, now) ? 1 : 0;
        now += 1ms;
    }
    EXPECT_EQ(allowed, 500);
    EXPECT_EQ(limiter.suppressed(), 4'500U);
}

TEST(IcmpLimiter, VX27_sources_and_tenants_do_not_share) {
    IcmpLimiter limiter{1};
    const IcmpLimiter::Time now{5s};
    EXPECT_TRUE(limiter.allow(1, kThem, now));
    EXPECT_FALSE(limiter.allow(1, kThem, now));
    EXPECT_TRUE(limiter.allow(2, kThem, now));
    EXPECT_TRUE(limiter.allow(1, kUs, now));
}

TEST(IcmpLimiter, VX27_no_number_of_sources_gets_more_than_the_table_holds) {
    IcmpLimiter limiter{2, 64, 9};
    const IcmpLimiter::Time now{5s};
    int allowed = 0;
    for (int round = 0; round < 3; ++round) {
        for (std::uint32_t i = 1; i <= 10'000; ++i) {
            allowed += limiter.allow(0, Ipv4Address::of(i), now) ? 1 : 0;
        }
    }
    EXPECT_EQ(allowed, 128);
    EXPECT_EQ(limiter.suppressed(), 30'000U - 128);
    EXPECT_TRUE(limiter.allow(0, Ipv4Address::of(9'999'999), now + 1s)) << "a second later";
}

TEST(IcmpLimiter, VX27_families_do_not_share) {
    IcmpLimiter limiter{1};
    const IcmpLimiter::Time now{5s};
    net::IpAddress six;
    six.bytes[0] = 0x20;
    EXPECT_TRUE(limiter.allow(0, kThem, now));
    EXPECT_FALSE(limiter.allow(0, kThem, now));
    EXPECT_TRUE(limiter.allow(0, six, now));
    EXPECT_FALSE(limiter.allow(0, six, now));
    six.bytes[15] = 1;
    EXPECT_TRUE(limiter.allow(0, six, now));
    EXPECT_EQ(limiter.suppressed(), 2U);
}

TEST(IcmpLimiter, rate_zero_lets_nothing_through) {
    IcmpLimiter limiter{0};
    EXPECT_FALSE(limiter.allow(0, kThem, IcmpLimiter::Time{5s}));
    EXPECT_EQ(limiter.suppressed(), 1U);
}

}  // namespace
}  // namespace vxplane::control
