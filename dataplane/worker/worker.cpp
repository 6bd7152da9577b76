#include "dataplane/worker/worker.hpp"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_pause.h>
#include <rte_prefetch.h>

#include "dataplane/path/from_access.hpp"
#include "dataplane/path/from_twin.hpp"
#include "dataplane/path/from_underlay.hpp"

namespace vxplane::worker {

Worker::Worker(WorkerOptions options)
    : options_(std::move(options)),
      counters_(options_.port_count, options_.segment_count),
      exit_(counters_, options_.rings, options_.lanes, options_.pools, options_.punt_rate,
            rte_get_tsc_hz()),
      idle_(options_.idle, options_.idle_after, options_.idle_sleep, rte_get_tsc_hz()) {
    context_.pools = &options_.pools;
    // Two workers that send to one peer should not use the same ids at the same time.
    context_.next_ip_id = static_cast<std::uint16_t>(options_.id * 0x2F6BU);
    poll_began_ = rte_rdtsc();
}

void Worker::receive(std::uint16_t port, rte_mbuf** frames, std::uint16_t count) noexcept {
    // The lines of a frame that the first stage reads: Ethernet to VXLAN, and the inner headers.
    for (std::uint16_t i = 0; i < count; ++i) {
        const char* data = rte_pktmbuf_mtod(frames[i], const char*);
        rte_prefetch0(data);
        rte_prefetch0(data + RTE_CACHE_LINE_SIZE);
    }
    path::PortCounters& counters = counters_.ports[port];
    std::uint64_t bytes = 0;
    // Made once: a line that is put together in pieces and copied at once stalls at every frame.
    packet::PacketMeta fresh;
    fresh.in_port = port;
    for (std::uint16_t i = 0; i < count; ++i) {
        burst_.mbufs[i] = frames[i];
        burst_.meta[i] = fresh;
        bytes += frames[i]->pkt_len;
    }
    burst_.count = count;
    counters.rx_packets.add(count);
    counters.rx_bytes.add(bytes);
    counters_.received.add(count);
    switch (context_.tables->ports[port].role) {
        case table::PortRole::access:
            path::FromAccess::run(burst_, context_, exit_);
            break;
        case table::PortRole::underlay:
            path::FromUnderlay::run(burst_, context_, exit_);
            break;
        case table::PortRole::twin:
            path::FromTwin::run(burst_, context_, exit_);
            break;
        case table::PortRole::none:
            for (std::uint16_t i = 0; i < count; ++i) {
                exit_.drop(frames[i], packet::DropReason::port_gone);
            }
            break;
    }
}

void Worker::begin_poll() noexcept {
    const std::uint64_t now = rte_rdtsc();
    exit_.earn(now - poll_began_);
    poll_began_ = now;
    context_.begin(options_.tables->load(std::memory_order_acquire),
                   options_.clock->epoch.load(std::memory_order_relaxed),
                   options_.clock->milliseconds.load(std::memory_order_relaxed));
}

void Worker::end_poll(unsigned found) noexcept {
    exit_.flush();
    counters_.polls.add(1);
    if (found == 0) {
        counters_.empty_polls.add(1);
    } else {
        counters_.busy_cycles.add(rte_rdtsc() - poll_began_);
    }
    counters_.unaccounted.set(counters_.difference());
    if (options_.rcu != nullptr) {
        rte_rcu_qsbr_quiescent(options_.rcu, options_.id);
    }
}

unsigned Worker::poll() noexcept {
    begin_poll();
    unsigned found = 0;
    std::array<rte_mbuf*, packet::kBurstSize> frames;
    // One burst a queue and turn: a queue that is never empty cannot starve the others.
    for (const RxQueue& rx : options_.rx) {
        const std::uint16_t count =
            rte_eth_rx_burst(rx.port, rx.queue, frames.data(), packet::kBurstSize);
        if (count != 0) {
            receive(rx.port, frames.data(), count);
            found += count;
        }
    }
    found += exit_.take_injected();
    for (const SharedQueue& shared : options_.shared) {
        found += exit_.take_over(shared.handoff, shared.port);
    }
    end_poll(found);
    return found;
}

std::vector<RxQueue> Worker::watch_queues() {
    std::vector<RxQueue> deaf;
    for (const RxQueue& rx : options_.rx) {
        if (!bed_.watch(rx.port, rx.queue)) {
            deaf.push_back(rx);
        }
    }
    // Other workers put frames into rings without a look at who sleeps.
    idle_.all_wakes(deaf.empty() && options_.shared.empty());
    return deaf;
}

void Worker::rest() noexcept {
    const IdlePlan::Rest rest =
        idle_.next(poll_began_, counters_.polls.get() - counters_.empty_polls.get());
    if (rest.nanoseconds != 0) {
        sleep(rest.nanoseconds);
    } else if (rest.pause) {
        rte_pause();
    }
}

void Worker::sleep(std::uint64_t nanoseconds) noexcept {
    bed_.lie_down();
    if (poll() == 0) {
        counters_.sleeps.add(1);
        const std::uint64_t began = rte_rdtsc();
        // Tables may be freed while a worker sleeps: it looks at none until its next poll.
        if (options_.rcu != nullptr) {
            rte_rcu_qsbr_thread_offline(options_.rcu, options_.id);
        }
        const Bed::Woken woken = bed_.sleep(nanoseconds);
        if (options_.rcu != nullptr) {
            rte_rcu_qsbr_thread_online(options_.rcu, options_.id);
        }
        const std::uint64_t now = rte_rdtsc();
        counters_.slept_cycles.add(now - began);
        if (woken != Bed::Woken::by_time) {
            counters_.woken.add(1);
            idle_.restart(now);
        }
    }
    bed_.get_up();
}

void Worker::run() noexcept {
    if (options_.rcu != nullptr) {
        rte_rcu_qsbr_thread_online(options_.rcu, options_.id);
    }
    if (options_.idle != Idle::busy) {
        make_timers_exact();
    }
    while (!stop_.load(std::memory_order_relaxed)) {
        if (poll() == 0) {
            rest();
        }
    }
    if (options_.rcu != nullptr) {
        rte_rcu_qsbr_thread_offline(options_.rcu, options_.id);
    }
}

}  // namespace vxplane::worker
