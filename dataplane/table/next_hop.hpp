// Where a route leads. A routing table holds numbers; what they stand for is here, once for all
// tables, so that a million routes through one gateway share one line.
#pragma once

#include <cstdint>

#include "dataplane/net/ip_address.hpp"
#include "dataplane/net/mac_address.hpp"
#include "dataplane/table/fib.hpp"

namespace vxplane::table {

/// The value of a route as a routing table stores it: type and number of the next hop. 0: no route.
class RouteValue {
  public:
    static constexpr std::uint32_t kMaxNextHop = (1U << 28) - 1;
    constexpr RouteValue() noexcept = default;
    constexpr RouteValue(RouteType type, std::uint32_t next_hop) noexcept
        : bits_(1U << 31 | static_cast<std::uint32_t>(type) << 28 | next_hop) {}
    static constexpr RouteValue from_raw(std::uint32_t bits) noexcept {
        RouteValue value;
        value.bits_ = bits;
        return value;
    }
    [[nodiscard]] constexpr std::uint32_t raw() const noexcept { return bits_; }
    [[nodiscard]] constexpr bool found() const noexcept { return bits_ != 0; }
    [[nodiscard]] constexpr RouteType type() const noexcept {
        return static_cast<RouteType>(bits_ >> 28 & 7U);
    }
    [[nodiscard]] constexpr std::uint32_t next_hop() const noexcept { return bits_ & kMaxNextHop; }
    constexpr bool operator==(const RouteValue&) const noexcept = default;

  private:
    std::uint32_t bits_ = 0;
};

enum class NextHopKind : std::uint8_t {
    none,     ///< led nowhere: port or object is gone
    link,     ///< the destination itself is a neighbour on `port`
    gateway,  ///< `via` is a neighbour on `port`
    slave,    ///< a slave of the same master: number in `index`
    vxlan,    ///< into `segment` by tunnel `index`, inner MAC addresses given
    table,    ///< looked up again in the routing table `index` (an explicit leak)
    group     ///< one of several: slots [index, index + count) of Tables::next_hop_slots
};

/// One per number; number 0 is of kind none.
struct alignas(64) NextHop {
    NextHopKind kind = NextHopKind::none;
    std::uint16_t port = 0xFFFF;    ///< DPDK port id
    std::uint16_t segment = 0;      ///< vxlan
    std::uint16_t max_frame = 0;    ///< longest frame with Ethernet header on `port`; vxlan: inner
    std::uint32_t index = 0;        ///< slave, tunnel, routing table or first slot
    std::uint32_t count = 0;        ///< slots of a group, a power of two
    std::uint32_t neighbour = ~0U;  ///< gateway: index into Tables::neighbours
    net::IpAddress via;             ///< gateway
    net::MacAddress inner_destination;  ///< vxlan: MAC of the node behind the tunnel
    net::MacAddress inner_source;       ///< vxlan: our MAC in the segment
};
static_assert(sizeof(NextHop) == 64);

/// Who is behind an address of a port, resolved or not.
struct Neighbour {
    net::MacAddress mac;
    std::uint16_t port = 0xFFFF;
    bool usable = false;
};

}  // namespace vxplane::table
