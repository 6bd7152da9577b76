// Side lane of the path of tenants' frames: an answer to ARP or neighbour discovery in the name of
// a neighbour behind a tunnel.
#pragma once

#include "dataplane/path/exit.hpp"

namespace vxplane::path {

/// `meta.tunnel`: number of the neighbour. The question is at its end, and the answer leaves by the
/// port where it came in.
void answer_for_neighbour(packet::Packet p, const packet::PacketMeta& meta, step::Context& ctx,
                          Exit& exit) noexcept;

}  // namespace vxplane::path
