// `vxbench latency`: how long a frame is under way through the worker loop at a given load.
#pragma once

namespace vxplane::bench {

/// Reads its own command line; returns the exit code of the process.
[[nodiscard]] int run_latency(int argc, char** argv);

}  // namespace vxplane::bench
