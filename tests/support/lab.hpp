// A data plane in one process: ports in memory, tables declared in words, real workers that the
// test polls, and the control side of every ring in the test's hand. Packet tests, oracle replays
// and fuzz targets stand on it.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/port/memory_port.hpp"
#include "dataplane/worker/worker.hpp"
#include "tests/support/frame.hpp"

namespace vxplane::support {

using PortId = std::uint16_t;
using SegmentId = std::uint16_t;
using TunnelId = std::uint32_t;

/// Every counter of a data plane by name, zeros left out: `received`, `drop.fdb_miss`,
/// `port.vm1.rx_bytes`, `segment.red.flooded`, `pool.refused`; those of a second worker begin with
/// `w1.`. Polls, sleeps and cycles are not among them.
using Counts = std::map<std::string, std::uint64_t>;

/// How frames lie in memory when a worker gets them.
enum class Memory : std::uint8_t {
    pool,   ///< as a NIC leaves them: headroom in front, tailroom behind
    exact,  ///< a heap block of exactly the frame's size, so that ASan sees any byte read beyond
    /// Two buffers, the last eight bytes in the second one, for frames longer than 72 bytes, or 92
    /// when they are IPv6.
    split
};

struct PortWords {
    net::MacAddress mac{};
    std::uint16_t mtu = 1500;
    std::uint16_t queues = 1;
    std::uint32_t slots = 512;  ///< of each ring; one less can be held
    bool chains = true;         ///< takes chained buffers
    bool promiscuous = false;
    bool reassembles = false;
    bool learning = true;
    bool trusts_checksum = false;
    bool from_guest = false;
    bool gro = false;        ///< received TCP segments are merged
    port::TsoAbility tso{};  ///< large packets that the port takes
    unsigned owner = 0;      ///< worker that has the transmit queue
    unsigned poller = 0;     ///< worker that polls the receive queues
    bool spread = false;     ///< instead, queue n is polled by worker n
};

struct SegmentWords {
    std::uint32_t vni = 7;
    std::uint16_t dstport = 4789;
    std::uint32_t profile = 1;
    net::MacAddress own_mac = mac("02:ee:00:00:00:07");
    std::uint16_t mtu = 1450;
    bool learning = true;
    bool inner_vlan = false;
    bool ipv4 = true;  ///< takes tunnel packets over IPv4
    bool ipv6 = false;
    bool udp6_zero_rx = false;
};

struct LabWords {
    unsigned workers = 1;
    worker::Idle idle = worker::Idle::busy;  ///< for tests that let a worker run()
    std::uint32_t idle_after = 200;
    std::uint32_t idle_sleep = 2000;
    std::uint64_t punt_rate = 0;  ///< packets per second; 0 = no limit
    std::uint32_t punt_slots = 512;
    std::uint32_t learn_slots = 512;
    std::uint32_t inject_slots = 512;
    std::uint32_t handoff_slots = 512;
    std::uint32_t fdb_capacity = 4096;
    std::uint32_t backlog = 0;  ///< steering is on, and this many frames may wait for a worker
    bool flow_limit = false;
};

struct SentFrame {
    PortId port = 0;
    Bytes bytes{};
    unsigned buffers = 1;  ///< length of its chain
};

struct PuntedFrame {
    packet::Punt why = packet::Punt::arp;
    PortId in_port = 0;
    SegmentId segment = 0;
    TunnelId tunnel = 0;
    packet::DropReason if_refused = packet::DropReason::none;
    Bytes bytes{};
    bool from_tunnel = false;
    TunnelId peer = 0;
};

/// Everything that can be seen from outside of one or more polls.
struct Seen {
    std::vector<SentFrame> sent{};
    std::vector<PuntedFrame> punted{};
    std::vector<step::LearnEvent> learned{};
    Counts moved{};            ///< counters that moved, by how much
    std::string broken_law{};  ///< empty when the conservation law holds and no buffer was lost

