// ipvlans as control keeps them: masters, slaves and their addresses, rules and connections, with
// numbers that stay while the process lives. Made from a topology as a whole.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "config/topology.hpp"
#include "control/apply/bridge.hpp"
#include "control/apply/routing.hpp"
#include "control/apply/vrf_numbers.hpp"
#include "control/machine.hpp"
#include "control/resolve/memberships.hpp"
#include "dataplane/table/conntrack.hpp"
#include "dataplane/table/tables.hpp"

namespace vxplane::control {

/// A slave as it is shown and as routes name it.
struct SlaveView {
    std::string ipvlan;
    std::string name;
    std::uint16_t number = 0;
    const config::Slave* config = nullptr;  ///< of the topology that is in force
};

/// A rule that is in force.
struct RuleView {
    std::string owner;  ///< IPVLAN, or IPVLAN/SLAVE
    config::Rule rule;
    std::uint32_t id = 0;  ///< of table::RuleCounters
};

class Leases;

/// Control thread only.
class Slaves final : public TablePart {
  public:
    using Time = Neighbours::Time;
    using Problem = std::optional<std::string>;

    Slaves(Machine& machine, Bridge& bridge, Routing& routing);
    ~Slaves() override;

    // --- a topology as a whole: prepare, then accept or discard
    /// Segments of `topology` must be known to the bridge. Nothing is seen before accept().
    Problem prepare(const config::Topology& topology, Time now);
    /// What was prepared is in the next publication. `topology` outlives this, or the next accept()
    /// or adopt().
    void accept(const config::Topology& topology, Time now);
    void discard();
    /// The same topology at another place in memory.
    void adopt(const config::Topology& topology) noexcept { topology_ = &topology; }
    /// What cannot be done while workers run, one sentence each.
    [[nodiscard]] std::vector<std::string> refusals(const config::Topology& to) const;

    // --- while it runs
    /// A master without link takes it from its slaves: the hosts behind their ports see no carrier,
    /// as far as a driver can tell them, and no packet goes to them or comes from them. Called
    /// often.
    void follow_links();
    /// Hands flushes to workers as they have room for them; called often.
    void tick();
    [[nodiscard]] bool has_carrier(const table::Slave& slave) const {
        return slave.master >= dark_.size() || !dark_[slave.master];
    }
    /// Where a route of the table of this name would lead, with numbers for names; a problem text
    /// when it names what is not there. `table`: as in Routing::names().
    [[nodiscard]] std::variant<RouteSpec, std::string> route_spec(
        const std::string& table, const config::TableRoute& route) const;
    /// Addresses and MAC of the master for answers to a slave's port; null when it is no slave's.
    [[nodiscard]] const table::Slave* slave_of_port(std::uint16_t port) const;
    [[nodiscard]] const table::Master& master(std::uint16_t number) const {
        return masters_[number];
    }
    /// Whether the address is the slave's own.
    [[nodiscard]] bool owns(std::uint16_t slave_port, const net::IpAddress& address) const;

    // --- what slaves' own packets tell
    /// A report of multicast groups; `frame` from its Ethernet header on.
    void hear_report(std::uint16_t slave_port, std::span<const std::byte> frame, Time now);
    /// Ends what is due, asks what is to be asked, and lets be published what was learned.
    /// `ask(port, frame)` sends to a slave.
    void tick(Time now, const std::function<void(std::uint16_t, std::span<const std::byte>)>& ask);
    [[nodiscard]] const Memberships& memberships() const noexcept { return memberships_; }
    /// What a slave asks a DHCP server for.
    void hear_dhcp_request(std::uint16_t slave_port, std::span<const std::byte> frame, Time now);
    struct DhcpAnswer {
        std::uint16_t port = table::kNoPort;  ///< of the slave that asked; kNoPort: it was none
        bool refused = false;                 ///< a lease of what is somebody else's
    };
    /// What a server answers, at the port of the master.
    DhcpAnswer hear_dhcp_reply(std::uint16_t link_port, std::span<const std::byte> frame, Time now);
    /// The slave that has the address on the wire of this master.
    [[nodiscard]] const table::Slave* owner(std::uint16_t link_port,
                                            const net::IpAddress& address) const;
    [[nodiscard]] const Leases& leases() const noexcept { return *leases_; }

