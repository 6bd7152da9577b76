// Encapsulation over IPv6. Apart from that over IPv4, which pays nothing for it.
#pragma once

#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

/// A packet and what was said of it: its first buffer may be another one than before.
struct Written6 {
    rte_mbuf* mbuf;
    packet::Verdict verdict;
};

/// Puts the header of a ready tunnel over IPv6 in front of a frame that fits there. Leaves
/// `out_port`.
[[nodiscard]] Written6 add_tunnel6(rte_mbuf* mbuf, const table::Tunnel& tunnel,
                                   packet::PacketMeta& meta, Context& ctx) noexcept;

}  // namespace vxplane::step
