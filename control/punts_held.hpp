// What a packet that waits for a next hop remembers: in Held::opaque, written when it is held and
// read when it is released. Met by Punts alone.
#pragma once

#include <rte_mbuf.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "control/resolve/neighbours.hpp"
#include "dataplane/path/exit.hpp"

namespace vxplane::control {

// DPDK numbers ports far below these bits.
constexpr std::uint64_t kOneOfMany = 0x8000;  ///< a copy of a flood
constexpr std::uint64_t kRouted = 0x4000;     ///< `tunnel` is the number of a next hop of a route

/// Where it came from, and which of the tunnels or next hops that had its number one after the
/// other is meant.
inline std::uint64_t opaque_of(const path::PuntItem& item, std::uint64_t serial) {
    return serial << 16 | (item.one_of_many ? kOneOfMany : 0) | item.in_port;
}
inline std::uint16_t port_of(const Held& held) {
    return static_cast<std::uint16_t>(held.opaque & (kRouted - 1));
}
inline std::uint64_t serial_of(const Held& held) {
    return held.opaque >> 16;
}
inline bool is_routed(const Held& held) {
    return (held.opaque & kRouted) != 0;
}

/// What a packet keeps from others while it is held: as in the kernel, buffers and not bytes.
inline std::uint32_t memory_of(const rte_mbuf* mbuf) {
    std::uint32_t sum = 0;
    for (; mbuf != nullptr; mbuf = mbuf->next) {
        sum += sizeof(rte_mbuf) + mbuf->buf_len;
    }
    return sum;
}

inline std::span<const std::byte> bytes_of(const rte_mbuf* mbuf) {
    return {rte_pktmbuf_mtod(mbuf, const std::byte*), mbuf->data_len};
}

/// The beginning of a frame that may lie in several buffers: in `room` where it does.
inline std::span<const std::byte> head_of(const rte_mbuf* mbuf, std::span<std::byte> room) {
    const auto size = static_cast<std::uint32_t>(std::min<std::size_t>(mbuf->pkt_len, room.size()));
    const void* at = rte_pktmbuf_read(mbuf, 0, size, room.data());
    return {static_cast<const std::byte*>(at), size};
}

}  // namespace vxplane::control
