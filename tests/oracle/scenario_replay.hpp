// Recorded scenarios (live stacks, rules, time) played to the data plane, and the verdict on each.
#pragma once

#include "ipvlan_recording.hpp"
#include "replay.hpp"

namespace vxplane::oracle {

/// What a live stack sent is played as what was injected; then each place must have seen what ours
/// shows there:
///  - on the wire, the frames. Those that are not ours must be the host's own: see HostStack. They
///    are played to the twin and must leave the wire as they are.
///  - at devices, the frames. A device is in front of the rules of its namespace, ours are in front
///    of the device: the frames are compared with what comes when that namespace has no rules.
///  - in a namespace, the datagrams that its IP layer took, but for those that it sent to itself.
///  - in the end, counters of rules and connections, where the recording asked for them.
/// A wait of more than 20 ms, or a command, divides what was seen before from what was seen after.
Result replay(const IpvlanRecording& recording, const Scenario& scenario,
              const std::vector<Rule>& rules);

}  // namespace vxplane::oracle
