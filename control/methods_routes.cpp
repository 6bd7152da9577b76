// RPC methods about the routing tables of slaves, of `tables:` and of the host.
#include <algorithm>

#include "config/limits.hpp"
#include "config/parse.hpp"
#include "config/resolve.hpp"
#include "control/apply/slave_routes.hpp"
#include "control/apply/words.hpp"
#include "control/daemon.hpp"
#include "control/methods.hpp"

namespace vxplane::control {

using rpc::Json;
using rpc::Reply;
using rpc::Type;

namespace {

constexpr std::array<std::string_view, 6> kTypes{"unicast",     "local",    "blackhole",
                                                 "unreachable", "prohibit", "throw"};

/// The number of a table: by its name, or by that of its slave.
std::optional<std::uint32_t> find_table(Daemon& daemon, const std::string& name) {
    Routing& routing = daemon.routing();
    auto number = routing.find_table(name);
    if (const auto found = config::resolve_slave(daemon.topology(), nullptr, name);
        !number && found) {
        number = routing.find_table(full_name(*found.ipvlan, *found.slave));
    }
    return number && routing.is_used(*number) ? number : std::nullopt;
}

Json hop_json(Daemon& daemon, std::uint32_t number) {
    const HopSpec& hop = daemon.routing().hop(number);
    Json out = Json::object();
    const auto port = [&](std::uint16_t id) {
        const OpenPort* open = daemon.machine().by_id(id);
        return open == nullptr ? std::string("?") : open->port->name();
    };
    switch (hop.kind) {
        case table::NextHopKind::gateway:
            out["via"] = text(hop.via);
            [[fallthrough]];
        case table::NextHopKind::link:
            out["dev"] = port(hop.port);
            break;
        case table::NextHopKind::slave:
            out["slave"] = daemon.slaves().name_of(static_cast<std::uint16_t>(hop.index));
            break;
        case table::NextHopKind::table:
            out["table"] = daemon.routing().names()[hop.index];
            break;
        case table::NextHopKind::vxlan:
            out["vxlan"] = daemon.bridge().segment(hop.segment).name;
            out["remote"] = text(hop.remote);
            out["lladdr"] = text(hop.inner_destination);
            break;
        case table::NextHopKind::group:
        case table::NextHopKind::none:
            out["dead"] = true;
            break;
    }
    return out;
}

std::string to_text(const Network& to) {
    if (to.length == 0) {
        return to.is_v4() ? "default" : "default6";
    }
    const unsigned all = to.is_v4() ? 32 : 128;
    return text(to.address) + (to.length == all ? "" : "/" + std::to_string(to.length));
}

Json route_json(Daemon& daemon, std::uint32_t number, const Network& to, table::RouteValue value) {
    Routing& routing = daemon.routing();
    Json row{{"table", routing.names()[number]},
             {"to", to_text(to)},
             {"type", kTypes[static_cast<std::size_t>(value.type())]},
             {"proto", routing.is_by_hand(number, to) ? "manual" : "static"}};
    if (value.next_hop() == 0) {
        return row;
    }
    Json hops = Json::array();
    const auto members = routing.members(value.next_hop());
    for (const Routing::Member& member : members) {
        Json hop = hop_json(daemon, member.next_hop);
        hop["weight"] = member.weight;
        hop["slots"] = member.slots;
        hops.push_back(std::move(hop));
    }
    if (members.empty()) {
        hops.push_back(hop_json(daemon, value.next_hop()));
    }
    row["nexthops"] = std::move(hops);
    return row;
}

Reply route_show(Daemon& daemon, const Json& params) {
    Routing& routing = daemon.routing();
    std::vector<std::uint32_t> tables;
    if (const auto name = word(params, "table")) {
        const auto number = find_table(daemon, *name);
        if (!number) {
            return rpc::refuse("no routing table '" + *name +
                               "' (main, one of tables, or IPVLAN/SLAVE)");
        }
        tables.push_back(*number);
    } else {
        for (std::uint32_t i = 1; i < routing.names().size(); ++i) {
            if (routing.is_used(i)) {
                tables.push_back(i);
            }
        }
    }
    constexpr std::size_t kDefaultLimit = 10'000;
    const std::size_t limit = params.value("limit", kDefaultLimit);
    Json entries = Json::array();
    bool cut = false;
    std::uint64_t used = 0;
    for (const std::uint32_t number : tables) {
        const table::RouteTable& content = routing.content(number);
        used += content.v4.used() + content.v6.used();
        routing.for_each(number, [&](const Network& to, table::RouteValue value) {
            cut = cut || entries.size() >= limit;
            if (!cut) {
                entries.push_back(route_json(daemon, number, to, value));
            }
            return !cut;
        });
    }
    return Json{{"entries", entries},
                {"cut", cut},
                {"used", used},
                {"nexthops",
                 {{"used", routing.hops_used()},
                  {"high_water", routing.hops_high_water()},
                  {"refused", routing.hops_refused()}}}};
}

std::optional<std::string> read_hop(const Json& words, config::Hop& hop) {
    static const std::vector<std::string> kKnown{"via",    "dev",    "slave",  "vxlan",
                                                 "remote", "lladdr", "lookup", "weight"};
    for (const auto& [key, value] : words.items()) {
        if (std::find(kKnown.begin(), kKnown.end(), key) == kKnown.end()) {
            return "'" + key + "' is no word of a next hop";
        }
        if (key == "weight" ? !value.is_number_integer() : !value.is_string()) {
            return key + ": not of the right type";
        }
    }
    const auto address = [&](const char* key,
                             std::optional<config::IpAddress>& out) -> std::optional<std::string> {
        if (const auto given = word(words, key)) {
            out = config::parse_ip(*given);
            if (!out || out->is_unspecified() || out->is_multicast()) {
                return std::string(key) + ": '" + *given + "' is no address of a host";
            }
        }
        return std::nullopt;
    };
    if (auto problem = address("via", hop.via)) {
        return problem;
    }
    if (auto problem = address("remote", hop.remote)) {
        return problem;
    }
    if (const auto lladdr = word(words, "lladdr")) {
        hop.lladdr = config::parse_mac(*lladdr);
        if (!hop.lladdr || hop.lladdr->is_multicast() || hop.lladdr->is_zero()) {
            return "lladdr: '" + *lladdr + "' is no MAC address of a host";
        }
    }
    hop.dev = word(words, "dev").value_or("");
    hop.slave = word(words, "slave").value_or("");
    hop.vxlan = word(words, "vxlan").value_or("");
    hop.table = word(words, "lookup").value_or("");
    const std::int64_t weight = words.value("weight", std::int64_t{1});
    if (weight < 1 || weight > 256) {
        return "weight: " + std::to_string(weight) + " (1 to 256)";
    }
    hop.weight = static_cast<std::uint16_t>(weight);
    const int ways = (hop.via || !hop.dev.empty() ? 1 : 0) + (hop.slave.empty() ? 0 : 1) +
                     (hop.vxlan.empty() ? 0 : 1) + (hop.table.empty() ? 0 : 1);
    if (ways != 1) {
        return "a next hop is one of via or dev, slave, vxlan, lookup";
    }
    if (!hop.vxlan.empty() && (!hop.lladdr || !hop.remote)) {
        return "vxlan takes remote and lladdr";
    }
    return std::nullopt;
}

/// What a write is about.
struct Target {
    std::uint32_t table = 0;
    config::TableRoute route;
    std::optional<rpc::Error> error;
};

Target target_of(Daemon& daemon, const Json& params) {
    Target out;
    const std::string name = params.at("table");
    const auto number = find_table(daemon, name);
    if (!number || *number == Routing::kMain) {
        out.error = rpc::refuse(number ? "table main is made of `routes:` of the topology"
                                       : "no routing table '" + name + "'");
        return out;
    }
    out.table = *number;
    const std::string to = params.at("to");
    const auto prefix = to == "default"    ? config::parse_network("0.0.0.0/0")
                        : to == "default6" ? config::parse_network("::/0")
                                           : config::parse_network(to);
    if (!prefix) {
        out.error = rpc::invalid("to: '" + to + "' is no prefix");
        return out;
    }
    if (config::network_of(*prefix) != *prefix) {
        out.error = rpc::invalid("to: " + to + " has host bits set (" +
                                 config::network_of(*prefix).text() + ")");
        return out;
    }
    out.route.to = *prefix;
    return out;
}

Reply route_put(Daemon& daemon, const Json& params, Routing::Put how) {
    Target target = target_of(daemon, params);
    if (target.error) {
        return *target.error;
    }
    config::TableRoute& route = target.route;
    const std::string type = params.value("type", std::string("unicast"));
    route.type = static_cast<config::RouteType>(std::find(kTypes.begin(), kTypes.end(), type) -
                                                kTypes.begin());
    const Json hops = params.value("nexthops", Json::array());
    if (hops.empty() == (route.type == config::RouteType::unicast)) {
        return rpc::invalid(hops.empty() ? "a unicast route has next hops"
                                         : "a route of type " + type + " has no next hop");
    }
    if (hops.size() > config::limits::hops_max) {
        return rpc::invalid("nexthops: " + std::to_string(hops.size()) + " are too many (at most " +
                            std::to_string(config::limits::hops_max) + ")");
    }
    for (const Json& words : hops) {
        if (!words.is_object()) {
            return rpc::invalid("nexthops: a list of objects");
        }
        route.hops.emplace_back();
        if (auto problem = read_hop(words, route.hops.back())) {
            return rpc::invalid(*problem);
        }
        const auto& via = route.hops.back().via;
        if (via && via->family != route.to.address.family) {
            return rpc::invalid("via " + via->text() + " is of another family than " +
                                route.to.text());
        }
    }
    const auto spec = daemon.slaves().route_spec(daemon.routing().names()[target.table], route);
    if (const auto* problem = std::get_if<std::string>(&spec)) {
        return rpc::refuse(*problem);
    }
    const auto problem =
        daemon.routing().put(target.table, to_network(route.to), std::get<RouteSpec>(spec), how,
                             Neighbours::Clock::now());
    return problem ? Reply(rpc::refuse(*problem)) : Reply(Json::object());
}

Reply route_del(Daemon& daemon, const Json& params) {
    const Target target = target_of(daemon, params);
    if (target.error) {
        return *target.error;
    }
    const auto problem = daemon.routing().remove(target.table, to_network(target.route.to));
    return problem ? Reply(rpc::refuse(*problem)) : Reply(Json::object());
}

}  // namespace

void add_route_methods(Daemon& daemon) {
    rpc::MethodTable& methods = daemon.server().methods();
    const auto add = [&](std::string name, std::string help, std::vector<rpc::Param> params,
                         bool writes, std::function<Reply(const Json&)> call) {
        methods.add({std::move(name), std::move(help), std::move(params), writes, std::move(call)});
    };
    const rpc::Param table{"table", Type::string, true, "one of tables, or IPVLAN/SLAVE"};
    const rpc::Param to{"to", Type::string, true, "prefix, default or default6"};
    const std::vector<std::string> types(kTypes.begin(), kTypes.end());
    const std::vector<rpc::Param> route{
        table,
        to,
        {"type", Type::string, false, "as `ip route`; unicast unless given", types},
        {"nexthops", Type::array, false,
         "objects of via, dev, slave, vxlan with remote and lladdr, lookup (a table), weight"}};
    add("route.show", "routing tables of slaves and of the host",
        {{"table", Type::string, false, "main, one of tables, or IPVLAN/SLAVE"},
         {"limit", Type::integer, false, "entries at most, 10000 unless given", {}, 1, 500'000}},
        false, [&daemon](const Json& params) { return route_show(daemon, params); });
    add("route.add", "adds a route to a table", route, true,
        [&daemon](const Json& params) { return route_put(daemon, params, Routing::Put::add); });
    add("route.replace", "adds a route or changes where it leads", route, true,
        [&daemon](const Json& params) { return route_put(daemon, params, Routing::Put::replace); });
    add("route.del", "removes a route from a table", {table, to}, true,
        [&daemon](const Json& params) { return route_del(daemon, params); });
}

}  // namespace vxplane::control
