// Recordings played through control: scenarios, which have commands and time between frames, and
// cases of vxlans with many VNIs. Not in one process with replay(): DPDK starts once.
#pragma once

#include <vector>

#include "replay.hpp"

namespace vxplane::oracle {

/// The cases of configurations for which is_live() holds, in order.
std::vector<Result> replay_live_cases(const Recording& recording, const std::vector<Rule>& rules);

/// One for each scenario of a recording of the vxlan device, in order. Several rules may have
/// decided one: their names stand beside each other.
std::vector<Result> replay_live_scenarios(const Recording& recording,
                                          const std::vector<Rule>& rules);

}  // namespace vxplane::oracle
