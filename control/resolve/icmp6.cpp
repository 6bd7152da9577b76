// How the ICMPv6 messages of control are made, and when they are not (RFC 4443).
#include "control/resolve/icmp6.hpp"

#include <algorithm>
#include <cstring>

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/icmpv6.hpp"

namespace vxplane::control {

using net::Be16;
using net::Be32;
using net::EthernetHeader;
using net::Icmpv6Header;
using net::IpAddress;
using net::Ipv6Header;

namespace {

constexpr std::uint8_t kHopLimit = 64;
constexpr std::uint32_t kDscp = 0xFC;       // the traffic class without its ECN bits
constexpr std::size_t kErrorPacket = 1280;  // RFC 4443 section 2.4 c
constexpr std::uint16_t kLowestMtu = 1280;  // RFC 8200 section 5

IcmpMade refuse(NoIcmp why) {
    return {0, why};
}

/// The IPv6 packet within a frame, headers passed.
struct Ipv6Packet {
    NoIcmp why = NoIcmp::made;
    Ipv6Header header{};
    IpAddress source;
    IpAddress destination;
    std::span<const std::byte> bytes;  ///< header and payload, without Ethernet padding
    net::Ipv6Upper upper;
    std::span<const std::byte> payload;  ///< behind the extension headers
};

/// `arrived`: bytes of the whole frame, of which `frame` is the beginning.
Ipv6Packet read_ipv6(std::span<const std::byte> frame, std::size_t offset, Be16 type,
                     std::size_t arrived) {
    Ipv6Packet packet;
    if (type != net::ether_type::kIpv6) {
        packet.why = NoIcmp::not_ipv4;
        return packet;
    }
    if (frame.size() < offset + sizeof(Ipv6Header)) {
        packet.why = NoIcmp::truncated;
        return packet;
    }
    packet.header = net::load<Ipv6Header>(frame.data() + offset);
    packet.source = IpAddress(packet.header.source);
    packet.destination = IpAddress(packet.header.destination);
    const std::size_t total = sizeof(Ipv6Header) + packet.header.payload_length.value();
    if (packet.header.version() != 6) {
        packet.why = NoIcmp::bad_header;
        return packet;
    }
    if (offset + total > arrived) {
        packet.why = NoIcmp::truncated;
        return packet;
    }
    packet.bytes = frame.subspan(offset, std::min(total, frame.size() - offset));
    packet.upper = net::upper_of(packet.bytes.data(), packet.bytes.size());
    if (!packet.upper.is_whole) {
        packet.why = NoIcmp::truncated;
        return packet;
    }
    packet.payload = packet.bytes.subspan(packet.upper.offset);
    return packet;
}

/// An address as it may stand in an IPv6 header: IPv4 in a wider form is none (RFC 4942 section
/// 2.2).
bool is_host6(const IpAddress& address) {
    return !address.is_v4() && net::is_host(address);
}

Ipv6Header answer_header(const IpAddress& source, const IpAddress& destination,
                         std::uint32_t traffic_class, std::size_t payload) {
    Ipv6Header header{};
    header.version_class_label = Be32::of(6U << 28 | traffic_class << 20);
    header.payload_length = Be16::of(static_cast<std::uint16_t>(payload));
    header.next_header = net::ip_protocol::kIcmpv6;
    header.hop_limit = kHopLimit;
    header.source = source.bytes;
    header.destination = destination.bytes;
    return header;
}

Be16 checksum_of(const Ipv6Header& ip, Icmpv6Header icmp, const std::byte* rest, std::size_t size) {
    icmp.checksum = {};
    const auto length = static_cast<std::uint16_t>(sizeof icmp + size);
    const net::Sum head = net::add_bytes(net::pseudo_header(ip, net::ip_protocol::kIcmpv6, length),
                                         &icmp, sizeof icmp);
    return net::finish(net::add_bytes(head, rest, size));
}

/// Type and code.
Icmpv6Header header_of(IcmpError error, std::uint16_t mtu) {
    switch (error) {
        case IcmpError::net_unreachable:
            return {Icmpv6Header::kUnreachable, 0, {}, {}};
        case IcmpError::host_unreachable:
            return {Icmpv6Header::kUnreachable, 3, {}, {}};
        case IcmpError::port_unreachable:
            return {Icmpv6Header::kUnreachable, 4, {}, {}};
        case IcmpError::fragmentation_needed:
            return {Icmpv6Header::kPacketTooBig, 0, {}, Be32::of(mtu)};
        case IcmpError::admin_prohibited:
            return {Icmpv6Header::kUnreachable, 1, {}, {}};
        case IcmpError::time_exceeded:
            break;
    }
    return {Icmpv6Header::kTimeExceeded, 0, {}, {}};
}

/// Why a packet with good headers must not be answered by an error: RFC 4443 section 2.4 e, and
/// groups even where it would allow packet too big.
NoIcmp why_silent(const EthernetHeader& ethernet, const Ipv6Packet& packet, IcmpError error,
                  std::uint16_t mtu) {
    if (!is_host6(packet.source) || ethernet.source.is_group()) {
        return NoIcmp::bad_source;
    }
    if (!is_host6(packet.destination) || ethernet.destination.is_group()) {
        return NoIcmp::bad_destination;
    }
    if (packet.upper.is_later) {
        return NoIcmp::fragment;
    }
    if (packet.upper.protocol == net::ip_protocol::kIcmpv6) {
        if (packet.payload.empty()) {
            return NoIcmp::truncated;
        }
        const auto type = static_cast<std::uint8_t>(packet.payload[0]);
        if (type <= Icmpv6Header::kLastError || type == Icmpv6Header::kRedirect) {
            return NoIcmp::about_icmp_error;
        }
    }
    return error == IcmpError::fragmentation_needed && mtu < kLowestMtu ? NoIcmp::mtu_too_low
                                                                        : NoIcmp::made;
}

}  // namespace

IcmpMade make_echo6_reply(std::span<const std::byte> request, std::span<const OwnAddress> own,
                          std::span<std::byte> out) noexcept {
    const auto ethernet = net::load<EthernetHeader>(request.data());
    const Ipv6Packet packet = read_ipv6(request, sizeof ethernet, ethernet.type, request.size());
    if (packet.why != NoIcmp::made) {
        return refuse(packet.why);
    }
    if (packet.destination.is_multicast() || ethernet.destination.is_group()) {
        return refuse(NoIcmp::bad_destination);
    }
    if (std::none_of(own.begin(), own.end(), [&](const OwnAddress& o) {
            return !o.address.is_v4() && o.address == packet.destination;
        })) {
        return refuse(NoIcmp::not_for_us);
    }
    if (!is_host6(packet.source) || ethernet.source.is_group()) {
        return refuse(NoIcmp::bad_source);
    }
    if (packet.upper.is_fragment) {
        return refuse(NoIcmp::fragment);
    }
    if (packet.upper.protocol != net::ip_protocol::kIcmpv6) {
        return refuse(NoIcmp::not_echo_request);
    }
    const std::size_t message = packet.payload.size();
    if (message < sizeof(Icmpv6Header)) {
        return refuse(NoIcmp::truncated);
    }
    auto icmp = net::load<Icmpv6Header>(packet.payload.data());
    if (icmp.type != Icmpv6Header::kEchoRequest) {
        return refuse(NoIcmp::not_echo_request);
    }
    const net::Sum pseudo = net::pseudo_header(packet.header, net::ip_protocol::kIcmpv6,
                                               static_cast<std::uint16_t>(message));
    if (net::fold(net::add_bytes(pseudo, packet.payload.data(), message)) != 0xFFFF) {
        return refuse(NoIcmp::bad_icmp_checksum);
    }
    const std::size_t size = sizeof ethernet + sizeof(Ipv6Header) + message;
    if (out.size() < size) {
        return refuse(NoIcmp::no_room);
    }
    icmp.type = Icmpv6Header::kEchoReply;
    const EthernetHeader back{ethernet.source, ethernet.destination, ethernet.type};
    const Ipv6Header header = answer_header(packet.destination, packet.source,
                                            packet.header.traffic_class() & kDscp, message);
    // The payload first: `out` may be where the request stands, with headers to be closed up.
    std::byte* place = out.data() + sizeof back + sizeof header;
    std::memmove(place, packet.payload.data(), message);
    icmp.checksum = checksum_of(header, icmp, place + sizeof icmp, message - sizeof icmp);
    std::memcpy(place, &icmp, sizeof icmp);
    std::memcpy(out.data() + sizeof back, &header, sizeof header);
    std::memcpy(out.data(), &back, sizeof back);
    return {size, NoIcmp::made};
}

IcmpMade make_ipv6_error(std::span<const std::byte> frame, const IpAddress& router, IcmpError error,
                         std::uint16_t mtu, std::span<std::byte> out,
                         std::size_t arrived) noexcept {
    const auto ethernet = net::load<EthernetHeader>(frame.data());
    const net::FrameFacts facts = net::shape_of(frame.data(), frame.size());
    const Ipv6Packet packet =
        read_ipv6(frame, facts.l3_offset, facts.type, std::max(arrived, frame.size()));
    if (packet.why != NoIcmp::made) {
        return refuse(packet.why);
    }
    if (const NoIcmp why = why_silent(ethernet, packet, error, mtu); why != NoIcmp::made) {
        return refuse(why);
    }
    constexpr std::size_t kHeaders = sizeof(Ipv6Header) + sizeof(Icmpv6Header);
    const std::size_t quote = std::min(packet.bytes.size(), kErrorPacket - kHeaders);
    const std::size_t size = facts.l3_offset + kHeaders + quote;
    if (out.size() < size) {
        return refuse(NoIcmp::no_room);
    }
    const Ipv6Header header = answer_header(router, packet.source, 0, sizeof(Icmpv6Header) + quote);
    Icmpv6Header icmp = header_of(error, mtu);
    icmp.checksum = checksum_of(header, icmp, packet.bytes.data(), quote);

    // Tags stand between the MAC addresses and the IPv6 header; they are taken over as they are.
    std::memcpy(out.data(), frame.data(), facts.l3_offset);
    std::memcpy(out.data(), &ethernet.source, sizeof ethernet.source);
    std::memcpy(out.data() + sizeof ethernet.source, &ethernet.destination,
                sizeof ethernet.destination);
    std::byte* place = out.data() + facts.l3_offset;
    std::memcpy(place, &header, sizeof header);
    std::memcpy(place + sizeof header, &icmp, sizeof icmp);
    std::memcpy(place + kHeaders, packet.bytes.data(), quote);
    return {size, NoIcmp::made};
}

}  // namespace vxplane::control
