// How often packets passed each hook: what the kernel counted in a scenario beside ours.
#pragma once

#include <string>

#include "ipvlan_scene.hpp"
#include "scenario_course.hpp"

namespace vxplane::oracle {

/// With one more rule for each hook, family and namespace that only counts, ahead of all others.
IpvlanSetup with_counting(IpvlanSetup setup);

/// What besides the data plane passes hooks; those are not compared then.
struct HooksOfOthers {
    bool fragments = false;      ///< the kernel puts them together and judges them once
    bool host_is_given = false;  ///< and passes its hooks with it
    bool host_sends = false;
};

/// Empty when equal, else what differs first. `scene` is one of with_counting(setup). Compared:
/// what comes in at slaves; what comes in at the host in mode l3s; what leaves by the host in modes
/// l3 and l3s. What slaves send has passed their own stack's hooks before.
std::string hook_difference(const Scenario& scenario, IpvlanScene& scene, const IpvlanSetup& setup,
                            const HooksOfOthers& others);

}  // namespace vxplane::oracle
