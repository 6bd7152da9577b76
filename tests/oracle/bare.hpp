// `external gpe`: the recorded device has no Ethernet, and a program tells it where to send.
#pragma once

#include "recording.hpp"
#include "setup.hpp"

namespace vxplane::oracle {

/// `tc bpf egress ... (VNI=100 remote 10.10.10.13 TTL=64)`; false for another command.
bool set_tunnel_key(const std::string& command, Setup& setup);

/// The VNI of the first tunnel packet over IPv4; 0: there is none.
std::uint32_t vni_of(const Case& one);

/// What the device sends, as a host's frame to its peer.
Bytes with_macs(const Bytes& packet, const Setup& setup);
/// What came without Ethernet is shown so.
Bytes without_macs(const Bytes& frame);

}  // namespace vxplane::oracle
