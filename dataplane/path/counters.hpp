// What one worker counts. Only the worker adds; control sums over workers and reads while they run.
// A reset never writes here: control remembers a zero.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "dataplane/packet/drop_reason.hpp"

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
};

/// Inner frames and bytes that went through the tunnels of one segment.
struct alignas(64) SegmentCounters {
    Counter rx_packets;
    Counter rx_bytes;
    Counter tx_packets;
    Counter tx_bytes;
    Counter flooded;   ///< frames that went to more than one place, counted once
    Counter oversize;  ///< frames that did not fit the underlay
};

/// Time of one stage, in TSC cycles.
struct StageCounters {
    Counter cycles;
    Counter packets;
};

enum class PathId : std::uint8_t { from_access, from_underlay, from_twin, count };
constexpr std::size_t kPaths = static_cast<std::size_t>(PathId::count);
constexpr std::size_t kMaxStages = 6;

/// received + copies + injected + taken_over = sent + dropped + diverted + handed_off + in transmit
/// buffers, at the end of every poll. Each packet is in exactly one of these.
struct alignas(64) WorkerCounters {
    Counter received;    ///< from ports
    Counter copies;      ///< made for floods
    Counter injected;    ///< from control
    Counter taken_over;  ///< from other workers, to be sent
    Counter sent;        ///< accepted by a transmit queue
    Counter diverted;    ///< to control
    Counter handed_off;  ///< to the worker that owns the transmit queue
    Counter dropped;     ///< sum of `drops`

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
    std::vector<PortCounters> ports;        ///< by DPDK port id
    std::vector<SegmentCounters> segments;  ///< by segment index

    WorkerCounters(std::size_t port_count, std::size_t segment_count)
        : ports(port_count), segments(segment_count) {}

    /// What came and is nowhere, in two's complement; 0 between polls. Exact on the worker's
    /// thread.
    [[nodiscard]] std::uint64_t difference() const noexcept {
        return received.get() + copies.get() + injected.get() + taken_over.get() - sent.get() -
               dropped.get() - diverted.get() - handed_off.get();
    }
};

}  // namespace vxplane::path
