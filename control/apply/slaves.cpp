// What a topology makes of masters and slaves; rules and connections are in slaves_rules.cpp, what
// slaves' own packets tell in slaves_learned.cpp.
#include "control/apply/slaves.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "config/resolve.hpp"
#include "control/apply/from_topology.hpp"
#include "control/apply/host_ports.hpp"
#include "control/apply/interface_id.hpp"
#include "control/apply/slave_routes.hpp"
#include "control/resolve/leases.hpp"

namespace vxplane::control {

namespace {

constexpr std::uint16_t kEthernet = sizeof(net::EthernetHeader);

void add_group(table::GroupFilter& filter, net::MacAddress group) {
    const std::uint64_t mac = group.number();
    if (filter.hears(mac)) {
        return;
    }
    if (filter.count == table::GroupFilter::kRoom) {
        filter.all = true;
        return;
    }
    filter.macs[filter.count++] = mac;
}

table::GroupFilter groups_of(const config::Slave& slave) {
    table::GroupFilter filter;
    filter.all = slave.allmulticast;
    const auto add = [&filter](net::MacAddress group) { add_group(filter, group); };
    add(net::group_mac(net::Ipv4Address::of(224, 0, 0, 1)));
    bool has_v6 = false;
    for (const config::IpPrefix& own : slave.addresses) {
        if (!own.address.is_ipv4()) {
            has_v6 = true;
            add(net::group_mac(net::solicited_node(ip_of(own.address))));
        }
    }
    if (has_v6) {
        add(net::group_mac(net::all_nodes()));
    }
    for (const config::IpAddress& group : slave.groups) {
        add(net::group_mac(ip_of(group)));
    }
    return filter;
}

template <class T>
void give_place(std::vector<T>& all, std::size_t at) {
    if (all.size() <= at) {
        all.resize(at + 1);
    }
}

/// Numbers of what a topology names, while it is being prepared.
class Names final : public RouteNames {
  public:
    Names(const config::Topology& topology, const Bridge& bridge, Routing& routing,
          const std::map<std::string, std::uint16_t>& slaves)
        : topology_(topology), bridge_(bridge), routing_(routing), slaves_(slaves) {}
    [[nodiscard]] std::uint16_t slave(const std::string& full) const override {
        return slaves_.at(full);
    }
    [[nodiscard]] std::uint16_t slave_max_frame(const std::string& full) const override {
        const config::SlaveRef found = config::resolve_slave(topology_, nullptr, full);
        return static_cast<std::uint16_t>(
            config::effective_mtu(topology_, *found.ipvlan, *found.slave) + kEthernet);
    }
    [[nodiscard]] std::uint32_t table(const std::string& name) const override {
        return routing_.number_of(name);
    }
    [[nodiscard]] std::uint16_t segment(const std::string& name) const override {
        return bridge_.find_segment(name).value_or(table::kNoSegment);
    }

