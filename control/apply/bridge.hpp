// Segments and their forwarding database as control keeps them: the one writer of the FDB, and the
// maker of the tables that workers see.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/apply/hop_slots.hpp"
#include "control/apply/moves.hpp"
#include "control/apply/publisher.hpp"
#include "control/apply/rx_belief.hpp"
#include "control/apply/segment_spec.hpp"
#include "control/apply/tunnels.hpp"
#include "control/resolve/ageing.hpp"
#include "dataplane/step/context.hpp"
#include "dataplane/table/tables.hpp"

namespace vxplane::control {

/// Where an FDB entry leads: exactly one of the first three is set.
struct FdbPlace {
    std::optional<net::IpAddress> remote;
    std::optional<std::uint32_t> nhid;
    std::optional<std::uint16_t> port;
    OwnNumbers own;  ///< with a remote or a group; in filters 0 is any
    bool operator==(const FdbPlace&) const = default;
};

struct FdbRequest {
    std::uint16_t segment = 0;
    net::MacAddress mac;
    FdbPlace place;
    table::FdbState state = table::FdbState::permanent;
    /// Of a controller: what is not newer than what it said before is refused (RFC 7432 section
    /// 7.7, MAC mobility).
    std::optional<std::uint32_t> sequence;
    bool operator==(const FdbRequest&) const = default;
};

/// Every selector that is set must fit.
struct FdbFilter {
    std::optional<std::uint16_t> segment;
    std::optional<std::string> part_of;  ///< segments of an external vxlan
    std::optional<net::MacAddress> mac;
    FdbPlace place;
    std::optional<table::FdbState> state;
};

/// One entry, as shown. The all-zero MAC stands for the flood list.
struct FdbView {
    std::uint16_t segment = 0;
    net::MacAddress mac;
    table::FdbState state = table::FdbState::dynamic;
    std::vector<net::IpAddress> remotes;
    std::vector<OwnNumbers> own;  ///< of each remote, or of the group
    std::optional<std::uint32_t> nhid;
    std::optional<std::uint16_t> port;
    bool duplicate = false;  ///< moved too often: stays where it is
    std::optional<std::uint32_t> sequence;
    bool router = false;  ///< the segment's own address, which leads to slaves of an ipvlan
    std::optional<std::chrono::milliseconds> age;  ///< dynamic only: since last seen
    std::optional<net::IpAddress> previous;        ///< the VTEP behind which it was before it moved
};

/// What happened to an entry.
struct FdbNews {
    enum class Kind : std::uint8_t {
        learned,
        moved,
        aged,
        added,
        replaced,
        removed,
        duplicate,
        recovered,
        refused  ///< as a controller asked for it: a person made the entry that is there
    };
    Kind kind = Kind::learned;
    FdbView entry;
};
std::string_view name(FdbNews::Kind kind) noexcept;

struct BridgeCounters {
    std::uint64_t learned = 0;
    std::uint64_t moved = 0;
    std::uint64_t aged = 0;
    std::uint64_t duplicates = 0;      ///< addresses that were found to move too often
    std::uint64_t learn_refused = 0;   ///< table, tunnel table or segment limit full
    std::uint64_t adds_refused = 0;    ///< of controllers, over entries that a person made
    std::uint64_t learn_deferred = 0;  ///< a worker did not pass its quiescent point in time
};

/// Tables of another owner, published together with those of the bridge.
class TablePart {
  public:
    TablePart() = default;
    TablePart(const TablePart&) = delete;
    TablePart& operator=(const TablePart&) = delete;
    virtual ~TablePart() = default;
    /// True when fill() would write something that was not published yet.
    [[nodiscard]] virtual bool changed() const noexcept = 0;
    virtual void fill(table::Tables& next) = 0;
};

/// Control thread only. A problem is returned as a text; nothing is changed then.
class Bridge {
  public:
    using Time = Neighbours::Time;
    using Problem = std::optional<std::string>;

    Bridge(std::uint32_t fdb_capacity, Tunnels& tunnels, Publisher& publisher);

    /// Called with every change of the FDB but those of a flush, which is told as a whole.
    void on_news(std::function<void(const FdbNews&)> listener) { listener_ = std::move(listener); }

    /// Before anything is learned: what is older than `origin` counts as seen then. The time of
    /// construction unless called.
    void count_ages_from(Time origin) noexcept { origin_ = origin; }

