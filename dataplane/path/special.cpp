#include "dataplane/path/special.hpp"

#include "dataplane/step/special_port.hpp"
#include "dataplane/step/watch_segment.hpp"

namespace vxplane::path {

void note_refusal(Exit& exit, const packet::PacketMeta& meta, packet::DropReason reason) noexcept {
    // A topology of slaves alone has no segments to count in.
    std::vector<SegmentCounters>& segments = exit.counters().segments;
    if (reason == packet::DropReason::tunnel_oversize) {
        segments[meta.segment].oversize.add(1);
    }
    // Nothing is known of a tenant's segment before its addresses were read; control counts for
    // itself.
    if ((!meta.from_tunnel && meta.source_key == 0) || reason == packet::DropReason::none ||
        reason == packet::DropReason::control_ring_full) {
        return;
    }
    SegmentCounters& segment = segments[meta.segment];
    const packet::Severity severity = packet::info(reason).severity;
    const bool error =
        severity == packet::Severity::malformed || severity == packet::Severity::unreachable;
    if (meta.from_tunnel) {
        (error ? segment.rx_errors : segment.rx_drops).add(1);
    } else {
        (error ? segment.tx_errors : segment.tx_drops).add(1);
    }
}

void note_sender(packet::Packet p, const packet::PacketMeta& meta, step::Context& ctx,
                 packet::DropReason reason) noexcept {
    if (!step::blames_peer(reason)) {
        return;
    }
    const std::byte* outer = p.data() - (meta.tunnel_bytes != 0 ? meta.outer_size : 0);
    ctx.refused.note(step::outer_sender_of(outer), reason);
}

bool put_special(packet::Packet p, packet::PacketMeta& meta, step::Context& ctx,
                 Exit& exit) noexcept {
    const step::Written6 done = step::leave_special(p.mbuf(), meta, ctx);
    if (!done.verdict.goes_on()) {
        note_refusal(p, meta, ctx, exit, done.verdict.reason());
        exit.drop(done.mbuf, done.verdict.reason());
        return false;
    }
    exit.send(done.mbuf, meta.out_port);
    return true;
}

void send_special(packet::Packet p, packet::PacketMeta& meta, step::Context& ctx,
                  Exit& exit) noexcept {
    const std::uint32_t length = p.length();
    if (!put_special(p, meta, ctx, exit)) {
        exit.counters().ports[meta.in_port].dropped.add(1);
    } else if (meta.from_tunnel) {
        exit.counters().segments[meta.segment].rx_packets.add(1);
        exit.counters().segments[meta.segment].rx_bytes.add(length);
    }
}

}  // namespace vxplane::path
