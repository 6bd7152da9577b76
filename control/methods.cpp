#include "control/methods.hpp"

#include <rte_version.h>
#include <unistd.h>

#include <limits>

#include "config/limits.hpp"
#include "control/apply/words.hpp"
#include "control/daemon.hpp"
#include "dataplane/net/icmpv6.hpp"

namespace vxplane::control {

using rpc::Json;
using rpc::Reply;
using rpc::Type;

std::optional<std::string> word(const Json& params, const char* key) {
    return params.contains(key) ? std::optional(params.at(key).get<std::string>()) : std::nullopt;
}

namespace {

// What a reply can hold; each more would only cost memory and time of the control thread.
constexpr std::int64_t kMostEntries = 500'000;

const std::vector<std::string> kStates{"dynamic", "static", "permanent", "controller"};

std::optional<table::FdbState> state_of(const Json& params) {
    const auto name = word(params, "state");
    if (!name) {
        return std::nullopt;
    }
    return *name == "dynamic"      ? table::FdbState::dynamic
           : *name == "static"     ? table::FdbState::static_
           : *name == "controller" ? table::FdbState::controller
                                   : table::FdbState::permanent;
}

/// Reads the parameters that name an entry or its place; problems become error -32602 or -32000.
struct Selection {
    FdbFilter filter;
    std::optional<rpc::Error> error;
};

/// By its name; of an external vxlan by that and a VNI, or all of its segments.
std::optional<rpc::Error> select_segment(const Bridge& bridge, const std::string& name,
                                         const Json& params, FdbFilter& filter) {
    const bool has_vni = params.contains("src_vni");
    const std::string vni = has_vni ? params.at("src_vni").dump() : "";
    filter.segment = bridge.find_segment(has_vni ? name + ":" + vni : name);
    if (filter.segment) {
        return std::nullopt;
    }
    const auto count = static_cast<std::uint16_t>(bridge.segment_count());
    for (std::uint16_t i = 0; i < count; ++i) {
        if (bridge.is_used(i) && bridge.segment(i).part_of == name) {
            filter.part_of = name;
            return has_vni ? std::optional(rpc::refuse("segment '" + name + "' has no VNI " + vni))
                           : std::nullopt;
        }
    }
    return rpc::refuse(has_vni && bridge.find_segment(name)
                           ? "segment '" + name + "' is no external vxlan (src_vni)"
                           : "no segment '" + name + "'");
}

/// For what concerns one segment.
std::optional<rpc::Error> needs_one(const FdbFilter& filter) {
    return filter.segment ? std::nullopt
                          : std::optional(rpc::invalid("segment '" + *filter.part_of +
                                                       "' has many VNIs: src_vni says which"));
}

Selection selection(Daemon& daemon, const Json& params) {
    Selection out;
    if (const auto name = word(params, "segment")) {
        if (auto error = select_segment(daemon.bridge(), *name, params, out.filter)) {
            out.error = std::move(error);
            return out;
        }
    }
    if (const auto mac = word(params, "mac")) {
        out.filter.mac = parse_mac(*mac);
        if (!out.filter.mac) {
            out.error = rpc::invalid("mac: '" + *mac + "' is not a MAC address");
            return out;
        }
    }
    if (const auto dst = word(params, "dst")) {
        out.filter.place.remote = parse_ip(*dst);
        if (!out.filter.place.remote || !net::is_host(*out.filter.place.remote)) {
            out.error = rpc::invalid("dst: '" + *dst + "' is not a unicast IP address");
            return out;
        }
    }
    if (const auto port = word(params, "port")) {
        const OpenPort* open = daemon.machine().by_name(*port);
        if (open == nullptr) {
            out.error = rpc::refuse("no port '" + *port + "'");
            return out;
        }
        out.filter.place.port = open->port->id();
    }
    if (params.contains("nhid")) {
        out.filter.place.nhid = params.at("nhid").get<std::uint32_t>();
    }
    out.filter.place.own = {params.value("vni", 0U), params.value("dstport", std::uint16_t{0})};
    out.filter.state = state_of(params);
    return out;
}

std::string own_text(OwnNumbers own) {
    return (own.vni == 0 ? "" : " vni " + std::to_string(own.vni)) +
           (own.dstport == 0 ? "" : " dstport " + std::to_string(own.dstport));
}

Json entry_json(Daemon& daemon, const FdbView& view) {
    const SegmentSpec& segment = daemon.bridge().segment(view.segment);
    Json row{{"mac", text(view.mac)},
             {"segment", segment.name},
             {"vni", segment.vni.number},
             {"state", view.duplicate ? "duplicate" : text(view.state)}};
    if (view.sequence) {
        row["sequence"] = *view.sequence;
    }
    if (view.port) {
        const OpenPort* port = daemon.machine().by_id(*view.port);
        row["port"] = port == nullptr ? "?" : port->port->name();
    } else if (view.router) {
        row["router"] = true;
    } else if (view.nhid) {
        row["nhid"] = *view.nhid;
    } else if (view.remotes.size() == 1) {
        row["dst"] = text(view.remotes.front());
    } else {
        Json remotes = Json::array();
        for (std::size_t i = 0; i < view.remotes.size(); ++i) {
            remotes.push_back(text(view.remotes[i]) + own_text(view.own[i]));
        }
        row["remotes"] = remotes;
    }
    if (view.own.size() == 1 && view.own.front().vni != 0) {
        row["dst_vni"] = view.own.front().vni;
    }
    if (view.own.size() == 1 && view.own.front().dstport != 0) {
        row["dstport"] = view.own.front().dstport;
    }
    if (view.age) {
        row["age_s"] = static_cast<double>(view.age->count()) / 1000.0;
    }
    if (view.previous) {
        row["previous"] = text(*view.previous);
    }
    return row;
}

Reply fdb_show(Daemon& daemon, const Json& params) {
    const Selection chosen = selection(daemon, params);
    if (chosen.error) {
        return *chosen.error;
    }
    // Enough for a person; a program asks for what it needs.
    constexpr std::int64_t kDefaultLimit = 10'000;
    const std::int64_t limit = params.value("limit", kDefaultLimit);
    Json entries = Json::array();
    bool cut = false;
    daemon.bridge().show(chosen.filter, Neighbours::Clock::now(), [&](const FdbView& view) {
        if (static_cast<std::int64_t>(entries.size()) >= limit) {
            cut = true;
            return false;
        }
        entries.push_back(entry_json(daemon, view));
        return true;
    });
    const table::Fdb& fdb = daemon.bridge().fdb();
    return Json{{"entries", entries},
                {"cut", cut},
                {"used", fdb.used()},
                {"high_water", fdb.high_water()},
                {"refused", fdb.refused() + daemon.bridge().counters().learn_refused},
                {"capacity", fdb.capacity()},
                {"memory_bytes", fdb.memory_bytes()},
                {"tunnels",
                 {{"used", daemon.tunnels().used()},
                  {"high_water", daemon.tunnels().high_water()},
                  {"refused", daemon.tunnels().refused()},
                  {"capacity", daemon.tunnels().capacity()}}}};
}

Reply fdb_put(Daemon& daemon, const Json& params, bool replacing) {
    const Selection chosen = selection(daemon, params);
    if (chosen.error) {
        return *chosen.error;
    }
    if (auto error = needs_one(chosen.filter)) {
        return *error;
    }
    const FdbPlace& place = chosen.filter.place;
    if ((place.remote ? 1 : 0) + (place.nhid ? 1 : 0) + (place.port ? 1 : 0) != 1) {
        return rpc::invalid("exactly one of dst, nhid and port must be given");
    }
    if (place.port && place.own != OwnNumbers{}) {
        return rpc::invalid("vni and dstport go with dst or nhid");
    }
    FdbRequest request;
    request.segment = *chosen.filter.segment;
    request.mac = *chosen.filter.mac;
    request.place = place;
    request.state = chosen.filter.state.value_or(table::FdbState::permanent);
    if (params.contains("sequence")) {
        if (request.state != table::FdbState::controller) {
            return rpc::invalid("sequence goes with state controller");
        }
        request.sequence = params.at("sequence").get<std::uint32_t>();
    }
    const auto now = Neighbours::Clock::now();
    const auto problem =
        replacing ? daemon.bridge().replace(request, now) : daemon.bridge().add(request, now);
    return problem ? Reply(rpc::refuse(*problem)) : Reply(Json::object());
}

Reply fdb_del(Daemon& daemon, const Json& params) {
    const Selection chosen = selection(daemon, params);
    if (chosen.error) {
        return *chosen.error;
    }
    if (auto error = needs_one(chosen.filter)) {
        return *error;
    }
    const auto problem =
        daemon.bridge().remove(*chosen.filter.segment, *chosen.filter.mac,
                               chosen.filter.place.remote, chosen.filter.place.own);
    return problem ? Reply(rpc::refuse(*problem)) : Reply(Json::object());
}

Reply fdb_flush(Daemon& daemon, const Json& params) {
    const Selection chosen = selection(daemon, params);
    if (chosen.error) {
        return *chosen.error;
    }
    const std::uint32_t removed = daemon.bridge().flush(chosen.filter);
    daemon.server().publish("fdb", {{"what", "flushed"}, {"removed", removed}});
    return Json{{"removed", removed}};
}

Reply neigh(Daemon& daemon) {
    Json out = Json::array();
    daemon.neighbours().for_each(Neighbours::Clock::now(), [&](const Neighbours::View& view) {
        const OpenPort* port = daemon.machine().by_id(view.key.port);
        out.push_back({{"address", text(view.key.address)},
                       {"lladdr", view.mac.is_zero() ? "" : text(view.mac)},
                       {"dev", port == nullptr ? "?" : port->port->name()},
                       {"state", name(view.state)},
                       {"held_packets", view.held_packets},
                       {"held_bytes", view.held_bytes},
                       {"probes", view.probes},
                       {"age_s", static_cast<double>(view.since_confirmed.count()) / 1000.0}});
    });
    return out;
}

Reply reload(Daemon& daemon, const Json& params) {
    const bool dry = params.value("dry_run", false);
    const Daemon::ReloadReport report = daemon.reload(dry);
    if (report.problems.empty()) {
        return Json{{"changes", report.changes}, {"done", !dry}};
    }
    std::string all = "nothing was changed:";
    for (const std::string& problem : report.problems) {
        all += "\n" + problem;
    }
    return rpc::refuse(all, {{"problems", report.problems}, {"changes", report.changes}});
}

Reply version(Daemon& daemon) {
    const auto up = std::chrono::duration_cast<std::chrono::seconds>(
        std::chrono::steady_clock::now() - daemon.started());
    return Json{{"version", VXPLANE_VERSION},
                {"dpdk", rte_version()},
                {"pid", getpid()},
                {"uptime_s", up.count()},
                {"topology", daemon.topology().file},
                {"hugepages", daemon.machine().eal().hugepages},
                {"eal", daemon.machine().eal().text}};
}

}  // namespace

void add_methods(Daemon& daemon) {
    rpc::MethodTable& table = daemon.server().methods();
    const auto read = [&](std::string name, std::string help, std::vector<rpc::Param> params,
                          std::function<Reply(const Json&)> call) {
        table.add({std::move(name), std::move(help), std::move(params), false, std::move(call)});
    };
    const auto write = [&](std::string name, std::string help, std::vector<rpc::Param> params,
                           std::function<Reply(const Json&)> call) {
        table.add({std::move(name), std::move(help), std::move(params), true, std::move(call)});
    };
    const rpc::Param name{"name", Type::string, false, "only the one of this name"};
    const rpc::Param segment{"segment", Type::string, false, "name of a segment"};
    const rpc::Param mac{"mac", Type::string, false, "MAC address; all zero is the flood list"};
    const rpc::Param dst{"dst", Type::string, false, "IP address of a remote VTEP"};
    const rpc::Param nhid{"nhid",
                          Type::integer,
                          false,
                          "id of a next-hop group",
                          {},
                          1,
                          std::numeric_limits<std::uint32_t>::max()};
    const rpc::Param port{"port", Type::string, false, "name of an access port"};
    const rpc::Param state{"state", Type::string, false, "how long it stays", kStates};
    const rpc::Param limit{"limit", Type::integer, false, "entries at most, 10000 unless given", {},
                           1,       kMostEntries};
    const auto required = [](rpc::Param param) {
        param.required = true;
        return param;
    };

    read("version", "version, process, topology", {},
         [&daemon](const Json&) { return version(daemon); });
    read("health", "alarms, and packets that are unaccounted for", {},
         [&daemon](const Json&) { return daemon.stats().health(); });
    read("ports", "ports with their counters", {name},
         [&daemon](const Json& params) { return daemon.stats().ports(word(params, "name")); });
    read("workers", "workers with their counters", {},
         [&daemon](const Json&) { return daemon.stats().workers(); });
    add_spread_methods(daemon);
    read("segments", "VXLAN segments with their counters", {name},
         [&daemon](const Json& params) { return daemon.stats().segments(word(params, "name")); });
    read("segments.unknown", "VNIs that arrived lately and are in no segment", {},
         [&daemon](const Json&) { return daemon.stats().unknown_vnis(); });
    read("segments.groups", "group policies that tunnels brought, by VNI", {},
         [&daemon](const Json&) { return daemon.stats().groups(); });
    read(
        "drops", "dropped packets by reason",
        {{"all", Type::boolean, false, "also reasons that never happened"}},
        [&daemon](const Json& params) { return daemon.stats().drops(params.value("all", false)); });
    read("stages", "cycles per packet by path and stage", {},
         [&daemon](const Json&) { return daemon.stats().stages(); });
    read("neigh", "next hops of the underlay", {},
         [&daemon](const Json&) { return neigh(daemon); });
    const rpc::Param vni{"vni",
                         Type::integer,
                         false,
                         "VNI to send with, where it is not that of the segment",
                         {},
                         1,
                         config::limits::vni_max};
    const rpc::Param dstport{"dstport", Type::integer, false, "the same for the UDP port", {},
                             1,         0xFFFF};
    const rpc::Param src_vni{
        "src_vni", Type::integer,          false, "of an external vxlan: VNI of the entry", {},
        1,         config::limits::vni_max};
    read("fdb.show", "entries of the forwarding database",
         {segment, src_vni, mac, dst, vni, dstport, nhid, port, state, limit},
         [&daemon](const Json& params) { return fdb_show(daemon, params); });

    const rpc::Param sequence{"sequence",
                              Type::integer,
                              false,
                              "of a controller: what is not newer than before is refused",
                              {},
                              0,
                              std::numeric_limits<std::uint32_t>::max()};
    const std::vector<rpc::Param> entry{required(segment), src_vni, required(mac), dst,   vni,
                                        dstport,           nhid,    port,          state, sequence};
    write("fdb.add", "adds an entry, or a remote to a flood list", entry,
          [&daemon](const Json& params) { return fdb_put(daemon, params, false); });
    write("fdb.replace", "adds an entry or changes its place", entry,
          [&daemon](const Json& params) { return fdb_put(daemon, params, true); });
    write("fdb.del", "removes an entry, or one remote of several",
          {required(segment), src_vni, required(mac), dst, vni, dstport},
          [&daemon](const Json& params) { return fdb_del(daemon, params); });
    write("fdb.flush", "removes every entry that fits",
          {segment, src_vni, dst, vni, dstport, nhid, port, state},
          [&daemon](const Json& params) { return fdb_flush(daemon, params); });
    write("reload", "reads the topology file again and changes what runs, all or nothing",
          {{"dry_run", Type::boolean, false, "only say what would be done"}},
          [&daemon](const Json& params) { return reload(daemon, params); });
    write("stats.reset", "lets all counters start at zero", {}, [&daemon](const Json&) {
        daemon.stats().reset();
        return Reply(Json::object());
    });

    add_segment_methods(daemon);
    add_path_methods(daemon);
    add_multicast_methods(daemon);
    add_capture_methods(daemon);
    add_ipvlan_methods(daemon);
    add_route_methods(daemon);

    daemon.server().add_topic(
        "fdb", "entries learned, moved, aged, added, removed, found to be duplicates");
    daemon.server().add_topic("neigh", "next hops resolved, failed, in conflict");
    daemon.server().add_topic("segment-neigh", "neighbours in segments learned, moved, aged");
    daemon.server().add_topic("miss", "MAC and IP addresses in segments that nobody knows");
    daemon.server().add_topic("alarm", "alarms that came or went");
}

}  // namespace vxplane::control
