// Look-ups over ipvlans, and the rules that `nat:` and `masquerade:` are short for.
#include <algorithm>
#include <array>
#include <unordered_set>
#include <utility>

#include "config/resolve.hpp"

namespace vxplane::config {
namespace {

constexpr int raw = -300;     // NF_IP_PRI_RAW
constexpr int dstnat = -100;  // NF_IP_PRI_NAT_DST
constexpr int srcnat = 100;   // NF_IP_PRI_NAT_SRC

IpPrefix alone(const IpAddress& address) {
    return {address, static_cast<std::uint8_t>(address.is_ipv4() ? 32 : 128)};
}

/// RFC 1918, RFC 6598, and RFC 4193.
std::array<IpPrefix, 5> private_networks() {
    const auto ipv4 = [](std::uint8_t a, std::uint8_t b, std::uint8_t length) {
        return IpPrefix{{IpAddress::Family::ipv4, {a, b}}, length};
    };
    return {ipv4(10, 0, 8), ipv4(172, 16, 12), ipv4(192, 168, 16), ipv4(100, 64, 10),
            IpPrefix{{IpAddress::Family::ipv6, {0xFC}}, 7}};
}

bool needs_conntrack(const std::vector<Rule>& rules) {
    return std::ranges::any_of(rules, [](const Rule& rule) {
        return !rule.ct.empty() || rule.action == RuleAction::dnat ||
               rule.action == RuleAction::snat || rule.action == RuleAction::masquerade;
    });
}

Rule dnat_of(const NatPair& pair) {
    Rule rule;
    rule.name = "dnat[" + pair.public_.text() + "]";
    rule.hook = Hook::prerouting;
    rule.priority = dstnat;
    rule.daddr = alone(pair.public_);
    rule.action = RuleAction::dnat;
    rule.to = pair.private_;
    rule.where = pair.where;
    return rule;
}

void add_pairs(const Ipvlan& ipvlan, std::vector<Rule>& rules) {
    for (const Slave& slave : ipvlan.slaves) {
        for (const NatPair& pair : slave.nat) {
            if (ipvlan.mode == IpvlanMode::l3s) {
                rules.push_back(dnat_of(pair));
                rules.back().slave = slave.name;
            }
            Rule& out = rules.emplace_back();
            out.name = "snat[" + pair.public_.text() + "]";
            out.hook = Hook::postrouting;
            out.priority = srcnat;
            out.iif = slave.name;
            out.saddr = alone(pair.private_);
            out.action = RuleAction::snat;
            out.to = pair.public_;
            out.where = pair.where;
        }
    }
}

void add_masquerade(const Ipvlan& ipvlan, std::vector<Rule>& rules) {
    Rule rule;
    rule.hook = Hook::postrouting;
    rule.priority = srcnat;
    rule.action = RuleAction::masquerade;
    rule.to_ports = ipvlan.masquerade_ports;
    rule.where = ipvlan.keys.of("masquerade", ipvlan.where);
    for (const std::string_view vrf : vrfs_of(ipvlan)) {
        rule.vrf = vrf;
        rule.name = "masquerade[" + rule.vrf + "]";
        rules.push_back(rule);
    }
    rule.vrf.clear();
    for (const IpPrefix& network : private_networks()) {
        rule.saddr = network;
        rule.name = "masquerade[" + network.text() + "]";
        rules.push_back(rule);
    }
}

}  // namespace

const Ipvlan* find_ipvlan(const Topology& topology, std::string_view name) {
    const auto found = std::ranges::find(topology.ipvlans, name, &Ipvlan::name);
    return found == topology.ipvlans.end() ? nullptr : &*found;
}

const Ipvlan* ipvlan_of_link(const Topology& topology, std::string_view port) {
    const auto found = std::ranges::find(topology.ipvlans, port, &Ipvlan::link);
    return found == topology.ipvlans.end() ? nullptr : &*found;
}

const Slave* find_slave(const Ipvlan& ipvlan, std::string_view name) {
    const auto found = std::ranges::find(ipvlan.slaves, name, &Slave::name);
    return found == ipvlan.slaves.end() ? nullptr : &*found;
}

const RouteTable* find_table(const Topology& topology, std::string_view name) {
    const auto found = std::ranges::find(topology.tables, name, &RouteTable::name);
    return found == topology.tables.end() ? nullptr : &*found;
}

SlaveRef slave_of_port(const Topology& topology, std::string_view port) {
    for (const Ipvlan& ipvlan : topology.ipvlans) {
        const auto found = std::ranges::find(ipvlan.slaves, port, &Slave::port);
        if (found != ipvlan.slaves.end()) return {&ipvlan, &*found};
    }
    return {};
}

IpAddress first_like(const Slave& slave, const IpAddress& like) {
    for (const IpPrefix& own : slave.addresses) {
        if (own.address.family == like.family) return own.address;
    }
    return {like.family, {}};
}

int default_priority(RuleAction action) {
    switch (action) {
        case RuleAction::notrack:
            return raw;
        case RuleAction::dnat:
            return dstnat;
        case RuleAction::snat:
        case RuleAction::masquerade:
            return srcnat;
        default:
            return 0;
    }
}

SlaveRef resolve_slave(const Topology& topology, const Ipvlan* home, std::string_view text) {
    const auto in = [](const Ipvlan* ipvlan, std::string_view name) {
        const Slave* const slave = ipvlan == nullptr ? nullptr : find_slave(*ipvlan, name);
        return slave == nullptr ? SlaveRef{} : SlaveRef{ipvlan, slave};
    };
    if (const auto slash = text.find('/'); slash != text.npos) {
        return in(find_ipvlan(topology, text.substr(0, slash)), text.substr(slash + 1));
    }
    if (home != nullptr) return in(home, text);
    SlaveRef only;
    for (const Ipvlan& ipvlan : topology.ipvlans) {
        const SlaveRef found = in(&ipvlan, text);
        if (found && only) return {};
        if (found) only = found;
    }
    return only;
}

TableRef resolve_table(const Topology& topology, const Ipvlan* home, std::string_view text) {
    if (const RouteTable* const table = find_table(topology, text)) return {table, {}};
    return {nullptr, resolve_slave(topology, home, text)};
}

std::uint16_t effective_mtu(const Topology& topology, const Ipvlan& ipvlan, const Slave& slave) {
    if (slave.mtu != 0) return slave.mtu;
    const Port* const link = find_port(topology, ipvlan.link);
    if (link == nullptr) return 0;
    const Port* const port = find_port(topology, slave.port);
    if (port == nullptr || !port->keys.has("mtu")) return link->mtu;
    return std::min(port->mtu, link->mtu);
}

bool needs_conntrack(const Ipvlan& ipvlan) {
    return ipvlan.masquerade || needs_conntrack(ipvlan.rules) ||
           std::ranges::any_of(ipvlan.slaves, [](const Slave& slave) {
               return !slave.nat.empty() || needs_conntrack(slave.rules);
           });
}

bool conntrack_on(const Ipvlan& ipvlan) {
    if (ipvlan.conntrack.on || ipvlan.conntrack.keys.has("on")) return ipvlan.conntrack.on;
    return needs_conntrack(ipvlan);
}

std::vector<std::string_view> vrfs_of(const Ipvlan& ipvlan) {
    std::vector<std::string_view> names;
    std::unordered_set<std::string_view> seen;
    for (const Slave& slave : ipvlan.slaves) {
        if (!slave.vrf.empty() && seen.insert(slave.vrf).second) names.emplace_back(slave.vrf);
    }
    return names;
}

std::vector<Rule> link_rules(const Ipvlan& ipvlan) {
    std::vector<Rule> rules = ipvlan.rules;
    add_pairs(ipvlan, rules);
    if (ipvlan.masquerade) add_masquerade(ipvlan, rules);
    return rules;
}

std::vector<Rule> slave_rules(const Ipvlan& ipvlan, const Slave& slave) {
    std::vector<Rule> rules = slave.rules;
    if (ipvlan.mode == IpvlanMode::l3s) return rules;
    for (const NatPair& pair : slave.nat) rules.push_back(dnat_of(pair));
    return rules;
}

std::vector<PublicAddress> public_addresses(const Ipvlan& ipvlan) {
    std::vector<PublicAddress> all;
    for (const Slave& slave : ipvlan.slaves) {
        for (const NatPair& pair : slave.nat) all.push_back({pair.public_, &slave});
    }
    return all;
}

}  // namespace vxplane::config
