// What the kernel's ipvlan did beside what ours did.
#pragma once

#include <string>

#include "ipvlan_scene.hpp"

namespace vxplane::oracle {

/// Empty when equal, else what differs first.
///
/// Ports are compared frame by frame in order, but for two:
///  - `host_lo` and other devices of the host show a datagram that a slave sent to the host. Ours
///    reaches the host by the twin: compared from the IP header on.
///  - In mode l3s the kernel passes every frame up to the host's device and lets the IP layer find
///    the slave; ours gives the frame to the slave's port. Frames at `host` must be the same as
///    ours at the twin and at slaves together, and in each namespace the IP layer must end up with
///    the datagrams that the recording lists.
///
/// `frames` are those of `ours`, or what is left of them when something is not to be compared.
std::string ipvlan_difference(const IpvlanCase& one, const Outcome& ours, const Frames& frames,
                              const IpvlanSetup& setup);

}  // namespace vxplane::oracle
