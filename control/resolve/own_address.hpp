// An IPv4 address of one of our underlay ports. Met by whoever answers or asks on its behalf.
#pragma once

#include <cstdint>

#include "dataplane/net/ipv4_address.hpp"

namespace vxplane::control {

/// `10.0.0.1/24`: the address, and how many leading bits of it name the network.
struct OwnAddress {
    net::Ipv4Address address;
    std::uint8_t prefix_length = 32;

    [[nodiscard]] bool contains(net::Ipv4Address other) const noexcept {
        return ((address.number() ^ other.number()) & net::prefix_mask(prefix_length)) == 0;
    }
    /// The directed broadcast address of the network; /31 and /32 have none (RFC 3021).
    [[nodiscard]] bool is_directed_broadcast(net::Ipv4Address other) const noexcept {
        return prefix_length < 31 && contains(other) &&
               (other.number() | net::prefix_mask(prefix_length)) == 0xFFFFFFFFU;
    }
};

}  // namespace vxplane::control
