// Everything that configuration shapes, as workers see it: one immutable value behind one pointer,
// replaced as a whole. What churns (the FDB) is reached through it and outlives it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "dataplane/net/headers.hpp"
#include "dataplane/packet/rx_sums.hpp"
#include "dataplane/table/address_map.hpp"
#include "dataplane/table/fdb.hpp"
#include "dataplane/table/fib.hpp"
#include "dataplane/table/flat_map.hpp"
#include "dataplane/table/hook_set.hpp"
#include "dataplane/table/multicast.hpp"
#include "dataplane/table/next_hop.hpp"
#include "dataplane/table/rate_limit.hpp"
#include "dataplane/table/route_table.hpp"
#include "dataplane/table/segment_watch.hpp"
#include "dataplane/table/slave.hpp"
#include "dataplane/table/tunnel.hpp"

namespace vxplane::table {

enum class PortRole : std::uint8_t {
    none,      ///< not in the topology: what arrives is dropped
    access,    ///< tenants' frames
    slave,     ///< an ipvlan slave's frames
    underlay,  ///< tunnels, and everything else for the host
    twin       ///< the kernel's side of an underlay port
};

constexpr std::uint16_t kNoSegment = 0xFFFF;
constexpr std::uint16_t kNoPort = 0xFFFF;
/// PortEntry::trunk of a port whose frames do not tell their segment by a tag.
constexpr std::uint16_t kNoTrunk = 0xFFFF;
/// Length of one trunk in Tables::trunks.
constexpr std::uint32_t kVids = 4096;
/// In Tables::addresses: an address that no host has.
constexpr std::uint32_t kNoHost = 0xFFFF'FFFE;

/// One per DPDK port id.
struct alignas(64) PortEntry {
    PortRole role = PortRole::none;
    bool learning = true;             ///< access: learn source addresses here
    bool multi_segment_tx = false;    ///< driver sends chained mbufs
    bool promiscuous = false;         ///< underlay: foreign unicast goes to the host, not dropped
    packet::RxSums trusted_sums = 0;  ///< which the NIC is found to verify
    bool watches_sums = false;        ///< what the NIC says of sums is compared with some of them
    bool reassembles = false;         ///< underlay: fragments for us wait for their datagram
    bool from_guest = false;          ///< access: its device makes the sums that a guest left open
    std::uint16_t segment = kNoSegment;  ///< access: index into Tables::segments
    std::uint16_t partner = kNoPort;     ///< underlay: its twin; twin: its underlay port
    std::uint16_t max_frame = 1514;      ///< bytes with Ethernet header, without tag and FCS
    std::uint16_t plain_frame =
        1514;  ///< access: longer frames get a closer look; see plain_frame_of()
    std::uint16_t plain_exit =
        1514;  ///< access: the same for frames that leave; see plain_exit_of()
    std::uint16_t master = kNoMaster;  ///< underlay: index into Tables::masters
    std::uint16_t slave = kNoSlave;    ///< slave: index into Tables::slaves
    net::GroupPolicy policy{};         ///< access: of the frames that come in here
    std::uint64_t mac = 0;  ///< MacAddress::number(); access: of the host behind it, 0: unknown
    /// access: group policy ids that may leave here, in Tables::accepted_groups; none: any
    std::uint32_t accepted_begin = 0;
    std::uint32_t accepted_count = 0;
    // Access ports whose frames all get a closer look, as their segment is kNoSegment above.
    std::uint16_t home = kNoSegment;  ///< of untagged frames
    std::uint16_t trunk = kNoTrunk;   ///< in Tables::trunks: of tagged ones
};
static_assert(sizeof(PortEntry) == 64);

/// One VXLAN segment. Its index is half of the FDB key and never changes while it exists.
struct alignas(64) Segment {
    net::Vni vni;
    std::uint32_t vni_word = 0;       ///< second word of the VXLAN header as it stands on the wire
    std::uint64_t own_mac = 0;        ///< of the VTEP device: no tenant may send with it
    std::uint32_t profile = 0;        ///< half of the key of Tables::peers
    std::uint32_t flood_remotes = 0;  ///< id in Tables::flood_lists of the all-zero entry's remotes
    std::uint32_t local_begin = 0;    ///< access ports of the segment, in Tables::members
    std::uint16_t local_count = 0;
    std::uint16_t max_frame = 1514;  ///< longest inner frame, tag not counted
    bool learning = true;            ///< learn from tunnels
    bool inner_vlan = false;         ///< tagged inner frames allowed
    bool in_use = false;             ///< false: the index is free
    bool udp6_zero_rx = false;       ///< takes packets without UDP checksum over IPv6
    /// Frames to `own_mac` are routed to slaves of this master; kNoMaster: they are not.
    std::uint16_t router = kNoMaster;
    std::uint16_t guard = 0;                      ///< in Tables::guards; 0: any peer is heard
    std::uint16_t watch = 0;                      ///< of table::watch
    std::uint32_t reserved_flags = kStrictFlags;  ///< of the first VXLAN word: bits that must be 0
    std::uint32_t reserved_vni = kStrictVni;      ///< of the second
    std::uint32_t flood_rate = 0;                 ///< flood_rate_of(); 0: any number of floods
    RateLimit* flood_limit = nullptr;             ///< control's; set where `flood_rate` is not 0

