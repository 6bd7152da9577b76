// The ageing wheel against a simulated FDB that stamps as workers do.
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <random>

#include "control/resolve/ageing.hpp"

namespace vxplane::control {
namespace {

constexpr AgeingTime kSecond = 1000;

/// The FDB: stamps, and when each entry was truly seen and removed.
struct FakeFdb {
    struct Entry {
        std::uint8_t stamp = 0;
        bool dynamic = true;
        AgeingTime seen = 0;
    };
    AgeingLook look(std::uint64_t key, std::uint8_t mark) {
        const auto found = entries.find(key);
        if (found == entries.end() || !found->second.dynamic) {
            return {};
        }
        return {true, std::exchange(found->second.stamp, mark), ageing};
    }
    void expire(std::uint64_t key) {
        gone[key] = now;
        entries.erase(key);
    }
    std::map<std::uint64_t, Entry> entries;
    std::map<std::uint64_t, AgeingTime> gone;
    AgeingTime ageing = 300 * kSecond;
    AgeingTime now = 0;
};

class Ageing : public ::testing::Test {
  protected:
    static constexpr AgeingTime kPeriod = 100;

    void learn(std::uint64_t key) {
        fdb.entries[key] = {epoch_byte(fdb.now), true, fdb.now};
        ASSERT_TRUE(wheel.track(key, fdb.now));
    }
    /// A worker sees the entry; like Fdb::refresh it does not write what is there already.
    void see(std::uint64_t key, AgeingTime lag = 0) {
        auto& entry = fdb.entries.at(key);
        entry.seen = fdb.now;
        if (entry.stamp != epoch_byte(fdb.now - lag)) {
            entry.stamp = epoch_byte(fdb.now - lag);
        }
    }
    void pass(AgeingTime time, AgeingTime step = kPeriod) {
        for (const AgeingTime end = fdb.now + time; fdb.now < end;) {
            fdb.now = std::min(fdb.now + step, end);
            wheel.advance(fdb.now, fdb);
        }
    }
    /// Waits for the end of an entry and checks it against the statement.
    void expect_gone_in_time(std::uint64_t key) {
        const AgeingTime seen = fdb.entries.at(key).seen;
        const AgeingTime period = fdb.ageing > 1000 * kSecond ? 250 : kPeriod;
        while (fdb.entries.contains(key) && fdb.now < seen + fdb.ageing + 5 * kSecond) {
            pass(period, period);
        }
        ASSERT_TRUE(fdb.gone.contains(key));
        EXPECT_GE(fdb.gone[key], seen + fdb.ageing);
        EXPECT_LE(fdb.gone[key], seen + fdb.ageing + kSecond);
    }

