// Side lane of the paths: frames that leave by trunks, and what segments count of the frames that
// do not leave.
#pragma once

#include "dataplane/path/exit.hpp"

namespace vxplane::path {

/// Before a packet is dropped for `reason`, or control is told of it.
void note_refusal(Exit& exit, const packet::PacketMeta& meta, packet::DropReason reason) noexcept;

/// The same for a packet that came through a tunnel, or would have: its sender is remembered. What
/// was cut off in front of the frame still stands there.
void note_sender(packet::Packet p, const packet::PacketMeta& meta, step::Context& ctx,
                 packet::DropReason reason) noexcept;
/// Before a frame is dropped that may have come through a tunnel.
inline void note_refusal(packet::Packet p, const packet::PacketMeta& meta, step::Context& ctx,
                         Exit& exit, packet::DropReason reason) noexcept {
    note_refusal(exit, meta, reason);
    // Local bypass lets frames arrive that have no outer header.
    if (meta.from_tunnel && meta.outer_size != 0) {
        note_sender(p, meta, ctx, reason);
    }
}

/// Gives a frame to a port that is no plain member of the segment. False when it does not leave.
bool put_special(packet::Packet p, packet::PacketMeta& meta, step::Context& ctx,
                 Exit& exit) noexcept;
/// The same for a frame that goes there alone.
void send_special(packet::Packet p, packet::PacketMeta& meta, step::Context& ctx,
                  Exit& exit) noexcept;

}  // namespace vxplane::path
