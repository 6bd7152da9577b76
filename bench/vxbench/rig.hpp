// What the worker is plugged into: two ports over rings in memory, packet buffers, the rings of
// control, and a clock that stands still. Times one batch at a time.
#pragma once

#include <rte_rcu_qsbr.h>

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/vxbench/frames.hpp"
#include "bench/vxbench/network.hpp"
#include "bench/vxbench/options.hpp"
#include "dataplane/port/memory_port.hpp"
#include "dataplane/port/pool.hpp"
#include "dataplane/worker/worker.hpp"

namespace vxplane::bench {

/// Ends the process with a message.
[[noreturn]] void give_up(const std::string& what);

/// What the CPU gives at a moment, by two fixed calculations that touch no memory; TSC cycles a
/// step.
struct Probe {
    double chain = 0;  ///< each step waits for the last: slower when the clock is
    double wide = 0;   ///< all units busy: slower also when a sibling thread takes its share

    [[nodiscard]] static Probe measure() noexcept;
    /// The slower of each.
    void worsen(const Probe& other) noexcept;
    /// The faster of each.
    void improve(const Probe& other) noexcept;
    /// How much slower than `unit`, by the worse of the two; 1 = as fast.
    [[nodiscard]] double over(const Probe& unit) const noexcept;
};

/// Figures of one batch, in TSC cycles per packet.
struct Sample {
    double cycles = 0;  ///< the whole of Worker::poll(), drivers included
    Probe probe;        ///< before and after it, the slower of two
    std::vector<double> stages;
};

/// Things that exist once, whatever the case. EAL must run.
class Bench {
  public:
    /// net_ring counts the packets of neighbouring queues in one cache line; queues so far apart do
    /// not meet there. It has 16 at most.
    static constexpr std::uint16_t kQueueStride = 4;
    static constexpr std::uint16_t kMostWorkers = 4;

    /// Each port has a queue for each worker.
    explicit Bench(const Options& options, std::uint16_t workers = 1);
    ~Bench();
    Bench(const Bench&) = delete;
    Bench& operator=(const Bench&) = delete;

    [[nodiscard]] port::MemoryPort& access() noexcept { return *access_; }
    [[nodiscard]] port::MemoryPort& underlay() noexcept { return *underlay_; }
    [[nodiscard]] const port::PoolSet& pools() const noexcept { return *pools_; }
    [[nodiscard]] const path::ControlRings& rings() const noexcept { return rings_; }
    [[nodiscard]] rte_rcu_qsbr* rcu() const noexcept { return rcu_; }
    /// Takes buffers for a batch; the caller gives them back with rte_pktmbuf_free_bulk.
    void take(std::span<rte_mbuf*> mbufs);

  private:
    std::unique_ptr<port::PoolSet> pools_;
    std::unique_ptr<port::MemoryPort> access_;
    std::unique_ptr<port::MemoryPort> underlay_;
    path::ControlRings rings_;
    rte_rcu_qsbr* rcu_ = nullptr;
};

/// One case: its worker and its frames. Cases share networks that are equal.
class Stand {
  public:
    /// `worker` counts from 0.
    Stand(Bench& bench, const Case& which, std::shared_ptr<const Network> network,
          const Options& options, std::uint16_t worker = 0);

    /// Frames are written, the worker polls until it has taken all, and what it sent is checked.
    /// Only the polls are timed.
    [[nodiscard]] Sample time_batch();
    /// The three parts of it: frames are written; all are polled; what came out is checked.
    void prepare();
    void poll_all();
    void check();
    /// In place of poll_all() and check(): the bare forwarding of the same frames, unchecked.
    void forward_all();
    void give_back();
    /// The same rings and bursts without a worker between: the drivers' own share, in cycles.
    [[nodiscard]] double time_drivers();

    /// What a tester sends in this case: the frames of one batch, whole.
    [[nodiscard]] std::vector<std::string> frame_texts();
    [[nodiscard]] port::MemoryPort& from() noexcept { return from_; }
    [[nodiscard]] port::MemoryPort& to() noexcept { return to_; }
    [[nodiscard]] worker::Worker& worker() noexcept { return *worker_; }
    [[nodiscard]] const Case& subject() const noexcept { return case_; }
    [[nodiscard]] const Network& network() const noexcept { return *network_; }
    [[nodiscard]] std::vector<std::string_view> stage_names() const;

  private:
    [[nodiscard]] worker::WorkerOptions worker_options(const Options& options) const;
    [[nodiscard]] std::vector<std::uint64_t> stage_cycles() const;
    void fill();
    void drain();

    Bench& bench_;
    Case case_;
    std::shared_ptr<const Network> network_;
    port::MemoryPort& from_;
    port::MemoryPort& to_;
    std::uint16_t id_;
    std::uint16_t queue_;
    std::atomic<const table::Tables*> published_;
    worker::SharedClock clock_;
    Frames frames_;
    std::vector<rte_mbuf*> mbufs_;
    std::vector<std::uint32_t> segments_;  ///< one per burst
    std::uint64_t learned_ = 0;
    std::unique_ptr<worker::Worker> worker_;
};

}  // namespace vxplane::bench
