// Frames of the kernel beside ours, byte by byte where a mask does not say otherwise.
#pragma once

#include <string>

#include "recording.hpp"
#include "setup.hpp"

namespace vxplane::oracle {

/// Empty when equal, else what differs first. Bytes under a mask must still make sense: checksums
/// right, the source port in the configured range.
std::string difference(const Recording& recording, const Case& one, const Frames& ours,
                       const Setup& setup);

/// Whether ours have equal source ports where the kernel's are equal, and do spread where those
/// spread. Empty when they do.
std::string port_pattern_difference(const Case& one, const Frames& ours, const Setup& setup);

}  // namespace vxplane::oracle
