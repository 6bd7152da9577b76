// Rules of ipvlans and the connections that they look at; what a running daemon cannot change.
#include <algorithm>

#include "config/resolve.hpp"
#include "control/apply/from_topology.hpp"
#include "control/apply/slave_routes.hpp"
#include "control/apply/slaves.hpp"

namespace vxplane::control {

namespace {

table::RuleVerdict verdict_of(config::RuleAction action) {
    return static_cast<table::RuleVerdict>(action);
}
static_assert(static_cast<int>(config::RuleAction::notrack) ==
                  static_cast<int>(table::RuleVerdict::notrack) &&
              static_cast<int>(config::RuleAction::masquerade) ==
                  static_cast<int>(table::RuleVerdict::masquerade));

table::PortRange range_of(const config::Ports& ports) {
    return {ports.lo, ports.hi};
}

std::uint8_t states_of(const std::vector<std::string>& words) {
    unsigned bits = 0;
    for (const std::string& word : words) {
        const table::CtState state = word == "new"           ? table::CtState::fresh
                                     : word == "established" ? table::CtState::established
                                     : word == "related"     ? table::CtState::related
                                     : word == "untracked"   ? table::CtState::untracked
                                                             : table::CtState::invalid;
        bits |= static_cast<unsigned>(state);
    }
    return static_cast<std::uint8_t>(bits);
}

const config::Ipvlan* find(const config::Topology* topology, const std::string& name) {
    return topology == nullptr ? nullptr : config::find_ipvlan(*topology, name);
}

}  // namespace

std::uint32_t Slaves::add_rules(const std::string& owner, const config::Ipvlan& ipvlan,
                                const std::vector<config::Rule>& rules, State& next) {
    if (rules.empty()) {
        return 0;
    }
    std::vector<table::HookRule> all;
    for (std::size_t i = 0; i < rules.size(); ++i) {
        const config::Rule& rule = rules[i];
        const std::string key = owner + "#" + (rule.name.empty() ? std::to_string(i) : rule.name);
        table::HookRule out;
        out.hook = static_cast<table::Hook>(rule.hook);
        out.priority = rule.priority;
        out.id =
            rule_ids_.try_emplace(key, static_cast<std::uint32_t>(rule_ids_.size())).first->second;
        out.verdict = verdict_of(rule.action);
        out.any_protocol = !rule.protocol;
        out.protocol = rule.protocol.value_or(0);
        out.states = states_of(rule.ct);
        if (rule.saddr) {
            out.source = table::RulePrefix(ip_of(rule.saddr->address), rule.saddr->length);
        }
        if (rule.daddr) {
            out.destination = table::RulePrefix(ip_of(rule.daddr->address), rule.daddr->length);
        }
        out.source_ports = range_of(rule.sport);
        out.destination_ports = range_of(rule.dport);
        if (!rule.iif.empty()) {
            out.slave = slave_numbers_.at(ipvlan.name + "/" + rule.iif);
        }
        if (!rule.vrf.empty()) {
            out.zone = vrfs_.number_of(ipvlan.name, rule.vrf).value_or(0);
        }
        if (rule.to) {
            out.to = ip_of(*rule.to);
        }
        if (rule.to_ports) {
            out.to_ports = range_of(*rule.to_ports);
        }
        if (!rule.slave.empty()) {
            out.to_slave = slave_numbers_.at(ipvlan.name + "/" + rule.slave);
        }
        next.rules.push_back({owner, rule, out.id});
        if (next.rules.back().rule.name.empty()) {
            next.rules.back().rule.name = std::to_string(i);
        }
        all.push_back(out);
    }
    next.hook_sets.emplace_back(std::move(all));
    return static_cast<std::uint32_t>(next.hook_sets.size() - 1);
}

Slaves::Problem Slaves::prepare_rules(const config::Ipvlan& ipvlan, std::uint16_t number,
                                      State& next) {
    table::Master& master = next.masters[number];
    if (config::conntrack_on(ipvlan)) {
        auto& conntrack = conntracks_[ipvlan.name];
        if (conntrack == nullptr) {
            try {
                conntrack = std::make_unique<table::Conntrack>(ipvlan.conntrack.capacity);
            } catch (const std::bad_alloc&) {
                return "ipvlans." + ipvlan.name + ".conntrack.capacity: no memory for " +
                       std::to_string(ipvlan.conntrack.capacity) + " connections";
            }
        }
        master.conntrack = conntrack.get();
    }
    master.hooks = add_rules(ipvlan.name, ipvlan, config::link_rules(ipvlan), next);
    master.hooked = master.conntrack != nullptr || master.hooks != 0;
    for (const config::Slave& slave : ipvlan.slaves) {
        table::Slave& out = next.slaves[slave_numbers_.at(full_name(ipvlan, slave))];
        out.hooks =
            add_rules(full_name(ipvlan, slave), ipvlan, config::slave_rules(ipvlan, slave), next);
        master.hooked = master.hooked || out.hooks != 0;
    }
    return std::nullopt;
}

std::vector<std::string> Slaves::refusals(const config::Topology& to) const {
    std::vector<std::string> all;
    for (const config::Ipvlan& ipvlan : to.ipvlans) {
        const std::string path = "ipvlans." + ipvlan.name;
        if (!config::conntrack_on(ipvlan)) {
            continue;
        }
        const auto known = conntracks_.find(ipvlan.name);
        if (known != conntracks_.end() && known->second->capacity() != ipvlan.conntrack.capacity) {
            all.push_back(path + ".conntrack.capacity: the table is made when it is first used: " +
                          "it takes a restart");
        }
        const config::Ipvlan* before = find(topology_, ipvlan.name);
        const std::string* stray = nullptr;
        const OpenPort* link = machine_.by_name(ipvlan.link);
        const auto strays = [&](const std::string& name) {
            const OpenPort* open = machine_.by_name(name);
            return open != nullptr && link != nullptr &&
                   std::any_of(open->pollers.begin(), open->pollers.end(),
                               [&](unsigned worker) { return worker != link->first_worker; });
        };
        stray = strays(ipvlan.link) ? &ipvlan.link : nullptr;
        for (const config::Slave& slave : ipvlan.slaves) {
            stray = stray == nullptr && strays(slave.port) ? &slave.port : stray;
        }
        if (stray != nullptr) {
            all.push_back(path +
                          (before == nullptr || !config::conntrack_on(*before)
                               ? ".conntrack.on: connections are one worker's, and port "
                               : ".slaves: connections are one worker's, and port ") +
                          *stray + " is polled by another: it takes a restart");
        }
    }
    return all;
}

table::Conntrack* Slaves::conntrack(const std::string& ipvlan) const {
    const auto master = find_master(ipvlan);
    return master ? masters_[*master].conntrack : nullptr;
}

std::string Slaves::vrf_name(const std::string& ipvlan, std::uint16_t vrf) const {
    return vrfs_.name(ipvlan, vrf);
}

std::optional<std::uint16_t> Slaves::find_vrf(const std::string& ipvlan,
                                              const std::string& vrf) const {
    return vrfs_.find(ipvlan, vrf);
}

}  // namespace vxplane::control
