// Methods about the paths of tunnels: what routers of the underlay said.
#include <algorithm>
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

}  // namespace

void add_path_methods(Daemon& daemon) {
    rpc::MethodTable& table = daemon.server().methods();
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
