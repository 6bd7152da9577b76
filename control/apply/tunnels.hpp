// Remote VTEPs as control knows them: who needs one, which route and next hop lead there, and the
// prebuilt header that workers copy. Ids are stable while a tunnel is in use and are reused only
// after a grace period, because FDB entries hold them.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "control/apply/publisher.hpp"
#include "control/resolve/neighbours.hpp"
#include "control/resolve/path_mtu.hpp"
#include "dataplane/net/flow_hash.hpp"
#include "dataplane/table/fib.hpp"
#include "dataplane/table/tables.hpp"

namespace vxplane::control {

/// What segments must have in common to share tunnels.
struct TunnelProfile {
    // None: the address that the route to the remote chooses.
    std::uint32_t local = 0;  ///< IPv4, host order; 0 = none
    net::IpAddress local6;    ///< `::` = none
    std::uint16_t dstport = 4789;
    std::uint16_t source_port_lo = 32768;
    std::uint16_t source_port_span = 28231;
    std::uint8_t ttl = 64;
    std::uint8_t group_ttl = 1;  ///< to a multicast group
    /// DPDK id of the underlay port of multicast groups and link-local remotes.
    std::uint16_t dev = table::kNoPort;
    std::uint8_t tos = 0;
    /// By which routes are chosen over IPv4; none: `tos`, or that of each packet inside.
    std::optional<std::uint8_t> route_tos;
    bool dont_fragment = false;
    table::Inherit inherit;
    table::FlowLabel flow_label;
    bool udp_checksum = false;  ///< over IPv4
    bool udp6_checksum = true;  ///< over IPv6
    bool clamp_mss = false;
    bool fragments = false;     ///< what is too long leaves in fragments
    bool local_bypass = true;   ///< tunnels to our own addresses do not leave
    std::uint32_t vni = 0;      ///< of headers; 0: that of the segment
    bool group_policy = false;  ///< headers tell group policies
    bool gpe = false;           ///< headers say what is inside
    bool remote_sum = false;    ///< checksums that guests left open are left to the other end
    net::EcnMode ecn = net::EcnMode::rfc6040;
    auto operator<=>(const TunnelProfile&) const = default;
};

/// The underlay port that tunnels leave by.
struct Uplink {
    net::MacAddress mac;
    std::uint16_t mtu = 1500;
    std::vector<OwnAddress> addresses;

    /// As the kernel chooses: an address on the network of the next hop, else the first one of its
    /// family; all zero without one. A link-local address speaks to link-local ones alone
    /// (RFC 6724 section 5).
    [[nodiscard]] net::IpAddress source_for(const net::IpAddress& remote,
                                            const net::IpAddress& next_hop) const noexcept {
        const OwnAddress* first = nullptr;
        for (const OwnAddress& own : addresses) {
            if (own.address.is_v4() != remote.is_v4() ||
                own.address.is_link_local() != remote.is_link_local()) {
                continue;
            }
            if (own.contains(next_hop)) {
                return own.address;
            }
            first = first == nullptr ? &own : first;
        }
        if (first != nullptr) {
            return first->address;
        }
        return remote.is_v4() ? net::IpAddress(net::Ipv4Address{}) : net::IpAddress{};
    }
};

/// What became of a message about a path's MTU.
enum class PathMtuResult : std::uint8_t {
    lowered,
    known,  ///< nothing new
    forged  ///< about a packet that we cannot have sent
};

/// Control thread only.
class Tunnels {
  public:
    using Time = Neighbours::Time;

    Tunnels(std::uint32_t capacity, const table::UnderlayRoutes& routes, Neighbours& neighbours,
            Publisher& publisher);

