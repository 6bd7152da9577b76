// What every in-process test of the data plane stands on: DPDK started once, without hugepages, and
// packet memory. Met by the lab and by the fuzz targets.
#pragma once

#include "dataplane/port/pool.hpp"

namespace vxplane::support {

/// Starts EAL on first use (the calling thread becomes lcore 0) and makes the pools. Ends the
/// process with a message when that fails. The pools live as long as the process.
port::PoolSet& pools();

}  // namespace vxplane::support
