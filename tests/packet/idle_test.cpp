// What a worker does when there is nothing to do: when it rests, for how long, and what ends that.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

using worker::Bed;
using worker::Idle;
using worker::IdlePlan;

/// A clock of one tick per nanosecond.
constexpr std::uint64_t kHz = 1'000'000'000;
constexpr std::uint64_t kMicrosecond = 1000;

/// A plan that has just seen its last packet at time 0.
IdlePlan plan(Idle policy, std::uint32_t after = 200, std::uint32_t longest = 2000) {
    IdlePlan made(policy, after, longest, kHz);
    made.next(0, 1);
    return made;
}

TEST(IdlePlan, RP83_a_worker_rests_only_after_the_configured_silence) {
    IdlePlan p = plan(Idle::adaptive);
    EXPECT_FALSE(p.next(49 * kMicrosecond, 1).pause) << "at full speed first";
    EXPECT_TRUE(p.next(50 * kMicrosecond, 1).pause);
    EXPECT_TRUE(p.next(199 * kMicrosecond, 1).pause);
    EXPECT_EQ(p.next(199 * kMicrosecond, 1).nanoseconds, 0U);
    EXPECT_GT(p.next(200 * kMicrosecond, 1).nanoseconds, 0U);
}

TEST(IdlePlan, RP83_a_nap_lasts_an_eighth_of_the_silence_and_no_longer_than_configured) {
    IdlePlan p = plan(Idle::adaptive);
    EXPECT_EQ(p.next(200 * kMicrosecond, 1).nanoseconds, 25'000U);
    EXPECT_EQ(p.next(8000 * kMicrosecond, 1).nanoseconds, 1'000'000U);
    EXPECT_EQ(p.next(16'000 * kMicrosecond, 1).nanoseconds, 2'000'000U);
    EXPECT_EQ(p.next(kHz * 86'400 * 365, 1).nanoseconds, 2'000'000U) << "after a year";
}

TEST(IdlePlan, RP83_a_packet_begins_a_new_silence) {
    IdlePlan p = plan(Idle::adaptive);
    EXPECT_GT(p.next(kHz, 1).nanoseconds, 0U);
    EXPECT_EQ(p.next(kHz + 1, 2).nanoseconds, 0U);
    EXPECT_FALSE(p.next(kHz + 49 * kMicrosecond, 2).pause);
    EXPECT_EQ(p.next(kHz + 1 + 200 * kMicrosecond, 2).nanoseconds, 25'000U);
}

TEST(IdlePlan, RP83_busy_never_rests) {
    IdlePlan p = plan(Idle::busy);
    const IdlePlan::Rest rest = p.next(kHz * 3600, 1);
    EXPECT_FALSE(rest.pause);
    EXPECT_EQ(rest.nanoseconds, 0U);
}

TEST(IdlePlan, RP83_with_interrupts_a_worker_sleeps_long_only_when_everything_can_wake_it) {
    IdlePlan p = plan(Idle::interrupt);
    EXPECT_EQ(p.next(200 * kMicrosecond, 1).nanoseconds, 25'000U) << "as adaptive does";
    p.all_wakes(true);
    EXPECT_EQ(p.next(199 * kMicrosecond, 1).nanoseconds, 0U);
    EXPECT_EQ(p.next(200 * kMicrosecond, 1).nanoseconds,
              IdlePlan::kGuardMicroseconds * kMicrosecond);
}

TEST(IdlePlan, RP83_a_worker_that_was_woken_looks_at_full_speed) {
    IdlePlan p = plan(Idle::interrupt);
    p.all_wakes(true);
    p.restart(kHz);
    EXPECT_EQ(p.next(kHz + 199 * kMicrosecond, 1).nanoseconds, 0U);
    EXPECT_GT(p.next(kHz + 200 * kMicrosecond, 1).nanoseconds, 0U);
}

TEST(Bed, RP83_a_sleep_ends_by_itself) {
    Bed bed;
    bed.lie_down();
    EXPECT_EQ(bed.sleep(1000), Bed::Woken::by_time);
    bed.get_up();
}

TEST(Bed, RP83_any_thread_can_wake_the_sleeper) {
    Bed bed;
    bed.lie_down();
    std::thread other([&bed] { bed.ring(); });
    EXPECT_EQ(bed.sleep(60'000'000'000), Bed::Woken::by_ring);
    bed.get_up();
    other.join();
    bed.lie_down();
    EXPECT_EQ(bed.sleep(1000), Bed::Woken::by_time) << "a ring wakes once";
    bed.get_up();
}

TEST(Bed, ringing_without_a_sleeper_leaves_nothing_behind) {
    Bed bed;
    bed.ring();
    bed.lie_down();
    EXPECT_EQ(bed.sleep(1000), Bed::Woken::by_time);
    bed.get_up();
}

TEST(Bed, RP83_a_port_without_interrupts_is_told) {
    Scene s;
    Bed bed;
    EXPECT_FALSE(bed.watch(s.vm1, 0)) << "rings in memory have none";
}

/// A worker of the scene that runs by itself until the end of the block.
class Running {
  public:
    explicit Running(Scene& scene) : worker_(scene.lab.worker()) {
        thread_ = std::thread([this] { worker_.run(); });
    }
    ~Running() { end(); }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
    void end() {
        if (thread_.joinable()) {
            worker_.stop();
            thread_.join();
        }
    }
    /// Waits for a counter; false after a minute.
    static bool reaches(const path::Counter& counter, std::uint64_t value) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
        while (counter.get() < value) {
            if (std::chrono::steady_clock::now() > deadline) return false;
            std::this_thread::sleep_for(std::chrono::microseconds(100));
        }
        return true;
    }

  private:
    worker::Worker& worker_;
    std::thread thread_{};
};

SceneWords resting(Idle policy, std::uint32_t after = 0, std::uint32_t longest = 100'000) {
    SceneWords words;
    words.lab.idle = policy;
    words.lab.idle_after = after;
    words.lab.idle_sleep = longest;
    return words;
}

TEST(Idle, RP83_an_idle_worker_sleeps_nearly_all_the_time) {
    Scene s(resting(Idle::adaptive));
    s.lab.poll();
    const path::WorkerCounters& c = s.lab.worker().counters();
    Running running(s);
    ASSERT_TRUE(Running::reaches(c.sleeps, 45)) << "by then a nap lasts milliseconds";
    running.end();
    EXPECT_GT(c.slept_cycles.get(), 0U);
    EXPECT_LT(c.polls.get(), 100'000U);
    EXPECT_EQ(c.woken.get(), 1U) << "by the end";
    expect_law(s.lab.collect());
}

TEST(Idle, RP83_control_wakes_a_worker_that_it_gives_a_frame) {
    Scene s(resting(Idle::adaptive));
    s.lab.poll();
    const path::WorkerCounters& c = s.lab.worker().counters();
    Running running(s);
    // Naps are an eighth of the silence, so a worker is asleep eight times of nine.
    ASSERT_TRUE(Running::reaches(c.sleeps, 45));
    for (std::uint64_t frame = 1; c.woken.get() == 0 && frame < 400; ++frame) {
        ASSERT_TRUE(s.lab.inject(s.up, small(host(12)).bytes()));
        s.lab.worker().wake();
        ASSERT_TRUE(Running::reaches(c.injected, frame));
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_GE(c.woken.get(), 1U);
    running.end();
    expect_law(s.lab.collect());
}

TEST(Idle, RP83_a_busy_worker_never_sleeps) {
    Scene s(resting(Idle::busy));
    s.lab.poll();
    const path::WorkerCounters& c = s.lab.worker().counters();
    Running running(s);
    ASSERT_TRUE(Running::reaches(c.polls, 200'000));
    running.end();
    EXPECT_EQ(c.sleeps.get(), 0U);
    EXPECT_EQ(c.slept_cycles.get(), 0U);
}

TEST(Idle, RP83_a_loaded_worker_never_sleeps) {
    // Frames lie ready at all times, so that no poll is empty and the idle policy is never asked.
    SceneWords words = resting(Idle::adaptive);
    words.access.slots = 2048;
    words.underlay.slots = 4096;
    Scene s(words);
    s.lab.poll();
    const std::uint64_t before = s.lab.worker().counters().polls.get();
    s.lab.push(s.vm1, std::vector<Bytes>(2000, small(host(12)).bytes()));
    const path::WorkerCounters& c = s.lab.worker().counters();
    while (c.received.get() < 2000) s.lab.poll();
    EXPECT_EQ(c.polls.get() - before, (2000U + packet::kBurstSize - 1) / packet::kBurstSize);
    EXPECT_EQ(c.sleeps.get(), 0U);
    expect_law(s.lab.collect());
}

}  // namespace
}  // namespace vxplane::support
