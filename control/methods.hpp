// The daemon's RPC methods: what can be asked, with which parameters, and what is answered.
#pragma once

#include <optional>
#include <string>

#include "control/daemon.hpp"
#include "control/rpc/method.hpp"

namespace vxplane::control {

/// What a request says under `key`, if it says anything; types have been checked by the server.
std::optional<std::string> word(const rpc::Json& params, const char* key);

/// Adds every method and topic to the daemon's server. Before the server opens.
void add_methods(Daemon& daemon);
/// Called by add_methods().
void add_capture_methods(Daemon& daemon);
/// The part of them about hashing and steering.
void add_spread_methods(Daemon& daemon);

/// About ipvlans: slaves, rules, connections.
void add_ipvlan_methods(Daemon& daemon);
void add_conntrack_methods(Daemon& daemon);
/// About neighbours in segments, and refused peers.
void add_segment_methods(Daemon& daemon);
/// About paths of tunnels.
void add_path_methods(Daemon& daemon);
/// About multicast groups, of the underlay and of tenants.
void add_multicast_methods(Daemon& daemon);
/// The answer to a change of the topology.
[[nodiscard]] rpc::Reply outcome(const Daemon::ReloadReport& report);
/// About routing tables.
void add_route_methods(Daemon& daemon);

}  // namespace vxplane::control
