#include "bench/vxbench/slave_stand.hpp"

#include <rte_cycles.h>

#include <array>

namespace vxplane::bench {

SlaveStand::SlaveStand(Bench& bench, const SlaveCase& which, std::uint32_t batch)
    : bench_(bench),
      world_(which, {bench.access().port().id(), bench.underlay().port().id()}),
      from_(which.way == SlaveWay::from_wire ? bench.underlay() : bench.access()),
      to_(which.way == SlaveWay::from_wire || which.way == SlaveWay::to_sibling ? bench.access()
                                                                                : bench.underlay()),
      published_(world_.tables()),
      mbufs_(batch) {
    worker::WorkerOptions options;
    options.rx = {{from_.port().id(), 0}};
    options.idle = worker::Idle::busy;
    options.port_count = kFirstTenant;
    options.segment_count = 1;
    options.lanes.resize(options.port_count);
    for (port::MemoryPort* port : {&bench.access(), &bench.underlay()}) {
        options.lanes[port->port().id()].port = port->port().id();
    }
    options.rings = bench.rings();
    options.tables = &published_;
    options.clock = &clock_;
    options.rcu = bench.rcu();
    options.pools = port::WorkerPools(bench.pools(), 0);
    worker_ = std::make_unique<worker::Worker>(std::move(options));
}

void SlaveStand::fill() {
    const SlaveCase& which = world_.subject();
    bench_.take(mbufs_);
    senders_.clear();
    for (std::size_t i = 0; i < mbufs_.size(); ++i) {
        // A burst from a slave's port is of one slave; a burst from the wire is for many.
        if (i % packet::kBurstSize == 0) {
            senders_.push_back(net::scale(random(), which.slaves));
        }
        const std::uint32_t slave =
            which.way == SlaveWay::from_wire ? net::scale(random(), which.slaves) : senders_.back();
        world_.write(mbufs_[i], slave, random());
    }
    if (from_.push(mbufs_) != mbufs_.size()) {
        give_up("the receive ring is too small");
    }
}

void SlaveStand::poll_all() {
    for (const std::uint32_t slave : senders_) {
        world_.enter(slave);
        worker_->poll();
    }
}

void SlaveStand::drain() {
    const std::uint16_t sent = to_.pop(mbufs_);
    const auto& drops = worker_->counters().drops;
    for (std::size_t i = 0; i < drops.size(); ++i) {
        if (drops[i].get() != 0) {
            give_up(subject().text() +
                    ": dropped: " + std::string(packet::kDropReasonInfo[i].name));
        }
    }
    if (sent != mbufs_.size()) {
        give_up(subject().text() + ": " + std::to_string(sent) + " frames came out, " +
                std::to_string(worker_->counters().diverted.get()) + " went to control");
    }
    for (const rte_mbuf* mbuf : mbufs_) {
        if (const std::string wrong = world_.check(mbuf); !wrong.empty()) {
            give_up(subject().text() + ": wrong output: " + wrong);
        }
    }
    rte_pktmbuf_free_bulk(mbufs_.data(), static_cast<unsigned>(mbufs_.size()));
}

double SlaveStand::time_batch() {
    fill();
    const std::uint64_t start = rte_rdtsc_precise();
    poll_all();
    const std::uint64_t stop = rte_rdtsc_precise();
    drain();
    return static_cast<double>(stop - start) / static_cast<double>(mbufs_.size());
}

double SlaveStand::time_drivers() {
    fill();
    std::array<rte_mbuf*, packet::kBurstSize> burst;
    const std::uint64_t start = rte_rdtsc_precise();
    while (const std::uint16_t count =
               rte_eth_rx_burst(from_.port().id(), 0, burst.data(), burst.size())) {
        rte_eth_tx_burst(to_.port().id(), 0, burst.data(), count);
    }
    const std::uint64_t stop = rte_rdtsc_precise();
    static_cast<void>(to_.pop(mbufs_));
    rte_pktmbuf_free_bulk(mbufs_.data(), static_cast<unsigned>(mbufs_.size()));
    return static_cast<double>(stop - start) / static_cast<double>(mbufs_.size());
}

}  // namespace vxplane::bench
