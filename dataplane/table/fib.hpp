// The routes that tunnels are led by, and what a route can say. Control's own: workers see prebuilt
// tunnels, and the routing tables of route_table.hpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "dataplane/net/ip_address.hpp"
#include "dataplane/net/ipv4_address.hpp"
#include "dataplane/table/lpm.hpp"

namespace vxplane::table {

/// What `ip route add TYPE ...` means by TYPE.
enum class RouteType : std::uint8_t {
    unicast,
    local,        ///< an address of our own
    blackhole,    ///< drop silently
    unreachable,  ///< drop and send ICMP host unreachable
    prohibit,     ///< drop and send ICMP administratively prohibited
    throw_,       ///< end the search in this table; the caller goes on to the next one
};

struct Route {
    RouteType type = RouteType::unicast;
    std::uint16_t port = 0;  ///< the port to leave by; without meaning for the types that drop
    std::uint32_t via = 0;   ///< next hop, host order; 0: the destination itself is on the link
    std::uint32_t src = 0;   ///< our address for what goes there, host order; 0: chosen
    std::uint16_t mtu = 0;   ///< of the way, where it takes less than the port; 0: the port's
    std::uint8_t tos = 0;    ///< of the packets that it is for; 0: whatever they have
    friend bool operator==(const Route&, const Route&) = default;
};

/// IPv4 prefixes to routes. One thread.
class Fib4 {
  public:
    /// `capacity`: routes held at most.
    explicit Fib4(std::uint32_t capacity = 1024) : prefixes_(capacity) {}

    /// The route of the longest prefix that holds `address` (host order).
    [[nodiscard]] std::optional<Route> lookup(std::uint32_t address) const noexcept {
        return route_of(prefixes_.lookup(bytes_of(address).data()));
    }

    /// Adds the route or replaces the one of the same prefix. False, and nothing changed, when
    /// `length` is above 32, when `prefix` (host order) has bits beyond `length`, or when the table
    /// is full, which alone is counted as refused.
    bool add(std::uint32_t prefix, std::uint8_t length, Route route);
    /// False when there was no such prefix.
    bool remove(std::uint32_t prefix, std::uint8_t length);
    /// The route of exactly this prefix.
    [[nodiscard]] std::optional<Route> find(std::uint32_t prefix, std::uint8_t length) const {
        return route_of(prefixes_.find(bytes_of(prefix).data(), length));
    }

    /// Calls `f(prefix, length, Route)` by rising prefix, shorter before longer.
    template <class F>
    void for_each(F&& f) const {
        prefixes_.for_each(
            [&](const Lpm<4>::Bits& prefix, std::uint8_t length, std::uint32_t value) {
                f(net::Ipv4Address::of(prefix[0], prefix[1], prefix[2], prefix[3]).number(), length,
                  routes_[value - 1]);
            });
    }

    [[nodiscard]] std::uint32_t used() const noexcept { return prefixes_.used(); }
    [[nodiscard]] std::uint32_t high_water() const noexcept { return prefixes_.high_water(); }
    [[nodiscard]] std::uint64_t refused() const noexcept { return prefixes_.refused(); }
    [[nodiscard]] std::uint32_t capacity() const noexcept { return prefixes_.capacity(); }
    [[nodiscard]] std::size_t memory_bytes() const noexcept { return prefixes_.memory_bytes(); }

  private:
    static Lpm<4>::Bits bytes_of(std::uint32_t number) noexcept {
        return {static_cast<std::uint8_t>(number >> 24), static_cast<std::uint8_t>(number >> 16),
                static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)};
    }
    [[nodiscard]] std::optional<Route> route_of(std::uint32_t value) const noexcept {
        return value == 0 ? std::nullopt : std::optional(routes_[value - 1]);
    }
    void free_nodes() noexcept;

    Lpm<4> prefixes_;  ///< to places in routes_, the first is 1
    std::vector<Route> routes_;
    std::vector<std::uint32_t> free_;  ///< values that no prefix has
};

/// The same for IPv6.
struct Route6 {
    RouteType type = RouteType::unicast;
    std::uint16_t port = 0;
    net::IpAddress via;    ///< `::`: the destination itself is on the link
    net::IpAddress src{};  ///< `::`: chosen
    std::uint16_t mtu = 0;
    friend bool operator==(const Route6&, const Route6&) = default;
};

/// IPv6 prefixes to routes, as Fib4.
class Fib6 {
  public:
    explicit Fib6(std::uint32_t capacity = 1024) : prefixes_(capacity) {}

    [[nodiscard]] std::optional<Route6> lookup(const net::IpAddress& address) const noexcept {
        return route_of(prefixes_.lookup(address.bytes.data()));
    }
    bool add(const net::IpAddress& prefix, std::uint8_t length, const Route6& route);
    bool remove(const net::IpAddress& prefix, std::uint8_t length);
    [[nodiscard]] std::optional<Route6> find(const net::IpAddress& prefix,
                                             std::uint8_t length) const {
        return route_of(prefixes_.find(prefix.bytes.data(), length));
    }
    /// Calls `f(const net::IpAddress& prefix, length, Route6)` by rising prefix, shorter before
    /// longer.
    template <class F>
    void for_each(F&& f) const {
        prefixes_.for_each(
            [&](const Lpm<16>::Bits& prefix, std::uint8_t length, std::uint32_t value) {
                f(net::IpAddress(prefix), length, routes_[value - 1]);
            });
    }
    [[nodiscard]] std::uint32_t used() const noexcept { return prefixes_.used(); }
    [[nodiscard]] std::uint32_t capacity() const noexcept { return prefixes_.capacity(); }

  private:
    [[nodiscard]] std::optional<Route6> route_of(std::uint32_t value) const noexcept {
        return value == 0 ? std::nullopt : std::optional(routes_[value - 1]);
    }
    void free_nodes() noexcept;

    Lpm<16> prefixes_;  ///< to places in routes_, the first is 1
    std::vector<Route6> routes_;
    std::vector<std::uint32_t> free_;
};

/// The bits of the TOS by which Linux chooses among routes to a prefix (IPTOS_RT_MASK), over IPv4.
inline constexpr std::uint8_t kRouteTosMask = 0x1C;
inline constexpr std::uint8_t kRouteTosStep = 4;
inline constexpr std::size_t kRouteTosValues = kRouteTosMask / kRouteTosStep + 1;

/// The underlay's routes of both families.
struct UnderlayRoutes {
    /// `capacity`: of each table.
    explicit UnderlayRoutes(std::uint32_t capacity = 1024) : v4(capacity), v6(capacity) {}

    /// As a packet with that TOS sees them.
    [[nodiscard]] const Fib4& v4_for(std::uint8_t tos) const {
        const auto own = by_tos.find(tos & kRouteTosMask);
        return own == by_tos.end() ? v4 : own->second;
    }

    Fib4 v4;
    Fib6 v6;
    /// By TOS, where some routes are for it alone: those, and of the others what they leave.
    std::map<std::uint8_t, Fib4> by_tos;
};

}  // namespace vxplane::table
