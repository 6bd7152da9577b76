#include "control/apply/publisher.hpp"

#include <rte_malloc.h>
#include <rte_pause.h>

#include <new>
#include <thread>

namespace vxplane::control {

Publisher::Publisher(unsigned workers) {
    const std::size_t size = rte_rcu_qsbr_get_memsize(workers);
    rcu_ = static_cast<rte_rcu_qsbr*>(rte_zmalloc("vxplane_rcu", size, RTE_CACHE_LINE_SIZE));
    if (rcu_ == nullptr || rte_rcu_qsbr_init(rcu_, workers) != 0) {
        rte_free(rcu_);
        throw std::bad_alloc();
    }
    for (unsigned id = 0; id < workers; ++id) {
        rte_rcu_qsbr_thread_register(rcu_, id);
    }
}

Publisher::~Publisher() {
    drain();
    delete current();
    rte_free(rcu_);
}

void Publisher::publish(std::unique_ptr<table::Tables> next) {
    next->generation = ++generation_;
    const table::Tables* old = current();
    current_.store(next.release(), std::memory_order_release);
    published_ = rte_rcu_qsbr_start(rcu_);
    if (old != nullptr) {
        after_grace([old] { delete old; });
    }
    for (std::function<void()>& action : retired_) {
        after_grace(std::move(action));
    }
    retired_.clear();
}

void Publisher::after_grace(std::function<void()> action) {
    waiting_.push_back({rte_rcu_qsbr_start(rcu_), Clock::now(), std::move(action)});
}

void Publisher::reclaim() {
    while (!waiting_.empty() && rte_rcu_qsbr_check(rcu_, waiting_.front().token, false) == 1) {
        const auto action = std::move(waiting_.front().action);
        waiting_.pop_front();
        action();
    }
}

void Publisher::drain() {
    for (std::function<void()>& action : retired_) {
        action();
    }
    retired_.clear();
    while (!waiting_.empty()) {
        const auto action = std::move(waiting_.front().action);
        waiting_.pop_front();
        action();
    }
}

bool Publisher::wait_for_readers(std::chrono::microseconds limit) {
    const auto began = Clock::now();
    // A worker on another CPU is back at once; one that shares ours needs it.
    constexpr std::chrono::microseconds kSpin{200};
    constexpr std::chrono::microseconds kNap{20};
    while (rte_rcu_qsbr_check(rcu_, published_, false) != 1) {
        const auto waited = Clock::now() - began;
        if (waited > limit) {
            return false;
        }
        if (waited > kSpin) {
            std::this_thread::sleep_for(kNap);
        } else {
            rte_pause();
        }
    }
    return true;
}

std::chrono::milliseconds Publisher::oldest_wait() const noexcept {
    return waiting_.empty() ? std::chrono::milliseconds{0}
                            : std::chrono::duration_cast<std::chrono::milliseconds>(
                                  Clock::now() - waiting_.front().since);
}

}  // namespace vxplane::control