    // --- to look at
    [[nodiscard]] std::vector<SlaveView> views() const;
    [[nodiscard]] const table::Slave& slave(std::uint16_t number) const { return slaves_[number]; }
    [[nodiscard]] std::string name_of(std::uint16_t number) const;
    [[nodiscard]] std::optional<std::uint16_t> find_slave(const std::string& full) const;
    [[nodiscard]] std::optional<std::uint16_t> find_master(const std::string& ipvlan) const;
    [[nodiscard]] table::Conntrack* conntrack(const std::string& ipvlan) const;
    [[nodiscard]] std::string vrf_name(const std::string& ipvlan, std::uint16_t vrf) const;
    [[nodiscard]] std::optional<std::uint16_t> find_vrf(const std::string& ipvlan,
                                                        const std::string& vrf) const;
    [[nodiscard]] const std::vector<RuleView>& rules() const noexcept { return rules_; }
    [[nodiscard]] const config::Topology* topology() const noexcept { return topology_; }

    // --- TablePart
    [[nodiscard]] bool changed() const noexcept override { return changed_; }
    void fill(table::Tables& next) override;

  private:
    /// Everything that a topology decides.
    struct State {
        std::vector<table::Master> masters;
        std::vector<table::Slave> slaves;
        std::vector<std::vector<std::uint16_t>> of_master;
        std::vector<std::pair<table::ScopedAddress, std::uint32_t>> addresses;
        std::vector<table::HookSet> hook_sets{1};
        std::vector<RuleView> rules;
        std::vector<std::pair<std::uint16_t, std::uint16_t>> routers;  ///< segment, master
    };

    Problem prepare_master(const config::Topology& topology, const config::Ipvlan& ipvlan,
                           State& next);
    void prepare_slave(const config::Topology& topology, const config::Ipvlan& ipvlan,
                       const config::Slave& slave, std::uint16_t master, State& next);
    Problem prepare_rules(const config::Ipvlan& ipvlan, std::uint16_t number, State& next);
    /// Of slaves that were there in `before`, and are not any more.
    void flush_connections_of_the_gone(
        const std::vector<table::Slave>& before,
        const std::vector<std::pair<table::ScopedAddress, std::uint32_t>>& addresses);
    void set_timeouts();
    Problem prepare_tables(const config::Topology& topology, State& next, Time now);
    /// What was learned and the topology does not allow any more is forgotten.
    void adapt_learned();
    void adapt_leases();
    /// Why a slave may not have this address; none: it may.
    [[nodiscard]] Problem lease_problem(std::uint16_t slave, const net::IpAddress& address) const;
    [[nodiscard]] std::vector<std::pair<table::ScopedAddress, std::uint32_t>> all_addresses() const;
    std::uint32_t add_rules(const std::string& owner, const config::Ipvlan& ipvlan,
                            const std::vector<config::Rule>& rules, State& next);
    /// What slaves are to workers: those without a carrier are down.
    [[nodiscard]] std::vector<table::Slave> visible() const;
    void tell_carrier();
    std::uint16_t number_of_slave(const std::string& full);
    std::uint16_t number_of_master(const std::string& name);

    Machine& machine_;
    Bridge& bridge_;
    Routing& routing_;
    const config::Topology* topology_ = nullptr;
    State next_;
    std::vector<table::Master> masters_;
    std::vector<table::Slave> slaves_;
    std::vector<std::vector<std::uint16_t>> of_master_;
    std::vector<std::pair<table::ScopedAddress, std::uint32_t>> addresses_;
    std::vector<table::HookSet> hook_sets_{1};
    std::vector<RuleView> rules_;
    std::map<std::string, std::uint16_t> master_numbers_;
    std::map<std::string, std::uint16_t> slave_numbers_;  ///< by IPVLAN/NAME
    std::vector<std::string> slave_names_;
    VrfNumbers vrfs_;
    std::map<std::string, std::uint32_t> rule_ids_;
    std::map<std::string, std::unique_ptr<table::Conntrack>> conntracks_;
    /// By slave number; never freed, workers may look at it as long as there are any.
    std::map<std::uint16_t, std::unique_ptr<table::RateLimit>> limits_;
    std::map<std::uint16_t, std::uint16_t> routers_;                 ///< segment -> master
    std::deque<std::pair<std::string, table::ConnFilter>> flushes_;  ///< that wait, by ipvlan
    std::vector<bool> dark_;  ///< masters whose port has no link
    Memberships memberships_;
    std::unique_ptr<Leases> leases_;
    bool learned_ = false;  ///< something that is not published yet
    Time learned_published_{};
    Time refusal_logged_{};
    bool changed_ = false;
};

}  // namespace vxplane::control
