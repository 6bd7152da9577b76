#include "config/expand.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "config/judge.hpp"
#include "config/limits.hpp"
#include "config/nearest.hpp"
#include "config/parse.hpp"
#include "config/resolve.hpp"

namespace vxplane::config {
namespace {

constexpr std::uint32_t vid_max = 4094;

std::string number(std::uint32_t value) {
    return std::to_string(value);
}

class Expander {
  public:
    Expander(const Topology& topology, const Vxlan& vxlan, Problems& problems)
        : topology_(topology), vxlan_(vxlan), problems_(problems), path_("vxlans." + vxlan.name) {}

    /// Of a vxlan with one VNI.
    void judge_plain() {
        const bool is_unread =
            std::ranges::find(problems_, path_, &Problem::path) != problems_.end();
        if (!vxlan_.keys.has("id") && !is_unread) {
            note(vxlan_.where, path_,
                 "key 'id' is missing (a number from 1 to 16777215; or external: true with vni)");
        }
        for (const char* key : {"vni", "vnifilter", "tunnel-info"}) {
            if (vxlan_.keys.has(key)) refuse(key, "is of external vxlans (external: true)");
        }
        if (vxlan_.gpe) {
            const std::string line = line_text(vxlan_.keys.of("external", vxlan_.where));
            refuse("gpe",
                   vxlan_.keys.has("external")
                       ? "is of external vxlans, and external" + line + " is false (external: true)"
                       : "is of external vxlans, and key 'external' is missing in vxlan " +
                             quoted(vxlan_.name) + line + " (external: true)");
        }
        judge_sources(vxlan_.fdb, "fdb", false);
        judge_sources(vxlan_.mdb, "mdb", false);
        judge_sources(vxlan_.neighbours, "neighbours", false);
    }

    std::vector<Vxlan> parts() {
        if (vxlan_.keys.has("id")) {
            refuse("id", "is of a vxlan with one VNI, and external" +
                             line_text(vxlan_.keys.of("external", vxlan_.where)) +
                             " has many (vni: 100-200)");
        }
        if (vxlan_.gpe && vxlan_.gbp) {
            refuse("gpe", "and gbp" + line_text(vxlan_.keys.of("gbp", vxlan_.where)) +
                              " give the same bits of a header two meanings (one of them)");
        }
        if (!vxlan_.vnifilter) {
            refuse("vnifilter",
                   "each VNI has an FDB and counters of its own, so none is heard that is not in "
                   "vni (true, and in vni every VNI that is wanted: up to " +
                       std::to_string(limits::segments_max) + ", such as 1-4000)");
        }
        read_vnis();
        read_tunnel_info();
        judge_entries();
        return made();
    }

  private:
    /// `src-vni` of entries in a list of the vxlan.
    template <class Entry>
    void judge_sources(const std::vector<Entry>& entries, const std::string& list, bool external) {
        for (std::size_t i = 0; i < entries.size(); ++i) {
            const std::uint32_t vni = entries[i].src_vni;
            if (vni == 0 || (external && vnis_.contains(vni))) continue;
            const Position where = entries[i].keys.of("src-vni", entries[i].where);
            if (external) {
                note(where, item_path(path_ + "." + list, i, "src-vni"),
                     number(vni) + " is no VNI of this vxlan (vni)");
            } else {
                note(where, path_ + "." + list + ".src-vni",
                     "is of external vxlans, and this one has one VNI (external: true)");
            }
        }
    }
    /// Of each VNI, those of all VNIs among them, in their order.
    template <class Entry>
    static void share(const std::vector<Entry>& entries, std::uint32_t vni,
                      std::vector<Entry>& out) {
        for (std::size_t i = 0; i < entries.size(); ++i) {
            if (entries[i].src_vni != 0 && entries[i].src_vni != vni) continue;
            out.push_back(entries[i]);
            out.back().place = static_cast<std::uint32_t>(i);
        }
    }

    void note(Position where, const std::string& path, std::string message) {
        problems_.push_back({topology_.file, where, path, std::move(message)});
    }
    void refuse(std::string_view key, std::string message) {
        note(vxlan_.keys.of(key, vxlan_.where), path_ + "." + std::string(key), std::move(message));
    }

