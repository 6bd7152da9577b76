// The bridge: where does the FDB say that the destination is?
#pragma once

#include "dataplane/net/flow_hash.hpp"
#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

/// Leaves `out_port` for a local exit, or `tunnel` (and out_port = kNoPort) for a remote one.
/// Whatever has no single exit goes to the flood lane with `destination` telling what was found.
struct FindDestination {
    packet::Verdict operator()(packet::Packet& /*p*/, packet::PacketMeta& meta,
                               Context& ctx) const noexcept {
        using packet::DropReason;
        using packet::Verdict;
        const table::Tables& tables = *ctx.tables;
        const auto hit =
            tables.fdb->find(table::FdbKey{meta.destination_key}, meta.destination_bucket);
        meta.destination = hit.value.raw();
        switch (hit.value.kind()) {
            case table::FdbKind::tunnel:
                if (meta.from_tunnel) {
                    return Verdict::drop(DropReason::fdb_split_horizon);
                }
                meta.tunnel = hit.value.index();
                break;
            case table::FdbKind::port:
                meta.out_port = static_cast<std::uint16_t>(hit.value.index());
                return meta.out_port == meta.in_port ? Verdict::drop(DropReason::fdb_same_port)
                                                     : Verdict::go_on();
            case table::FdbKind::nexthop_group: {
                if (meta.from_tunnel) {
                    return Verdict::drop(DropReason::fdb_split_horizon);
                }
                const table::RemoteList& group = tables.groups[hit.value.index()];
                if (group.count == 0) {
                    return Verdict::drop(DropReason::fdb_miss);
                }
                // The source port is made from the same hash: without another mix each member
                // would see only its share of the ports.
                const auto choice = static_cast<std::uint32_t>(net::mix(meta.flow_hash, 1));
                meta.tunnel = tables.remotes[group.begin + net::scale(choice, group.count)];
                break;
            }
            case table::FdbKind::flood_list:
            case table::FdbKind::none:
                return Verdict::divert(packet::Lane::flood);
        }
        meta.out_port = table::kNoPort;
        __builtin_prefetch(&tables.tunnels[meta.tunnel]);
        return Verdict::go_on();
    }
};

}  // namespace vxplane::step
