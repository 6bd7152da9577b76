// What a topology is: plain values, as the YAML file says them, with defaults filled in. No DPDK
// and nothing of the data plane: `load` makes these, `validate` judges them, control turns them
// into table writes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/problem.hpp"

namespace vxplane::config {

/// Six bytes in the order in which they stand on the wire.
struct MacAddress {
    std::array<std::uint8_t, 6> bytes{};
    [[nodiscard]] bool is_zero() const { return bytes == std::array<std::uint8_t, 6>{}; }
    [[nodiscard]] bool is_multicast() const { return (bytes[0] & 1U) != 0; }
    [[nodiscard]] std::string text() const;
    auto operator<=>(const MacAddress&) const = default;
};

/// IPv4 (first four bytes used) or IPv6, bytes in wire order.
struct IpAddress {
    enum class Family : std::uint8_t { ipv4, ipv6 };
    Family family = Family::ipv4;
    std::array<std::uint8_t, 16> bytes{};
    [[nodiscard]] bool is_ipv4() const { return family == Family::ipv4; }
    [[nodiscard]] bool is_unspecified() const { return bytes == std::array<std::uint8_t, 16>{}; }
    [[nodiscard]] bool is_multicast() const {
        return is_ipv4() ? (bytes[0] >> 4) == 0xE : bytes[0] == 0xFF;
    }
    /// An IPv4 address as a number (10.0.0.1 is 0x0A000001). Only for IPv4.
    [[nodiscard]] std::uint32_t ipv4_number() const {
        return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 |
               std::uint32_t{bytes[2]} << 8 | bytes[3];
    }
    [[nodiscard]] std::string text() const;
    auto operator<=>(const IpAddress&) const = default;
};

/// An address with the length of its prefix: the host bits are kept (an interface address).
struct IpPrefix {
    IpAddress address;
    std::uint8_t length = 0;
    [[nodiscard]] std::string text() const;
    auto operator<=>(const IpPrefix&) const = default;
};

/// Where the values of one object stand in the file: of the keys that were given, no others.
class KeyPositions {
  public:
    /// `key` must live as long as the program: the loader's tables do.
    void add(std::string_view key, Position where);
    [[nodiscard]] bool has(std::string_view key) const;
    /// Position of the value of `key`, or `otherwise` when the file does not give it.
    [[nodiscard]] Position of(std::string_view key, Position otherwise) const;

