// The IPv6 half of icmp.hpp, which is what callers use.
#pragma once

#include "control/resolve/icmp.hpp"

namespace vxplane::control {

/// make_echo_reply() for a frame with EtherType IPv6.
IcmpMade make_echo6_reply(std::span<const std::byte> request, std::span<const OwnAddress> own,
                          std::span<std::byte> out) noexcept;
/// make_router_error() for an IPv6 address; at least an Ethernet header must be there.
IcmpMade make_ipv6_error(std::span<const std::byte> frame, const net::IpAddress& router,
                         IcmpError error, std::uint16_t mtu, std::span<std::byte> out,
                         std::size_t arrived) noexcept;

}  // namespace vxplane::control
