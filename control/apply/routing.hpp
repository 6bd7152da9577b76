// Routing tables, next hops and the neighbours behind them as control keeps them: the one writer of
// what slaves' packets are routed by. A next hop has a number that all routes through it share.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "control/apply/bridge.hpp"
#include "control/apply/hop_slots.hpp"
#include "control/apply/publisher.hpp"
#include "control/apply/tunnels.hpp"
#include "control/resolve/neighbours.hpp"
#include "dataplane/table/tables.hpp"

namespace vxplane::control {

/// What a route is for: an address with its host bits zero, and the length of the prefix in its own
/// family (0 to 32, or 0 to 128).
struct Network {
    net::IpAddress address;
    std::uint8_t length = 0;
    auto operator<=>(const Network&) const noexcept = default;
    [[nodiscard]] bool is_v4() const noexcept { return address.is_v4(); }
};

/// Where one next hop leads; what does not belong to its kind is zero. Two that are equal share a
/// number.
struct HopSpec {
    table::NextHopKind kind = table::NextHopKind::none;
    std::uint16_t port = 0;             ///< link, gateway: DPDK port id
    std::uint16_t segment = 0;          ///< vxlan
    std::uint32_t index = 0;            ///< slave: its number; table: its number
    std::uint16_t max_frame = 0;        ///< slave
    net::IpAddress via;                 ///< gateway
    net::IpAddress remote;              ///< vxlan
    net::MacAddress inner_destination;  ///< vxlan
    bool operator==(const HopSpec&) const noexcept = default;
    [[nodiscard]] auto key() const noexcept {
        return std::tuple(kind, port, segment, index, max_frame, via, remote,
                          inner_destination.number());
    }
    bool operator<(const HopSpec& other) const noexcept { return key() < other.key(); }
};

struct WeightedHop {
    HopSpec hop;
    std::uint16_t weight = 1;  ///< 1 to 256
};

/// What a route says. `hops` only for unicast, and for local where the address is a slave's.
struct RouteSpec {
    table::RouteType type = table::RouteType::unicast;
    std::vector<WeightedHop> hops;
};
using RouteSpecs = std::map<Network, RouteSpec>;

/// Control thread only.
class Routing final : public TablePart {
  public:
    using Time = Neighbours::Time;
    using Problem = std::optional<std::string>;

    /// Number of the table of no route, and of that of the host.
    static constexpr std::uint32_t kNoTable = 0;
    static constexpr std::uint32_t kMain = 1;
    /// New neighbours on the link are published once in so many calls of tick(): until then their
    /// packets take the way through control, and who finds thousands of them makes no storm.
    static constexpr unsigned kNewsTicks = 10;

    Routing(Bridge& bridge, Tunnels& tunnels, Neighbours& neighbours, Publisher& publisher);
    ~Routing() override;

    // --- tables as a whole, for start and reload: prepare, then accept or discard
    /// The number of the table of this name from now on; `main` is kMain.
    std::uint32_t number_of(const std::string& name);
    [[nodiscard]] std::optional<std::uint32_t> find_table(const std::string& name) const;
    /// What the table is to hold besides what was put in by hand. Nothing is seen before accept().
    Problem prepare(std::uint32_t table, const RouteSpecs& routes, Time now);
    /// The table is to hold nothing and to be shown no more.
    void prepare_removal(std::uint32_t table);
    /// What was prepared is in the next publication.
    void accept();
    void discard();

    // --- single routes, by hand
    enum class Put : std::uint8_t { add, replace };
    Problem put(std::uint32_t table, const Network& to, const RouteSpec& route, Put how, Time now);
    Problem remove(std::uint32_t table, const Network& to);

    // --- neighbours
    /// A packet waits for the next hop of this number: who has to be asked, by whose address. None
    /// when the number leads elsewhere or nowhere.
    [[nodiscard]] std::optional<NeighbourKey> asked_for(std::uint32_t next_hop,
                                                        const net::IpAddress& destination) const;
    /// Workers are told of this neighbour as long as it answers.
    void follow(NeighbourKey key, Time now);
    /// The resolver's news.
    void reachable(NeighbourKey key, net::MacAddress mac);
    void unreachable(NeighbourKey key);
    /// Ends what could not be ended within the resolver's calls.
    void tick();
    /// Tells two next hops apart that had the same number one after the other.
    [[nodiscard]] std::uint32_t serial(std::uint32_t next_hop) const;
    /// As Tunnels::allow_reuse().
    void allow_reuse();
    /// Ports or segments have changed: frame lengths and MAC addresses are read anew.
    void refresh(Time now);