    void read_vnis() {
        if (!vxlan_.keys.has("vni")) {
            note(vxlan_.where, path_, "key 'vni' is missing (VNIs such as 100-200,300)");
            return;
        }
        const auto ranges = parse_ranges(vxlan_.vni);
        if (!ranges) {
            refuse("vni", quoted(vxlan_.vni) + " are no numbers (such as 100-200,300)");
            return;
        }
        for (const NumberRange& range : *ranges) {
            if (range.lo < limits::vni_min || range.hi > limits::vni_max) {
                refuse("vni", number(range.lo < limits::vni_min ? range.lo : range.hi) +
                                  " is no VNI (1 to 16777215)");
                return;
            }
            if (range.hi - range.lo >= limits::segments_max ||
                vnis_.size() + (range.hi - range.lo) >= limits::segments_max) {
                refuse("vni", "are too many (at most " + std::to_string(limits::segments_max) +
                                  " over all vxlans)");
                return;
            }
            for (std::uint32_t id = range.lo; id <= range.hi; ++id) {
                if (vnis_.insert(id).second) continue;
                refuse("vni", number(id) + " is given twice (each VNI once)");
                return;
            }
        }
    }

    void read_tunnel_info() {
        std::map<std::uint32_t, Position> vids;
        for (std::size_t i = 0; i < vxlan_.tunnel_info.size(); ++i) {
            const TunnelInfo& info = vxlan_.tunnel_info[i];
            const std::string item = item_path(path_ + ".tunnel-info", i);
            const auto vid = parse_ranges(info.vid);
            const auto id = parse_ranges(info.id);
            if (!vid || vid->size() != 1 || vid->front().lo < 1 || vid->front().hi > vid_max) {
                note(info.keys.of("vid", info.where), item + ".vid",
                     quoted(info.vid) + " (a VLAN id or a range, 1 to 4094)");
                continue;
            }
            if (!id || id->size() != 1 ||
                id->front().hi - id->front().lo != vid->front().hi - vid->front().lo) {
                note(info.keys.of("id", info.where), item + ".id",
                     quoted(info.id) + " (a VNI, or a range of as many as vid " + info.vid + ")");
                continue;
            }
            for (std::uint32_t n = vid->front().lo; n <= vid->front().hi; ++n) {
                const std::uint32_t vni = id->front().lo + (n - vid->front().lo);
                const auto [known, fresh] = vids.try_emplace(n, info.where);
                if (!fresh) {
                    note(info.where, item,
                         "VLAN " + number(n) + " is given already" + line_text(known->second) +
                             " (each VLAN once)");
                    break;
                }
                if (!vnis_.contains(vni) ||
                    !vids_.try_emplace(vni, static_cast<std::uint16_t>(n)).second) {
                    note(info.where, item,
                         vnis_.contains(vni)
                             ? "VNI " + number(vni) + " has a VLAN already (each VNI once)"
                             : "VNI " + number(vni) + " is none of this vxlan (vni)");
                    break;
                }
            }
        }
    }

    void judge_entries() {
        judge_sources(vxlan_.fdb, "fdb", true);
        judge_sources(vxlan_.mdb, "mdb", true);
        judge_sources(vxlan_.neighbours, "neighbours", true);
        for (std::size_t i = 0; i < vxlan_.ports.size(); ++i) {
            const Port* port = find_port(topology_, vxlan_.ports[i]);
            if (i == 0 && vxlan_.tunnel_info.empty()) {
                refuse("ports", "are trunks, and no VLAN leads to a VNI (tunnel-info)");
            }
            const bool mapped = port == nullptr || port->pvid == 0 ||
                                std::any_of(vids_.begin(), vids_.end(), [port](const auto& one) {
                                    return one.second == port->pvid;
                                });
            if (!mapped) {
                note(port->keys.of("pvid", port->where), "ports." + port->name + ".pvid",
                     "VLAN " + number(port->pvid) + " is no VNI of vxlan " + quoted(vxlan_.name) +
                         " (tunnel-info)");
            }
        }
    }

