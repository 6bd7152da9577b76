// What a segment watches: its neighbours, its peers, and words that mean nothing without another.
#include <map>
#include <set>

#include "config/expand.hpp"
#include "config/judge.hpp"
#include "config/parse.hpp"

namespace vxplane::config {
namespace {

void judge_neighbours_of(Judge& judge, const Vxlan& vxlan, const std::string& path) {
    std::map<IpAddress, Position> seen;
    for (std::size_t i = 0; i < vxlan.neighbours.size(); ++i) {
        const SegmentNeighbour& one = vxlan.neighbours[i];
        const std::string item =
            item_path(path + ".neighbours", vxlan.part_of.empty() ? i : one.place);
        const Position where = one.keys.of("ip", one.where);
        if (const auto problem = unfit_host(one.ip)) {
            judge.refuse(where, item + ".ip", *problem + " (the address of one host)");
        }
        if (one.lladdr.is_zero() || one.lladdr.is_multicast()) {
            judge.refuse(one.keys.of("lladdr", one.where), item + ".lladdr",
                         one.lladdr.text() + " is not the address of one station (a unicast MAC)");
        }
        const auto [earlier, fresh] = seen.try_emplace(one.ip, where);
        if (!fresh) {
            judge.refuse(where, item + ".ip",
                         one.ip.text() + " is given twice" + line_text(earlier->second) +
                             " (each address once)");
        }
    }
}

void judge_peers(Judge& judge, const Vxlan& vxlan, const std::string& path) {
    std::set<IpPrefix> seen;
    for (std::size_t i = 0; i < vxlan.peers.size(); ++i) {
        const IpPrefix& peer = vxlan.peers[i];
        if (seen.insert(peer).second) continue;
        judge.refuse(position_at(vxlan.peer_where, i, vxlan.where), item_path(path + ".peers", i),
                     peer.text() + " is given twice (each once)");
    }
}

}  // namespace

void judge_watch(Judge& judge, const Vxlan& vxlan) {
    const std::string path = "vxlans." + said_name(vxlan);
    judge_neighbours_of(judge, vxlan, path);
    judge_peers(judge, vxlan, path);
    if (vxlan.keys.has("proxy-fallback") && !vxlan.proxy) {
        judge.refuse(vxlan.keys.of("proxy-fallback", vxlan.where), path + ".proxy-fallback",
                     "says what becomes of what proxy leaves, and proxy is false (proxy: true)");
    }
    if (vxlan.proxy_dad && !vxlan.proxy && !vxlan.neigh_suppress) {
        judge.refuse(vxlan.keys.of("proxy-dad", vxlan.where), path + ".proxy-dad",
                     "says what proxy answers, and proxy is false (proxy: true or neigh-suppress: "
                     "true)");
    }
    if (vxlan.neigh_suppress && vxlan.proxy && vxlan.proxy_fallback == ProxyFallback::kernel) {
        judge.refuse(vxlan.keys.of("neigh-suppress", vxlan.where), path + ".neigh-suppress",
                     "floods what it cannot answer, and proxy-fallback" +
                         line_text(vxlan.keys.of("proxy-fallback", vxlan.where)) +
                         " keeps that from remote VTEPs (proxy-fallback: flood)");
    }
    for (std::size_t i = 0; i < vxlan.fdb.size(); ++i) {
        const FdbEntry& entry = vxlan.fdb[i];
        if (!entry.router) continue;
        const Position where = entry.keys.of("router", entry.where);
        const std::string item = item_path(path + ".fdb", said_index(vxlan, i)) + ".router";
        if (entry.mac.is_zero() || entry.mac.is_multicast()) {
            judge.refuse(where, item, entry.mac.text() + " is no router (a unicast MAC)");
        } else if (!entry.port.empty()) {
            judge.refuse(
                where, item,
                "a router at port " + entry.port + " is not behind a remote VTEP (dst or nhid)");
        }
    }
}

}  // namespace vxplane::config
