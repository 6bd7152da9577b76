// How evenly the source ports of the tunnels are used.
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <random>

#include "frame.hpp"

namespace vxplane::net {
namespace {

constexpr int kFlows = 10'000;
constexpr int kBuckets = 64;
/// Chi-square with 63 degrees of freedom is above this in 1 % of all samples of an even spread.
constexpr double kLimit = 92.01;

/// Default range of source ports (Linux's ip_local_port_range).
constexpr std::uint32_t kLow = 32768;
constexpr std::uint32_t kHigh = 60999;

double chi_square(const std::function<std::uint32_t(std::mt19937&)>& flow, unsigned seed) {
    std::mt19937 random{seed};
    std::array<int, kBuckets> counts{};
    for (int i = 0; i < kFlows; ++i) {
        const std::uint32_t port = kLow + scale(flow(random), kHigh - kLow);
        ++counts[std::size_t{port - kLow} * kBuckets / (kHigh - kLow)];
    }
    constexpr double kExpected = double{kFlows} / kBuckets;
    double sum = 0;
    for (const int count : counts) {
        sum += (count - kExpected) * (count - kExpected) / kExpected;
    }
    return sum;
}

/// One sample in a hundred of a perfect hash is above the limit, so one seed proves little: of
/// twenty, at most two may be (more than two happen once in a thousand).
void expect_even(const std::function<std::uint32_t(std::mt19937&)>& flow) {
    int rejected = 0;
    for (unsigned seed = 1; seed <= 20; ++seed) {
        rejected += chi_square(flow, seed) > kLimit ? 1 : 0;
    }
    EXPECT_LE(rejected, 2);
}

TEST(FlowSpread, VX05_a_scaled_hash_stays_in_the_range) {
    EXPECT_EQ(kLow + scale(0, kHigh - kLow), kLow);
    EXPECT_EQ(kLow + scale(0xFFFFFFFFU, kHigh - kLow), kHigh - 1);
    EXPECT_EQ(scale(0xFFFFFFFFU, 1), 0U);
    std::mt19937 random{7};
    for (int i = 0; i < 100'000; ++i) {
        const std::uint32_t port = 49152 + scale(static_cast<std::uint32_t>(random()), 16384);
        ASSERT_GE(port, 49152U);
        ASSERT_LE(port, 65535U);
    }
}

TEST(FlowSpread, VX07_random_ipv4_flows_are_even) {
    expect_even([](std::mt19937& random) {
        return Frame{}
            .ethernet(kMacB, kMacA, ether_type::kIpv4)
            .ipv4(Ipv4Address::of(static_cast<std::uint32_t>(random())),
                  Ipv4Address::of(static_cast<std::uint32_t>(random())), ip_protocol::kTcp)
            .ports(static_cast<std::uint16_t>(random()), static_cast<std::uint16_t>(random()))
            .hash();
    });
}

TEST(FlowSpread, VX07_flows_that_differ_in_one_port_are_even) {
    expect_even([](std::mt19937& random) {
        return Frame{}
            .ethernet(kMacB, kMacA, ether_type::kIpv4)
            .ipv4(kAddressA, kAddressB, ip_protocol::kUdp)
            .ports(static_cast<std::uint16_t>(random()), 443)
            .hash();
    });
}

TEST(FlowSpread, VX07_neighbouring_addresses_are_even) {
    expect_even([](std::mt19937& random) {
        return Frame{}
            .ethernet(kMacB, kMacA, ether_type::kIpv4)
            .ipv4(Ipv4Address::of(0x0A000000U | (random() & 0xFFFF)),
                  Ipv4Address::of(0x0A010000U | (random() & 0xFF)), ip_protocol::kIcmp)
            .hash();
    });
}

TEST(FlowSpread, VX07_random_ipv6_flows_are_even) {
    expect_even([](std::mt19937& random) {
        return Frame{}
            .ethernet(kMacB, kMacA, ether_type::kIpv6)
            .ipv6(static_cast<std::uint8_t>(random()), static_cast<std::uint8_t>(random()),
                  ip_protocol::kTcp, random() & 0xFFFFFU)
            .ports(static_cast<std::uint16_t>(random()), 80)
            .hash();
    });
}

TEST(FlowSpread, VX07_flows_that_differ_in_the_flow_label_are_even) {
    expect_even([](std::mt19937& random) {
        return Frame{}
            .ethernet(kMacB, kMacA, ether_type::kIpv6)
            .ipv6(1, 2, ip_protocol::kUdp, random() & 0xFFFFFU)
            .ports(80, 80)
            .hash();
    });
}

TEST(FlowSpread, VX07_random_mac_pairs_are_even) {
    expect_even([](std::mt19937& random) {
        return Frame{}
            .ethernet(kMacA, 0x020000000000ULL | (random() & 0xFFFFFF), ether_type::kArp)
            .hash();
    });
}

}  // namespace
}  // namespace vxplane::net
