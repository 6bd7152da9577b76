// What a host says to multicast routers of the groups that it joins, has and leaves, in all
// versions of IGMP and MLD. Met by joined_groups.*; pure functions over bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/net/membership.hpp"

namespace vxplane::control {

/// Who speaks.
struct GroupSpeaker {
    net::MacAddress mac;
    net::Ipv4Address address{};  ///< of IGMP; 0.0.0.0 where the port has none
    net::IpAddress link_local;   ///< of MLD
};

/// The modified EUI-64 address of a MAC address (RFC 4291 appendix A).
[[nodiscard]] net::IpAddress link_local_of(const net::MacAddress& mac) noexcept;

/// Groups of one message of the newest versions: it fits the smallest MTU of IPv6.
constexpr std::size_t kMostRecords = 48;

/// Ethernet frames. All groups are of one family, at most kMostRecords.
/// IGMPv3 or MLDv2, to all routers that understand it (RFC 3376 section 4.2, RFC 3810 section 5.2).
[[nodiscard]] std::vector<std::byte> make_report(const GroupSpeaker& from, net::GroupChange change,
                                                 std::span<const net::IpAddress> groups);
/// IGMPv1, IGMPv2 or MLDv1 (`version` as in net::GroupQuery), to the group itself.
[[nodiscard]] std::vector<std::byte> make_old_report(const GroupSpeaker& from,
                                                     const net::IpAddress& group,
                                                     std::uint8_t version);
/// IGMPv2 leave or MLDv1 done, to all routers.
[[nodiscard]] std::vector<std::byte> make_leave(const GroupSpeaker& from,
                                                const net::IpAddress& group);

}  // namespace vxplane::control
