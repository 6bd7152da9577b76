// The parsers: everything in the message was written by somebody else.
#include "control/resolve/path_mtu.hpp"

#include <algorithm>

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/headers.hpp"
#include "dataplane/net/icmpv6.hpp"

namespace vxplane::control {

namespace {

constexpr std::size_t kIp = sizeof(net::EthernetHeader);
constexpr std::size_t kPorts = 4;  // RFC 792: at least eight bytes behind the header are quoted

/// `quote` begins with the UDP header.
void read_quoted_udp(std::span<const std::byte> quote, PathMtuNews& news) noexcept {
    if (quote.size() < kPorts) {
        return;
    }
    news.is_whole = true;
    news.source_port = net::load<net::Be16>(quote.data()).value();
    news.dstport = net::load<net::Be16>(quote.data() + 2).value();
    if (quote.size() >= sizeof(net::UdpHeader) + sizeof(net::VxlanHeader)) {
        news.vni = net::load<net::VxlanHeader>(quote.data() + sizeof(net::UdpHeader)).vni().number;
    }
}

PathMtuNews read_ipv4(std::span<const std::byte> frame) noexcept {
    using net::IcmpHeader;
    using net::Ipv4Header;
    PathMtuNews news;
    if (frame.size() < kIp + sizeof(Ipv4Header)) {
        return news;
    }
    const auto outer = net::load<Ipv4Header>(frame.data() + kIp);
    const std::size_t header = outer.header_length();
    const std::size_t total = outer.total_length.value();
    if (outer.version() != 4 || header < sizeof outer || outer.is_fragment() ||
        outer.protocol != net::ip_protocol::kIcmp || total < header + sizeof(IcmpHeader) ||
        frame.size() < kIp + total) {
        return news;
    }
    const auto message = frame.subspan(kIp + header, total - header);
    const auto icmp = net::load<IcmpHeader>(message.data());
    const auto quote = message.subspan(sizeof icmp);
    if (icmp.type != IcmpHeader::kUnreachable || icmp.code != IcmpHeader::kFragmentationNeeded ||
        quote.size() < sizeof(Ipv4Header) ||
        net::fold(net::add_bytes(0, message.data(), message.size())) != 0xFFFF) {
        return news;
    }
    const auto sent = net::load<Ipv4Header>(quote.data());
    const std::size_t sent_header = sent.header_length();
    if (sent.version() != 4 || sent_header < sizeof sent || sent.is_fragment() ||
        sent.protocol != net::ip_protocol::kUdp || quote.size() < sent_header) {
        return news;
    }
    news.local = sent.source;
    news.remote = sent.destination;
    news.length = sent.total_length.value();
    news.dont_fragment = (sent.fragment.value() & Ipv4Header::kDontFragment) != 0;
    news.mtu = static_cast<std::uint16_t>(icmp.rest.value());
    read_quoted_udp(quote.subspan(sent_header), news);
    return news;
}

PathMtuNews read_ipv6(std::span<const std::byte> frame) noexcept {
    using net::Icmpv6Header;
    using net::Ipv6Header;
    PathMtuNews news;
    if (frame.size() < kIp + sizeof(Ipv6Header)) {
        return news;
    }
    const auto outer = net::load<Ipv6Header>(frame.data() + kIp);
    const std::size_t total = sizeof outer + outer.payload_length.value();
    if (outer.version() != 6 || frame.size() < kIp + total) {
        return news;
    }
    const auto packet = frame.subspan(kIp, total);
    const net::Ipv6Upper upper = net::upper_of(packet.data(), packet.size());
    if (upper.protocol != net::ip_protocol::kIcmpv6 || !upper.is_whole || upper.is_fragment ||
        packet.size() < upper.offset + sizeof(Icmpv6Header) + sizeof(Ipv6Header)) {
        return news;
    }
    const auto message = packet.subspan(upper.offset);
    const auto icmp = net::load<Icmpv6Header>(message.data());
    const net::Sum pseudo = net::pseudo_header(outer, net::ip_protocol::kIcmpv6,
                                               static_cast<std::uint16_t>(message.size()));
    if (icmp.type != Icmpv6Header::kPacketTooBig ||
        net::fold(net::add_bytes(pseudo, message.data(), message.size())) != 0xFFFF) {
        return news;
    }
    const auto quote = message.subspan(sizeof icmp);
    const auto sent = net::load<Ipv6Header>(quote.data());
    const net::Ipv6Upper inside = net::upper_of(quote.data(), quote.size());
    if (sent.version() != 6 || inside.protocol != net::ip_protocol::kUdp || !inside.is_whole ||
        inside.is_later) {
        return news;
    }
    news.local = net::IpAddress(sent.source);
    news.remote = net::IpAddress(sent.destination);
    news.length = sizeof sent + sent.payload_length.value();
    news.dont_fragment = true;
    news.mtu = icmp.rest.value();
    read_quoted_udp(quote.subspan(inside.offset), news);
    return news;
}

}  // namespace

PathMtuNews read_path_mtu(std::span<const std::byte> frame) noexcept {
    if (frame.size() < kIp) {
        return {};
    }
    return net::load<net::EthernetHeader>(frame.data()).type == net::ether_type::kIpv6
               ? read_ipv6(frame)
               : read_ipv4(frame);
}

}  // namespace vxplane::control
