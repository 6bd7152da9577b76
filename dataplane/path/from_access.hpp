// The journey of a tenant's frame: from an access port into its segment, and out by another access
// port or through a tunnel.
#pragma once

#include "dataplane/path/path.hpp"
#include "dataplane/step/add_tunnel.hpp"
#include "dataplane/step/check_access_frame.hpp"
#include "dataplane/step/check_exit.hpp"
#include "dataplane/step/find_destination.hpp"
#include "dataplane/step/learn_source.hpp"
#include "dataplane/step/prefetch_fdb.hpp"
#include "dataplane/step/read_flow.hpp"

namespace vxplane::path {

struct FromAccessName {
    static constexpr std::string_view text = "from_access";
    static constexpr PathId id = PathId::from_access;
};
struct FrameStage {
    static constexpr std::string_view text = "frame";
};
struct BridgeStage {
    static constexpr std::string_view text = "bridge";
};
struct TunnelStage {
    static constexpr std::string_view text = "tunnel";
};

using FromAccess = Path<FromAccessName,
                        Stage<FrameStage, step::CheckAccessFrame,
                              step::PrefetchFdb<packet::Side::local>, step::ReadFlow>,
                        Stage<BridgeStage, step::LearnSource<packet::Side::local>,
                              step::FindDestination<packet::Side::local>>,
                        Stage<TunnelStage, step::CheckExit, step::AddTunnel>>;

}  // namespace vxplane::path
