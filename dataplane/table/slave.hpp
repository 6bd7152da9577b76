// ipvlan as workers see it: masters, which are underlay ports whose MAC address several hosts
// share, and their slaves, told apart by IP address (the kernel's drivers/net/ipvlan).
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/net/ip_address.hpp"
#include "dataplane/net/mac_address.hpp"
#include "dataplane/table/rate_limit.hpp"

namespace vxplane::table {

class Conntrack;

constexpr std::uint16_t kNoSlave = 0xFFFF;
constexpr std::uint16_t kNoMaster = 0xFFFF;

/// `ip link add type ipvlan mode ...`
enum class IpvlanMode : std::uint8_t { l2, l3, l3s };
/// `ip link add type ipvlan mode MODE bridge|private|vepa`
enum class IpvlanFlag : std::uint8_t { bridge, private_, vepa };
/// RFC 3704; values of net.ipv4.conf.*.rp_filter.
enum class UrpfMode : std::uint8_t { off, strict, loose };

/// One per ipvlan. Its number is the scope of its slaves' addresses in Tables::slave_addresses.
struct alignas(64) Master {
    std::uint16_t port = 0xFFFF;  ///< DPDK id of the underlay port; 0xFFFF: the number is free
    IpvlanMode mode = IpvlanMode::l3;
    IpvlanFlag flag = IpvlanFlag::bridge;
    bool host_access = false;    ///< l2: slaves and the host hear each other's broadcasts
    bool decrement_ttl = false;  ///< l3, l3s: slave to wire counts as a hop
    bool dhcp_snoop = false;
    bool mcast_snooping = false;    ///< l2: control hears what slaves say of multicast groups
    bool hooked = false;            ///< it or a slave has rules, or connections are tracked
    bool routes_to_slaves = false;  ///< its routing table leads to slaves of its own
    std::uint32_t slave_begin = 0;  ///< its slaves, in Tables::slave_list
    std::uint32_t slave_count = 0;
    std::uint32_t routes = 0;  ///< routing table of the master, index into Tables::route_tables
    std::uint32_t hooks = 0;   ///< of the host's side, index into Tables::hook_sets; 0 = none
    std::uint32_t copies_per_poll = 1000;  ///< of broadcasts and multicasts, for all slaves
    net::Ipv4Address address4;  ///< the master's first, for masquerade and ICMP; zero = none
    net::IpAddress address6;
    Conntrack* conntrack = nullptr;  ///< written by the one worker that polls master and slaves
    std::uint64_t mac = 0;           ///< MacAddress::number() of the port and of every slave
};
static_assert(sizeof(Master) == 128 || sizeof(Master) == 64);

/// Which groups a slave hears: exact for a few, everything with `all`.
struct GroupFilter {
    static constexpr std::size_t kRoom = 28;
    bool all = false;  ///< promiscuous or allmulti
    std::uint8_t count = 0;
    std::array<std::uint64_t, kRoom> macs{};  ///< MacAddress::number() of group addresses

    /// `group`: MacAddress::number(). The broadcast address is always heard.
    [[nodiscard]] bool hears(std::uint64_t group) const noexcept {
        if (all || group == net::MacAddress::kBroadcastNumber) {
            return true;
        }
        for (std::uint8_t i = 0; i < count; ++i) {
            if (macs[i] == group) {
                return true;
            }
        }
        return false;
    }
};

/// One per slave; its number never changes while it exists.
struct alignas(64) Slave {
    std::uint16_t port = 0xFFFF;  ///< DPDK id of its access port; 0xFFFF: the number is free
    std::uint16_t master = kNoMaster;
    std::uint16_t vrf = 0;           ///< tenant: conntrack zone and half of the scope of addresses
    std::uint16_t max_frame = 1514;  ///< with Ethernet header
    bool up = true;
    bool answers_gateway = true;  ///< ARP and ND of a host that believes it is on Ethernet
    UrpfMode urpf = UrpfMode::off;
    bool check_source = false;  ///< only its own addresses may be the source
    bool forwards = true;       ///< gets packets to what routes say is behind it
    std::uint8_t length4 = 0;   ///< of the prefix of its only IPv4 address; 0: it has more, or none
    std::uint32_t routes = 0;   ///< its routing table, index into Tables::route_tables; 0 = none
    std::uint32_t hooks = 0;    ///< index into Tables::hook_sets; 0 = none
    std::uint32_t policer = 0;  ///< bits per millisecond towards the wire; 0 = no limit
    net::Ipv4Address address4;  ///< its first; zero = none
    net::IpAddress address6;
    std::uint64_t mac = 0;       ///< of what is behind the port; 0 = the master's
    RateLimit* limit = nullptr;  ///< control's; not null where `policer` is not 0
    GroupFilter groups;
};

/// What a frame for a slave needs to know, apart from the rest: of ten thousand slaves this much
/// stays in the second-level cache.
struct SlaveExit {
    std::uint16_t port = 0xFFFF;
    std::uint16_t max_frame = 0;  ///< with Ethernet header; 0: the slave is down
    std::uint32_t hooks = 0;      ///< index into Tables::hook_sets; 0 = none
};
static_assert(sizeof(SlaveExit) == 8);

/// In values of Tables::slave_addresses: a public address (1:1 translation), of which a slave knows
/// nothing itself. Number of the slave below it.
constexpr std::uint32_t kPublicAddress = 0x10000;

/// Scope of Tables::slave_addresses.
constexpr std::uint32_t slave_scope(std::uint16_t master, std::uint16_t vrf) noexcept {
    return std::uint32_t{master} << 16 | vrf;
}

}  // namespace vxplane::table
