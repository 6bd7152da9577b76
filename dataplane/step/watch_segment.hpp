// What a segment asks for beyond forwarding, once for each frame: answers to ARP and ND, shorter
// ways past a router, refusals, and what control wants to hear of. Met by the first look at a frame
// from a tenant and at a VXLAN header, both only in segments that ask.
#pragma once

#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

/// A frame from an access port that was let in; its FDB keys are known. May change both, and the
/// addresses in the frame.
[[nodiscard]] packet::Verdict watch_access(packet::Packet& p, packet::PacketMeta& meta,
                                           Context& ctx) noexcept;

/// Source of a tunnel packet, whose IP header follows an untagged Ethernet header.
[[nodiscard]] net::IpAddress outer_sender_of(const std::byte* outer) noexcept;

/// Every segment of a UDP port is down.
[[nodiscard]] bool is_closed(std::uint16_t dstport, bool ipv6, const Context& ctx) noexcept;
/// Control tells the sender that nobody listens at the port.
[[nodiscard]] packet::Verdict ask_to_answer(packet::PacketMeta& meta,
                                            packet::DropReason why) noexcept;

/// A tunnel packet of a known segment that has a guard, listens to ARP and ND, or is down.
/// `meta.outer_size` is the offset of its UDP header.
[[nodiscard]] packet::Verdict watch_tunnel(packet::Packet& p, packet::PacketMeta& meta,
                                           std::uint16_t segment, Context& ctx) noexcept;

}  // namespace vxplane::step
