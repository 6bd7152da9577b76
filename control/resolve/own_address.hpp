// An address of one of our underlay ports. Met by whoever answers or asks on its behalf.
#pragma once

#include <cstdint>

#include "dataplane/net/ip_address.hpp"

namespace vxplane::control {

/// `10.0.0.1/24`, `2001:db8::1/64`: the address, and how many leading bits of it name the network.
struct OwnAddress {
    net::IpAddress address;
    std::uint8_t prefix_length = 32;

    /// False for an address of the other family.
    [[nodiscard]] bool contains(const net::IpAddress& other) const noexcept {
        const unsigned skipped = address.is_v4() ? 12 : 0;
        if (address.is_v4() != other.is_v4()) {
            return false;
        }
        for (unsigned bit = 0; bit < prefix_length; bit += 8) {
            const unsigned left = prefix_length - bit;
            const unsigned mask = left >= 8 ? 0xFFU : 0xFFU << (8 - left);
            const unsigned at = skipped + bit / 8;
            if (((address.bytes[at] ^ other.bytes[at]) & mask) != 0) {
                return false;
            }
        }
        return true;
    }
    /// The directed broadcast address of an IPv4 network; /31 and /32 have none (RFC 3021).
    [[nodiscard]] bool is_directed_broadcast(const net::IpAddress& other) const noexcept {
        return address.is_v4() && prefix_length < 31 && contains(other) &&
               (other.v4().number() | net::prefix_mask(prefix_length)) == 0xFFFFFFFFU;
    }
};

}  // namespace vxplane::control
