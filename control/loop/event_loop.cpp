// Turns, descriptors, timers and signals of the loop. Descriptors carry a generation, so that an
// event collected for one that is gone never reaches its successor with the same number.
#include "control/loop/event_loop.hpp"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

namespace vxplane::control {

namespace {

// Events taken in one turn. Those left over are not lost: epoll hands descriptors out in turn.
constexpr int events_per_turn = 64;
constexpr std::chrono::milliseconds for_ever{-1};

std::uint64_t pack(std::uint32_t generation, int fd) {
    return std::uint64_t{generation} << 32 | static_cast<std::uint32_t>(fd);
}

[[noreturn]] void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

EventLoop::EventLoop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (epoll_ < 0) fail("epoll_create1");
    wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = pack(0, wake_);  // generation 0 is the loop's own
    if (wake_ < 0 || ::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) != 0) {
        const int error = errno;
        if (wake_ >= 0) ::close(wake_);
        ::close(epoll_);
        errno = error;
        fail("eventfd");
    }
}

EventLoop::~EventLoop() {
    for (const int fd : signal_fds_) ::close(fd);
    ::close(wake_);
    ::close(epoll_);
}

bool EventLoop::add(int fd, std::uint32_t events, FdCallback fn) {
    if (watches_.contains(fd)) {
        errno = EEXIST;
        return false;
    }
    if (next_generation_ == 0) next_generation_ = 1;
    const std::uint32_t generation = next_generation_++;
    epoll_event event{};
    event.events = events;
    event.data.u64 = pack(generation, fd);
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) return false;
    watches_.emplace(fd, std::make_shared<Watch>(Watch{generation, std::move(fn)}));
    return true;
}

bool EventLoop::modify(int fd, std::uint32_t events) {
    const auto found = watches_.find(fd);
    if (found == watches_.end()) return false;
    epoll_event event{};
    event.events = events;
    event.data.u64 = pack(found->second->generation, fd);
    return ::epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event) == 0;
}

void EventLoop::remove(int fd) {
    if (watches_.erase(fd) != 0) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
}

TimerId EventLoop::arm(Clock::time_point deadline, std::chrono::milliseconds period, Callback fn) {
    const TimerId id = next_timer_++;
    timers_.emplace(id, Timer{deadline, period, std::make_shared<Callback>(std::move(fn))});
    push_due({deadline, id});
    return id;
}

void EventLoop::push_due(Due due) {
    // Cancelled timers wait in the heap for their time. Many of them are thrown out together.
    if (heap_.size() > 2 * timers_.size() + 64) {
        std::erase_if(heap_, [this](const Due& d) { return !timers_.contains(d.id); });
        std::make_heap(heap_.begin(), heap_.end(), std::greater<>{});
    }
    heap_.push_back(due);
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>{});
}

TimerId EventLoop::every(std::chrono::milliseconds period, Callback fn) {
    period = std::max(period, std::chrono::milliseconds{1});
    return arm(Clock::now() + period, period, std::move(fn));
}

TimerId EventLoop::after(std::chrono::milliseconds delay, Callback fn) {
    return arm(Clock::now() + std::max(delay, std::chrono::milliseconds{0}),
               std::chrono::milliseconds{0}, std::move(fn));
}

bool EventLoop::cancel(TimerId id) {
    return timers_.erase(id) != 0;
}

void EventLoop::on_signal(const std::vector<int>& signals, SignalCallback fn) {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : signals) sigaddset(&set, signal);
    if (const int error = ::pthread_sigmask(SIG_BLOCK, &set, nullptr); error != 0) {
        errno = error;
        fail("pthread_sigmask");
    }
    const int fd = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) fail("signalfd");
    signal_fds_.push_back(fd);
    const bool added = add(fd, EPOLLIN, [fd, fn = std::move(fn)](std::uint32_t) {
        signalfd_siginfo info{};
        while (::read(fd, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
            fn(static_cast<int>(info.ssi_signo));
        }
    });
    if (!added) fail("epoll_ctl");
}

void EventLoop::post(Callback fn) {
    {
        const std::lock_guard guard(posted_lock_);
        posted_.push_back(std::move(fn));
    }
    wake();
}

void EventLoop::wake() noexcept {
    const std::uint64_t one = 1;
    // A full counter already wakes the loop: nothing is lost when the write is refused.
    [[maybe_unused]] const auto ignored = ::write(wake_, &one, sizeof one);
}

void EventLoop::stop() noexcept {
    stopping_.store(true, std::memory_order_release);
    wake();
}

void EventLoop::run() {
    while (!stopping_.load(std::memory_order_acquire)) run_once(for_ever);
    stopping_.store(false, std::memory_order_release);
}

void EventLoop::run_once(std::chrono::milliseconds timeout) {
    dispatch(wait_ms(timeout));
    fire_timers();
}

int EventLoop::wait_ms(std::chrono::milliseconds limit) {
    while (!heap_.empty() && !timers_.contains(heap_.front().id)) {
        std::pop_heap(heap_.begin(), heap_.end(), std::greater<>{});
        heap_.pop_back();
    }
    // An hour at most, so that the count fits whatever the caller asked for.
    const auto ceiling = std::chrono::milliseconds{3'600'000};
    auto wait = limit < std::chrono::milliseconds{0} ? ceiling : std::min(limit, ceiling);
    if (!heap_.empty()) {
        // Rounded up: waking a fraction too early would spin until the deadline.
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(heap_.front().deadline - Clock::now());
        wait = std::clamp(left, std::chrono::milliseconds{0}, wait);
    }
    return static_cast<int>(wait.count());
}

void EventLoop::dispatch(int timeout_ms) {
    std::array<epoll_event, events_per_turn> events{};
    const int count = ::epoll_wait(epoll_, events.data(), events_per_turn, timeout_ms);
    for (int i = 0; i < count; ++i) {
        const auto& event = events.at(static_cast<std::size_t>(i));
        const auto generation = static_cast<std::uint32_t>(event.data.u64 >> 32);
        const auto fd = static_cast<int>(event.data.u64 & 0xffffffffU);
        if (generation == 0) {
            run_posted();
            continue;
        }
        const auto found = watches_.find(fd);
        // Removed earlier in this turn, and perhaps the number already watches something else.
        if (found == watches_.end() || found->second->generation != generation) continue;
        const std::shared_ptr<Watch> keep = found->second;  // the callback may remove itself
        keep->fn(event.events);
    }
}

void EventLoop::run_posted() {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto ignored = ::read(wake_, &count, sizeof count);
    std::vector<Callback> todo;
    {
        const std::lock_guard guard(posted_lock_);
        todo.swap(posted_);
    }
    for (const auto& fn : todo) fn();
}

void EventLoop::fire_timers() {
    const auto now = Clock::now();
    const TimerId newest = next_timer_;  // a timer armed by a callback waits for the next turn
    while (!heap_.empty() && heap_.front().deadline <= now && heap_.front().id < newest) {
        std::pop_heap(heap_.begin(), heap_.end(), std::greater<>{});
        const Due due = heap_.back();
        heap_.pop_back();
        const auto found = timers_.find(due.id);
        if (found == timers_.end()) continue;
        const std::shared_ptr<Callback> fn = found->second.fn;
        if (const auto period = found->second.period; period.count() == 0) {
            timers_.erase(found);
        } else {
            const auto missed = (now - due.deadline) / period;
            found->second.deadline = due.deadline + (missed + 1) * period;
            push_due({found->second.deadline, due.id});
        }
        (*fn)();
    }
}

}  // namespace vxplane::control
