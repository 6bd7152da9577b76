// Commands of ip(8), and the short actions of a recording, applied to the state of the namespaces.
#pragma once

#include "ipvlan_setup.hpp"
#include "words.hpp"

namespace vxplane::oracle {

/// "10.1.0.9/24". With `with_route`, its subnet comes as a route on link.
void add_address(Network& network, const std::string& device, const std::string& prefix,
                 bool with_route);
/// A line of `ip route`, or what follows `ip route add|del`. Throws Unsupported.
void change_route(Network& network, Words words, bool add);
/// A line of `ip neigh`, or what follows `ip neigh add|del`. Throws Unsupported.
void change_neighbour(Network& network, Words words, bool add);
/// ["join", "s1", "224.0.0.251"], ["sh", "ip -n host route del default"], ... Throws Unsupported.
void apply_action(IpvlanSetup& setup, const nlohmann::json& action);

}  // namespace vxplane::oracle
