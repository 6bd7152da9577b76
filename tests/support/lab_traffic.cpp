// The lab's traffic: frames in, everything out, and the account of where each packet went.
#include <rte_malloc.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/support/environment.hpp"
#include "tests/support/lab.hpp"

namespace vxplane::support {
namespace {

/// A heap block of exactly the frame's size, and what DPDK keeps to free it.
struct ExactBlock {
    rte_mbuf_ext_shared_info shared{};
    std::unique_ptr<std::uint8_t[]> bytes{};
};

rte_mbuf* exact_buffer(rte_mempool* pool, const Bytes& frame) {
    rte_mbuf* mbuf = rte_pktmbuf_alloc(pool);
    if (mbuf == nullptr) return nullptr;
    auto* block = new ExactBlock;
    block->bytes = std::make_unique<std::uint8_t[]>(frame.size());
    std::copy(frame.begin(), frame.end(), block->bytes.get());
    block->shared.free_cb = [](void*, void* opaque) { delete static_cast<ExactBlock*>(opaque); };
    block->shared.fcb_opaque = block;
    rte_mbuf_ext_refcnt_set(&block->shared, 1);
    rte_pktmbuf_attach_extbuf(mbuf, block->bytes.get(), 0, static_cast<std::uint16_t>(frame.size()),
                              &block->shared);
    mbuf->data_off = 0;
    mbuf->data_len = static_cast<std::uint16_t>(frame.size());
    mbuf->pkt_len = mbuf->data_len;
    return mbuf;
}

rte_mbuf* pool_buffer(rte_mempool* pool, const std::uint8_t* bytes, std::size_t size) {
    rte_mbuf* mbuf = rte_pktmbuf_alloc(pool);
    if (mbuf == nullptr) return nullptr;
    char* to = rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(size));
    if (to == nullptr) {
        rte_pktmbuf_free(mbuf);
        return nullptr;
    }
    if (size != 0) std::memcpy(to, bytes, size);
    return mbuf;
}

Bytes bytes_of(const rte_mbuf* mbuf) {
    Bytes bytes;
    for (; mbuf != nullptr; mbuf = mbuf->next) {
        const auto* data = rte_pktmbuf_mtod(mbuf, const std::uint8_t*);
        bytes.insert(bytes.end(), data, data + mbuf->data_len);
    }
    return bytes;
}

/// Chains must be what they say: lengths that add up, and as many buffers as the first one counts.
std::string chain_fault(const rte_mbuf* mbuf) {
    std::uint32_t bytes = 0;
    unsigned buffers = 0;
    for (const rte_mbuf* s = mbuf; s != nullptr; s = s->next) {
        bytes += s->data_len;
        ++buffers;
    }
    if (bytes != mbuf->pkt_len || buffers != mbuf->nb_segs)
        return "chain of " + std::to_string(buffers) + " buffers and " + std::to_string(bytes) +
               " bytes says " + std::to_string(mbuf->nb_segs) + " and " +
               std::to_string(mbuf->pkt_len) + "; ";
    return {};
}

}  // namespace

std::vector<Bytes> Seen::sent_by(PortId port) const {
    std::vector<Bytes> frames;
    for (const SentFrame& one : sent)
        if (one.port == port) frames.push_back(one.bytes);
    return frames;
}

packet::DropReason Seen::only_reason() const {
    auto found = packet::DropReason::none;
    for (std::size_t i = 1; i < packet::kDropReasons; ++i) {
        if (!moved.contains("drop." + std::string(packet::kDropReasonInfo[i].name))) continue;
        if (found != packet::DropReason::none) return packet::DropReason::count;
        found = static_cast<packet::DropReason>(i);
    }
    return found;
}

/// Outer headers and the inner Ethernet header stand in one piece, as a NIC leaves them.
static std::size_t headers_of(const Bytes& frame) {
    return frame.size() > 13 && frame[12] == 0x86 && frame[13] == 0xDD ? 84 : 64;
}

