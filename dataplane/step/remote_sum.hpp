// Remote checksum offload (`remcsumtx`, `remcsumrx` of ip-link(8), draft-herbert-vxlan-rco): the
// checksum of TCP or UDP inside is left to the end of the tunnel. Met by tunnel packets of segments
// that speak it.
#pragma once

#include "dataplane/packet/packet.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

/// Writes the checksum that the header of a tunnel packet asks for, if it does; the header stands
/// in the first buffer behind the UDP header `udp_at` bytes into the packet, and the packet is as
/// long as that says. False when the checksum's place lies outside of the frame. As the kernel's
/// vxlan_remcsum().
[[nodiscard]] bool fill_remote_sum(packet::Packet p, std::uint32_t udp_at) noexcept;

/// A frame of a guest that left its checksum to the device, and its tunnel header in front: leaves
/// it to the other end, as the kernel's vxlan_build_skb(). Others stay as they are.
void leave_remote_sum(rte_mbuf* mbuf, const packet::PacketMeta& meta, const Context& ctx) noexcept;

}  // namespace vxplane::step
