// `vxbench scaling`: what several workers carry beside one, and whether their counters share lines.
#pragma once

namespace vxplane::bench {

/// Reads its own command line; returns the exit code of the process.
[[nodiscard]] int run_scaling(int argc, char** argv);

}  // namespace vxplane::bench
