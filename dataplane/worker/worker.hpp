// A worker: one lcore that polls its receive queues, runs the paths and flushes what they sent. It
// shares nothing with other workers but read-only tables and the rings that control gave it.
#pragma once

#include <rte_rcu_qsbr.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/path/exit.hpp"
#include "dataplane/path/reassembly.hpp"
#include "dataplane/step/merge_tcp.hpp"
#include "dataplane/step/slave_hooks.hpp"
#include "dataplane/worker/idle.hpp"
#include "dataplane/worker/steering.hpp"

namespace vxplane::worker {

/// Coarse time for all workers, written by control alone a few hundred times a second.
struct alignas(64) SharedClock {
    std::atomic<std::uint32_t> milliseconds{0};
    std::atomic<std::uint8_t> epoch{0};  ///< of Fdb::refresh
};

struct RxQueue {
    std::uint16_t port = 0;
    std::uint16_t queue = 0;
    bool merge = false;  ///< the port has `gro`
};

/// A transmit queue of this worker that others reach through a ring.
struct SharedQueue {
    std::uint16_t port = 0;
    rte_ring* handoff = nullptr;
};

struct WorkerOptions {
    unsigned id = 0;
    unsigned lcore = 0;
    std::vector<RxQueue> rx;
    std::vector<SharedQueue> shared;
    std::vector<path::TxLane> lanes;  ///< by DPDK port id
    path::ControlRings rings;
    std::size_t port_count = 0;
    std::size_t segment_count = 0;
    std::uint32_t fragments = 1024;    ///< buffers of outer fragments that may wait for the rest
    std::uint64_t punt_rate = 50'000;  ///< packets per second to control
    Idle idle = Idle::adaptive;
    std::uint32_t idle_after = 200;   ///< microseconds without a packet until the first nap
    std::uint32_t idle_sleep = 2000;  ///< microseconds, longest nap
    const std::atomic<const table::Tables*>* tables = nullptr;
    const SharedClock* clock = nullptr;
    rte_rcu_qsbr* rcu = nullptr;        ///< null in tests that have no writer; thread id is `id`
    SteeringTable* steering = nullptr;  ///< null: every frame stays with the worker that polls it
    bool flow_limit = false;            ///< of steering
    port::WorkerPools pools;
};

class Worker {
  public:
    explicit Worker(WorkerOptions options);

    /// For Idle::interrupt: lets the receive queues wake this worker. Returns those that cannot,
    /// for whose sake it goes on napping as with Idle::adaptive. Between the start of its ports and
    /// run().
    std::vector<RxQueue> watch_queues();
    /// Polls until stop(). Runs on the worker's lcore.
    void run() noexcept;
    /// One turn over all queues; returns the number of packets found. For run() and for tests.
    unsigned poll() noexcept;
    /// Takes packets as if `port` had received them. For tests and benches.
    void receive(std::uint16_t port, rte_mbuf** frames, std::uint16_t count) noexcept;
    /// The same of a port with `gro`; at most step::TcpMerger::kRoom frames.
    void receive_merged(std::uint16_t port, rte_mbuf** frames, std::uint16_t count) noexcept;

    /// Any thread.
    void stop() noexcept {
        stop_.store(true, std::memory_order_relaxed);
        bed_.ring();
    }
    /// Any thread, after it has given this worker something by a ring: wakes it if it sleeps.
    void wake() noexcept { bed_.ring(); }

    [[nodiscard]] const table::RuleCounters& rule_counters() const noexcept {
        return rule_counters_;
    }
    [[nodiscard]] const path::WorkerCounters& counters() const noexcept { return counters_; }
    /// Samples of VNIs that no segment has. Any thread.
    [[nodiscard]] const step::UnknownVnis& unknown_vnis() const noexcept {
        return context_.unknown;
    }
    /// Group policies that tunnels brought. Any thread.
    [[nodiscard]] const step::SeenGroups& seen_groups() const noexcept { return context_.groups; }
    [[nodiscard]] const step::RefusedPeers& refused_peers() const noexcept {
        return context_.refused;
    }
    [[nodiscard]] const WorkerOptions& options() const noexcept { return options_; }
    [[nodiscard]] const port::WorkerPools& pools() const noexcept { return options_.pools; }

  private:
    /// Runs the path of the port's role. `received`: the frames are to be counted as coming in.
    void carry(std::uint16_t port, rte_mbuf** frames, std::uint16_t count, bool received) noexcept;
    /// Moves frames of burst_ to aside_, of which FromUnderlay knows nothing.
    void set_aside_what_is_no_tunnel() noexcept;
    /// But tunnel packets to groups of the underlay.
    void take_back_groups() noexcept;
    void carry_from_underlay(std::uint16_t port) noexcept;
    /// The map of VNIs of thousands of segments does not stay in the second-level cache: what a
    /// burst asks it for is fetched ahead.
    void prefetch_vnis() const noexcept;
    static constexpr std::size_t kVnisAtHand = 256 * 1024;  ///< bytes
    /// What was put together of the fragments of the burst before.
    void carry_whole(std::uint16_t port) noexcept;
    /// Of the masters whose connections are this worker's.
    void age_connections() noexcept;
    unsigned poll_merged(const RxQueue& rx) noexcept;
    /// Compares what the device says of sums: of the first frames of a port, then of a few.
    void watch_sums(std::uint16_t port, rte_mbuf** frames, std::uint16_t count) noexcept;
    void take_in(std::uint16_t port, rte_mbuf** frames, std::uint16_t count) noexcept;
    unsigned take_steered() noexcept;
    void begin_poll() noexcept;
    void end_poll(unsigned found) noexcept;
    void rest() noexcept;
    void sleep(std::uint64_t nanoseconds) noexcept;

    WorkerOptions options_;
    path::WorkerCounters counters_;
    path::Reassembly reassembly_;
    path::Exit exit_;
    step::Context context_;
    table::RuleCounters rule_counters_;
    std::vector<table::RateShare> slave_rates_;
    std::unique_ptr<step::Journeys> journeys_;
    std::vector<std::uint16_t> polled_ports_;
    packet::Burst burst_;
    packet::Burst aside_;  ///< of the master of an ipvlan: what is no tunnel packet
    step::TcpMerger merger_;
    std::uint64_t poll_began_ = 0;
    IdlePlan idle_;
    Bed bed_;
    std::unique_ptr<Steering> steering_;
    unsigned found_ = 0;  ///< by the last poll, whose time ends where the next begins
    alignas(64) std::atomic<bool> stop_{false};
};

}  // namespace vxplane::worker
