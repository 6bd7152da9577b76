// The journey of a packet from the underlay: tunnel packets are validated, stripped and bridged to
// a local port; ARP and ICMP for us go to control; the rest belongs to the host.
#pragma once

#include "dataplane/path/path.hpp"
#include "dataplane/step/check_exit.hpp"
#include "dataplane/step/check_inner.hpp"
#include "dataplane/step/find_destination.hpp"
#include "dataplane/step/learn_source.hpp"
#include "dataplane/step/prefetch_fdb.hpp"
#include "dataplane/step/read_outer.hpp"
#include "dataplane/step/strip_tunnel.hpp"

namespace vxplane::path {

struct FromUnderlayName {
    static constexpr std::string_view text = "from_underlay";
    static constexpr PathId id = PathId::from_underlay;
};
struct OuterStage {
    static constexpr std::string_view text = "outer";
    static constexpr bool from_tunnels = true;
};
struct InnerStage {
    static constexpr std::string_view text = "inner";
    static constexpr bool from_tunnels = true;
};
struct DeliverStage {
    static constexpr std::string_view text = "deliver";
    static constexpr bool from_tunnels = true;
};

using FromUnderlay = Path<
    FromUnderlayName, Stage<OuterStage, step::ReadOuter>,
    Stage<InnerStage, step::CheckInner, step::StripTunnel, step::PrefetchFdb<packet::Side::tunnel>>,
    Stage<DeliverStage, step::LearnSource<packet::Side::tunnel>,
          step::FindDestination<packet::Side::tunnel>, step::CheckExit>>;

}  // namespace vxplane::path
