#include "control/resolve/group_report.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/icmpv6.hpp"

namespace vxplane::control {

using net::Be16;
using net::Be32;

namespace {

using Bytes = std::vector<std::byte>;

net::IpAddress of_link(std::uint8_t last) {
    net::IpAddress group;
    group.bytes = {0xFF, 2};
    group.bytes[15] = last;
    return group;
}

void append(Bytes& out, const void* data, std::size_t size) {
    const auto* bytes = static_cast<const std::byte*>(data);
    out.insert(out.end(), bytes, bytes + size);
}
void append(Bytes& out, const net::IpAddress& address) {
    const std::size_t skip = address.is_v4() ? 12 : 0;
    append(out, address.bytes.data() + skip, address.bytes.size() - skip);
}

void pad(Bytes& frame) {
    frame.resize(std::max<std::size_t>(frame.size(), net::kMinEthernetFrame));
}

/// `message` with a checksum of zero, which stands behind type and code in both protocols.
Bytes packet_v4(const GroupSpeaker& from, net::Ipv4Address to, Bytes message) {
    constexpr std::array<std::uint8_t, 4> kAlert{0x94, 4, 0, 0};  // RFC 2113
    constexpr std::size_t kHeader = sizeof(net::Ipv4Header) + kAlert.size();
    const Be16 sum = net::finish(net::add_bytes(0, message.data(), message.size()));
    std::memcpy(message.data() + 2, &sum, sizeof sum);
    const net::EthernetHeader ethernet{net::group_mac(to), from.mac, net::ether_type::kIpv4};
    net::Ipv4Header ip{};
    ip.version_ihl = 0x40 | kHeader / 4;
    ip.tos = 0xC0;  // precedence of internetwork control; RFC 3376 section 4
    ip.total_length = Be16::of(static_cast<std::uint16_t>(kHeader + message.size()));
    ip.fragment = Be16::of(net::Ipv4Header::kDontFragment);
    ip.ttl = 1;
    ip.protocol = net::kIgmp;
    ip.source = from.address;
    ip.destination = to;
    Bytes frame;
    append(frame, &ethernet, sizeof ethernet);
    append(frame, &ip, sizeof ip);
    append(frame, kAlert.data(), kAlert.size());
    std::byte* header = frame.data() + sizeof ethernet;
    ip.checksum = net::finish(net::add_bytes(0, header, kHeader));
    std::memcpy(header, &ip, sizeof ip);
    append(frame, message.data(), message.size());
    pad(frame);
    return frame;
}

Bytes packet_v6(const GroupSpeaker& from, const net::IpAddress& to, Bytes message) {
    // Hop-by-hop options: the router alert for MLD (RFC 2711), padded.
    constexpr std::array<std::uint8_t, 8> kAlert{net::ip_protocol::kIcmpv6, 0, 5, 2, 0, 0, 1, 0};
    const net::EthernetHeader ethernet{net::group_mac(to), from.mac, net::ether_type::kIpv6};
    net::Ipv6Header ip{};
    ip.version_class_label = Be32::of(net::Ipv6Header::kVersion);
    ip.payload_length = Be16::of(static_cast<std::uint16_t>(kAlert.size() + message.size()));
    ip.next_header = net::ipv6_extension::kHopByHop;
    ip.hop_limit = 1;
    ip.source = from.link_local.bytes;
    ip.destination = to.bytes;
    const auto length = static_cast<std::uint16_t>(message.size());
    const Be16 sum = net::finish(net::add_bytes(
        net::pseudo_header(ip, net::ip_protocol::kIcmpv6, length), message.data(), length));
    std::memcpy(message.data() + 2, &sum, sizeof sum);
    Bytes frame;
    append(frame, &ethernet, sizeof ethernet);
    append(frame, &ip, sizeof ip);
    append(frame, kAlert.data(), kAlert.size());
    append(frame, message.data(), message.size());
    pad(frame);
    return frame;
}

/// IGMPv1, v2 and MLDv1: type, code, checksum, in MLD four more bytes, and the group.
Bytes one_group(std::uint8_t type, const net::IpAddress& group) {
    Bytes message(group.is_v4() ? 4 : 8);
    message[0] = static_cast<std::byte>(type);
    append(message, group);
    return message;
}

}  // namespace

net::IpAddress link_local_of(const net::MacAddress& mac) noexcept {
    net::IpAddress address;
    const auto& m = mac.bytes;
    address.bytes = {
        0xFE, 0x80, 0,    0,    0,    0,    0,   0, static_cast<std::uint8_t>(m[0] ^ 2),
        m[1], m[2], 0xFF, 0xFE, m[3], m[4], m[5]};
    return address;
}

Bytes make_report(const GroupSpeaker& from, net::GroupChange change,
                  std::span<const net::IpAddress> groups) {
    const bool v4 = groups.front().is_v4();
    Bytes message(8);
    message[0] = static_cast<std::byte>(v4 ? net::igmp_type::kReportV3 : net::mld_type::kReportV2);
    message[7] = static_cast<std::byte>(groups.size());
    for (const net::IpAddress& group : groups) {
        const std::array<std::uint8_t, 4> head{static_cast<std::uint8_t>(change), 0, 0, 0};
        append(message, head.data(), head.size());
        append(message, group);
    }
    return v4 ? packet_v4(from, net::Ipv4Address::of(224, 0, 0, 22), std::move(message))
              : packet_v6(from, of_link(0x16), std::move(message));
}

Bytes make_old_report(const GroupSpeaker& from, const net::IpAddress& group, std::uint8_t version) {
    if (!group.is_v4()) {
        return packet_v6(from, group, one_group(net::mld_type::kReport, group));
    }
    const std::uint8_t type = version == 1 ? net::igmp_type::kReportV1 : net::igmp_type::kReportV2;
    return packet_v4(from, group.v4(), one_group(type, group));
}

Bytes make_leave(const GroupSpeaker& from, const net::IpAddress& group) {
    return group.is_v4() ? packet_v4(from, net::Ipv4Address::of(224, 0, 0, 2),
                                     one_group(net::igmp_type::kLeave, group))
                         : packet_v6(from, of_link(2), one_group(net::mld_type::kDone, group));
}

}  // namespace vxplane::control
