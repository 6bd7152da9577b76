// What a segment asks for beyond forwarding: which peers it trusts, and whom it knows by IP
// address. Met by the steps that answer ARP, shorten routes and refuse peers; empty for most.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "dataplane/net/ip_address.hpp"
#include "dataplane/net/mac_address.hpp"

namespace vxplane::table {

/// Bits of Segment::watch. Frames of a segment without any take the short way.
namespace watch {
constexpr std::uint16_t kProxy = 1;            ///< answer ARP and ND for neighbours behind tunnels
constexpr std::uint16_t kProxyLocal = 2;       ///< what is not answered stays with the local ports
constexpr std::uint16_t kSnoop = 4;            ///< tell control of ARP and ND
constexpr std::uint16_t kL2Miss = 8;           ///< tell control of unknown destinations
constexpr std::uint16_t kL3Miss = 16;          ///< tell control of unknown IP addresses
constexpr std::uint16_t kRsc = 32;             ///< frames to routers go to the neighbour at once
constexpr std::uint16_t kRefuseVxlan = 64;     ///< no VXLAN from access ports
constexpr std::uint16_t kClampMss = 128;       ///< TCP from tunnels is told of segments that fit
constexpr std::uint16_t kFragmentInner = 256;  ///< IPv4 that is too long is fragmented
constexpr std::uint16_t kDown = 512;           ///< the segment is down: nothing passes
constexpr std::uint16_t kGroupPolicy = 1024;   ///< headers may tell a group policy
constexpr std::uint16_t kMulticast = 2048;     ///< floods to groups ask Tables::mdb
constexpr std::uint16_t kGpe = 4096;           ///< headers say what is inside
constexpr std::uint16_t kConflictPass = 8192;  ///< a source that is fixed elsewhere goes on
constexpr std::uint16_t kProxyProbes = 16384;  ///< kProxy: answer probes for duplicates, too
constexpr std::uint16_t kRemoteSum = 32768;    ///< headers may ask for a missing checksum
/// What no frame of a tenant is looked at for.
constexpr std::uint16_t kNotForTenants =
    kClampMss | kFragmentInner | kGroupPolicy | kMulticast | kGpe | kConflictPass | kRemoteSum;
}  // namespace watch

/// What a peer must be to be heard in a segment. In Tables::guards; 0 asks for nothing.
struct Guard {
    std::uint16_t source_port_lo = 0;  ///< host order
    std::uint16_t source_port_hi = 0xFFFF;
    std::uint16_t link = 0xFFFF;  ///< DPDK port id: the only one over IPv6; kNoPort: any
    bool listed = false;          ///< only peers in `allowed_peers` or in the prefixes
    std::uint32_t begin = 0;      ///< in Tables::peer_prefixes
    std::uint32_t count = 0;
};

/// Host bits are zero; an IPv4 prefix counts its length from the IPv4 address on.
struct PeerPrefix {
    net::IpAddress address;
    std::uint8_t length = 0;
    bool operator==(const PeerPrefix&) const = default;

    [[nodiscard]] bool contains(const net::IpAddress& other) const noexcept {
        if (address.is_v4() != other.is_v4()) {
            return false;
        }
        const unsigned bits = length + (address.is_v4() ? 96U : 0U);
        const unsigned whole = bits / 8;
        if (std::memcmp(address.bytes.data(), other.bytes.data(), whole) != 0) {
            return false;
        }
        const unsigned rest = bits % 8;
        return rest == 0 || ((address.bytes[whole] ^ other.bytes[whole]) >> (8 - rest)) == 0;
    }
};

/// Who has an IP address in a segment.
struct SegmentNeighbour {
    net::MacAddress mac;
    bool router = false;  ///< says so in advertisements
};

}  // namespace vxplane::table