    /// Each frame that is flooded, whatever its length, takes so many bits of the limit: then its
    /// least depth is eight of them.
    static constexpr std::uint64_t kFloodCost = 64'000;
    /// Frames per second as the rate of the limit, bits per millisecond.
    static constexpr std::uint32_t flood_rate_of(std::uint32_t frames) noexcept {
        return static_cast<std::uint32_t>(frames * kFloodCost / 1000);
    }
    static constexpr std::uint32_t kMostFloods = 10'000'000;  ///< per second: fits flood_rate

    /// All bits that RFC 7348 gives no meaning to.
    static constexpr std::uint32_t kStrictFlags = ~net::VxlanHeader::kVniFlag.value();
    static constexpr std::uint32_t kStrictVni = 0xFF;
};
static_assert(sizeof(Segment) == 64);

/// PortEntry::plain_frame of a member: all frames of a segment that watches, and of a port that
/// marks them, get a closer look.
constexpr std::uint16_t plain_frame_of(const PortEntry& port, const Segment& segment) noexcept {
    return (segment.watch & ~watch::kNotForTenants) != 0 || port.policy.is_given()
               ? std::uint16_t{0}
               : port.max_frame;
}
/// PortEntry::plain_exit: where not all groups may leave, all frames get a closer look.
constexpr std::uint16_t plain_exit_of(const PortEntry& port) noexcept {
    return port.accepted_count != 0 ? std::uint16_t{0} : port.max_frame;
}

/// In values of Tables::vnis: each packet of the segment is looked at by step::watch_tunnel().
constexpr std::uint32_t kWatchedVni = 0x10000;
/// Value of Tables::vnis. Whatever is above kNoSegment is not the plain case.
constexpr std::uint32_t vni_value(const Segment& segment, std::uint16_t index) noexcept {
    constexpr std::uint16_t kLooks = watch::kSnoop | watch::kClampMss | watch::kDown |
                                     watch::kGroupPolicy | watch::kGpe | watch::kRemoteSum;
    return segment.guard != 0 || (segment.watch & kLooks) != 0 ? index | kWatchedVni : index;
}

/// A slice of Tables::remotes: tunnel ids that each get a copy, or among which a flow chooses.
struct RemoteList {
    std::uint32_t begin = 0;
    std::uint32_t count = 0;
};

/// The tunnels to one remote by the TOS inside, in steps of kRouteTosStep.
using TosWays = std::array<std::uint32_t, kRouteTosValues>;

/// Key of Tables::dstports.
constexpr std::uint64_t dstport_key(std::uint16_t dstport, bool ipv6 = false) noexcept {
    return std::uint64_t{ipv6} << 16 | dstport;
}
constexpr std::uint32_t kPortOpen = 0;
constexpr std::uint32_t kPortClosed = 1;
/// Key of Tables::vnis: each family has segments of its own.
constexpr std::uint64_t vni_key(std::uint16_t dstport, net::Vni vni, bool ipv6 = false) noexcept {
    return dstport_key(dstport, ipv6) << 24 | vni.number;
}
/// Key of Tables::peers.
constexpr std::uint64_t peer_key(std::uint32_t profile, net::Ipv4Address remote) noexcept {
    return std::uint64_t{profile} << 32 | remote.be.wire();
}

/// What stands for an IPv6 peer where there is room for an IPv4 address: 0.0.0.0/8, which no host
/// has. Good for one generation of tables; Tables::peers knows it, too.
constexpr net::Ipv4Address peer6_name(std::uint32_t tunnel) noexcept {
    return net::Ipv4Address::of(tunnel + 1);
}
/// Of a peer that no tunnel leads to.
constexpr net::Ipv4Address kUnknownPeer6 = net::Ipv4Address::of(0x00FFFFFF);
constexpr bool is_peer6_name(net::Ipv4Address address) noexcept {
    return address.number() >> 24 == 0;
}

/// An immutable array that several generations can share. Reading costs one load of the base.
template <class T>
class Shared {
  public:
    Shared() = default;
    explicit Shared(std::vector<T> values)
        : owner_(std::make_shared<const std::vector<T>>(std::move(values))),
          data_(owner_->data()) {}
    const T& operator[](std::size_t index) const noexcept { return data_[index]; }
    [[nodiscard]] std::size_t size() const noexcept { return owner_ ? owner_->size() : 0; }
    [[nodiscard]] const T* data() const noexcept { return data_; }
    [[nodiscard]] const T* begin() const noexcept { return data_; }
    [[nodiscard]] const T* end() const noexcept { return data_ + size(); }

