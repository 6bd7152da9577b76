// The control thread's event loop: file descriptors through epoll, timers on the steady clock,
// signals through a signalfd. The daemon owns one; sockets, netlink, resolver and ageing hang off
// it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace vxplane::control {

/// Names a timer until it has fired (`after`) or is cancelled (`every`). Never reused; 0 is no
/// timer.
using TimerId = std::uint64_t;

/// One thread, one loop. Every member may be called only on the thread that runs the loop (or
/// before it runs), but `stop` and `post`, which any thread may call. Callbacks run on the loop's
/// thread only and may add, modify, remove and cancel anything, themselves included. A callback
/// that throws ends `run` with that exception; the loop stays usable.
class EventLoop {
  public:
    using FdCallback = std::function<void(std::uint32_t)>;
    using Callback = std::function<void()>;
    using SignalCallback = std::function<void(int)>;
    using Clock = std::chrono::steady_clock;

    /// Throws std::system_error when the kernel gives no epoll instance.
    EventLoop();
    ~EventLoop();
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;

    /// Watches `fd` for `events` (EPOLL* bits, level-triggered unless EPOLLET is given); `fn` gets
    /// the bits that are set. The caller keeps `fd` and must `remove` it before closing it. False,
    /// with errno, when the descriptor cannot be watched or already is.
    [[nodiscard]] bool add(int fd, std::uint32_t events, FdCallback fn);
    /// Changes what is watched. False when `fd` is not watched.
    bool modify(int fd, std::uint32_t events);
    /// Forgets `fd`; events of it that this turn has already collected are not delivered, even when
    /// the number is at once used again by another descriptor. An unknown `fd` is no error.
    void remove(int fd);

    /// Calls `fn` each `period` (at least 1 ms). A loop that was late skips the missed calls and
    /// keeps the phase.
    TimerId every(std::chrono::milliseconds period, Callback fn);
    /// Calls `fn` once, `delay` from now; with 0 after the descriptors of this turn had their say.
    TimerId after(std::chrono::milliseconds delay, Callback fn);
    /// False when the timer has already fired or never was.
    bool cancel(TimerId id);

    /// Blocks `signals` for the calling thread and those it starts later, and calls `fn` on the
    /// loop with each that arrives. Call it before any other thread exists. The signals stay
    /// blocked when the loop is gone, so that one which comes late does not cut a clean end short.
    /// Throws std::system_error.
    void on_signal(const std::vector<int>& signals, SignalCallback fn);

    /// Runs `fn` on the loop's thread in its next turn. Any thread.
    void post(Callback fn);

    /// Turns until `stop`. A `stop` that came before `run` ends it at once.
    void run();
    /// One turn: waits at most `timeout` for something to do, does it, returns. For tests and for
    /// callers that have a loop of their own.
    void run_once(std::chrono::milliseconds timeout);
    /// Ends `run` after the present turn. Any thread.
    void stop() noexcept;

    /// Descriptors watched by callers, and timers armed.
    [[nodiscard]] std::size_t watched() const noexcept { return watches_.size(); }
    [[nodiscard]] std::size_t timers() const noexcept { return timers_.size(); }
    /// Places held for timers, cancelled ones among them; at most about twice `timers`.
    [[nodiscard]] std::size_t heap_size() const noexcept { return heap_.size(); }

  private:
    struct Watch {
        std::uint32_t generation;
        FdCallback fn;
    };
    struct Timer {
        Clock::time_point deadline;
        std::chrono::milliseconds period;  // 0: once
        std::shared_ptr<Callback> fn;
    };
    struct Due {
        Clock::time_point deadline;
        TimerId id;
        bool operator>(const Due& other) const noexcept {
            return deadline != other.deadline ? deadline > other.deadline : id > other.id;
        }
    };

    TimerId arm(Clock::time_point deadline, std::chrono::milliseconds period, Callback fn);
    void push_due(Due due);
    [[nodiscard]] int wait_ms(std::chrono::milliseconds limit);
    void dispatch(int timeout_ms);
    void fire_timers();
    void run_posted();
    void wake() noexcept;

    int epoll_ = -1;
    int wake_ = -1;
    std::vector<int> signal_fds_;
    std::uint32_t next_generation_ = 1;
    TimerId next_timer_ = 1;
    std::unordered_map<int, std::shared_ptr<Watch>> watches_;
    std::unordered_map<TimerId, Timer> timers_;
    std::vector<Due> heap_;  // earliest first; may hold cancelled ones, skipped when met
    std::atomic<bool> stopping_{false};
    std::mutex posted_lock_;
    std::vector<Callback> posted_;
};

}  // namespace vxplane::control
