// What one row of figures is about. Met by all of vxbench, and by the gate on instruction counts.
#pragma once

#include <cstdint>
#include <string>

namespace vxplane::bench {

enum class Direction : std::uint8_t { encap, decap };

/// The one thing that a case does otherwise than the plain case.
enum class Extra : std::uint8_t {
    none,
    ipv6,       ///< tunnels over IPv6, with the UDP checksum that is the default there
    ipv6_zero,  ///< and without one
    trunk,      ///< VLAN tags tell the segments of access ports
    peers,      ///< and all of the words below: as in a topology
    proxy,
    neigh_learning,
    mss_clamp,
    gbp,
    gpe,
    udpcsum
};

/// One row of the report.
struct Case {
    Direction direction = Direction::encap;
    bool learning = false;
    std::uint32_t macs = 1;   ///< entries in the FDB
    std::uint32_t vnis = 1;   ///< segments that the entries are spread over
    std::uint16_t size = 64;  ///< inner frame, bytes without FCS
    Extra extra = Extra::none;
    /// Besides what packets use, the network holds as much as Network::kFullEntries and the like.
    bool full = false;
    [[nodiscard]] std::string text() const;
    [[nodiscard]] bool operator==(const Case&) const = default;
    [[nodiscard]] bool over_ipv6() const noexcept {
        return extra == Extra::ipv6 || extra == Extra::ipv6_zero;
    }
    /// The outer UDP header has one.
    [[nodiscard]] bool udp_checksum() const noexcept {
        return extra == Extra::ipv6 || extra == Extra::udpcsum;
    }
};

[[nodiscard]] const char* name(Direction direction);
[[nodiscard]] const char* name(Extra extra);

}  // namespace vxplane::bench
