// Trunks: access ports where VLAN tags tell the segment. Met by the first and the last look at a
// tenant's frame, when Tables says that the segment of the port is none.
#pragma once

#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/add_tunnel6.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

/// Leaves `segment`. A tag that told it is cut off. An Ethernet header must be there. For a port of
/// no segment this is kNoSegment.
[[nodiscard]] packet::Verdict find_home(packet::Packet& p, packet::PacketMeta& meta,
                                        Context& ctx) noexcept;

/// To `out_port`, which is not a plain member of the segment: a trunk gets its tag back.
[[nodiscard]] Written6 leave_special(rte_mbuf* mbuf, packet::PacketMeta& meta,
                                     Context& ctx) noexcept;

}  // namespace vxplane::step
