// ICMPv6 and neighbour discovery as they stand on the wire (RFC 4443, RFC 4861), and the way
// through IPv6 extension headers to them. Met by the step that looks for frames to our own
// addresses, and by control, which answers them.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/headers.hpp"
#include "dataplane/net/ip_address.hpp"

namespace vxplane::net {

/// RFC 4443, and the types of RFC 4861.
struct Icmpv6Header {
    std::uint8_t type;
    std::uint8_t code;
    Be16 checksum;
    Be32 rest;

    static constexpr std::uint8_t kUnreachable = 1;
    static constexpr std::uint8_t kPacketTooBig = 2;
    static constexpr std::uint8_t kTimeExceeded = 3;
    static constexpr std::uint8_t kLastError = 127;  ///< types below are errors, above queries
    static constexpr std::uint8_t kEchoRequest = 128;
    static constexpr std::uint8_t kEchoReply = 129;
    static constexpr std::uint8_t kRouterSolicitation = 133;
    static constexpr std::uint8_t kSolicitation = 135;
    static constexpr std::uint8_t kAdvertisement = 136;
    static constexpr std::uint8_t kRedirect = 137;
};
static_assert(sizeof(Icmpv6Header) == 8);

/// Neighbour solicitation and advertisement before their options.
struct NdHeader {
    Icmpv6Header icmp;  ///< `rest`: flags of an advertisement
    IpAddress target;

    static constexpr std::uint32_t kRouter = 0x80000000;
    static constexpr std::uint32_t kSolicited = 0x40000000;
    static constexpr std::uint32_t kOverride = 0x20000000;
};
static_assert(sizeof(NdHeader) == 24);

/// Link-layer address option for Ethernet (RFC 4861 section 4.6.1, RFC 2464 section 6).
struct NdLinkOption {
    std::uint8_t type;
    std::uint8_t length;  ///< in 8 bytes
    MacAddress mac;

