// Words about ipvlans, their slaves and routing tables, and tracked connections.
#include <algorithm>

#include "control/ctl/line.hpp"

namespace vxplane::control::ctl {

namespace {

const Words types{"unicast", "local", "blackhole", "unreachable", "prohibit", "throw"};
const Words hop_words{"via", "dev", "slave", "vxlan", "remote", "lladdr", "lookup", "weight"};

void take_route(Line& line, Json& params) {
    params["to"] = line.take("prefix, default or default6");
    Json hops = Json::array();
    Words known = hop_words;
    known.insert(known.end(), types.begin(), types.end());
    known.insert(known.end(), {"table", "nexthop"});
    bool fresh = true;
    while (!line.empty()) {
        std::string key = line.choose("word", known);
        if (key == "nexthop") {
            fresh = true;
            continue;
        }
        if (complete(key, types) == key) {
            if (params.contains("type")) throw Refused{"one type is enough"};
            params["type"] = key;
            continue;
        }
        std::string value = line.take("value of " + key);
        if (key == "table") {
            if (params.contains(key)) throw Refused{"table is given twice"};
            params[key] = std::move(value);
            continue;
        }
        if (fresh) hops.push_back(Json::object());
        fresh = false;
        Json& hop = hops.back();
        if (hop.contains(key)) throw Refused{key + " is given twice (nexthop begins another one)"};
        hop[key] = key == "weight" ? Json(number(value, key)) : Json(std::move(value));
    }
    if (!params.contains("table")) throw Refused{"missing table TABLE"};
    if (!hops.empty()) params["nexthops"] = std::move(hops);
}

}  // namespace

Command parse_route(Line& line) {
    const std::string verb =
        line.empty() ? "show"
                     : line.choose("verb", {"show", "list", "add", "replace", "del", "delete"});
    if (verb == "show" || verb == "list") {
        if (line.empty()) return {.method = "routes", .view = View::routes};
        line.choose("word", {"table", "slave"});
        Command command{.method = "route.show", .view = View::table};
        command.calls[0]["table"] = line.take("name of a table");
        if (!line.empty()) {
            line.choose("word", {"limit"});
            command.calls[0]["limit"] = number(line.take("limit"), "limit");
        }
        return command;
    }
    const bool removes = verb.starts_with("del");
    Command command{
        .method = removes ? "route.del" : "route." + verb, .view = View::silent, .writes = true};
    take_route(line, command.calls[0]);
    if (removes && (command.calls[0].contains("nexthops") || command.calls[0].contains("type"))) {
        throw Refused{"route del takes TO and table TABLE"};
    }
    return command;
}

Command parse_port_set(Line& line) {
    line.take("verb");
    Command command{.method = "port.set", .view = View::changes, .writes = true};
    Json& params = command.calls[0];
    params["name"] = line.take("name of a port");
    while (!line.empty()) {
        const std::string key = line.choose("word", {"mac", "mtu"});
        if (params.contains(key)) throw Refused{key + " is given twice"};
        std::string value = line.take("value of " + key);
        params[key] = key == "mtu" ? Json(number(value, key)) : Json(std::move(value));
    }
    if (params.size() == 1) throw Refused{"missing mac or mtu"};
    return command;
}

Command parse_slave(Line& line) {
    const std::string verb = line.empty() ? "show" : line.choose("verb", {"show", "list", "set"});
    Command command{.method = "slaves", .view = View::slaves};
    if (verb != "set") {
        if (line.empty()) return command;
        command.view = View::slave;
        command.calls[0]["name"] = line.take("name");
        return command;
    }
    command = {.method = "slave.set", .view = View::changes, .writes = true};
    command.calls[0]["name"] = line.take("name of a slave");
    command.calls[0]["state"] = line.choose("state", {"up", "down"});
    return command;
}

Command parse_ipvlan(Line& line) {
    const std::string verb = line.empty() ? "show" : line.choose("verb", {"show", "list", "set"});
    if (verb != "set") return {.method = "ipvlans", .view = View::ipvlans};
    Command command{.method = "ipvlan.set", .view = View::changes, .writes = true};
    Json& params = command.calls[0];
    params["name"] = line.take("name of an ipvlan");
    while (!line.empty()) {
        const std::string key = line.choose("word", {"mode", "flag"});
        if (params.contains(key)) throw Refused{key + " is given twice"};
        params[key] = key == "mode" ? line.choose("mode", {"l2", "l3", "l3s"})
                                    : line.choose("flag", {"bridge", "private", "vepa"});
    }
    if (params.size() == 1) throw Refused{"missing mode or flag"};
    return command;
}

Command parse_conntrack(Line& line) {
    const std::string verb =
        line.empty() ? "show" : line.choose("verb", {"show", "list", "count", "timeouts", "flush"});
    if (verb == "timeouts") return {.method = "conntrack.timeouts", .view = View::timeouts};
    if (verb == "count") return {.method = "conntrack.count", .view = View::connection_counts};
    constexpr std::size_t kDefaultLimit = 10'000;
    Command command{.method = "conntrack.show", .view = View::connections, .limit = kDefaultLimit};
    if (verb == "flush") {
        command = {.method = "conntrack.flush", .view = View::silent, .writes = true};
    }
    Json& params = command.calls[0];
    Words known{"ipvlan", "slave", "vrf", "protocol", "address", "port"};
    if (!command.writes) known.emplace_back("limit");
    while (!line.empty()) {
        const std::string key = line.choose("word", known);
        std::string value = line.take("value of " + key);
        if (params.contains(key)) throw Refused{key + " is given twice"};
        const bool is_number = key == "port" || key == "limit";
        params[key] = is_number ? Json(number(value, key)) : Json(std::move(value));
    }
    if (!command.writes && params.contains("limit")) {
        command.limit = static_cast<std::size_t>(
            std::max<std::int64_t>(params["limit"].get<std::int64_t>(), 0));
    }
    return command;
}

}  // namespace vxplane::control::ctl
