// ICMP "fragmentation needed" about a tunnel packet of ours, as routers of the underlay send it
// (RFC 792, RFC 1191). Whether we could have sent that packet is for Tunnels to judge.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/net/ipv4_address.hpp"

namespace vxplane::control {

/// What such a message says of the packet that did not fit. All in host order.
struct PathMtuNews {
    bool is_whole = false;  ///< false: no such message, cut short, or its checksum is wrong
    net::Ipv4Address local;
    net::Ipv4Address remote;
    std::uint16_t source_port = 0;
    std::uint16_t dstport = 0;
    std::uint16_t length = 0;  ///< of the IPv4 packet that was too long
    bool dont_fragment = false;
    std::uint16_t mtu = 0;  ///< of the next hop; 0 from routers older than RFC 1191
};

/// `frame` is an untagged Ethernet frame whose IPv4 header was checked by a worker.
PathMtuNews read_path_mtu(std::span<const std::byte> frame) noexcept;

}  // namespace vxplane::control