    // --- to look at
    struct Member {
        std::uint32_t next_hop = 0;
        std::uint16_t weight = 1;
        std::uint32_t slots = 0;
    };
    [[nodiscard]] const std::vector<std::string>& names() const noexcept { return names_; }
    [[nodiscard]] bool is_used(std::uint32_t table) const;
    [[nodiscard]] const table::RouteTable& content(std::uint32_t table) const;
    void for_each(std::uint32_t table,
                  const std::function<bool(const Network&, table::RouteValue)>& show) const;
    [[nodiscard]] bool is_by_hand(std::uint32_t table, const Network& to) const;
    [[nodiscard]] const HopSpec& hop(std::uint32_t next_hop) const {
        return records_[next_hop].spec;
    }
    /// Empty for a next hop that is no group.
    [[nodiscard]] std::vector<Member> members(std::uint32_t next_hop) const;
    [[nodiscard]] std::uint32_t hops_used() const noexcept { return used_; }
    [[nodiscard]] std::uint32_t hops_high_water() const noexcept { return high_water_; }
    [[nodiscard]] std::uint64_t hops_refused() const noexcept { return refused_; }

    // --- TablePart
    [[nodiscard]] bool changed() const noexcept override {
        return changed_ || lengths_ != tunnels_.lengths();
    }
    void fill(table::Tables& next) override;
    /// Grace periods of tables that were edited in place.
    void reclaim();

  private:
    /// A table that workers may see.
    struct Content {
        explicit Content(std::uint32_t capacity) : routes(capacity) {}
        table::RouteTable routes;
    };
    struct Table {
        std::shared_ptr<Content> content;
        std::set<Network> by_hand;
        std::shared_ptr<Content> next;  ///< prepared; null = stays
        bool goes = false;              ///< prepared to be removed
        bool in_use = false;
    };
    struct Record {
        HopSpec spec;
        GroupSlots slots;  ///< of a group
        table::NextHop line;
        std::uint32_t users = 0;
        std::uint32_t serial = 0;
    };
    struct Known {
        NeighbourKey key;
        net::MacAddress mac;
        bool usable = false;
        std::uint32_t gateways = 0;  ///< next hops through it
        bool on_link = false;        ///< followed
        bool failed = false;         ///< to be followed no more
    };
    using Members = std::vector<std::pair<std::uint32_t, std::uint16_t>>;

    std::optional<std::uint32_t> new_number();
    std::optional<std::uint32_t> acquire(const HopSpec& spec, Time now);
    /// One more user of what the route leads to. `before`: the group that it led to until now.
    std::optional<table::RouteValue> acquire(const RouteSpec& route, std::uint32_t before,
                                             Time now);
    std::optional<std::uint32_t> acquire_group(const std::vector<WeightedHop>& hops,
                                               std::uint32_t before, Time now);
    void release(std::uint32_t number);
    void release(table::RouteValue value) {
        if (value.next_hop() != 0) {
            release(value.next_hop());
        }
    }
    /// Once no worker can meet it any more.
    void retire(std::shared_ptr<Content> content);
    static void each(const Content& content,
                     const std::function<bool(const Network&, table::RouteValue)>& show);
    [[nodiscard]] std::optional<table::NextHop> make_line(const HopSpec& spec, Time now);
    void drop_line(const Record& record);
    std::uint32_t neighbour(NeighbourKey key);
    void drop_neighbour(std::uint32_t at);
    void fill_tables(table::Tables& next);
    static table::RouteValue find(const Content& content, const Network& to);
    static bool put_into(Content& content, const Network& to, table::RouteValue value);
    static bool take_from(Content& content, const Network& to);
    static void settle(Content& content);
    void note_edit(std::uint32_t table);

    Bridge& bridge_;
    Tunnels& tunnels_;
    Neighbours& neighbours_;
    Publisher& publisher_;
    std::vector<std::string> names_{"", "main"};
    std::vector<Table> tables_{2};
    std::vector<Record> records_{1};
    std::map<HopSpec, std::uint32_t> by_spec_;
    std::map<Members, std::uint32_t> by_members_;
    std::vector<std::uint32_t> rested_;
    std::vector<std::uint32_t> free_;
    std::vector<Known> known_;
    std::map<NeighbourKey, std::uint32_t> known_at_;
    std::vector<std::uint32_t> free_known_;
    std::set<std::uint32_t> edited_;
    std::uint32_t last_serial_ = 0;
    std::uint32_t used_ = 0;
    std::uint32_t high_water_ = 0;
    std::uint64_t refused_ = 0;
    std::size_t followed_ = 0;
    bool any_failed_ = false;
    bool changed_ = false;
    std::uint64_t lengths_ = 0;    ///< Tunnels::lengths() of the last fill()
    bool late_ = false;            ///< neighbours have come that workers may hear of a little later
    unsigned ticks_ = kNewsTicks;  ///< since the last of these were told
    bool active_ = false;          ///< there was a table once
};

}  // namespace vxplane::control
