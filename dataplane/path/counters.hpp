// What one worker counts. Only the worker adds; control sums over workers and reads while they run.
// A reset never writes here: control remembers a zero.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "dataplane/packet/drop_reason.hpp"
#include "dataplane/packet/rx_sums.hpp"
#include "dataplane/step/merge_tcp.hpp"

namespace vxplane::path {

/// A counter with one writer: a plain add, and a read from elsewhere that is never torn.
class Counter {
  public:
    void add(std::uint64_t n) noexcept {
        value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
    void set(std::uint64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t get() const noexcept {
        return value_.load(std::memory_order_relaxed);
    }

  private:
    std::atomic<std::uint64_t> value_{0};
};

/// Frames and bytes (from the destination MAC address on, without FCS) at one port.
struct alignas(64) PortCounters {
    Counter rx_packets;
    Counter rx_bytes;
    Counter tx_packets;
    Counter tx_bytes;
    Counter tx_full;    ///< frames given up because the queue stayed full
    Counter tx_copies;  ///< chained frames copied because the port takes no chains
    Counter tx_groups;  ///< broadcasts and multicasts copied to an ipvlan slave
    Counter dropped;    ///< of the frames that came here
};

/// Inner frames and bytes that went through the tunnels of one segment.
struct alignas(64) SegmentCounters {
    Counter rx_packets;
    Counter rx_bytes;
    Counter tx_packets;
    Counter tx_bytes;
    Counter flooded;   ///< frames that went to more than one place, counted once
    Counter oversize;  ///< frames that did not fit the underlay
    Counter answered;  ///< ARP and ND answered in the name of neighbours
    Counter untold;    ///< news for control left out, as it had the same within a second
    Counter ecn_odd;   ///< Not-ECT inside and ECT outside, which RFC 6040 section 4.2 lets pass
    // Frames of the segment that were given up; errors are those whose reason is malformed or
    // unreachable, drops all others.
    Counter rx_drops;
    Counter rx_errors;
    Counter tx_drops;
    Counter tx_errors;
};

/// Large packets: made where a port receives, cut where one sends.
struct alignas(64) MergeCounters {
    Counter merged;  ///< received frames that became part of another
    Counter large;   ///< large packets that came out, those of guests included
    std::array<Counter, step::kMergeEnds> ends;  ///< why nothing more was added to a packet
    Counter cut;         ///< large packets cut in software, as the port takes none
    Counter cut_frames;  ///< frames that they became
    Counter passed;      ///< large packets handed to the device
};

/// What a device said of checksums while PortEntry::watches_sums.
struct VerdictCounters {
    Counter bursts;
    Counter looked;                                ///< frames
    std::array<Counter, packet::kRxSums> right{};  ///< by packet::RxSum
    Counter wrong;
};

/// Time of one stage, in TSC cycles.
struct StageCounters {
    Counter cycles;
    Counter packets;
};

enum class PathId : std::uint8_t {
    from_access,
    from_underlay,
    from_twin,
    from_master,
    from_slave,
    count
};
constexpr std::size_t kPaths = static_cast<std::size_t>(PathId::count);
constexpr std::size_t kMaxStages = 6;

/// received + copies + injected + taken_over + steered_in + cut_frames = sent + dropped + diverted
/// + handed_off + steered_out + merged + held_fragments + in transmit buffers, at the end of every
/// poll. Each packet is in exactly one of these.
struct alignas(64) WorkerCounters {
    Counter received;     ///< from ports
    Counter copies;       ///< made for floods
    Counter injected;     ///< from control
    Counter taken_over;   ///< from other workers, to be sent
    Counter sent;         ///< accepted by a transmit queue
    Counter diverted;     ///< to control
    Counter handed_off;   ///< to the worker that owns the transmit queue
    Counter dropped;      ///< sum of `drops`
    Counter steered_in;   ///< from workers that received a frame of a flow of this one
    Counter steered_out;  ///< to the worker that the flow belongs to

    alignas(64) Counter polls;
    Counter empty_polls;
    Counter busy_cycles;  ///< of polls that found something
    Counter sleeps;
    Counter slept_cycles;  ///< in them
    Counter woken;         ///< sleeps that a queue or another thread ended
    Counter learn_events;
    Counter learn_lost;   ///< events that found the ring full; the next frame tells again
    Counter unaccounted;  ///< difference() at the end of the last poll

    alignas(64) std::array<Counter, packet::kDropReasons> drops;
    alignas(64) std::array<std::array<StageCounters, kMaxStages>, kPaths> stages;
    alignas(64) Counter merged;         ///< received frames that became part of another
    Counter reassembled;                ///< outer datagrams put together from their fragments
    Counter held_fragments;             ///< that wait for the rest of theirs; no total
    Counter cut_frames;                 ///< frames made of large packets, besides the packet itself
    std::vector<PortCounters> ports;    ///< by DPDK port id
    std::vector<MergeCounters> merges;  ///< by DPDK port id
    std::vector<SegmentCounters> segments;  ///< by segment index
    std::vector<VerdictCounters> verdicts;  ///< by DPDK port id

    WorkerCounters(std::size_t port_count, std::size_t segment_count)
        : ports(port_count), merges(port_count), segments(segment_count), verdicts(port_count) {}

    /// What came and is nowhere, in two's complement; 0 between polls. Exact on the worker's
    /// thread.
    [[nodiscard]] std::uint64_t difference() const noexcept {
        return received.get() + copies.get() + injected.get() + taken_over.get() +
               steered_in.get() + cut_frames.get() - sent.get() - dropped.get() - diverted.get() -
               handed_off.get() - steered_out.get() - merged.get() - held_fragments.get();
    }
};

}  // namespace vxplane::path
