// What the tracker does to a packet between the rules. Met by the hooks alone.
#pragma once

#include "dataplane/step/hooks.hpp"
#include "dataplane/step/translate.hpp"

namespace vxplane::step {

/// Finds the packet's connection, or what could become one. Once a packet.
packet::Verdict track(const L3Packet& packet, HookContext& ctx) noexcept;

/// Changes one half of the packet to what its connection says.
void translate_tracked(const L3Packet& packet, HookContext& ctx, Half half) noexcept;

/// True when another packet of the connection was entered since this one was looked up, and this
/// one goes on as part of it, unless it `clashes`.
bool join(HookContext& ctx) noexcept;
/// Gives a new connection a tuple for its answers that no other has.
packet::Verdict make_unique(HookContext& ctx) noexcept;
/// Makes the entry of a new connection.
packet::Verdict enter(const L3Packet& packet, HookContext& ctx) noexcept;

}  // namespace vxplane::step
