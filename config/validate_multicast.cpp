// Multicast of a segment: the group of the underlay that carries its floods, and who gets which
// group of its tenants.
#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "config/expand.hpp"
#include "config/judge.hpp"
#include "config/nearest.hpp"
#include "config/resolve.hpp"

namespace vxplane::config {
namespace {

/// 224.0.0.0/24 (RFC 5771 section 4); scopes up to one interface and all nodes of IPv6.
bool is_of_link(const IpAddress& group) {
    if (group.is_ipv4()) return group.ipv4_number() >> 8 == 0xE00000;
    const bool all_nodes =
        group.bytes[1] == 2 && group.bytes[15] == 1 &&
        std::all_of(group.bytes.begin() + 2, group.bytes.end() - 1, [](auto b) { return b == 0; });
    return (group.bytes[1] & 0xFU) < 2 || all_nodes;
}

class MdbJudge {
  public:
    MdbJudge(Judge& judge, const Vxlan& vxlan) : judge_(judge), vxlan_(vxlan) {}

    void one(const MdbEntry& entry, const std::string& path) {
        const Position where = entry.keys.of("group", entry.where);
        if (!entry.group.is_multicast()) {
            judge_.refuse(where, path + ".group",
                          entry.group.text() +
                              " is not a multicast group (224.0.1.0 to "
                              "239.255.255.255, or of ff00::/8)");
            return;
        }
        if (is_of_link(entry.group)) {
            judge_.refuse(where, path + ".group",
                          entry.group.text() +
                              " is for all hosts of the segment, always (a group "
                              "that hosts join)");
        }
        sources(entry, path);
        if (entry.dst.empty() && entry.ports.empty()) {
            judge_.refuse(entry.where, path, "the entry leads nowhere (dst or port)");
        }
        const bool has_numbers = entry.vni != 0 || entry.dstport != 0;
        if (has_numbers && entry.dst.empty()) {
            const char* const key = entry.vni != 0 ? "vni" : "dstport";
            judge_.refuse(entry.keys.of(key, entry.where), path + "." + key,
                          "is of what is sent to remotes, and the entry has none (dst)");
        }
        // Where local-bypass delivers it, or by the wire.
        const bool may_be_ours = !vxlan_.local_bypass ||
                                 (entry.vni != 0 && entry.vni != vxlan_.id) ||
                                 (entry.dstport != 0 && entry.dstport != vxlan_.dstport);
        for (std::size_t i = 0; i < entry.dst.size(); ++i) {
            const Position at = position_at(entry.dst_where, i, entry.where);
            const std::string item = item_path(path + ".dst", i);
            if (!judge_.remote_of(vxlan_, at, item, entry.dst[i], may_be_ours)) continue;
            // With other numbers it is another member.
            once(entry,
                 entry.dst[i].text() +
                     (entry.vni == 0 || entry.vni == vxlan_.id
                          ? ""
                          : " vni " + std::to_string(entry.vni)) +
                     (entry.dstport == 0 || entry.dstport == vxlan_.dstport
                          ? ""
                          : " dstport " + std::to_string(entry.dstport)),
                 at, item);
        }
        for (std::size_t i = 0; i < entry.ports.size(); ++i) {
            const Position at = position_at(entry.port_where, i, entry.where);
            const std::string item = item_path(path + ".port", i);
            if (judge_.port(at, item, entry.ports[i], PortRole::access) == nullptr) continue;
            if (std::ranges::find(vxlan_.ports, entry.ports[i]) == vxlan_.ports.end()) {
                judge_.refuse(at, item,
                              "port " + quoted(entry.ports[i]) + " is not in segment " +
                                  quoted(said_name(vxlan_)) + " (one of its ports)");
                continue;
            }
            once(entry, "port " + entry.ports[i], at, item);
        }
    }

