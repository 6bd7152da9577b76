// The recorded state of the namespaces, as `ip` printed it, and the actions before a case, as a
// configuration of the data plane. What cannot be read is named, and the case is then left out.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "dataplane/table/fib.hpp"
#include "dataplane/table/slave.hpp"
#include "ipvlan_recording.hpp"
#include "nft_rules.hpp"

namespace vxplane::oracle {

/// One namespace: of the host or of a slave.
struct Network {
    struct Address {
        std::string device;
        net::IpAddress address;
        unsigned length = 0;
    };
    struct Route {
        table::RouteType type = table::RouteType::unicast;
        std::string device;  ///< empty for the types that need none
        net::IpAddress to;
        unsigned length = 0;      ///< IPv4: 0 to 32
        net::IpAddress via;       ///< unset: on link
        unsigned mtu = 0;         ///< 0: the device's
        bool by_address = false;  ///< follows from an address
    };

    struct Neighbour {
        std::string device;
        net::MacAddress mac{};
    };

    std::string device;  ///< of the ipvlan: the master, or the slave
    net::MacAddress mac{};
    bool up = true;
    bool arp = true;  ///< a device without it joins no solicited-node groups
    bool all_groups = false;
    bool forwards = false;  ///< net.ipv4.ip_forward
    unsigned mtu = 1500;
    std::vector<Address> addresses{};
    std::vector<Route> routes{};
    std::map<net::IpAddress, Neighbour> neighbours{};
    std::set<net::IpAddress> joined{};

    [[nodiscard]] bool owns(const net::IpAddress& address) const;
    /// The last address of an IPv4 subnet of ours.
    [[nodiscard]] bool is_broadcast(const net::IpAddress& address) const;
    /// The first one, which the kernel takes for a host's.
    [[nodiscard]] bool is_network(const net::IpAddress& address) const;
    /// Joined, or by standard.
    [[nodiscard]] bool hears(const net::IpAddress& group) const;
    /// MacAddress::number() of what a slave hears, besides broadcasts.
    [[nodiscard]] std::vector<std::uint64_t> group_macs() const;
    /// The longest prefix; null: none.
    [[nodiscard]] const Route* route_to(const net::IpAddress& address) const;
};

struct IpvlanSetup {
    std::string unsupported{};  ///< empty: all is understood
    table::IpvlanMode mode = table::IpvlanMode::l2;
    table::IpvlanFlag flag = table::IpvlanFlag::bridge;
    Network host{};
    std::map<std::string, Network> slaves{};
    std::map<std::string, std::vector<NftRule>> rules{};  ///< by namespace
    bool just_left = false;  ///< a group was left, and the filter not refreshed

    /// Of the slave that has the address and is up; null: nobody.
    [[nodiscard]] const Network* owner(const net::IpAddress& address) const;
};

/// Never throws.
IpvlanSetup ipvlan_setup_of(const IpvlanRecording& recording,
                            const std::vector<nlohmann::json>& before);

/// Throws std::runtime_error.
net::IpAddress ip_address(const std::string& text);
bool within(const net::IpAddress& address, const net::IpAddress& prefix, unsigned length);
net::MacAddress mac_of_group(const net::IpAddress& group);

}  // namespace vxplane::oracle
