// Vxlans of many VNIs become one of each: met by the loader alone. Whoever reads a topology sees
// segments.
#pragma once

#include "config/problem.hpp"
#include "config/topology.hpp"

namespace vxplane::config {

/// Replaces every external vxlan by its parts. What is wrong with the words that are used up here
/// is noted; the others are validate's.
void expand_external(Topology& topology, Problems& problems);

/// What people call it: the external vxlan that it is a part of, or its own name.
[[nodiscard]] const std::string& said_name(const Vxlan& vxlan);
/// The key that gives the VNI.
[[nodiscard]] const char* vni_key(const Vxlan& vxlan);
/// Where people wrote entry `index` of a list of entries.
[[nodiscard]] std::size_t said_index(const Vxlan& vxlan, std::size_t index);

/// Whether a trunk has the VLAN of a part of its vxlan.
[[nodiscard]] bool has_vlan(const Port& port, std::uint16_t vid);

}  // namespace vxplane::config
