// Which flow has more than its share, as the flow limit of steering counts it.
#include <gtest/gtest.h>

#include "dataplane/worker/steering.hpp"

namespace vxplane::worker {
namespace {

TEST(FlowLimit, RP13_a_flow_may_have_half_of_the_last_128_packets) {
    FlowLimit limit;
    for (int i = 0; i < 64; ++i) EXPECT_FALSE(limit.is_over(1)) << i;
    EXPECT_TRUE(limit.is_over(1)) << "65 of 128";
    EXPECT_FALSE(limit.is_over(2));
    // 4096 buckets: hashes that differ by that many are one flow to the limit.
    EXPECT_TRUE(limit.is_over(1 + FlowLimit::kBuckets));
    for (std::uint32_t i = 0; i < FlowLimit::kHistory; ++i) limit.is_over(100 + i);
    EXPECT_FALSE(limit.is_over(1)) << "its packets are forgotten";
}

TEST(FlowLimit, RP13_even_traffic_never_meets_it) {
    FlowLimit limit;
    for (std::uint32_t i = 0; i < 10'000; ++i) ASSERT_FALSE(limit.is_over(i % 2)) << i;
}

}  // namespace
}  // namespace vxplane::worker
