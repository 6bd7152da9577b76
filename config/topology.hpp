// What a topology is: plain values, as the YAML file says them, with defaults filled in. No DPDK
// and nothing of the data plane: `load` makes these, `validate` judges them, control turns them
// into table writes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/multicast.hpp"
#include "config/values.hpp"

namespace vxplane::config {

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
    std::uint32_t icmp_rate = 100;             ///< messages per second to one source; 0 = none
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
    bool reassembly = false;  ///< underlay only: tunnel packets in fragments are put together
    bool learning = true;     ///< access only: learn source addresses of frames received here
    Switch gro = Switch::automatic;             ///< merge received TCP segments
    Switch tso = Switch::automatic;             ///< send large TCP packets whole
    std::optional<std::uint32_t> group_policy;  ///< access: id of frames received here; none = none
    std::vector<std::string> policy_flags{};    ///< that go with it
    std::vector<std::uint16_t> accept_groups{};  ///< access: may leave here; empty = any
    std::uint16_t pvid = 0;                      ///< of a trunk: VLAN of untagged frames; 0 = none
    std::string vlans{};  ///< of a trunk, as `10-20,30`; empty = all of its vxlan
    Position where;
    std::vector<Position> address_where{};
    std::vector<Position> worker_where{};
    KeyPositions keys{};
};

enum class RouteType : std::uint8_t { unicast, local, blackhole, unreachable, prohibit, throw_ };

