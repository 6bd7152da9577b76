// The question whether somebody still wants a multicast group: a query of IGMPv3 (RFC 3376) or
// MLDv2 (RFC 3810), which hosts that speak an older version understand too. Met by control, which
// asks listeners before it forgets them.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "dataplane/net/membership.hpp"

namespace vxplane::net {

/// The longer one, of MLD.
constexpr std::size_t kGroupQueryFrame =
    sizeof(EthernetHeader) + sizeof(Ipv6Header) + 8 + sizeof(NdHeader) + 4;

namespace query_words {
constexpr std::uint8_t kRobustness = 2;  ///< RFC 3376 section 8.1
constexpr std::uint8_t kInterval = 125;  ///< seconds; section 8.2
}  // namespace query_words

/// Writes the frame and returns its size, without padding. `from`: MAC address of who asks, who has
/// no IP address: IGMP says 0.0.0.0 as snooping switches do (RFC 4541 section 2.1.1), which keeps
/// out of the election of queriers; MLD says a link-local address made of `from`. A `group` of all
/// zeros asks for all groups (0.0.0.0 for those of IPv4). Answers are due within `response`, at
/// most 12.7 s.
inline std::size_t make_group_query(const MacAddress& from, const IpAddress& group,
                                    std::chrono::milliseconds response,
                                    std::span<std::byte, kGroupQueryFrame> out) noexcept {
    constexpr std::uint8_t kInternetControl = 0xC0;  // precedence; RFC 3376 section 4
    const bool is_general = group.is_unset() || group == IpAddress(Ipv4Address{});
    const IpAddress to = !is_general     ? group
                         : group.is_v4() ? IpAddress(Ipv4Address::of(224, 0, 0, 1))
                                         : all_nodes();
    const EthernetHeader ethernet{group_mac(to), from,
                                  group.is_v4() ? ether_type::kIpv4 : ether_type::kIpv6};
    if (group.is_v4()) {
        struct Frame {
            EthernetHeader ethernet;
            Ipv4Header ip;
            std::array<std::uint8_t, 4> alert;
            std::uint8_t type, response;
            Be16 checksum;
            Ipv4Address group;
            std::uint8_t robustness, interval;
            Be16 sources;
        } frame{};
        constexpr std::size_t kHeader = sizeof frame.ip + sizeof frame.alert;
        constexpr std::size_t kMessage = 12;
        static_assert(sizeof frame == sizeof frame.ethernet + kHeader + kMessage);
        frame.ethernet = ethernet;
        frame.ip.version_ihl = 0x40 | kHeader / 4;
        frame.ip.tos = kInternetControl;
        frame.ip.total_length = Be16::of(kHeader + kMessage);
        frame.ip.ttl = 1;
        frame.ip.protocol = kIgmp;
        frame.ip.destination = to.v4();
        frame.alert = {0x94, 4, 0, 0};  // RFC 2113
        frame.type = igmp_type::kQuery;
        frame.response = static_cast<std::uint8_t>(response.count() / 100);
        frame.group = group.v4();
        frame.robustness = query_words::kRobustness;
        frame.interval = query_words::kInterval;
        std::memcpy(out.data(), &frame, sizeof frame);
        const std::byte* const ip = out.data() + sizeof frame.ethernet;
        frame.checksum = finish(add_bytes(0, ip + kHeader, kMessage));
        frame.ip.checksum = finish(add_bytes(0, ip, kHeader));
        std::memcpy(out.data(), &frame, sizeof frame);
        return sizeof frame;
    }
    struct Frame {
        EthernetHeader ethernet;
        Ipv6Header ip;
        std::array<std::uint8_t, 8> alert;
        Icmpv6Header icmp;
        IpAddress group;
        std::uint8_t robustness, interval;
        Be16 sources;
    } frame{};
    static_assert(sizeof frame == kGroupQueryFrame);
    constexpr std::uint16_t kMessage = 28;
    frame.ethernet = ethernet;
    frame.ip.version_class_label = Be32::of(6U << 28);
    frame.ip.payload_length = Be16::of(sizeof frame.alert + kMessage);
    frame.ip.next_header = ipv6_extension::kHopByHop;
    frame.ip.hop_limit = 1;
    frame.ip.source = {0xFE, 0x80};
    std::copy(from.bytes.begin(), from.bytes.end(), frame.ip.source.begin() + 10);
    frame.ip.destination = to.bytes;
    frame.alert = {ip_protocol::kIcmpv6, 0, 5, 2, 0, 0, 1, 0};  // RFC 2711, padded
    frame.icmp.type = mld_type::kQuery;
    frame.icmp.rest = Be32::of(static_cast<std::uint32_t>(response.count()) << 16);
    frame.group = group;
    frame.robustness = query_words::kRobustness;
    frame.interval = query_words::kInterval;
    std::memcpy(out.data(), &frame, sizeof frame);
    frame.icmp.checksum = finish(add_bytes(pseudo_header(frame.ip, ip_protocol::kIcmpv6, kMessage),
                                           out.data() + sizeof frame - kMessage, kMessage));
    std::memcpy(out.data(), &frame, sizeof frame);
    return sizeof frame;
}

}  // namespace vxplane::net
