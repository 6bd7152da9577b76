// Rules of the hooks: what each may match, where its action can stand, and the tracking it needs.
#include <algorithm>
#include <map>
#include <set>

#include "config/judge.hpp"
#include "config/limits.hpp"
#include "config/nearest.hpp"
#include "config/parse.hpp"
#include "config/resolve.hpp"

namespace vxplane::config {
namespace {

constexpr std::uint8_t tcp = 6;
constexpr std::uint8_t udp = 17;
constexpr std::uint8_t sctp = 132;
constexpr std::uint8_t icmp = 1;
constexpr std::uint8_t icmpv6 = 58;

std::string_view action_name(RuleAction action) {
    switch (action) {
        case RuleAction::accept:
            return "accept";
        case RuleAction::drop:
            return "drop";
        case RuleAction::reject:
            return "reject";
        case RuleAction::return_:
            return "return";
        case RuleAction::notrack:
            return "notrack";
        case RuleAction::dnat:
            return "dnat";
        case RuleAction::snat:
            return "snat";
        case RuleAction::masquerade:
            return "masquerade";
    }
    return "unknown";
}

std::string_view hook_name(Hook hook) {
    switch (hook) {
        case Hook::prerouting:
            return "prerouting";
        case Hook::input:
            return "input";
        case Hook::forward:
            return "forward";
        case Hook::output:
            return "output";
        case Hook::postrouting:
            return "postrouting";
    }
    return "unknown";
}

bool translates(const Rule& rule) {
    return rule.action == RuleAction::dnat || rule.action == RuleAction::snat ||
           rule.action == RuleAction::masquerade;
}

/// One rule of an ipvlan (`slave` null) or of a slave.
class RuleJudge {
  public:
    RuleJudge(Judge& judge, const Ipvlan& ipvlan, const Slave* slave, const Rule& rule,
              std::string path)
        : judge_(judge), ipvlan_(ipvlan), slave_(slave), rule_(rule), path_(std::move(path)) {}

    void all() {
        place();
        families();
        ports();
        target();
        origin();
        if (!needs_tracking()) return;
        if (!conntrack_on(ipvlan_)) {
            refuse(rule_.ct.empty() ? "action" : "ct",
                   "connections are not tracked" +
                       line_text(ipvlan_.conntrack.keys.of("on", ipvlan_.where)) +
                       " (conntrack: {on: true})");
        }
        if (rule_.priority <= limits::conntrack_priority) {
            refuse("priority", std::to_string(rule_.priority) +
                                   " is before connections are known (above -200)");
        }
    }

  private:
    [[nodiscard]] bool needs_tracking() const { return translates(rule_) || !rule_.ct.empty(); }

    void place() {
        const Hook hook = rule_.hook;
        switch (rule_.action) {
            case RuleAction::dnat:
                only(hook == Hook::prerouting || hook == Hook::output, "prerouting or output");
                break;
            case RuleAction::snat:
            case RuleAction::masquerade:
                only(hook == Hook::postrouting, "postrouting");
                break;
            case RuleAction::reject:
                only(hook != Hook::postrouting, "prerouting, input, forward or output");
                break;
            case RuleAction::notrack:
                only(hook == Hook::prerouting || hook == Hook::output, "prerouting or output");
                if (rule_.priority >= limits::conntrack_priority) {
                    refuse("priority", std::to_string(rule_.priority) +
                                           " is after connections are looked up (below -200, "
                                           "such as raw)");
                }
                break;
            default:
                break;
        }
    }

    void only(bool fits, std::string_view allowed) {
        if (fits) return;
        refuse("hook", std::string(action_name(rule_.action)) + " cannot be in " +
                           std::string(hook_name(rule_.hook)) + " (" + std::string(allowed) + ")");
    }