  private:
    std::shared_ptr<const std::vector<T>> owner_;
    const T* data_ = nullptr;
};

/// Made by control, published by one pointer, freed after a grace period. Workers load the pointer
/// once per poll and see nothing of a change half done. The shared arrays are those that did not
/// change since the generation before.
struct Tables {
    std::uint64_t generation = 0;
    Fdb* fdb = nullptr;                     ///< outlives every generation
    Shared<PortEntry> ports;                ///< by DPDK port id
    Shared<Segment> segments;               ///< by segment index
    Shared<Tunnel> tunnels;                 ///< by tunnel id
    Shared<Tunnel6> tunnels6;               ///< by Tunnel::line6()
    Shared<TosWays> tos_ways;               ///< by Tunnel::tos_ways()
    Shared<RemoteList> flood_lists;         ///< by flood list id; 0 is empty
    Shared<RemoteList> groups;              ///< members, by next-hop group id; 0 is empty
    Shared<RemoteList> group_slots;         ///< who serves which flows; a power of two, or none
    Shared<std::uint32_t> remotes;          ///< tunnel ids of flood lists and groups
    Shared<std::uint16_t> members;          ///< DPDK port ids of segments
    Shared<std::uint16_t> trunks;           ///< segments by PortEntry::trunk * kVids + VLAN id
    Shared<std::uint16_t> vids;             ///< VLAN of segments on trunks; empty: no trunks
    Shared<std::uint16_t> accepted_groups;  ///< by ports, ascending
    std::shared_ptr<const FlatMap> vnis;    ///< vni_key -> vni_value of the segment
    std::shared_ptr<const FlatMap> peers;   ///< peer_key -> tunnel id
    /// IPv6 address, with the profile as scope -> tunnel id; null when no tunnel is over IPv6.
    std::shared_ptr<const AddressMap> peers6;
    /// IPv4 address in wire order -> DPDK port id for our own, kNoHost for the network and
    /// broadcast addresses of our subnets.
    std::shared_ptr<const FlatMap> addresses;
    /// Our IPv6 addresses -> DPDK port id, scope 0; null when there are none.
    std::shared_ptr<const AddressMap> addresses6;
    /// UDP ports of VXLAN by family: dstport_key -> kPortOpen, or kPortClosed where all segments
    /// are down.
    std::shared_ptr<const FlatMap> dstports;

    // --- what segments watch; all empty when none does
    Shared<Guard> guards;                             ///< 0 asks for nothing
    Shared<PeerPrefix> peer_prefixes;                 ///< by guards
    std::shared_ptr<const AddressMap> allowed_peers;  ///< guard, address -> 0; null: none
    /// segment, address -> `known_neighbours`; null: none
    std::shared_ptr<const AddressMap> segment_neighbours;
    Shared<SegmentNeighbour> known_neighbours;
    std::shared_ptr<const FlatMap> routers;  ///< FdbKey::raw of entries with `router`; null: none

    // --- multicast; null and empty when there is none
    /// Groups that carry floods of segments, by DPDK port id -> number of the pair.
    std::shared_ptr<const AddressMap> joined;
    std::shared_ptr<const FlatMap> group_segments;  ///< group_segment_key -> 0
    /// segment, group of tenants -> `mdb`; segment, `::` -> ports of multicast routers, which get
    /// reports, and, where the entry `has_ports`, all that is for groups nobody is known to want.
    std::shared_ptr<const AddressMap> mdb_groups;
    std::shared_ptr<const AddressMap>
        mdb_sources;  ///< number in `mdb` of the group, source -> `mdb`
    Shared<MdbEntry> mdb;
    Shared<std::uint32_t> mdb_tunnels;
    Shared<std::uint16_t> mdb_ports;

    // --- ipvlan and routing; all empty when there is no ipvlan
    Shared<Master> masters;                             ///< by master number
    Shared<Slave> slaves;                               ///< by slave number
    Shared<SlaveExit> slave_exits;                      ///< the same; see set_slaves()
    Shared<std::uint16_t> slave_list;                   ///< slave numbers, by master
    std::shared_ptr<const AddressMap> slave_addresses;  ///< slave_scope, address -> slave number
    /// The tables themselves are control's and outlive every generation that names them. 0 is
    /// empty.
    Shared<const RouteTable*> route_tables;
    Shared<NextHop> next_hops;             ///< 0 leads nowhere
    Shared<std::uint32_t> next_hop_slots;  ///< next hop numbers of groups
    Shared<Neighbour> neighbours;
    std::shared_ptr<const AddressMap> neighbour_addresses;  ///< port, address -> `neighbours`
    Shared<HookSet> hook_sets;                              ///< 0 is empty
};

/// May throw std::bad_alloc: control only.
inline void set_slaves(Tables& tables, std::vector<Slave> slaves) {
    std::vector<SlaveExit> exits;
    exits.reserve(slaves.size());
    for (const Slave& slave : slaves) {
        exits.push_back({slave.port, slave.up ? slave.max_frame : std::uint16_t{0}, slave.hooks});
    }
    tables.slaves = Shared<Slave>(std::move(slaves));
    tables.slave_exits = Shared<SlaveExit>(std::move(exits));
}

}  // namespace vxplane::table
