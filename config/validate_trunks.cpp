// Access ports of external vxlans: their VLANs.
#include <algorithm>

#include "config/judge.hpp"
#include "config/nearest.hpp"
#include "config/parse.hpp"

namespace vxplane::config {
namespace {

constexpr std::uint32_t vid_max = 4094;

bool is_of_external(const Topology& topology, const Port& port) {
    return std::ranges::any_of(topology.vxlans, [&port](const Vxlan& vxlan) {
        return !vxlan.part_of.empty() &&
               std::ranges::find(vxlan.ports, port.name) != vxlan.ports.end();
    });
}

}  // namespace

void judge_trunks(Judge& judge) {
    for (const Port& port : judge.topology().ports) {
        if (!port.keys.has("pvid") && !port.keys.has("vlans")) continue;
        const std::string path = "ports." + port.name;
        const auto ranges = parse_ranges(port.vlans);
        const bool fits = ranges && std::ranges::all_of(*ranges, [](const NumberRange& range) {
                              return range.lo >= 1 && range.hi <= vid_max;
                          });
        if (port.keys.has("vlans") && !fits) {
            judge.refuse(port.keys.of("vlans", port.where), path + ".vlans",
                         quoted(port.vlans) + " (VLANs such as 10-20,30, 1 to 4094)");
            continue;
        }
        if (is_of_external(judge.topology(), port)) continue;
        const char* const key = port.keys.has("pvid") ? "pvid" : "vlans";
        judge.refuse(port.keys.of(key, port.where), path + "." + key,
                     "is of trunks, and the port has no VLAN of an external vxlan (one of its "
                     "ports, and tunnel-info)");
    }
}

}  // namespace vxplane::config
