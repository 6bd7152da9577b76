// The journey of an ipvlan slave's frame: to a sibling, to the host, or by a routing table to the
// wire or into a segment.
#pragma once

#include "dataplane/path/path.hpp"
#include "dataplane/step/add_tunnel.hpp"
#include "dataplane/step/ahead_of_slaves.hpp"
#include "dataplane/step/leave_at_once.hpp"
#include "dataplane/step/route_packet.hpp"

namespace vxplane::path {

struct FromSlaveName {
    static constexpr std::string_view text = "from_slave";
    static constexpr PathId id = PathId::from_slave;
};
struct SlaveFrameStage {
    static constexpr std::string_view text = "slave";
};
struct RouteStage {
    static constexpr std::string_view text = "route";
};
struct SlaveTunnelStage {
    static constexpr std::string_view text = "tunnel";
};

struct SlaveFetchStage {
    static constexpr std::string_view text = "fetch";
};

struct SlaveTunnel : step::AddTunnel {
    using AddTunnel::AddTunnel;
    static bool is_due(const step::Context& ctx) noexcept { return ctx.tunnels_ahead; }
};

/// Of masters with rules or connections, or without: others pay nothing for them.
template <bool Hooked>
using FromSlaveOf =
    Path<FromSlaveName, Stage<SlaveFetchStage, step::AheadOfSlaves<Hooked>>,
         Stage<SlaveFrameStage, step::FetchConnections<Hooked>, step::LeaveAtOnce<Hooked>>,
         Stage<RouteStage, step::RoutePacket>, Stage<SlaveTunnelStage, SlaveTunnel>>;
using FromSlave = FromSlaveOf<true>;

}  // namespace vxplane::path