rte_mbuf* Lab::buffer(const Bytes& frame, Memory memory) {
    rte_mbuf* mbuf = nullptr;
    constexpr std::size_t kSecond = 8;
    if (memory == Memory::exact) {
        mbuf = exact_buffer(packet_pool(), frame);
    } else if (memory == Memory::split && frame.size() > headers_of(frame) + kSecond) {
        const std::size_t head = frame.size() - kSecond;
        mbuf = pool_buffer(packet_pool(), frame.data(), head);
        rte_mbuf* rest = pool_buffer(packet_pool(), frame.data() + head, frame.size() - head);
        if (mbuf != nullptr && rest != nullptr) rte_pktmbuf_chain(mbuf, rest);
    } else {
        // A frame longer than a buffer lies in several, as a NIC with scattered receive leaves it.
        constexpr std::size_t kRoom = 2048;
        mbuf = pool_buffer(packet_pool(), frame.data(), std::min(frame.size(), kRoom));
        for (std::size_t at = kRoom; mbuf != nullptr && at < frame.size(); at += kRoom) {
            rte_mbuf* rest =
                pool_buffer(packet_pool(), frame.data() + at, std::min(frame.size() - at, kRoom));
            if (rest == nullptr || rte_pktmbuf_chain(mbuf, rest) != 0) break;
        }
    }
    if (mbuf == nullptr) {
        std::fprintf(stderr, "lab: no buffer for a frame of %zu bytes\n", frame.size());
        std::abort();
    }
    return mbuf;
}

void Lab::push(PortId port, const std::vector<Bytes>& frames, Memory memory, std::uint16_t queue) {
    start();
    for (const Bytes& frame : frames) {
        rte_mbuf* mbuf = buffer(frame, memory);
        mbuf->port = port;
        mbuf->ol_flags |= rx_flags;
        mbuf->packet_type = rx_type;
        if (rx_segment != 0) mbuf->tso_segsz = rx_segment;
        if (ports_[port].memory->push({&mbuf, 1}, queue) != 1) {
            std::fprintf(stderr, "lab: receive ring of %s is full\n", ports_[port].name.c_str());
            std::abort();
        }
    }
}

bool Lab::inject(PortId out_port, const Bytes& frame, unsigned worker) {
    start();
    path::InjectItem item{buffer(frame, Memory::pool), out_port, 0};
    if (rte_ring_sp_enqueue_elem(control_[worker].inject, &item, sizeof item) == 0) return true;
    rte_pktmbuf_free(item.mbuf);
    return false;
}

unsigned Lab::poll(unsigned worker) {
    start();
    return workers_[worker]->poll();
}

Seen Lab::receive(PortId port, const std::vector<Bytes>& frames, Memory memory,
                  std::uint16_t queue) {
    push(port, frames, memory, queue);
    for (unsigned found = 1; found != 0;) {
        found = 0;
        for (const auto& one : workers_) found += one->poll();
    }
    return collect();
}

void Lab::take_sent(Seen& seen) {
    std::vector<std::pair<PortId, rte_mbuf*>> all;
    for (auto& [id, state] : ports_) {
        for (std::uint16_t queue = 0; queue < state.words.queues; ++queue) {
            rte_mbuf* mbuf = nullptr;
            while (state.memory->pop({&mbuf, 1}, queue) == 1) all.emplace_back(id, mbuf);
        }
    }
    for (const auto& [id, mbuf] : all) {
        if (look_at_sent) look_at_sent(id, mbuf);
        seen.broken_law += chain_fault(mbuf);
        seen.sent.push_back({id, bytes_of(mbuf), mbuf->nb_segs});
    }
    for (const auto& [id, mbuf] : all) rte_pktmbuf_free(mbuf);
}

