// Side lane of the paths: frames that leave by trunks, and what segments count of the frames that
// do not leave.
#pragma once

#include "dataplane/path/exit.hpp"

namespace vxplane::path {

/// Before a packet is dropped for `reason`, or control is told of it.
void note_refusal(Exit& exit, const packet::PacketMeta& meta, packet::DropReason reason) noexcept;

/// Gives a frame to a port that is no plain member of the segment. False when it does not leave.
bool put_special(packet::Packet p, packet::PacketMeta& meta, step::Context& ctx,
                 Exit& exit) noexcept;
/// The same for a frame that goes there alone.
void send_special(packet::Packet p, packet::PacketMeta& meta, step::Context& ctx,
                  Exit& exit) noexcept;

}  // namespace vxplane::path
