// What a scenario's commands printed in the end, nft's counters and conntrack's entries, beside
// what ours counted and remembers.
#pragma once

#include <string>

#include "ipvlan_scene.hpp"
#include "scenario_course.hpp"

namespace vxplane::oracle {

/// Empty when equal, else what differs first. Looked at where the rules of a namespace are ours:
///  - a slave's, and the host's in mode l3s; in mode l3 those of the host's way out, and none in
///    mode l2. What else the host's stack does is behind the twin.
///  - connections of the kernel must be among ours, and ours among those of the host in mode l3s,
///    when the host has rules.
/// Queries of other commands are passed over.
std::string query_difference(const Scenario& scenario, IpvlanScene& scene,
                             const IpvlanSetup& setup);

/// "udp 10.1.0.1 10.1.0.2 4000 9 10.1.0.2 10.1.0.1 9 4000 unreplied" for each line of
/// `conntrack -L`; of ICMP without ports.
std::set<std::string> connections_in(const std::string& text);
/// Packets and bytes of each counter of `nft list table`, in its order.
std::vector<table::RuleCounters::Count> counters_in(const std::string& text);

}  // namespace vxplane::oracle
