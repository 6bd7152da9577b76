// What is configured around the recorded device: its bridge, its uplink, the firewall.
#pragma once

#include <string>

#include "setup.hpp"

namespace vxplane::oracle {

/// Takes a command that concerns no option of the device; false for another one.
bool is_around(const std::string& command, Setup& setup);

}  // namespace vxplane::oracle