    std::vector<Vxlan> made() const {
        Vxlan base = vxlan_;
        base.part_of = vxlan_.name;
        base.tunnel_info.clear();
        base.ports.clear();
        base.port_where.clear();
        base.fdb.clear();
        base.mdb.clear();
        base.neighbours.clear();
        std::map<std::uint32_t, std::vector<FdbEntry>> entries;  // by VNI; 0: of all
        for (std::size_t i = 0; i < vxlan_.fdb.size(); ++i) {
            FdbEntry entry = vxlan_.fdb[i];
            entry.place = static_cast<std::uint32_t>(i);
            entries[entry.src_vni].push_back(std::move(entry));
        }
        std::vector<Vxlan> all;
        for (const std::uint32_t id : vnis_) {
            all.push_back(part(base, id));
            for (const std::uint32_t of : {0U, id}) {
                for (const FdbEntry& entry : entries[of]) add_entry(entry, all.back());
            }
            share(vxlan_.neighbours, id, all.back().neighbours);
            std::vector<MdbEntry> groups;
            share(vxlan_.mdb, id, groups);
            for (MdbEntry& entry : groups) add_group(std::move(entry), all.back());
        }
        return all;
    }

    Vxlan part(const Vxlan& base, std::uint32_t id) const {
        Vxlan made = base;
        made.name = vxlan_.name + ":" + number(id);
        made.id = id;
        made.vni = number(id);
        const auto vid = vids_.find(id);
        if (vid == vids_.end()) return made;
        made.vid = vid->second;
        made.tunnel_info.push_back({number(made.vid), made.vni, vxlan_.where, {}});
        for (std::size_t i = 0; i < vxlan_.ports.size(); ++i) {
            const Port* port = find_port(topology_, vxlan_.ports[i]);
            if (port != nullptr && !has_vlan(*port, made.vid)) continue;
            made.ports.push_back(vxlan_.ports[i]);
            made.port_where.push_back(position_at(vxlan_.port_where, i, vxlan_.where));
        }
        return made;
    }

    /// Without those of all VNIs that are at trunks where this one is not.
    void add_entry(const FdbEntry& entry, Vxlan& made) const {
        const auto has = [&entry](const Vxlan& vxlan) {
            return std::ranges::find(vxlan.ports, entry.port) != vxlan.ports.end();
        };
        if (entry.port.empty() || entry.src_vni != 0 || has(made) || !has(vxlan_)) {
            made.fdb.push_back(entry);
        }
    }

    /// The same for members of groups.
    void add_group(MdbEntry entry, Vxlan& made) const {
        const bool led_somewhere = !entry.dst.empty() || !entry.ports.empty();
        for (std::size_t i = entry.ports.size(); entry.src_vni == 0 && i-- > 0;) {
            const auto has = [name = entry.ports[i]](const Vxlan& vxlan) {
                return std::ranges::find(vxlan.ports, name) != vxlan.ports.end();
            };
            if (has(made) || !has(vxlan_)) continue;
            entry.ports.erase(entry.ports.begin() + static_cast<std::ptrdiff_t>(i));
            if (i < entry.port_where.size()) {
                entry.port_where.erase(entry.port_where.begin() + static_cast<std::ptrdiff_t>(i));
            }
        }
        if (led_somewhere && entry.dst.empty() && entry.ports.empty()) return;
        made.mdb.push_back(std::move(entry));
    }

    const Topology& topology_;
    const Vxlan& vxlan_;
    Problems& problems_;
    std::string path_;
    std::set<std::uint32_t> vnis_;
    std::map<std::uint32_t, std::uint16_t> vids_;  ///< by VNI
};

}  // namespace

const std::string& said_name(const Vxlan& vxlan) {
    return vxlan.part_of.empty() ? vxlan.name : vxlan.part_of;
}

const char* vni_key(const Vxlan& vxlan) {
    return vxlan.part_of.empty() ? "id" : "vni";
}

std::size_t said_index(const Vxlan& vxlan, std::size_t index) {
    return vxlan.part_of.empty() ? index : vxlan.fdb[index].place;
}

bool has_vlan(const Port& port, std::uint16_t vid) {
    if (port.vlans.empty() || port.pvid == vid) return true;
    const auto ranges = parse_ranges(port.vlans);
    return ranges && std::ranges::any_of(*ranges, [vid](const NumberRange& range) {
               return range.lo <= vid && vid <= range.hi;
           });
}

void expand_external(Topology& topology, Problems& problems) {
    std::vector<Vxlan> all;
    for (Vxlan& vxlan : topology.vxlans) {
        Expander expander(topology, vxlan, problems);
        if (!vxlan.external) {
            expander.judge_plain();
            all.push_back(std::move(vxlan));
            continue;
        }
        for (Vxlan& part : expander.parts()) all.push_back(std::move(part));
    }
    topology.vxlans = std::move(all);
}

}  // namespace vxplane::config
