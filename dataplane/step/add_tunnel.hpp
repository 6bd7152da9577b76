// Encapsulation: the prebuilt outer header is copied in front of the frame, and what differs from
// packet to packet (lengths, VNI, source port, id, ECN, checksums) is patched.
#pragma once

#include <algorithm>
#include <cstring>

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/ecn.hpp"
#include "dataplane/net/flow_hash.hpp"
#include "dataplane/packet/large.hpp"
#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/add_special.hpp"
#include "dataplane/step/add_tunnel6.hpp"
#include "dataplane/step/clamp_mss.hpp"
#include "dataplane/step/context.hpp"
#include "dataplane/step/outer_checksum.hpp"

namespace vxplane::step {

/// Frames whose exit is local pass untouched. Leaves `out_port`.
class AddTunnel {
  public:
    explicit AddTunnel(const Context& ctx, std::uint16_t /*in_port*/ = 0) noexcept
        : tunnels_(ctx.tables->tunnels.data()), segments_(ctx.tables->segments.data()) {}

    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta,
                               Context& ctx) const noexcept {
        using packet::DropReason;
        using packet::Verdict;
        if (meta.out_port != table::kNoPort) {
            return Verdict::go_on();
        }
        const table::Tunnel& tunnel = tunnels_[meta.tunnel];
        const std::uint32_t frame = p.length();
        if (frame > tunnel.max_frame ||
            frame > segments_[meta.segment].max_frame + meta.tag_bytes()) [[unlikely]] {
            const Verdict verdict = judge_long(p.mbuf(), tunnel, segments_[meta.segment], meta);
            if (!verdict.goes_on()) {
                return verdict;
            }
        }
        if (tunnel.state != table::TunnelState::ready) [[unlikely]] {
            const Written6 done = not_ready(p.mbuf(), tunnel, meta, ctx);
            p = packet::Packet(done.mbuf);
            return done.verdict;
        }
        return put_header(p, tunnel, meta, frame, ctx);
    }

    /// Whatever its length: the caller cuts what comes of it.
    [[gnu::noinline]] static packet::Verdict add_unjudged(packet::Packet& p,
                                                          packet::PacketMeta& meta,
                                                          Context& ctx) noexcept {
        const table::Tunnel& tunnel = ctx.tables->tunnels[meta.tunnel];
        if (tunnel.state != table::TunnelState::ready) {
            const Written6 done = not_ready(p.mbuf(), tunnel, meta, ctx);
            p = packet::Packet(done.mbuf);
            return done.verdict;
        }
        return put_header(p, tunnel, meta, p.length(), ctx);
    }

    /// Puts the header of a tunnel over IPv4 in front of a frame that fits there.
    [[gnu::always_inline]] static packet::Verdict put_header(packet::Packet& p,
                                                             const table::Tunnel& tunnel,
                                                             packet::PacketMeta& meta,
                                                             std::uint32_t frame,
                                                             Context& ctx) noexcept {
        using packet::DropReason;
        using packet::Verdict;
        if (p.headroom() < sizeof(table::Tunnel) || !p.is_exclusive()) [[unlikely]] {
            rte_mbuf* header = own_buffer(*ctx.pools);
            if (header == nullptr) {
                return Verdict::drop(DropReason::tunnel_no_headroom);
            }
            p.chain_behind(header);
        }
        std::byte* line = p.grow_front(kHeader) - table::Tunnel::kPrefix;
        write_header(line, tunnel, meta, frame, p.mbuf()->nb_segs, ctx);
        if ((tunnel.flags & kMore) != 0) {
            if ((tunnel.flags & kRare) != 0) {
                p = packet::Packet(add_rare(p.mbuf(), tunnel, meta, ctx));
            }
            if ((tunnel.flags & table::Tunnel::kUdpChecksum) != 0) {
                add_udp_checksum(p.mbuf(), meta, ctx);
            }
        }
        meta.out_port = tunnel.out_port;
        meta.tunnel_bytes = kHeader;
        return Verdict::go_on();
    }

