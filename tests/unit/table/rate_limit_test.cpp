// A rate that several workers keep together.
#include "dataplane/table/rate_limit.hpp"

#include <gtest/gtest.h>

#include <array>
#include <span>
#include <thread>

namespace vxplane::table {
namespace {

constexpr std::uint32_t kRate = 8000;  // bits per millisecond: 1 MB/s, 65,600 bytes at once

/// Bytes that get through when all workers want to send packets of this size in turns.
std::uint64_t passed(RateLimit& limit, std::span<RateShare> workers, std::uint32_t length,
                     std::uint32_t now, unsigned turns = 1000) {
    std::uint64_t sum = 0;
    for (unsigned turn = 0; turn < turns; ++turn) {
        for (RateShare& worker : workers) {
            sum += worker.take(limit, length, kRate, now) ? length : 0;
        }
    }
    return sum;
}

TEST(RateLimit, IV54_workers_together_get_the_rate_of_one) {
    for (const std::size_t count : {1U, 2U, 4U}) {
        RateLimit limit;
        std::array<RateShare, 4> all{};
        const std::span workers(all.data(), count);
        EXPECT_NEAR(static_cast<double>(passed(limit, workers, 100, 1'000)), 65'600, 1'400);
        EXPECT_LE(passed(limit, workers, 100, 1'000), 100U * count);
        std::uint64_t sum = 0;
        for (std::uint32_t now = 1'001; now <= 2'000; ++now) {
            sum += passed(limit, workers, 100, now, 100);
        }
        EXPECT_NEAR(static_cast<double>(sum), 1e6, 5'000) << count << " workers, one second";
    }
}

TEST(RateLimit, IV54_one_worker_may_have_it_all_when_the_others_have_nothing_to_send) {
    RateLimit limit;
    std::array<RateShare, 2> all{};
    passed(limit, all, 1000, 1'000);
    std::uint64_t sum = 0;
    for (std::uint32_t now = 1'001; now <= 2'000; ++now) {
        sum += passed(limit, std::span(all).first(1), 1000, now, 10);
    }
    EXPECT_NEAR(static_cast<double>(sum), 1e6, 5'000);
}

TEST(RateLimit, the_largest_packet_passes_at_the_lowest_rate) {
    RateLimit limit;
    RateShare worker;
    EXPECT_TRUE(worker.take(limit, 65'549, 1, 4'000'000));
    EXPECT_FALSE(worker.take(limit, 65'549, 1, 4'000'000));
}

TEST(RateLimit, the_clock_may_go_round) {
    RateLimit limit;
    RateShare worker;
    const auto all = [&](std::uint32_t now) {
        return passed(limit, std::span(&worker, 1), 1000, now);
    };
    EXPECT_GE(all(1'000'000), 64'000U);
    EXPECT_GE(all(0xFFFF'FFF0U), 64'000U);
    EXPECT_LE(all(0xFFFF'FFF0U), 1'000U);
    EXPECT_NEAR(static_cast<double>(all(0x10)), 32'000, 2'000) << "32 ms later";
    EXPECT_GE(all(0x9000'0000U), 64'000U) << "half a round later, where it seems to lie ahead";
    EXPECT_GE(all(0x7000'0000U), 64'000U) << "and so on";
}

TEST(RateLimit, IV54_workers_that_take_at_the_same_time_get_no_more) {
    RateLimit limit;
    std::array<std::uint64_t, 4> sums{};
    std::array<std::thread, 4> threads;
    for (std::size_t i = 0; i < threads.size(); ++i) {
        threads[i] = std::thread([&limit, &sum = sums[i]] {
            RateShare worker;
            sum = passed(limit, std::span(&worker, 1), 10, 1'000, 10'000);
        });
    }
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < threads.size(); ++i) {
        threads[i].join();
        sum += sums[i];
    }
    EXPECT_LE(sum, 65'600U);
    EXPECT_GE(sum, 65'600U - 4 * 1'010U);
}

}  // namespace
}  // namespace vxplane::table