    FakeFdb fdb{.entries = {}, .gone = {}, .now = 1'000'000 * kSecond + 77};
    AgeingWheel wheel{1000, fdb.now};
};

class VX56_AgeingOf : public Ageing, public ::testing::WithParamInterface<AgeingTime> {};

TEST_P(VX56_AgeingOf, unused_is_gone_between_age_and_age_plus_a_second) {
    fdb.ageing = GetParam();
    for (std::uint64_t key = 1; key <= 20; ++key) {
        learn(key);
        pass(37, 37);  // any place within an epoch
    }
    for (std::uint64_t key = 1; key <= 20; ++key) {
        if (fdb.entries.contains(key)) {
            const AgeingTime seen = fdb.entries.at(key).seen;
            expect_gone_in_time(key);
            EXPECT_GE(fdb.gone[key], seen + fdb.ageing);
        }
    }
    EXPECT_EQ(wheel.size(), 0U);
    EXPECT_EQ(wheel.expired(), 20U);
}

TEST_P(VX56_AgeingOf, counts_from_the_last_time_it_was_seen) {
    fdb.ageing = GetParam();
    std::mt19937 random{3};
    learn(1);
    for (int i = 0; i < 50; ++i) {
        pass(random() % (std::min<AgeingTime>(fdb.ageing, 200 * kSecond) - 100));
        ASSERT_TRUE(fdb.entries.contains(1)) << "never gone before its age";
        see(1, random() % kEpochMs);
    }
    expect_gone_in_time(1);
}

INSTANTIATE_TEST_SUITE_P(Ages, VX56_AgeingOf,
                         ::testing::Values(1 * kSecond, 2 * kSecond, 10 * kSecond, 60 * kSecond,
                                           64 * kSecond, 65 * kSecond, 300 * kSecond,
                                           100'000 * kSecond),
                         [](const auto& p) { return std::to_string(p.param / 1000) + "s"; });

TEST_F(Ageing, VX56_seen_again_after_exactly_one_turn_of_the_byte_counts) {
    // The worker finds its stamp already there and writes nothing, unless the wheel had put a mark.
    learn(1);
    for (int i = 0; i < 20; ++i) {
        pass(64 * kSecond, 50);
        see(1);
    }
    EXPECT_TRUE(fdb.entries.contains(1));
    expect_gone_in_time(1);
}

TEST_F(Ageing, VX56_a_stamp_of_an_earlier_turn_does_not_keep_it_alive) {
    fdb.ageing = 1000 * kSecond;
    for (std::uint64_t key = 1; key <= 256; ++key) {  // every value of the byte
        learn(key);
        pass(kEpochMs, 50);
    }
    for (std::uint64_t key = 1; key <= 256; ++key) {
        expect_gone_in_time(key);
    }
}

TEST_F(Ageing, VX56_random_refreshes_of_many_entries_never_die_early_or_late) {
    fdb.ageing = 130 * kSecond;
    std::mt19937 random{11};
    for (std::uint64_t key = 1; key <= 500; ++key) {
        learn(key);
    }
    std::map<std::uint64_t, AgeingTime> seen;
    for (int i = 0; i < 12'000; ++i) {  // 20 minutes
        for (auto& [key, entry] : fdb.entries) {
            if (random() % (key * 10) == 0) {
                see(key, random() % kEpochMs);
            }
            seen[key] = entry.seen;
        }
        pass(kPeriod);
        for (const auto& [key, entry] : fdb.entries) {
            ASSERT_LE(fdb.now, entry.seen + fdb.ageing + kSecond) << "too late: " << key;
        }
    }
    ASSERT_GT(fdb.gone.size(), 50U);
    ASSERT_LT(fdb.gone.size(), 500U);
    for (const auto& [key, when] : fdb.gone) {
        EXPECT_GE(when, seen[key] + fdb.ageing) << "too early: " << key;
    }
}

TEST_F(Ageing, VX56_a_worker_whose_clock_is_ahead_does_no_harm) {
    learn(1);
    pass(100 * kSecond);
    fdb.entries.at(1).stamp = epoch_byte(fdb.now + 3 * kEpochMs);
    fdb.entries.at(1).seen = fdb.now;
    fdb.ageing = 1 * kSecond;
    wheel.rescan(fdb.now, [](std::uint64_t) { return true; });
    expect_gone_in_time(1);
}

TEST_F(Ageing, VX56_zero_is_never) {
    fdb.ageing = 0;
    learn(1);
    pass(1'000'000 * kSecond, 10 * kSecond);
    EXPECT_TRUE(fdb.entries.contains(1));
    EXPECT_EQ(wheel.size(), 1U);
}

TEST_F(Ageing, VX56_an_age_changed_online_is_found_within_a_minute_or_at_once_by_rescan) {
    fdb.ageing = 0;
    learn(1);
    learn(2);
    pass(1000 * kSecond);
    fdb.ageing = 10 * kSecond;
    wheel.rescan(fdb.now, [](std::uint64_t key) { return key == 2; });
    pass(1200);
    EXPECT_FALSE(fdb.entries.contains(2));
    EXPECT_TRUE(fdb.entries.contains(1));
    pass(60 * kSecond);
    EXPECT_FALSE(fdb.entries.contains(1));
}

TEST_F(Ageing, VX56_a_pause_of_control_kills_nobody_early) {
    for (const AgeingTime pause : {8, 57, 63, 64, 65, 100, 290, 1000}) {
        fdb.entries.clear();
        fdb.gone.clear();
        learn(1);
        learn(2);
        pass(30 * kSecond);
        fdb.now += pause * kSecond - 500;
        see(1);
        fdb.now += 500;
        wheel.advance(fdb.now, fdb);
        EXPECT_TRUE(fdb.entries.contains(1)) << pause;
        // Nobody can tell any more whether 2 was seen meanwhile: it may live one age longer.
        pass(301 * kSecond, 250);
        EXPECT_FALSE(fdb.entries.contains(2)) << pause;
        wheel.forget(1);
        wheel.forget(2);
    }
}

TEST_F(Ageing, VX57_entries_that_are_not_dynamic_are_left_alone) {
    learn(1);
    fdb.entries.at(1).dynamic = false;
    pass(400 * kSecond);
    EXPECT_TRUE(fdb.entries.contains(1));
    EXPECT_EQ(wheel.size(), 0U) << "and cost no further visits";
}

TEST_F(Ageing, deleted_and_added_again_starts_anew_and_is_visited_once) {
    learn(1);
    pass(299 * kSecond);
    fdb.entries.erase(1);
    learn(1);  // without forget()
    EXPECT_EQ(wheel.size(), 1U);
    expect_gone_in_time(1);
    learn(1);
    pass(299 * kSecond);
    fdb.entries.erase(1);
    wheel.forget(1);
    EXPECT_EQ(wheel.size(), 0U);
    learn(1);
    EXPECT_EQ(wheel.size(), 1U);
    expect_gone_in_time(1);
}

TEST_F(Ageing, a_deleted_entry_leaves_the_wheel_by_itself) {
    learn(1);
    fdb.entries.erase(1);
    pass(1 * kSecond);
    EXPECT_EQ(wheel.size(), 0U);
    EXPECT_EQ(wheel.expired(), 0U);
}

TEST_F(Ageing, last_seen_is_told_in_spite_of_marks) {
    learn(1);
    pass(200 * kSecond);
    const auto stamp = [&] { return fdb.entries.at(1).stamp; };
    const auto idle = fdb.now - *wheel.last_seen(1, stamp(), fdb.now);
    EXPECT_LE(idle, 200 * kSecond);
    EXPECT_GE(idle, 200 * kSecond - kEpochMs);
    see(1);
    EXPECT_EQ(*wheel.last_seen(1, stamp(), fdb.now), fdb.now);
    EXPECT_FALSE(wheel.last_seen(2, 0, fdb.now));
}

TEST_F(Ageing, a_full_wheel_refuses_and_counts) {
    AgeingWheel small{2, fdb.now};
    EXPECT_TRUE(small.track(1, fdb.now));
    EXPECT_TRUE(small.track(2, fdb.now));
    EXPECT_TRUE(small.track(2, fdb.now)) << "it is in already";
    EXPECT_FALSE(small.track(3, fdb.now));
    EXPECT_EQ(small.refused(), 1U);
    small.forget(1);
    EXPECT_TRUE(small.track(3, fdb.now));
}

TEST_F(Ageing, a_budget_spreads_the_work_and_loses_none) {
    fdb.ageing = 2 * kSecond;
    for (std::uint64_t key = 1; key <= 1000; ++key) {
        learn(key);
    }
    fdb.now += 10 * kSecond;
    int calls = 1;
    while (!wheel.advance(fdb.now, fdb, 64)) {
        ++calls;
    }
    EXPECT_EQ(fdb.gone.size(), 1000U);
    EXPECT_GE(calls, 15);
    EXPECT_LE(calls, 17);
}

/// As many entries as a large table has, with an array for the FDB.
struct FlatFdb {
    AgeingLook look(std::uint64_t key, std::uint8_t mark) {
        return {alive[key] != 0, std::exchange(stamps[key], mark), 300 * kSecond};
    }
    void expire(std::uint64_t key) { alive[key] = 0; }
    std::vector<std::uint8_t> stamps, alive;
};

TEST(AgeingCost, VX56_a_million_entries_cost_control_little) {
    constexpr std::size_t kCount = 1'000'000;
    AgeingTime now = 5000 * kSecond;
    AgeingWheel wheel{kCount, now};
    FlatFdb fdb{std::vector<std::uint8_t>(kCount, 0), std::vector<std::uint8_t>(kCount, 1)};
    using Clock = std::chrono::steady_clock;
    const auto us = [](Clock::duration d) {
        return static_cast<int>(std::chrono::duration_cast<std::chrono::microseconds>(d).count());
    };
    std::mt19937_64 random{5};
    auto begin = Clock::now();
    for (std::size_t i = 0; i < kCount; ++i) {  // learned over 10 s
        const AgeingTime when = now + i / 100;
        fdb.stamps[i] = epoch_byte(when);
        wheel.track(i, when);
    }
    now += 10 * kSecond;
    const auto tracked = Clock::now() - begin;
    begin = Clock::now();
    Clock::duration worst{};
    for (int tick = 0; tick < 2400; ++tick) {  // ten minutes
        now += kEpochMs;
        if (tick < 1000) {
            for (std::size_t i = 0; i < 200; ++i) {  // traffic of some
                fdb.stamps[random() % kCount] = epoch_byte(now);
            }
        }
        const auto from = Clock::now();
        wheel.advance(now, fdb);
        worst = std::max(worst, Clock::now() - from);
    }
    const auto took = Clock::now() - begin;
    std::printf("track %d us, 600 s of ageing %d us in %llu visits, longest call %d us\n",
                us(tracked), us(took), static_cast<unsigned long long>(wheel.visits()), us(worst));
    EXPECT_EQ(wheel.size(), 0U);
    EXPECT_EQ(wheel.expired(), kCount);
    EXPECT_LE(wheel.visits(), 9 * kCount);
    EXPECT_LT(took, std::chrono::seconds{60}) << "a tenth of the time that passed";
}

}  // namespace
}  // namespace vxplane::control
