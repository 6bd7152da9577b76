// Encapsulation by tunnels whose VXLAN header is not that of the segment. Apart from all others,
// which pay nothing for it: met by frames that find TunnelState::special.
#pragma once

#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/add_tunnel6.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

/// Puts the header in front of a frame that fits there. Leaves `out_port`.
[[nodiscard]] Written6 add_special(rte_mbuf* mbuf, const table::Tunnel& tunnel,
                                   packet::PacketMeta& meta, Context& ctx) noexcept;

}  // namespace vxplane::step