  private:
    static constexpr std::uint8_t kHeader = net::kVxlanIpv4Overhead;
    static constexpr std::uint8_t kRare =
        table::Tunnel::kInherits | table::Tunnel::kClampMss | table::Tunnel::kGroupPolicy;
    static constexpr std::uint8_t kMore = table::Tunnel::kUdpChecksum | kRare;
    static constexpr std::uint32_t kIp = sizeof(net::EthernetHeader);
    static constexpr std::uint32_t kUdp = kIp + sizeof(net::Ipv4Header);

    [[gnu::noinline]] static rte_mbuf* add_rare(rte_mbuf* mbuf, const table::Tunnel& tunnel,
                                                const packet::PacketMeta& meta,
                                                Context& ctx) noexcept {
        if ((tunnel.flags & table::Tunnel::kGroupPolicy) != 0 && meta.policy.is_given()) {
            auto* vxlan =
                rte_pktmbuf_mtod_offset(mbuf, net::VxlanHeader*, kUdp + sizeof(net::UdpHeader));
            vxlan->flags = net::VxlanHeader::flags_with(meta.policy);
        }
        if ((tunnel.flags & table::Tunnel::kClampMss) != 0) {
            mbuf = clamp_mss_into(mbuf, kHeader, tunnel, meta, ctx);
        }
        if ((tunnel.flags & table::Tunnel::kInherits) != 0 && meta.inner_is_ip) {
            inherit(mbuf, meta.l3_offset, tunnel.flags);
        }
        return mbuf;
    }

    /// A large packet is judged by the frames that the exit is going to cut it into. Whose datagram
    /// may not be fragmented is told what fits; control knows the further rules. One of many copies
    /// is dropped, ready for control: its flood lets the sender be told once, not for each remote.
    [[gnu::noinline]] static packet::Verdict judge_long(const rte_mbuf* mbuf,
                                                        const table::Tunnel& tunnel,
                                                        const table::Segment& segment,
                                                        packet::PacketMeta& meta) noexcept {
        using packet::DropReason;
        constexpr std::uint32_t kMost = 0xFFFF - (kHeader - sizeof(net::EthernetHeader));
        const std::uint32_t piece = packet::longest_inner(mbuf);
        const bool fits_segment = piece <= segment.max_frame + meta.tag_bytes();
        if (mbuf->pkt_len <= kMost && piece <= tunnel.max_frame && fits_segment) {
            return packet::Verdict::go_on();
        }
        const auto* ip = rte_pktmbuf_mtod_offset(mbuf, const net::Ipv4Header*, meta.l3_offset);
        const bool cuttable = mbuf->pkt_len <= kMost && !packet::is_large(mbuf);
        if (cuttable && (segment.watch & table::watch::kFragmentInner) != 0 && meta.inner_is_ip &&
            ip->version() == 4 && (ip->fragment.value() & net::Ipv4Header::kDontFragment) == 0) {
            return packet::Verdict::divert(packet::Lane::too_long);
        }
        if (cuttable && (tunnel.special & table::Tunnel::kFragments) != 0 && fits_segment &&
            !asks_for_size(*ip, tunnel, meta)) {
            return packet::Verdict::divert(packet::Lane::too_long);
        }
        const bool told =
            meta.inner_is_ip &&
            (ip->version() == 6 || (ip->fragment.value() & net::Ipv4Header::kDontFragment) != 0);
        if (!told) {
            return packet::Verdict::drop(DropReason::tunnel_oversize);
        }
        const std::uint32_t longest = std::min<std::uint32_t>(
            tunnel.max_frame - std::min<std::uint32_t>(meta.tag_bytes(), tunnel.max_frame),
            segment.max_frame);
        meta.tunnel = longest - std::min<std::uint32_t>(kIp, longest);
        meta.punt = packet::Punt::too_big;
        meta.if_refused = DropReason::tunnel_oversize;
        return meta.one_of_many ? packet::Verdict::drop(DropReason::tunnel_oversize)
                                : packet::Verdict::divert(packet::Lane::control);
    }