  private:
    struct Entry {
        std::string_view key;
        Position where;
    };
    std::vector<Entry> entries_;
};

enum class Hugepages : std::uint8_t { automatic, require, off };
enum class IdlePolicy : std::uint8_t { busy, adaptive, interrupt };
enum class Steering : std::uint8_t { none, software };
enum class LogLevel : std::uint8_t { trace, debug, info, warning, error };

/// `system:` of the file.
struct System {
    std::vector<unsigned> workers{};      ///< CPU numbers, one worker each; empty = one, chosen
    std::optional<unsigned> control;      ///< CPU of the control thread; none = chosen
    std::uint64_t memory = 512ULL << 20;  ///< bytes given to DPDK
    Hugepages hugepages = Hugepages::automatic;
    IdlePolicy idle = IdlePolicy::adaptive;
    std::uint32_t idle_after = 200;      ///< microseconds without a packet until a worker naps
    std::uint32_t idle_sleep = 2000;     ///< microseconds, longest nap
    Steering steering = Steering::none;  ///< software: a flow goes to the worker of its inner hash
    std::uint32_t backlog = 1000;        ///< packets that may wait for one worker
    bool flow_limit = false;             ///< no flow may have most of a backlog
    std::string socket = "/run/vxplane/vxplane.sock";
    std::string socket_group{};  ///< empty = group of the process
    LogLevel log_level = LogLevel::info;
    std::uint32_t mbufs = 0;                   ///< packet buffers per NUMA node; 0 = computed
    std::uint32_t fdb_capacity = 1U << 20;     ///< entries over all segments
    std::uint32_t tunnel_capacity = 1U << 14;  ///< remotes over all segments, learned ones included
    std::string persist{};                     ///< file of what was learned; empty = none
    std::uint32_t persist_interval = 30;       ///< seconds between snapshots
    std::vector<std::string> eal{};            ///< raw EAL arguments, appended last
    Position where;
    KeyPositions keys{};
    std::vector<Position> worker_where{};
};

enum class PortRole : std::uint8_t { underlay, access };
enum class RssLevel : std::uint8_t { outer, inner };
enum class RxChecksum : std::uint8_t { automatic, on, off };
enum class Switch : std::uint8_t { automatic, on, off };

/// One entry of `ports:`.
struct Port {
    std::string name;
    std::string device;  ///< PCI address or vdev string as EAL takes it
    PortRole role = PortRole::access;
    std::vector<IpPrefix> addresses{};  ///< underlay only
    std::uint16_t mtu = 1500;           ///< bytes after the Ethernet header
    std::optional<MacAddress> mac;      ///< none = the device's own
    std::uint16_t rx_queues = 0;        ///< 0 = auto: one per worker as far as the device allows
    std::uint16_t rx_descriptors = 1024;
    std::uint16_t tx_descriptors = 1024;
    std::vector<unsigned> workers{};  ///< CPUs whose workers poll its queues, in turn; empty = all
    std::vector<std::string> rss{};   ///< hash types; empty = what the port has
    std::string rss_key{};            ///< default, symmetric or hexadecimal; empty = default
    RssLevel rss_level = RssLevel::outer;
    std::vector<unsigned> rss_reta{};  ///< receive queues, repeated over the table; empty = in turn
    RxChecksum rx_checksum = RxChecksum::automatic;
    std::string host{};       ///< name of the kernel twin; empty = none. Underlay only
    bool promiscuous = true;  ///< access: always; underlay: false unless said
    bool learning = true;     ///< access only: learn source addresses of frames received here
    Switch gro = Switch::automatic;  ///< merge received TCP segments
    Switch tso = Switch::automatic;  ///< send large TCP packets whole
    Position where;
    std::vector<Position> address_where{};
    std::vector<Position> worker_where{};
    KeyPositions keys{};
};

enum class RouteType : std::uint8_t { unicast, local, blackhole, unreachable, prohibit, throw_ };

/// One entry of `routes:`; the words are those of `ip route`.
struct Route {
    IpPrefix to;  ///< host bits are zero; `default` is 0.0.0.0/0
    RouteType type = RouteType::unicast;
    std::optional<IpAddress> via;
    std::string dev{};  ///< empty = the underlay port whose subnet holds `via`
    Position where;
    KeyPositions keys{};
};

/// One entry of `neighbours:`: `ip neigh add ADDRESS lladdr MAC dev PORT nud permanent`.
struct Neighbour {
    IpAddress address;
    MacAddress lladdr;
    std::string dev;
    Position where;
    KeyPositions keys{};
};

/// One entry of `nexthops:`: an FDB next-hop group, as `ip nexthop add id N group ... fdb`.
struct NexthopGroup {
    std::uint32_t id = 0;
    std::vector<IpAddress> remotes;
    Position where;
    std::vector<Position> remote_where{};
};

enum class FdbState : std::uint8_t { permanent, static_ };

/// One entry of `fdb:` in a segment. Exactly one of `dst` (remotes), `nhid`, `port` is given.
struct FdbEntry {
    MacAddress mac;                ///< all zero = flood list
    std::vector<IpAddress> dst{};  ///< more than one only for the all-zero address
    std::optional<std::uint32_t> nhid;
    std::string port{};  ///< a local access port of the segment
    FdbState state = FdbState::permanent;
    Position where;
    std::vector<Position> dst_where{};
    KeyPositions keys{};
};

/// Source ports of the outer UDP header: [lo, hi).
struct PortRange {
    std::uint16_t lo = 32768;
    std::uint32_t hi = 60999;
    auto operator<=>(const PortRange&) const = default;
};

enum class Df : std::uint8_t { unset, set };
enum class Ecn : std::uint8_t { rfc6040, rfc3168 };

/// One entry of `vxlans:`; the words are those of `ip link add type vxlan`.
struct Vxlan {
    std::string name;
    std::uint32_t id = 0;  ///< VNI, 1 to 16777215
    std::optional<IpAddress>
        local;  ///< none = the address of the underlay port that the route chooses
    std::optional<IpAddress> remote;  ///< shorthand for one entry of the flood list
    std::uint16_t dstport = 4789;     ///< RFC 7348 section 5
    PortRange srcport;
    std::uint8_t ttl = 0;  ///< 0 = auto: 64 to a unicast remote
    std::uint8_t tos = 0;
    Df df = Df::unset;
    Ecn ecn = Ecn::rfc6040;
    bool udpcsum = false;        ///< RFC 7348 section 5: SHOULD be zero
    bool learning = true;        ///< from tunnels
    std::uint32_t ageing = 300;  ///< seconds; 0 = never
    std::uint32_t maxaddr = 0;   ///< learned and configured addresses; 0 = no limit
    bool inner_vlan = false;     ///< VLAN-tagged inner frames allowed
    std::uint16_t mtu = 0;       ///< of inner frames after the Ethernet header; 0 = underlay - 50
    std::optional<MacAddress>
        mac;  ///< own MAC of the VTEP device (inner source check); none = made from the id
    std::vector<std::string> ports{};  ///< access ports that are members
    std::vector<FdbEntry> fdb{};
    Position where;
    Position id_where;
    Position local_where;
    Position mtu_where;
    std::vector<Position> port_where{};
    KeyPositions keys{};
};

struct Topology {
    std::string file;
    System system;
    std::vector<Port> ports;
    std::vector<Route> routes;
    std::vector<Neighbour> neighbours;
    std::vector<NexthopGroup> nexthops;
    std::vector<Vxlan> vxlans;
};

}  // namespace vxplane::config
