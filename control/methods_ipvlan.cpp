// RPC methods about ipvlans, their slaves and rules.
#include <algorithm>

#include "config/parse.hpp"
#include "config/resolve.hpp"
#include "control/apply/from_topology.hpp"
#include "control/apply/words.hpp"
#include "control/daemon.hpp"
#include "control/methods.hpp"
#include "control/protocol_name.hpp"

namespace vxplane::control {

using rpc::Json;
using rpc::Reply;
using rpc::Type;

namespace {

std::string_view mode_name(config::IpvlanMode mode) {
    constexpr std::array<std::string_view, 3> kNames{"l2", "l3", "l3s"};
    return kNames[static_cast<std::size_t>(mode)];
}
std::string_view flag_name(config::IpvlanFlag flag) {
    constexpr std::array<std::string_view, 3> kNames{"bridge", "private", "vepa"};
    return kNames[static_cast<std::size_t>(flag)];
}

Json ipvlans(Daemon& daemon) {
    Json out = Json::array();
    for (const config::Ipvlan& ipvlan : daemon.topology().ipvlans) {
        const OpenPort* link = daemon.machine().by_name(ipvlan.link);
        Json row{{"name", ipvlan.name},
                 {"link", ipvlan.link},
                 {"mode", mode_name(ipvlan.mode)},
                 {"flag", flag_name(ipvlan.flag)},
                 {"carrier", link != nullptr && link->port->link().up},
                 {"slaves", ipvlan.slaves.size()},
                 {"conntrack", false}};
        if (const table::Conntrack* conntrack = daemon.slaves().conntrack(ipvlan.name)) {
            row["conntrack"] = true;
            row["connections"] = conntrack->stats().used;
            const auto pin = daemon.machine().pinned_ipvlans().find(ipvlan.name);
            if (pin != daemon.machine().pinned_ipvlans().end()) {
                row["worker"] = pin->second;
            }
        }
        out.push_back(std::move(row));
    }
    return out;
}

Reply ipvlan_set(Daemon& daemon, const Json& params) {
    config::Topology next = daemon.topology();
    const std::string name = params.at("name");
    for (config::Ipvlan& ipvlan : next.ipvlans) {
        if (ipvlan.name != name) {
            continue;
        }
        if (const auto mode = word(params, "mode")) {
            ipvlan.mode = *mode == "l2"   ? config::IpvlanMode::l2
                          : *mode == "l3" ? config::IpvlanMode::l3
                                          : config::IpvlanMode::l3s;
        }
        if (const auto flag = word(params, "flag")) {
            ipvlan.flag = *flag == "bridge"    ? config::IpvlanFlag::bridge
                          : *flag == "private" ? config::IpvlanFlag::private_
                                               : config::IpvlanFlag::vepa;
        }
        return outcome(daemon.change(std::move(next)));
    }
    return rpc::refuse("no ipvlan '" + name + "'");
}

Reply slave_set(Daemon& daemon, const Json& params) {
    config::Topology next = daemon.topology();
    const std::string name = params.at("name");
    const config::SlaveRef found = config::resolve_slave(next, nullptr, name);
    if (!found) {
        return rpc::refuse("no slave '" + name + "', or more than one (IPVLAN/NAME)");
    }
    const_cast<config::Slave*>(found.slave)->up = params.at("state") == "up";
    return outcome(daemon.change(std::move(next)));
}

Reply port_set(Daemon& daemon, const Json& params) {
    config::Topology next = daemon.topology();
    const std::string name = params.at("name");
    const auto port = std::ranges::find(next.ports, name, &config::Port::name);
    if (port == next.ports.end()) {
        return rpc::refuse("no port '" + name + "'");
    }
    if (const auto mac = word(params, "mac")) {
        port->mac = config::parse_mac(*mac);
        if (!port->mac) {
            return rpc::invalid("mac: '" + *mac + "' is not a MAC address");
        }
    }
    if (params.contains("mtu")) {
        port->mtu = params.at("mtu");
        port->keys.add("mtu", port->where);
    }
    return outcome(daemon.change(std::move(next)));
}

Json rules(Daemon& daemon) {
    Json out = Json::array();
    for (const RuleView& view : daemon.slaves().rules()) {
        constexpr std::array<std::string_view, 5> kHooks{"prerouting", "input", "forward", "output",
                                                         "postrouting"};
        constexpr std::array<std::string_view, 8> kActions{
            "accept", "drop", "reject", "return", "notrack", "dnat", "snat", "masquerade"};
        const config::Rule& rule = view.rule;
        std::uint64_t packets = 0;
        std::uint64_t bytes = 0;
        for (const auto& worker : daemon.machine().workers()) {
            const auto count = worker->rule_counters().read(view.id);
            packets += count.packets;
            bytes += count.bytes;
        }
        Json row{{"owner", view.owner},
                 {"name", rule.name},
                 {"hook", kHooks[static_cast<std::size_t>(rule.hook)]},
                 {"priority", rule.priority},
                 {"action", kActions[static_cast<std::size_t>(rule.action)]},
                 {"packets", packets},
                 {"bytes", bytes}};
        const auto ports = [&row](const char* key, const config::Ports& range) {
            if (range != config::Ports{}) {
                row[key] = range.lo == range.hi
                               ? std::to_string(range.lo)
                               : std::to_string(range.lo) + "-" + std::to_string(range.hi);
            }
        };
        if (!rule.iif.empty()) row["iif"] = rule.iif;
        if (!rule.vrf.empty()) row["vrf"] = rule.vrf;
        if (rule.protocol) row["protocol"] = protocol_name(*rule.protocol);
        if (rule.saddr) row["saddr"] = rule.saddr->text();
        if (rule.daddr) row["daddr"] = rule.daddr->text();
        ports("sport", rule.sport);
        ports("dport", rule.dport);
        if (!rule.ct.empty()) row["ct"] = rule.ct;
        if (rule.to) row["to"] = rule.to->text();
        if (!rule.slave.empty()) row["slave"] = rule.slave;
        if (rule.to_ports) ports("to_ports", *rule.to_ports);
        out.push_back(std::move(row));
    }
    return out;
}

}  // namespace

Reply outcome(const Daemon::ReloadReport& report) {
    if (report.problems.empty()) {
        return Json{{"changes", report.changes}};
    }
    std::string all = "nothing was changed:";
    for (const std::string& problem : report.problems) {
        all += "\n" + problem;
    }
    return rpc::refuse(all, {{"problems", report.problems}, {"changes", report.changes}});
}

void add_ipvlan_methods(Daemon& daemon) {
    rpc::MethodTable& table = daemon.server().methods();
    const auto add = [&](std::string name, std::string help, std::vector<rpc::Param> params,
                         bool writes, std::function<Reply(const Json&)> call) {
        table.add({std::move(name), std::move(help), std::move(params), writes, std::move(call)});
    };
    add("ipvlans", "ipvlans with their modes", {}, false,
        [&daemon](const Json&) { return Reply(ipvlans(daemon)); });
    add("ipvlan.set", "changes mode or flag of an ipvlan and all its slaves, all or nothing",
        {{"name", Type::string, true, "name of an ipvlan"},
         {"mode", Type::string, false, "as `ip link add type ipvlan`", {"l2", "l3", "l3s"}},
         {"flag", Type::string, false, "between slaves", {"bridge", "private", "vepa"}}},
        true, [&daemon](const Json& params) { return ipvlan_set(daemon, params); });
    add("slaves", "slaves of ipvlans with their counters",
        {{"name", Type::string, false, "NAME or IPVLAN/NAME"}}, false,
        [&daemon](const Json& params) {
            return Reply(daemon.stats().slaves(daemon.slaves(), word(params, "name")));
        });
    add("slave.set", "takes a slave up or down",
        {{"name", Type::string, true, "NAME or IPVLAN/NAME"},
         {"state", Type::string, true, "what it is to be", {"up", "down"}}},
        true, [&daemon](const Json& params) { return slave_set(daemon, params); });
    add("port.set", "changes MAC address or MTU of a port, with its slaves, all or nothing",
        {{"name", Type::string, true, "name of a port"},
         {"mac", Type::string, false, "of an underlay port"},
         {"mtu", Type::integer, false, "bytes after the Ethernet header", {}, 68, 9216}},
        true, [&daemon](const Json& params) { return port_set(daemon, params); });
    add("rules", "rules of ipvlans and slaves with their counters", {}, false,
        [&daemon](const Json&) { return Reply(rules(daemon)); });
    add_conntrack_methods(daemon);
}

}  // namespace vxplane::control