    // --- configuration
    void set_port(std::uint16_t id, const table::PortEntry& port);
    [[nodiscard]] const table::PortEntry& port(std::uint16_t id) const { return ports_[id]; }
    /// What the port is to an ipvlan. Seen with the next shape.
    void set_part_in_ipvlan(std::uint16_t id, table::PortRole role, std::uint16_t master,
                            std::uint16_t slave);
    void set_mac(std::uint16_t id, std::uint64_t mac);
    /// `sums`: which a device is believed about.
    void set_rx_belief(std::uint16_t id, RxBelief belief, packet::RxSums sums = 0);
    [[nodiscard]] RxBelief rx_belief(std::uint16_t id) const;
    void set_max_frame(std::uint16_t id, std::uint16_t bytes) {
        shape_changed_ = shape_changed_ || ports_[id].max_frame != bytes;
        ports_[id].max_frame = bytes;
    }
    /// Frames to the segment's own address are routed by this master; kNoMaster: they are not.
    void set_router(std::uint16_t segment, std::uint16_t master, Time now);
    /// Floods to groups ask the multicast database.
    void set_multicast(std::uint16_t segment, bool on) {
        const std::uint16_t before = segments_[segment].watch;
        const auto others = static_cast<std::uint16_t>(before & ~table::watch::kMulticast);
        segments_[segment].watch = on ? others | table::watch::kMulticast : others;
        shape_changed_ = shape_changed_ || segments_[segment].watch != before;
    }
    [[nodiscard]] bool is_up(std::uint16_t segment) const {
        return is_used(segment) && (specs_[segment].watch & table::watch::kDown) == 0;
    }
    /// For members of multicast groups: as acquire() and release() of tunnels.
    std::optional<std::uint32_t> acquire_tunnel(std::uint16_t segment, const net::IpAddress& remote,
                                                OwnNumbers own, Time now);
    void release_tunnel(std::uint32_t tunnel) { tunnels_.release(tunnel); }
    [[nodiscard]] Problem refuse_remote(std::uint16_t segment, const net::IpAddress& remote,
                                        OwnNumbers own) const {
        return check_remote(segment, remote, plain(segment, own));
    }
    /// `part` takes part in every publication from now on, and outlives this.
    void add_part(TablePart& part) { parts_.push_back(&part); }
    /// Our own addresses, with the DPDK id of their underlay port.
    void set_addresses(std::vector<std::pair<OwnAddress, std::uint16_t>> addresses);
    [[nodiscard]] std::vector<OwnAddress> addresses_of(std::uint16_t port) const;
    /// False for addresses that no other host can have: not unicast, ours, or the network or
    /// broadcast address of one of our subnets.
    [[nodiscard]] bool may_be_remote(const net::IpAddress& address) const noexcept;
    /// The segment has tunnels over the family of `remote`: link-local ones, which are on every
    /// link, where its own address says of which it is, and there no others.
    [[nodiscard]] bool speaks(std::uint16_t segment, const net::IpAddress& remote) const {
        const SegmentSpec& spec = specs_[segment];
        return remote.is_v4()
                   ? spec.ipv4
                   : spec.ipv6 && (remote.is_multicast() ||
                                   remote.is_link_local() == spec.profile.local6.is_link_local());
    }
    std::uint16_t add_segment(const SegmentSpec& spec, Time now);
    /// A member of `ip nexthop add id N group ... fdb`. What it has of its own comes before what
    /// the FDB entry says.
    struct Member {
        Member(const net::IpAddress& address, OwnNumbers numbers = {})  // NOLINT: plain addresses
            : remote(address), own(numbers) {}
        net::IpAddress remote;
        OwnNumbers own;
        bool operator==(const Member&) const = default;
    };
    using Nexthops = std::map<std::uint32_t, std::vector<Member>>;
    void set_nexthops(Nexthops groups);

    // --- changes while workers run
    /// Until release_shape(), ports, segments and addresses are published as they were: what
    /// changes in several places is seen at once.
    void hold_shape() noexcept { shape_held_ = true; }
    /// Publishes the shape, and waits for all workers to see it; false as commit_and_wait().
    bool release_shape();
    void change_port(std::uint16_t id, bool learning, bool promiscuous, bool reassembles);
    /// Of an access port: the group policy of frames that come in there, and the ids that may leave
    /// there; none: any.
    void set_group_policy(std::uint16_t id, net::GroupPolicy policy,
                          std::vector<std::uint16_t> accepted);
    /// Other options for a segment. Its entries stay; they are led to other tunnels when the new
    /// options ask for other headers.
    Problem change_segment(std::uint16_t index, const SegmentSpec& spec, Time now);
    /// The segment is in the next shape no more, or again. Its entries stay until sweep().
    void set_in_use(std::uint16_t index, bool in_use);
    [[nodiscard]] bool is_used(std::uint16_t index) const { return segments_[index].in_use; }
    /// Segments that add_segment() can make now when there is room for `room` numbers.
    [[nodiscard]] std::size_t free_segments(std::size_t room, Time now) const;
    [[nodiscard]] const Nexthops& nexthops() const noexcept { return nexthops_; }
    /// Adds groups and changes members; sweep() removes groups.
    Problem change_nexthops(const Nexthops& groups, Time now);
    /// Removes what cannot stay after a change of shape: entries and lists of segments that are not
    /// in use, entries to ports that are no members any more, to groups that are not in `groups`,
    /// and what was learned of remotes that are now ours. Returns the number of entries.
    std::uint32_t sweep(const Nexthops& groups, Time now);

