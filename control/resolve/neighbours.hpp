// Who is behind a next hop of an underlay port: ARP and neighbour discovery with the states, timers
// and override rules of the Linux kernel (net/core/neighbour.c, net/ipv4/arp.c, net/ipv6/ndisc.c).
// The daemon feeds it ARP and ND frames and packets without a resolved next hop, and gets resolved
// addresses, frames and packets back.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "control/resolve/own_address.hpp"
#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/headers.hpp"
#include "dataplane/net/icmpv6.hpp"
#include "dataplane/packet/drop_reason.hpp"

struct rte_mbuf;

namespace vxplane::control {

/// One next hop: an address on an underlay port.
struct NeighbourKey {
    std::uint16_t port = 0;
    net::IpAddress address;
    constexpr auto operator<=>(const NeighbourKey&) const noexcept = default;
};

/// States of RFC 4861 section 7.3.2 as the kernel uses them for both families. Reachable, stale,
/// delay, probe, permanent and noarp have a usable MAC address.
enum class NeighbourState : std::uint8_t {
    none,        ///< known by name only: nothing was ever asked
    incomplete,  ///< asked, no answer yet; packets are held
    reachable,   ///< confirmed a short while ago
    stale,       ///< confirmed long ago, and not used since
    delay,       ///< stale and used: waits a little before it asks again
    probe,       ///< asks again, by unicast
    failed,      ///< did not answer; asks again when it is used
    permanent,   ///< from the configuration
    noarp        ///< group or broadcast address: follows from the address, never asked
};
/// Lower case, as `ip neigh` says it.
std::string_view name(NeighbourState state) noexcept;
constexpr bool is_usable(NeighbourState state) noexcept {
    using enum NeighbourState;
    return state != none && state != incomplete && state != failed;
}

/// A packet without a resolved next hop. Whoever holds this struct owns the mbuf; the resolver
/// never frees or looks into it and gives each back through the sink, exactly once.
struct Held {
    rte_mbuf* mbuf = nullptr;
    std::uint32_t bytes = 0;  ///< what the packet is charged with
    std::uint32_t tunnel = 0;
    std::uint16_t segment = 0;
    std::uint64_t opaque = 0;  ///< the caller's own, given back as it came
};

/// What the resolver wants done. Called on the control thread, from within the resolver's members;
/// must not call back into the resolver.
class NeighbourSink {
  public:
    virtual ~NeighbourSink() = default;
    /// A whole ARP frame, padded to 60 bytes, or ND frame; the bytes are gone after the call.
    virtual void send_frame(std::uint16_t port, std::span<const std::byte> frame) = 0;
    /// The next hop has a usable MAC address from now on, or its MAC address changed.
    virtual void reachable(NeighbourKey key, net::MacAddress mac) = 0;
    /// The next hop has no usable MAC address (any more): it failed, failed again, or was removed.
    virtual void unreachable(NeighbourKey key) = 0;
    /// The next hop is resolved: send it. Called after reachable(), oldest packet first.
    virtual void release(NeighbourKey key, net::MacAddress mac, Held&& held) = 0;
    /// Drop it for `reason`: neigh_failed (answer it with ICMP host unreachable), neigh_queue_full
    /// or port_gone.
    virtual void give_up(NeighbourKey key, Held&& held, packet::DropReason reason) = 0;
    /// Somebody else says that one of our addresses is theirs. At most once in 10 s per address
    /// (RFC 5227 section 2.4, DEFEND_INTERVAL).
    virtual void conflict(NeighbourKey own, net::MacAddress other) = 0;
    /// A new entry was refused because the table is full. At most once a second.
    virtual void table_full(NeighbourKey refused) = 0;
};

/// Times and sizes; defaults are those of the kernel unless said otherwise.
struct NeighbourOptions {
    using Milliseconds = std::chrono::milliseconds;
    Milliseconds base_reachable{30'000};  ///< a confirmation holds for a random 0.5 to 1.5 of this
    Milliseconds delay{5'000};            ///< delay before probe
    Milliseconds retransmit{1'000};
    Milliseconds lock{1'000};          ///< a MAC that changed so recently yields to no reply
    Milliseconds retry_wanted{5'000};  ///< ours: a wanted next hop that failed is asked again
    Milliseconds forget{60'000};       ///< unused this long, and more than keep_always entries
    std::uint32_t broadcast_probes = 3;
    std::uint32_t unicast_probes = 3;
    std::uint32_t queue_bytes = 212'992;  ///< of held packets per neighbour
    std::size_t held_packets = 8'192;     ///< ours: of all neighbours together, to spare the pools
    std::size_t keep_always = 128;
    std::size_t capacity = 16'384;  ///< entries; ours
};

struct NeighbourCounters {
    std::uint64_t requests_sent = 0;
    std::uint64_t replies_sent = 0;
    std::uint64_t announcements_sent = 0;
    std::uint64_t received = 0;   ///< ARP and ND frames, of any kind
    std::uint64_t malformed = 0;  ///< of these
    std::uint64_t resolved = 0;   ///< went from unusable to usable
    std::uint64_t failed = 0;
    std::uint64_t mac_changes = 0;
    std::uint64_t conflicts = 0;
    std::uint64_t refused = 0;    ///< new entries, table full
    std::uint64_t forgotten = 0;  ///< unused entries removed
    std::uint64_t held = 0;       ///< packets
    std::uint64_t released = 0;   ///< of these
    std::uint64_t given_up = 0;   ///< of these
};

/// What became of an ARP frame. Knowledge of its sender is used in any case but `malformed`.
enum class ArpResult : std::uint8_t {
    handled,    ///< for us: answered, or an answer to us, or a conflict
    not_ours,   ///< about somebody else's address
    malformed,  ///< drop reason arp_malformed, nd_malformed
};
/// The same of an ND frame.
using NdResult = ArpResult;

/// The resolver. One thread; every member takes the time as an argument, which must not go back.
class Neighbours {
  public:
    using Clock = std::chrono::steady_clock;
    using Time = Clock::time_point;

    /// `sink` must outlive the resolver. `seed` feeds the random reachable times.
    Neighbours(NeighbourSink& sink, NeighbourOptions options, std::uint64_t seed);
    /// Packets still held are not given back: call remove_port() or clear() first.
    ~Neighbours() = default;
    Neighbours(const Neighbours&) = delete;
    Neighbours& operator=(const Neighbours&) = delete;

    // --- configuration -------------------------------------------------------------------------

    /// Names or changes a port. The first address is the sender of requests for which no other
    /// address is on the same network. Entries of the port stay.
    void set_port(std::uint16_t port, net::MacAddress mac, std::vector<OwnAddress> addresses);
    /// Forgets the port and all its neighbours; wants are forgotten, held packets go back with
    /// port_gone.
    void remove_port(std::uint16_t port);
    /// A neighbour that is never asked. Replaces what was learned. False when the table is full.
    bool add_permanent(NeighbourKey key, net::MacAddress mac, Time now);
    /// Forgets what is known of one neighbour, permanent or not; a wanted one is asked anew at
    /// once. Held packets go back with neigh_failed. False when there was none.
    bool forget(NeighbourKey key, Time now);
    /// As forget() for all; permanent ones stay unless `permanent_too`.
    void clear(Time now, bool permanent_too);

    // --- use -----------------------------------------------------------------------------------

    /// A tunnel or route needs this next hop from now on: it is resolved at once, asked again
    /// before its answer is too old, retried when it failed, and never forgotten. Counted: as many
    /// unwant() as want(). A want that finds the table full is kept and served by the
    /// first tick() that has room.
    /// Returns the MAC address if it is usable already, in which case reachable() need not follow.
    std::optional<net::MacAddress> want(NeighbourKey key, Time now);
    void unwant(NeighbourKey key);
    /// A packet was or will be sent that way. Starts to resolve, or keeps fresh. Returns the MAC
    /// address if it is usable now.
    std::optional<net::MacAddress> use(NeighbourKey key, Time now);
    /// Uses the next hop and takes the packet until it is known: released at once if it is.
    void hold(NeighbourKey key, Held&& held, Time now);

    // --- events --------------------------------------------------------------------------------

    /// An Ethernet frame of EtherType ARP (no VLAN tag) that arrived on `port`.
    ArpResult on_arp(std::uint16_t port, std::span<const std::byte> frame, Time now);
    /// An Ethernet frame of EtherType IPv6 (no VLAN tag) that arrived on `port` and may be
    /// neighbour discovery; anything else, and messages of routers, are not ours.
    NdResult on_nd(std::uint16_t port, std::span<const std::byte> frame, Time now);
    /// Everything that is due. Call it at next_due() or every 100 ms or so.
    void tick(Time now);
    /// When tick() has something to do; none if nothing is pending.
    [[nodiscard]] std::optional<Time> next_due() const noexcept;
    /// Gratuitous ARP requests (RFC 5227 section 2.3) and unsolicited advertisements (RFC 4861
    /// section 7.2.6) for all addresses of the port.
    void announce(std::uint16_t port);

    // --- to look at ----------------------------------------------------------------------------

    struct View {
        NeighbourKey key;
        NeighbourState state = NeighbourState::none;
        net::MacAddress mac;  ///< zero unless usable
        std::chrono::milliseconds since_used{};
        std::chrono::milliseconds since_confirmed{};  ///< by an answer; since creation if never
        std::chrono::milliseconds since_updated{};    ///< change of state or MAC
        std::size_t held_packets = 0;
        std::uint64_t held_bytes = 0;
        std::uint32_t probes = 0;  ///< sent without an answer
        std::uint32_t wanted = 0;
    };
    /// In no particular order.
    void for_each(Time now, const std::function<void(const View&)>& show) const;
    [[nodiscard]] std::optional<View> find(NeighbourKey key, Time now) const;
    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
    [[nodiscard]] std::size_t high_water() const noexcept { return high_water_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return options_.capacity; }
    [[nodiscard]] std::size_t held_packets() const noexcept { return held_packets_; }
    [[nodiscard]] const NeighbourCounters& counters() const noexcept { return counters_; }

  private:
    struct Entry {
        NeighbourKey key;
        NeighbourState state = NeighbourState::none;
        net::MacAddress mac;
        Time used;
        Time confirmed;
        Time updated;
        Time reachable_until;
        std::optional<Time> due;
        std::uint32_t probes = 0;
        std::deque<Held> queue;
        std::uint64_t queue_bytes = 0;
    };
    struct Port {
        net::MacAddress mac;
        std::vector<OwnAddress> addresses;
        [[nodiscard]] bool owns(const net::IpAddress& address) const noexcept;
        /// An own address of the family of `other`: on its network, else the first; unset if none.
        [[nodiscard]] net::IpAddress sender_to(const net::IpAddress& other) const noexcept;
    };
    struct KeyHash {
        std::size_t operator()(const NeighbourKey& key) const noexcept {
            return net::mix(key.address.low() ^ key.port, key.address.high());
        }
    };

    Entry* lookup(NeighbourKey key);
    Entry* lookup_or_create(NeighbourKey key, Time now);
    std::optional<net::MacAddress> mac_by_rule(NeighbourKey key) const;
    [[nodiscard]] bool is_wanted(NeighbourKey key) const { return wanted_.contains(key); }
    [[nodiscard]] bool is_idle(const Entry& entry) const;
    void use_entry(Entry& entry, Time now);
    static void set_state(Entry& entry, NeighbourState state, Time now);
    void schedule(Entry& entry, std::optional<Time> due);
    void update(Entry& entry, net::MacAddress mac, NeighbourState state, bool override_mac,
                Time now);
    void confirm(Entry& entry, Time now);
    void on_due(Entry& entry, Time now);
    void send_probe(Entry& entry, Time now);
    void fail(Entry& entry, Time now);
    void release_all(Entry& entry);
    void give_up_all(Entry& entry, packet::DropReason reason);
    void erase(NeighbourKey key, packet::DropReason reason);
    void make_room(Time now);
    void forget_unused(Time now);
    void serve_wanted(Time now);
    template <class Predicate>
    void erase_if(Predicate&& predicate, packet::DropReason reason);
    void send_arp(std::uint16_t port, const net::MacAddress& ethernet_destination,
                  const net::ArpHeader& arp);
    void send_solicitation(const Port& port, const Entry& entry);
    NdResult on_solicitation(std::uint16_t port, const net::EthernetHeader& ethernet,
                             const net::NdMessage& nd, Time now);
    NdResult on_advertisement(std::uint16_t port, const net::EthernetHeader& ethernet,
                              const net::NdMessage& nd, Time now);
    void note_conflict(NeighbourKey own, net::MacAddress other, Time now);
    [[nodiscard]] View view_of(const Entry& entry, Time now) const;

    NeighbourSink& sink_;
    NeighbourOptions options_;
    std::mt19937_64 random_;
    std::unordered_map<NeighbourKey, Entry, KeyHash> entries_;
    std::unordered_map<NeighbourKey, std::uint32_t, KeyHash> wanted_;
    std::unordered_map<std::uint16_t, Port> ports_;
    std::unordered_map<NeighbourKey, Time, KeyHash> conflicts_;  ///< when last told
    std::set<std::pair<Time, NeighbourKey>> timers_;
    std::set<NeighbourKey> unserved_;  ///< wanted, but there was no room
    Time next_sweep_{};
    Time next_room_{};
    Time next_full_{};
    std::size_t held_packets_ = 0;
    std::size_t high_water_ = 0;
    NeighbourCounters counters_;
};

}  // namespace vxplane::control
