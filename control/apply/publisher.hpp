// How control's tables reach the workers: one atomic pointer, replaced as a whole, and grace
// periods after which nobody can look at the old value any more.
#pragma once

#include <rte_rcu_qsbr.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "dataplane/table/tables.hpp"

namespace vxplane::control {

/// One per daemon; all members but the two given to workers are control's. A worker that does not
/// pass its quiescent point is reported, never waited for without limit, and nothing that it may
/// look at is freed.
class Publisher {
  public:
    using Clock = std::chrono::steady_clock;

    /// Throws std::bad_alloc. EAL must run.
    explicit Publisher(unsigned workers);
    /// Workers must have ended.
    ~Publisher();
    Publisher(const Publisher&) = delete;
    Publisher& operator=(const Publisher&) = delete;

    /// For WorkerOptions.
    [[nodiscard]] const std::atomic<const table::Tables*>& pointer() const noexcept {
        return current_;
    }
    [[nodiscard]] rte_rcu_qsbr* rcu() const noexcept { return rcu_; }

    [[nodiscard]] const table::Tables* current() const noexcept {
        return current_.load(std::memory_order_relaxed);
    }
    /// Makes `next` what workers see from their next poll on. The old value is freed after a grace
    /// period. Sets the generation.
    void publish(std::unique_ptr<table::Tables> next);
    /// Runs `action` once every worker has passed a quiescent point from now on.
    void after_grace(std::function<void()> action);
    /// Runs `action` after the grace period that begins with the next publication: for what is
    /// still reachable through the tables of now.
    void after_next_publication(std::function<void()> action) {
        retired_.push_back(std::move(action));
    }
    /// Runs what is due; called often.
    void reclaim();
    /// Runs everything that waits, at once: for the end, when no worker runs any more.
    void drain();
    /// Waits until every worker sees the value that was published last, at no cost when they do
    /// already; false when one has not within `limit`.
    bool wait_for_readers(std::chrono::microseconds limit);

    /// How long the oldest grace period has been running; zero when there is none.
    [[nodiscard]] std::chrono::milliseconds oldest_wait() const noexcept;
    [[nodiscard]] std::size_t waiting() const noexcept { return waiting_.size(); }
    [[nodiscard]] std::uint64_t generation() const noexcept { return generation_; }

  private:
    struct Waiting {
        std::uint64_t token;
        Clock::time_point since;
        std::function<void()> action;
    };

    rte_rcu_qsbr* rcu_ = nullptr;
    std::atomic<const table::Tables*> current_{nullptr};
    std::deque<Waiting> waiting_;
    std::vector<std::function<void()>> retired_;
    std::uint64_t generation_ = 0;
    std::uint64_t published_ = 0;  ///< token of the last publication
};

}  // namespace vxplane::control
