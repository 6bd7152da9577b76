// RPC methods about ipvlans: slaves, rules and tracked connections.
#include <limits>

#include "config/resolve.hpp"
#include "control/apply/from_topology.hpp"
#include "control/apply/words.hpp"
#include "control/daemon.hpp"
#include "control/methods.hpp"

namespace vxplane::control {

using rpc::Json;
using rpc::Reply;
using rpc::Type;

namespace {

std::optional<std::string> word(const Json& params, const char* key) {
    return params.contains(key) ? std::optional(params.at(key).get<std::string>()) : std::nullopt;
}

constexpr std::array<std::string_view, table::kTcpStates> kTcpNames{
    "none",       "syn-sent", "syn-recv",  "established", "fin-wait",
    "close-wait", "last-ack", "time-wait", "close",       "syn-sent2"};

std::string protocol_name(std::uint8_t protocol) {
    switch (protocol) {
        case net::ip_protocol::kTcp:
            return "tcp";
        case net::ip_protocol::kUdp:
            return "udp";
        case net::ip_protocol::kIcmp:
            return "icmp";
        case net::ip_protocol::kIcmpv6:
            return "icmpv6";
        case 132:
            return "sctp";
        default:
            return std::to_string(protocol);
    }
}

std::optional<int> protocol_number(const std::string& name) {
    for (int number = 0; number < 256; ++number) {
        if (name == protocol_name(static_cast<std::uint8_t>(number)) ||
            name == std::to_string(number)) {
            return number;
        }
    }
    return std::nullopt;
}

Reply refuse_all(const Daemon::ReloadReport& report) {
    std::string all = "nothing was changed:";
    for (const std::string& problem : report.problems) {
        all += "\n" + problem;
    }
    return rpc::refuse(all, {{"problems", report.problems}, {"changes", report.changes}});
}

Reply outcome(const Daemon::ReloadReport& report) {
    return report.problems.empty() ? Reply(Json{{"changes", report.changes}}) : refuse_all(report);
}

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

/// Which connections of which ipvlans.
struct Chosen {
    std::vector<std::string> ipvlans;
    table::ConnFilter filter;
    std::optional<rpc::Error> error;
};

Chosen choose(Daemon& daemon, const Json& params) {
    Chosen out;
    const auto only = word(params, "ipvlan");
    for (const config::Ipvlan& ipvlan : daemon.topology().ipvlans) {
        if ((!only || *only == ipvlan.name) && daemon.slaves().conntrack(ipvlan.name) != nullptr) {
            out.ipvlans.push_back(ipvlan.name);
        }
    }
    if (only && out.ipvlans.empty()) {
        out.error = rpc::refuse("no ipvlan '" + *only + "' that tracks connections");
        return out;
    }
    if (const auto name = word(params, "slave")) {
        const config::SlaveRef found = config::resolve_slave(daemon.topology(), nullptr, *name);
        if (!found) {
            out.error = rpc::refuse("no slave '" + *name + "', or more than one (IPVLAN/NAME)");
            return out;
        }
        out.filter.slave =
            *daemon.slaves().find_slave(found.ipvlan->name + "/" + found.slave->name);
        std::erase_if(out.ipvlans,
                      [&](const std::string& one) { return one != found.ipvlan->name; });
    }
    if (const auto vrf = word(params, "vrf")) {
        std::erase_if(out.ipvlans, [&](const std::string& one) {
            const auto number = daemon.slaves().find_vrf(one, *vrf);
            out.filter.zone = number ? *number : out.filter.zone;
            return !number;
        });
        if (out.ipvlans.size() != 1) {
            out.error = rpc::refuse(out.ipvlans.empty()
                                        ? "no vrf '" + *vrf + "'"
                                        : "vrf '" + *vrf + "' is of several ipvlans: name one");
            return out;
        }
    }
    if (const auto protocol = word(params, "protocol")) {
        const auto number = protocol_number(*protocol);
        if (!number) {
            out.error = rpc::invalid("protocol: '" + *protocol + "' is not a protocol");
            return out;
        }
        out.filter.protocol = *number;
    }
    if (const auto address = word(params, "address")) {
        const auto parsed = parse_ip(*address);
        if (!parsed) {
            out.error = rpc::invalid("address: '" + *address + "' is not an IP address");
            return out;
        }
        out.filter.address = *parsed;
    }
    if (params.contains("port")) {
        out.filter.port = params.at("port").get<std::int32_t>();
    }
    return out;
}

Json side_json(const table::Connection::Side& side) {
    const table::ConnTuple& tuple = side.tuple;
    Json out{{"src", text(tuple.source)},
             {"dst", text(tuple.destination)},
             {"packets", side.packets},
             {"bytes", side.bytes}};
    if (tuple.is_icmp()) {
        out["id"] = tuple.source_port.value();
        out["type"] = tuple.destination_port.value() >> 8;
    } else {
        out["sport"] = tuple.source_port.value();
        out["dport"] = tuple.destination_port.value();
    }
    return out;
}

Json connection_json(Daemon& daemon, const std::string& ipvlan, const table::Connection& one,
                     std::uint32_t now) {
    Json row{{"ipvlan", ipvlan},
             {"protocol", protocol_name(one.original.tuple.protocol)},
             {"expires_s", static_cast<double>(static_cast<std::int32_t>(one.expires - now)) / 1e3},
             {"original", side_json(one.original)},
             {"reply", side_json(one.reply)},
             {"replied", one.has(table::Connection::kSeenReply)},
             {"assured", one.has(table::Connection::kAssured)},
             {"snat", one.has(table::Connection::kSourceNat)},
             {"dnat", one.has(table::Connection::kDestinationNat)}};
    if (one.original.tuple.protocol == net::ip_protocol::kTcp) {
        row["state"] = kTcpNames[static_cast<std::size_t>(one.tcp)];
    }
    const std::uint16_t slave =
        one.original_slave != table::kNoSlave ? one.original_slave : one.reply_slave;
    if (slave != table::kNoSlave) {
        row["slave"] = daemon.slaves().name_of(slave);
    }
    const std::uint16_t zone =
        one.original.tuple.zone != 0 ? one.original.tuple.zone : one.reply.tuple.zone;
    if (zone != 0) {
        row["vrf"] = daemon.slaves().vrf_name(ipvlan, zone);
    }
    return row;
}

Reply conntrack_show(Daemon& daemon, const Json& params) {
    const Chosen chosen = choose(daemon, params);
    if (chosen.error) {
        return *chosen.error;
    }
    constexpr std::size_t kDefaultLimit = 10'000;
    const std::size_t limit = params.value("limit", kDefaultLimit);
    const std::uint32_t now = daemon.clock_milliseconds();
    Json entries = Json::array();
    bool cut = false;
    for (const std::string& ipvlan : chosen.ipvlans) {
        const table::Conntrack& conntrack = *daemon.slaves().conntrack(ipvlan);
        table::Connection one;
        for (std::uint32_t place = 0; place < conntrack.places() && !cut; ++place) {
            if (!conntrack.read(place, one) || !chosen.filter.takes(one)) {
                continue;
            }
            cut = entries.size() >= limit;
            if (!cut) {
                entries.push_back(connection_json(daemon, ipvlan, one, now));
            }
        }
    }
    return Json{{"entries", entries}, {"cut", cut}};
}

Reply conntrack_flush(Daemon& daemon, const Json& params) {
    const Chosen chosen = choose(daemon, params);
    if (chosen.error) {
        return *chosen.error;
    }
    for (const std::string& ipvlan : chosen.ipvlans) {
        if (daemon.slaves().conntrack(ipvlan)->request_flush(chosen.filter) == 0) {
            return rpc::refuse("ipvlan " + ipvlan + ": too many flushes wait for the worker");
        }
    }
    return Json::object();
}

Reply conntrack_count(Daemon& daemon) {
    Json out = Json::array();
    for (const config::Ipvlan& ipvlan : daemon.topology().ipvlans) {
        const table::Conntrack* conntrack = daemon.slaves().conntrack(ipvlan.name);
        if (conntrack == nullptr) {
            continue;
        }
        const table::ConntrackStats stats = conntrack->stats();
        out.push_back({{"ipvlan", ipvlan.name},
                       {"used", stats.used},
                       {"high_water", stats.high_water},
                       {"capacity", stats.capacity},
                       {"created", stats.created},
                       {"refused", stats.refused},
                       {"early_drops", stats.early_drops},
                       {"expired", stats.expired},
                       {"flushed", stats.flushed},
                       {"ports_exhausted", stats.ports_exhausted},
                       {"fragments", stats.fragments_used},
                       {"fragments_replaced", stats.fragments_replaced},
                       {"memory_bytes", conntrack->memory_bytes()}});
    }
    return out;
}

}  // namespace

void add_ipvlan_methods(Daemon& daemon) {
    rpc::MethodTable& table = daemon.server().methods();
    const auto add = [&](std::string name, std::string help, std::vector<rpc::Param> params,
                         bool writes, std::function<Reply(const Json&)> call) {
        table.add({std::move(name), std::move(help), std::move(params), writes, std::move(call)});
    };
    const rpc::Param slave{"slave", Type::string, false, "NAME or IPVLAN/NAME"};
    const std::vector<rpc::Param> which{
        {"ipvlan", Type::string, false, "name of an ipvlan"},
        slave,
        {"vrf", Type::string, false, "tenant"},
        {"protocol", Type::string, false, "tcp, udp, icmp, icmpv6, sctp or a number"},
        {"address", Type::string, false, "source or destination of either direction"},
        {"port", Type::integer, false, "of either end", {}, 0, 65535}};
    std::vector<rpc::Param> limited = which;
    limited.push_back(
        {"limit", Type::integer, false, "entries at most, 10000 unless given", {}, 1, 500'000});
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
    add("rules", "rules of ipvlans and slaves with their counters", {}, false,
        [&daemon](const Json&) { return Reply(rules(daemon)); });
    add("conntrack.show", "tracked connections", limited, false,
        [&daemon](const Json& params) { return conntrack_show(daemon, params); });
    add("conntrack.count", "how many connections are tracked, by ipvlan", {}, false,
        [&daemon](const Json&) { return conntrack_count(daemon); });
    add("conntrack.flush", "forgets connections that fit", which, true,
        [&daemon](const Json& params) { return conntrack_flush(daemon, params); });
}

}  // namespace vxplane::control
