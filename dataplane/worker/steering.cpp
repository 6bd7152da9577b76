// How flows are spread over workers, and how a change of their set keeps the order of each flow.
#include "dataplane/worker/steering.hpp"

#include <rte_prefetch.h>

#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/icmpv6.hpp"

namespace vxplane::worker {

namespace {

/// The same over IPv6.
[[gnu::noinline]] std::size_t inner_offset6(const std::byte* frame, std::size_t size,
                                            const table::FlatMap& dstports) noexcept {
    constexpr std::size_t kIp = sizeof(net::EthernetHeader);
    if (size < kIp + sizeof(net::Ipv6Header) ||
        net::view<net::EthernetHeader>(frame).type != net::ether_type::kIpv6) {
        return 0;
    }
    const net::Ipv6Upper upper = net::upper_of(frame + kIp, size - kIp);
    const std::size_t udp = kIp + upper.offset;
    const std::size_t inner = udp + sizeof(net::UdpHeader) + sizeof(net::VxlanHeader);
    if (upper.protocol != net::ip_protocol::kUdp || upper.is_fragment ||
        size < inner + sizeof(net::EthernetHeader) ||
        !dstports.contains(
            table::dstport_key(net::view<net::UdpHeader>(frame + udp).destination.value(), true))) {
        return 0;
    }
    return inner;
}

/// Where the inner frame begins, or 0 for a frame that is no VXLAN packet.
std::size_t inner_offset(const std::byte* frame, std::size_t size,
                         const table::FlatMap& dstports) noexcept {
    constexpr std::size_t kIp = sizeof(net::EthernetHeader);
    if (size < kIp + sizeof(net::Ipv4Header) ||
        net::view<net::EthernetHeader>(frame).type != net::ether_type::kIpv4) {
        return inner_offset6(frame, size, dstports);
    }
    const auto& ip = net::view<net::Ipv4Header>(frame + kIp);
    const std::size_t udp = kIp + ip.header_length();
    const std::size_t inner = udp + sizeof(net::UdpHeader) + sizeof(net::VxlanHeader);
    if (ip.protocol != net::ip_protocol::kUdp || ip.is_fragment() ||
        size < inner + sizeof(net::EthernetHeader) ||
        !dstports.contains(net::view<net::UdpHeader>(frame + udp).destination.value())) {
        return 0;
    }
    return inner;
}

/// Of an IP packet without an Ethernet header: as facts_of() with one.
[[gnu::noinline]] std::uint32_t bare_hash(const std::byte* ip, std::size_t size) noexcept {
    const auto version = net::view<net::Ipv4Header>(ip).version();
    if (version == 4 && size >= sizeof(net::Ipv4Header)) {
        return net::ipv4_flow_hash(ip, size);
    }
    return version == 6 && size >= sizeof(net::Ipv6Header) ? net::ipv6_flow_hash(ip, size) : 0;
}

}  // namespace

std::uint32_t steering_hash(const std::byte* frame, std::size_t size, table::PortRole role,
                            const table::FlatMap& dstports) noexcept {
    if (size < sizeof(net::EthernetHeader)) {
        return 0;
    }
    const std::size_t at =
        role == table::PortRole::underlay ? inner_offset(frame, size, dstports) : 0;
    if (at != 0 && net::view<net::VxlanHeader>(frame + at - sizeof(net::VxlanHeader)).says_ip())
        [[unlikely]] {
        return bare_hash(frame + at, size - at);
    }
    return net::facts_of(frame + at, size - at).hash;
}

std::unique_ptr<SteeringTable> SteeringTable::make(const std::string& name, unsigned workers,
                                                   std::uint32_t limit) noexcept {
    std::unique_ptr<SteeringTable> table(new SteeringTable);
    table->seats_ = std::make_unique<Seat[]>(workers);
    table->limit_ = limit;
    for (unsigned i = 0; i < workers; ++i) {
        // Relaxed tails: a producer that loses its CPU between two steps holds up no other one.
        table->seats_[i].ring =
            rte_ring_create((name + "_" + std::to_string(i)).c_str(), limit, SOCKET_ID_ANY,
                            RING_F_MP_RTS_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ);
        if (table->seats_[i].ring == nullptr) {
            return nullptr;
        }
        table->workers_ = i + 1;
    }
    table->targets_ = workers == kMostSteered ? ~0ULL : (1ULL << workers) - 1;
    return table;
}

SteeringTable::~SteeringTable() {
    drain();
    for (unsigned i = 0; i < workers_; ++i) {
        rte_ring_free(seats_[i].ring);
    }
}

std::uint64_t SteeringTable::drain() noexcept {
    std::uint64_t freed = 0;
    for (unsigned i = 0; i < workers_; ++i) {
        void* frame = nullptr;
        while (rte_ring_sc_dequeue(seats_[i].ring, &frame) == 0) {
            rte_pktmbuf_free(static_cast<rte_mbuf*>(frame));
            ++freed;
        }
    }
    return freed;
}

Steering::Steering(SteeringTable& table, unsigned id, bool flow_limit, Bed& bed)
    : table_(table),
      id_(id),
      way_marks_(table.ways_out_.size()),
      flow_limit_(flow_limit ? std::make_unique<FlowLimit>() : nullptr),
      batches_(table.workers()) {
    table.seats_[id].bed = &bed;
    choose(table.targets());
}

void Steering::choose(std::uint64_t set) noexcept {
    set_ = set;
    target_count_ = 0;
    for (unsigned i = 0; i < table_.workers_; ++i) {
        if ((set >> i & 1U) != 0) {
            targets_[target_count_++] = static_cast<std::uint8_t>(i);
        }
    }
}

bool Steering::rings_are_clear() const noexcept {
    for (std::uint32_t i = 0; i < target_count_; ++i) {
        const unsigned target = targets_[i];
        // What this worker kept for itself was sent at the end of an earlier poll.
        const std::uint32_t done = table_.seats_[target].done.load(std::memory_order_acquire);
        if (target != id_ && static_cast<std::int32_t>(done - marks_[target]) < 0) {
            return false;
        }
    }
    return true;
}

bool Steering::ways_out_are_clear() const noexcept {
    for (std::size_t i = 0; i < way_marks_.size(); ++i) {
        if (static_cast<std::int32_t>(table_.ways_out_[i]->cons.tail - way_marks_[i]) < 0) {
            return false;
        }
    }
    return true;
}

bool Steering::change() noexcept {
    if (phase_ == Phase::steady) {
        phase_ = Phase::rings;
        // Behind everything that is in the rings: also behind packets that another producer has a
        // place for and has not written yet.
        for (unsigned i = 0; i < table_.workers_; ++i) {
            marks_[i] = table_.seats_[i].ring->rts_prod.head.val.pos;
        }
    }
    if (phase_ == Phase::rings) {
        if (!rings_are_clear()) {
            return false;
        }
        phase_ = Phase::ways_out;
        for (std::size_t i = 0; i < way_marks_.size(); ++i) {
            way_marks_[i] = table_.ways_out_[i]->prod.head;
        }
    }
    if (!ways_out_are_clear()) {
        return false;
    }
    phase_ = Phase::steady;
    choose(table_.targets());
    return true;
}

std::uint16_t Steering::give(std::uint16_t port, rte_mbuf** frames, std::uint16_t count,
                             const table::Tables& tables, path::Exit& exit) noexcept {
    for (std::uint16_t i = 0; i < count; ++i) {
        const char* data = rte_pktmbuf_mtod(frames[i], const char*);
        rte_prefetch0(data);
        rte_prefetch0(data + RTE_CACHE_LINE_SIZE);
    }
    const table::PortRole role = tables.ports[port].role;
    std::uint16_t kept = 0;
    std::uint64_t bytes = 0;
    std::uint64_t touched = 0;
    for (std::uint16_t i = 0; i < count; ++i) {
        rte_mbuf* frame = frames[i];
        const std::uint32_t hash = steering_hash(rte_pktmbuf_mtod(frame, const std::byte*),
                                                 frame->data_len, role, *tables.dstports);
        const unsigned target = targets_[net::scale(hash, target_count_)];
        if (target == id_) {
            frames[kept++] = frame;
            continue;
        }
        bytes += frame->pkt_len;
        Batch& batch = batches_[target];
        if ((touched >> target & 1U) == 0) {
            touched |= 1ULL << target;
            batch.count = 0;
            batch.queued = table_.queued(target);
        }
        if (flow_limit_ != nullptr) {
            const std::uint32_t length = batch.queued + batch.count;
            if (length >= table_.limit_ / 2 && length < table_.limit_ &&
                flow_limit_->is_over(hash)) {
                exit.drop(frame, packet::DropReason::flow_limit);
                continue;
            }
        }
        frame->port = port;
        batch.frames[batch.count++] = frame;
    }
    const auto went = static_cast<std::uint64_t>(count - kept);
    path::WorkerCounters& counters = exit.counters();
    counters.received.add(went);
    counters.ports[port].rx_packets.add(went);
    counters.ports[port].rx_bytes.add(bytes);
    for (unsigned target = 0; touched != 0; ++target, touched >>= 1) {
        if ((touched & 1U) != 0) {
            hand_over(batches_[target], target, exit);
        }
    }
    return kept;
}

void Steering::hand_over(Batch& batch, unsigned target, path::Exit& exit) noexcept {
    const unsigned taken = rte_ring_mp_rts_enqueue_burst(
        table_.seats_[target].ring, reinterpret_cast<void**>(batch.frames.data()), batch.count,
        nullptr);
    exit.counters().steered_out.add(taken);
    table_.seats_[target].bed->ring();
    for (unsigned i = taken; i < batch.count; ++i) {
        exit.drop(batch.frames[i], packet::DropReason::backlog_full);
    }
}

std::uint16_t Steering::take(rte_mbuf** frames, std::uint16_t room) noexcept {
    const unsigned count = rte_ring_sc_dequeue_burst(
        table_.seats_[id_].ring, reinterpret_cast<void**>(frames), room, nullptr);
    taken_ += count;
    return static_cast<std::uint16_t>(count);
}

void Steering::end() noexcept {
    if (told_ != taken_) {
        told_ = taken_;
        table_.seats_[id_].done.store(taken_, std::memory_order_release);
    }
}

}  // namespace vxplane::worker
