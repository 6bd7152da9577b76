// Side lane of the paths: head-end replication (RFC 7348 section 4.2 without multicast).
#pragma once

#include "dataplane/path/exit.hpp"
#include "dataplane/path/listeners.hpp"
#include "dataplane/path/rare_tunnels.hpp"
#include "dataplane/path/special.hpp"
#include "dataplane/step/add_tunnel.hpp"
#include "dataplane/step/check_exit.hpp"

namespace vxplane::path {

/// Sends one frame that has its exit: a local port, or a tunnel. False when it does not leave.
/// `tell_size`: a copy that is too long goes to control, which tells the sender what fits, and
/// the next ones do not.
inline bool send_one(packet::Packet p, packet::PacketMeta& meta, step::Context& ctx, Exit& exit,
                     bool* tell_size = nullptr) noexcept {
    packet::Verdict verdict = step::CheckExit(ctx)(p, meta, ctx);
    if (verdict.goes_on()) {
        verdict = step::AddTunnel(ctx)(p, meta, ctx);
    }
    if (verdict.goes_on()) {
        if (meta.tunnel_bytes != 0 && !meta.from_tunnel) {
            SegmentCounters& counters = exit.counters().segments[meta.segment];
            counters.tx_packets.add(1);
            counters.tx_bytes.add(p.length() - meta.tunnel_bytes);
        }
        exit.send(p.mbuf(), meta.out_port);
        return true;
    }
    if (verdict == packet::Verdict::divert(packet::Lane::accept)) {
        return send_accepted(p, meta, ctx, exit);
    }
    if (verdict == packet::Verdict::divert(packet::Lane::special)) {
        return put_special(p, meta, ctx, exit);
    }
    if (verdict == packet::Verdict::drop(packet::DropReason::tunnel_oversize) &&
        meta.punt == packet::Punt::too_big && tell_size != nullptr && *tell_size) {
        *tell_size = false;
        verdict = packet::Verdict::divert(packet::Lane::control);
    }
    if (verdict.is_drop()) {
        note_refusal(p, meta, ctx, exit, verdict.reason());
        exit.drop(p.mbuf(), verdict.reason());
    } else if (verdict.lane() == packet::Lane::too_long) {
        send_too_long(p, meta, ctx, exit);
    } else if (verdict.lane() == packet::Lane::bypass) {
        bypass(p, meta, ctx, exit);
    } else {
        note_refusal(exit, meta, meta.if_refused);
        exit.to_control(p.mbuf(), meta);
    }
    return false;
}

/// One copy to each other member of the segment. Copies share the payload by reference; the frame
/// itself is the last copy. A frame from a tunnel goes to local ports alone (split horizon).
inline void flood(packet::Packet p, packet::PacketMeta& meta, step::Context& ctx,
                  Exit& exit) noexcept {
    const table::Tables& tables = *ctx.tables;
    const table::Segment& segment = tables.segments[meta.segment];
    SegmentCounters& counters = exit.counters().segments[meta.segment];
    const auto found = table::FdbValue::from_raw(meta.destination);
    const table::RemoteList& remotes =
        tables.flood_lists[found.kind() == table::FdbKind::flood_list ? found.index()
                                                                      : segment.flood_remotes];
    FloodTo to{tables.members.data() + segment.local_begin, segment.local_count,
               tables.remotes.data() + remotes.begin, remotes.count, false};
    if ((segment.watch & table::watch::kMulticast) != 0) [[unlikely]] {
        choose_listeners(p, meta, ctx, exit, to);
    }
    const std::uint32_t remote_count = meta.from_tunnel ? 0 : to.tunnel_count;
    std::uint32_t left = remote_count;
    for (std::uint32_t i = 0; i < to.port_count; ++i) {
        left += to.ports[i] != meta.in_port ? 1U : 0U;
    }
    if (left == 0) {
        const bool group = ((meta.destination_key >> 16) & net::kMacGroupBit) != 0;
        const auto reason = to.listeners ? packet::DropReason::mdb_no_listener
                            : group      ? packet::DropReason::flood_empty
                                         : packet::DropReason::fdb_miss;
        note_refusal(p, meta, ctx, exit, reason);
        exit.drop(p.mbuf(), reason);
        return;
    }
    if (segment.flood_rate != 0 &&
        !segment.flood_limit->take(table::Segment::kFloodCost, segment.flood_rate, ctx.now)) {
        note_refusal(p, meta, ctx, exit, packet::DropReason::flood_limit);
        exit.drop(p.mbuf(), packet::DropReason::flood_limit);
        return;
    }
    counters.flooded.add(1);
    const bool many = left > 1;
    const std::uint32_t length = p.length();
    bool left_somewhere = false;
    // Who sends to a group or to all is told nothing.
    bool tell_size = ((meta.destination_key >> 16) & net::kMacGroupBit) == 0;
    const auto copy_to = [&](std::uint16_t out_port, std::uint32_t tunnel) {
        rte_mbuf* copy = p.mbuf();
        if (--left != 0) {
            exit.counters().copies.add(1);
            copy = ctx.pools->share(p.mbuf());
            if (copy == nullptr) {
                exit.count_drop(packet::DropReason::flood_no_buffer);
                return;
            }
        }
        packet::PacketMeta copy_meta = meta;
        copy_meta.out_port = out_port;
        copy_meta.tunnel = tunnel;
        copy_meta.one_of_many = many;
        left_somewhere |= send_one(packet::Packet(copy), copy_meta, ctx, exit, &tell_size);
    };
    for (std::uint32_t i = 0; i < to.port_count; ++i) {
        const std::uint16_t member = to.ports[i];
        if (member != meta.in_port) {
            copy_to(member, 0);
        }
    }
    // The first remote is served last, as the Linux driver does.
    for (std::uint32_t i = 1; i <= remote_count; ++i) {
        const std::uint32_t at = i == remote_count ? 0 : i;
        copy_to(table::kNoPort, to.tunnels[at]);
    }
    // Once, however many members got it, and as for one destination: only what leaves.
    if (meta.from_tunnel && left_somewhere) {
        counters.rx_packets.add(1);
        counters.rx_bytes.add(length);
    }
}

}  // namespace vxplane::path
