// vxctl as a function, so that tests can run it against a server of their own.
#pragma once

#include <iosfwd>

namespace vxplane::control::ctl {

/// Parses, asks, prints. Returns the exit code: 0 done, 1 refused by the daemon or not reachable,
/// 2 wrong usage. Reads the environment variable VXPLANE_SOCKET.
int run(int argc, const char* const* argv, std::ostream& out, std::ostream& err);

}  // namespace vxplane::control::ctl
