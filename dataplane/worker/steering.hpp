// Software steering: the worker that polls a frame hands it to the worker that its flow belongs to,
// where the NIC cannot do so (one queue, or no hash of what a tunnel carries). Off unless the
// topology says so; the worker's poll loop and the `workers` view of control meet it here.
#pragma once

#include <rte_mbuf.h>
#include <rte_ring.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/packet/packet.hpp"
#include "dataplane/path/exit.hpp"
#include "dataplane/table/tables.hpp"
#include "dataplane/worker/idle.hpp"

namespace vxplane::worker {

/// One bit of a set each.
inline constexpr unsigned kMostSteered = 64;

/// Hash of the flow that a frame belongs to, equal in both directions: of the inner frame for a
/// VXLAN packet on an underlay port, of the frame itself for everything else. Reads `size`
/// contiguous bytes and never beyond; judges nothing, as the path does that later.
[[nodiscard]] std::uint32_t steering_hash(const std::byte* frame, std::size_t size,
                                          table::PortRole role,
                                          const table::FlatMap& dstports) noexcept;

/// Keeps one flow from taking a whole backlog, in the manner of the kernel's
/// net.core.flow_limit_*: says which flow had more than half of the last 128 packets.
class FlowLimit {
  public:
    static constexpr std::uint32_t kBuckets = 4096;
    static constexpr std::uint32_t kHistory = 128;

    /// Notes one more packet of the flow; true when the flow has more than its share.
    bool is_over(std::uint32_t hash) noexcept {
        const auto flow = static_cast<std::uint16_t>(hash % kBuckets);
        if (noted_ == kHistory) {
            --buckets_[history_[head_]];
        } else {
            ++noted_;
        }
        history_[head_] = flow;
        head_ = (head_ + 1) % kHistory;
        return ++buckets_[flow] > kHistory / 2;
    }

  private:
    std::array<std::uint8_t, kBuckets> buckets_{};
    std::array<std::uint16_t, kHistory> history_{};
    std::uint32_t head_ = 0;
    std::uint32_t noted_ = 0;
};

/// What the workers share: a ring per worker, and the set of workers that flows are spread over.
/// Made by control, outlives the workers.
class SteeringTable {
  public:
    /// Length of a worker's backlog as in the kernel (net.core.netdev_max_backlog).
    static constexpr std::uint32_t kDefaultLimit = 1000;

    /// Null when there is no memory for the rings, whose names begin with `name`. `workers`: 1 to
    /// kMostSteered. `limit`: packets that may wait for one worker, exactly.
    [[nodiscard]] static std::unique_ptr<SteeringTable> make(const std::string& name,
                                                             unsigned workers,
                                                             std::uint32_t limit) noexcept;
    /// Frees what is still in the rings.
    ~SteeringTable();
    SteeringTable(const SteeringTable&) = delete;
    SteeringTable& operator=(const SteeringTable&) = delete;

    /// Bit i: worker i gets flows. Never 0. Any thread; each worker sees it at its next poll.
    [[nodiscard]] std::uint64_t targets() const noexcept {
        return targets_.load(std::memory_order_relaxed);
    }
    void set_targets(std::uint64_t targets) noexcept {
        targets_.store(targets, std::memory_order_relaxed);
    }
    [[nodiscard]] unsigned workers() const noexcept { return workers_; }
    [[nodiscard]] std::uint32_t limit() const noexcept { return limit_; }
    /// Packets that wait for a worker.
    [[nodiscard]] std::uint32_t queued(unsigned worker) const noexcept {
        return rte_ring_count(seats_[worker].ring);
    }
    /// A ring by which frames reach the owner of a transmit queue: part of the way that must be
    /// clear before flows move. Before the workers are made.
    void add_way_out(const rte_ring* handoff) { ways_out_.push_back(handoff); }
    /// Frees everything that waits; returns how many. Only when no worker runs.
    std::uint64_t drain() noexcept;

  private:
    friend class Steering;

    /// Many producers, one consumer. `done` counts packets of this ring that have left their
    /// worker, and wraps as the ring's own positions do; its line is written by the consumer alone,
    /// once a poll.
    struct alignas(64) Seat {
        rte_ring* ring = nullptr;
        Bed* bed = nullptr;  ///< of the consumer, which may be asleep
        alignas(64) std::atomic<std::uint32_t> done{0};
    };

    SteeringTable() = default;

    std::unique_ptr<Seat[]> seats_;
    unsigned workers_ = 0;
    std::uint32_t limit_ = 0;
    std::vector<const rte_ring*> ways_out_;
    alignas(64) std::atomic<std::uint64_t> targets_{0};
};

/// One worker's part. Used by its thread alone.
///
/// Order: all packets of a flow that arrive in one receive queue go the same way, and a ring is
/// first in, first out. When the set of targets changes, a worker takes nothing from its ports
/// until all that it gave under the old set has left the workers that got it (a drain marker in
/// each ring, then one in each ring to the owner of a transmit queue); what arrives meanwhile waits
/// in the receive queues. So no packet of a flow overtakes an earlier one, at no cost while the set
/// stays. A NIC with several transmit queues may still send them in another order than it got them.
class Steering {
  public:
    /// `bed`: where this worker sleeps, for others to wake it.
    Steering(SteeringTable& table, unsigned id, bool flow_limit, Bed& bed);

    /// At the start of a poll. False: the set of targets has changed, and the ports must wait.
    [[nodiscard]] bool may_receive() noexcept {
        return (set_ == table_.targets() && phase_ == Phase::steady) || change();
    }
    /// Hands away the frames of other workers. Returns how many are left, which stand first and
    /// are this worker's own. Counts those that went as received from `port`, and drops what finds
    /// a backlog full.
    std::uint16_t give(std::uint16_t port, rte_mbuf** frames, std::uint16_t count,
                       const table::Tables& tables, path::Exit& exit) noexcept;
    /// Up to a burst of frames that others handed over; `mbuf->port` is where each arrived.
    std::uint16_t take(rte_mbuf** frames, std::uint16_t room) noexcept;
    /// At the end of a poll, when all that was taken has been sent.
    void end() noexcept;

    /// Bursts that may be taken in one poll: as many as others may give meanwhile.
    [[nodiscard]] unsigned turns() const noexcept { return table_.workers_; }
    [[nodiscard]] const SteeringTable& table() const noexcept { return table_; }

  private:
    struct Batch {
        std::uint16_t count = 0;
        std::uint32_t queued = 0;  ///< length of the backlog when the batch began
        std::array<rte_mbuf*, packet::kBurstSize> frames;
    };

    enum class Phase : std::uint8_t { steady, rings, ways_out };

    bool change() noexcept;
    [[nodiscard]] bool rings_are_clear() const noexcept;
    [[nodiscard]] bool ways_out_are_clear() const noexcept;
    void choose(std::uint64_t set) noexcept;
    void hand_over(Batch& batch, unsigned target, path::Exit& exit) noexcept;

    SteeringTable& table_;
    unsigned id_;
    Phase phase_ = Phase::steady;
    std::uint64_t set_ = 0;
    std::uint32_t target_count_ = 0;
    std::array<std::uint8_t, kMostSteered> targets_{};
    std::array<std::uint32_t, kMostSteered> marks_{};
    std::vector<std::uint32_t> way_marks_;
    std::uint32_t taken_ = 0;
    std::uint32_t told_ = 0;
    std::unique_ptr<FlowLimit> flow_limit_;
    std::vector<Batch> batches_;  ///< by worker
};

}  // namespace vxplane::worker