    /// As the kernel's skb_tunnel_check_pmtu(): whose sender is told what fits, though its tunnel
    /// could leave in fragments. Where nobody may be told (groups, senders that are none), it does.
    static bool asks_for_size(const net::Ipv4Header& ip, const table::Tunnel& tunnel,
                              const packet::PacketMeta& meta) noexcept {
        constexpr std::uint32_t kLeast4 = 576;   // RFC 791 section 3.1: what every host takes
        constexpr std::uint32_t kLeast6 = 1280;  // RFC 8200 section 5
        // Of a flood to a group nobody is told.
        const bool group = ((meta.destination_key >> 16) & net::kMacGroupBit) != 0;
        if (!meta.inner_is_ip || (meta.one_of_many && group) || meta.tag_bytes() != 0) {
            return false;
        }
        if (ip.version() == 6) {
            const auto& v6 = reinterpret_cast<const net::Ipv6Header&>(ip);
            return tunnel.max_frame >= kIp + kLeast6 && !net::IpAddress(v6.source).is_unset();
        }
        const bool to_group = ip.destination.is_multicast() || ip.destination.number() == ~0U;
        return tunnel.max_frame >= kIp + kLeast4 && !to_group && ip.source.is_unicast() &&
               !ip.source.is_loopback() && ip.fragment.value() == net::Ipv4Header::kDontFragment;
    }

    /// Tunnels over IPv6 come by here, too: those over IPv4 do not pay for them.
    [[gnu::noinline]] static Written6 not_ready(rte_mbuf* mbuf, const table::Tunnel& tunnel,
                                                packet::PacketMeta& meta, Context& ctx) noexcept {
        if (tunnel.state == table::TunnelState::ipv6) {
            return add_tunnel6(mbuf, tunnel, meta, ctx);
        }
        if (tunnel.state == table::TunnelState::special) {
            return add_special(mbuf, tunnel, meta, ctx);
        }
        if (tunnel.state == table::TunnelState::local) {
            return {mbuf, packet::Verdict::divert(packet::Lane::bypass)};
        }
        if (tunnel.state == table::TunnelState::refused) {
            return {mbuf, packet::Verdict::drop(tunnel.refusal)};
        }
        const bool waiting = tunnel.state == table::TunnelState::waiting;
        meta.punt = waiting ? packet::Punt::unresolved : packet::Punt::unreachable;
        meta.if_refused = waiting ? packet::DropReason::none : tunnel.refusal;
        return {mbuf, packet::Verdict::divert(packet::Lane::control)};
    }

    /// For the header of a frame that is shared or has no headroom.
    [[gnu::noinline]] static rte_mbuf* own_buffer(port::WorkerPools& pools) noexcept {
        rte_mbuf* header = pools.header();
        if (header != nullptr) {
            header->data_len = 0;
        }
        return header;
    }

