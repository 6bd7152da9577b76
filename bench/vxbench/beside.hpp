// `vxbench beside`: full tables beside small ones, tunnels over IPv6 beside those over IPv4,
// options of segments on beside off.
#pragma once

namespace vxplane::bench {

/// Reads its own command line; returns the exit code of the process.
[[nodiscard]] int run_beside(int argc, char** argv);

}  // namespace vxplane::bench
