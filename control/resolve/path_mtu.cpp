// The parser: everything in the message was written by somebody else.
#include "control/resolve/path_mtu.hpp"

#include <algorithm>

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/headers.hpp"

namespace vxplane::control {

PathMtuNews read_path_mtu(std::span<const std::byte> frame) noexcept {
    using net::IcmpHeader;
    using net::Ipv4Header;
    constexpr std::size_t kIp = sizeof(net::EthernetHeader);
    constexpr std::size_t kPorts = 4;  // RFC 792: at least eight bytes behind the header are quoted
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
        sent.protocol != net::ip_protocol::kUdp || quote.size() < sent_header + kPorts) {
        return news;
    }
    news.is_whole = true;
    news.local = sent.source;
    news.remote = sent.destination;
    news.source_port = net::load<net::Be16>(quote.data() + sent_header).value();
    news.dstport = net::load<net::Be16>(quote.data() + sent_header + 2).value();
    news.length = sent.total_length.value();
    news.dont_fragment = (sent.fragment.value() & Ipv4Header::kDontFragment) != 0;
    news.mtu = static_cast<std::uint16_t>(icmp.rest.value());
    return news;
}

}  // namespace vxplane::control
