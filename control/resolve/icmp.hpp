// ICMP that control makes, in both families: echo replies for our own addresses, errors for tenants
// in the name of the destination that they cannot reach, and errors of the router that a slave's
// packet met. Pure functions over bytes, and the limiter for them.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "control/resolve/own_address.hpp"

namespace vxplane::control {

/// Why no message was made.
enum class NoIcmp : std::uint8_t {
    made,               ///< there is one
    truncated,          ///< shorter than its headers say
    not_ipv4,           ///< EtherType or version; the other family where an address says which
    bad_header,         ///< IP header length, total length, checksum or version
    bad_icmp_checksum,  ///< drop reason icmp_malformed, as for `truncated`
    not_for_us,         ///< destination is none of our addresses
    not_echo_request,
    fragment,         ///< echo: any fragment; error: any but the first (RFC 1812 section 4.3.2.7)
    bad_source,       ///< no single host: zero, loopback, multicast, broadcast, class E
    bad_destination,  ///< broadcast, multicast, zero or loopback, in IP or as MAC address
    about_icmp_error,
    mtu_too_low,  ///< tenants: below 576, which no host has to obey; routers: 68 and 1280
    no_room       ///< the output span is too short
};
std::string_view name(NoIcmp why) noexcept;

struct IcmpMade {
    std::size_t size = 0;  ///< bytes of the frame in the output, at least 60; 0 if there is none
    NoIcmp why = NoIcmp::made;
    explicit operator bool() const noexcept { return why == NoIcmp::made; }
};

/// Longest frame of an error: two VLAN tags and 576 bytes of IPv4 (RFC 1812 section 4.3.2.3) or
/// 1280 of IPv6 (RFC 4443 section 2.4 c).
constexpr std::size_t kIcmpErrorFrame = 14 + 8 + 1280;
/// No error quotes or looks at more of a frame.
constexpr std::size_t kQuoted = 2048;
/// Room that make_echo_reply() needs for a request frame of this size.
constexpr std::size_t echo_reply_room(std::size_t request) noexcept {
    return request < 60 ? 60 : request;
}

/// Answers an untagged Ethernet frame with an echo request to one of `own`. MAC addresses are
/// swapped, IPv4 options and IPv6 extension headers left out, DSCP kept, TTL is 64. `out` may be
/// the memory of `request`.
/// Rate limiting is the caller's.
IcmpMade make_echo_reply(std::span<const std::byte> request, std::span<const OwnAddress> own,
                         std::span<std::byte> out) noexcept;

/// The errors that control sends: types and codes of RFC 792, RFC 1812 and RFC 4443.
enum class IcmpError : std::uint8_t {
    net_unreachable,       ///< IPv6: no route to destination
    host_unreachable,      ///< IPv6: address unreachable
    port_unreachable,      ///< a rule's `reject`
    fragmentation_needed,  ///< IPv6: packet too big
    admin_prohibited,
    time_exceeded  ///< TTL or hop limit used up
};

/// Answers a tenant's frame (at most two VLAN tags, which are kept): from its IPv4 destination back
/// to its sender, MAC addresses swapped, as much of the packet quoted as 576 bytes hold. `mtu` is
/// said with fragmentation_needed only (RFC 1191), whose further rules are those of the kernel's
/// tunnels: no answer to any fragment, nor for an MTU below 576. `out` must not overlap `frame`.
/// `arrived`: bytes of the whole frame where `frame` is only its beginning, which is enough with
/// kQuoted bytes; 0 = it is the whole one.
IcmpMade make_icmp_error(std::span<const std::byte> frame, IcmpError error, std::uint16_t mtu,
                         std::span<std::byte> out, std::size_t arrived = 0) noexcept;

/// What a tunnel tells a tenant whose frame is too long for it, of either family, byte for byte as
/// the kernel's tunnels do: in the name of the packet's destination, by the rules of
/// make_icmp_error(), with type of service 0 and the packet's own TTL.
IcmpMade make_too_big(std::span<const std::byte> frame, std::uint16_t mtu, std::span<std::byte> out,
                      std::size_t arrived = 0) noexcept;

/// Answers a frame (at most two VLAN tags, which are kept) in the name of `router`, one of our
/// addresses of the packet's family, back to the MAC address that sent it, MAC addresses swapped.
/// Rules of RFC 1812 section 4.3.2.7 and RFC 4443 section 2.4; as much of the packet quoted as 576
/// (IPv4) or 1280 bytes (IPv6) hold. `mtu` and `arrived` as above. `out` must not overlap `frame`.
IcmpMade make_router_error(std::span<const std::byte> frame, const net::IpAddress& router,
                           IcmpError error, std::uint16_t mtu, std::span<std::byte> out,
                           std::size_t arrived = 0) noexcept;

/// At most `rate` messages per source in each second that begins with its first one. A fixed
/// table: when a new source finds only sources in their second around its place, it is suppressed;
/// so no number of forged sources makes more than `sources` * `rate` messages a second.
class IcmpLimiter {
  public:
    using Time = std::chrono::steady_clock::time_point;

    /// `rate` 0 lets nothing through. `sources` is rounded up to a power of two, at least 8.
    explicit IcmpLimiter(std::uint32_t rate = 100, std::size_t sources = 4096,
                         std::uint64_t seed = 0);

    /// True if a message to `source` may be sent now. `scope` keeps equal addresses of different
    /// tenants apart (segment index, or any number).
    bool allow(std::uint32_t scope, const net::IpAddress& source, Time now) noexcept;
    void set_rate(std::uint32_t rate) noexcept { rate_ = rate; }
    [[nodiscard]] std::uint64_t suppressed() const noexcept { return suppressed_; }

  private:
    static constexpr std::size_t kWays = 8;
    struct Place {
        net::IpAddress source;
        std::uint32_t scope = 0;
        Time began;
        std::uint32_t count = 0;  ///< 0: never used
    };
    std::vector<Place> places_;
    std::size_t mask_;  ///< of the first place of a set
    std::uint64_t seed_;
    std::uint32_t rate_;
    std::uint64_t suppressed_ = 0;
};

}  // namespace vxplane::control
