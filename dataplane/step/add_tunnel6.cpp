#include "dataplane/step/add_tunnel6.hpp"

#include <cstring>

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/ecn.hpp"
#include "dataplane/net/flow_hash.hpp"
#include "dataplane/step/clamp_mss.hpp"
#include "dataplane/step/outer_checksum.hpp"

namespace vxplane::step {

namespace {

using table::Tunnel6;

constexpr std::uint16_t kHeader = net::kVxlanIpv6Overhead;
constexpr std::uint32_t kIp = sizeof(net::EthernetHeader);
constexpr std::uint32_t kUdp = kIp + sizeof(net::Ipv6Header);
constexpr std::uint32_t kVxlan = kUdp + sizeof(net::UdpHeader);

/// As the kernel's vxlan_xmit_one(); `inner` is a whole IP header. What is not inherited is told
/// by `outer`.
void inherit(net::Ipv6Header& outer, std::uint32_t& traffic_class, const std::byte* inner,
             std::uint8_t flags) noexcept {
    const auto& v4 = net::view<net::Ipv4Header>(inner);
    const auto& v6 = net::view<net::Ipv6Header>(inner);
    const bool is_v4 = v4.version() == 4;
    if ((flags & Tunnel6::kInheritTtl) != 0) {
        const std::uint8_t ttl = is_v4 ? v4.ttl : v6.hop_limit;
        outer.hop_limit = ttl == 0 ? outer.hop_limit : ttl;
    }
    if ((flags & Tunnel6::kInheritTos) != 0) {
        const std::uint32_t tos = is_v4 ? v4.tos : v6.traffic_class();
        traffic_class = tos & ~std::uint32_t{net::kEcnMask};
    }
}

/// The inner frame begins behind the header, or in a buffer of its own.
const std::byte* inner_of(const rte_mbuf* mbuf) noexcept {
    return mbuf->data_len > kHeader ? rte_pktmbuf_mtod_offset(mbuf, const std::byte*, kHeader)
                                    : rte_pktmbuf_mtod(mbuf->next, const std::byte*);
}

void write_header(rte_mbuf* mbuf, const Tunnel6& line, const packet::PacketMeta& meta,
                  std::uint32_t frame, const Context& ctx) noexcept {
    auto* outer = rte_pktmbuf_mtod(mbuf, std::byte*);
    std::memcpy(outer, &line.ethernet, kHeader);
    auto& ip = *reinterpret_cast<net::Ipv6Header*>(outer + kIp);
    auto& udp = *reinterpret_cast<net::UdpHeader*>(outer + kUdp);
    auto& vxlan = *reinterpret_cast<net::VxlanHeader*>(outer + kVxlan);

    std::uint32_t first = line.ip.version_class_label.value();
    if ((line.flags & (Tunnel6::kInheritTtl | Tunnel6::kInheritTos)) != 0 && meta.inner_is_ip) {
        std::uint32_t traffic_class = line.ip.traffic_class();
        inherit(ip, traffic_class, inner_of(mbuf) + meta.l3_offset, line.flags);
        first = (first & ~(std::uint32_t{0xFF} << net::Ipv6Header::kClassShift)) |
                traffic_class << net::Ipv6Header::kClassShift;
    }
    const std::uint32_t ecn = net::ecn_outside(
        meta.inner_tos,
        (line.flags & Tunnel6::kEcnRfc3168) != 0 ? net::EcnMode::rfc3168 : net::EcnMode::rfc6040);
    first |= ecn << net::Ipv6Header::kClassShift;
    if ((line.flags & Tunnel6::kInheritLabel) != 0 && meta.inner_is_ip) {
        const auto& inner = net::view<net::Ipv6Header>(inner_of(mbuf) + meta.l3_offset);
        first |= inner.version() == 6
                     ? inner.version_class_label.value() & net::Ipv6Header::kLabelMask
                     : 0;
    }
    if ((line.flags & Tunnel6::kLabelFromFlow) != 0) {
        // Other bits of the hash than those that choose the source port first.
        first |= meta.flow_hash & net::Ipv6Header::kLabelMask;
    }
    ip.version_class_label = net::Be32::of(first);
    const auto length = static_cast<std::uint16_t>(frame + kHeader - kUdp);
    ip.payload_length = net::Be16::of(length);
    udp.source = net::Be16::of(static_cast<std::uint16_t>(
        line.source_port_lo + net::scale(meta.flow_hash, line.source_port_span)));
    udp.length = net::Be16::of(length);
    vxlan.vni_reserved = net::Be32::from_wire(meta.vni_word);
    if ((line.flags & Tunnel6::kUdpChecksum) != 0) {
        put_udp_checksum(mbuf, kUdp, net::Sum{line.address_sum} + net::Be16::of(length).wire(),
                         meta, ctx);
    }
}

[[gnu::always_inline]] inline Written6 put_header(rte_mbuf* mbuf, const table::Tunnel& tunnel,
                                                  const Tunnel6& line, packet::PacketMeta& meta,
                                                  Context& ctx) noexcept {
    packet::Packet p(mbuf);
    const std::uint32_t frame = p.length();
    if (p.headroom() < kHeader || !p.is_exclusive()) [[unlikely]] {
        rte_mbuf* header = ctx.pools->header();
        if (header == nullptr) {
            return {mbuf, packet::Verdict::drop(packet::DropReason::tunnel_no_headroom)};
        }
        header->data_len = 0;
        p.chain_behind(header);
    }
    p.grow_front(kHeader);
    write_header(p.mbuf(), line, meta, frame, ctx);
    meta.out_port = tunnel.out_port;
    meta.tunnel_bytes = kHeader;
    return {p.mbuf(), packet::Verdict::go_on()};
}

/// A tunnel that clamps, or whose headers tell group policies or what is inside.
[[gnu::noinline]] Written6 add_rare(rte_mbuf* mbuf, const table::Tunnel& tunnel,
                                    packet::PacketMeta& meta, Context& ctx) noexcept {
    Tunnel6 line = ctx.tables->tunnels6[tunnel.line6()];
    if ((tunnel.flags & table::Tunnel::kGroupPolicy) != 0 && meta.policy.is_given()) {
        line.vxlan.flags = net::VxlanHeader::flags_with(meta.policy);
    }
    if ((tunnel.special & table::Tunnel::kGpe) != 0) {
        line.vxlan.flags = tunnel.vxlan.flags;
    }
    if ((tunnel.flags & table::Tunnel::kClampMss) != 0) {
        mbuf = clamp_mss_into(mbuf, 0, tunnel, meta, ctx);
    }
    return put_header(mbuf, tunnel, line, meta, ctx);
}

}  // namespace

Written6 add_tunnel6(rte_mbuf* mbuf, const table::Tunnel& tunnel, packet::PacketMeta& meta,
                     Context& ctx) noexcept {
    if ((tunnel.flags & (table::Tunnel::kClampMss | table::Tunnel::kGroupPolicy)) != 0 ||
        (tunnel.special & table::Tunnel::kGpe) != 0) {
        return add_rare(mbuf, tunnel, meta, ctx);
    }
    return put_header(mbuf, tunnel, ctx.tables->tunnels6[tunnel.line6()], meta, ctx);
}

}  // namespace vxplane::step
