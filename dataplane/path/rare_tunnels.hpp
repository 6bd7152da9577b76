// Side lanes of frames that do not go the common way out: into a tunnel too long ones that may be
// cut, and those for a VTEP address of our own; and to ports that do not accept every policy group.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "dataplane/path/exit.hpp"
#include "dataplane/port/pool.hpp"

namespace vxplane::path {

/// Cuts a whole tunnel packet into fragments (RFC 791 section 3.2, RFC 8200 section 4.5), each a
/// copy. Owns the packet.
class OuterFragments {
  public:
    /// `mtu`: bytes of a fragment, its IP header counted. `id`: tells the fragments of one packet
    /// from those of another, over IPv6.
    OuterFragments(rte_mbuf* whole, std::uint32_t mtu, std::uint32_t id,
                   port::WorkerPools& pools) noexcept;
    ~OuterFragments() { rte_pktmbuf_free(whole_); }
    OuterFragments(const OuterFragments&) = delete;
    OuterFragments& operator=(const OuterFragments&) = delete;

    /// False for a packet that says that it may not be fragmented, and an MTU without room.
    [[nodiscard]] bool possible() const noexcept { return possible_; }
    /// More of the packet is left.
    [[nodiscard]] bool left() const noexcept { return done_ < payload_; }
    /// The next one, which is the caller's; null when no buffer was free for it.
    [[nodiscard]] rte_mbuf* next() noexcept;

  private:
    rte_mbuf* whole_;
    port::WorkerPools& pools_;
    std::uint32_t id_;
    std::uint32_t mtu_;
    std::uint32_t headers_ = 0;  ///< Ethernet and IP
    std::uint32_t payload_ = 0;
    std::uint32_t done_ = 0;
    bool v6_ = false;
    bool possible_ = false;
};
/// For the fragments of one packet over IPv6.
[[nodiscard]] std::uint32_t fragment_id(const packet::PacketMeta& meta,
                                        step::Context& ctx) noexcept;

/// A frame that is too long for its tunnel: `fragment` of the segment says what becomes of it.
void send_too_long(packet::Packet p, packet::PacketMeta& meta, step::Context& ctx,
                   Exit& exit) noexcept;

/// A frame for one of our own VTEP addresses: it comes in where its VNI and UDP port belong, as if
/// it had been there and back (`local-bypass`). Nothing is learned from it: an entry would lead
/// back into the segment that learned it.
void bypass(packet::Packet p, packet::PacketMeta& meta, step::Context& ctx, Exit& exit) noexcept;

/// To a port that does not accept every policy group. False when it does not leave.
bool send_accepted(packet::Packet p, const packet::PacketMeta& meta, step::Context& ctx,
                   Exit& exit) noexcept;
/// The same for a frame that goes there alone, counted for its segment and port.
void send_accepted_alone(packet::Packet p, const packet::PacketMeta& meta, step::Context& ctx,
                         Exit& exit) noexcept;

}  // namespace vxplane::path