    void set_uplink(std::uint16_t port, Uplink uplink) { uplinks_[port] = std::move(uplink); }
    /// reroute() follows.
    void set_uplink_mtu(std::uint16_t port, std::uint16_t mtu) { uplinks_.at(port).mtu = mtu; }
    void remove_uplink(std::uint16_t port) { uplinks_.erase(port); }
    /// Routes or uplinks have changed: tunnels for which this makes a difference are led anew, the
    /// others stay as they are. One that is led to an unknown next hop waits for it.
    void reroute(Time now);
    /// The number of a profile: half of the key of Tables::peers.
    std::uint32_t profile_id(const TunnelProfile& profile);
    [[nodiscard]] const TunnelProfile& profile(std::uint32_t number) const {
        return profile_list_[number];
    }
    [[nodiscard]] std::uint32_t profile_number(std::uint32_t id) const {
        return records_[id].profile;
    }
    /// There is a tunnel to that remote and UDP port with a VNI of its own, this one; 0: with that
    /// of its segment.
    [[nodiscard]] bool sends(const net::IpAddress& remote, std::uint16_t dstport,
                             std::uint32_t vni) const;

    /// One more user of the tunnel to `remote`. None when the table is full (counted); for learned
    /// remotes it is full an eighth earlier.
    std::optional<std::uint32_t> acquire(std::uint32_t profile, const net::IpAddress& remote,
                                         Time now, bool learned = false);
    void add_user(std::uint32_t id) { ++records_[id].users; }
    void release(std::uint32_t id);
    [[nodiscard]] std::optional<std::uint32_t> find(std::uint32_t profile,
                                                    const net::IpAddress& remote) const;

    /// How long a path's MTU is believed (RFC 1191 section 6.3), and the least that is: 576 bytes
    /// inside of what a tunnel adds.
    static constexpr std::chrono::seconds kPathMtuLife{600};
    static constexpr std::uint16_t kLeastPathMtu = 576 + net::kVxlanIpv4Overhead;
    /// Over IPv6 every link takes so much (RFC 8200 section 5); who says less is not believed.
    static constexpr std::uint16_t kLeastPathMtu6 = 1280;
    PathMtuResult learn_path_mtu(const PathMtuNews& news, Time now);
    /// Forgets what is too old.
    void tick(Time now);
    /// Bytes of an outer IP packet that the path to a remote takes, where that is less than the
    /// uplink's MTU.
    [[nodiscard]] std::optional<std::uint16_t> path_mtu(const net::IpAddress& remote) const;
    [[nodiscard]] std::size_t path_mtus() const noexcept { return path_mtus_.size(); }
    struct PathMtu {
        std::uint16_t mtu = 0;
        Time until;
    };
    /// By remote.
    [[nodiscard]] const std::map<net::IpAddress, PathMtu>& all_path_mtus() const noexcept {
        return path_mtus_;
    }
    /// Forgets what is known of one remote's path, or of all; the number of those.
    std::size_t flush_path_mtus(const std::optional<net::IpAddress>& remote, Time now);

    /// The resolver's news.
    void reachable(NeighbourKey key, net::MacAddress mac);
    /// True if a tunnel worked until now.
    bool unreachable(NeighbourKey key);

    [[nodiscard]] net::IpAddress remote(std::uint32_t id) const { return records_[id].remote; }
    [[nodiscard]] std::optional<NeighbourKey> next_hop(std::uint32_t id) const;
    /// Tells two tunnels apart that had the same id one after the other. 48 bits.
    [[nodiscard]] std::uint64_t serial(std::uint32_t id) const { return records_[id].serial; }
    /// No packet that waits for control has been in a worker's hands before the last grace period
    /// ended: ids whose grace period is over may be used again.
    void allow_reuse();
    [[nodiscard]] const table::Tunnel& line(std::uint32_t id) const { return lines_[id]; }
    /// The longest inner frame, whichever way it takes.
    [[nodiscard]] std::uint16_t longest(std::uint32_t id) const;
    /// Another number after each change of what longest() says of some tunnel.
    [[nodiscard]] std::uint64_t lengths() const noexcept { return lengths_; }
    /// What a line of state ipv6 names.
    [[nodiscard]] const table::Tunnel6& line6(std::uint32_t id) const { return lines6_.at(id); }

    /// True when lines or peers changed since the last fill().
    [[nodiscard]] bool changed() const noexcept { return changed_; }
    void fill(table::Tables& tables);

