// What the device of a port does by itself and what is left to workers, in words for the log.
#pragma once

#include <string>

#include "dataplane/port/tso.hpp"

namespace vxplane::control {

/// `rx_checksum`: the device says that it verifies what it receives.
[[nodiscard]] std::string offloads_in_words(bool rx_checksum, const port::TsoAbility& tso);

}  // namespace vxplane::control
