// A port over rings, with net_ring between them and ethdev.
#include "dataplane/port/memory_port.hpp"

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>

namespace vxplane::port {
namespace {

rte_ring* make_ring(const std::string& name, std::uint32_t slots) {
    // One slot more than asked for would be lost to a plain ring of this size.
    return rte_ring_create(name.c_str(), slots, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

void drain_and_free(rte_ring* ring) {
    void* mbuf = nullptr;
    while (rte_ring_dequeue(ring, &mbuf) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(mbuf));
    rte_ring_free(ring);
}

}  // namespace

Expected<std::unique_ptr<MemoryPort>> MemoryPort::make(const MemoryPortOptions& options,
                                                       const PoolSet& pools) noexcept {
    std::unique_ptr<MemoryPort> memory{new MemoryPort};
    for (std::uint16_t queue = 0; queue < options.queues; ++queue) {
        const std::string suffix = options.name + "_" + std::to_string(queue);
        rte_ring* in = make_ring("in_" + suffix, options.ring_slots);
        if (in != nullptr) memory->in_.push_back(in);
        rte_ring* out = in == nullptr ? nullptr : make_ring("out_" + suffix, options.ring_slots);
        if (out == nullptr)
            return Failure{"memory port " + options.name + ": ring of " +
                           std::to_string(options.ring_slots) +
                           " slots: " + rte_strerror(rte_errno)};
        memory->out_.push_back(out);
    }
    const int id = rte_eth_from_rings(options.name.c_str(), memory->in_.data(), options.queues,
                                      memory->out_.data(), options.queues, 0);
    if (id < 0) return Failure{"memory port " + options.name + ": " + rte_strerror(rte_errno)};
    PortOptions port;
    port.name = options.name;
    port.device = "net_ring_" + options.name;
    port.mtu = options.mtu;
    port.rx_queues_wanted = options.queues;
    port.workers = options.queues;
    auto opened = adopt_port(static_cast<std::uint16_t>(id), port, pools);
    if (!opened) return opened.failure();
    memory->port_ = std::move(*opened);
    if (const Outcome started = memory->port_->start(); !started) return started.failure();
    return memory;
}

MemoryPort::~MemoryPort() {
    const std::string device = port_ ? port_->device() : std::string{};
    port_.reset();
    if (!device.empty()) rte_eal_hotplug_remove("vdev", device.c_str());
    for (rte_ring* ring : in_) drain_and_free(ring);
    for (rte_ring* ring : out_) drain_and_free(ring);
}

std::uint16_t MemoryPort::push(std::span<rte_mbuf*> mbufs, std::uint16_t queue) noexcept {
    return static_cast<std::uint16_t>(
        rte_ring_enqueue_burst(in_[queue], reinterpret_cast<void* const*>(mbufs.data()),
                               static_cast<unsigned>(mbufs.size()), nullptr));
}

std::uint16_t MemoryPort::pop(std::span<rte_mbuf*> mbufs, std::uint16_t queue) noexcept {
    return static_cast<std::uint16_t>(
        rte_ring_dequeue_burst(out_[queue], reinterpret_cast<void**>(mbufs.data()),
                               static_cast<unsigned>(mbufs.size()), nullptr));
}

}  // namespace vxplane::port
