// One small parser for each object. Words are taken from the front; `Refused` ends the parse.
#include "control/ctl/command.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <string_view>

#include "control/ctl/line.hpp"

namespace vxplane::control::ctl {

namespace {

const Words states{"permanent", "static", "dynamic", "controller"};

// Keys with values until the end. States stand without a key and are returned.
Words take_keys(Line& line, Json& params, Words keys) {
    Words found;
    keys.insert(keys.end(), states.begin(), states.end());
    while (!line.empty()) {
        std::string key = line.choose("word", keys);
        if (complete(key, states) == key) {
            found.push_back(std::move(key));
            continue;
        }
        if (key == "state") {
            found.push_back(line.choose("state", states));
            continue;
        }
        std::string value = line.take("value of " + key);
        if (key == "dev") key = "segment";
        if (params.contains(key)) throw Refused{key + " is given twice"};
        if (key == "nhid" || key == "limit" || key == "sequence" || key == "vni" ||
            key == "src_vni" || key == "dstport") {
            params[key] = number(value, key);
        } else {
            params[key] = std::move(value);
        }
    }
    return found;
}

void at_most_one_state(Json& params, const Words& found) {
    if (found.size() > 1) throw Refused{"one state is enough (" + join(found) + ")"};
    if (!found.empty()) params["state"] = found[0];
}

Command show(Line& line, const std::string& method, View list, View one) {
    Command command{.method = method, .view = list};
    if (line.empty()) return command;
    line.choose("verb", {"show", "list"});
    if (line.empty()) return command;
    if (one == list) line.end();
    if (line.peek() == "dev" || line.peek() == "name") line.take("key");
    command.calls[0]["name"] = line.take("name");
    command.view = one;
    return command;
}

// Of the underlay without `dev`, else of a segment.
Command neigh(Line& line) {
    const std::string verb =
        line.empty()
            ? "show"
            : line.choose("verb", {"show", "list", "add", "replace", "del", "delete", "flush"});
    Command command{.method = "neigh", .view = View::neigh};
    if ((verb == "show" || verb == "list") && line.empty()) return command;
    Json& params = command.calls[0];
    const bool puts = verb == "add" || verb == "replace";
    const bool shows = verb == "show" || verb == "list";
    if (puts || verb.starts_with("del")) params["address"] = line.take("IP address");
    while (!line.empty()) {
        Words keys{"dev", "segment"};
        if (puts) keys.insert(keys.end(), {"lladdr", "router"});
        const std::string key = line.choose("word", keys);
        if (key == "router") {
            params["router"] = true;
        } else {
            params[key == "dev" ? "segment" : key] = line.take("value of " + key);
        }
    }
    if (!params.contains("segment") && verb != "flush") throw Refused{"missing dev SEGMENT"};
    if (puts && !params.contains("lladdr")) throw Refused{"missing lladdr MAC"};
    command.writes = !shows;
    command.view = shows ? View::segment_neigh : verb == "flush" ? View::removed : View::silent;
    command.method = std::string("segments.neigh") + (shows                     ? ""
                                                      : verb.starts_with("del") ? ".del"
                                                                                : "." + verb);
    return command;
}

Command fdb(Line& line) {
    const std::string verb =
        line.empty()
            ? "show"
            : line.choose("verb", {"show", "list", "add", "replace", "del", "delete", "flush"});
    Command command{.method = "fdb.show", .view = View::fdb};
    Json& params = command.calls[0];
    if (verb == "show" || verb == "list") {
        at_most_one_state(params, take_keys(line, params,
                                            {"segment", "dev", "src_vni", "mac", "dst", "vni",
                                             "dstport", "state", "limit"}));
        return command;
    }
    command.writes = true;
    if (verb == "flush") {
        command.method = "fdb.flush";
        command.view = View::removed;
        const Words found = take_keys(
            line, params, {"segment", "dev", "src_vni", "dst", "vni", "dstport", "port", "state"});
        const Json common = params;
        for (std::size_t i = 0; i < found.size(); ++i) {
            if (i > 0) command.calls.push_back(common);
            command.calls[i]["state"] = found[i];
        }
        return command;
    }
    command.view = View::silent;
    params["mac"] = line.take("MAC address");
    if (verb == "del" || verb == "delete") {
        command.method = "fdb.del";
        const Words found =
            take_keys(line, params, {"segment", "dev", "src_vni", "dst", "vni", "dstport"});
        if (!found.empty()) throw Refused{"'" + found[0] + "' has no place in fdb del"};
    } else {
        command.method = "fdb." + verb;
        at_most_one_state(params, take_keys(line, params,
                                            {"segment", "dev", "src_vni", "dst", "vni", "dstport",
                                             "nhid", "port", "state", "sequence"}));
        const int targets = (params.contains("dst") ? 1 : 0) + (params.contains("nhid") ? 1 : 0) +
                            (params.contains("port") ? 1 : 0);
        if (targets != 1) throw Refused{"give one of dst IP, nhid N, port NAME"};
    }
    if (!params.contains("segment")) throw Refused{"missing dev SEGMENT"};
    return command;
}

// Keys with values, and words that stand alone.
Command capture(Line& line) {
    const std::string verb =
        line.empty() ? "list" : line.choose("verb", {"list", "show", "start", "stop"});
    if (verb == "list" || verb == "show") return {.method = "capture.list", .view = View::captures};
    Command command{.method = "capture." + verb, .view = View::captures, .writes = true};
    Json& params = command.calls[0];
    if (verb == "stop") {
        params["id"] = number(line.take("number of a capture"), "id");
        return command;
    }
    command.view = View::started;
    const Words numbers{"snaplen", "limit-size", "limit-count", "rotate"};
    while (!line.empty()) {
        std::string key =
            line.choose("word", {"port", "file", "direction", "filter", "inner", "snaplen",
                                 "limit-size", "limit-count", "rotate", "force"});
        Json value = true;
        if (complete(key, numbers) == key) {
            value = number(line.take("value of " + key), key);
            std::ranges::replace(key, '-', '_');
        } else if (key != "inner" && key != "force") {
            value = line.take("value of " + key);
        }
        if (params.contains(key)) throw Refused{key + " is given twice"};
        params[key] = std::move(value);
    }
    if (!params.contains("port")) throw Refused{"missing port NAME"};
    if (!params.contains("file")) throw Refused{"missing file PATH"};
    const std::string path = params["file"];
    if (!path.starts_with('/')) params["file"] = std::filesystem::absolute(path).string();
    return command;
}

Command raw(Line& line) {
    Command command{.method = line.take("method"), .writes = true};
    if (!line.empty()) {
        const std::string text = line.take("params");
        command.calls[0] = Json::parse(text, nullptr, false);
        if (!command.calls[0].is_structured()) {
            throw Refused{"params must be a JSON object or array: " + text};
        }
    }
    return command;
}

Command mtu(Line& line) {
    const std::string verb = line.empty() ? "show" : line.choose("verb", {"show", "list", "flush"});
    if (verb != "flush") return {.method = "path_mtus", .view = View::path_mtus};
    Command command{.method = "path_mtus.flush", .view = View::removed, .writes = true};
    if (!line.empty()) {
        line.choose("word", {"remote", "dst"});
        command.calls[0]["remote"] = line.take("IP address");
    }
    return command;
}

Command parse(Line& line, bool all) {
    const std::string object = line.choose(
        "object", {"version", "port",   "ports",     "worker",  "workers", "segment", "segments",
                   "fdb",     "neigh",  "neighbour", "route",   "routes",  "drops",   "stages",
                   "stats",   "events", "health",    "capture", "reload",  "rpc",     "methods",
                   "slave",   "slaves", "ipvlan",    "ipvlans", "rule",    "rules",   "conntrack",
                   "refused", "mtu",    "groups",    "mdb",     "maddress"});
    if (all && object != "drops") throw Refused{"--all goes with drops"};
    if (object == "version") return {.method = "version", .view = View::version};
    if (object == "health") return {.method = "health", .view = View::health};
    if (object.starts_with("port") && !line.empty() && line.peek() == "set")
        return parse_port_set(line);
    if (object.starts_with("port")) return show(line, "ports", View::ports, View::port);
    if (object.starts_with("worker")) return show(line, "workers", View::workers, View::workers);
    if (object.starts_with("segment")) return parse_segment(line);
    if (object == "fdb") return fdb(line);
    if (object.starts_with("neigh")) return neigh(line);
    if (object == "maddress") return show(line, "maddress", View::maddress, View::maddress);
    if (object == "mdb") return parse_mdb(line);
    if (object == "refused") return show(line, "segments.refused", View::refused, View::refused);
    if (object == "groups") return show(line, "segments.groups", View::groups, View::groups);
    if (object == "mtu") return mtu(line);
    if (object.starts_with("route")) return parse_route(line);
    if (object.starts_with("slave")) return parse_slave(line);
    if (object.starts_with("ipvlan")) return parse_ipvlan(line);
    if (object.starts_with("rule")) return show(line, "rules", View::rules, View::rules);
    if (object == "conntrack") return parse_conntrack(line);
    if (object == "capture") return capture(line);
    if (object == "reload") {
        Command command{.method = "reload", .view = View::changes, .writes = true};
        if (!line.empty()) {
            line.choose("word", {"dry-run"});
            command.calls[0]["dry_run"] = true;
        }
        return command;
    }
    if (object == "stages") return show(line, "stages", View::stages, View::stages);
    if (object == "drops") {
        Command command = show(line, "drops", View::drops, View::drops);
        if (all) command.calls[0]["all"] = true;
        return command;
    }
    if (object == "stats") {
        line.choose("verb", {"reset"});
        return {.method = "stats.reset", .view = View::silent, .writes = true};
    }
    if (object == "events") {
        Command command{.method = "subscribe", .follows = true};
        while (!line.empty()) command.calls[0]["topics"].push_back(line.take("topic"));
        return command;
    }
    if (object == "methods") {
        Command command{.method = "rpc.methods", .view = View::methods};
        if (!line.empty()) command.only = line.take("method");
        return command;
    }
    return raw(line);
}

}  // namespace

std::variant<Command, Usage> parse_command(const std::vector<std::string>& words, bool all) {
    try {
        Line line(words);
        Command command = parse(line, all);
        line.end();
        return command;
    } catch (Refused& refused) {
        return Usage{std::move(refused.problem)};
    }
}

std::string grammar() {
    return R"(vxctl [OPTIONS] OBJECT [VERB] [KEY VALUE]...
  version | health
  port [show [NAME]]        port set NAME [mac MAC] [mtu N]
  worker [show]             segment [show [NAME]]     segment set NAME up|down
  fdb show [segment NAME [src_vni N]] [mac MAC] [dst IP] [vni N] [STATE] [limit N]
  fdb add|replace MAC dev SEGMENT [src_vni N] (dst IP | nhid N | port NAME) [vni N]
      [dstport N] [STATE] [sequence N]
  fdb del MAC dev SEGMENT [src_vni N] [dst IP [vni N] [dstport N]]
  fdb flush [dev SEGMENT [src_vni N]] [dst IP] [vni N] [port NAME] [STATE]...
  neigh [show [dev SEGMENT]]
  neigh add|replace IP lladdr MAC dev SEGMENT [router]
  neigh del IP dev SEGMENT  neigh flush [dev SEGMENT]
  maddress [show]           segment set NAME [up|down] [group IP] [dev PORT]
  mdb [show [dev SEGMENT]]  mdb add|del dev SEGMENT (port NAME | dst IP) grp GROUP [src IP]
      [filter_mode include|exclude] [source_list IP,IP...]
  refused                   route [show [table TABLE | slave SLAVE]]
  mtu [show]                mtu flush [remote IP]
  groups
  route add|replace TO table TABLE (HOP | nexthop HOP [weight N]... | TYPE)
  route del TO table TABLE
  slave [show [SLAVE]]      slave set SLAVE up|down
  ipvlan [show]             ipvlan set NAME [mode l2|l3|l3s] [flag bridge|private|vepa]
  rule [show]               conntrack count|timeouts
  conntrack show|flush [ipvlan NAME] [slave SLAVE] [vrf NAME] [protocol P] [address IP] [port N]
  drops [--all]             stages               stats reset
  reload [--dry-run]        capture [list]       capture stop ID
  capture start port NAME file PATH [direction rx|tx|both] [filter EXPRESSION [inner]]
                [snaplen N] [limit-count N] [limit-size N [rotate N]] [force]
  events [TOPIC]...
  methods [METHOD]          rpc METHOD [JSON]
STATE is permanent, static or dynamic. SLAVE is NAME or IPVLAN/NAME. TABLE is main, one of the
topology's tables, or SLAVE. HOP is via IP [dev PORT], dev PORT, slave SLAVE,
vxlan SEGMENT remote IP lladdr MAC, or lookup TABLE. TYPE is blackhole, unreachable, prohibit,
throw or local. Words may be shortened.
)";
}

}  // namespace vxplane::control::ctl
