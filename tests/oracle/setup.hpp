// The recorded commands of ip(8) and bridge(8) as a configuration of the data plane. What the data
// plane does not have is named, and the case is then left out of the comparison.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/table/tunnel.hpp"
#include "recording.hpp"

namespace vxplane::oracle {

struct Setup {
    struct Route {
        net::IpAddress to;
        std::uint8_t length = 0;  ///< of `to` in its family
        net::IpAddress via;       ///< `::`: on link
        packet::DropReason refusal = packet::DropReason::none;
        net::IpAddress src{};      ///< `::`: chosen
        std::uint16_t mtu = 0;     ///< 0: that of the port
        std::uint8_t tos = 0;      ///< of the packets that it is for; 0: of all others
        bool into_itself = false;  ///< by the vxlan device
    };

    std::string unsupported{};  ///< the first option that vxplane does not have; empty: all is fine
    std::map<std::string, std::string> unsupported_macs{};  ///< FDB entries: MAC -> what is missing
    std::map<std::string, std::string> refused_macs{};      ///< FDB entries: MAC -> fact
    std::set<std::string>
        said{};  ///< facts of what no frame shows and the data plane does not have

    std::uint32_t vni = 0;
    std::uint16_t dstport = 8472;  ///< the kernel's own default
    std::uint64_t reserved_bits = 0xF7FFFFFF000000FF;
    bool ipv6 = false;     ///< the underlay of the device
    net::IpAddress local;  ///< `::`: not given
    bool local_given = false;
    bool neigh_suppress = false;  ///< of the bridge, at the device
    bool local_foreign = false;   ///< not an address of the port
    net::IpAddress group;         ///< of the underlay; `::`: none
    bool ttl_given = false;       ///< as a number
    bool down = false;            ///< the device
    bool udp6_zero_rx = false;
    bool learning = true;
    std::uint16_t mtu = 0;  ///< of inner frames; 0: as the underlay allows
    bool second_port = false;
    net::GroupPolicy mark{};                      ///< of what the tenant sends
    table::TunnelSpec options{};                  ///< what all tunnels share
    std::vector<net::IpAddress> flood{};          ///< remotes of the all-zero entry, in order
    std::map<std::string, net::IpAddress> fdb{};  ///< MAC -> remote
    /// `vni` and `port` of an entry of the FDB; 0: not given.
    struct Numbers {
        std::uint32_t vni = 0;
        std::uint16_t port = 0;
        auto operator<=>(const Numbers&) const = default;
    };
    std::map<std::string, Numbers> fdb_numbers{};  ///< by MAC
    std::vector<Numbers> flood_numbers{};          ///< as `flood`
    /// A second device with the same local address; `host2` is behind it.
    struct Second {
        std::uint32_t vni = 0;
        std::uint16_t dstport = 0;
    };
    std::optional<Second> second{};
    bool local_bypass = true;
    /// `external gpe`: the VNI is that of the packet, and IP packets come and go at the device.
    bool bare = false;

    std::uint16_t watch = 0;                             ///< of table::watch
    std::map<std::string, std::string> segment_hosts{};  ///< IP address -> MAC, as `ip neigh`
    std::set<std::string> routers{};                     ///< MACs of FDB entries with `router`
    std::set<std::string> local_macs{};                  ///< of FDB entries with dst 0.0.0.0

    std::uint16_t underlay_mtu = 1500;
    std::vector<net::IpAddress> addresses{};             ///< of the underlay port
    std::map<net::IpAddress, std::string> neighbours{};  ///< permanent: address -> MAC
    std::vector<Route> routes{};

    /// The longest inner packet that the underlay can carry.
    [[nodiscard]] std::uint16_t most() const;
    /// The most specific route.
    [[nodiscard]] const Route* route_to(const net::IpAddress& address, std::uint8_t tos = 0) const;
};

/// Never throws: what cannot be read is unsupported.
Setup setup_of(const Topology& topology, const Config& config,
               const std::vector<std::string>& before);

}  // namespace vxplane::oracle
