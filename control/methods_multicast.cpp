// Methods about multicast, of the underlay and of tenants.
#include <algorithm>

#include "config/parse.hpp"
#include "control/apply/words.hpp"
#include "control/daemon.hpp"
#include "control/methods.hpp"

namespace vxplane::control {

using rpc::Json;
using rpc::Reply;
using rpc::Type;

namespace {

std::string port_name(Daemon& daemon, std::uint16_t id) {
    const OpenPort* port = daemon.machine().by_id(id);
    return port == nullptr ? "?" : port->port->name();
}

Json texts(const std::vector<net::IpAddress>& addresses) {
    Json out = Json::array();
    for (const net::IpAddress& one : addresses) {
        out.push_back(text(one));
    }
    return out;
}

Json groups(Daemon& daemon) {
    Json out = Json::array();
    for (const UnderlayGroups::View& view :
         daemon.underlay_groups().views(Neighbours::Clock::now())) {
        Json segments = Json::array();
        for (const std::uint16_t index : view.segments) {
            segments.push_back(daemon.bridge().segment(index).name);
        }
        const std::string protocol = view.group.group.is_v4() ? "igmp" : "mld";
        out.push_back({{"group", text(view.group.group)},
                       {"dev", port_name(daemon, view.group.port)},
                       {"segments", segments},
                       {"state", view.group.leaving ? "leaving" : "joined"},
                       {"protocol", protocol + "v" + std::to_string(view.group.version)},
                       {"reports", view.group.reports},
                       {"leaves", view.group.leaves},
                       {"queries", view.group.queries},
                       {"filter", view.filter}});
    }
    return out;
}

/// A member of a group as the parameters name it, or why they do not.
struct Named {
    std::uint16_t segment = 0;
    MdbSpec member;
    std::optional<rpc::Error> error;
};

std::optional<net::IpAddress> host(const std::string& word) {
    const auto address = parse_ip(word);
    return address && net::is_host(*address) ? address : std::nullopt;
}

std::optional<std::string> read_sources(const Json& params, MdbSpec& member) {
    if (params.contains("source")) {
        const std::string word = params.at("source");
        const auto source = host(word);
        if (!source || source->is_v4() != member.group.is_v4()) {
            return "source: '" + word + "' is no host of the group's family";
        }
        member.source = *source;
    }
    for (const Json& one : params.value("source_list", Json::array())) {
        const auto source = one.is_string() ? host(one.get<std::string>()) : std::nullopt;
        if (!source || source->is_v4() != member.group.is_v4()) {
            return "source_list: " + one.dump() + " is no host of the group's family";
        }
        member.sources.push_back(*source);
    }
    std::sort(member.sources.begin(), member.sources.end());
    member.include = params.value("filter_mode", std::string("exclude")) == "include";
    if (!member.source.is_unset() && !member.sources.empty()) {
        return "source_list is for any source, source for one: not both";
    }
    if (member.include && member.sources.empty()) {
        return "filter_mode include of no source wants nothing (source_list)";
    }
    return std::nullopt;
}

Named named(Daemon& daemon, const Json& params) {
    Named out;
    const std::string name = params.at("segment");
    const auto segment = daemon.bridge().find_segment(name);
    if (!segment) {
        out.error = rpc::refuse("no segment '" + name + "'");
        return out;
    }
    out.segment = *segment;
    const std::string word = params.at("group");
    const auto group = parse_ip(word);
    const bool of_link =
        group && (group->is_v4() ? group->v4().number() >> 8 == 0xE00000
                                 : (group->bytes[1] & 0xFU) < 2 || *group == net::all_nodes());
    if (!group || !group->is_multicast() || of_link) {
        out.error = rpc::invalid("group: '" + word + "' is no multicast group that hosts join");
        return out;
    }
    out.member.group = *group;
    if (auto problem = read_sources(params, out.member)) {
        out.error = rpc::invalid(*problem);
        return out;
    }
    if (params.contains("dst") == params.contains("port")) {
        out.error = rpc::invalid("exactly one of dst and port must be given");
    } else if (params.contains("port") && (params.contains("vni") || params.contains("dstport"))) {
        out.error = rpc::invalid("vni and dstport are of a remote (dst)");
    } else if (params.contains("dst")) {
        const auto remote = host(params.at("dst"));
        if (!remote) {
            out.error = rpc::invalid("dst: not a unicast IP address");
        }
        out.member.remote = remote.value_or(net::IpAddress{});
        out.member.own = {params.value("vni", std::uint32_t{0}),
                          params.value("dstport", std::uint16_t{0})};
    } else {
        const std::string port = params.at("port");
        const OpenPort* open = daemon.machine().by_name(port);
        if (open == nullptr) {
            out.error = rpc::refuse("no port '" + port + "'");
        } else {
            out.member.port = open->port->id();
        }
    }
    return out;
}

Reply mdb_show(Daemon& daemon, const Json& params) {
    std::optional<std::uint16_t> segment;
    if (params.contains("segment")) {
        const std::string name = params.at("segment");
        segment = daemon.bridge().find_segment(name);
        if (!segment) {
            return rpc::refuse("no segment '" + name + "'");
        }
    }
    constexpr std::size_t kMost = 100'000;
    Json entries = Json::array();
    daemon.segment_groups().for_each(
        segment, Neighbours::Clock::now(), [&](const SegmentGroups::View& view) {
            if (entries.size() >= kMost) {
                return;
            }
            Json row{{"segment", daemon.bridge().segment(view.segment).name},
                     {"group", text(view.member.group)},
                     {"filter_mode", view.member.include ? "include" : "exclude"},
                     {"source_list", texts(view.member.sources)},
                     {"state", name(view.state)}};
            if (!view.member.source.is_unset()) {
                row["source"] = text(view.member.source);
            }
            if (view.member.remote.is_unset()) {
                row["port"] = port_name(daemon, view.member.port);
            } else {
                row["dst"] = text(view.member.remote);
                if (view.member.own.vni != 0) {
                    row["dst_vni"] = view.member.own.vni;
                }
                if (view.member.own.dstport != 0) {
                    row["dstport"] = view.member.own.dstport;
                }
            }
            if (view.state == SegmentGroups::State::reported) {
                row["timer_s"] = static_cast<double>(view.left.count()) / 1000.0;
            }
            entries.push_back(std::move(row));
        });
    Json routers = Json::array();
    for (std::size_t i = 0; i < daemon.bridge().segment_count(); ++i) {
        const auto index = static_cast<std::uint16_t>(i);
        for (const std::uint16_t port : daemon.segment_groups().routers(index)) {
            routers.push_back({{"segment", daemon.bridge().segment(index).name},
                               {"port", port_name(daemon, port)}});
        }
    }
    return Json{{"entries", entries},
                {"routers", routers},
                {"refused", daemon.segment_groups().reported().refused()},
                {"malformed", daemon.segment_groups().reported().malformed()}};
}

Reply mdb_change(Daemon& daemon, const Json& params, bool adds) {
    const Named what = named(daemon, params);
    if (what.error) {
        return *what.error;
    }
    const auto now = Neighbours::Clock::now();
    const auto problem = adds ? daemon.segment_groups().add(what.segment, what.member, now)
                              : daemon.segment_groups().remove(what.segment, what.member, now);
    return problem ? Reply(rpc::refuse(*problem)) : Reply(Json::object());
}

}  // namespace

void add_multicast_methods(Daemon& daemon) {
    rpc::MethodTable& table = daemon.server().methods();
    table.add({"maddress",
               "multicast groups of the underlay that are joined",
               {},
               false,
               [&daemon](const Json&) -> Reply { return groups(daemon); }});
    table.add({"mdb.show",
               "who gets which multicast group of tenants",
               {{"segment", Type::string, false, "name of a segment"}},
               false,
               [&daemon](const Json& params) { return mdb_show(daemon, params); }});
    const std::vector<rpc::Param> member{
        {"segment", Type::string, true, "name of a segment"},
        {"group", Type::string, true, "multicast group"},
        {"source", Type::string, false, "only what this host sends"},
        {"filter_mode", Type::string, false, "of source_list", {"include", "exclude"}},
        {"source_list", Type::array, false, "hosts that are wanted, or are not"},
        {"dst", Type::string, false, "remote VTEP that gets it"},
        {"vni", Type::integer, false, "of the remote, where it has another one", {}, 1, 0xFFFFFF},
        {"dstport", Type::integer, false, "of the remote, where it has another one", {}, 1, 65535},
        {"port", Type::string, false, "access port that gets it"}};
    table.add({"mdb.add", "adds a member of a multicast group", member, true,
               [&daemon](const Json& params) { return mdb_change(daemon, params, true); }});
    table.add({"mdb.del", "removes a member of a multicast group", member, true,
               [&daemon](const Json& params) { return mdb_change(daemon, params, false); }});
}

}  // namespace vxplane::control
