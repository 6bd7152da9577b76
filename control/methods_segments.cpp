// Methods about who is who in segments, and about peers that were refused.
#include <algorithm>
#include <map>

#include "config/load.hpp"
#include "config/parse.hpp"
#include "control/apply/words.hpp"
#include "control/daemon.hpp"
#include "control/methods.hpp"

namespace vxplane::control {

using rpc::Json;
using rpc::Reply;
using rpc::Type;

namespace {

/// What the parameters name, or why they do not.
struct Named {
    std::optional<std::uint16_t> segment;
    net::IpAddress address;
    net::MacAddress mac;
    std::optional<rpc::Error> error;
};

Named named(Daemon& daemon, const Json& params) {
    Named out;
    if (params.contains("segment")) {
        const auto name = params.at("segment").get<std::string>();
        out.segment = daemon.bridge().find_segment(name);
        if (!out.segment) {
            out.error = rpc::refuse("no segment '" + name + "'");
            return out;
        }
    }
    if (params.contains("address")) {
        const auto word = params.at("address").get<std::string>();
        const auto address = parse_ip(word);
        if (!address) {
            out.error = rpc::invalid("address: '" + word + "' is not an IP address");
            return out;
        }
        out.address = *address;
    }
    if (params.contains("lladdr")) {
        const auto word = params.at("lladdr").get<std::string>();
        const auto mac = parse_mac(word);
        if (!mac) {
            out.error = rpc::invalid("lladdr: '" + word + "' is not a MAC address");
            return out;
        }
        out.mac = *mac;
    }
    return out;
}

Reply show(Daemon& daemon, const Json& params) {
    const Named what = named(daemon, params);
    if (what.error) {
        return *what.error;
    }
    constexpr std::size_t kMost = 100'000;
    Json out = Json::array();
    daemon.segment_neighbours().for_each(
        what.segment, Neighbours::Clock::now(), [&](const SegmentNeighbours::View& view) {
            if (out.size() >= kMost) {
                return;
            }
            Json row{{"address", text(view.address)},
                     {"lladdr", text(view.mac)},
                     {"segment", daemon.bridge().segment(view.segment).name},
                     {"state", name(view.state)},
                     {"router", view.router}};
            if (view.state == SegmentNeighbours::State::learned) {
                row["age_s"] = static_cast<double>(view.age.count()) / 1000.0;
            }
            out.push_back(std::move(row));
        });
    return out;
}

Reply put(Daemon& daemon, const Json& params, bool replacing) {
    const Named what = named(daemon, params);
    if (what.error) {
        return *what.error;
    }
    const auto problem = daemon.segment_neighbours().add(*what.segment, what.address, what.mac,
                                                         params.value("router", false), replacing);
    return problem ? Reply(rpc::refuse(*problem)) : Reply(Json::object());
}

Reply remove(Daemon& daemon, const Json& params) {
    const Named what = named(daemon, params);
    if (what.error) {
        return *what.error;
    }
    const auto problem = daemon.segment_neighbours().remove(*what.segment, what.address);
    return problem ? Reply(rpc::refuse(*problem)) : Reply(Json::object());
}

Reply flush_neighbours(Daemon& daemon, const Json& params) {
    const Named what = named(daemon, params);
    if (what.error) {
        return *what.error;
    }
    return Json{{"removed", daemon.segment_neighbours().flush(what.segment)}};
}

Json refused(Daemon& daemon) {
    std::map<std::pair<net::IpAddress, packet::DropReason>, std::uint64_t> all;
    packet::DropCounts others{};
    for (const auto& worker : daemon.machine().workers()) {
        const step::RefusedPeers& seen = worker->refused_peers();
        seen.for_each([&](const step::RefusedPeers::Sample& sample) {
            all[{sample.peer, sample.reason}] += sample.count;
        });
        for (std::size_t i = 0; i < others.size(); ++i) {
            others[i] += seen.others(static_cast<packet::DropReason>(i));
        }
    }
    Json out = Json::array();
    for (const auto& [what, count] : all) {
        out.push_back({{"peer", text(what.first)},
                       {"reason", packet::info(what.second).name},
                       {"packets", count}});
    }
    for (std::size_t i = 0; i < others.size(); ++i) {
        if (others[i] != 0) {
            out.push_back({{"peer", "others"},
                           {"reason", packet::kDropReasonInfo[i].name},
                           {"packets", others[i]}});
        }
    }
    return out;
}

Reply set(Daemon& daemon, const Json& params) {
    config::Topology next = daemon.topology();
    const std::string name = params.at("name");
    bool found = false;
    for (config::Vxlan& vxlan : next.vxlans) {
        if (vxlan.name != name && vxlan.part_of != name) {
            continue;
        }
        found = true;
        for (const auto& [key, value] : params.items()) {
            if (key == "name") {
                continue;
            }
            if (const auto problem = config::set_live_key(vxlan, key, value.get<std::string>())) {
                return rpc::invalid(key + ": " + *problem);
            }
        }
    }
    if (!found) {
        return rpc::refuse("no segment '" + name + "'");
    }
    return outcome(daemon.change(std::move(next)));
}

}  // namespace

void add_segment_methods(Daemon& daemon) {
    rpc::MethodTable& table = daemon.server().methods();
    const rpc::Param segment{"segment", Type::string, false, "name of a segment"};
    const rpc::Param its{"segment", Type::string, true, "name of a segment"};
    const rpc::Param address{"address", Type::string, true, "IP address of a host in the segment"};
    const rpc::Param lladdr{"lladdr", Type::string, true, "its MAC address"};
    const rpc::Param router{"router", Type::boolean, false, "advertised as a router"};
    std::vector<rpc::Param> live{{"name", Type::string, true, "name of a segment"}};
    for (const config::LiveKey& key : config::live_keys_of_vxlans()) {
        live.push_back({key.name, Type::string, false, key.description});
    }
    table.add(
        {"segment.set", "changes keys of a segment, written as in a file, until the next reload",
         std::move(live), true, [&daemon](const Json& params) { return set(daemon, params); }});
    table.add({"segments.neigh",
               "who has which IP address in segments",
               {segment},
               false,
               [&daemon](const Json& params) { return show(daemon, params); }});
    table.add({"segments.neigh.add",
               "tells who has an IP address",
               {its, address, lladdr, router},
               true,
               [&daemon](const Json& params) { return put(daemon, params, false); }});
    table.add({"segments.neigh.replace",
               "tells who has an IP address now",
               {its, address, lladdr, router},
               true,
               [&daemon](const Json& params) { return put(daemon, params, true); }});
    table.add({"segments.neigh.del",
               "forgets who has an IP address",
               {its, address},
               true,
               [&daemon](const Json& params) { return remove(daemon, params); }});
    table.add({"segments.neigh.flush",
               "forgets what was learned and told",
               {segment},
               true,
               [&daemon](const Json& params) { return flush_neighbours(daemon, params); }});
    table.add(
        {"segments.refused",
         "peers that were refused, why and how often; others: those that had no room any more",
         {},
         false,
         [&daemon](const Json&) -> Reply { return refused(daemon); }});
}

}  // namespace vxplane::control