    // --- the FDB
    Problem add(const FdbRequest& request, Time now);
    Problem replace(const FdbRequest& request, Time now);
    /// Without a place: the whole entry. With a remote: that one of several.
    Problem remove(std::uint16_t segment, net::MacAddress mac,
                   const std::optional<net::IpAddress>& remote, OwnNumbers own = {});
    /// Removes what fits. Of a list of remotes only the named remote goes; lists as a whole go when
    /// they are named by their state. Returns the number of entries and list members removed.
    std::uint32_t flush(const FdbFilter& filter);
    /// Takes what workers learned.
    void learn(std::span<const step::LearnEvent> events, Time now);
    /// Ages; at most about `budget` entries are looked at.
    void age(Time now, std::size_t budget);
    [[nodiscard]] std::optional<FdbView> find(std::uint16_t segment, net::MacAddress mac,
                                              Time now) const;
    /// Entries in `buckets` buckets of the table from `first` on, flood lists not shown; returns
    /// the bucket to go on with, the number of buckets when that were all.
    std::uint32_t show_some(std::uint32_t first, std::uint32_t buckets, Time now,
                            const std::function<void(const FdbView&)>& each) const;
    void show(const FdbFilter& filter, Time now,
              const std::function<bool(const FdbView&)>& each) const;

    // --- publication
    /// Until this is called nothing is published: the start puts in everything at once.
    void finish_loading();
    /// Publishes when something changed.
    void commit();
    /// The same, and waits for all workers to see it. False when one did not within half a second.
    bool commit_and_wait();
    /// The same for what nobody asked for, and what can be learned later: 50 ms at most.
    bool commit_and_wait_briefly();
    /// A worker has been looking at old tables for too long: what has to wait for it is refused at
    /// once, as every try would publish, and take memory that nobody can free.
    [[nodiscard]] bool worker_lags();
    /// The same for what somebody asked for: gives the worker half a second to come back.
    [[nodiscard]] bool worker_is_stuck();
    /// Starts and ends grace periods of the FDB; called often.
    void reclaim();

    [[nodiscard]] const table::Fdb& fdb() const noexcept { return fdb_; }
    [[nodiscard]] const Tunnels& tunnels() const noexcept { return tunnels_; }
    [[nodiscard]] std::size_t segment_count() const noexcept { return specs_.size(); }
    [[nodiscard]] const SegmentSpec& segment(std::uint16_t index) const { return specs_[index]; }
    [[nodiscard]] std::optional<std::uint16_t> find_segment(std::string_view name) const;
    /// Another number when a segment came, went or was changed, or an address of ours.
    [[nodiscard]] std::uint64_t shape_version() const noexcept { return shape_version_; }
    [[nodiscard]] std::uint32_t used(std::uint16_t segment) const { return used_[segment]; }
    [[nodiscard]] const BridgeCounters& counters() const noexcept { return counters_; }
    [[nodiscard]] const Moves& moves() const noexcept { return moves_; }
    [[nodiscard]] std::vector<net::IpAddress> flood_remotes(std::uint16_t segment) const;
    [[nodiscard]] std::uint8_t epoch(Time now) const noexcept { return epoch_byte(millis(now)); }

  private:
    friend struct AgeingView;
    using List = std::vector<std::uint32_t>;  // tunnel ids