  private:
    const config::Topology& topology_;
    const Bridge& bridge_;
    Routing& routing_;
    const std::map<std::string, std::uint16_t>& slaves_;
};

}  // namespace

Slaves::Slaves(Machine& machine, Bridge& bridge, Routing& routing)
    : machine_(machine), bridge_(bridge), routing_(routing), leases_(std::make_unique<Leases>()) {
    bridge_.add_part(*this);
}

Slaves::~Slaves() = default;

std::uint16_t Slaves::number_of_slave(const std::string& full) {
    const auto [at, added] =
        slave_numbers_.try_emplace(full, static_cast<std::uint16_t>(slave_names_.size()));
    if (added) {
        slave_names_.push_back(full);
    }
    return at->second;
}

std::uint16_t Slaves::number_of_master(const std::string& name) {
    return master_numbers_.try_emplace(name, static_cast<std::uint16_t>(master_numbers_.size()))
        .first->second;
}

Slaves::Problem Slaves::prepare(const config::Topology& topology, Time now) {
    next_ = {};
    if (topology.ipvlans.empty() && topology_ == nullptr) {
        return std::nullopt;  // nothing of this is needed, and nothing is published
    }
    // Numbers first: rules and routes name slaves of ipvlans further down.
    for (const config::Ipvlan& ipvlan : topology.ipvlans) {
        number_of_master(ipvlan.name);
        for (const config::Slave& slave : ipvlan.slaves) {
            if (slave_names_.size() >= packet::SlaveWay::kLeaves &&
                !slave_numbers_.contains(full_name(ipvlan, slave))) {
                return "ipvlans." + ipvlan.name + ": more slaves than there are numbers since " +
                       "the process started: it takes a restart";
            }
            number_of_slave(full_name(ipvlan, slave));
        }
        for (const std::string_view vrf : config::vrfs_of(ipvlan)) {
            if (!vrfs_.number_of(ipvlan.name, std::string(vrf))) {
                return "ipvlans." + ipvlan.name + ": vrf " + std::string(vrf) + " is one of more " +
                       "than 65535 names since the process started: it takes a restart";
            }
        }
    }
    next_.masters.resize(master_numbers_.size());
    next_.of_master.resize(master_numbers_.size());
    next_.slaves.resize(slave_names_.size());
    for (const config::Ipvlan& ipvlan : topology.ipvlans) {
        if (auto problem = prepare_master(topology, ipvlan, next_)) {
            return problem;
        }
    }
    // In l2 a host that speaks IPv6 is asked for, and answered, by its link-local address (IV-10).
    const std::vector<std::uint16_t> ids = interface_numbers(slave_names_);
    for (std::size_t i = 0; i < next_.slaves.size(); ++i) {
        table::Slave& slave = next_.slaves[i];
        if (slave.port == table::kNoPort || !slave.up || slave.address6.is_unset() ||
            next_.masters[slave.master].mode != table::IpvlanMode::l2) {
            continue;
        }
        const auto mac = net::MacAddress::from_number(next_.masters[slave.master].mac);
        const net::IpAddress own = link_local(interface_id(mac, ids[i]));
        next_.addresses.push_back(
            {{own, table::slave_scope(slave.master, slave.vrf)}, static_cast<std::uint32_t>(i)});
        add_group(slave.groups, net::group_mac(net::solicited_node(own)));
    }
    for (const config::Vxlan& vxlan : topology.vxlans) {
        const auto segment = bridge_.find_segment(vxlan.name);
        if (!vxlan.router.empty() && segment) {
            next_.routers.emplace_back(*segment, number_of_master(vxlan.router));
        }
    }
    return prepare_tables(topology, next_, now);
}

Slaves::Problem Slaves::prepare_master(const config::Topology& topology,
                                       const config::Ipvlan& ipvlan, State& next) {
    const std::uint16_t number = number_of_master(ipvlan.name);
    const OpenPort* open = machine_.by_name(ipvlan.link);
    if (open == nullptr) {
        return "ipvlans." + ipvlan.name + ".link: there is no port " + ipvlan.link;
    }
    table::Master& master = next.masters[number];
    master.port = open->port->id();
    master.mode = static_cast<table::IpvlanMode>(ipvlan.mode);
    master.flag = static_cast<table::IpvlanFlag>(ipvlan.flag);
    master.host_access = ipvlan.host_access;
    master.decrement_ttl = ipvlan.decrement_ttl;
    master.dhcp_snoop = ipvlan.dhcp_snoop;
    master.mcast_snooping = ipvlan.mcast_snooping;
    master.routes = Routing::kMain;
    master.routes_to_slaves =
        std::any_of(topology.routes.begin(), topology.routes.end(), [&](const config::Route& one) {
            return !one.slave.empty() &&
                   config::resolve_slave(topology, nullptr, one.slave).ipvlan == &ipvlan;
        });
    master.mac = net::MacAddress{open->port->mac()}.number();
    for (const config::IpPrefix& own : config::find_port(topology, ipvlan.link)->addresses) {
        if (own.address.is_ipv4() && master.address4.is_zero()) {
            master.address4 = ipv4_of(own.address);
        } else if (!own.address.is_ipv4() && master.address6.is_unset()) {
            master.address6 = ip_of(own.address);
        }
    }
    for (const config::Slave& slave : ipvlan.slaves) {
        if (machine_.by_name(slave.port) == nullptr) {
            return "ipvlans." + ipvlan.name + ".slaves." + slave.name + ".port: there is no port " +
                   slave.port;
        }
        prepare_slave(topology, ipvlan, slave, number, next);
    }
    for (const config::PublicAddress& one : config::public_addresses(ipvlan)) {
        if (one.slave->up) {
            next.addresses.push_back(
                {{ip_of(one.address), table::slave_scope(number, 0)},
                 slave_numbers_.at(full_name(ipvlan, *one.slave)) | table::kPublicAddress});
        }
    }
    if (auto problem = prepare_rules(ipvlan, number, next)) {
        return problem;
    }
    if (master.conntrack != nullptr) {
        std::set<std::uint16_t> tunnels;
        for (const config::Vxlan& vxlan : topology.vxlans) {
            tunnels.insert(vxlan.dstport);
        }
        master.conntrack->reserve_udp_ports(
            std::vector<std::uint16_t>(tunnels.begin(), tunnels.end()));
    }
    return std::nullopt;
}

void Slaves::prepare_slave(const config::Topology& topology, const config::Ipvlan& ipvlan,
                           const config::Slave& slave, std::uint16_t master, State& next) {
    const std::uint16_t number = number_of_slave(full_name(ipvlan, slave));
    table::Slave& out = next.slaves[number];
    out.port = machine_.by_name(slave.port)->port->id();
    out.master = master;
    out.vrf = vrfs_.number_of(ipvlan.name, slave.vrf).value_or(0);
    out.max_frame =
        static_cast<std::uint16_t>(config::effective_mtu(topology, ipvlan, slave) + kEthernet);
    out.up = slave.up;
    out.answers_gateway = slave.proxy_arp;
    out.urpf = static_cast<table::UrpfMode>(slave.rp_filter);
    out.check_source = slave.check_source;
    out.forwards = slave.forwarding;
    out.policer = static_cast<std::uint32_t>((slave.rate + 999) / 1000);
    if (out.policer != 0) {
        auto& limit = limits_[number];
        limit = limit == nullptr ? std::make_unique<table::RateLimit>() : std::move(limit);
        out.limit = limit.get();
    }
    out.groups = groups_of(slave);
    for (const config::IpPrefix& own : slave.addresses) {
        const net::IpAddress address = ip_of(own.address);
        if (own.address.is_ipv4()) {
            const bool is_first = out.address4.is_zero();
            out.length4 = is_first ? own.length : std::uint8_t{0};
            out.address4 = is_first ? ipv4_of(own.address) : out.address4;
        } else if (!own.address.is_ipv4() && out.address6.is_unset()) {
            out.address6 = address;
        }
        // A slave that is down is not there for others (IV-08).
        if (slave.up) {
            next.addresses.push_back({{address, table::slave_scope(master, out.vrf)}, number});
        }
    }
    next.of_master[master].push_back(number);
}

Slaves::Problem Slaves::prepare_tables(const config::Topology& topology, State& next, Time now) {
    const Names names(topology, bridge_, routing_, slave_numbers_);
    std::vector<bool> wanted(routing_.names().size(), false);
    const auto take = [&](const std::string& name, const RouteSpecs& routes) {
        const std::uint32_t number = routing_.number_of(name);
        wanted.resize(std::max<std::size_t>(wanted.size(), routing_.names().size()), false);
        wanted[number] = true;
        return routing_.prepare(number, routes, now);
    };
    const auto specs = [&](const config::Ipvlan* home, const config::Slave* own,
                           const std::vector<config::TableRoute>& routes) {
        RouteSpecs all;
        for (const config::TableRoute& route : routes) {
            all[to_network(route.to)] = spec_of(topology, machine_, names, home, own, route);
        }
        return all;
    };
    if (auto problem = take("main", main_routes(topology, machine_, names))) {
        return "routes: " + *problem;
    }
    for (const config::RouteTable& one : topology.tables) {
        if (auto problem = take(one.name, specs(nullptr, nullptr, one.routes))) {
            return "tables." + one.name + ": " + *problem;
        }
    }
    for (const config::Ipvlan& ipvlan : topology.ipvlans) {
        for (const config::Slave& slave : ipvlan.slaves) {
            const std::string name = full_name(ipvlan, slave);
            if (auto problem = take(name, specs(&ipvlan, &slave, slave.routes))) {
                return "ipvlans." + ipvlan.name + ".slaves." + slave.name + ".routes: " + *problem;
            }
            next.slaves[slave_numbers_.at(name)].routes = routing_.number_of(name);
        }
    }
    wanted.resize(routing_.names().size(), false);
    for (std::uint32_t number = 1; number < wanted.size(); ++number) {
        if (!wanted[number]) {
            routing_.prepare_removal(number);
        }
    }
    return std::nullopt;
}

void Slaves::accept(const config::Topology& topology, Time now) {
    if (next_.masters.empty()) {
        return;
    }
    routing_.accept();
    topology_ = &topology;
    // Ports that are slaves or masters no more are what they were before.
    for (const OpenPort& open : machine_.ports()) {
        if (!open.is_twin) {
            const bool underlay = open.config->role == config::PortRole::underlay;
            bridge_.set_part_in_ipvlan(
                open.port->id(), underlay ? table::PortRole::underlay : table::PortRole::access,
                table::kNoMaster, table::kNoSlave);
        }
    }
    for (std::size_t i = 0; i < next_.masters.size(); ++i) {
        if (next_.masters[i].port != table::kNoPort) {
            bridge_.set_part_in_ipvlan(next_.masters[i].port, table::PortRole::underlay,
                                       static_cast<std::uint16_t>(i), table::kNoSlave);
        }
    }
    machine_.share_macs(topology);
    for (std::size_t i = 0; i < next_.slaves.size(); ++i) {
        if (next_.slaves[i].port != table::kNoPort) {
            bridge_.set_mac(next_.slaves[i].port, next_.masters[next_.slaves[i].master].mac);
            bridge_.set_part_in_ipvlan(next_.slaves[i].port, table::PortRole::slave,
                                       table::kNoMaster, static_cast<std::uint16_t>(i));
        }
    }
    std::map<std::uint16_t, std::uint16_t> routers(next_.routers.begin(), next_.routers.end());
    for (const auto& [segment, master] : routers_) {
        if (!routers.contains(segment)) {
            bridge_.set_router(segment, table::kNoMaster, now);
        }
    }
    for (const auto& [segment, master] : routers) {
        bridge_.set_router(segment, master, now);
    }
    routers_ = std::move(routers);
    routing_.refresh(now);
    masters_ = std::move(next_.masters);
    const std::vector<table::Slave> before = std::exchange(slaves_, std::move(next_.slaves));
    of_master_ = std::move(next_.of_master);
    const auto addresses = std::exchange(addresses_, std::move(next_.addresses));
    hook_sets_ = std::move(next_.hook_sets);
    rules_ = std::move(next_.rules);
    next_ = {};
    flush_connections_of_the_gone(before, addresses);
    set_timeouts();
    adapt_learned();
    warn_of_ports(topology);
    tell_carrier();
    changed_ = true;
}

void Slaves::discard() {
    routing_.discard();
    next_ = {};
}

const table::Slave* Slaves::slave_of_port(std::uint16_t port) const {
    const std::uint16_t number = bridge_.port(port).slave;
    return number == table::kNoSlave || number >= slaves_.size() ? nullptr : &slaves_[number];
}

bool Slaves::owns(std::uint16_t slave_port, const net::IpAddress& address) const {
    const std::uint16_t number = bridge_.port(slave_port).slave;
    const table::Slave& slave = slaves_[number];
    const table::ScopedAddress wanted{address, table::slave_scope(slave.master, slave.vrf)};
    return std::any_of(addresses_.begin(), addresses_.end(), [&](const auto& one) {
        return one.first == wanted && one.second == number;
    });
}

std::vector<SlaveView> Slaves::views() const {
    std::vector<SlaveView> all;
    for (std::size_t i = 0; topology_ != nullptr && i < topology_->ipvlans.size(); ++i) {
        const config::Ipvlan& ipvlan = topology_->ipvlans[i];
        for (const config::Slave& slave : ipvlan.slaves) {
            all.push_back(
                {ipvlan.name, slave.name, slave_numbers_.at(full_name(ipvlan, slave)), &slave});
        }
    }
    return all;
}

std::string Slaves::name_of(std::uint16_t number) const {
    return number < slave_names_.size() ? slave_names_[number] : "";
}

std::optional<std::uint16_t> Slaves::find_slave(const std::string& full) const {
    const auto at = slave_numbers_.find(full);
    return at == slave_numbers_.end() || at->second >= slaves_.size() ||
                   slaves_[at->second].port == table::kNoPort
               ? std::nullopt
               : std::optional(at->second);
}

std::optional<std::uint16_t> Slaves::find_master(const std::string& ipvlan) const {
    const auto at = master_numbers_.find(ipvlan);
    return at == master_numbers_.end() || at->second >= masters_.size() ||
                   masters_[at->second].port == table::kNoPort
               ? std::nullopt
               : std::optional(at->second);
}

std::variant<RouteSpec, std::string> Slaves::route_spec(const std::string& table,
                                                        const config::TableRoute& route) const {
    if (topology_ == nullptr) {
        return "there is no ipvlan";
    }
    const config::SlaveRef own = config::resolve_slave(*topology_, nullptr, table);
    const Names names(*topology_, bridge_, routing_, slave_numbers_);
    RouteSpec spec = spec_of(*topology_, machine_, names, own.ipvlan, own.slave, route);
    for (std::size_t i = 0; i < spec.hops.size(); ++i) {
        const HopSpec& hop = spec.hops[i].hop;
        if (hop.kind == table::NextHopKind::none || hop.segment == table::kNoSegment) {
            return "no " + named(route.hops[i]) + " in the topology";
        }
        // Connections of an ipvlan are one worker's: its packets reach no slave of another one.
        const config::Ipvlan* there =
            !route.hops[i].slave.empty()
                ? config::resolve_slave(*topology_, own.ipvlan, route.hops[i].slave).ipvlan
                : config::resolve_table(*topology_, own.ipvlan, route.hops[i].table).slave.ipvlan;
        if (there != nullptr && there != own.ipvlan &&
            (own.ipvlan != nullptr || topology_->ipvlans.size() > 1)) {
            return named(route.hops[i]) + " is of another ipvlan";
        }
    }
    return spec;
}

}  // namespace vxplane::control
