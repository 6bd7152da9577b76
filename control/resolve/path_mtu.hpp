// What routers of the underlay say of tunnel packets of ours that did not fit: ICMP "fragmentation
// needed" (RFC 792, RFC 1191) and ICMPv6 "packet too big" (RFC 4443, RFC 8201). Whether we could
// have sent such a packet is for Tunnels and Punts to judge.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/net/ip_address.hpp"

namespace vxplane::control {

/// What such a message says of the packet that did not fit. All in host order.
struct PathMtuNews {
    bool is_whole = false;  ///< false: no such message, cut short, or its checksum is wrong
    net::IpAddress local = net::Ipv4Address{};
    net::IpAddress remote = net::Ipv4Address{};
    std::uint16_t source_port = 0;
    std::uint16_t dstport = 0;
    std::optional<std::uint32_t> vni;  ///< where so much is quoted
    std::uint32_t length = 0;          ///< of the IP packet that was too long
    bool dont_fragment = false;        ///< always over IPv6
    std::uint32_t mtu = 0;             ///< of the next hop; 0 from IPv4 routers older than RFC 1191
};

/// `frame` is an untagged Ethernet frame. The IPv4 header was checked by a worker.
PathMtuNews read_path_mtu(std::span<const std::byte> frame) noexcept;

}  // namespace vxplane::control
