#include "dataplane/path/rare_tunnels.hpp"

#include <cstring>

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/icmpv6.hpp"
#include "dataplane/path/flood.hpp"
#include "dataplane/path/fragments.hpp"
#include "dataplane/step/check_inner.hpp"

namespace vxplane::path {

namespace {

using packet::DropReason;

constexpr std::uint32_t kMacHeader = sizeof(net::EthernetHeader);
constexpr std::uint32_t kFragmentHeader = 8;  // RFC 8200 section 4.5

/// Offset and flags of an IPv6 fragment header.
constexpr std::uint16_t kMoreFragments6 = 1;

void drop_too_long(packet::Packet p, const packet::PacketMeta& meta, Exit& exit) noexcept {
    note_refusal(exit, meta, DropReason::tunnel_oversize);
    exit.drop(p.mbuf(), DropReason::tunnel_oversize);
}

void send_outer(packet::Packet p, packet::PacketMeta& meta, step::Context& ctx,
                Exit& exit) noexcept {
    const table::Tunnel& tunnel = ctx.tables->tunnels[meta.tunnel];
    const std::uint32_t longest = tunnel.max_frame;
    const packet::Verdict verdict = step::AddTunnel::add_unjudged(p, meta, ctx);
    if (!verdict.goes_on()) {
        if (verdict.is_drop()) {
            note_refusal(exit, meta, verdict.reason());
            exit.drop(p.mbuf(), verdict.reason());
        } else {
            exit.to_control(p.mbuf(), meta);
        }
        return;
    }
    const std::uint32_t inner = p.length() - meta.tunnel_bytes;
    OuterFragments fragments(p.mbuf(), longest + meta.tunnel_bytes - kMacHeader,
                             fragment_id(meta, ctx), *ctx.pools);
    if (!fragments.possible()) {
        note_refusal(exit, meta, DropReason::tunnel_oversize);
        exit.count_drop(DropReason::tunnel_oversize);
        return;
    }
    bool whole = true;
    std::uint64_t made = 0;
    while (fragments.left()) {
        ++made;
        if (rte_mbuf* one = fragments.next(); one != nullptr) {
            exit.send(one, meta.out_port);
        } else {
            exit.count_drop(DropReason::route_no_fragment);
            whole = false;
        }
    }
    // A frame some of which is missing was not sent.
    if (whole) {
        SegmentCounters& segment = exit.counters().segments[meta.segment];
        segment.tx_packets.add(1);
        segment.tx_bytes.add(inner);
    } else {
        note_refusal(exit, meta, DropReason::route_no_fragment);
    }
    exit.counters().cut_frames.add(made - 1);
}

}  // namespace

std::uint32_t fragment_id(const packet::PacketMeta& meta, step::Context& ctx) noexcept {
    return (meta.flow_hash & 0xFFFF0000U) | ctx.next_ip_id++;
}

OuterFragments::OuterFragments(rte_mbuf* whole, std::uint32_t mtu, std::uint32_t id,
                               port::WorkerPools& pools) noexcept
    : whole_(whole), pools_(pools), id_(id), mtu_(mtu) {
    const auto* ip = rte_pktmbuf_mtod_offset(whole, const net::Ipv4Header*, kMacHeader);
    v6_ = ip->version() == 6;
    headers_ = kMacHeader + (v6_ ? sizeof(net::Ipv6Header) : sizeof(net::Ipv4Header));
    payload_ = whole->pkt_len - headers_;
    possible_ = mtu >= headers_ - kMacHeader + kFragmentHeader + 8 &&
                (v6_ || (ip->fragment.value() & net::Ipv4Header::kDontFragment) == 0);
}

rte_mbuf* OuterFragments::next() noexcept {
    const std::uint32_t extra = v6_ ? kFragmentHeader : 0;
    const std::uint32_t room = mtu_ - (headers_ - kMacHeader) - extra;
    const bool is_last = payload_ - done_ <= room;
    const std::uint32_t size = is_last ? payload_ - done_ : room & ~7U;
    const std::uint32_t at = done_;
    done_ += size;
    rte_mbuf* piece = pools_.packet();
    char* to = piece == nullptr
                   ? nullptr
                   : rte_pktmbuf_append(piece, static_cast<std::uint16_t>(headers_ + extra + size));
    if (to == nullptr) {
        rte_pktmbuf_free(piece);
        return nullptr;
    }
    piece->port = whole_->port;
    // The headers lie in the first buffer: they were just written.
    std::memcpy(to, rte_pktmbuf_mtod(whole_, const char*), headers_);
    char* payload = to + headers_ + extra;
    if (const void* bytes = rte_pktmbuf_read(whole_, headers_ + at, size, payload);
        bytes != payload) {
        std::memcpy(payload, bytes, size);
    }
    if (v6_) {
        auto& ip = *reinterpret_cast<net::Ipv6Header*>(to + kMacHeader);
        const auto offset =
            net::Be16::of(static_cast<std::uint16_t>(at | (is_last ? 0 : kMoreFragments6)));
        const net::Be32 id = net::Be32::of(id_);
        std::memset(to + headers_, 0, kFragmentHeader);
        to[headers_] = static_cast<char>(ip.next_header);
        std::memcpy(to + headers_ + 2, &offset, sizeof offset);
        std::memcpy(to + headers_ + 4, &id, sizeof id);
        ip.next_header = net::ipv6_extension::kFragment;
        ip.payload_length = net::Be16::of(static_cast<std::uint16_t>(extra + size));
        return piece;
    }
    auto& ip = *reinterpret_cast<net::Ipv4Header*>(to + kMacHeader);
    ip.total_length = net::Be16::of(static_cast<std::uint16_t>(sizeof ip + size));
    ip.fragment = net::Be16::of(
        static_cast<std::uint16_t>(at / 8 | (is_last ? 0 : net::Ipv4Header::kMoreFragments)));
    ip.checksum = {};
    ip.checksum = net::finish(net::add_bytes(0, &ip, sizeof ip));
    return piece;
}

void send_too_long(packet::Packet p, packet::PacketMeta& meta, step::Context& ctx,
                   Exit& exit) noexcept {
    const table::Segment& segment = ctx.tables->segments[meta.segment];
    if ((segment.watch & table::watch::kFragmentInner) == 0) {
        send_outer(p, meta, ctx, exit);
        return;
    }
    const std::uint32_t tags = meta.tag_bytes();
    const std::uint32_t longest = std::min<std::uint32_t>(
        ctx.tables->tunnels[meta.tunnel].max_frame, segment.max_frame + tags);
    if (longest <= meta.l3_offset || !is_whole_datagram(p, meta.l3_offset)) {
        drop_too_long(p, meta, exit);
        return;
    }
    cut_datagram(p, meta, meta.l3_offset, longest - meta.l3_offset, ctx, exit);
}

void bypass(packet::Packet p, packet::PacketMeta& meta, step::Context& ctx, Exit& exit) noexcept {
    const table::Tables& tables = *ctx.tables;
    const table::Tunnel& tunnel = tables.tunnels[meta.tunnel];
    const std::uint32_t own = tunnel.vxlan.vni().number;
    const net::Vni vni{own != 0 ? own : net::Be32::from_wire(meta.vni_word).value() >> 8};
    const std::uint32_t found = tables.vnis->find(
        table::vni_key(tunnel.udp.destination.value(), vni, tunnel.ip.version() == 6));
    if (found == table::FlatMap::kNone) {
        note_refusal(exit, meta, DropReason::vxlan_unknown_vni);
        exit.drop(p.mbuf(), DropReason::vxlan_unknown_vni);
        return;
    }
    if ((tables.segments[static_cast<std::uint16_t>(found)].watch & table::watch::kDown) != 0) {
        note_refusal(exit, meta, DropReason::admin_down);
        exit.drop(p.mbuf(), DropReason::admin_down);
        return;
    }
    SegmentCounters& from = exit.counters().segments[meta.segment];
    const std::uint32_t length = p.length();
    const bool one_of_many = meta.one_of_many;
    packet::PacketMeta arrived;
    arrived.segment = static_cast<std::uint16_t>(found);
    // It may go back to the port where it came from: to the bridge it comes out of the tunnel.
    arrived.in_port = table::kNoPort;
    arrived.from_tunnel = true;
    arrived.tunnel_bytes = 1;
    arrived.one_of_many = one_of_many;
    arrived.flow_hash = meta.flow_hash;
    if ((tunnel.flags & table::Tunnel::kGroupPolicy) != 0 &&
        (tables.segments[arrived.segment].watch & table::watch::kGroupPolicy) != 0) {
        arrived.policy = meta.policy;
    }
    // It has left the one, and is now the other's to take or to drop.
    from.tx_packets.add(1);
    from.tx_bytes.add(length);
    const packet::Verdict verdict = step::CheckInner(ctx)(p, arrived, ctx);
    if (!verdict.goes_on()) {
        note_refusal(exit, arrived, verdict.reason());
        exit.drop(p.mbuf(), verdict.reason());
        return;
    }
    const auto value = tables.fdb->find(table::FdbKey{arrived.destination_key}).value;
    arrived.destination = value.raw();
    switch (value.kind()) {
        case table::FdbKind::port: {
            arrived.out_port = static_cast<std::uint16_t>(value.index());
            if (send_one(p, arrived, ctx, exit)) {
                SegmentCounters& to = exit.counters().segments[arrived.segment];
                to.rx_packets.add(1);
                to.rx_bytes.add(length);
            }
            return;
        }
        case table::FdbKind::none:
        case table::FdbKind::flood_list:
            flood(p, arrived, ctx, exit);
            return;
        default:
            note_refusal(exit, arrived, DropReason::fdb_split_horizon);
            exit.drop(p.mbuf(), DropReason::fdb_split_horizon);
            return;
    }
}

bool send_accepted(packet::Packet p, const packet::PacketMeta& meta, step::Context& ctx,
                   Exit& exit) noexcept {
    const packet::Verdict verdict = step::CheckExit::judge_group(p.mbuf(), meta, *ctx.tables);
    if (!verdict.goes_on()) {
        note_refusal(p, meta, ctx, exit, verdict.reason());
        exit.drop(p.mbuf(), verdict.reason());
        return false;
    }
    exit.send(p.mbuf(), meta.out_port);
    return true;
}

void send_accepted_alone(packet::Packet p, const packet::PacketMeta& meta, step::Context& ctx,
                         Exit& exit) noexcept {
    const std::uint32_t length = p.length();
    if (!send_accepted(p, meta, ctx, exit)) {
        exit.counters().ports[meta.in_port].dropped.add(1);
    } else if (meta.from_tunnel) {
        exit.counters().segments[meta.segment].rx_packets.add(1);
        exit.counters().segments[meta.segment].rx_bytes.add(length);
    }
}

}  // namespace vxplane::path
