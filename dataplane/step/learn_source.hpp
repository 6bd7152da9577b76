// Compares where a frame came from with what the FDB says of its source address. News is told to
// control, which alone writes the table; a source that is fixed elsewhere is not believed.
#pragma once

#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

struct LearnSource {
    packet::Verdict operator()(packet::Packet& /*p*/, packet::PacketMeta& meta,
                               Context& ctx) const noexcept {
        using packet::Verdict;
        const table::Tables& tables = *ctx.tables;
        const bool learns = meta.from_tunnel ? tables.segments[meta.segment].learning
                                             : tables.ports[meta.in_port].learning;
        if (!learns) {
            return Verdict::go_on();
        }
        const std::uint32_t here = meta.from_tunnel
                                       ? peer_location(meta, ctx)
                                       : location_of(table::FdbKind::port, meta.in_port);
        const auto hit = tables.fdb->find(table::FdbKey{meta.source_key}, meta.source_bucket);
        if (hit && hit.value.location() == here) [[likely]] {
            if (hit.value.epoch() != ctx.epoch) {
                tables.fdb->refresh(hit.slot, ctx.epoch);
            }
            return Verdict::go_on();
        }
        if (hit && hit.value.is_fixed()) {
            return is_member(hit.value, here, tables)
                       ? Verdict::go_on()
                       : Verdict::drop(packet::DropReason::fdb_conflict);
        }
        LearnEvent event;
        event.key = meta.source_key;
        if (meta.from_tunnel) {
            event.remote = meta.outer_source;
        } else {
            event.port = meta.in_port;
        }
        ctx.learn.note(event);
        return Verdict::go_on();
    }

  private:
    static std::uint32_t location_of(table::FdbKind kind, std::uint32_t index) noexcept {
        return table::FdbValue::make(kind, index, table::FdbState::dynamic, 0).location();
    }
    /// Zero, the location of nothing, for a peer that no tunnel leads to yet.
    static std::uint32_t peer_location(const packet::PacketMeta& meta, Context& ctx) noexcept {
        const std::uint64_t key =
            table::peer_key(ctx.tables->segments[meta.segment].profile, meta.outer_source);
        if (ctx.peer.key != key) {
            ctx.peer = {key, ctx.tables->peers->find(key)};
        }
        return ctx.peer.tunnel == table::FlatMap::kNone
                   ? 0
                   : location_of(table::FdbKind::tunnel, ctx.peer.tunnel);
    }
    /// A next-hop group is everywhere where one of its members is.
    static bool is_member(table::FdbValue value, std::uint32_t here,
                          const table::Tables& tables) noexcept {
        if (value.kind() != table::FdbKind::nexthop_group) {
            return false;
        }
        const table::RemoteList& group = tables.groups[value.index()];
        for (std::uint32_t i = 0; i < group.count; ++i) {
            if (location_of(table::FdbKind::tunnel, tables.remotes[group.begin + i]) == here) {
                return true;
            }
        }
        return false;
    }
};

}  // namespace vxplane::step
