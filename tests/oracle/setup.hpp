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

/// Numbers in host order.
struct Setup {
    struct Route {
        std::uint32_t to = 0;
        std::uint8_t length = 0;
        std::uint32_t via = 0;  ///< 0: on link
        packet::DropReason refusal = packet::DropReason::none;
    };

    std::string unsupported{};  ///< the first option that vxplane does not have; empty: all is fine
    std::map<std::string, std::string> unsupported_macs{};  ///< FDB entries: MAC -> what is missing

    std::uint32_t vni = 0;
    std::uint16_t dstport = 8472;  ///< the kernel's own default
    std::uint64_t reserved_bits = 0xF7FFFFFF000000FF;
    std::uint32_t local = 0;
    bool learning = true;
    std::uint16_t mtu = 0;  ///< of inner frames; 0: as the underlay allows
    bool second_port = false;
    table::TunnelSpec options{};                 ///< what all tunnels share
    std::vector<std::uint32_t> flood{};          ///< remotes of the all-zero entry, in order
    std::map<std::string, std::uint32_t> fdb{};  ///< MAC -> remote

    std::uint8_t watch = 0;                              ///< of table::watch
    std::map<std::string, std::string> segment_hosts{};  ///< IP address -> MAC, as `ip neigh`
    std::set<std::string> routers{};                     ///< MACs of FDB entries with `router`
    std::set<std::string> local_macs{};                  ///< of FDB entries with dst 0.0.0.0

    std::uint16_t underlay_mtu = 1500;
    std::vector<std::uint32_t> addresses{};             ///< of the underlay port
    std::map<std::uint32_t, std::string> neighbours{};  ///< permanent: address -> MAC
    std::vector<Route> routes{};

    /// The most specific route.
    [[nodiscard]] const Route* route_to(std::uint32_t address) const;
};

/// Never throws: what cannot be read is unsupported.
Setup setup_of(const Topology& topology, const Config& config,
               const std::vector<std::string>& before);

std::uint32_t number_of_ip(const std::string& text);

}  // namespace vxplane::oracle
