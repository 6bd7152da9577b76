// One routing table: of the host, of a slave, or a named one. Looked up by workers, written by
// control.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/net/ip_address.hpp"
#include "dataplane/table/lpm.hpp"
#include "dataplane/table/next_hop.hpp"

namespace vxplane::table {

/// Both families; values are RouteValue::raw().
struct RouteTable {
    Lpm<4> v4;
    Lpm<16> v6;

    explicit RouteTable(std::uint32_t capacity = 1024) : v4(capacity), v6(capacity) {}

    /// Any worker.
    [[nodiscard]] RouteValue lookup(const net::IpAddress& address) const noexcept {
        const std::uint8_t* bytes = address.bytes.data();
        return RouteValue::from_raw(address.is_v4() ? v4.lookup(bytes + 12) : v6.lookup(bytes));
    }
    /// Where it stands in a packet, in wire order.
    [[nodiscard]] RouteValue lookup_v4(const std::byte* address) const noexcept {
        return RouteValue::from_raw(v4.lookup(reinterpret_cast<const std::uint8_t*>(address)));
    }
    [[nodiscard]] RouteValue lookup_v6(const std::byte* address) const noexcept {
        return RouteValue::from_raw(v6.lookup(reinterpret_cast<const std::uint8_t*>(address)));
    }
};

}  // namespace vxplane::table
