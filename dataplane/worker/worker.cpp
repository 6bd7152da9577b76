#include "dataplane/worker/worker.hpp"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_pause.h>
#include <rte_prefetch.h>

#include <algorithm>

#include "dataplane/path/from_access.hpp"
#include "dataplane/path/from_twin.hpp"
#include "dataplane/path/from_underlay.hpp"
#include "dataplane/path/slaves.hpp"
#include "dataplane/step/read_outer6.hpp"
#include "dataplane/step/underlay_group.hpp"
#include "dataplane/worker/verdicts.hpp"

namespace vxplane::worker {

Worker::Worker(WorkerOptions options)
    : options_(std::move(options)),
      counters_(options_.port_count, options_.segment_count),
      reassembly_(options_.fragments),
      exit_(counters_, options_.rings, options_.lanes, options_.pools, options_.punt_rate,
            rte_get_tsc_hz()),
      idle_(options_.idle, options_.idle_after, options_.idle_sleep, rte_get_tsc_hz()) {
    context_.pools = &options_.pools;
    context_.listener = &exit_;
    exit_.use(reassembly_);
    context_.rule_counters = &rule_counters_;
    slave_rates_.resize(options_.port_count);
    context_.rates = slave_rates_.data();
    journeys_ = std::make_unique<step::Journeys>();
    context_.journeys = journeys_->places();
    context_.flow_keys = journeys_->flow_keys();
    for (const RxQueue& rx : options_.rx) {
        polled_ports_.push_back(rx.port);
    }
    // Two workers that send to one peer should not use the same ids at the same time.
    context_.next_ip_id = static_cast<std::uint16_t>(options_.id * 0x2F6BU);
    poll_began_ = rte_rdtsc();
    if (options_.steering != nullptr) {
        steering_ =
            std::make_unique<Steering>(*options_.steering, options_.id, options_.flow_limit, bed_);
    }
}

void Worker::receive(std::uint16_t port, rte_mbuf** frames, std::uint16_t count) noexcept {
    if (context_.tables->ports[port].watches_sums) [[unlikely]] {
        watch_sums(port, frames, count);
    }
    take_in(port, frames, count);
}

void Worker::watch_sums(std::uint16_t port, rte_mbuf** frames, std::uint16_t count) noexcept {
    // Enough for a belief where frames have checksums; for the rest, and to notice a device that
    // begins to lie, so few that nobody can measure it.
    constexpr std::uint64_t kAll = 65'536;
    constexpr std::uint64_t kEach = 16;
    path::VerdictCounters& counters = counters_.verdicts[port];
    counters.bursts.add(1);
    if (counters.looked.get() >= kAll) {
        const std::uint64_t burst = counters.bursts.get();
        if (burst % kEach != 0) {
            return;
        }
        frames += burst / kEach % count;
        count = 1;
    }
    const VerdictTally tally = compare_verdicts({frames, count});
    counters.looked.add(count);
    for (std::size_t sum = 0; sum < packet::kRxSums; ++sum) {
        counters.right[sum].add(tally.right[sum]);
    }
    counters.wrong.add(tally.wrong);
}

void Worker::take_in(std::uint16_t port, rte_mbuf** frames, std::uint16_t count) noexcept {
    if (steering_ != nullptr) [[unlikely]] {
        count = steering_->give(port, frames, count, *context_.tables, exit_);
        if (count == 0) {
            return;
        }
    }
    carry(port, frames, count, true);
}

void Worker::receive_merged(std::uint16_t port, rte_mbuf** frames, std::uint16_t count) noexcept {
    if (context_.tables->ports[port].watches_sums) [[unlikely]] {
        watch_sums(port, frames, count);
    }
    step::MergeTally tally;
    const std::uint16_t left =
        merger_.run(frames, count, *context_.tables, port, options_.pools, tally);
    path::PortCounters& counters = counters_.ports[port];
    counters.rx_packets.add(tally.merged);
    counters.rx_bytes.add(tally.merged_bytes);
    counters_.received.add(tally.merged);
    counters_.merged.add(tally.merged);
    path::MergeCounters& merges = counters_.merges[port];
    merges.merged.add(tally.merged);
    merges.large.add(tally.large);
    for (std::size_t i = 0; i < step::kMergeEnds; ++i) {
        merges.ends[i].add(tally.ends[i]);
    }
    for (std::uint16_t done = 0; done < left;) {
        const auto some = static_cast<std::uint16_t>(
            std::min<unsigned>(left - unsigned{done}, packet::kBurstSize));
        take_in(port, frames + done, some);
        done = static_cast<std::uint16_t>(done + some);
    }
}

unsigned Worker::poll_merged(const RxQueue& rx) noexcept {
    std::array<rte_mbuf*, step::TcpMerger::kRoom> frames;
    std::uint16_t count = 0;
    std::uint16_t more = 0;
    do {
        more = rte_eth_rx_burst(rx.port, rx.queue, frames.data() + count, packet::kBurstSize);
        count = static_cast<std::uint16_t>(count + more);
    } while (more == packet::kBurstSize && count <= frames.size() - packet::kBurstSize);
    if (count != 0) {
        receive_merged(rx.port, frames.data(), count);
    }
    return count;
}

unsigned Worker::take_steered() noexcept {
    std::array<rte_mbuf*, packet::kBurstSize> taken;
    std::array<rte_mbuf*, packet::kBurstSize> of_port;
    unsigned found = 0;
    for (unsigned turn = 0; turn < steering_->turns(); ++turn) {
        std::uint16_t left = steering_->take(taken.data(), packet::kBurstSize);
        found += left;
        counters_.steered_in.add(left);
        const bool last = left < packet::kBurstSize;
        // A path is run for one port; frames of different ports need no order among themselves.
        while (left != 0) {
            const std::uint16_t port = taken[0]->port;
            std::uint16_t others = 0;
            std::uint16_t count = 0;
            for (std::uint16_t i = 0; i < left; ++i) {
                rte_mbuf* frame = taken[i];
                (frame->port == port ? of_port[count++] : taken[others++]) = frame;
            }
            carry(port, of_port.data(), count, false);
            left = others;
        }
        if (last) {
            break;
        }
    }
    return found;
}

void Worker::carry(std::uint16_t port, rte_mbuf** frames, std::uint16_t count,
                   bool received) noexcept {
    const table::PortRole role = context_.tables->ports[port].role;
    // The first stage reads Ethernet to ports, or of a tunnel packet to the inner ones. In front of
    // a tenant's frame the outer header will be written.
    const std::ptrdiff_t other_line =
        role == table::PortRole::access ? -RTE_CACHE_LINE_SIZE : RTE_CACHE_LINE_SIZE;
    path::PortCounters& counters = counters_.ports[port];
    std::uint64_t bytes = 0;
    // Made once: a line that is put together in pieces and copied at once stalls at every frame,
    // and without the barrier compilers would put it together again for each.
    packet::PacketMeta fresh;
    fresh.in_port = port;
    asm volatile("" : "+m"(fresh));
    for (std::uint16_t i = 0; i < count; ++i) {
        const char* data = rte_pktmbuf_mtod(frames[i], const char*);
        rte_prefetch0(data);
        rte_prefetch0(data + other_line);
        bytes += frames[i]->pkt_len;
        burst_.mbufs[i] = frames[i];
        burst_.meta[i] = fresh;
    }
    burst_.count = count;
    burst_.in_port = port;
    context_.journey_count = 0;
    if (received) [[likely]] {
        counters.rx_packets.add(count);
        counters.rx_bytes.add(bytes);
        counters_.received.add(count);
    }
    switch (role) {
        case table::PortRole::access:
            path::FromAccess::run(burst_, context_, exit_);
            break;
        case table::PortRole::underlay:
            carry_from_underlay(port);
            if (!reassembly_.whole().empty()) [[unlikely]] {
                carry_whole(port);
            }
            break;
        case table::PortRole::slave:
            path::run_from_slave(burst_, context_, exit_);
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

void Worker::set_aside_what_is_no_tunnel() noexcept {
    constexpr std::uint32_t kIp = sizeof(net::EthernetHeader);
    const table::Tables& tables = *context_.tables;
    const auto is_tunnel = [&tables](const packet::Packet& p) {
        if (p.contiguous() < kIp + sizeof(net::Ipv4Header) + sizeof(net::UdpHeader) ||
            p.at<net::EthernetHeader>(0)->type != net::ether_type::kIpv4) {
            return step::is_tunnel6(p, tables);
        }
        const auto* ip = p.at<net::Ipv4Header>(kIp);
        const std::uint32_t udp = kIp + ip->header_length();
        return ip->protocol == net::ip_protocol::kUdp &&
               p.contiguous() >= udp + sizeof(net::UdpHeader) &&
               tables.dstports->contains(p.at<net::UdpHeader>(udp)->destination.value()) &&
               tables.addresses->contains(ip->destination.be.wire());
    };
    aside_.in_port = burst_.in_port;
    std::uint16_t tunnels = 0;
    for (std::uint16_t i = 0; i < burst_.count; ++i) {
        const bool stays = is_tunnel(packet::Packet(burst_.mbufs[i]));
        packet::Burst& to = stays ? burst_ : aside_;
        const std::uint16_t at = stays ? tunnels++ : aside_.count++;
        to.mbufs[at] = burst_.mbufs[i];
        to.meta[at] = burst_.meta[i];
    }
    burst_.count = tunnels;
    if (tables.joined != nullptr) [[unlikely]] {
        take_back_groups();
    }
}

void Worker::prefetch_vnis() const noexcept {
    // Where the headers are in nearly all packets; what stands there in others does no harm.
    constexpr std::uint32_t kUdp = sizeof(net::EthernetHeader) + sizeof(net::Ipv4Header);
    constexpr std::uint32_t kVxlan = kUdp + sizeof(net::UdpHeader);
    const auto key_of = [this](std::uint16_t i) {
        const packet::Packet p(burst_.mbufs[i]);
        return p.contiguous() < kVxlan + sizeof(net::VxlanHeader)
                   ? 0
                   : table::vni_key(p.at<net::UdpHeader>(kUdp)->destination.value(),
                                    p.at<net::VxlanHeader>(kVxlan)->vni());
    };
    const std::uint16_t count = burst_.count;
    // Neighbours mostly are of one segment.
    if (count < 2 || key_of(0) == key_of(static_cast<std::uint16_t>(count - 1))) {
        return;
    }
    for (std::uint16_t i = 0; i < count; ++i) {
        context_.tables->vnis->prefetch(key_of(i));
    }
}

void Worker::carry_from_underlay(std::uint16_t port) noexcept {
    const table::PortEntry& entry = context_.tables->ports[port];
    if (entry.master != table::kNoMaster) {
        set_aside_what_is_no_tunnel();
    }
    if (context_.tables->vnis->memory_bytes() > kVnisAtHand) [[unlikely]] {
        prefetch_vnis();
    }
    path::FromUnderlay::run(burst_, context_, exit_);
    if (aside_.count != 0) {
        path::run_from_master(aside_, context_, exit_);
    }
}

void Worker::carry_whole(std::uint16_t port) noexcept {
    packet::PacketMeta fresh;
    fresh.in_port = port;
    burst_.count = 0;
    for (rte_mbuf* frame : reassembly_.whole()) {
        burst_.mbufs[burst_.count] = frame;
        burst_.meta[burst_.count++] = fresh;
    }
    reassembly_.clear();
    context_.reassembled = true;
    carry_from_underlay(port);
    context_.reassembled = false;
}

void Worker::take_back_groups() noexcept {
    std::uint16_t kept = 0;
    for (std::uint16_t i = 0; i < aside_.count; ++i) {
        const bool is_tunnel =
            step::is_group_tunnel(packet::Packet(aside_.mbufs[i]), aside_.meta[i], context_);
        packet::Burst& to = is_tunnel ? burst_ : aside_;
        const std::uint16_t at = is_tunnel ? burst_.count++ : kept++;
        to.mbufs[at] = aside_.mbufs[i];
        to.meta[at] = aside_.meta[i];
    }
    aside_.count = kept;
}

void Worker::begin_poll() noexcept {
    const std::uint64_t now = rte_rdtsc();
    const std::uint64_t took = now - poll_began_;
    exit_.earn(took);
    if (found_ != 0) {
        counters_.busy_cycles.add(took);
    }
    poll_began_ = now;
    context_.begin(options_.tables->load(std::memory_order_acquire),
                   options_.clock->epoch.load(std::memory_order_relaxed),
                   options_.clock->milliseconds.load(std::memory_order_relaxed));
}

void Worker::age_connections() noexcept {
    const table::Tables& tables = *context_.tables;
    for (const table::Master& master : tables.masters) {
        if (master.conntrack != nullptr && std::find(polled_ports_.begin(), polled_ports_.end(),
                                                     master.port) != polled_ports_.end()) {
            master.conntrack->poll(context_.now);
        }
    }
}

void Worker::end_poll(unsigned found) noexcept {
    if (context_.tables->masters.size() != 0) [[unlikely]] {
        age_connections();
    }
    reassembly_.expire(context_, exit_);
    exit_.flush();
    if (steering_ != nullptr) {
        steering_->end();
    }
    counters_.polls.add(1);
    found_ = found;
    if (found == 0) {
        counters_.empty_polls.add(1);
    }
    counters_.held_fragments.set(reassembly_.held());
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
    if (steering_ == nullptr || steering_->may_receive()) [[likely]] {
        for (const RxQueue& rx : options_.rx) {
            if (rx.merge) {
                found += poll_merged(rx);
                continue;
            }
            const std::uint16_t count =
                rte_eth_rx_burst(rx.port, rx.queue, frames.data(), packet::kBurstSize);
            if (count != 0) {
                receive(rx.port, frames.data(), count);
                found += count;
            }
        }
    }
    if (steering_ != nullptr) {
        found += take_steered();
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
    idle_.all_wakes(deaf.empty() && options_.shared.empty() && options_.steering == nullptr);
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
