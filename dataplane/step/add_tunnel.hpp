// Encapsulation: the prebuilt outer header is copied in front of the frame, and what differs from
// packet to packet (lengths, VNI, source port, id, ECN, checksums) is patched.
#pragma once

#include <cstring>

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/ecn.hpp"
#include "dataplane/net/flow_hash.hpp"
#include "dataplane/packet/chain_sum.hpp"
#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

/// Frames whose exit is local pass untouched. Leaves `out_port`.
struct AddTunnel {
    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta,
                               Context& ctx) const noexcept {
        using packet::DropReason;
        using packet::Verdict;
        if (meta.out_port != table::kNoPort) {
            return Verdict::go_on();
        }
        const table::Tunnel& tunnel = ctx.tables->tunnels[meta.tunnel];
        const std::uint32_t frame = p.length();
        if (frame > tunnel.max_frame ||
            frame > ctx.tables->segments[meta.segment].max_frame + meta.tag_bytes()) {
            return Verdict::drop(DropReason::tunnel_oversize);
        }
        if (tunnel.state != table::TunnelState::ready) [[unlikely]] {
            return not_ready(tunnel, meta);
        }
        std::byte* line = room_for_header(p, ctx);
        if (line == nullptr) [[unlikely]] {
            return Verdict::drop(DropReason::tunnel_no_headroom);
        }
        write_header(line, tunnel, meta, frame, ctx);
        if ((tunnel.flags & table::Tunnel::kUdpChecksum) != 0) {
            add_udp_checksum(p.mbuf());
        }
        meta.out_port = tunnel.out_port;
        meta.counts_segment = true;
        return Verdict::go_on();
    }

  private:
    static constexpr std::uint16_t kHeader = net::kVxlanIpv4Overhead;
    static constexpr std::uint32_t kIp = sizeof(net::EthernetHeader);
    static constexpr std::uint32_t kUdp = kIp + sizeof(net::Ipv4Header);

    static packet::Verdict not_ready(const table::Tunnel& tunnel,
                                     packet::PacketMeta& meta) noexcept {
        if (tunnel.state == table::TunnelState::refused) {
            return packet::Verdict::drop(tunnel.refusal);
        }
        const bool waiting = tunnel.state == table::TunnelState::waiting;
        meta.punt = waiting ? packet::Punt::unresolved : packet::Punt::unreachable;
        meta.if_refused = waiting ? packet::DropReason::none : tunnel.refusal;
        return packet::Verdict::divert(packet::Lane::control);
    }

    /// Where the 64-byte line is to be written; the frame has then grown by the outer header.
    /// A frame that is shared or has no headroom gets a buffer of its own for the header.
    static std::byte* room_for_header(packet::Packet& p, Context& ctx) noexcept {
        if (p.headroom() < sizeof(table::Tunnel) || !p.is_exclusive()) [[unlikely]] {
            rte_mbuf* header = ctx.pools->header();
            if (header == nullptr) {
                return nullptr;
            }
            header->data_len = 0;
            p.chain_behind(header);
        }
        return p.grow_front(kHeader) - table::Tunnel::kPrefix;
    }

    static void write_header(std::byte* line, const table::Tunnel& tunnel,
                             const packet::PacketMeta& meta, std::uint32_t frame,
                             Context& ctx) noexcept {
        std::memcpy(line, &tunnel, sizeof tunnel);
        std::byte* outer = line + table::Tunnel::kPrefix;
        auto* ip = reinterpret_cast<net::Ipv4Header*>(outer + kIp);
        auto* udp = reinterpret_cast<net::UdpHeader*>(outer + kUdp);
        auto* vxlan = reinterpret_cast<net::VxlanHeader*>(outer + kUdp + sizeof(net::UdpHeader));

        const auto udp_length =
            static_cast<std::uint16_t>(frame + sizeof(net::UdpHeader) + sizeof(net::VxlanHeader));
        const auto ip_length =
            net::Be16::of(static_cast<std::uint16_t>(udp_length + sizeof(net::Ipv4Header)));
        const auto mode = (tunnel.flags & table::Tunnel::kEcnRfc3168) != 0 ? net::EcnMode::rfc3168
                                                                           : net::EcnMode::rfc6040;
        const std::uint8_t ecn = net::ecn_outside(meta.inner_tos, mode);
        net::Be16 id;
        if ((tunnel.flags & table::Tunnel::kChangingId) != 0) {
            id = net::Be16::of(ctx.next_ip_id++);
        }
        ip->tos = static_cast<std::uint8_t>(tunnel.ip.tos | ecn);
        ip->total_length = ip_length;
        ip->id = id;
        // The TOS byte is the low half of the header's first big-endian word.
        ip->checksum = net::finish(net::Sum{tunnel.ip_sum} + ip_length.wire() + id.wire() +
                                   net::Be16::of(ecn).wire());
        udp->source = net::Be16::of(static_cast<std::uint16_t>(
            tunnel.source_port_lo + net::scale(meta.flow_hash, tunnel.source_port_span)));
        udp->length = net::Be16::of(udp_length);
        vxlan->vni_reserved = net::Be32::from_wire(meta.vni_word);
    }

    // Apart from the common way, which keeps its registers.
    [[gnu::noinline]] static void add_udp_checksum(rte_mbuf* mbuf) noexcept {
        const auto* ip = rte_pktmbuf_mtod_offset(mbuf, const net::Ipv4Header*, kIp);
        auto* udp = rte_pktmbuf_mtod_offset(mbuf, net::UdpHeader*, kUdp);
        const std::uint16_t length = udp->length.value();
        udp->checksum = net::udp_finish(
            packet::add_chain(net::pseudo_header(ip->source, ip->destination, ip->protocol, length),
                              mbuf, kUdp, length));
    }
};

}  // namespace vxplane::step