    [[nodiscard]] std::vector<Bytes> sent_by(PortId port) const;
    /// Drops of this poll; DropReason::count stands for "several".
    [[nodiscard]] packet::DropReason only_reason() const;
};

class Lab {
  public:
    explicit Lab(LabWords words = {});
    ~Lab();
    Lab(const Lab&) = delete;
    Lab& operator=(const Lab&) = delete;

    // --- configuration; ports and segments before the first poll, the rest at any time, seen by
    // --- the workers after publish() (the first poll publishes by itself)
    SegmentId segment(const std::string& name, SegmentWords words = {});
    PortId underlay(const std::string& name, PortWords words = {});
    PortId twin(const std::string& name, PortId of, PortWords words = {});
    PortId access(const std::string& name, SegmentId segment = table::kNoSegment,
                  PortWords words = {});
    /// An access port of no segment becomes a trunk: `vid` is `segment`, also without a tag if
    /// said.
    void trunk(PortId port, SegmentId segment, std::uint16_t vid, bool untagged = false);
    void own(const net::IpAddress& address, PortId port);
    /// The network or broadcast address of a subnet of ours.
    void no_host(net::Ipv4Address address);
    /// Known as a peer of the segments of `profile`, unless that is 0.
    TunnelId tunnel(const table::TunnelSpec& spec, std::uint32_t profile = 1);
    void replace_tunnel(TunnelId id, const table::TunnelSpec& spec);
    /// A tunnel of TunnelSpec::by_tos: the TOS inside chooses one of these.
    TunnelId tunnel_by_tos(const table::TunnelSpec& spec, const table::TosWays& ways,
                           std::uint32_t profile = 1);
    /// The remotes of the segment's all-zero entry.
    void flood_to(SegmentId segment, std::vector<TunnelId> remotes);
    std::uint32_t flood_list(std::vector<TunnelId> remotes);
    std::uint32_t group(std::vector<TunnelId> members);
    void fdb(SegmentId segment, net::MacAddress address, table::FdbKind kind, std::uint32_t index,
             table::FdbState state = table::FdbState::static_, std::uint8_t epoch = 0);
    void fdb_erase(SegmentId segment, net::MacAddress address);
    table::PortEntry& port_entry(PortId id) { return ports_[id].entry; }
    table::Segment& segment_entry(SegmentId id) { return segments_[id].entry; }
    void publish();
    /// Puts in what has no words here (slaves, routes); called by publish() at its end.
    std::function<void(table::Tables&)> complete{};

    // --- traffic
    /// Hands frames to a port, polls every worker until nothing moves, and takes everything out.
    Seen receive(PortId port, const std::vector<Bytes>& frames, Memory memory = Memory::pool,
                 std::uint16_t queue = 0);
    Seen receive(PortId port, const Frame& frame, Memory memory = Memory::pool) {
        return receive(port, std::vector<Bytes>{frame.bytes()}, memory);
    }
    /// As control does. False when the ring is full; the frame is gone then.
    bool inject(PortId out_port, const Bytes& frame, unsigned worker = 0);
    /// Only hands over; poll() and collect() do the rest.
    void push(PortId port, const std::vector<Bytes>& frames, Memory memory = Memory::pool,
              std::uint16_t queue = 0);
    /// One turn of one worker.
    unsigned poll(unsigned worker = 0);
    /// What has been sent, punted, told and counted since the last collect().
    Seen collect();
    /// False: collect() leaves `moved` empty, which is many times faster. For fuzz targets.
    bool count_by_name = true;
    /// What the NIC says of the frames that come next: RTE_MBUF_F_RX_...
    std::uint64_t rx_flags = 0;
    /// And of its headers: RTE_PTYPE_...
    std::uint32_t rx_type = 0;
    /// And of how long the segments of a large packet are, with RTE_MBUF_F_RX_LRO.
    std::uint16_t rx_segment = 0;
    /// Looks at frames that were sent while all of them are still in memory.
    std::function<void(PortId, rte_mbuf*)> look_at_sent{};

