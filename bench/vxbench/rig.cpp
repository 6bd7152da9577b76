// Makes ports, rings and workers, and times them.
#include "bench/vxbench/rig.hpp"

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_ring_elem.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "dataplane/path/from_access.hpp"
#include "dataplane/path/from_underlay.hpp"

namespace vxplane::bench {

void give_up(const std::string& what) {
    std::fprintf(stderr, "vxbench: %s\n", what.c_str());
    std::exit(1);
}

namespace {

template <class T>
T wanted(port::Expected<T> result) {
    if (!result) {
        give_up(result.failure().text);
    }
    return *std::move(result);
}

rte_ring* control_ring(const char* name, unsigned element) {
    rte_ring* ring =
        rte_ring_create_elem(name, element, 4096, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    if (ring == nullptr) {
        give_up(std::string{"ring "} + name + ": " + rte_strerror(rte_errno));
    }
    return ring;
}

}  // namespace

Bench::Bench(const Options& options, std::uint16_t workers) {
    port::PoolSizes sizes;
    // Twice a batch, so that buffers rotate instead of coming back warm.
    sizes.packets = (options.batch * 2 + 1024) * workers;
    sizes.headers = 1024;
    pools_ = wanted(port::PoolSet::make(sizes, {}));
    port::MemoryPortOptions port;
    port.ring_slots = std::bit_ceil(options.batch + 1);
    port.queues = static_cast<std::uint16_t>((workers - 1) * kQueueStride + 1);
    port.name = "access";
    access_ = wanted(port::MemoryPort::make(port, *pools_));
    port.name = "underlay";
    underlay_ = wanted(port::MemoryPort::make(port, *pools_));
    rings_.punt = control_ring("punt", sizeof(path::PuntItem));
    rings_.learn = control_ring("learn", sizeof(step::LearnEvent));
    rings_.inject = control_ring("inject", sizeof(path::InjectItem));
    rcu_ = static_cast<rte_rcu_qsbr*>(
        rte_zmalloc("rcu", rte_rcu_qsbr_get_memsize(workers), RTE_CACHE_LINE_SIZE));
    if (rcu_ == nullptr || rte_rcu_qsbr_init(rcu_, workers) != 0) {
        give_up("no memory for the quiescent state");
    }
    for (unsigned worker = 0; worker < workers; ++worker) {
        rte_rcu_qsbr_thread_register(rcu_, worker);
        rte_rcu_qsbr_thread_online(rcu_, worker);
    }
}

Bench::~Bench() {
    underlay_.reset();
    access_.reset();
    rte_ring_free(rings_.punt);
    rte_ring_free(rings_.learn);
    rte_ring_free(rings_.inject);
    rte_free(rcu_);
}

void Bench::take(std::span<rte_mbuf*> mbufs) {
    if (rte_pktmbuf_alloc_bulk(pools_->of(-1).packets, mbufs.data(),
                               static_cast<unsigned>(mbufs.size())) != 0) {
        give_up("packet buffers are missing: some were not given back");
    }
}

Stand::Stand(Bench& bench, const Case& which, std::shared_ptr<const Network> network,
             const Options& options, std::uint16_t worker)
    : bench_(bench),
      case_(which),
      network_(std::move(network)),
      from_(which.direction == Direction::encap ? bench.access() : bench.underlay()),
      to_(which.direction == Direction::encap ? bench.underlay() : bench.access()),
      id_(worker),
      queue_(static_cast<std::uint16_t>(worker * Bench::kQueueStride)),
      published_(network_->tables()),
      frames_(which, *network_, options),
      mbufs_(options.batch),
      worker_(std::make_unique<worker::Worker>(worker_options(options))) {}

worker::WorkerOptions Stand::worker_options(const Options& options) const {
    static_cast<void>(options);
    worker::WorkerOptions result;
    result.id = id_;
    result.rx = {{from_.port().id(), queue_}};
    result.idle = worker::Idle::busy;
    result.port_count = network_->tables()->ports.size();
    result.segment_count = network_->tables()->segments.size();
    result.lanes.resize(result.port_count);
    for (std::size_t i = 0; i < result.lanes.size(); ++i) {
        // All names of the access port end in its one queue.
        const bool underlay = i == bench_.underlay().port().id();
        result.lanes[i].port =
            underlay ? bench_.underlay().port().id() : bench_.access().port().id();
        result.lanes[i].queue = queue_;
    }
    result.rings = bench_.rings();
    result.tables = &published_;
    result.clock = &clock_;
    result.rcu = bench_.rcu();
    result.pools = port::WorkerPools(bench_.pools(), 0);
    return result;
}

std::vector<std::string_view> Stand::stage_names() const {
    std::vector<std::string_view> names;
    const auto add = [&](const auto& list) { names.assign(list.begin(), list.end()); };
    case_.direction == Direction::encap ? add(path::FromAccess::stage_names)
                                        : add(path::FromUnderlay::stage_names);
    names.emplace_back("exit");
    return names;
}

std::vector<std::uint64_t> Stand::stage_cycles() const {
    const auto path = case_.direction == Direction::encap ? path::PathId::from_access
                                                          : path::PathId::from_underlay;
    const auto& accounts = worker_->counters().stages[static_cast<std::size_t>(path)];
    std::vector<std::uint64_t> cycles(stage_names().size());
    for (std::size_t i = 0; i < cycles.size(); ++i) {
        cycles[i] = accounts[i].cycles.get();
    }
    return cycles;
}

void Stand::fill() {
    bench_.take(mbufs_);
    frames_.write(mbufs_);
    if (from_.push(mbufs_, queue_) != mbufs_.size()) {
        give_up("the receive ring is too small");
    }
}

void Stand::drain() {
    const std::uint16_t sent = to_.pop(mbufs_, queue_);
    if (sent != mbufs_.size()) {
        const auto& drops = worker_->counters().drops;
        std::string why;
        for (std::size_t i = 0; i < drops.size(); ++i) {
            if (drops[i].get() != 0) {
                why.append(" ")
                    .append(packet::info(static_cast<packet::DropReason>(i)).name)
                    .append("=")
                    .append(std::to_string(drops[i].get()));
            }
        }
        give_up(case_.text() + ": " + std::to_string(mbufs_.size()) + " frames went in, " +
                std::to_string(sent) + " came out;" + why +
                " diverted=" + std::to_string(worker_->counters().diverted.get()));
    }
}

void Stand::prepare() {
    fill();
    segments_.assign(mbufs_.size() / packet::kBurstSize, 0);
    if (case_.direction == Direction::encap && case_.vnis > 1) {
        for (std::size_t i = 0; i < segments_.size(); ++i) {
            segments_[i] = frames_.segment_of(i * packet::kBurstSize);
        }
    }
    learned_ = worker_->counters().learn_events.get();
}

std::vector<std::string> Stand::frame_texts() {
    bench_.take(mbufs_);
    frames_.write(mbufs_);
    std::vector<std::string> texts;
    for (const rte_mbuf* mbuf : mbufs_) {
        texts.emplace_back(rte_pktmbuf_mtod(mbuf, const char*), mbuf->data_len);
    }
    rte_pktmbuf_free_bulk(mbufs_.data(), static_cast<unsigned>(mbufs_.size()));
    return texts;
}

void Stand::poll_all() {
    const bool many = case_.direction == Direction::encap && case_.vnis > 1;
    for (const std::uint32_t segment : segments_) {
        if (many) {
            network_->enter(segment);
        }
        worker_->poll();
    }
}

void Stand::check() {
    drain();
    if (const std::string wrong = frames_.check(mbufs_); !wrong.empty()) {
        give_up(case_.text() + ": wrong output: " + wrong);
    }
    if (worker_->counters().learn_events.get() != learned_) {
        give_up(case_.text() + ": addresses that are known were told to control");
    }
    rte_pktmbuf_free_bulk(mbufs_.data(), static_cast<unsigned>(mbufs_.size()));
}

Sample Stand::time_batch() {
    prepare();
    const auto count = static_cast<double>(mbufs_.size());
    const auto stages_before = stage_cycles();

    Sample sample;
    sample.probe = Probe::measure();
    const std::uint64_t start = rte_rdtsc_precise();
    poll_all();
    const std::uint64_t stop = rte_rdtsc_precise();
    sample.probe.worsen(Probe::measure());
    sample.cycles = static_cast<double>(stop - start) / count;

    const auto stages_after = stage_cycles();
    for (std::size_t i = 0; i < stages_after.size(); ++i) {
        sample.stages.push_back(static_cast<double>(stages_after[i] - stages_before[i]) / count);
    }
    check();
    return sample;
}

void Stand::forward_all() {
    const std::uint16_t from = from_.port().id();
    const std::uint16_t to = to_.port().id();
    std::array<rte_mbuf*, packet::kBurstSize> burst;
    while (const std::uint16_t count = rte_eth_rx_burst(from, queue_, burst.data(), burst.size())) {
        rte_eth_tx_burst(to, queue_, burst.data(), count);
    }
}

void Stand::give_back() {
    drain();
    rte_pktmbuf_free_bulk(mbufs_.data(), static_cast<unsigned>(mbufs_.size()));
}

double Stand::time_drivers() {
    fill();
    const std::uint64_t start = rte_rdtsc_precise();
    forward_all();
    const std::uint64_t stop = rte_rdtsc_precise();
    give_back();
    return static_cast<double>(stop - start) / static_cast<double>(mbufs_.size());
}

}  // namespace vxplane::bench
