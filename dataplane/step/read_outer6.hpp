// What ClassifyUnderlay took for a tunnel packet over IPv6: its UDP checksum, its VXLAN header, and
// who sent it.
#pragma once

#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

/// Goes on as ReadOuter does for IPv4. Leaves the name of the peer in `outer_source`.
[[nodiscard]] packet::Verdict read_outer6(packet::Packet& p, packet::PacketMeta& meta,
                                          Context& ctx) noexcept;

/// Whether ClassifyUnderlay would take it for a tunnel packet over IPv6, or drop it as one.
[[nodiscard]] bool is_tunnel6(const packet::Packet& p, const table::Tables& tables) noexcept;

}  // namespace vxplane::step
