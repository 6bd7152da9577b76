// `mss-clamp`: the ends of a TCP connection through a tunnel are told of segments that fit. Each
// says in its SYN how long segments to it may be; what is too much is lowered there, in either
// direction. Met by the steps that write and read tunnel headers, where a segment asks for it.
#pragma once

#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

/// A frame on its way into `tunnel`; it begins `at` bytes behind the start of `mbuf`. Returns what
/// stands in its place: a frame whose bytes are others' too is copied before it is changed. Without
/// a buffer for that it goes as it is.
[[nodiscard]] rte_mbuf* clamp_mss_into(rte_mbuf* mbuf, std::uint32_t at,
                                       const table::Tunnel& tunnel, const packet::PacketMeta& meta,
                                       Context& ctx) noexcept;

/// A frame of segment `number` that came through a tunnel and begins at `at`: what is said in it
/// limits what goes back.
void clamp_mss_from(packet::Packet p, std::uint32_t at, std::uint16_t number,
                    const packet::PacketMeta& meta, const Context& ctx) noexcept;

}  // namespace vxplane::step
