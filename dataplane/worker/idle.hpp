// What a worker does while there is nothing to do: when it stops spinning, how long it naps, and
// what wakes it before that. Met by the worker's loop alone, after polls that found nothing.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

struct pollfd;

namespace vxplane::worker {

enum class Idle : std::uint8_t {
    busy,      ///< never gives the CPU away
    adaptive,  ///< pauses, then naps that grow with the silence
    interrupt  ///< pauses, then sleeps until a receive queue has something
};

/// How long to rest, from nothing but the clock. The rule is that a nap lasts an eighth of the
/// silence so far: whatever the gap between two frames was, sleeping adds at most that part to it.
class IdlePlan {
  public:
    static constexpr std::uint64_t kShare = 8;
    /// Longest sleep of a worker that everything can wake. The guard against a lost wake-up.
    static constexpr std::uint32_t kGuardMicroseconds = 10'000;

    struct Rest {
        bool pause = false;             ///< let the sibling thread of the core have it for a moment
        std::uint64_t nanoseconds = 0;  ///< of sleep; 0 = poll again at once
    };

    /// `after`: microseconds without a packet until the first nap. `longest`: of a nap.
    IdlePlan(Idle policy, std::uint32_t after, std::uint32_t longest, std::uint64_t tsc_hz) noexcept
        : policy_(policy),
          tsc_hz_(tsc_hz),
          after_(after * tsc_hz / 1'000'000),
          longest_(longest * tsc_hz / 1'000'000) {}

    /// Whether everything that can bring work wakes the sleeper (Idle::interrupt).
    void all_wakes(bool yes) noexcept { all_wakes_ = yes; }

    /// After a poll that found nothing. `now`: TSC when the poll began. `busy_polls`: polls so far
    /// that found something; when it has moved, the silence is a new one.
    Rest next(std::uint64_t now, std::uint64_t busy_polls) noexcept;
    /// Something woke the sleeper: looks for work at full speed again.
    void restart(std::uint64_t now) noexcept { since_ = now; }

  private:
    Idle policy_;
    bool all_wakes_ = false;
    std::uint64_t tsc_hz_;
    std::uint64_t after_;
    std::uint64_t longest_;
    std::uint64_t since_ = 0;
    std::uint64_t seen_ = ~std::uint64_t{0};
};

/// Where a worker sleeps. It names descriptors that wake it; any thread may wake it by ring().
class Bed {
  public:
    enum class Woken : std::uint8_t { by_time, by_queue, by_ring };

    /// Throws std::system_error when the process has no descriptor left.
    Bed();
    ~Bed();
    Bed(const Bed&) = delete;
    Bed& operator=(const Bed&) = delete;

    /// Lets a receive queue wake the sleeper. False when its port cannot; the port must have been
    /// started. Not while a thread sleeps here.
    bool watch(std::uint16_t port, std::uint16_t queue);

    /// From here on ring() and queues are heard; what came before is found by one more poll.
    void lie_down() noexcept;
    /// Sleeps for `nanoseconds` at most.
    Woken sleep(std::uint64_t nanoseconds) noexcept;
    void get_up() noexcept;

    /// Any thread, after it has put something where the sleeper will look. A system call only
    /// when there is a sleeper.
    void ring() noexcept;

  private:
    struct Watch {
        std::uint16_t port;
        std::uint16_t queue;
        int fd;
        bool counter;  ///< an eventfd, which is emptied by reading; else the queue empties it
        bool arms;     ///< the driver wants to be told
    };

    int bell_ = -1;
    std::vector<Watch> watches_;
    std::vector<pollfd> fds_;  ///< the bell, then the watches
    alignas(64) std::atomic<bool> sleeping_{false};
};

/// Lets sleeps of this thread end within a microsecond of their time; Linux adds 50 otherwise.
void make_timers_exact() noexcept;

}  // namespace vxplane::worker