    static void write_header(std::byte* line, const table::Tunnel& tunnel,
                             const packet::PacketMeta& meta, std::uint32_t frame,
                             std::uint16_t buffers, Context& ctx) noexcept {
        std::memcpy(line, &tunnel, sizeof tunnel);
        std::byte* outer = line + table::Tunnel::kPrefix;
        auto* ip = reinterpret_cast<net::Ipv4Header*>(outer + kIp);
        auto* udp = reinterpret_cast<net::UdpHeader*>(outer + kUdp);
        auto* vxlan = reinterpret_cast<net::VxlanHeader*>(outer + kUdp + sizeof(net::UdpHeader));

        const std::uint32_t udp_length = frame + sizeof(net::UdpHeader) + sizeof(net::VxlanHeader);
        const std::uint32_t ip_length = udp_length + sizeof(net::Ipv4Header);
        std::uint32_t ecn = meta.inner_tos & net::kEcnMask;
        std::uint16_t id = 0;
        if ((tunnel.flags & table::Tunnel::kChangingId) != 0) [[likely]] {
            id = ctx.next_ip_id;
            // A large packet leaves as several, each with an id of its own.
            ctx.next_ip_id = static_cast<std::uint16_t>(id + buffers);
        }
        if ((tunnel.flags & table::Tunnel::kEcnRfc3168) != 0) [[unlikely]] {
            ecn = net::ecn_outside(meta.inner_tos, net::EcnMode::rfc3168);
        }
        ip->tos = static_cast<std::uint8_t>(tunnel.ip.tos | ecn);
        ip->total_length = net::Be16::of(static_cast<std::uint16_t>(ip_length));
        ip->id = net::Be16::of(id);
        // The TOS byte is the low half of the header's first word.
        ip->checksum = net::finish_host(tunnel.ip_sum + ip_length + id + ecn);
        udp->source = net::Be16::of(static_cast<std::uint16_t>(
            tunnel.source_port_lo + net::scale(meta.flow_hash, tunnel.source_port_span)));
        udp->length = net::Be16::of(static_cast<std::uint16_t>(udp_length));
        vxlan->vni_reserved = net::Be32::from_wire(meta.vni_word);
    }

    // Apart from the common way, which keeps its registers.
    /// As the kernel's vxlan_xmit_one() and ip_tunnel_get_ttl(); the inner frame has a whole IP
    /// header at `l3_offset`.
    static void inherit(rte_mbuf* mbuf, std::uint32_t l3_offset, std::uint8_t flags) noexcept {
        auto& outer = *rte_pktmbuf_mtod_offset(mbuf, net::Ipv4Header*, kIp);
        // The inner frame begins behind the header, or in a buffer of its own.
        const std::byte* inner = mbuf->data_len > kHeader
                                     ? rte_pktmbuf_mtod_offset(mbuf, std::byte*, kHeader)
                                     : rte_pktmbuf_mtod(mbuf->next, std::byte*);
        inner += l3_offset;
        const auto& v4 = *reinterpret_cast<const net::Ipv4Header*>(inner);
        const auto& v6 = *reinterpret_cast<const net::Ipv6Header*>(inner);
        const bool is_v4 = v4.version() == 4;
        if ((flags & table::Tunnel::kInheritTtl) != 0) {
            const std::uint8_t ttl = is_v4 ? v4.ttl : v6.hop_limit;
            outer.ttl = ttl == 0 ? outer.ttl : ttl;
        }
        if ((flags & table::Tunnel::kInheritTos) != 0) {
            const std::uint8_t tos = is_v4 ? v4.tos : v6.traffic_class();
            outer.tos =
                static_cast<std::uint8_t>((outer.tos & net::kEcnMask) | (tos & ~net::kEcnMask));
        }
        if ((flags & table::Tunnel::kInheritDf) != 0 &&
            (!is_v4 || (v4.fragment.value() & net::Ipv4Header::kDontFragment) != 0)) {
            outer.fragment = net::Be16::of(net::Ipv4Header::kDontFragment);
        }
        outer.checksum = {};
        outer.checksum = net::finish(net::add_bytes(0, &outer, sizeof outer));
    }
    [[gnu::noinline]] static void add_udp_checksum(rte_mbuf* mbuf, const packet::PacketMeta& meta,
                                                   const Context& ctx) noexcept {
        const auto* ip = rte_pktmbuf_mtod_offset(mbuf, const net::Ipv4Header*, kIp);
        const auto* udp = rte_pktmbuf_mtod_offset(mbuf, const net::UdpHeader*, kUdp);
        put_udp_checksum(
            mbuf, kUdp,
            net::pseudo_header(ip->source, ip->destination, ip->protocol, udp->length.value()),
            meta, ctx);
    }

    const table::Tunnel* tunnels_;
    const table::Segment* segments_;
};

}  // namespace vxplane::step
