// Whether a topology makes sense as a whole: names that point nowhere, things that clash, sizes
// that do not fit. Met after `load`, before anything is applied.
#pragma once

#include "config/problem.hpp"
#include "config/topology.hpp"

namespace vxplane::config {

/// Every problem found; none means that the topology can be applied. Pure.
[[nodiscard]] Problems validate(const Topology& topology);

}  // namespace vxplane::config
