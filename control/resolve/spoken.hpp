// What a tenant's frame says of IP addresses: whose it tells, and whose it asks for. Met by whoever
// keeps the neighbours of segments.
#pragma once

#include <optional>
#include <span>

#include "dataplane/net/icmpv6.hpp"

namespace vxplane::control {

/// One who speaks in a frame, when the frame can be believed.
struct Speaker {
    net::IpAddress address;
    net::MacAddress mac;
};

inline bool is_station(net::MacAddress mac) {
    return !mac.is_zero() && !mac.is_group();
}

/// Sender of an ARP message or a solicitation, target of an advertisement. Nothing for what is
/// malformed, and for whoever speaks for another station. `frame` begins with its Ethernet header.
[[nodiscard]] inline std::optional<Speaker> speaker_in(std::span<const std::byte> frame) {
    if (frame.size() < sizeof(net::EthernetHeader)) {
        return std::nullopt;
    }
    const auto ethernet = net::load<net::EthernetHeader>(frame.data());
    const auto rest = frame.subspan(sizeof(net::EthernetHeader));
    std::optional<Speaker> found;
    if (ethernet.type == net::ether_type::kArp && rest.size() >= sizeof(net::ArpHeader)) {
        const auto arp = net::load<net::ArpHeader>(rest.data());
        if (arp.is_ethernet_ipv4() && net::is_host(net::IpAddress(arp.sender))) {
            found = {arp.sender, arp.sender_mac};
        }
    } else if (ethernet.type == net::ether_type::kIpv6) {
        const net::NdMessage nd = net::read_nd(rest);
        if (nd.kind == net::NdKind::solicitation && nd.mac && !nd.source.is_unset()) {
            found = {nd.source, *nd.mac};
        } else if (nd.kind == net::NdKind::advertisement) {
            found = {nd.target, nd.mac.value_or(ethernet.source)};
        }
    }
    const bool believed = found && found->mac == ethernet.source && is_station(found->mac) &&
                          net::is_host(found->address);
    return believed ? found : std::nullopt;
}

/// Whom a frame looks for: target of an ARP request or a solicitation, else its destination.
[[nodiscard]] inline std::optional<net::IpAddress> wanted_in(std::span<const std::byte> frame) {
    if (frame.size() < sizeof(net::EthernetHeader)) {
        return std::nullopt;
    }
    const auto type = net::load<net::EthernetHeader>(frame.data()).type;
    const auto rest = frame.subspan(sizeof(net::EthernetHeader));
    if (type == net::ether_type::kArp && rest.size() >= sizeof(net::ArpHeader)) {
        return net::IpAddress(net::load<net::ArpHeader>(rest.data()).target);
    }
    if (type == net::ether_type::kIpv4 && rest.size() >= sizeof(net::Ipv4Header)) {
        return net::IpAddress(net::load<net::Ipv4Header>(rest.data()).destination);
    }
    if (type != net::ether_type::kIpv6 || rest.size() < sizeof(net::Ipv6Header)) {
        return std::nullopt;
    }
    const net::NdMessage nd = net::read_nd(rest);
    return nd.kind == net::NdKind::solicitation
               ? nd.target
               : net::IpAddress(net::load<net::Ipv6Header>(rest.data()).destination);
}

}  // namespace vxplane::control
