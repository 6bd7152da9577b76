// Where large TCP packets are made and which ports take them: the keys `gro` and `tso` of a port,
// turned into what ports and workers are told. Met by the machine alone.
#pragma once

#include <vector>

#include "config/topology.hpp"
#include "control/machine.hpp"

namespace vxplane::control {

/// What a port is to be opened with.
void set_large(port::PortOptions& options, const config::Port& port);

/// Tells workers which queues merge and which lanes take large packets. `gro: auto` merges where
/// some other port takes large packets: cutting again what was merged gains nothing.
void plan_large(const std::vector<OpenPort>& ports, std::vector<worker::WorkerOptions>& plans);

}  // namespace vxplane::control
