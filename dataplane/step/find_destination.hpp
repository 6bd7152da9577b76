// The bridge: where does the FDB say that the destination is?
#pragma once

#include "dataplane/net/flow_hash.hpp"
#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

/// Leaves `out_port` for a local exit, or `tunnel` (and out_port = kNoPort) for a remote one.
/// Whatever has no single exit goes to the flood lane with `destination` telling what was found.
template <packet::Side kFrom>
class FindDestination {
  public:
    FindDestination(const Context& ctx, std::uint16_t in_port) noexcept
        : fdb_(ctx.tables->fdb->reader()),
          tunnels_(ctx.tables->tunnels.data()),
          in_port_(in_port) {}

    packet::Verdict operator()(packet::Packet& /*p*/, packet::PacketMeta& meta,
                               Context& ctx) const noexcept {
        using packet::DropReason;
        using packet::Verdict;
        const auto hit = fdb_.find(table::FdbKey{meta.destination_key}, meta.destination_bucket);
        const table::FdbKind kind = hit.value.kind();
        if (kind == table::FdbKind::port) {
            meta.out_port = static_cast<std::uint16_t>(hit.value.index());
            return meta.out_port == in_port_ ? Verdict::drop(DropReason::fdb_same_port)
                                             : Verdict::go_on();
        }
        if (kFrom == packet::Side::tunnel || kind != table::FdbKind::tunnel) [[unlikely]] {
            return rare(hit.value, meta, ctx);
        }
        return into_tunnel(hit.value.index(), meta, tunnels_);
    }

  private:
    static packet::Verdict into_tunnel(std::uint32_t tunnel, packet::PacketMeta& meta,
                                       const table::Tunnel* tunnels) noexcept {
        meta.tunnel = tunnel;
        meta.out_port = table::kNoPort;
        __builtin_prefetch(&tunnels[tunnel]);
        return packet::Verdict::go_on();
    }
    [[gnu::noinline]] static packet::Verdict rare(table::FdbValue found, packet::PacketMeta& meta,
                                                  Context& ctx) noexcept {
        using packet::DropReason;
        using packet::Verdict;
        const table::Tables& tables = *ctx.tables;
        meta.destination = found.raw();
        if (found.kind() == table::FdbKind::flood_list || found.kind() == table::FdbKind::none) {
            return Verdict::divert(packet::Lane::flood);
        }
        if (found.kind() == table::FdbKind::router) {
            return Verdict::divert(packet::Lane::router);
        }
        if (kFrom == packet::Side::tunnel) {
            return Verdict::drop(DropReason::fdb_split_horizon);
        }
        const table::RemoteList& slots = tables.group_slots[found.index()];
        if (slots.count == 0) {
            return Verdict::drop(DropReason::fdb_miss);
        }
        // The source port is made from the same hash: without another mix each member
        // would see only its share of the ports.
        const auto choice = static_cast<std::uint32_t>(net::mix(meta.flow_hash, 1));
        return into_tunnel(tables.remotes[slots.begin + (choice & (slots.count - 1))], meta,
                           tables.tunnels.data());
    }

    table::FdbReader fdb_;
    const table::Tunnel* tunnels_;
    std::uint16_t in_port_;
};

}  // namespace vxplane::step
