// Group policies: ports that mark frames or choose among them, and the segments where that means
// something.
#include <algorithm>
#include <map>

#include "config/judge.hpp"
#include "config/limits.hpp"

namespace vxplane::config {

void judge_groups(Judge& judge) {
    std::map<std::string_view, const Vxlan*> home;
    for (const Vxlan& vxlan : judge.topology().vxlans) {
        for (const std::string& port : vxlan.ports) home.try_emplace(port, &vxlan);
    }
    for (const Port& port : judge.topology().ports) {
        const auto at = home.find(port.name);
        const auto refuse = [&](std::string_view key, const std::string& message) {
            judge.refuse(port.keys.of(key, port.where),
                         "ports." + port.name + "." + std::string(key), message);
        };
        for (const char* key : {"group-policy", "accept-groups"}) {
            if (!port.keys.has(key)) continue;
            if (at == home.end()) {
                refuse(key,
                       "says nothing of a port that is in no segment (ports of a vxlan with "
                       "gbp: true)");
            } else if (!at->second->gbp) {
                refuse(key, "says nothing in segment '" + at->second->name + "'" +
                                line_text(at->second->where) +
                                ", whose headers tell no groups (gbp: true)");
            }
        }
        if (port.keys.has("policy-flags") && !port.group_policy) {
            refuse("policy-flags", "goes with an id (group-policy)");
        }
        if (port.group_policy) {
            judge.range(port.keys.of("group-policy", port.where),
                        "ports." + port.name + ".group-policy", *port.group_policy, 0,
                        limits::group_max);
        }
    }
}

}  // namespace vxplane::config
