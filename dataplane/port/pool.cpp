// Sizes and makes packet memory.
#include "dataplane/port/pool.hpp"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ether.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

#include <algorithm>
#include <string>

namespace vxplane::port {
namespace {

/// Smallest pool worth making.
constexpr std::uint32_t smallest_pool = 1024;
/// Ethernet header, two VLAN tags and the frame check sequence.
constexpr unsigned frame_overhead = RTE_ETHER_HDR_LEN + 2 * 4 + RTE_ETHER_CRC_LEN;

/// A mempool wastes no memory with 2^n - 1 objects, as its ring holds that many.
std::uint32_t rounded(std::uint64_t count) {
    const std::uint64_t bounded =
        std::clamp<std::uint64_t>(count, smallest_pool - 1, (1ULL << 30) - 1);
    return static_cast<std::uint32_t>(bounded);
}

std::uint64_t bytes_of(std::uint64_t count, std::uint32_t data_room) {
    rte_mempool_objsz size{};
    rte_mempool_calc_obj_size(static_cast<std::uint32_t>(sizeof(rte_mbuf)) + data_room, 0, &size);
    std::uint64_t slots = 1;
    while (slots <= count) slots <<= 1;
    return count * size.total_size + slots * sizeof(void*);
}

/// The cache must be small beside the pool, or mempool refuses it; it must also be there at all.
std::uint32_t cache_for(std::uint32_t count) {
    std::uint32_t cache = pool_cache;
    while (cache > 0 && cache * 3 / 2 > count) cache /= 2;
    return cache;
}

Expected<rte_mempool*> make_pool(const char* kind, int node, std::uint32_t count,
                                 std::uint16_t data_room, int socket) {
    const std::string name = std::string{"vx_"} + kind + "_" + std::to_string(node);
    rte_mempool* pool =
        rte_pktmbuf_pool_create(name.c_str(), count, cache_for(count), 0, data_room, socket);
    if (pool != nullptr) return pool;
    const std::uint64_t need = bytes_of(count, data_room) >> 20;
    rte_malloc_socket_stats heap{};
    std::string have;
    if (rte_malloc_get_socket_stats(std::max(socket, 0), &heap) == 0)
        have = ", and " + std::to_string(heap.heap_freesz_bytes >> 20) + " of " +
               std::to_string(heap.heap_totalsz_bytes >> 20) + " MB given to DPDK are free there";
    return Failure{"NUMA node " + std::to_string(node) + ": " + std::to_string(count) + " " + kind +
                   " buffers of " + std::to_string(data_room) + " bytes need " +
                   std::to_string(need) + " MB" + have + " (" + rte_strerror(rte_errno) +
                   "): give more memory, or ask for fewer descriptors, queues or buffers"};
}

}  // namespace

std::uint32_t packets_needed(const PoolDemand& demand) noexcept {
    std::uint64_t count = 0;
    for (const PortDemand& port : demand.ports) {
        count += std::uint64_t{port.rx_queues} * port.rx_descriptors;
        count += std::uint64_t{port.tx_queues} * port.tx_descriptors;
        count += port.kept;
    }
    const std::uint64_t ports = std::max<std::size_t>(demand.ports.size(), 1);
    // In hand: what was received, and what waits for each port's transmit queue.
    count += std::uint64_t{demand.lcores} * demand.burst * (1 + ports);
    // mempool lets a cache grow to one and a half of its size before it gives back.
    count += std::uint64_t{demand.lcores} * pool_cache * 3 / 2;
    count += demand.held;
    count += demand.ring_slots;
    return rounded(count);
}

std::uint32_t headers_needed(const PoolDemand& demand, std::uint32_t remotes) noexcept {
    std::uint64_t sent = 0;
    for (const PortDemand& port : demand.ports)
        sent += std::uint64_t{port.tx_queues} * port.tx_descriptors;
    // What a burst can make: a copy of each frame for each remote.
    const std::uint64_t made =
        std::uint64_t{demand.lcores} * demand.burst * std::max<std::uint32_t>(remotes, 1);
    // What can be kept before it is sent: two bursts for each port's transmit queue, as many to be
    // freed, and what waits for a neighbour or in a ring.
    const std::uint64_t kept =
        std::uint64_t{demand.lcores} * 2 * demand.burst * (1 + demand.ports.size()) + demand.held +
        demand.ring_slots;
    return rounded(2 * (sent + std::min(made, kept)) +
                   std::uint64_t{demand.lcores} * pool_cache * 3 / 2);
}

std::uint16_t packet_data_room(std::uint16_t mtu) noexcept {
    const unsigned bytes = RTE_PKTMBUF_HEADROOM + mtu + frame_overhead;
    const unsigned lines = (bytes + RTE_CACHE_LINE_SIZE - 1) / RTE_CACHE_LINE_SIZE;
    const unsigned room =
        std::clamp<unsigned>(lines * RTE_CACHE_LINE_SIZE, RTE_MBUF_DEFAULT_BUF_SIZE,
                             UINT16_MAX / RTE_CACHE_LINE_SIZE * RTE_CACHE_LINE_SIZE);
    return static_cast<std::uint16_t>(room);
}

std::uint64_t pool_bytes(const PoolSizes& sizes) noexcept {
    return bytes_of(sizes.packets, packet_data_room(sizes.mtu)) +
           bytes_of(sizes.headers, header_data_room);
}

Expected<std::unique_ptr<PoolSet>> PoolSet::make(const PoolSizes& sizes,
                                                 const std::vector<int>& nodes) noexcept {
    std::vector<int> wanted = nodes;
    // Without hugepages all of DPDK's memory is one piece that belongs to socket 0.
    if (rte_eal_has_hugepages() == 0) wanted = {0};
    if (wanted.empty()) wanted.push_back(std::max(0, static_cast<int>(rte_socket_id())));
    if (wanted.size() > max_nodes)
        return Failure{std::to_string(wanted.size()) + " NUMA nodes, at most " +
                       std::to_string(max_nodes) + " are supported"};

    auto set = std::make_unique<PoolSet>(std::vector<Node>{});
    for (const int node : wanted) {
        auto packets = make_pool("packet", node, sizes.packets, packet_data_room(sizes.mtu), node);
        if (!packets) return packets.failure();
        set->nodes_.push_back({node, {*packets, nullptr}});
        auto headers = make_pool("header", node, sizes.headers, header_data_room, node);
        if (!headers) return headers.failure();
        set->nodes_.back().pools.headers = *headers;
    }
    return set;
}

PoolSet::~PoolSet() {
    for (const Node& node : nodes_) {
        rte_mempool_free(node.pools.packets);
        rte_mempool_free(node.pools.headers);
    }
}

const Pools& PoolSet::of(int node) const noexcept {
    for (const Node& one : nodes_)
        if (one.node == node) return one.pools;
    return nodes_.front().pools;
}

bool PoolSet::has(int node) const noexcept {
    return std::ranges::any_of(nodes_, [&](const Node& one) { return one.node == node; });
}

std::uint64_t PoolSet::in_use() const noexcept {
    std::uint64_t count = 0;
    for (const Node& node : nodes_)
        count += rte_mempool_in_use_count(node.pools.packets) +
                 rte_mempool_in_use_count(node.pools.headers);
    return count;
}

std::vector<int> nodes_of_lcores() noexcept {
    std::vector<int> nodes;
    unsigned lcore = 0;
    RTE_LCORE_FOREACH(lcore) {
        // Control takes no packets where there are workers to do so.
        if (lcore == rte_get_main_lcore() && rte_lcore_count() > 1) continue;
        nodes.push_back(static_cast<int>(rte_lcore_to_socket_id(lcore)));
    }
    std::ranges::sort(nodes);
    nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
    return nodes;
}

WorkerPools::WorkerPools(const PoolSet& set, int node) noexcept : own_{set.of(node)} {
    packets_[0] = own_.packets;
    headers_[0] = own_.headers;
    nodes_ = 1;
    for (const PoolSet::Node& other : set.nodes()) {
        if (other.pools.packets == own_.packets || nodes_ == max_nodes) continue;
        packets_[nodes_] = other.pools.packets;
        headers_[nodes_] = other.pools.headers;
        ++nodes_;
    }
}

rte_mbuf* WorkerPools::take_elsewhere(const Ladder& ladder) noexcept {
    for (unsigned i = 1; i < nodes_; ++i) {
        if (rte_mbuf* mbuf = rte_pktmbuf_alloc(ladder[i]); mbuf != nullptr) {
            bump(foreign_);
            return mbuf;
        }
    }
    bump(refused_);
    return nullptr;
}

rte_mbuf* WorkerPools::share(rte_mbuf* payload) noexcept {
    if (rte_mbuf* copy = rte_pktmbuf_clone(payload, headers_[0]); copy != nullptr) [[likely]]
        return copy;
    for (unsigned i = 1; i < nodes_; ++i) {
        if (rte_mbuf* copy = rte_pktmbuf_clone(payload, headers_[i]); copy != nullptr) {
            bump(foreign_);
            return copy;
        }
    }
    bump(refused_);
    return nullptr;
}

}  // namespace vxplane::port