    [[nodiscard]] AgeingTime millis(Time now) const noexcept;
    [[nodiscard]] std::uint32_t profile_of(std::uint16_t segment) const {
        return segments_[segment].profile;
    }
    [[nodiscard]] bool has_segment(std::uint16_t index) const {
        return index < segments_.size() && segments_[index].in_use;
    }
    Problem check_room(std::uint16_t segment) const;
    Problem check_remote(std::uint16_t segment, const net::IpAddress& remote, OwnNumbers own) const;
    [[nodiscard]] bool is_full(std::uint16_t segment) const;
    /// Without what the segment says anyway.
    [[nodiscard]] OwnNumbers plain(std::uint16_t segment, OwnNumbers own) const;
    [[nodiscard]] OwnNumbers own_of(std::uint16_t segment, std::uint32_t profile) const;
    /// The number of a profile with other numbers.
    /// After a change of its members: flows of those who stay do not move.
    void share_out(std::uint32_t nhid);
    /// Tunnels by slots of the group.
    [[nodiscard]] List slots_of(std::uint32_t group) const;
    std::uint32_t profile_with(const TunnelProfile& profile, OwnNumbers own);
    /// `profile` with what another one of the segment has of its own.
    std::uint32_t profile_like(std::uint16_t segment, const TunnelProfile& profile,
                               std::uint32_t like);
    [[nodiscard]] bool is_at(std::uint16_t segment, std::uint32_t tunnel, const FdbPlace& place,
                             bool exactly) const;
    std::uint32_t flush_list(std::uint16_t segment, std::uint32_t list, const FdbPlace& place);
    std::optional<List> tunnels_of(const std::vector<Member>& members, std::uint32_t profile,
                                   Time now);
    Problem put(const FdbRequest& request, bool replacing, Time now);
    Problem put_list(const FdbRequest& request, bool replacing, Time now);
    Problem store(table::FdbKey key, table::FdbValue value, Time now);
    void erase(table::FdbKey key, table::FdbValue value);
    void take_out(table::FdbKey key, table::FdbValue value);
    std::uint32_t new_list();
    void drop_list(std::uint32_t id);
    std::optional<std::uint32_t> group_of(std::uint32_t profile, std::uint32_t nhid, Time now);
    void give_back(table::FdbValue value);
    Problem check_owner(const FdbRequest& request, table::FdbKey key, table::FdbValue before) const;
    /// A person made it, and it is no controller's to change.
    [[nodiscard]] bool is_guarded(const FdbRequest& request, table::FdbKey key,
                                  table::FdbValue before) const;
    void tell_refused(const FdbRequest& request, Time now);
    void freeze(table::FdbKey key, table::FdbValue value, Time now);
    void thaw(table::FdbKey key, Time now);
    void learn_one(const step::LearnEvent& event, std::optional<std::uint32_t> tunnel, Time now);
    [[nodiscard]] FdbView view(table::FdbKey key, table::FdbValue value, Time now) const;
    [[nodiscard]] FdbView view_of_list(std::uint16_t segment, net::MacAddress mac,
                                       std::uint32_t list) const;
    [[nodiscard]] bool fits(const FdbFilter& filter, const FdbView& view) const;
    void tell(FdbNews::Kind kind, FdbView view);
    [[nodiscard]] bool has_news() const noexcept;
    std::unique_ptr<table::Tables> build();
    void build_shape(table::Tables& next);
    void build_members(table::Tables& next);
    void build_guards(table::Tables& next);
    void build_groups(table::Tables& next);
    void fill_segment(std::uint16_t index);
    Problem lead_to(std::uint16_t index, const TunnelProfile& profile, Time now);

    Tunnels& tunnels_;
    Publisher& publisher_;
    table::Fdb fdb_;
    Time origin_;
    AgeingWheel wheel_;
    std::function<void(const FdbNews&)> listener_;

    std::vector<TablePart*> parts_;
    std::vector<RxBelief> rx_beliefs_;  ///< by DPDK port id
    std::vector<table::PortEntry> ports_;
    std::map<std::uint16_t, std::vector<std::uint16_t>> accepted_groups_;  ///< by port, ascending
    std::vector<std::pair<OwnAddress, std::uint16_t>> addresses_;
    std::vector<SegmentSpec> specs_;
    std::vector<table::Segment> segments_;
    std::vector<std::uint32_t> used_;  ///< entries by segment, flood lists not counted
    std::vector<List> lists_{1};       ///< flood lists; 0 is empty
    std::vector<std::uint32_t> free_lists_;
    Nexthops nexthops_;
    struct Shares {
        std::vector<Member> members;  ///< the number of one in `slots` is its place here, from 1
        GroupSlots slots;
    };
    /// By nhid: which member serves which flows, the same in all segments.
    std::map<std::uint32_t, Shares> shares_;
    std::vector<List> groups_{1};  ///< in the order of nexthops_
    std::vector<std::uint32_t> group_nhid_{0};
    std::vector<std::uint32_t> group_profile_{0};
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> group_ids_;
    std::unordered_map<std::uint64_t, net::IpAddress> previous_;
    std::unordered_map<std::uint64_t, std::uint32_t> sequences_;  ///< of a controller's entries
    Moves moves_;
    /// By segment. They stay: workers may look at a table of before.
    std::map<std::uint16_t, table::RateLimit> flood_limits_;
    std::map<std::uint16_t, table::FdbKey> routers_;       ///< entries of set_router(), by segment
    std::vector<std::pair<Time, std::uint16_t>> resting_;  ///< numbers of segments that are gone
    BridgeCounters counters_;
    Time refusals_since_{};  ///< `refusals_told_` are of the second that began then
    unsigned refusals_told_ = 0;
    std::uint64_t shape_version_ = 0;
    bool loading_ = true;
    bool shape_held_ = false;
    bool shape_changed_ = true;
    bool lists_changed_ = true;
};

}  // namespace vxplane::control
