// Values to tables.
#include "ipvlan_scene.hpp"

#include <algorithm>
#include <array>

namespace vxplane::oracle {
namespace {

using support::Memory;
using support::PortId;

constexpr std::size_t kIp = 14;

void put_route(table::RouteTable& table, const net::IpAddress& to, unsigned length,
               table::RouteValue value) {
    const std::uint8_t* bytes = to.bytes.data();
    const auto bits = static_cast<std::uint8_t>(length);
    if (to.is_v4())
        table.v4.add(bytes + 12, bits, value.raw());
    else
        table.v6.add(bytes, bits, value.raw());
}

/// What leaves by another interface of the host is the host's.
table::RouteType type_of(const Network::Route& route, const std::string& master) {
    return route.type == table::RouteType::unicast && route.device != master
               ? table::RouteType::local
               : route.type;
}

/// Where a frame is asked to go by IP.
net::IpAddress destination_of(const Bytes& frame) {
    net::IpAddress address;
    if (frame.size() >= kIp + 40 && frame[12] == 0x86)
        std::copy_n(frame.begin() + kIp + 24, 16, address.bytes.begin());
    else if (frame.size() >= kIp + 20)
        address = net::Ipv4Address::of(frame[kIp + 16], frame[kIp + 17], frame[kIp + 18],
                                       frame[kIp + 19]);
    return address;
}

/// Ids of all namespaces in one row.
std::uint32_t rule_id(const IpvlanSetup& setup, const std::string& name, std::uint32_t rule) {
    std::uint32_t id = rule + 1;
    for (const auto& [other, rules] : setup.rules) {
        if (other == name) break;
        id += static_cast<std::uint32_t>(rules.size());
    }
    return id;
}

std::vector<table::HookRule> hook_rules(const IpvlanSetup& setup, const std::string& name) {
    std::vector<table::HookRule> all;
    for (const NftRule& one : setup.rules.at(name)) {
        if (one.never || one.unknown) continue;
        all.push_back(one.rule);
        all.back().id = rule_id(setup, name, one.rule.id);
    }
    return all;
}

}  // namespace

IpvlanScene::IpvlanScene(const IpvlanSetup& setup) : setup_{setup} {
    support::PortWords words;
    words.mac = setup.host.mac;
    words.mtu = static_cast<std::uint16_t>(setup.host.mtu);
    words.promiscuous = true;  // a veth does not look at addresses
    const PortId ext = ports_["ext"] = lab_.underlay("ext", words);
    ports_["host"] = lab_.twin("host", ext, words);
    std::uint16_t number = 0;
    for (const auto& [name, slave] : setup.slaves) {
        words.mtu = static_cast<std::uint16_t>(slave.mtu);
        const PortId port = ports_[name] = lab_.access(name, table::kNoSegment, words);
        lab_.port_entry(port).role = table::PortRole::slave;
        lab_.port_entry(port).slave = number++;
    }
    lab_.port_entry(ext).master = 0;
    lab_.complete = [this](table::Tables& tables) { fill(tables); };
    configure();
}

void IpvlanScene::change(const IpvlanSetup& setup) {
    setup_ = setup;
    const auto adopt = [&](const std::string& name, const Network& network) {
        table::PortEntry& entry = lab_.port_entry(ports_.at(name));
        entry.mac = setup.host.mac.number();
        entry.max_frame = static_cast<std::uint16_t>(network.mtu + kIp);
    };
    adopt("ext", setup.host);
    adopt("host", setup.host);
    for (const auto& [name, slave] : setup.slaves) adopt(name, slave);
    configure();
    lab_.publish();
}

void IpvlanScene::configure() {
    const IpvlanSetup& setup = setup_;
    // Rules and connections come together: what is translated must be known again.
    if (!setup.rules.empty() && !conntrack_) conntrack_ = std::make_unique<table::Conntrack>(1024);
    const PortId ext = ports_.at("ext");
    routes_.push_back(std::make_unique<table::RouteTable>());
    next_hops_.assign(1, {});
    neighbours_.clear();
    neighbour_numbers_.clear();
    for (const Network::Address& one : setup.host.addresses) {
        if (one.device == "lo") continue;
        put_route(*routes_.back(), one.address, one.address.is_v4() ? 32 : 128,
                  {table::RouteType::local, 0});
        if (one.device != setup.host.device || !one.address.is_v4()) continue;
        lab_.own(one.address.v4(), ext);
        if (one.length >= 31) continue;
        const std::uint32_t mask = net::prefix_mask(static_cast<std::uint8_t>(one.length));
        lab_.no_host(net::Ipv4Address::of(one.address.v4().number() & mask));
        lab_.no_host(net::Ipv4Address::of(one.address.v4().number() | ~mask));
    }
    for (const auto& [address, neighbour] : setup.host.neighbours) {
        if (neighbour.device != setup.host.device) continue;
        neighbour_numbers_[address] = static_cast<std::uint32_t>(neighbours_.size());
        neighbours_.push_back({neighbour.mac, ext, true});
    }
    for (const Network::Route& route : setup.host.routes)
        put_route(*routes_.back(), route.to, route.length,
                  {type_of(route, setup.host.device), next_hop(route)});
}

table::RuleCounters::Count IpvlanScene::matched(const std::string& name, std::uint32_t rule) {
    if (!played_) return {};  // the lab has no worker yet
    return lab_.worker().rule_counters().read(rule_id(setup_, name, rule));
}

std::uint32_t IpvlanScene::next_hop(const Network::Route& route) {
    // Other interfaces are the host's own business.
    if (route.type != table::RouteType::unicast || route.device != setup_.host.device) return 0;
    table::NextHop hop;
    hop.port = ports_.at("ext");
    const unsigned mtu = route.mtu == 0 ? setup_.host.mtu : route.mtu;
    hop.max_frame = static_cast<std::uint16_t>(std::min(mtu, setup_.host.mtu) + kIp);
    hop.kind = table::NextHopKind::link;
    if (!route.via.is_unset()) {
        hop.kind = table::NextHopKind::gateway;
        hop.via = route.via;
        if (const auto known = neighbour_numbers_.find(route.via);
            known != neighbour_numbers_.end())
            hop.neighbour = known->second;
    }
    next_hops_.push_back(hop);
    return static_cast<std::uint32_t>(next_hops_.size() - 1);
}

void IpvlanScene::fill(table::Tables& tables) {
    table::Master master;
    master.port = ports_.at("ext");
    master.mode = setup_.mode;
    master.flag = setup_.flag;
    master.slave_count = static_cast<std::uint32_t>(setup_.slaves.size());
    master.routes = 1;
    master.mac = setup_.host.mac.number();
    const auto first = [](const Network& network, bool v4) {
        for (const Network::Address& one : network.addresses)
            if (one.device == network.device && one.address.is_v4() == v4) return one.address;
        return net::IpAddress{};
    };
    if (const net::IpAddress own = first(setup_.host, true); own.is_v4())
        master.address4 = own.v4();
    master.address6 = first(setup_.host, false);
    std::vector<table::HookSet> sets(1);
    const auto hooks_of = [&](const std::string& name) -> std::uint32_t {
        if (!setup_.rules.contains(name)) return 0;
        sets.emplace_back(hook_rules(setup_, name));
        return static_cast<std::uint32_t>(sets.size() - 1);
    };
    master.hooks = hooks_of("host");
    master.hooked = !setup_.rules.empty();
    master.conntrack = conntrack_.get();

    std::vector<table::Slave> slaves;
    std::vector<std::uint16_t> list;
    std::vector<std::pair<table::ScopedAddress, std::uint32_t>> addresses;
    for (const auto& [name, network] : setup_.slaves) {
        const auto number = static_cast<std::uint16_t>(slaves.size());
        table::Slave slave;
        slave.port = ports_.at(name);
        slave.master = 0;
        slave.up = network.up;
        slave.hooks = hooks_of(name);
        slave.answers_gateway = false;  // nor does the kernel's
        slave.max_frame = static_cast<std::uint16_t>(network.mtu + kIp);
        slave.mac = master.mac;
        slave.groups.all = network.all_groups;
        for (const std::uint64_t group : network.group_macs())
            if (slave.groups.count < table::GroupFilter::kRoom)
                slave.groups.macs[slave.groups.count++] = group;
        for (const Network::Address& one : network.addresses)
            if (network.up && one.device == network.device)
                addresses.push_back({{one.address, table::slave_scope(0, 0)}, number});
        for (const Network::Address& one : network.addresses) {
            if (!one.address.is_v4()) continue;
            slave.length4 =
                slave.address4.is_zero() ? static_cast<std::uint8_t>(one.length) : std::uint8_t{0};
            if (slave.address4.is_zero()) slave.address4 = one.address.v4();
        }
        slave.address6 = first(network, false);
        slaves.push_back(slave);
        list.push_back(number);
    }
    std::vector<std::pair<table::ScopedAddress, std::uint32_t>> known;
    for (const auto& [address, number] : neighbour_numbers_)
        known.push_back({{address, master.port}, number});
    tables.masters = table::Shared{std::vector<table::Master>{master}};
    table::set_slaves(tables, std::move(slaves));
    tables.slave_list = table::Shared{std::move(list)};
    tables.slave_addresses = std::make_shared<const table::AddressMap>(addresses);
    tables.route_tables =
        table::Shared{std::vector<const table::RouteTable*>{&none_, routes_.back().get()}};
    tables.next_hops = table::Shared{next_hops_};
    tables.next_hop_slots = table::Shared{std::vector<std::uint32_t>{0}};
    tables.neighbours = table::Shared{neighbours_};
    tables.neighbour_addresses = std::make_shared<const table::AddressMap>(known);
    tables.hook_sets = table::Shared{std::move(sets)};
}

void IpvlanScene::note(const support::Seen& seen, Outcome& outcome) const {
    if (!seen.broken_law.empty()) outcome.facts.insert("broken_law: " + seen.broken_law);
    for (const auto& [name, moved] : seen.moved) {
        if (!name.starts_with("drop.")) continue;
        outcome.facts.insert("we_drop:" + name.substr(5));
        for (const packet::DropReasonInfo& reason : packet::kDropReasonInfo)
            if (reason.name == name.substr(5) && reason.severity == packet::Severity::malformed)
                outcome.facts.insert("we_drop_malformed");
    }
    for (const auto& [name, id] : ports_)
        for (Bytes& frame : seen.sent_by(id)) outcome.frames[name].push_back(std::move(frame));
    for (const support::PuntedFrame& one : seen.punted) {
        using packet::Punt;
        switch (one.why) {
            case Punt::arp:
            case Punt::icmp:
                outcome.frames["host"].push_back(one.bytes);
                break;
            case Punt::next_hop: {
                const table::NextHop& hop = next_hops_.at(one.tunnel);
                outcome.asked.push_back(hop.via.is_unset() ? destination_of(one.bytes) : hop.via);
                break;
            }
            case Punt::route_unreachable:
            case Punt::route_prohibited:
                outcome.facts.insert("we_ask_for_unreachable");
                break;
            case Punt::reject:
                outcome.refused.push_back(one.bytes);
                outcome.facts.insert("we_refuse");
                break;
            case Punt::ttl_exceeded:
                outcome.facts.insert("we_ask_for_ttl_exceeded");
                break;
            case Punt::too_big:
                outcome.facts.insert("we_ask_for_too_big");
                break;
            default:
                outcome.facts.insert("we_ask_control");
                break;
        }
    }
}

Outcome IpvlanScene::play(const std::vector<Injected>& stimuli, Memory memory) {
    Outcome outcome;
    for (const Injected& injected : stimuli) {
        const auto port = ports_.find(injected.port);
        if (port == ports_.end()) {
            outcome.facts.insert("no_port:" + injected.port);
            continue;
        }
        played_ = true;
        // Longer than a buffer of the pool: only a block of its own holds it.
        const bool jumbo = injected.frame.size() > 1600;
        note(lab_.receive(port->second, {injected.frame}, jumbo ? Memory::exact : memory), outcome);
    }
    if (outcome.frames.empty()) outcome.facts.insert("we_are_silent");
    for (const auto& [port, frames] : outcome.frames)
        outcome.facts.insert(port == "ext"    ? "we_send"
                             : port == "host" ? "we_give_to_host"
                                              : "we_deliver");
    if (!outcome.asked.empty()) outcome.facts.insert("we_ask_neighbour");
    return outcome;
}

}  // namespace vxplane::oracle
