// What was seen in a passage of a scenario beside what ours did.
#pragma once

#include <string>
#include <vector>

#include "ipvlan_scene.hpp"
#include "scenario_course.hpp"

namespace vxplane::oracle {

/// One outcome for each stimulus.
using Outcomes = std::vector<Outcome>;

/// Takes every frame of `ours` at `port` out of `theirs`; what is left there is only theirs. Frames
/// of one stimulus come in the same order. What differs first, or empty.
std::string take_out(const std::string& port, const Outcomes& ours, std::vector<Bytes>& theirs);

/// At the device of a namespace; `ours` is what comes there when the namespace has no rules.
std::string device_difference(const std::string& name, const Passage& passage, const Outcomes& ours,
                              const IpvlanSetup& setup);

/// What the IP layers of all namespaces took.
std::string datagram_difference(const Passage& passage, const Outcomes& ours,
                                const IpvlanSetup& setup);

}  // namespace vxplane::oracle