void Lab::take_rings(Seen& seen) {
    for (const path::ControlRings& rings : control_) {
        path::PuntItem item;
        while (rte_ring_sc_dequeue_elem(rings.punt, &item, sizeof item) == 0) {
            seen.broken_law += chain_fault(item.mbuf);
            seen.punted.push_back({item.why, item.in_port, item.segment, item.tunnel,
                                   item.if_refused, bytes_of(item.mbuf), item.from_tunnel,
                                   item.peer});
            ++refused_by_control_[static_cast<std::size_t>(item.if_refused)];
            rte_pktmbuf_free(item.mbuf);
        }
        step::LearnEvent event;
        while (rte_ring_sc_dequeue_elem(rings.learn, &event, sizeof event) == 0)
            seen.learned.push_back(event);
    }
}

Seen Lab::collect() {
    Seen seen;
    if (workers_.empty()) return seen;
    seen.broken_law = law();
    take_sent(seen);
    take_rings(seen);
    if (count_by_name) {
        seen.broken_law += law_of_senders();
        Counts now = counts();
        for (const auto& [name, value] : now) {
            const auto old = before_.find(name);
            const std::uint64_t moved = value - (old == before_.end() ? 0 : old->second);
            if (moved != 0) seen.moved[name] = moved;
        }
        before_ = std::move(now);
    }
    std::uint64_t held = 0;
    for (auto& [id, state] : ports_)
        for (std::uint16_t queue = 0; queue < state.words.queues; ++queue)
            held += rte_ring_count(state.memory->inlet(queue));
    for (const auto& [id, handoff] : handoffs_) held += rte_ring_count(handoff);
    for (unsigned i = 0; steering_ && i < workers_.size(); ++i) held += steering_->queued(i);
    for (const path::ControlRings& rings : control_) held += rte_ring_count(rings.inject);
    for (const auto& one : workers_) held += one->counters().held_fragments.get();
    const std::uint64_t in_use = pools().in_use();
    // What is still under way may be more than one buffer a frame.
    if (held == 0 ? in_use != level_ : in_use < level_ + held)
        seen.broken_law += std::to_string(in_use) + " buffers in use, " + std::to_string(level_) +
                           " at the start, " + std::to_string(held) + " frames under way; ";
    return seen;
}

std::string Lab::law() const {
    std::string text;
    for (const auto& one : workers_) {
        const path::WorkerCounters& c = one->counters();
        const std::uint64_t in = c.received.get() + c.copies.get() + c.injected.get() +
                                 c.taken_over.get() + c.steered_in.get() + c.cut_frames.get();
        std::uint64_t out = c.sent.get() + c.diverted.get() + c.handed_off.get() +
                            c.steered_out.get() + c.merged.get() + c.held_fragments.get();
        for (const path::Counter& drop : c.drops) out += drop.get();
        if (in != out)
            text += "worker " + std::to_string(one->options().id) + " took " + std::to_string(in) +
                    " packets and accounts for " + std::to_string(out) + "; ";
        if (c.unaccounted.get() != 0)
            text += "worker " + std::to_string(one->options().id) + " says " +
                    std::to_string(c.unaccounted.get()) + " packets are unaccounted for; ";
    }
    return text;
}

std::string Lab::law_of_senders() const {
    using packet::DropReason;
    // Reasons for which nothing but tunnel packets is dropped.
    constexpr DropReason kOfTunnels[] = {DropReason::outer_own_vtep,
                                         DropReason::outer_fragment,
                                         DropReason::outer_fragment_bad,
                                         DropReason::outer_fragment_lost,
                                         DropReason::ip6_bad_source,
                                         DropReason::udp_bad_length,
                                         DropReason::udp_bad_checksum,
                                         DropReason::udp_no_checksum,
                                         DropReason::vxlan_too_short,
                                         DropReason::vxlan_no_vni_flag,
                                         DropReason::vxlan_reserved_bits,
                                         DropReason::vxlan_bad_remcsum,
                                         DropReason::gpe_version,
                                         DropReason::gpe_no_protocol,
                                         DropReason::gpe_oam,
                                         DropReason::gpe_unknown_protocol,
                                         DropReason::vxlan_other_group,
                                         DropReason::peer_unknown,
                                         DropReason::peer_port,
                                         DropReason::vxlan_ecn_lost};
    packet::DropCounts noted{}, dropped = refused_by_control_;
    for (const auto& one : workers_) {
        const step::RefusedPeers& refused = one->refused_peers();
        refused.for_each([&](const step::RefusedPeers::Sample& sample) {
            noted[static_cast<std::size_t>(sample.reason)] += sample.count;
        });
        for (std::size_t i = 0; i < noted.size(); ++i) {
            noted[i] += refused.others(static_cast<DropReason>(i));
            dropped[i] += one->counters().drops[i].get();
        }
    }
    std::string text;
    for (const DropReason reason : kOfTunnels) {
        const auto at = static_cast<std::size_t>(reason);
        if (noted[at] != dropped[at])
            text += std::string(packet::info(reason).name) + " of " + std::to_string(noted[at]) +
                    " packets with a sender, of " + std::to_string(dropped[at]) + " in all; ";
    }
    return text;
}