    void families() {
        std::optional<bool> ipv4;
        const auto same = [&](std::string_view key, const IpAddress& address) {
            if (!ipv4) ipv4 = address.is_ipv4();
            if (*ipv4 == address.is_ipv4()) return;
            refuse(key, address.text() + " is not of the family of the other addresses (" +
                            (*ipv4 ? "IPv4" : "IPv6") + ")");
        };
        for (const auto& [key, prefix] :
             {std::pair("saddr", &rule_.saddr), {"daddr", &rule_.daddr}}) {
            if (!*prefix) continue;
            if (network_of(**prefix) != **prefix) {
                refuse(key, (*prefix)->text() + " has host bits set (" +
                                network_of(**prefix).text() + ")");
            }
            same(key, (*prefix)->address);
        }
        if (rule_.to) same("to", *rule_.to);
        if (!ipv4 || !rule_.protocol) return;
        if (*rule_.protocol == icmp && !*ipv4) {
            refuse("protocol", "icmp is of IPv4, the addresses are IPv6 (icmpv6)");
        } else if (*rule_.protocol == icmpv6 && *ipv4) {
            refuse("protocol", "icmpv6 is of IPv6, the addresses are IPv4 (icmp)");
        }
    }

    void ports() {
        const bool has_ports =
            rule_.protocol &&
            (*rule_.protocol == tcp || *rule_.protocol == udp || *rule_.protocol == sctp);
        for (const auto& [key, ports] : {std::pair("sport", rule_.sport), {"dport", rule_.dport}}) {
            if (ports.lo > ports.hi) {
                refuse(key, std::to_string(ports.lo) + " to " + std::to_string(ports.hi) +
                                " is reversed (the low end first)");
            } else if (!has_ports && ports != Ports{}) {
                refuse(key, "only some protocols have ports (protocol: tcp, udp or sctp)");
            }
        }
        if (!rule_.to_ports) return;
        if (!translates(rule_)) {
            refuse("to-ports", std::string(action_name(rule_.action)) +
                                   " changes no port (dnat, snat or masquerade)");
        } else if (rule_.to_ports->lo > rule_.to_ports->hi || rule_.to_ports->lo == 0) {
            refuse("to-ports", std::to_string(rule_.to_ports->lo) + " to " +
                                   std::to_string(rule_.to_ports->hi) +
                                   " is no range (from 1, the low end first)");
        } else if (rule_.action == RuleAction::dnat && !has_ports) {
            refuse("to-ports", "only some protocols have ports (protocol: tcp, udp or sctp)");
        }
    }

    void target() {
        const bool takes = rule_.action == RuleAction::dnat || rule_.action == RuleAction::snat;
        const std::string action(action_name(rule_.action));
        if (!takes) {
            if (rule_.to) refuse("to", action + " takes no address (dnat or snat)");
            return;
        }
        const bool ports_only = rule_.action == RuleAction::dnat && rule_.to_ports;
        if (!rule_.to) {
            if (!ports_only) refuse("action", action + " needs an address (to: ADDRESS)");
            return;
        }
        if (const auto unfit = unfit_host(*rule_.to)) {
            refuse("to", *unfit + " (the address of a host)");
        } else if (rule_.action == RuleAction::dnat && slave_ == nullptr && rule_.slave.empty()) {
            tenant(*rule_.to);
        }
    }

    /// The address of a tenant alone does not say whose it is.
    void tenant(const IpAddress& to) {
        const Slave* of_tenant = nullptr;
        for (const Slave& slave : ipvlan_.slaves) {
            const auto found = std::ranges::find(slave.addresses, to, &IpPrefix::address);
            if (found == slave.addresses.end()) continue;
            if (slave.vrf.empty()) return;
            of_tenant = &slave;
        }
        if (of_tenant == nullptr) return;
        refuse("to", to.text() + " is the address of slave " + quoted(of_tenant->name) +
                         " of vrf " + quoted(of_tenant->vrf) + " (slave: " + of_tenant->name + ")");
    }

