// What a step says of a packet: go on, drop it for a reason, or hand it to another lane.
#pragma once

#include <cstdint>

#include "dataplane/packet/drop_reason.hpp"

namespace vxplane::packet {

/// Where a packet can leave the path that it is on.
enum class Lane : std::uint8_t {
    control,    ///< to the control thread: ARP, ICMP to us, unresolved next hops
    host,       ///< to the kernel twin of an underlay port
    tunnel6,    ///< read on by ReadOuter, a tunnel packet over IPv6; elsewhere as `host`
    flood,      ///< to every other member of the segment
    group,      ///< to every slave of an ipvlan that hears the group, and on
    overheard,  ///< out by its port, and a copy to control
    pieces,     ///< by the next hop, in fragments
    answer,     ///< an answer to ARP or ND goes back, in the name of a neighbour
    router,     ///< from a segment to the slaves of the ipvlan that is its router
    too_long,   ///< for a tunnel, and the segment says that it is cut
    bypass,     ///< for one of our own VTEP addresses
    accept,     ///< to a port that does not accept every policy group
    special,    ///< out by a port that is no plain member of the segment
    fragment    ///< waits for the rest of its datagram
};

/// Two bytes, returned in a register. Zero means "go on".
class Verdict {
  public:
    Verdict() noexcept = default;  ///< says nothing yet: for lists that are filled later
    static constexpr Verdict go_on() noexcept { return Verdict(0); }
    static constexpr Verdict drop(DropReason reason) noexcept {
        return Verdict(static_cast<std::uint16_t>(reason));
    }
    static constexpr Verdict divert(Lane lane) noexcept {
        return Verdict(static_cast<std::uint16_t>(kDivert | static_cast<std::uint16_t>(lane)));
    }
    [[nodiscard]] constexpr bool goes_on() const noexcept { return bits_ == 0; }
    [[nodiscard]] constexpr bool is_drop() const noexcept {
        return bits_ != 0 && (bits_ & kDivert) == 0;
    }
    [[nodiscard]] constexpr DropReason reason() const noexcept {
        return static_cast<DropReason>(bits_ & 0xFFU);
    }
    [[nodiscard]] constexpr Lane lane() const noexcept { return static_cast<Lane>(bits_ & 0xFFU); }
    constexpr bool operator==(const Verdict&) const noexcept = default;

  private:
    constexpr explicit Verdict(std::uint16_t bits) noexcept : bits_(bits) {}
    static constexpr std::uint16_t kDivert = 0x100;
    std::uint16_t bits_;
};

static_assert(kDropReasons < 0x100);

}  // namespace vxplane::packet