Counts Lab::counts() const {
    Counts all;
    const auto note = [&](const std::string& name, std::uint64_t value) {
        if (value != 0) all[name] = value;
    };
    for (const auto& one : workers_) {
        const path::WorkerCounters& c = one->counters();
        const unsigned id = one->options().id;
        const std::string who = id == 0 ? "" : "w" + std::to_string(id) + ".";
        note(who + "received", c.received.get());
        note(who + "copies", c.copies.get());
        note(who + "injected", c.injected.get());
        note(who + "taken_over", c.taken_over.get());
        note(who + "sent", c.sent.get());
        note(who + "diverted", c.diverted.get());
        note(who + "handed_off", c.handed_off.get());
        note(who + "steered_in", c.steered_in.get());
        note(who + "steered_out", c.steered_out.get());
        note(who + "merged", c.merged.get());
        note(who + "cut_frames", c.cut_frames.get());
        note(who + "reassembled", c.reassembled.get());
        note(who + "held_fragments", c.held_fragments.get());
        note(who + "learn_events", c.learn_events.get());
        note(who + "learn_lost", c.learn_lost.get());
        note(who + "pool.refused", one->pools().refused());
        note(who + "pool.foreign", one->pools().foreign());
        for (std::size_t i = 0; i < packet::kDropReasons; ++i)
            note(who + "drop." + std::string(packet::kDropReasonInfo[i].name), c.drops[i].get());
        for (const auto& [port, state] : ports_) {
            const path::PortCounters& p = c.ports[port];
            const std::string name = who + "port." + state.name + ".";
            note(name + "rx_packets", p.rx_packets.get());
            note(name + "rx_bytes", p.rx_bytes.get());
            note(name + "tx_packets", p.tx_packets.get());
            note(name + "tx_bytes", p.tx_bytes.get());
            note(name + "tx_full", p.tx_full.get());
            note(name + "tx_copies", p.tx_copies.get());
            note(name + "tx_groups", p.tx_groups.get());
            const path::MergeCounters& m = c.merges[port];
            note(name + "merged", m.merged.get());
            note(name + "large", m.large.get());
            note(name + "cut", m.cut.get());
            note(name + "passed", m.passed.get());
            for (std::size_t i = 0; i < step::kMergeEnds; ++i)
                note(name + "end." + std::string(step::kMergeEndNames[i]), m.ends[i].get());
        }
        for (std::size_t i = 0; i < segments_.size(); ++i) {
            const path::SegmentCounters& s = c.segments[i];
            const std::string name = who + "segment." + segments_[i].name + ".";
            note(name + "rx_packets", s.rx_packets.get());
            note(name + "rx_bytes", s.rx_bytes.get());
            note(name + "tx_packets", s.tx_packets.get());
            note(name + "tx_bytes", s.tx_bytes.get());
            note(name + "flooded", s.flooded.get());
            note(name + "oversize", s.oversize.get());
            note(name + "answered", s.answered.get());
            note(name + "untold", s.untold.get());
            note(name + "ecn_odd", s.ecn_odd.get());
        }
    }
    return all;
}

}  // namespace vxplane::support
