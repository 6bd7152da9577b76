// Side lanes of ipvlan (broadcasts and multicasts for many slaves, what a segment hands to the
// ipvlan that is its router), the way to the kernel's side of a port, and the paths of slaves and
// masters.
#pragma once

#include "dataplane/path/exit.hpp"

namespace vxplane::path {

/// To the kernel twin, if the port has one; for a slave's frame, that of its master.
void to_host(packet::Packet p, packet::PacketMeta& meta, step::Context& ctx, Exit& exit) noexcept;

/// One copy to each slave that hears the group, but the one that sent it; then the frame itself
/// goes on: to the host if it came from the wire, else to the wire. Copies share the payload by
/// reference.
void copy_to_slaves(packet::Packet p, packet::PacketMeta& meta, step::Context& ctx,
                    Exit& exit) noexcept;

/// To the port that is its way out; control gets a copy.
void overhear(packet::Packet p, packet::PacketMeta& meta, step::Context& ctx, Exit& exit) noexcept;

/// A frame to the own MAC address of a segment's VTEP: by its inner destination to a slave of the
/// ipvlan that is the segment's router. One hop for the datagram.
void to_router(packet::Packet p, packet::PacketMeta& meta, step::Context& ctx, Exit& exit) noexcept;

/// from_slave.hpp and from_master.hpp for a burst.
void run_from_slave(packet::Burst& burst, step::Context& ctx, Exit& exit) noexcept;
void run_from_master(packet::Burst& burst, step::Context& ctx, Exit& exit) noexcept;

}  // namespace vxplane::path
