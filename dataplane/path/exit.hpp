// The end of every path: frames leave to a transmit queue, to control, or are given up. Counting,
// freeing and batching happen here and nowhere else.
#pragma once

#include <rte_ethdev.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "dataplane/packet/large.hpp"
#include "dataplane/path/counters.hpp"
#include "dataplane/path/segment.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::path {

/// What control gets: the packet, and what is known of it.
struct PuntItem {
    rte_mbuf* mbuf = nullptr;
    std::uint32_t tunnel = 0;
    std::uint16_t segment = 0;
    std::uint16_t in_port = 0;
    packet::Punt why = packet::Punt::arp;
    packet::DropReason if_refused = packet::DropReason::none;
    bool one_of_many = false;  ///< as in PacketMeta
    bool from_tunnel = false;  ///< as in PacketMeta: the answer goes back by `peer`
    std::uint32_t peer = 0;    ///< tunnel by which it came
};
static_assert(sizeof(PuntItem) == 24);

/// What control sends: a whole frame and the port where it leaves.
struct InjectItem {
    rte_mbuf* mbuf = nullptr;
    std::uint32_t out_port = 0;
    std::uint32_t reserved = 0;
};
static_assert(sizeof(InjectItem) == 16);

/// Rings between one worker and control; each has one producer and one consumer.
struct ControlRings {
    rte_ring* punt = nullptr;    ///< PuntItem, to control
    rte_ring* learn = nullptr;   ///< step::LearnEvent, to control
    rte_ring* inject = nullptr;  ///< InjectItem, from control
};

/// Where one worker puts frames for one port: its own queue, or the ring of the worker that owns
/// one. Lines of its own: a worker writes here for each frame.
struct alignas(64) TxLane {
    static constexpr std::uint16_t kRoom = 2 * packet::kBurstSize;
    std::uint16_t port = table::kNoPort;
    std::uint16_t queue = 0;
    rte_ring* handoff = nullptr;  ///< many producers; null when the queue is the worker's own
    bool multi_segment = false;
    bool listed = false;   ///< flush() will come by
    port::TsoAbility tso;  ///< large packets that the port takes
    std::uint16_t waiting = 0;
    std::uint64_t bytes = 0;  ///< of the frames that wait
    std::array<rte_mbuf*, kRoom> frames{};
};

class Reassembly;

/// One per worker.
class Exit final : public step::Listener {
  public:
    /// `lanes` by DPDK port id. `punt_rate`: packets per second to control, for ARP
    /// and for all else each; 0 = any.
    Exit(WorkerCounters& counters, ControlRings rings, std::vector<TxLane> lanes,
         port::WorkerPools& pools, std::uint64_t punt_rate, std::uint64_t tsc_hz)
        : counters_(counters),
          rings_(rings),
          lanes_(std::move(lanes)),
          pools_(pools),
          cycles_per_punt_(punt_rate == 0 ? 0 : tsc_hz / punt_rate) {}

    WorkerCounters& counters() noexcept { return counters_; }
    Reassembly& reassembly() noexcept { return *reassembly_; }
    /// For the packets of Lane::fragment; outlives this.
    void use(Reassembly& reassembly) noexcept { reassembly_ = &reassembly; }

    /// For a copy that was due and could not be made.
    void count_drop(packet::DropReason reason) noexcept {
        counters_.drops[static_cast<std::size_t>(reason)].add(1);
        counters_.dropped.add(1);
    }
    /// The packet is freed by flush() at the latest.
    void drop(rte_mbuf* mbuf, packet::DropReason reason) noexcept {
        count_drop(reason);
        if (dead_count_ == dead_.size()) {
            free_dead();
        }
        dead_[dead_count_++] = mbuf;
    }

    /// What send() and the segment's counters are going to touch.
    void prefetch(std::uint16_t out_port, std::uint16_t segment) const noexcept {
        const TxLane* lane = lanes_.data() + out_port;
        __builtin_prefetch(lane, 1);
        __builtin_prefetch(lane->frames.data(), 1);
        prefetch_segment(segment);
    }
    void prefetch_segment(std::uint16_t segment) const noexcept {
        __builtin_prefetch(counters_.segments.data() + segment, 1);
    }

