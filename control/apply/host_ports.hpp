// Ports that the host's own kernel gives to its connections, where it shares an address with
// slaves: what comes back to one of them must not be taken for a slave's.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/topology.hpp"

namespace vxplane::control {

/// net.ipv4.ip_local_port_range, as the kernel writes it; none when it is not two numbers.
[[nodiscard]] std::optional<config::Ports> read_port_range(std::string_view text);
/// Of the network namespace that the daemon runs in; none where /proc does not say.
[[nodiscard]] std::optional<config::Ports> host_port_range();

/// What an operator should know when masquerade may give slaves ports that the host's kernel gives
/// to its own connections too. None when there is no such kernel, or no such port.
[[nodiscard]] std::optional<std::string> clash_of_ports(const config::Topology& topology,
                                                        const config::Ipvlan& ipvlan,
                                                        const config::Ports& host);

/// Logs it for each ipvlan.
void warn_of_ports(const config::Topology& topology);

}  // namespace vxplane::control
