// How the ICMP messages of control are made, and when they are not.
#include "control/resolve/icmp.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstring>

#include "control/resolve/icmp6.hpp"
#include "dataplane/net/checksum.hpp"
#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/headers.hpp"

namespace vxplane::control {

using net::Be16;
using net::Be32;
using net::EthernetHeader;
using net::IcmpHeader;
using net::Ipv4Header;

namespace {

constexpr std::uint8_t kTtl = 64;                // RFC 1700, IP time to live parameter
constexpr std::uint8_t kDscp = 0xFC;             // the TOS byte without its ECN bits
constexpr std::uint8_t kInternetControl = 0xC0;  // RFC 1812 section 4.3.2.5, precedence 6
constexpr std::size_t kErrorPacket = 576;        // RFC 1812 section 4.3.2.3
constexpr std::uint16_t kLowestMtu = 576;        // RFC 791: every host takes that much

IcmpMade refuse(NoIcmp why) {
    return {0, why};
}

/// RFC 1122 section 3.2.1.3: an address that may stand as the source of a packet on a network.
bool is_host(net::Ipv4Address address) {
    return address.is_unicast() && !address.is_loopback();
}

/// The IPv4 packet within a frame, headers checked.
struct Ipv4Packet {
    NoIcmp why = NoIcmp::made;
    std::size_t offset = 0;  ///< of the IPv4 header in the frame
    Ipv4Header header{};
    std::span<const std::byte> bytes;    ///< header and payload, without Ethernet padding
    std::span<const std::byte> payload;  ///< behind the options
};

/// `arrived`: bytes of the whole frame, of which `frame` is the beginning.
Ipv4Packet read_ipv4(std::span<const std::byte> frame, std::size_t offset, Be16 type,
                     std::size_t arrived) {
    Ipv4Packet packet;
    packet.offset = offset;
    if (type != net::ether_type::kIpv4) {
        packet.why = NoIcmp::not_ipv4;
        return packet;
    }
    if (frame.size() < offset + sizeof(Ipv4Header)) {
        packet.why = NoIcmp::truncated;
        return packet;
    }
    packet.header = net::load<Ipv4Header>(frame.data() + offset);
    const std::size_t header = packet.header.header_length();
    const std::size_t total = packet.header.total_length.value();
    if (packet.header.version() != 4) {
        packet.why = NoIcmp::not_ipv4;
    } else if (header < sizeof(Ipv4Header) || total < header) {
        packet.why = NoIcmp::bad_header;
    } else if (offset + total > arrived || offset + header > frame.size()) {
        packet.why = NoIcmp::truncated;
    } else if (net::fold(net::add_bytes(0, frame.data() + offset, header)) != 0xFFFF) {
        packet.why = NoIcmp::bad_header;
    } else {
        packet.bytes = frame.subspan(offset, std::min(total, frame.size() - offset));
        packet.payload = packet.bytes.subspan(header);
    }
    return packet;
}

Ipv4Header answer_header(const Ipv4Header& to, std::uint8_t tos, std::size_t total) {
    Ipv4Header header{};
    header.version_ihl = 0x45;
    header.tos = tos;
    header.total_length = Be16::of(static_cast<std::uint16_t>(total));
    // Never fragmented, so its id says nothing (RFC 6864 section 4.1).
    header.fragment = Be16::of(Ipv4Header::kDontFragment);
    header.ttl = kTtl;
    header.protocol = net::ip_protocol::kIcmp;
    header.source = to.destination;
    header.destination = to.source;
    header.checksum = net::ipv4_checksum(header);
    return header;
}

std::size_t pad(std::span<std::byte> out, std::size_t size) {
    if (size < net::kMinEthernetFrame) {
        std::memset(out.data() + size, 0, net::kMinEthernetFrame - size);
        return net::kMinEthernetFrame;
    }
    return size;
}

/// RFC 1122 section 3.2.2: errors are never answered by errors. Types that nobody knows count as
/// errors, as in the kernel.
bool is_icmp_query(std::uint8_t type) {
    constexpr std::array<std::uint8_t, 10> kQueries{0, 8, 9, 10, 13, 14, 15, 16, 17, 18};
    return std::find(kQueries.begin(), kQueries.end(), type) != kQueries.end();
}

/// Who sends an error decides over some of the rules.
enum class Speaker : std::uint8_t { destination, router };

/// Type and code.
IcmpHeader header_of(IcmpError error, std::uint16_t mtu) {
    IcmpHeader icmp{};
    icmp.type =
        error == IcmpError::time_exceeded ? IcmpHeader::kTimeExceeded : IcmpHeader::kUnreachable;
    switch (error) {
        case IcmpError::net_unreachable:
        case IcmpError::time_exceeded:
            break;
        case IcmpError::host_unreachable:
            icmp.code = IcmpHeader::kHostUnreachable;
            break;
        case IcmpError::port_unreachable:
            icmp.code = IcmpHeader::kPortUnreachable;
            break;
        case IcmpError::fragmentation_needed:
            icmp.code = IcmpHeader::kFragmentationNeeded;
            icmp.rest = Be32::of(mtu);
            break;
        case IcmpError::admin_prohibited:
            icmp.code = IcmpHeader::kAdminProhibited;
            break;
    }
    return icmp;
}

/// Why a packet with good headers must not be answered by an error (RFC 1812 section 4.3.2.7).
NoIcmp why_silent(const EthernetHeader& ethernet, const Ipv4Packet& packet, IcmpError error,
                  std::uint16_t mtu, Speaker speaker) {
    const Ipv4Header& ip = packet.header;
    if (!is_host(ip.source) || ethernet.source.is_group()) {
        return NoIcmp::bad_source;
    }
    if (!is_host(ip.destination) || ethernet.destination.is_group()) {
        return NoIcmp::bad_destination;
    }
    const bool is_too_big = error == IcmpError::fragmentation_needed;
    const bool from_tunnel = is_too_big && speaker == Speaker::destination;
    if ((ip.fragment.value() & Ipv4Header::kOffsetMask) != 0 || (from_tunnel && ip.is_fragment())) {
        return NoIcmp::fragment;
    }
    if (ip.protocol == net::ip_protocol::kIcmp) {
        if (packet.payload.empty()) {
            return NoIcmp::truncated;
        }
        if (!is_icmp_query(static_cast<std::uint8_t>(packet.payload[0]))) {
            return NoIcmp::about_icmp_error;
        }
    }
    const std::uint16_t lowest = from_tunnel ? kLowestMtu : net::kMinIpv4Mtu;
    return is_too_big && mtu < lowest ? NoIcmp::mtu_too_low : NoIcmp::made;
}

}  // namespace

std::string_view name(NoIcmp why) noexcept {
    constexpr std::array<std::string_view, 13> kNames{"made",
                                                      "truncated",
                                                      "not_ipv4",
                                                      "bad_header",
                                                      "bad_icmp_checksum",
                                                      "not_for_us",
                                                      "not_echo_request",
                                                      "fragment",
                                                      "bad_source",
                                                      "bad_destination",
                                                      "about_icmp_error",
                                                      "mtu_too_low",
                                                      "no_room"};
    return kNames[static_cast<std::size_t>(why)];
}

IcmpMade make_echo_reply(std::span<const std::byte> request, std::span<const OwnAddress> own,
                         std::span<std::byte> out) noexcept {
    if (request.size() < sizeof(EthernetHeader)) {
        return refuse(NoIcmp::truncated);
    }
    const auto ethernet = net::load<EthernetHeader>(request.data());
    if (ethernet.type == net::ether_type::kIpv6) {
        return make_echo6_reply(request, own, out);
    }
    const Ipv4Packet packet = read_ipv4(request, sizeof ethernet, ethernet.type, request.size());
    if (packet.why != NoIcmp::made) {
        return refuse(packet.why);
    }
    const Ipv4Header& ip = packet.header;
    const auto is_own = [&](const OwnAddress& o) { return o.address == ip.destination; };
    const auto is_their_broadcast = [&](const OwnAddress& o) {
        return o.is_directed_broadcast(ip.destination);
    };
    if (ip.destination.is_multicast() || ip.destination.is_broadcast() ||
        ethernet.destination.is_group() ||
        std::any_of(own.begin(), own.end(), is_their_broadcast)) {
        return refuse(NoIcmp::bad_destination);
    }
    if (std::none_of(own.begin(), own.end(), is_own)) {
        return refuse(NoIcmp::not_for_us);
    }
    if (!is_host(ip.source) || ethernet.source.is_group() ||
        std::any_of(own.begin(), own.end(),
                    [&](const OwnAddress& o) { return o.is_directed_broadcast(ip.source); })) {
        return refuse(NoIcmp::bad_source);
    }
    if (ip.protocol != net::ip_protocol::kIcmp) {
        return refuse(NoIcmp::not_echo_request);
    }
    if (ip.is_fragment()) {
        return refuse(NoIcmp::fragment);
    }
    const std::size_t message = packet.payload.size();
    if (message < sizeof(IcmpHeader)) {
        return refuse(NoIcmp::truncated);
    }
    auto icmp = net::load<IcmpHeader>(packet.payload.data());
    if (icmp.type != IcmpHeader::kEchoRequest) {
        return refuse(NoIcmp::not_echo_request);
    }
    if (net::fold(net::add_bytes(0, packet.payload.data(), message)) != 0xFFFF) {
        return refuse(NoIcmp::bad_icmp_checksum);
    }
    const std::size_t total = sizeof(Ipv4Header) + message;
    if (out.size() < std::max<std::size_t>(sizeof ethernet + total, net::kMinEthernetFrame)) {
        return refuse(NoIcmp::no_room);
    }
    // Only the type differs (a strange code is kept, as the kernel does): no new sum is needed.
    const auto before = net::load<Be16>(packet.payload.data());
    icmp.type = IcmpHeader::kEchoReply;
    icmp.checksum = net::update_checksum(icmp.checksum, before, Be16::of(icmp.code));
    const EthernetHeader back{ethernet.source, ethernet.destination, ethernet.type};
    const Ipv4Header header = answer_header(ip, ip.tos & kDscp, total);
    // The payload first: `out` may be where the request stands, with options to be closed up.
    std::byte* place = out.data() + sizeof back + sizeof header;
    std::memmove(place, packet.payload.data(), message);
    std::memcpy(place, &icmp, sizeof icmp);
    std::memcpy(out.data() + sizeof back, &header, sizeof header);
    std::memcpy(out.data(), &back, sizeof back);
    return {pad(out, sizeof back + total), NoIcmp::made};
}

namespace {

/// `router`: null for an error in the name of the destination.
IcmpMade make_ipv4_error(std::span<const std::byte> frame, const net::Ipv4Address* router,
                         IcmpError error, std::uint16_t mtu, std::span<std::byte> out,
                         std::size_t arrived) {
    const auto ethernet = net::load<EthernetHeader>(frame.data());
    const net::FrameFacts facts = net::shape_of(frame.data(), frame.size());
    const Ipv4Packet packet =
        read_ipv4(frame, facts.l3_offset, facts.type, std::max(arrived, frame.size()));
    if (packet.why != NoIcmp::made) {
        return refuse(packet.why);
    }
    const Speaker speaker = router == nullptr ? Speaker::destination : Speaker::router;
    if (const NoIcmp why = why_silent(ethernet, packet, error, mtu, speaker); why != NoIcmp::made) {
        return refuse(why);
    }
    constexpr std::size_t kHeaders = sizeof(Ipv4Header) + sizeof(IcmpHeader);
    const std::size_t quote = std::min(packet.bytes.size(), kErrorPacket - kHeaders);
    const std::size_t size = facts.l3_offset + kHeaders + quote;
    if (out.size() < std::max<std::size_t>(size, net::kMinEthernetFrame)) {
        return refuse(NoIcmp::no_room);
    }
    const std::uint8_t tos = (packet.header.tos & 0x1C) | kInternetControl;
    Ipv4Header to = packet.header;
    to.destination = router == nullptr ? to.destination : *router;
    const Ipv4Header header = answer_header(to, tos, kHeaders + quote);
    IcmpHeader icmp = header_of(error, mtu);
    icmp.checksum = net::finish(
        net::add_bytes(net::add_bytes(0, &icmp, sizeof icmp), packet.bytes.data(), quote));

    // Tags stand between the MAC addresses and the IPv4 header; they are taken over as they are.
    std::memcpy(out.data(), frame.data(), facts.l3_offset);
    std::memcpy(out.data(), &ethernet.source, sizeof ethernet.source);
    std::memcpy(out.data() + sizeof ethernet.source, &ethernet.destination,
                sizeof ethernet.destination);
    std::byte* place = out.data() + facts.l3_offset;
    std::memcpy(place, &header, sizeof header);
    std::memcpy(place + sizeof header, &icmp, sizeof icmp);
    std::memcpy(place + kHeaders, packet.bytes.data(), quote);
    return {pad(out, size), NoIcmp::made};
}

}  // namespace

IcmpMade make_icmp_error(std::span<const std::byte> frame, IcmpError error, std::uint16_t mtu,
                         std::span<std::byte> out, std::size_t arrived) noexcept {
    return frame.size() < sizeof(EthernetHeader)
               ? refuse(NoIcmp::truncated)
               : make_ipv4_error(frame, nullptr, error, mtu, out, arrived);
}

IcmpMade make_too_big(std::span<const std::byte> frame, std::uint16_t mtu, std::span<std::byte> out,
                      std::size_t arrived) noexcept {
    if (frame.size() < sizeof(EthernetHeader)) {
        return refuse(NoIcmp::truncated);
    }
    const net::FrameFacts facts = net::shape_of(frame.data(), frame.size());
    std::byte* ip = out.data() + facts.l3_offset;
    if (facts.is_ip && facts.type == net::ether_type::kIpv6) {
        auto about = net::load<net::Ipv6Header>(frame.data() + facts.l3_offset);
        const IcmpMade made = make_ipv6_error(frame, net::IpAddress(about.destination),
                                              IcmpError::fragmentation_needed, mtu, out, arrived);
        if (made) {
            std::memcpy(ip + offsetof(net::Ipv6Header, hop_limit), &about.hop_limit, 1);
        }
        return made;
    }
    const IcmpMade made =
        make_ipv4_error(frame, nullptr, IcmpError::fragmentation_needed, mtu, out, arrived);
    if (made) {
        auto header = net::load<Ipv4Header>(ip);
        header.tos = 0;
        header.ttl = net::load<Ipv4Header>(frame.data() + facts.l3_offset).ttl;
        header.checksum = {};
        header.checksum = net::ipv4_checksum(header);
        std::memcpy(ip, &header, sizeof header);
    }
    return made;
}

IcmpMade make_router_error(std::span<const std::byte> frame, const net::IpAddress& router,
                           IcmpError error, std::uint16_t mtu, std::span<std::byte> out,
                           std::size_t arrived) noexcept {
    if (frame.size() < sizeof(EthernetHeader)) {
        return refuse(NoIcmp::truncated);
    }
    if (!router.is_v4()) {
        return make_ipv6_error(frame, router, error, mtu, out, arrived);
    }
    const net::Ipv4Address address = router.v4();
    return make_ipv4_error(frame, &address, error, mtu, out, arrived);
}

// --- limiter ---------------------------------------------------------------------------------

IcmpLimiter::IcmpLimiter(std::uint32_t rate, std::size_t sources, std::uint64_t seed)
    : places_(std::bit_ceil(std::max(sources, kWays))),
      mask_((places_.size() - 1) & ~(kWays - 1)),
      seed_(seed),
      rate_(rate) {}

bool IcmpLimiter::allow(std::uint32_t scope, const net::IpAddress& source, Time now) noexcept {
    constexpr std::chrono::seconds kWindow{1};
    const std::uint64_t hash = net::mix(source.low() ^ scope, source.high());
    const std::size_t first = static_cast<std::size_t>(net::mix(hash, seed_)) & mask_;
    Place* idle = nullptr;
    for (std::size_t way = 0; way < kWays; ++way) {
        Place& place = places_[first + way];
        const bool is_over = place.count == 0 || now - place.began >= kWindow;
        if (!is_over && place.scope == scope && place.source == source) {
            if (place.count >= rate_) {
                ++suppressed_;
                return false;
            }
            ++place.count;
            return true;
        }
        if (is_over && idle == nullptr) {
            idle = &place;
        }
    }
    if (idle == nullptr || rate_ == 0) {
        ++suppressed_;
        return false;
    }
    *idle = {source, scope, now, 1};
    return true;
}

}  // namespace vxplane::control
