// A routed IPv4 datagram that does not fit its way out, and whose sender lets it be fragmented.
#pragma once

#include "dataplane/path/exit.hpp"

namespace vxplane::path {

/// Sends `p` as fragments (RFC 791 section 3.2) by the next hop that the metadata names: its
/// Ethernet header is written, and `out_port` set or a tunnel chosen. The datagram may be a
/// fragment itself. Each fragment is a copy: this is nobody's fast path.
void send_fragments(packet::Packet p, packet::PacketMeta& meta, step::Context& ctx,
                    Exit& exit) noexcept;

}  // namespace vxplane::path
