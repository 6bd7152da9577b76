// What is said about the paths of tunnels: routers of the underlay that a packet of ours was too
// long for, and tenants that are to send shorter ones.
#include <spdlog/spdlog.h>

#include "control/apply/words.hpp"
#include "control/punts.hpp"
#include "control/punts_held.hpp"
#include "dataplane/net/flow_hash.hpp"

namespace vxplane::control {

void Punts::answer_too_big(const path::PuntItem& item) {
    std::array<std::byte, kIcmpErrorFrame> out{};
    std::array<std::byte, kQuoted> room;
    const std::span<const std::byte> bytes = head_of(item.mbuf, room);
    const IcmpMade made =
        make_too_big(bytes, static_cast<std::uint16_t>(item.tunnel), out, item.mbuf->pkt_len);
    if (!made) {
        return;
    }
    const auto shape = net::shape_of(bytes.data(), bytes.size());
    const std::byte* ip = bytes.data() + shape.l3_offset;
    const net::IpAddress source = shape.type == net::ether_type::kIpv6
                                      ? net::IpAddress(net::load<net::Ipv6Header>(ip).source)
                                      : net::IpAddress(net::load<net::Ipv4Header>(ip).source);
    if (limiter_.allow(item.segment, source, Neighbours::Clock::now())) {
        send_made(item.in_port, std::span(out).first(made.size));
    }
}

bool Punts::take_path_mtu(const path::PuntItem& item, Time now) {
    std::array<std::byte, kQuoted> room;
    const std::span<const std::byte> frame = head_of(item.mbuf, room);
    constexpr std::size_t kIp = sizeof(net::EthernetHeader);
    if (frame.size() < kIp + sizeof(net::Ipv4Header) ||
        net::load<net::EthernetHeader>(frame.data()).type != net::ether_type::kIpv4) {
        return false;
    }
    const auto ip = net::load<net::Ipv4Header>(frame.data() + kIp);
    const std::size_t at = kIp + ip.header_length();
    if (at >= frame.size() ||
        static_cast<std::uint8_t>(frame[at]) != net::IcmpHeader::kUnreachable) {
        return false;
    }
    const PathMtuNews news = read_path_mtu(frame);
    switch (news.is_whole ? tunnels_->learn_path_mtu(news, now) : PathMtuResult::forged) {
        case PathMtuResult::lowered:
            spdlog::info("path to {} takes packets of {} bytes, says {}", text(news.remote),
                         tunnels_->path_mtu(news.remote).value_or(0), text(ip.source));
            break;
        case PathMtuResult::known:
            break;
        case PathMtuResult::forged:
            ++path_mtu_forged_;
            break;
    }
    consume(item.mbuf);
    return true;
}

}  // namespace vxplane::control