    // --- control's view
    [[nodiscard]] table::Fdb& fdb() { return fdb_; }
    [[nodiscard]] table::FdbValue fdb_find(SegmentId segment, net::MacAddress address) const;
    [[nodiscard]] worker::Worker& worker(unsigned id = 0) { return *workers_.at(id); }
    [[nodiscard]] worker::SteeringTable& steering() { return *steering_; }
    [[nodiscard]] port::MemoryPort& memory(PortId id) { return *ports_[id].memory; }
    [[nodiscard]] const std::string& name(PortId id) const { return ports_.at(id).name; }
    [[nodiscard]] const std::string& segment_name(SegmentId id) const {
        return segments_.at(id).name;
    }
    void pass_time(std::uint32_t milliseconds);
    void next_epoch();
    /// All counters as they stand.
    [[nodiscard]] Counts counts() const;
    /// Takes all buffers of a pool away, so that the next allocation fails; gives them back when it
    /// goes out of scope.
    class Famine;
    [[nodiscard]] std::unique_ptr<Famine> starve(rte_mempool* pool);
    [[nodiscard]] rte_mempool* header_pool() const;
    [[nodiscard]] rte_mempool* packet_pool() const;

  private:
    struct PortState {
        std::string name;
        std::unique_ptr<port::MemoryPort> memory;
        table::PortEntry entry;
        PortWords words;
    };
    struct SegmentState {
        std::string name;
        table::Segment entry;
        SegmentWords words;
        std::uint16_t vid = 0;
        std::map<PortId, bool> trunks{};  ///< whether untagged
    };
    PortId add_port(const std::string& name, const PortWords& words, table::PortRole role);
    table::RemoteList add_remotes(const std::vector<TunnelId>& ids);
    void start();
    rte_ring* ring(const char* what, std::uint32_t slots, unsigned item, unsigned flags);
    rte_mbuf* buffer(const Bytes& frame, Memory memory);
    std::string law() const;
    /// Every refused tunnel packet has a sender.
    std::string law_of_senders() const;
    void take_sent(Seen& seen);
    void take_rings(Seen& seen);

    LabWords words_;
    worker::SharedClock clock_;
    unsigned number_;
    table::Fdb fdb_;
    std::map<PortId, PortState> ports_{};
    std::vector<SegmentState> segments_{};
    struct TunnelState {
        table::TunnelSpec spec;
        std::uint32_t profile;
    };
    std::vector<TunnelState> tunnels_{};
    std::map<TunnelId, table::TosWays> tos_ways_{};
    std::vector<table::RemoteList> flood_lists_{{}};
    std::vector<table::RemoteList> groups_{{}};
    std::vector<std::uint32_t> remotes_{};
    std::vector<std::pair<table::ScopedAddress, std::uint32_t>> own6_{};
    std::map<std::uint64_t, std::uint32_t> addresses_{};
    std::vector<std::unique_ptr<table::Tables>> generations_{};
    std::atomic<const table::Tables*> tables_{nullptr};
    std::vector<rte_ring*> rings_{};
    std::vector<path::ControlRings> control_{};
    std::map<PortId, rte_ring*> handoffs_{};
    std::unique_ptr<worker::SteeringTable> steering_{};
    std::vector<std::unique_ptr<worker::Worker>> workers_{};
    Counts before_{};
    packet::DropCounts refused_by_control_{};
    std::uint64_t level_ = 0;  ///< buffers in use when nothing is under way
};

class Lab::Famine {
  public:
    Famine(rte_mempool* pool, std::uint64_t& level);
    ~Famine();
    Famine(const Famine&) = delete;
    Famine& operator=(const Famine&) = delete;

  private:
    std::uint64_t& level_;
    std::vector<rte_mbuf*> taken_{};
};

}  // namespace vxplane::support
