// Methods about the paths of tunnels: routes, and what routers of the underlay said.
#include <algorithm>
#include <array>
#include <chrono>

#include "control/apply/words.hpp"
#include "control/daemon.hpp"
#include "control/methods.hpp"

namespace vxplane::control {

using rpc::Json;
using rpc::Reply;
using rpc::Type;

namespace {

Json show(Daemon& daemon) {
    const auto now = Neighbours::Clock::now();
    Json out = Json::array();
    for (const auto& [remote, path] : daemon.tunnels().all_path_mtus()) {
        const auto left = std::chrono::duration_cast<std::chrono::seconds>(path.until - now);
        out.push_back({{"remote", text(remote)},
                       {"mtu", path.mtu},
                       {"expires_s", std::max<std::int64_t>(left.count(), 0)}});
    }
    return out;
}

Reply flush_paths(Daemon& daemon, const Json& params) {
    std::optional<net::IpAddress> remote;
    if (params.contains("remote")) {
        const auto word = params.at("remote").get<std::string>();
        remote = parse_ip(word);
        if (!remote) {
            return rpc::invalid("remote: '" + word + "' is not an IP address");
        }
    }
    const std::size_t gone = daemon.tunnels().flush_path_mtus(remote, Neighbours::Clock::now());
    daemon.bridge().commit();
    return Json{{"removed", gone}};
}

std::string_view name_of(table::RouteType type) {
    constexpr std::array<std::string_view, 6> kNames{"unicast",     "local",    "blackhole",
                                                     "unreachable", "prohibit", "throw"};
    return kNames[static_cast<std::size_t>(type)];
}

Reply routes(Daemon& daemon) {
    Json out = Json::array();
    const auto add = [&](const std::string& to, const auto& route, const std::string& via) {
        Json row{{"to", to}, {"type", name_of(route.type)}, {"via", ""}, {"dev", ""}};
        if (route.type == table::RouteType::unicast || route.type == table::RouteType::local) {
            const OpenPort* port = daemon.machine().by_id(route.port);
            row["dev"] = port == nullptr ? "?" : port->port->name();
            row["via"] = via;
        }
        out.push_back(std::move(row));
    };
    const auto add4 = [&](std::uint32_t prefix, std::uint8_t length, const table::Route& route) {
        add(length == 0 ? "default"
                        : text(net::Ipv4Address::of(prefix)) + "/" + std::to_string(length),
            route, route.via == 0 ? "" : text(net::Ipv4Address::of(route.via)));
    };
    daemon.routes().v4.for_each(add4);
    for (const auto& [tos, fib] : daemon.routes().by_tos) {
        fib.for_each([&](std::uint32_t prefix, std::uint8_t length, const table::Route& route) {
            if (route.tos != 0) {
                add4(prefix, length, route);
                out.back()["tos"] = route.tos;
            }
        });
    }
    daemon.routes().v6.for_each(
        [&](const net::IpAddress& prefix, std::uint8_t length, const table::Route6& route) {
            add(length == 0 ? "default6" : text(prefix) + "/" + std::to_string(length), route,
                route.via.is_unset() ? "" : text(route.via));
        });
    return out;
}

}  // namespace

void add_path_methods(Daemon& daemon) {
    rpc::MethodTable& table = daemon.server().methods();
    table.add({"routes", "routes of the underlay", {}, false, [&daemon](const Json&) -> Reply {
                   return routes(daemon);
               }});
    table.add({"path_mtus",
               "remotes whose path takes less than the uplink, and for how long that is believed",
               {},
               false,
               [&daemon](const Json&) -> Reply { return show(daemon); }});
    table.add({"path_mtus.flush",
               "forgets what is known of paths",
               {{"remote", Type::string, false, "of this remote alone"}},
               true,
               [&daemon](const Json& params) { return flush_paths(daemon, params); }});
}

}  // namespace vxplane::control
