// A port without a device: both ends are rings in memory. Unit tests and vxbench stand on the far
// side of it, pushing frames in and taking out what was sent.
#pragma once

#include <rte_mbuf.h>
#include <rte_ring.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/port/expected.hpp"
#include "dataplane/port/port.hpp"

namespace vxplane::port {

struct MemoryPortOptions {
    std::string name{};               ///< unique in the process, at most 20 characters
    std::uint16_t queues = 1;         ///< receive and transmit queues each
    std::uint32_t ring_slots = 2048;  ///< per queue and direction, a power of two
    std::uint16_t mtu = 1500;
};

/// Owns the port and its rings. Each queue and direction has one producer and one consumer thread.
class MemoryPort {
  public:
    [[nodiscard]] static Expected<std::unique_ptr<MemoryPort>> make(
        const MemoryPortOptions& options, const PoolSet& pools) noexcept;
    /// Closes the port and frees all mbufs that are still in its rings.
    ~MemoryPort();
    MemoryPort(const MemoryPort&) = delete;
    MemoryPort& operator=(const MemoryPort&) = delete;

    /// Configured and started.
    [[nodiscard]] Port& port() noexcept { return *port_; }

    /// Hands frames to the receive queue; returns how many were taken. Those are the port's now.
    std::uint16_t push(std::span<rte_mbuf*> mbufs, std::uint16_t queue = 0) noexcept;
    /// Takes frames that were sent on the transmit queue; they are the caller's now.
    std::uint16_t pop(std::span<rte_mbuf*> mbufs, std::uint16_t queue = 0) noexcept;
    /// The rings themselves, for a bench that refills them without a call per burst.
    [[nodiscard]] rte_ring* inlet(std::uint16_t queue = 0) noexcept { return in_[queue]; }
    [[nodiscard]] rte_ring* outlet(std::uint16_t queue = 0) noexcept { return out_[queue]; }

  private:
    MemoryPort() = default;

    std::vector<rte_ring*> in_{};
    std::vector<rte_ring*> out_{};
    std::unique_ptr<Port> port_{};
};

}  // namespace vxplane::port
