// The event loop: removal while events are delivered, timers, signals, calls from other threads.
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <stdexcept>
#include <thread>
#include <vector>

#include "control/loop/event_loop.hpp"

namespace vxplane::control {
namespace {

using std::chrono::milliseconds;

struct Pair {
    Pair() {
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd.data()) != 0) {
            throw std::runtime_error("socketpair");
        }
    }
    ~Pair() {
        for (const int one : fd) ::close(one);
    }
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;
    void poke() const { ASSERT_EQ(::write(fd[1], "x", 1), 1); }

    std::array<int, 2> fd{};
};

TEST(EventLoop, delivers_events_to_their_callback) {
    EventLoop loop;
    const Pair pair;
    std::uint32_t seen = 0;
    ASSERT_TRUE(loop.add(pair.fd[0], EPOLLIN, [&](std::uint32_t events) { seen = events; }));
    loop.run_once(milliseconds{0});
    EXPECT_EQ(seen, 0U);
    pair.poke();
    loop.run_once(milliseconds{100});
    EXPECT_EQ(seen, static_cast<std::uint32_t>(EPOLLIN));
    EXPECT_FALSE(loop.add(pair.fd[0], EPOLLIN, [](std::uint32_t) {}));
    EXPECT_TRUE(loop.modify(pair.fd[0], 0));
    seen = 0;
    loop.run_once(milliseconds{0});
    EXPECT_EQ(seen, 0U);
    loop.remove(pair.fd[0]);
    EXPECT_FALSE(loop.modify(pair.fd[0], EPOLLIN));
    EXPECT_FALSE(loop.add(-1, EPOLLIN, [](std::uint32_t) {}));
}

TEST(EventLoop, a_callback_may_remove_itself_and_others) {
    EventLoop loop;
    const Pair a;
    const Pair b;
    int calls = 0;
    const auto fn = [&](std::uint32_t) {
        ++calls;
        loop.remove(a.fd[0]);
        loop.remove(b.fd[0]);
    };
    ASSERT_TRUE(loop.add(a.fd[0], EPOLLIN, fn));
    ASSERT_TRUE(loop.add(b.fd[0], EPOLLIN, fn));
    a.poke();
    b.poke();
    loop.run_once(milliseconds{100});
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(loop.watched(), 0U);
}

TEST(EventLoop, an_old_event_does_not_reach_the_next_owner_of_the_number) {
    EventLoop loop;
    const Pair a;
    const Pair b;
    int strangers = 0;
    int calls = 0;
    const auto swap_other = [&](int self, int other) {
        ++calls;
        loop.remove(self);
        loop.remove(other);
        ASSERT_TRUE(loop.add(other, EPOLLOUT, [&](std::uint32_t) { ++strangers; }));
    };
    ASSERT_TRUE(loop.add(a.fd[0], EPOLLIN, [&](std::uint32_t) { swap_other(a.fd[0], b.fd[0]); }));
    ASSERT_TRUE(loop.add(b.fd[0], EPOLLIN, [&](std::uint32_t) { swap_other(b.fd[0], a.fd[0]); }));
    a.poke();
    b.poke();
    loop.run_once(milliseconds{100});
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(strangers, 0);
    loop.run_once(milliseconds{100});
    EXPECT_EQ(strangers, 1);
}

TEST(EventLoop, timers_fire_in_order_and_once) {
    EventLoop loop;
    std::vector<int> order;
    loop.after(milliseconds{20}, [&] { order.push_back(2); });
    loop.after(milliseconds{5}, [&] { order.push_back(1); });
    const TimerId gone = loop.after(milliseconds{10}, [&] { order.push_back(9); });
    EXPECT_TRUE(loop.cancel(gone));
    EXPECT_FALSE(loop.cancel(gone));
    loop.after(milliseconds{30}, [&] { loop.stop(); });
    loop.run();
    EXPECT_EQ(order, (std::vector<int>{1, 2}));
    EXPECT_EQ(loop.timers(), 0U);
}

TEST(EventLoop, a_periodic_timer_skips_what_it_missed_and_can_cancel_itself) {
    EventLoop loop;
    int calls = 0;
    TimerId id = 0;
    id = loop.every(milliseconds{5}, [&] {
        ++calls;
        if (calls == 1) std::this_thread::sleep_for(milliseconds{60});
        if (calls == 3) {
            EXPECT_TRUE(loop.cancel(id));
        }
    });
    loop.after(milliseconds{150}, [&] { loop.stop(); });
    loop.run();
    EXPECT_EQ(calls, 3);
    EXPECT_EQ(loop.timers(), 0U);
}

TEST(EventLoop, a_timer_that_arms_itself_at_once_does_not_starve_descriptors) {
    EventLoop loop;
    const Pair pair;
    std::function<void()> again = [&] { loop.after(milliseconds{0}, again); };
    again();
    bool served = false;
    ASSERT_TRUE(loop.add(pair.fd[0], EPOLLIN, [&](std::uint32_t) { served = true; }));
    pair.poke();
    for (int i = 0; i < 5 && !served; ++i) loop.run_once(milliseconds{10});
    EXPECT_TRUE(served);
}

TEST(EventLoop, cancelled_timers_do_not_pile_up) {
    EventLoop loop;
    for (int i = 0; i < 100000; ++i) {
        loop.cancel(loop.after(std::chrono::hours{1}, [] {}));
    }
    EXPECT_EQ(loop.timers(), 0U);
    EXPECT_LT(loop.heap_size(), 1000U);
}

TEST(EventLoop, signals_arrive_as_calls) {
    EventLoop loop;
    std::vector<int> seen;
    loop.on_signal({SIGUSR1, SIGHUP}, [&](int signal) { seen.push_back(signal); });
    ASSERT_EQ(::raise(SIGHUP), 0);
    loop.run_once(milliseconds{100});
    ASSERT_EQ(::raise(SIGUSR1), 0);
    loop.run_once(milliseconds{100});
    EXPECT_EQ(seen, (std::vector<int>{SIGHUP, SIGUSR1}));
}

TEST(EventLoop, other_threads_may_post_and_stop) {
    EventLoop loop;
    const auto owner = std::this_thread::get_id();
    std::vector<bool> on_owner;
    std::thread other([&] {
        for (int i = 0; i < 100; ++i) {
            loop.post([&] { on_owner.push_back(std::this_thread::get_id() == owner); });
        }
        loop.post([&] { loop.stop(); });
    });
    loop.run();
    other.join();
    EXPECT_EQ(on_owner, std::vector<bool>(100, true));
    loop.stop();
    loop.run();  // returns at once: the stop came before
}

TEST(EventLoop, a_callback_that_throws_leaves_the_loop_usable) {
    EventLoop loop;
    loop.after(milliseconds{0}, [] { throw std::runtime_error("no"); });
    bool ran = false;
    loop.after(milliseconds{1}, [&] {
        ran = true;
        loop.stop();
    });
    EXPECT_THROW(loop.run(), std::runtime_error);
    loop.run();
    EXPECT_TRUE(ran);
}

}  // namespace
}  // namespace vxplane::control
