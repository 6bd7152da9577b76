// The tester's end of what is tested: frames go in on one side and come out on the other. Either
// side is a ring of a port in memory, or a port of DPDK behind which another process stands.
#pragma once

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <cstdint>
#include <span>

#include "dataplane/port/memory_port.hpp"

namespace vxplane::bench {

/// Used by one thread.
class Wire {
  public:
    Wire() = default;
    Wire(const Wire&) = delete;
    Wire& operator=(const Wire&) = delete;
    virtual ~Wire() = default;

    /// Returns how many were taken; the rest stays the caller's.
    virtual std::uint16_t push(std::span<rte_mbuf*> frames) = 0;
    /// Returns how many came; they are the caller's.
    virtual std::uint16_t pop(std::span<rte_mbuf*> frames) = 0;
    /// True when a burst is likely to be taken whole.
    [[nodiscard]] virtual bool has_room(unsigned frames) const = 0;
};

class RingWire final : public Wire {
  public:
    RingWire(port::MemoryPort& from, port::MemoryPort& to) : from_(from), to_(to) {}
    std::uint16_t push(std::span<rte_mbuf*> frames) override { return from_.push(frames); }
    std::uint16_t pop(std::span<rte_mbuf*> frames) override { return to_.pop(frames); }
    [[nodiscard]] bool has_room(unsigned frames) const override {
        return rte_ring_free_count(from_.inlet()) >= frames;
    }

  private:
    port::MemoryPort& from_;
    port::MemoryPort& to_;
};

class PortWire final : public Wire {
  public:
    /// Both are started.
    PortWire(std::uint16_t out, std::uint16_t in) : out_(out), in_(in) {}
    std::uint16_t push(std::span<rte_mbuf*> frames) override {
        return rte_eth_tx_burst(out_, 0, frames.data(), static_cast<std::uint16_t>(frames.size()));
    }
    std::uint16_t pop(std::span<rte_mbuf*> frames) override {
        return rte_eth_rx_burst(in_, 0, frames.data(), static_cast<std::uint16_t>(frames.size()));
    }
    [[nodiscard]] bool has_room(unsigned /*frames*/) const override { return true; }

  private:
    std::uint16_t out_;
    std::uint16_t in_;
};

}  // namespace vxplane::bench
