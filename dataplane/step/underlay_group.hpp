// Multicast groups of the underlay that carry what segments flood: met by frames to a group address
// where some segment has a group, and by nobody else.
#pragma once

#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

/// A frame to a group address, as ReadOuter: a UDP datagram to a group of this port is read as a
/// tunnel packet, and refused when its segment has another group; all else goes on as
/// ClassifyUnderlay says. Copies of IGMP and MLD queries go to control. Tables::joined is there.
[[nodiscard]] packet::Verdict read_group(packet::Packet& p, packet::PacketMeta& meta,
                                         Context& ctx) noexcept;

/// For ports that are the link of an ipvlan: whether the frame would be read as a tunnel packet.
/// Tells control of queries, too. Tables::joined is there.
[[nodiscard]] bool is_group_tunnel(const packet::Packet& p, packet::PacketMeta& meta,
                                   Context& ctx) noexcept;

}  // namespace vxplane::step
