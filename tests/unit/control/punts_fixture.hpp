// Frames to a remote VTEP whose next hop control has to find. Shared by the tests of what workers
// hand to control.
#pragma once

#include "stack.hpp"

namespace vxplane::control {

inline const net::MacAddress kPeerMac = mac("02:bb:00:00:00:02");
inline const net::MacAddress kOtherMac = mac("02:bb:00:00:00:03");

/// Type and code of an ICMP frame; nothing when it is none.
inline std::optional<std::pair<unsigned, unsigned>> icmp_of(const Bytes& frame) {
    if (frame.size() < 36 || frame[12] != 8 || frame[13] != 0 || frame[23] != 1) {
        return std::nullopt;
    }
    return std::pair<unsigned, unsigned>{frame[34], frame[35]};
}

inline Bytes cut(const Bytes& frame, std::size_t from, std::size_t size) {
    const auto at = frame.begin() + static_cast<std::ptrdiff_t>(from);
    return {at, at + static_cast<std::ptrdiff_t>(size)};
}

class ControlPunts : public Stack {
  protected:
    using Stack::Stack;
    /// vm1's frames to host 20 leave for `remote`.
    void with_remote(const std::string& remote = "10.0.0.2") {
        begin();
        ASSERT_FALSE(bridge.add(to_remote(host(20), remote), now));
        tick();
    }
    Frame numbered(unsigned number) {
        Frame frame = a_frame();
        return frame.to(host(20))
            .from(host(1))
            .ipv4({.source = "192.0.2.1", .destination = "192.0.2.20"})
            .udp(1000, 2000)
            .payload(Bytes(40, static_cast<std::uint8_t>(number)));
    }
};

}  // namespace vxplane::control
