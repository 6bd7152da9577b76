// Compares where a frame came from with what the FDB says of its source address. News is told to
// control, which alone writes the table; a source that is fixed elsewhere is not believed, and
// dropped unless its segment lets it pass.
#pragma once

#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

template <packet::Side kFrom>
class LearnSource {
  public:
    LearnSource(const Context& ctx, std::uint16_t in_port) noexcept
        : fdb_(ctx.tables->fdb->reader()),
          segments_(ctx.tables->segments.data()),
          port_location_(location_of(table::FdbKind::port, in_port)),
          epoch_(ctx.epoch),
          port_learns_(ctx.tables->ports[in_port].learning) {}

    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta,
                               Context& ctx) const noexcept {
        using packet::Verdict;
        const bool learns = kFrom == packet::Side::tunnel ? segments_[meta.segment].learning  //
                                                          : port_learns_;
        if (!learns) {
            return Verdict::go_on();
        }
        const std::uint32_t here = kFrom == packet::Side::tunnel
                                       ? peer_location(segments_[meta.segment], meta, ctx)
                                       : port_location_;
        const auto hit = fdb_.find(table::FdbKey{meta.source_key}, meta.source_bucket);
        if (hit.value.location() == here && hit) [[likely]] {
            if (hit.value.epoch() != epoch_) {
                fdb_.refresh(hit.slot, epoch_);
            }
            return Verdict::go_on();
        }
        return news(hit.value, p.data(), meta, ctx);
    }

  private:
    static std::uint32_t location_of(table::FdbKind kind, std::uint32_t index) noexcept {
        return table::FdbValue::make(kind, index, table::FdbState::dynamic, 0).location();
    }
    /// Zero, the location of nothing, for a peer that no tunnel leads to yet.
    static std::uint32_t peer_location(const table::Segment& segment,
                                       const packet::PacketMeta& meta, Context& ctx) noexcept {
        const std::uint64_t key = table::peer_key(segment.profile, meta.outer_source);
        if (ctx.peer.key != key) {
            ctx.peer = {key, ctx.tables->peers->find(key)};
        }
        return ctx.peer.tunnel == table::FlatMap::kNone
                   ? 0
                   : location_of(table::FdbKind::tunnel, ctx.peer.tunnel);
    }
    [[gnu::noinline]] static packet::Verdict news(table::FdbValue known, const std::byte* frame,
                                                  const packet::PacketMeta& meta,
                                                  Context& ctx) noexcept {
        using packet::Verdict;
        if (known.kind() != table::FdbKind::none && known.is_fixed()) {
            const bool passes =
                (ctx.tables->segments[meta.segment].watch & table::watch::kConflictPass) != 0;
            return passes || (kFrom == packet::Side::tunnel &&
                              is_from(known, peer_address(frame, meta), *ctx.tables))
                       ? Verdict::go_on()
                       : Verdict::drop(packet::DropReason::fdb_conflict);
        }
        // Its sender says that nothing is to be learned of it.
        if (kFrom == packet::Side::tunnel && meta.policy.has(net::GroupPolicy::kDontLearn)) {
            return Verdict::go_on();
        }
        LearnEvent event;
        event.key = meta.source_key;
        if (kFrom == packet::Side::tunnel) {
            event.remote = peer_address(frame, meta);
        } else {
            event.port = meta.in_port;
        }
        ctx.learn.note(event, ctx.tables->fdb->corrections());
        return Verdict::go_on();
    }
    /// What was cut off in front of the frame still stands there, and tells IPv6 addresses in full.
    static net::IpAddress peer_address(const std::byte* frame,
                                       const packet::PacketMeta& meta) noexcept {
        if (!table::is_peer6_name(meta.outer_source)) {
            return meta.outer_source;
        }
        const std::byte* outer = frame - meta.outer_size + sizeof(net::EthernetHeader);
        return net::IpAddress(net::view<net::Ipv6Header>(outer).source);
    }
    /// A peer is the same by a tunnel with a VNI or a UDP port of its own, and a next-hop group is
    /// everywhere where one of its members is.
    static bool is_from(table::FdbValue value, const net::IpAddress& peer,
                        const table::Tables& tables) noexcept {
        if (value.kind() == table::FdbKind::tunnel) {
            return leads_to(tables.tunnels[value.index()], peer, tables);
        }
        if (value.kind() != table::FdbKind::nexthop_group) {
            return false;
        }
        const table::RemoteList& group = tables.groups[value.index()];
        for (std::uint32_t i = 0; i < group.count; ++i) {
            if (leads_to(tables.tunnels[tables.remotes[group.begin + i]], peer, tables)) {
                return true;
            }
        }
        return false;
    }
    static bool leads_to(const table::Tunnel& tunnel, const net::IpAddress& peer,
                         const table::Tables& tables) noexcept {
        using table::TunnelState;
        if (tunnel.state == TunnelState::local) {
            return false;
        }
        if ((tunnel.special & table::Tunnel::kOverIpv6) == 0) {
            return peer == net::IpAddress(tunnel.ip.destination);
        }
        // One that is given up has no line any more, and its number may be another's.
        return tunnel.state != TunnelState::refused && tunnel.line6() < tables.tunnels6.size() &&
               tables.tunnels6[tunnel.line6()].ip.destination == peer.bytes;
    }

    table::FdbReader fdb_;
    const table::Segment* segments_;
    std::uint32_t port_location_;
    std::uint8_t epoch_;
    bool port_learns_;
};

}  // namespace vxplane::step