    void origin() {
        for (const auto& [key, text] : {std::pair("iif", &rule_.iif), {"vrf", &rule_.vrf}}) {
            if (text->empty()) continue;
            if (slave_ != nullptr) {
                refuse(key, "a rule of a slave is about that slave (only in rules of an ipvlan)");
            } else if (rule_.hook == Hook::prerouting || rule_.hook == Hook::input) {
                refuse(key, "in " + std::string(hook_name(rule_.hook)) +
                                " packets come from the wire (output, forward or postrouting)");
            }
        }
        if (slave_ != nullptr && !rule_.slave.empty()) {
            refuse("slave", "a rule of a slave is about that slave (only in rules of an ipvlan)");
            return;
        }
        if (slave_ != nullptr) return;
        if (!rule_.iif.empty()) known_slave("iif", rule_.iif);
        if (!rule_.vrf.empty()) known_vrf();
        if (rule_.slave.empty()) return;
        if (rule_.action != RuleAction::dnat) {
            refuse("slave", "only dnat leads to a slave (action: dnat)");
            return;
        }
        const Slave* const to = known_slave("slave", rule_.slave);
        if (to == nullptr || !rule_.to) return;
        if (std::ranges::find(to->addresses, *rule_.to, &IpPrefix::address) ==
            to->addresses.end()) {
            refuse("to", rule_.to->text() + " is not an address of slave " + quoted(to->name) +
                             " (one of its addresses)");
        }
    }

    const Slave* known_slave(std::string_view key, const std::string& name) {
        if (const Slave* const found = find_slave(ipvlan_, name)) return found;
        std::vector<std::string> names;
        for (const Slave& one : ipvlan_.slaves) names.push_back(one.name);
        refuse(key, "there is no slave " + quoted(name) + nearest_text(name, names) +
                        " (a slave of " + ipvlan_.name + ")");
        return nullptr;
    }

    void known_vrf() {
        std::vector<std::string> names;
        for (const std::string_view vrf : vrfs_of(ipvlan_)) names.emplace_back(vrf);
        if (std::ranges::find(names, rule_.vrf) != names.end()) return;
        refuse("vrf", "no slave is of vrf " + quoted(rule_.vrf) + nearest_text(rule_.vrf, names) +
                          " (a vrf of the slaves of " + ipvlan_.name + ")");
    }

    void refuse(std::string_view key, std::string message) {
        judge_.refuse(rule_.keys.of(key, rule_.where), path_ + "." + std::string(key),
                      std::move(message));
    }

    Judge& judge_;
    const Ipvlan& ipvlan_;
    const Slave* slave_;
    const Rule& rule_;
    std::string path_;
};

void judge_list(Judge& judge, const Ipvlan& ipvlan, const Slave* slave,
                const std::vector<Rule>& rules, const std::string& path) {
    std::map<std::string_view, Position> names;
    for (std::size_t i = 0; i < rules.size(); ++i) {
        const Rule& rule = rules[i];
        RuleJudge(judge, ipvlan, slave, rule, item_path(path, i)).all();
        if (rule.name.empty()) continue;
        const Position where = rule.keys.of("name", rule.where);
        if (!is_object_name(rule.name)) {
            judge.refuse(where, item_path(path, i, "name"),
                         quoted(rule.name) +
                             " cannot name a rule (1 to 63 letters, digits, '.', '_' and '-')");
        }
        const auto [earlier, fresh] = names.try_emplace(rule.name, where);
        if (!fresh) {
            judge.refuse(where, item_path(path, i, "name"),
                         quoted(rule.name) + " is given twice" + line_text(earlier->second) +
                             " (each name once)");
        }
    }
}

}  // namespace

void judge_rules(Judge& judge, const Ipvlan& ipvlan) {
    const std::string path = "ipvlans." + ipvlan.name;
    judge_list(judge, ipvlan, nullptr, ipvlan.rules, path + ".rules");
    for (const Slave& slave : ipvlan.slaves) {
        judge_list(judge, ipvlan, &slave, slave.rules, path + ".slaves." + slave.name + ".rules");
    }
}

}  // namespace vxplane::config
