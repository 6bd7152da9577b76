// IPv6 interface ids of slaves: all have one MAC address, so what a host makes of that alone would
// be the same address for all. The kernel's ipvlan gives each a number of its own (dev_id), which
// stands where ff:fe does otherwise, and the local bit stays (addrconf_ifid_eui48).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/net/ip_address.hpp"
#include "dataplane/net/mac_address.hpp"

namespace vxplane::control {

/// One for each slave: follows from its name, so that it is the same after a restart, and from
/// those before it where two names meet. 1 to 0xFFFD.
[[nodiscard]] std::vector<std::uint16_t> interface_numbers(const std::vector<std::string>& names);

/// The lower half of an address, in wire order.
using InterfaceId = std::array<std::uint8_t, 8>;
[[nodiscard]] InterfaceId interface_id(net::MacAddress mac, std::uint16_t number) noexcept;
/// What a host makes of its MAC address alone (RFC 4291 appendix A).
[[nodiscard]] InterfaceId plain_interface_id(net::MacAddress mac) noexcept;
[[nodiscard]] net::IpAddress link_local(const InterfaceId& id) noexcept;

}  // namespace vxplane::control