  private:
    void sources(const MdbEntry& entry, const std::string& path) {
        const auto judge_source = [&](const IpAddress& source, Position where,
                                      const std::string& item) {
            if (source.family != entry.group.family) {
                judge_.refuse(where, item,
                              source.text() + " is of another family than group " +
                                  entry.group.text() + " (of the same)");
            } else if (const auto problem = unfit_host(source)) {
                judge_.refuse(where, item, *problem + " (the address of one host)");
            }
        };
        if (entry.source) {
            const Position where = entry.keys.of("source", entry.where);
            judge_source(*entry.source, where, path + ".source");
            if (!entry.source_list.empty()) {
                judge_.refuse(entry.keys.of("source-list", entry.where), path + ".source-list",
                              "a second say beside source " + entry.source->text() +
                                  " (source-list for any source, or source alone)");
            }
        }
        for (std::size_t i = 0; i < entry.source_list.size(); ++i) {
            judge_source(entry.source_list[i], position_at(entry.source_where, i, entry.where),
                         item_path(path + ".source-list", i));
        }
        if (entry.filter_mode == FilterMode::include && entry.source_list.empty()) {
            judge_.refuse(entry.keys.of("filter-mode", entry.where), path + ".filter-mode",
                          "include of no source wants nothing (source-list)");
        }
    }

    void once(const MdbEntry& entry, const std::string& member, Position where,
              const std::string& path) {
        const auto [earlier, fresh] =
            seen_.try_emplace({entry.group, entry.source.value_or(IpAddress{}), member}, where);
        if (!fresh) {
            judge_.refuse(where, path,
                          member + " is given twice for group " + entry.group.text() +
                              line_text(earlier->second) + " (once for each group and source)");
        }
    }

    Judge& judge_;
    const Vxlan& vxlan_;
    std::map<std::tuple<IpAddress, IpAddress, std::string>, Position> seen_;
};

/// Of a segment without a group. The kernel looks for `remote` at this device alone: that is as
/// routes say, or a mistake.
void judge_dev(Judge& judge, const Vxlan& vxlan, const std::string& path) {
    const Position where = vxlan.keys.of("dev", vxlan.where);
    const Port* const dev = vxlan.dev.empty()
                                ? nullptr
                                : judge.port(where, path + ".dev", vxlan.dev, PortRole::underlay);
    if (dev == nullptr || !vxlan.remote || is_link_local(*vxlan.remote)) return;
    const Port* const way = egress_to(judge.topology(), *vxlan.remote, vxlan.tos).port;
    if (way == dev) return;
    judge.refuse(where, path + ".dev",
                 "remote " + vxlan.remote->text() + " is not reached by port " + quoted(dev->name) +
                     (way == nullptr ? std::string() : ", but by port " + quoted(way->name)) +
                     " (routes, or without dev)");
}

}  // namespace

void judge_group(Judge& judge, const Vxlan& vxlan) {
    const std::string path = "vxlans." + vxlan.name;
    const auto at = [&vxlan](std::string_view key) { return vxlan.keys.of(key, vxlan.where); };
    if (!vxlan.group) {
        judge_dev(judge, vxlan, path);
        return;
    }
    const IpAddress& group = *vxlan.group;
    if (vxlan.remote) {
        judge.refuse(at("group"), path + ".group",
                     "group " + group.text() + " and remote " + vxlan.remote->text() +
                         line_text(at("remote")) +
                         " are both where floods go (one of them; more remotes in fdb)");
    }
    if (!group.is_multicast()) {
        judge.refuse(at("group"), path + ".group",
                     group.text() + " is not a multicast group (remote for one VTEP)");
    } else if (is_of_link(group)) {
        judge.refuse(at("group"), path + ".group",
                     group.text() +
                         " is for protocols of the link (a group of 239.0.0.0/8 or "
                         "ff05::/16, say)");
    }
    if (vxlan.dev.empty()) {
        judge.refuse(
            at("group"), path + ".group",
            "group " + group.text() + " is joined at no port (dev: a port with role: underlay)");
        return;
    }
    const Port* const port = judge.port(at("dev"), path + ".dev", vxlan.dev, PortRole::underlay);
    if (port == nullptr) return;
    if (!first_address(*port, group.family) && (group.is_ipv4() || !is_of_one_link(vxlan))) {
        const std::string family = group.is_ipv4() ? "IPv4" : "IPv6";
        judge.refuse(at("dev"), path + ".dev",
                     "port " + quoted(port->name) + " has no " + family + " address, and group " +
                         group.text() + " is " + family + " (addresses)");
    }
}

void judge_mdb(Judge& judge, const Vxlan& vxlan) {
    MdbJudge entries(judge, vxlan);
    for (std::size_t i = 0; i < vxlan.mdb.size(); ++i) {
        const std::size_t index = vxlan.part_of.empty() ? i : vxlan.mdb[i].place;
        entries.one(vxlan.mdb[i], item_path("vxlans." + said_name(vxlan) + ".mdb", index));
    }
}

}  // namespace vxplane::config
