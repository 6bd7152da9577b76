// Packet memory: how many buffers a topology needs, the pools of each NUMA node, and a worker's
// view of them, which prefers its own node. Control makes the pools before the first port and frees
// them after the last; workers take buffers through `WorkerPools`.
#pragma once

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/port/expected.hpp"

namespace vxplane::port {

/// Buffers that DPDK keeps at hand per lcore and pool. Half of RTE_MEMPOOL_CACHE_MAX_SIZE.
inline constexpr std::uint32_t pool_cache = 256;
/// NUMA nodes looked at; more than any x86 server of today has.
inline constexpr unsigned max_nodes = 8;

/// The queues of one port, as far as they hold buffers.
struct PortDemand {
    std::uint32_t rx_queues = 1;
    std::uint32_t rx_descriptors = 1024;
    std::uint32_t tx_queues = 1;
    std::uint32_t tx_descriptors = 1024;
    std::uint32_t kept = 0;  ///< buffers that the driver keeps besides
};

/// Everything that can hold buffers at one moment.
struct PoolDemand {
    std::vector<PortDemand> ports{};
    std::uint32_t lcores = 2;  ///< workers and control: each has a cache per pool
    std::uint32_t burst = 64;  ///< packets a worker has in hand, received and to be sent, per port
    std::uint32_t held = 0;    ///< packets that wait for a neighbour or a fragment
    std::uint32_t ring_slots = 0;  ///< slots of all rings between lcores
};

/// Packet buffers needed so that no queue, cache or ring can starve another.
[[nodiscard]] std::uint32_t packets_needed(const PoolDemand& demand) noexcept;

/// Header buffers needed: a flooded packet takes two of them per remote (one with the tunnel
/// header, one that points to the shared payload) until the device has sent it, so the transmit
/// descriptors count twice. `remotes` is the length of the longest flood list; a long one needs no
/// more than what can be kept, since a worker sends what waits for a port as soon as two bursts do.
[[nodiscard]] std::uint32_t headers_needed(const PoolDemand& demand,
                                           std::uint32_t remotes) noexcept;

/// Data room of a packet buffer that holds any frame of `mtu` (bytes after the Ethernet header) and
/// one VLAN tag in one piece, headroom included, in whole cache lines; at least DPDK's default
/// (RTE_MBUF_DEFAULT_BUF_SIZE).
[[nodiscard]] std::uint16_t packet_data_room(std::uint16_t mtu) noexcept;

/// Data room of a header buffer: headroom plus 128 bytes, enough for an outer Ethernet, VLAN, IPv6,
/// UDP and VXLAN header (82 bytes).
inline constexpr std::uint16_t header_data_room = RTE_PKTMBUF_HEADROOM + 128;

/// The two pools of one node. Not owned.
struct Pools {
    rte_mempool* packets = nullptr;
    rte_mempool* headers = nullptr;
};

struct PoolSizes {
    std::uint32_t packets = 0;  ///< per node
    std::uint32_t headers = 0;  ///< per node
    std::uint16_t mtu = 1500;   ///< the largest of all ports
};

/// The pools of every node that is in use. Owned by control; must outlive ports and workers.
class PoolSet {
  public:
    struct Node {
        int node = 0;
        Pools pools{};
    };

    /// Makes both pools on each of `nodes` (NUMA node numbers; an empty list = node of the calling
    /// thread). Fails with the numbers when the memory given to DPDK does not suffice.
    [[nodiscard]] static Expected<std::unique_ptr<PoolSet>> make(
        const PoolSizes& sizes, const std::vector<int>& nodes) noexcept;

    /// Owns pools that were made elsewhere.
    explicit PoolSet(std::vector<Node> nodes) noexcept : nodes_{std::move(nodes)} {}
    ~PoolSet();
    PoolSet(const PoolSet&) = delete;
    PoolSet& operator=(const PoolSet&) = delete;

    [[nodiscard]] const std::vector<Node>& nodes() const noexcept { return nodes_; }
    /// The pools of `node`; those of the first node when `node` has none (also for "any", -1).
    [[nodiscard]] const Pools& of(int node) const noexcept;
    [[nodiscard]] bool has(int node) const noexcept;

    /// Buffers in use over all nodes: not in a pool and not in an lcore's cache. 0 when all are
    /// back.
    [[nodiscard]] std::uint64_t in_use() const noexcept;

  private:
    std::vector<Node> nodes_;
};

/// Nodes on which the started lcores stand, each once, ascending. EAL must run.
[[nodiscard]] std::vector<int> nodes_of_lcores() noexcept;

/// Bytes of DPDK memory that pools of these sizes take on one node.
[[nodiscard]] std::uint64_t pool_bytes(const PoolSizes& sizes) noexcept;

/// One worker's way to buffers: its own node first, another node's only when the own pool is empty,
/// and that is counted. Used by one thread; the counters may be read by another.
class WorkerPools {
  public:
    WorkerPools() = default;
    WorkerPools(const PoolSet& set, int node) noexcept;

    /// An empty packet buffer, or null when every node is empty.
    [[nodiscard]] rte_mbuf* packet() noexcept { return take(packets_); }
    /// An empty header buffer, or null when every node is empty.
    [[nodiscard]] rte_mbuf* header() noexcept { return take(headers_); }
    /// A header buffer for each segment of `payload`, sharing its bytes, or null.
    [[nodiscard]] rte_mbuf* share(rte_mbuf* payload) noexcept;

    [[nodiscard]] const Pools& own() const noexcept { return own_; }
    /// Buffers that came from another node.
    [[nodiscard]] std::uint64_t foreign() const noexcept {
        return __atomic_load_n(&foreign_, __ATOMIC_RELAXED);
    }
    /// Requests that no node could serve.
    [[nodiscard]] std::uint64_t refused() const noexcept {
        return __atomic_load_n(&refused_, __ATOMIC_RELAXED);
    }

  private:
    using Ladder = std::array<rte_mempool*, max_nodes>;

    [[nodiscard]] rte_mbuf* take(const Ladder& ladder) noexcept {
        if (rte_mbuf* mbuf = rte_pktmbuf_alloc(ladder[0]); mbuf != nullptr) [[likely]]
            return mbuf;
        return take_elsewhere(ladder);
    }
    [[nodiscard]] rte_mbuf* take_elsewhere(const Ladder& ladder) noexcept;
    static void bump(std::uint64_t& counter) noexcept {
        __atomic_store_n(&counter, counter + 1, __ATOMIC_RELAXED);
    }

    Pools own_{};
    Ladder packets_{};
    Ladder headers_{};
    unsigned nodes_ = 0;
    std::uint64_t foreign_ = 0;
    std::uint64_t refused_ = 0;
};

}  // namespace vxplane::port
