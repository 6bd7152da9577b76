// The entries of one segment: where each leads, and how many there are.
#include <algorithm>
#include <map>
#include <set>

#include "config/judge.hpp"
#include "config/nearest.hpp"
#include "config/resolve.hpp"

namespace vxplane::config {
namespace {

void judge_destinations(Judge& judge, const FdbEntry& entry, const std::string& path) {
    std::set<IpAddress> seen;
    for (std::size_t i = 0; i < entry.dst.size(); ++i) {
        const Position where = position_at(entry.dst_where, i, entry.where);
        const std::string item =
            entry.dst.size() == 1 ? path + ".dst" : item_path(path + ".dst", i);
        if (!judge.remote(where, item, entry.dst[i])) continue;
        if (!seen.insert(entry.dst[i]).second) {
            judge.refuse(where, item, entry.dst[i].text() + " is given twice (each remote once)");
        }
    }
    if (entry.dst.size() > 1 && !entry.mac.is_zero() && !entry.mac.is_multicast()) {
        judge.refuse(position_at(entry.dst_where, 1, entry.where), path + ".dst",
                     "a second remote for the unicast address " + entry.mac.text() +
                         " (one remote, or nhid with a group of them)");
    }
}

void judge_nhid(Judge& judge, const FdbEntry& entry, const std::string& path) {
    const Position where = entry.keys.of("nhid", entry.where);
    if (entry.mac.is_zero() || entry.mac.is_multicast()) {
        judge.refuse(where, path + ".nhid",
                     "a next-hop group needs a unicast address (dst with a list of remotes)");
    }
    if (find_nexthop(judge.topology(), *entry.nhid) != nullptr) return;
    std::vector<std::string> ids;
    for (const NexthopGroup& group : judge.topology().nexthops) {
        ids.push_back(std::to_string(group.id));
    }
    const std::string id = std::to_string(*entry.nhid);
    const std::vector<std::string_view> candidates(ids.begin(), ids.end());
    const std::string_view guess = nearest(id, candidates);
    std::string message = "there is no next-hop group " + id;
    if (!guess.empty()) message += ", the nearest is " + std::string(guess);
    judge.refuse(where, path + ".nhid", message + " (one of nexthops)");
}

void judge_local_port(Judge& judge, const Vxlan& vxlan, const FdbEntry& entry,
                      const std::string& path) {
    const Position where = entry.keys.of("port", entry.where);
    if (entry.mac.is_zero() || entry.mac.is_multicast()) {
        judge.refuse(where, path + ".port",
                     "floods reach every port of the segment anyway (a unicast MAC)");
    }
    if (judge.port(where, path + ".port", entry.port, PortRole::access) == nullptr) return;
    if (std::ranges::find(vxlan.ports, entry.port) == vxlan.ports.end()) {
        judge.refuse(where, path + ".port",
                     "port " + quoted(entry.port) + " is not in segment " + quoted(vxlan.name) +
                         " (one of its ports)");
    }
}

void judge_entry(Judge& judge, const Vxlan& vxlan, const FdbEntry& entry, const std::string& path) {
    const int ways =
        (entry.dst.empty() ? 0 : 1) + (entry.nhid ? 1 : 0) + (entry.port.empty() ? 0 : 1);
    if (ways != 1) {
        judge.refuse(entry.where, path,
                     ways == 0 ? "the entry leads nowhere (one of dst, nhid and port)"
                               : "the entry leads several ways (one of dst, nhid and port)");
    }
    judge_destinations(judge, entry, path);
    if (entry.nhid) judge_nhid(judge, entry, path);
    if (!entry.port.empty()) judge_local_port(judge, vxlan, entry, path);
}

}  // namespace

void judge_fdb(Judge& judge, const Vxlan& vxlan) {
    const std::string list = "vxlans." + vxlan.name + ".fdb";
    std::map<MacAddress, Position> seen;
    std::size_t counted = 0;
    for (std::size_t i = 0; i < vxlan.fdb.size(); ++i) {
        const FdbEntry& entry = vxlan.fdb[i];
        judge_entry(judge, vxlan, entry, item_path(list, i));
        if (!entry.mac.is_zero()) ++counted;
        const auto [earlier, fresh] = seen.try_emplace(entry.mac, entry.where);
        if (!fresh) {
            judge.refuse(entry.keys.of("mac", entry.where), item_path(list, i, "mac"),
                         entry.mac.text() + " is given twice" + line_text(earlier->second) +
                             " (one entry per address)");
        }
    }
    if (vxlan.maxaddr != 0 && counted > vxlan.maxaddr) {
        judge.refuse(vxlan.keys.of("maxaddr", vxlan.where), "vxlans." + vxlan.name + ".maxaddr",
                     std::to_string(counted) + " entries are configured (at least " +
                         std::to_string(counted) + ", or 0 for no limit)");
    }
}

}  // namespace vxplane::config
