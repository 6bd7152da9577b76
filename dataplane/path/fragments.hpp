// An IPv4 datagram that does not fit its way out, and whose sender lets it be fragmented.
#pragma once

#include "dataplane/path/exit.hpp"

namespace vxplane::path {

/// Sends `p` as fragments (RFC 791 section 3.2) by the next hop that the metadata names: its
/// Ethernet header is written, and `out_port` set or a tunnel chosen. The datagram may be a
/// fragment itself. Each fragment is a copy: this is nobody's fast path.
void send_fragments(packet::Packet p, packet::PacketMeta& meta, step::Context& ctx,
                    Exit& exit) noexcept;

/// The same for the datagram at `l3` of a frame, with fragments of `room` bytes at most. What
/// stands in front of it stands in front of each.
void cut_datagram(packet::Packet p, const packet::PacketMeta& meta, std::uint32_t l3,
                  std::uint32_t room, step::Context& ctx, Exit& exit) noexcept;
/// The header at `l3` is right, and the datagram is there from end to end.
[[nodiscard]] bool is_whole_datagram(const packet::Packet& p, std::uint32_t l3) noexcept;

}  // namespace vxplane::path
