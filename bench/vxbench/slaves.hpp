// `vxbench slaves`: what packets of ipvlan slaves cost in the real worker loop, beside bridged
// ones.
#pragma once

namespace vxplane::bench {

/// Reads its own command line; returns the exit code of the process.
[[nodiscard]] int run_slaves(int argc, char** argv);

}  // namespace vxplane::bench
