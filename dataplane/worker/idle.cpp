#include "dataplane/worker/idle.hpp"

#include <poll.h>
#include <rte_ethdev.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <string>
#include <string_view>
#include <system_error>

namespace vxplane::worker {

namespace {

bool is_eventfd(int fd) {
    std::array<char, 64> name{};
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    const ssize_t length = readlink(link.c_str(), name.data(), name.size());
    return length > 0 &&
           std::string_view(name.data(), static_cast<std::size_t>(length)).find("[eventfd]") !=
               std::string_view::npos;
}

/// net_vhost takes its descriptors from the guest that is there now, and changes them with it.
bool descriptors_change(std::uint16_t port) {
    rte_eth_dev_info info{};
    return rte_eth_dev_info_get(port, &info) != 0 ||
           std::string_view(info.driver_name) == "net_vhost";
}

}  // namespace

IdlePlan::Rest IdlePlan::next(std::uint64_t now, std::uint64_t busy_polls) noexcept {
    if (busy_polls != seen_) {
        seen_ = busy_polls;
        since_ = now;
        return {};
    }
    const std::uint64_t silence = now - since_;
    // Pausing costs a frame a few dozen cycles, so even that begins only after some silence.
    if (policy_ == Idle::busy || silence < after_ / 4) {
        return {};
    }
    if (silence < after_) {
        return {.pause = true, .nanoseconds = 0};
    }
    if (policy_ == Idle::interrupt && all_wakes_) {
        return {.pause = false, .nanoseconds = kGuardMicroseconds * 1000ULL};
    }
    const std::uint64_t nap = std::min(silence / kShare, longest_);
    return {.pause = false, .nanoseconds = nap * 1000 / (tsc_hz_ / 1'000'000)};
}

Bed::Bed() : bell_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (bell_ < 0) {
        throw std::system_error(errno, std::generic_category(), "eventfd");
    }
    fds_.push_back({bell_, POLLIN, 0});
}

Bed::~Bed() {
    close(bell_);
}

bool Bed::watch(std::uint16_t port, std::uint16_t queue) {
    if (descriptors_change(port)) {
        return false;
    }
    const int fd = rte_eth_dev_rx_intr_ctl_q_get_fd(port, queue);
    if (fd < 0) {
        return false;
    }
    Watch watch{port, queue, fd, is_eventfd(fd), true};
    const int error = rte_eth_dev_rx_intr_enable(port, queue);
    if (error == 0) {
        rte_eth_dev_rx_intr_disable(port, queue);
    } else if (error == -ENOTSUP && !watch.counter) {
        // The descriptor is the queue itself, as with net_tap: readable when there are frames.
        watch.arms = false;
    } else {
        return false;
    }
    watches_.push_back(watch);
    fds_.push_back({fd, POLLIN, 0});
    return true;
}

void Bed::lie_down() noexcept {
    for (const Watch& watch : watches_) {
        if (watch.arms) {
            rte_eth_dev_rx_intr_enable(watch.port, watch.queue);
        }
    }
    sleeping_.store(true, std::memory_order_seq_cst);
    // Whoever put something somewhere either sees a sleeper now, or is seen by the next poll.
    std::atomic_thread_fence(std::memory_order_seq_cst);
}

Bed::Woken Bed::sleep(std::uint64_t nanoseconds) noexcept {
    const timespec time{static_cast<time_t>(nanoseconds / 1'000'000'000),
                        static_cast<long>(nanoseconds % 1'000'000'000)};
    if (ppoll(fds_.data(), fds_.size(), &time, nullptr) <= 0) {
        return Woken::by_time;
    }
    std::uint64_t count = 0;
    for (std::size_t i = 0; i < watches_.size(); ++i) {
        if (fds_[i + 1].revents != 0 && watches_[i].counter) {
            [[maybe_unused]] const auto ignored = read(watches_[i].fd, &count, sizeof count);
        }
    }
    if (fds_.front().revents == 0) {
        return Woken::by_queue;
    }
    [[maybe_unused]] const auto ignored = read(bell_, &count, sizeof count);
    return Woken::by_ring;
}

void Bed::get_up() noexcept {
    sleeping_.store(false, std::memory_order_relaxed);
    for (const Watch& watch : watches_) {
        if (watch.arms) {
            rte_eth_dev_rx_intr_disable(watch.port, watch.queue);
        }
    }
}

void Bed::ring() noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (sleeping_.load(std::memory_order_relaxed)) {
        const std::uint64_t one = 1;
        // A full counter wakes as well.
        [[maybe_unused]] const auto ignored = write(bell_, &one, sizeof one);
    }
}

void make_timers_exact() noexcept {
    prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
}

}  // namespace vxplane::worker
