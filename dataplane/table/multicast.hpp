// Multicast in two places: groups of the underlay that carry what segments flood, and groups of
// tenants within a segment. Empty where nobody asks for either.
#pragma once

#include <cstdint>

namespace vxplane::table {

/// A slice of Tables::mdb_tunnels or Tables::mdb_ports.
struct ListenerList {
    std::uint32_t begin = 0;
    std::uint32_t count = 0;
};

/// Who gets what a tenant sends to a group; the two sides of a segment are told apart, and a side
/// that an entry says nothing of is flooded as if there were no entry.
struct MdbEntry {
    ListenerList tunnels;  ///< tunnel ids
    ListenerList ports;    ///< DPDK port ids of access ports
    bool has_tunnels = false;
    bool has_ports = false;
};

/// Key of Tables::group_segments: `joined` is a value of Tables::joined.
constexpr std::uint64_t group_segment_key(std::uint32_t joined, std::uint16_t segment) noexcept {
    return std::uint64_t{joined} << 16 | segment;
}

}  // namespace vxplane::table