    /// Queues frames for a port; they leave at the latest with flush(). At most a burst; `bytes`
    /// are those of all, `chained` tells that some have more than one segment.
    void send(std::span<rte_mbuf*> frames, std::uint16_t out_port, std::uint64_t bytes,
              bool chained) noexcept {
        if (out_port >= lanes_.size() || lanes_[out_port].port == table::kNoPort) [[unlikely]] {
            for (rte_mbuf* frame : frames) {
                drop(frame, packet::DropReason::port_gone);
            }
            return;
        }
        TxLane& lane = lanes_[out_port];
        if (chained) [[unlikely]] {
            for (rte_mbuf* frame : frames) {
                frame->nb_segs != 1 ? send_chain(frame, lane) : queue(frame, lane);
            }
            return;
        }
        make_room(frames.size(), lane);
        if (frames.size() == 1) {
            lane.frames[lane.waiting] = frames[0];
        } else {
            std::copy(frames.begin(), frames.end(), lane.frames.begin() + lane.waiting);
        }
        lane.waiting = static_cast<std::uint16_t>(lane.waiting + frames.size());
        lane.bytes += bytes;
    }
    void send(rte_mbuf* frame, std::uint16_t out_port) noexcept {
        send({&frame, 1}, out_port, frame->pkt_len, frame->nb_segs != 1);
    }

    /// Hands a packet to control, or drops it when control is asked for too much.
    void to_control(rte_mbuf* mbuf, const packet::PacketMeta& meta) noexcept {
        using packet::DropReason;
        // ARP keeps tunnels alive: neither pings nor packets to a dead remote may crowd it out.
        const bool is_arp = meta.punt == packet::Punt::arp;
        std::uint64_t& credit = is_arp ? arp_credit_ : punt_credit_;
        if (cycles_per_punt_ != 0) {
            if (meta.punt >= packet::Punt::next_hop && !is_within_share(meta.in_port)) {
                drop(mbuf, refusal(meta, DropReason::control_share));
                return;
            }
            if (credit < cycles_per_punt_) {
                drop(mbuf, refusal(meta, DropReason::control_rate));
                return;
            }
            credit -= cycles_per_punt_;
        }
        if (!is_arp && rte_ring_free_count(rings_.punt) <= rte_ring_get_capacity(rings_.punt) / 4) {
            drop(mbuf, refusal(meta, DropReason::control_ring_full));
            return;
        }
        PuntItem item;
        item.mbuf = mbuf;
        item.tunnel = meta.tunnel;
        item.segment = meta.segment;
        item.in_port = meta.in_port;
        item.why = meta.punt;
        item.if_refused = meta.if_refused;
        item.one_of_many = meta.one_of_many;
        item.from_tunnel = meta.from_tunnel;
        item.peer = meta.destination;
        if (rte_ring_sp_enqueue_elem(rings_.punt, &item, sizeof item) != 0) {
            drop(mbuf, refusal(meta, DropReason::control_ring_full));
            return;
        }
        counters_.diverted.add(1);
    }

    /// Shares the payload with the frame.
    void copy_to_control(packet::Packet p, const packet::PacketMeta& meta, packet::Punt why,
                         std::uint64_t key, step::Context& ctx) noexcept override;
    void count_odd_ecn(std::uint16_t segment) noexcept override {
        counters_.segments[segment].ecn_odd.add(1);
    }

    /// Gives the time since the last poll to the rate limit of to_control().
    void earn(std::uint64_t cycles) noexcept {
        clock_ += cycles;
        punt_credit_ = std::min(punt_credit_ + cycles, kPuntBurst * cycles_per_punt_);
        arp_credit_ = std::min(arp_credit_ + cycles, kPuntBurst * cycles_per_punt_);
    }

    void tell(step::LearnBuffer& learn) noexcept {
        if (learn.size() == 0) {
            return;
        }
        const unsigned told = rte_ring_sp_enqueue_burst_elem(
            rings_.learn, learn.begin(), sizeof(step::LearnEvent), learn.size(), nullptr);
        counters_.learn_events.add(told);
        for (unsigned i = told; i < learn.size(); ++i) {
            learn.forget(learn.begin()[i]);
        }
        counters_.learn_lost.add(learn.size() - told);
        learn.clear();
    }