    [[nodiscard]] std::uint32_t used() const noexcept { return used_; }
    [[nodiscard]] std::uint32_t high_water() const noexcept { return high_water_; }
    [[nodiscard]] std::uint64_t refused() const noexcept { return refused_; }
    [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }

  private:
    /// By TOS inside, in steps of kRouteTosStep: the least one that takes the same way.
    using TosValues = std::array<std::uint8_t, table::kRouteTosValues>;
    struct Record {
        std::uint32_t profile = 0;
        net::IpAddress remote;
        std::uint32_t users = 0;
        std::optional<NeighbourKey> next_hop;
        std::uint64_t serial = 0;
        table::TunnelSpec built;  ///< what the line was made from
        std::optional<TosValues> tos_values;
    };
    using Way = std::pair<NeighbourKey, std::uint32_t>;

    /// The ids of the tunnels behind one next hop.
    [[nodiscard]] std::vector<std::uint32_t> behind(NeighbourKey key) const;

    /// What a route says of a remote, in the words of both families.
    struct Found {
        std::optional<table::RouteType> type;
        std::uint16_t port = 0;
        net::IpAddress via;
        net::IpAddress src;  ///< `::`: chosen
        std::uint16_t mtu = 0;
        bool operator==(const Found&) const = default;
    };
    [[nodiscard]] Found route_to(const net::IpAddress& remote, std::uint8_t tos) const;
    /// None where the TOS inside makes no difference.
    [[nodiscard]] std::optional<TosValues> tos_values(const Record& record) const;
    /// Groups are on the link of their port, whatever routes say.
    [[nodiscard]] Found way_to(const TunnelProfile& profile, const net::IpAddress& remote) const;
    struct Plan {
        table::TunnelSpec spec;
        std::optional<NeighbourKey> next_hop;
        std::optional<TosValues> tos_values;
    };
    /// What the routes of now say of a remote.
    [[nodiscard]] Plan plan(const Record& record) const;
    /// The remote is an address of ours, at that port.
    void plan_local(table::TunnelSpec& spec, const TunnelProfile& profile,
                    std::uint16_t port) const;
    void build(std::uint32_t id, Time now);
    void reroute_one(std::uint32_t id, Time now);
    void reroute_to(const net::IpAddress& remote, Time now);
    void lead(std::uint32_t id, const Plan& plan, Time now);
    /// Tunnels of their own for the ways that the TOS inside chooses among. False when the table is
    /// full.
    bool acquire_ways(std::uint32_t id, const TosValues& values, Time now);
    void release_ways(std::uint32_t id);

    std::uint32_t capacity_;
    const table::UnderlayRoutes& routes_;
    Neighbours& neighbours_;
    Publisher& publisher_;
    std::map<std::uint16_t, Uplink> uplinks_;
    std::uint64_t lengths_ = 0;
    std::map<net::IpAddress, PathMtu> path_mtus_;  ///< by remote
    std::map<TunnelProfile, std::uint32_t> profiles_;
    std::vector<TunnelProfile> profile_list_;
    std::vector<Record> records_;
    std::vector<table::Tunnel> lines_;
    std::map<std::uint32_t, table::TosWays> tos_ways_;      ///< by id; numbered by fill()
    std::map<std::uint32_t, table::Tunnel6> lines6_;        ///< by id; numbered by fill()
    using Peer = std::pair<std::uint32_t, net::IpAddress>;  ///< profile, remote
    struct PeerHash {
        std::size_t operator()(const Peer& peer) const noexcept {
            return net::mix(peer.second.low() ^ peer.first, peer.second.high());
        }
    };
    std::unordered_map<Peer, std::uint32_t, PeerHash> by_peer_;
    std::set<Way> by_next_hop_;
    std::vector<std::uint32_t> rested_;  ///< no worker knows them, a packet in a ring may
    std::vector<std::uint32_t> free_;
    std::uint64_t last_serial_ = 0;
    std::uint32_t used_ = 0;
    std::uint32_t high_water_ = 0;
    std::uint64_t refused_ = 0;
    bool changed_ = true;
};

}  // namespace vxplane::control
