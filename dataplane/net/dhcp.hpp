// DHCP messages (RFC 2131, RFC 2132) as they stand on the wire. Met by workers, which tell them
// apart from other frames, and by control, which reads whose address a server leases.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/headers.hpp"

namespace vxplane::net {

constexpr Be16 kDhcpServerPort = Be16::of(67);
constexpr Be16 kDhcpClientPort = Be16::of(68);

enum class DhcpWay : std::uint8_t { to_server, to_client };

/// Whether a frame of `size` readable bytes goes between the ports of DHCP; cheap, nothing else is
/// checked.
inline bool is_dhcp(const std::byte* frame, std::size_t size, DhcpWay way) noexcept {
    constexpr std::size_t kIp = sizeof(EthernetHeader);
    if (size < kIp + sizeof(Ipv4Header) + sizeof(UdpHeader) ||
        view<EthernetHeader>(frame).type != ether_type::kIpv4) {
        return false;
    }
    const auto& ip = view<Ipv4Header>(frame + kIp);
    const std::size_t at = kIp + ip.header_length();
    if (ip.protocol != ip_protocol::kUdp || ip.is_fragment() || size < at + sizeof(UdpHeader)) {
        return false;
    }
    const auto& udp = view<UdpHeader>(frame + at);
    return way == DhcpWay::to_server
               ? udp.source == kDhcpClientPort && udp.destination == kDhcpServerPort
               : udp.source == kDhcpServerPort && udp.destination == kDhcpClientPort;
}

}  // namespace vxplane::net