    /// Frames that control wants sent, and frames that other workers hand over.
    unsigned take_injected() noexcept {
        std::array<InjectItem, packet::kBurstSize> items;
        const unsigned n = rte_ring_sc_dequeue_burst_elem(
            rings_.inject, items.data(), sizeof(InjectItem), items.size(), nullptr);
        counters_.injected.add(n);
        for (unsigned i = 0; i < n; ++i) {
            send(items[i].mbuf, static_cast<std::uint16_t>(items[i].out_port));
        }
        return n;
    }
    unsigned take_over(rte_ring* handoff, std::uint16_t out_port) noexcept {
        std::array<void*, packet::kBurstSize> frames;
        const unsigned n =
            rte_ring_sc_dequeue_burst(handoff, frames.data(), frames.size(), nullptr);
        counters_.taken_over.add(n);
        for (unsigned i = 0; i < n; ++i) {
            send(static_cast<rte_mbuf*>(frames[i]), out_port);
        }
        return n;
    }

    /// Sends everything that waits and frees everything that was dropped.
    void flush() noexcept {
        for (unsigned i = 0; i < busy_count_; ++i) {
            TxLane& lane = lanes_[busy_[i]];
            lane.listed = false;
            if (lane.waiting != 0) {
                flush(lane);
            }
        }
        busy_count_ = 0;
        free_dead();
    }

    /// Frames queued and not sent yet; 0 after flush().
    [[nodiscard]] std::uint64_t waiting() const noexcept {
        std::uint64_t sum = 0;
        for (const TxLane& lane : lanes_) {
            sum += lane.waiting;
        }
        return sum;
    }

  private:
    static constexpr unsigned kTxTries = 4;
    static constexpr std::uint64_t kPuntBurst = 512;
    static constexpr std::uint64_t kShares = 8;  ///< one port's part of rate and burst

    /// What has to do with slaves and routes, by the port where it came in: a slave that asks
    /// without end leaves most of the lane to the others.
    struct PuntShare {
        std::uint64_t credit = 0;
        std::uint64_t filled = 0;  ///< as clock_
    };
    bool is_within_share(std::uint16_t in_port) noexcept {
        PuntShare& share = shares_[in_port];
        const std::uint64_t cost = kShares * cycles_per_punt_;
        share.credit =
            std::min(share.credit + (clock_ - share.filled), kPuntBurst / kShares * cost);
        share.filled = clock_;
        if (share.credit < cost) {
            return false;
        }
        share.credit -= cost;
        return true;
    }

    static packet::DropReason refusal(const packet::PacketMeta& meta,
                                      packet::DropReason otherwise) noexcept {
        return meta.if_refused == packet::DropReason::none ? otherwise : meta.if_refused;
    }

    void queue(rte_mbuf* mbuf, TxLane& lane) noexcept {
        make_room(1, lane);
        lane.frames[lane.waiting++] = mbuf;
        lane.bytes += mbuf->pkt_len;
    }

    /// A chain: a large packet, the copies of a flood, or a frame longer than a buffer.
    [[gnu::noinline]] void send_chain(rte_mbuf* mbuf, TxLane& lane) noexcept {
        const bool large = packet::is_large(mbuf);
        // Whoever owns the queue cuts: until there, one packet is cheaper than many.
        if (large && lane.handoff == nullptr) {
            if (!lane.multi_segment || !prepare_for_nic(mbuf, lane.tso)) {
                send_cut(mbuf, lane);
                return;
            }
            counters_.merges[lane.port].passed.add(1);
        }
        if (!large && !lane.multi_segment) {
            mbuf = in_one_piece(mbuf, lane);
        }
        if (mbuf != nullptr) {
            queue(mbuf, lane);
        }
    }
    void send_cut(rte_mbuf* large, TxLane& lane) noexcept {
        std::uint64_t made = 0;
        Segmenter segmenter(large, pools_);
        while (rte_mbuf* frame = segmenter.next()) {
            ++made;
            if (frame->nb_segs != 1 && !lane.multi_segment) {
                frame = in_one_piece(frame, lane);
            }
            if (frame != nullptr) {
                queue(frame, lane);
            }
        }
        if (segmenter.left() != 0) {
            count_drop(packet::DropReason::tx_no_buffer);
            ++made;
        }
        MergeCounters& counters = counters_.merges[lane.port];
        counters.cut.add(1);
        counters.cut_frames.add(made);
        counters_.cut_frames.add(made - 1);
    }

