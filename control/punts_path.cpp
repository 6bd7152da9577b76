// What is said about the paths of tunnels: routers of the underlay that a packet of ours was too
// long for, and tenants that are to send shorter ones.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "control/apply/words.hpp"
#include "control/punts.hpp"
#include "control/punts_held.hpp"
#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/icmpv6.hpp"
#include "dataplane/path/rare_tunnels.hpp"
#include "dataplane/step/add_tunnel.hpp"

namespace vxplane::control {

namespace {

/// Who sent an ICMP message about a packet that was too long, or unreachable; none for other
/// messages.
std::optional<net::IpAddress> teller_of_path(std::span<const std::byte> frame) {
    constexpr std::size_t kIp = sizeof(net::EthernetHeader);
    const auto type =
        frame.size() < kIp ? net::Be16{} : net::load<net::EthernetHeader>(frame.data()).type;
    const auto begins_with = [frame](std::size_t at, std::uint8_t wanted) {
        return at < frame.size() && static_cast<std::uint8_t>(frame[at]) == wanted;
    };
    if (type == net::ether_type::kIpv4 && frame.size() >= kIp + sizeof(net::Ipv4Header)) {
        const auto ip = net::load<net::Ipv4Header>(frame.data() + kIp);
        return begins_with(kIp + ip.header_length(), net::IcmpHeader::kUnreachable)
                   ? std::optional<net::IpAddress>(ip.source)
                   : std::nullopt;
    }
    if (type == net::ether_type::kIpv6 && frame.size() >= kIp + sizeof(net::Ipv6Header)) {
        const net::Ipv6Upper upper = net::upper_of(frame.data() + kIp, frame.size() - kIp);
        return upper.is_whole && begins_with(kIp + upper.offset, net::Icmpv6Header::kPacketTooBig)
                   ? std::optional(
                         net::IpAddress(net::load<net::Ipv6Header>(frame.data() + kIp).source))
                   : std::nullopt;
    }
    return std::nullopt;
}

}  // namespace

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
        send_to_tenant(item.in_port, item.segment, std::span(out).first(made.size));
    }
}

// While it waited, its segment or tunnel came to take less. True when it was dropped here.
bool Punts::told_of_held(packet::Packet p, const packet::PacketMeta& meta) {
    if (meta.in_port >= context_.tables->ports.size() ||
        p.at<net::EthernetHeader>(0)->destination.is_group()) {
        return false;
    }
    path::PuntItem item;
    item.mbuf = p.mbuf();
    item.tunnel = meta.tunnel;  // what fits
    item.segment = meta.segment;
    item.in_port = meta.in_port;
    item.why = meta.punt;
    item.if_refused = meta.if_refused;
    take_refused(item);
    return true;
}

void Punts::send_in_fragments(packet::Packet p, packet::PacketMeta& meta) {
    const std::uint32_t longest = context_.tables->tunnels[meta.tunnel].max_frame;
    const packet::Verdict verdict = step::AddTunnel::add_unjudged(p, meta, context_);
    if (!verdict.goes_on()) {
        drop(p.mbuf(), verdict.is_drop() ? verdict.reason() : packet::DropReason::neigh_failed);
        return;
    }
    const auto mtu =
        static_cast<std::uint32_t>(longest + meta.tunnel_bytes - sizeof(net::EthernetHeader));
    path::OuterFragments fragments(p.mbuf(), mtu, path::fragment_id(meta, context_),
                                   machine_.control_pools());
    if (!fragments.possible()) {
        ++counters_.dropped;
        ++counters_.drops[static_cast<std::size_t>(packet::DropReason::tunnel_oversize)];
        return;
    }
    ++counters_.consumed;
    while (fragments.left()) {
        if (rte_mbuf* one = fragments.next(); one != nullptr) {
            ++counters_.made;
            forward(one, meta.out_port);
        } else {
            ++counters_.no_buffer;
        }
    }
}

bool Punts::has_vni(const PathMtuNews& news) const {
    const net::Vni vni{*news.vni};
    const table::Tables& tables = *publisher_.current();
    if (tables.vnis->contains(table::vni_key(news.dstport, vni, !news.remote.is_v4())) ||
        (vni.number != 0 && tunnels_->sends(news.remote, news.dstport, vni.number))) {
        return true;
    }
    // To a UDP port that is not that of the segment.
    const auto is_used = [vni](const table::Segment& segment) {
        return segment.in_use && segment.vni == vni;
    };
    return tunnels_->sends(news.remote, news.dstport, 0) &&
           std::any_of(tables.segments.begin(), tables.segments.end(), is_used);
}

void Punts::answer_closed(const path::PuntItem& item) {
    // Segments are numbered from 0 on: nobody's.
    constexpr std::uint32_t kUnderlay = 0x10000;
    std::array<std::byte, kIcmpErrorFrame> out{};
    std::array<std::byte, kQuoted> room;
    const std::span<const std::byte> frame = head_of(item.mbuf, room);
    if (frame.size() < sizeof(net::EthernetHeader) + sizeof(net::Ipv6Header)) {
        return;
    }
    const std::byte* at = frame.data() + sizeof(net::EthernetHeader);
    const bool ipv6 = net::load<net::EthernetHeader>(frame.data()).type == net::ether_type::kIpv6;
    const net::IpAddress source = ipv6 ? net::IpAddress(net::load<net::Ipv6Header>(at).source)
                                       : net::IpAddress(net::load<net::Ipv4Header>(at).source);
    const net::IpAddress ours = ipv6 ? net::IpAddress(net::load<net::Ipv6Header>(at).destination)
                                     : net::IpAddress(net::load<net::Ipv4Header>(at).destination);
    const IcmpMade made =
        make_router_error(frame, ours, IcmpError::port_unreachable, 0, out, item.mbuf->pkt_len);
    if (made && limiter_.allow(kUnderlay, source, Neighbours::Clock::now())) {
        send_made(item.in_port, std::span(out).first(made.size));
    }
}

bool Punts::take_path_mtu(const path::PuntItem& item, Time now) {
    std::array<std::byte, kQuoted> room;
    const std::span<const std::byte> frame = head_of(item.mbuf, room);
    const auto router = teller_of_path(frame);
    if (!router) {
        return false;
    }
    const PathMtuNews news = read_path_mtu(frame);
    const bool possible = news.is_whole && (!news.vni || has_vni(news));
    switch (possible ? tunnels_->learn_path_mtu(news, now) : PathMtuResult::forged) {
        case PathMtuResult::lowered:
            spdlog::info("path to {} takes packets of {} bytes, says {}", text(news.remote),
                         tunnels_->path_mtu(news.remote).value_or(0), text(*router));
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
