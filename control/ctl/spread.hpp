// How packets are spread over workers, in a few words each. Met by the views of ports and workers.
#pragma once

#include <string>

#include "control/ctl/table.hpp"

namespace vxplane::control::ctl {

/// `up/0` for a queue of the worker's own, `up/0>1` for one that it reaches through worker 1.
[[nodiscard]] Json tx_plan(const Json& worker);
/// An indirection table, what repeats told once: `128 entries: queue 0 1, repeated`.
[[nodiscard]] std::string reta_text(const Json& reta);

}  // namespace vxplane::control::ctl
