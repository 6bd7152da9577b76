// The entries of one segment: where each leads, and how many there are.
#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>

#include "config/expand.hpp"
#include "config/judge.hpp"
#include "config/nearest.hpp"
#include "config/resolve.hpp"

namespace vxplane::config {
namespace {

/// Of one entry, and of its keys. Made when something is wrong, not for each of a million entries.
class EntryPath {
  public:
    EntryPath(const std::string& list, std::size_t index) : list_(list), index_(index) {}
    [[nodiscard]] std::string text(std::string_view key = {}) const {
        return item_path(list_, index_, key);
    }

  private:
    const std::string& list_;
    std::size_t index_;
};

/// Where local-bypass delivers it, or by the wire.
bool may_lead_to_us(const Vxlan& vxlan, const FdbEntry& entry) {
    return !vxlan.local_bypass || (entry.vni != 0 && entry.vni != vxlan.id) ||
           (entry.dstport != 0 && entry.dstport != vxlan.dstport);
}

void judge_destinations(Judge& judge, const Vxlan& vxlan, const FdbEntry& entry,
                        const EntryPath& path) {
    std::set<IpAddress> seen;
    for (std::size_t i = 0; i < entry.dst.size(); ++i) {
        const Position where = position_at(entry.dst_where, i, entry.where);
        const auto item = [&] {
            return entry.dst.size() == 1 ? path.text("dst") : item_path(path.text("dst"), i);
        };
        if ((is_of_one_link(vxlan) || !judge.is_known_remote(entry.dst[i])) &&
            !judge.remote_of(vxlan, where, item(), entry.dst[i], may_lead_to_us(vxlan, entry))) {
            continue;
        }
        if (entry.dst.size() > 1 && !seen.insert(entry.dst[i]).second) {
            judge.refuse(where, item(), entry.dst[i].text() + " is given twice (each remote once)");
        }
    }
    if (entry.dst.size() > 1 && !entry.mac.is_zero() && !entry.mac.is_multicast()) {
        judge.refuse(position_at(entry.dst_where, 1, entry.where), path.text("dst"),
                     "a second remote for the unicast address " + entry.mac.text() +
                         " (one remote, or nhid with a group of them)");
    }
}

void judge_nhid(Judge& judge, const Vxlan& vxlan, const FdbEntry& entry, const EntryPath& path) {
    const Position where = entry.keys.of("nhid", entry.where);
    if (entry.mac.is_zero() || entry.mac.is_multicast()) {
        judge.refuse(where, path.text("nhid"),
                     "a next-hop group needs a unicast address (dst with a list of remotes)");
    }
    if (const NexthopGroup* const group = find_nexthop(judge.topology(), *entry.nhid)) {
        for (const IpAddress& remote : remotes_of(*group)) {
            if (is_of_one_link(vxlan) && !remote.is_ipv4())
                judge.remote_of(vxlan, where, path.text("nhid"), remote);
        }
        return;
    }
    std::vector<std::string> ids;
    for (const NexthopGroup& group : judge.topology().nexthops) {
        ids.push_back(std::to_string(group.id));
    }
    const std::string id = std::to_string(*entry.nhid);
    const std::vector<std::string_view> candidates(ids.begin(), ids.end());
    const std::string_view guess = nearest(id, candidates);
    std::string message = "there is no next-hop group " + id;
    if (!guess.empty()) message += ", the nearest is " + std::string(guess);
    judge.refuse(where, path.text("nhid"), message + " (one of nexthops)");
}

void judge_local_port(Judge& judge, const Vxlan& vxlan, const FdbEntry& entry,
                      const EntryPath& path) {
    const Position where = entry.keys.of("port", entry.where);
    if (entry.mac.is_zero() || entry.mac.is_multicast()) {
        judge.refuse(where, path.text("port"),
                     "floods reach every port of the segment anyway (a unicast MAC)");
    }
    if (judge.port(where, path.text("port"), entry.port, PortRole::access) == nullptr) return;
    if (std::ranges::find(vxlan.ports, entry.port) == vxlan.ports.end()) {
        judge.refuse(where, path.text("port"),
                     "port " + quoted(entry.port) + " is not in segment " +
                         quoted(said_name(vxlan)) + " (one of its ports)");
    }
}

std::uint64_t number_of(const MacAddress& mac) {
    std::uint64_t number = 0;
    std::memcpy(&number, mac.bytes.data(), mac.bytes.size());
    return number;
}

void judge_entry(Judge& judge, const Vxlan& vxlan, const FdbEntry& entry, const EntryPath& path) {
    const int ways =
        (entry.dst.empty() ? 0 : 1) + (entry.nhid ? 1 : 0) + (entry.port.empty() ? 0 : 1);
    if (ways != 1) {
        judge.refuse(entry.where, path.text(),
                     ways == 0 ? "the entry leads nowhere (one of dst, nhid and port)"
                               : "the entry leads several ways (one of dst, nhid and port)");
    }
    judge_destinations(judge, vxlan, entry, path);
    if (!entry.port.empty() && (entry.vni != 0 || entry.dstport != 0)) {
        const char* const key = entry.vni != 0 ? "vni" : "dstport";
        judge.refuse(entry.keys.of(key, entry.where), path.text(key),
                     "is of what is sent to remotes, and the entry is a local port (dst or nhid)");
    }
    if (entry.nhid) judge_nhid(judge, vxlan, entry, path);
    if (!entry.port.empty()) judge_local_port(judge, vxlan, entry, path);
}

}  // namespace

void judge_fdb(Judge& judge, const Vxlan& vxlan) {
    const std::string list = "vxlans." + said_name(vxlan) + ".fdb";
    std::unordered_map<std::uint64_t, Position> seen;
    // A list may have remotes with other numbers in entries of their own.
    std::map<std::tuple<MacAddress, std::uint32_t, std::uint16_t>, Position> lists;
    seen.reserve(vxlan.fdb.size());
    std::size_t counted = 0;
    for (std::size_t i = 0; i < vxlan.fdb.size(); ++i) {
        const FdbEntry& entry = vxlan.fdb[i];
        const std::size_t index = said_index(vxlan, i);
        judge_entry(judge, vxlan, entry, {list, index});
        if (!entry.mac.is_zero()) ++counted;
        const auto told_apart = [&](auto& known, const auto& key) {
            const auto [earlier, fresh] = known.try_emplace(key, entry.where);
            if (fresh) return;
            judge.refuse(entry.keys.of("mac", entry.where), item_path(list, index, "mac"),
                         entry.mac.text() + " is given twice" + line_text(earlier->second) +
                             " (one entry per address)");
        };
        if (entry.mac.is_zero() || entry.mac.is_multicast()) {
            told_apart(lists, std::tuple(entry.mac, entry.vni == vxlan.id ? 0 : entry.vni,
                                         entry.dstport == vxlan.dstport ? std::uint16_t{0}
                                                                        : entry.dstport));
        } else {
            told_apart(seen, number_of(entry.mac));
        }
    }
    if (vxlan.maxaddr != 0 && counted > vxlan.maxaddr) {
        judge.refuse(vxlan.keys.of("maxaddr", vxlan.where),
                     "vxlans." + said_name(vxlan) + ".maxaddr",
                     std::to_string(counted) + " entries are configured (at least " +
                         std::to_string(counted) + ", or 0 for no limit)");
    }
}

}  // namespace vxplane::config
