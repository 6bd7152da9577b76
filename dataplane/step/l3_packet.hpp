// A frame's IP packet as the hooks see it: checked lengths, where its headers are, and what kind of
// fragment it is.
#pragma once

#include <cstdint>

#include "dataplane/net/headers.hpp"
#include "dataplane/net/ip_address.hpp"
#include "dataplane/packet/packet.hpp"
#include "dataplane/packet/verdict.hpp"

namespace vxplane::step {

/// Offsets are from the start of the frame. Headers up to `l4_offset`, and those of the transport
/// when `has_l4`, lie in the first buffer, which must be the packet's own: they are written.
struct L3Packet {
    packet::Packet* p = nullptr;
    std::uint16_t l3_offset = 0;
    std::uint16_t l4_offset = 0;
    std::uint16_t l4_length = 0;  ///< transport header and payload of this packet
    std::uint16_t l3_length = 0;  ///< network header and all behind it
    std::uint8_t protocol = 0;    ///< behind all extension headers
    bool v6 = false;
    bool fragment = false;        ///< a piece of a larger datagram, the first one included
    bool later_fragment = false;  ///< without transport header
    bool has_l4 = false;  ///< the fixed header of TCP, UDP, SCTP, ICMP is whole and in reach
    std::uint32_t fragment_id = 0;  ///< as it stands on the wire

    [[nodiscard]] net::Ipv4Header& ip4() const noexcept {
        return *p->at<net::Ipv4Header>(l3_offset);
    }
    [[nodiscard]] net::Ipv6Header& ip6() const noexcept {
        return *p->at<net::Ipv6Header>(l3_offset);
    }
    [[nodiscard]] net::IpAddress source() const noexcept {
        return v6 ? net::IpAddress(ip6().source) : net::IpAddress(ip4().source);
    }
    [[nodiscard]] net::IpAddress destination() const noexcept {
        return v6 ? net::IpAddress(ip6().destination) : net::IpAddress(ip4().destination);
    }
};

/// Where extension headers of IPv6 end.
struct Extensions {
    std::uint32_t l4_offset = 0;  ///< from the start of the bytes
    std::uint8_t protocol = 0;
    bool fragment = false;
    bool later_fragment = false;
    std::uint32_t fragment_id = 0;
    bool whole = false;  ///< false: they go beyond the bytes, or are too many
};
/// Headers that a packet may have in a row; more are nobody's honest traffic.
constexpr unsigned kMaxExtensions = 8;
/// `bytes` begins with the IPv6 header, `size` >= 40 can be read.
Extensions walk_extensions(const std::byte* bytes, std::uint32_t size) noexcept;

/// Reads the packet at `l3_offset`. Goes on with `out` set, or drops for one of ip4_* and
/// ip6_malformed. The IPv4 header checksum is the caller's to check; a wrong one stays wrong.
packet::Verdict parse(packet::Packet& p, std::uint16_t l3_offset, L3Packet& out) noexcept;

}  // namespace vxplane::step
