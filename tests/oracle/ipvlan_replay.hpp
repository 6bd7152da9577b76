// Recorded ipvlan cases played to the data plane, and the verdict on each.
#pragma once

#include "ipvlan_recording.hpp"
#include "replay.hpp"

namespace vxplane::oracle {

/// All cases of a recording, in order.
std::vector<Result> replay_cases(const IpvlanRecording& recording, const std::vector<Rule>& rules);
/// All scenarios, in order.
std::vector<Result> replay_scenarios(const IpvlanRecording& recording,
                                     const std::vector<Rule>& rules);

}  // namespace vxplane::oracle