    void free_dead() noexcept {
        if (dead_count_ != 0) {
            rte_pktmbuf_free_bulk(dead_.data(), dead_count_);
            dead_count_ = 0;
        }
    }

    void make_room(std::size_t frames, TxLane& lane) noexcept {
        if (lane.waiting + frames > TxLane::kRoom) [[unlikely]] {
            flush(lane);
        }
        if (!lane.listed) {
            lane.listed = true;
            busy_[busy_count_++] = static_cast<std::uint16_t>(&lane - lanes_.data());
        }
    }

    void flush(TxLane& lane) noexcept {
        const std::uint16_t count = std::exchange(lane.waiting, std::uint16_t{0});
        std::uint64_t bytes = std::exchange(lane.bytes, 0);
        if (lane.handoff != nullptr) {
            const unsigned taken = rte_ring_mp_enqueue_burst(
                lane.handoff, reinterpret_cast<void**>(lane.frames.data()), count, nullptr);
            counters_.handed_off.add(taken);
            for (unsigned i = taken; i < count; ++i) {
                drop(lane.frames[i], packet::DropReason::handoff_full);
            }
            return;
        }
        std::uint16_t sent = 0;
        for (unsigned tries = 0; sent < count && tries < kTxTries; ++tries) {
            sent = static_cast<std::uint16_t>(
                sent + rte_eth_tx_burst(lane.port, lane.queue, lane.frames.data() + sent,
                                        static_cast<std::uint16_t>(count - sent)));
        }
        PortCounters& port = counters_.ports[lane.port];
        if (sent != count) [[unlikely]] {
            port.tx_full.add(static_cast<std::uint64_t>(count - sent));
            for (std::uint16_t i = sent; i < count; ++i) {
                bytes -= lane.frames[i]->pkt_len;
                drop(lane.frames[i], packet::DropReason::tx_full);
            }
        }
        counters_.sent.add(sent);
        port.tx_packets.add(sent);
        port.tx_bytes.add(bytes);
    }

    /// A copy for ports whose driver reads only the first segment; null when there was no buffer.
    rte_mbuf* in_one_piece(rte_mbuf* chain, const TxLane& lane) noexcept {
        rte_mbuf* copy = pools_.packet();
        if (copy != nullptr && rte_pktmbuf_tailroom(copy) >= chain->pkt_len) {
            char* to = rte_pktmbuf_append(copy, static_cast<std::uint16_t>(chain->pkt_len));
            for (const rte_mbuf* s = chain; s != nullptr; s = s->next) {
                std::memcpy(to, rte_pktmbuf_mtod(s, const char*), s->data_len);
                to += s->data_len;
            }
            copy->port = chain->port;
            counters_.ports[lane.port].tx_copies.add(1);
            rte_pktmbuf_free(chain);
            return copy;
        }
        if (copy != nullptr) {
            rte_pktmbuf_free(copy);
        }
        drop(chain, packet::DropReason::tx_no_buffer);
        return nullptr;
    }

    WorkerCounters& counters_;
    ControlRings rings_;
    std::vector<TxLane> lanes_;
    port::WorkerPools& pools_;
    std::uint64_t cycles_per_punt_;
    std::uint64_t punt_credit_ = 0;
    std::uint64_t arp_credit_ = 0;
    std::uint64_t clock_ = 0;  ///< cycles since the beginning, all that was earned
    unsigned dead_count_ = 0;
    unsigned busy_count_ = 0;
    std::array<rte_mbuf*, 2 * packet::kBurstSize> dead_{};
    std::array<std::uint16_t, RTE_MAX_ETHPORTS> busy_{};
    Reassembly* reassembly_ = nullptr;
    std::array<PuntShare, RTE_MAX_ETHPORTS> shares_{};  ///< by DPDK port id
    struct Told {
        std::uint64_t key = 0;
        std::uint32_t when = 0;  ///< milliseconds
    };
    std::array<Told, 1024> told_{};  ///< what copy_to_control() told, by key
};

}  // namespace vxplane::path