/// One entry of `routes:`; the words are those of `ip route`.
struct Route {
    IpPrefix to;  ///< host bits are zero; `default` is 0.0.0.0/0, `default6` is ::/0
    RouteType type = RouteType::unicast;
    std::optional<IpAddress> via;
    std::string dev{};  ///< empty = the underlay port whose subnet holds `via`
    /// To what is behind a slave, from the slave's link; instead of via and dev. See resolve_slave.
    std::string slave{};
    std::optional<IpAddress> src;  ///< our address for tunnels without `local`; none = chosen
    std::uint16_t mtu = 0;  ///< of the way, where it takes less than the port; 0 = the port's
    /// Only for packets that carry it outside; 0 = for all that have no route by theirs.
    std::uint8_t tos = 0;
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

/// One of `members:`, a remote with numbers of its own.
struct NexthopMember {
    IpAddress dst;
    std::uint32_t vni = 0;      ///< to send with; 0 = that of the segment
    std::uint16_t dstport = 0;  ///< the same
    Position where;
    KeyPositions keys{};
};

/// One entry of `nexthops:`: an FDB next-hop group, as `ip nexthop add id N group ... fdb`.
struct NexthopGroup {
    std::uint32_t id = 0;
    std::vector<IpAddress> remotes;  ///< `group`
    std::vector<NexthopMember> members{};
    Position where;
    std::vector<Position> remote_where{};
};

enum class FdbState : std::uint8_t { permanent, static_ };

/// One entry of `neighbours:` of a segment: who has an IP address in it.
struct SegmentNeighbour {
    IpAddress ip;
    MacAddress lladdr;
    bool router = false;        ///< says so in advertisements
    std::uint32_t src_vni = 0;  ///< as of FdbEntry, and `place`
    std::uint32_t place = 0;
    Position where;
    KeyPositions keys{};
};

/// What becomes of ARP and ND that a proxy cannot answer: flooded, or as the kernel, kept from the
/// tunnels.
enum class ProxyFallback : std::uint8_t { flood, kernel };

/// One entry of `fdb:` in a segment. Exactly one of `dst` (remotes), `nhid`, `port` is given.
struct FdbEntry {
    MacAddress mac;                ///< all zero = flood list
    std::vector<IpAddress> dst{};  ///< more than one only for the all-zero address
    std::optional<std::uint32_t> nhid;
    std::string port{};  ///< a local access port of the segment
    FdbState state = FdbState::permanent;
    bool router = false;        ///< `rsc` looks behind it
    std::uint32_t vni = 0;      ///< to send with; 0 = that of the segment
    std::uint16_t dstport = 0;  ///< the same
    std::uint32_t src_vni = 0;  ///< of an external vxlan: the VNI that the entry is of; 0 = all
    std::uint32_t place = 0;    ///< made by the loader: of an external vxlan, in its list
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

enum class Df : std::uint8_t { unset, set, inherit };
enum class Ecn : std::uint8_t { rfc6040, rfc3168 };
enum class Fragment : std::uint8_t { off, outer, inner };
enum class FdbConflict : std::uint8_t { drop, forward };
enum class LinkState : std::uint8_t { up, down };

/// Ports lo to hi, both included; 0 to 65535 is any.
struct Ports {
    std::uint16_t lo = 0;
    std::uint16_t hi = 65535;
    auto operator<=>(const Ports&) const = default;
};

/// One entry of `tunnel-info:`: `bridge vlan add dev NAME vid N tunnel_info id N`, also ranges.
struct TunnelInfo {
    std::string vid{};
    std::string id{};
    Position where;
    KeyPositions keys{};
};

/// One entry of `vxlans:`; the words are those of `ip link add type vxlan`.
struct Vxlan {
    std::string name;
    std::uint32_t id = 0;  ///< VNI, 1 to 16777215
    std::optional<IpAddress>
        local;  ///< none = the address of the underlay port that the route chooses
    std::optional<IpAddress> local6;  ///< IPv6, where `local` is IPv4 and remotes are of both
    std::optional<IpAddress> remote;  ///< shorthand for one entry of the flood list
    std::optional<IpAddress> group;   ///< multicast group of the underlay, in the flood list
    std::string dev{};                ///< underlay port where the group is joined
    LinkState state = LinkState::up;
    std::uint16_t dstport = 4789;  ///< RFC 7348 section 5
    PortRange srcport;
    static constexpr std::uint16_t kInheritTtl = 256;
    static constexpr std::uint8_t kInheritTos = 1;
    std::uint16_t ttl = 0;  ///< 0 = auto: 64 to a remote, 1 to a group; kInheritTtl
    std::uint8_t tos = 0;   ///< or kInheritTos
    Df df = Df::unset;
    Ecn ecn = Ecn::rfc6040;
    static constexpr std::uint32_t kEntropyLabel = 1U << 20;
    static constexpr std::uint32_t kInheritLabel = kEntropyLabel + 1;
    std::uint32_t flowlabel = 0;  ///< over IPv6; or kEntropyLabel, kInheritLabel
    FdbConflict fdb_conflict = FdbConflict::drop;
    Fragment fragment = Fragment::off;
    bool local_bypass = true;       ///< what is for our own addresses does not leave
    bool mss_clamp = false;         ///< TCP through tunnels is told of segments that fit
    bool udpcsum = false;           ///< over IPv4; RFC 7348 section 5: SHOULD be zero
    bool udp6zerocsumtx = false;    ///< no checksum over IPv6, either
    bool udp6zerocsumrx = false;    ///< and none is asked for
    bool remcsumtx = false;         ///< checksums that guests left open are left to remotes
    bool remcsumrx = false;         ///< those that remotes left open are made
    bool learning = true;           ///< from tunnels
    std::uint32_t ageing = 300;     ///< seconds; 0 = never
    std::uint32_t flood_limit = 0;  ///< flooded frames per second; 0 = any number
    // As `dup-addr-detection` of FRRouting: an address that moved more than max-moves times within
    // time seconds stays where it is for freeze seconds.
    std::uint32_t dup_addr_max_moves = 5;  ///< 0 = off
    std::uint32_t dup_addr_time = 180;     ///< seconds
    std::uint32_t dup_addr_freeze = 1800;  ///< seconds; 0 = until the entry is removed
    std::uint32_t maxaddr = 0;             ///< learned and configured addresses; 0 = no limit
    bool inner_vlan = false;               ///< VLAN-tagged inner frames allowed
    bool gbp = false;                      ///< headers tell group policies
    bool gpe = false;                      ///< headers say what is inside
    std::string reserved_bits{"strict"};   ///< `strict`, `ignore`, or the bits that must be zero
    /// Of inner frames after the Ethernet header; 0 = underlay - 50, - 70 with IPv6.
    std::uint16_t mtu = 0;
    std::optional<MacAddress>
        mac;  ///< own MAC of the VTEP device (inner source check); none = made from the id
    std::string router{};  ///< an ipvlan: frames to `mac` are routed to its slaves
    bool proxy = false;    ///< ARP and ND answered for neighbours behind tunnels
    ProxyFallback proxy_fallback = ProxyFallback::flood;
    bool proxy_dad = false;              ///< probes for duplicate addresses are answered, too
    bool neigh_suppress = false;         ///< the same, as a bridge says it of its vxlan port
    bool neigh_learning = false;         ///< neighbours learned from ARP and ND
    std::uint32_t neigh_maxaddr = 4096;  ///< of them
    bool rsc = false;                    ///< route short circuit
    bool l2miss = false;
    bool l3miss = false;
    std::vector<IpPrefix> peers{};  ///< none: any
    std::vector<Position> peer_where{};
    Ports check_srcport{0, 65535};  ///< of received packets
    bool refuse_vxlan = false;      ///< VXLAN from access ports
    std::vector<SegmentNeighbour> neighbours{};
    std::vector<std::string> ports{};  ///< access ports that are members
    std::vector<FdbEntry> fdb{};
    bool mcast_snooping = false;  ///< tenants' groups go to ports that report them
    std::vector<MdbEntry> mdb{};
    /// Many VNIs. The loader makes a Vxlan of each, named `NAME:VNI`, with one VNI in `vni` and
    /// what is its own of `ports`, `fdb` and `tunnel_info`.
    bool external = false;
    bool vnifilter = true;                  ///< false is refused
    std::string vni{};                      ///< as `100-200,300`
    std::vector<TunnelInfo> tunnel_info{};  ///< VLANs of trunks
    std::string part_of{};                  ///< made by the loader: of this external one
    std::uint16_t vid = 0;                  ///< made by the loader: VLAN on trunks
    Position where;
    Position id_where;
    Position local_where;
    Position mtu_where;
    std::vector<Position> port_where{};
    KeyPositions keys{};
};

enum class IpvlanMode : std::uint8_t { l2, l3, l3s };
enum class IpvlanFlag : std::uint8_t { bridge, private_, vepa };
enum class Urpf : std::uint8_t { off, strict, loose };

/// One next hop of a route in a table of `ipvlans:` or `tables:`. One of `via`, `dev` alone,
/// `slave`, `vxlan`, `table` says where it leads.
struct Hop {
    std::optional<IpAddress> via;  ///< a gateway, on the link of the ipvlan or on `dev`
    std::string dev{};             ///< underlay port, or the access port of the slave itself
    std::string slave{};           ///< NAME of the same ipvlan, or IPVLAN/NAME; see resolve_slave
    std::string vxlan{};           ///< a segment, with `remote` and `lladdr`
    std::optional<IpAddress> remote;   ///< VTEP behind which the next node is
    std::optional<MacAddress> lladdr;  ///< MAC address of that node inside the segment
    std::string table{};       ///< goes on in another table: of `tables:`, or that of a slave
    std::uint16_t weight = 1;  ///< 1 to 256
    Position where;
    KeyPositions keys{};
};

/// One entry of `routes:` of a slave or of `tables:`; either `hops` has one that was written in the
/// entry itself, or those of its `nexthops:`.
struct TableRoute {
    IpPrefix to;  ///< host bits are zero; `default` is 0.0.0.0/0, `default6` is ::/0
    RouteType type = RouteType::unicast;
    std::vector<Hop> hops{};
    Position where;
    KeyPositions keys{};
};

/// One entry of `tables:`: a routing table of its own, for routes of `table: NAME`.
struct RouteTable {
    std::string name;
    std::vector<TableRoute> routes{};
    Position where;
};

enum class Hook : std::uint8_t { prerouting, input, forward, output, postrouting };
enum class RuleAction : std::uint8_t {
    accept,
    drop,
    reject,
    return_,
    notrack,
    dnat,
    snat,
    masquerade
};

/// One entry of `rules:`; the words are those of nft. What is not given matches everything.
struct Rule {
    std::string name{};  ///< for people and counters; empty = its place in the list
    Hook hook = Hook::forward;
    /// raw -300, mangle -150, dstnat -100, filter 0, srcnat 100, or a number. Not given in a file:
    /// raw for notrack, dstnat for dnat, srcnat for snat and masquerade, filter for the rest.
    int priority = 0;
    std::string iif{};  ///< slave that the packet comes from. Only in rules of an ipvlan
    std::string vrf{};  ///< tenant that the packet comes from. Only in rules of an ipvlan
    std::optional<std::uint8_t> protocol;  ///< tcp, udp, icmp, icmpv6, sctp or a number
    std::optional<IpPrefix> saddr;
    std::optional<IpPrefix> daddr;
    Ports sport;
    Ports dport;
    std::vector<std::string> ct{};  ///< new, established, related, invalid, untracked; empty = any
    RuleAction action = RuleAction::accept;
    std::optional<IpAddress> to;  ///< dnat, snat
    std::string slave{};          ///< dnat of an ipvlan: has `to`, where a tenant could have it too
    std::optional<Ports> to_ports;  ///< dnat, snat, masquerade; none = kept where possible
    Position where;
    KeyPositions keys{};
};

/// One entry of `nat:` of a slave: 1:1, inbound and outbound.
struct NatPair {
    IpAddress public_;   ///< on the wire
    IpAddress private_;  ///< of the slave; not given in a file: its first address of that family
    Position where;
    KeyPositions keys{};
};

/// One entry of `slaves:` of an ipvlan.
struct Slave {
    std::string name;
    std::string port{};  ///< an access port of its own
    std::vector<IpPrefix> addresses{};
    std::string vrf{};      ///< tenant: addresses and connections of its own; empty = shared
    std::uint16_t mtu = 0;  ///< 0 = the link's
    bool up = true;
    Urpf rp_filter = Urpf::off;
    bool check_source = false;  ///< only own addresses may be the source
    /// Gets what routes say is behind it; in mode l3s from siblings alone.
    bool forwarding = true;
    bool proxy_arp = true;      ///< l3, l3s: ARP and ND are answered
    bool allmulticast = false;  ///< l2: hears all groups
    std::vector<IpAddress>
        groups{};  ///< l2: groups that it hears besides those that follow from its addresses
    std::uint64_t rate = 0;  ///< bits per second towards the wire; 0 = no limit
    std::vector<TableRoute> routes{};
    std::vector<Rule> rules{};
    std::vector<NatPair> nat{};
    Position where;
    std::vector<Position> address_where{};
    std::vector<Position> group_where{};
    KeyPositions keys{};
};

/// `conntrack:` of an ipvlan.
struct ConntrackOptions {
    bool on = false;                 ///< as the file says; what counts is conntrack_on()
    std::uint32_t capacity = 65536;  ///< connections
    // Seconds without a packet until a connection is forgotten; words and values of the kernel's
    // net.netfilter.nf_conntrack_*_timeout*.
    std::uint32_t tcp_syn_sent = 120;
    std::uint32_t tcp_syn_recv = 60;
    std::uint32_t tcp_established = 432'000;
    std::uint32_t tcp_fin_wait = 120;
    std::uint32_t tcp_close_wait = 60;
    std::uint32_t tcp_last_ack = 30;
    std::uint32_t tcp_time_wait = 120;
    std::uint32_t tcp_close = 10;
    std::uint32_t udp = 30;
    std::uint32_t udp_stream = 120;
    std::uint32_t icmp = 30;
    std::uint32_t generic = 600;
    Position where;
    KeyPositions keys{};
};

/// One entry of `ipvlans:`; the words are those of `ip link add type ipvlan`.
struct Ipvlan {
    std::string name;
    std::string link{};  ///< an underlay port, the master
    IpvlanMode mode = IpvlanMode::l3;
    IpvlanFlag flag = IpvlanFlag::bridge;
    bool host_access = false;    ///< l2: slaves and host hear each other's broadcasts
    bool decrement_ttl = false;  ///< l3, l3s: slave to wire counts as a hop
    bool dhcp_snoop = false;     ///< l2: slaves have the addresses that they are leased
    bool mcast_snooping = true;  ///< l2: slaves hear the groups that they report
    bool masquerade = false;     ///< towards the wire: slaves of a vrf, and private addresses,
                                 ///< leave with the master's address
    /// For slaves' connections. Those of the host itself are not tracked: where it shares the link
    /// (`host:` of the port), none of the ports that it listens on or gives to its own connections
    /// (net.ipv4.ip_local_port_range) may be among them. 61000 to 65535 are free by Linux's
    /// defaults.
    Ports masquerade_ports{1024, 65535};
    std::vector<Rule> rules{};  ///< of the host's side
    ConntrackOptions conntrack;
    std::vector<Slave> slaves{};
    Position where;
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
    std::vector<RouteTable> tables{};
    std::vector<Ipvlan> ipvlans{};
};

}  // namespace vxplane::config