    static constexpr std::uint8_t kSource = 1;
    static constexpr std::uint8_t kTarget = 2;
};
static_assert(sizeof(NdLinkOption) == 8);

/// Extension headers (IANA "IPv6 Extension Header Types") that can be passed, and the end mark.
namespace ipv6_extension {
constexpr std::uint8_t kHopByHop = 0;
constexpr std::uint8_t kRouting = 43;
constexpr std::uint8_t kFragment = 44;
constexpr std::uint8_t kAuthentication = 51;
constexpr std::uint8_t kNone = 59;
constexpr std::uint8_t kDestination = 60;
}  // namespace ipv6_extension

/// Where the extension headers of an IPv6 packet end.
struct Ipv6Upper {
    std::uint8_t protocol = ipv6_extension::kNone;
    std::uint32_t offset = 0;  ///< of the upper header, from the beginning of the IPv6 header
    bool is_whole = false;     ///< every header before it ends within the bytes given
    bool is_fragment = false;  ///< with a fragment header, be it of the only fragment
    bool is_later = false;     ///< a fragment that does not begin the packet: no upper header here
};

/// `size`: bytes that can be read, those of the fixed header at least. No more than eight extension
/// headers are passed.
inline Ipv6Upper upper_of(const std::byte* ipv6, std::size_t size) noexcept {
    Ipv6Upper upper;
    upper.protocol = view<Ipv6Header>(ipv6).next_header;
    upper.offset = sizeof(Ipv6Header);
    for (int passed = 0; passed <= 8; ++passed) {
        const bool is_fragment = upper.protocol == ipv6_extension::kFragment;
        const bool is_authentication = upper.protocol == ipv6_extension::kAuthentication;
        if (!is_fragment && !is_authentication && upper.protocol != ipv6_extension::kHopByHop &&
            upper.protocol != ipv6_extension::kRouting &&
            upper.protocol != ipv6_extension::kDestination) {
            upper.is_whole = upper.offset <= size;
            return upper;
        }
        if (size < upper.offset + 8U) {
            return upper;
        }
        const std::byte* header = ipv6 + upper.offset;
        const auto length = static_cast<std::uint32_t>(header[1]);
        upper.protocol = static_cast<std::uint8_t>(header[0]);
        upper.offset += is_fragment ? 8 : is_authentication ? (length + 2) * 4 : (length + 1) * 8;
        if (is_fragment) {
            upper.is_fragment = true;
            upper.is_later = (load<Be16>(header + 2).value() & 0xFFF8U) != 0;
            if (upper.is_later) {
                upper.is_whole = true;
                return upper;
            }
        }
    }
    return upper;
}

/// `::1`.
constexpr bool is_loopback(const IpAddress& address) noexcept {
    IpAddress loopback;
    loopback.bytes[15] = 1;
    return address.is_v4() ? address.v4().is_loopback() : address == loopback;
}

/// An address that may stand as the source of a packet on a network: one host, not loopback.
constexpr bool is_host(const IpAddress& address) noexcept {
    if (address.is_v4()) {
        return address.v4().is_unicast() && !address.v4().is_loopback();
    }
    return !address.is_unset() && !address.is_multicast() && !is_loopback(address);
}

/// All nodes of the link, ff02::1.
constexpr IpAddress all_nodes() noexcept {
    IpAddress group;
    group.bytes[0] = 0xFF;
    group.bytes[1] = 0x02;
    group.bytes[15] = 0x01;
    return group;
}

/// The MAC address of a group (RFC 1112 section 6.4, RFC 2464 section 7).
constexpr MacAddress group_mac(const IpAddress& group) noexcept {
    if (group.is_v4()) {
        return MacAddress::from_number(0x01005E000000ULL | (group.v4().number() & 0x7FFFFFU));
    }
    return {{0x33, 0x33, group.bytes[12], group.bytes[13], group.bytes[14], group.bytes[15]}};
}

enum class NdKind : std::uint8_t {
    none,       ///< not ICMPv6 of types 133 to 137
    malformed,  ///< must be discarded silently (RFC 4861 sections 7.1.1 and 7.1.2)
    solicitation,
    advertisement,
    other  ///< of routers: not read
};

/// A neighbour solicitation or advertisement that passed all checks of the RFC.
struct NdMessage {
    NdKind kind = NdKind::none;
    IpAddress source;  ///< unset: duplicate address detection
    IpAddress destination;
    IpAddress target;
    std::optional<MacAddress> mac;  ///< source's of a solicitation, target's of an advertisement
    bool is_solicited = false;      ///< advertisements
    bool overrides = false;         ///< advertisements
};

/// `packet` begins with the IPv6 header and may have Ethernet padding behind its end.
inline NdMessage read_nd(std::span<const std::byte> packet) noexcept {
    NdMessage nd;
    if (packet.size() < sizeof(Ipv6Header) || view<Ipv6Header>(packet.data()).version() != 6) {
        return nd;
    }
    const auto& ip = view<Ipv6Header>(packet.data());
    const std::size_t size = sizeof(Ipv6Header) + ip.payload_length.value();
    const Ipv6Upper upper = upper_of(packet.data(), std::min(size, packet.size()));
    if (upper.protocol != ip_protocol::kIcmpv6 || !upper.is_whole || upper.is_later ||
        packet.size() <= upper.offset) {
        return nd;
    }
    const auto type = static_cast<std::uint8_t>(packet[upper.offset]);
    if (type < Icmpv6Header::kRouterSolicitation || type > Icmpv6Header::kRedirect) {
        return nd;
    }
    nd.kind = NdKind::malformed;
    // No fragments: RFC 6980 section 5.
    if (size > packet.size() || upper.is_fragment || ip.hop_limit != 255) {
        return nd;
    }
    if (type != Icmpv6Header::kSolicitation && type != Icmpv6Header::kAdvertisement) {
        nd.kind = NdKind::other;
        return nd;
    }
    const std::size_t length = size - upper.offset;
    const std::byte* message = packet.data() + upper.offset;
    if (length < sizeof(NdHeader) ||
        fold(add_bytes(pseudo_header(ip, ip_protocol::kIcmpv6, static_cast<std::uint16_t>(length)),
                       message, length)) != 0xFFFF) {
        return nd;
    }
    const auto& header = view<NdHeader>(message);
    nd.source = IpAddress(ip.source);
    nd.destination = IpAddress(ip.destination);
    nd.target = header.target;
    const bool asks = type == Icmpv6Header::kSolicitation;
    const std::uint32_t flags = asks ? 0 : header.icmp.rest.value();
    nd.is_solicited = (flags & NdHeader::kSolicited) != 0;
    nd.overrides = (flags & NdHeader::kOverride) != 0;
    if (header.icmp.code != 0 || !is_host(nd.target) || nd.target.is_v4() ||
        nd.source.is_multicast() || nd.source.is_v4() || (!asks && nd.source.is_unset()) ||
        (nd.is_solicited && nd.destination.is_multicast())) {
        return nd;
    }
    for (std::size_t at = sizeof(NdHeader); at < length;) {
        if (length - at < 2) {
            return nd;
        }
        const std::size_t option = static_cast<std::size_t>(message[at + 1]) * 8;
        if (option == 0 || option > length - at) {
            return nd;
        }
        const std::uint8_t wanted = asks ? NdLinkOption::kSource : NdLinkOption::kTarget;
        if (static_cast<std::uint8_t>(message[at]) == wanted && !nd.mac) {
            const auto link = load<NdLinkOption>(message + at);
            if (link.length != 1 || link.mac.is_group() || link.mac.is_zero()) {
                return nd;
            }
            nd.mac = link.mac;
        }
        at += option;
    }
    if (nd.source.is_unset() && (nd.mac || nd.destination != solicited_node(nd.target))) {
        return nd;
    }
    nd.kind = asks ? NdKind::solicitation : NdKind::advertisement;
    return nd;
}

/// What make_nd() is told.
struct NdWords {
    MacAddress to;
    MacAddress from;
    IpAddress source;
    IpAddress destination;
    std::uint8_t type = Icmpv6Header::kSolicitation;
    std::uint32_t flags = 0;
    IpAddress target;
};
constexpr std::size_t kNdFrame =
    sizeof(EthernetHeader) + sizeof(Ipv6Header) + sizeof(NdHeader) + sizeof(NdLinkOption);

/// The frame of a solicitation or advertisement; its link-layer address option says `from`. Not for
/// a solicitation of duplicate address detection, which has none.
inline std::array<std::byte, kNdFrame> make_nd(const NdWords& words) noexcept {
    struct Frame {
        EthernetHeader ethernet;
        Ipv6Header ip;
        NdHeader nd;
        NdLinkOption option;
    } frame{};
    static_assert(sizeof(Frame) == kNdFrame);
    constexpr std::uint16_t kLength = sizeof(NdHeader) + sizeof(NdLinkOption);
    frame.ethernet = {words.to, words.from, ether_type::kIpv6};
    frame.ip.version_class_label = Be32::of(6U << 28);
    frame.ip.payload_length = Be16::of(kLength);
    frame.ip.next_header = ip_protocol::kIcmpv6;
    frame.ip.hop_limit = 255;
    frame.ip.source = words.source.bytes;
    frame.ip.destination = words.destination.bytes;
    frame.nd.icmp.type = words.type;
    frame.nd.icmp.rest = Be32::of(words.flags);
    frame.nd.target = words.target;
    frame.option = {
        words.type == Icmpv6Header::kSolicitation ? NdLinkOption::kSource : NdLinkOption::kTarget,
        1, words.from};
    frame.nd.icmp.checksum = finish(
        add_bytes(pseudo_header(frame.ip, ip_protocol::kIcmpv6, kLength), &frame.nd, kLength));
    std::array<std::byte, kNdFrame> bytes;
    std::memcpy(bytes.data(), &frame, sizeof frame);
    return bytes;
}

}  // namespace vxplane::net
