// Compares by the tables of keys: a key that can be read can also be compared, and its row says
// what a change of it takes.
#include "config/diff.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <set>

#include "config/parse.hpp"
#include "config/reader.hpp"
#include "config/resolve.hpp"

namespace vxplane::config {
namespace {

/// `key value, key value` of everything that is not as a fresh object has it.
template <class T>
std::string summary(const T& object) {
    const T fresh{};
    std::string text;
    for (const Key<T>& key : keys_of<T>()) {
        if (key.access.show == nullptr) continue;
        const KeyDescription& row = key.description;
        const std::string value = key.access.show(object, *row.type);
        if (!row.required && value == key.access.show(fresh, *row.type)) continue;
        if (!text.empty()) text += ", ";
        text.append(row.name).append(" ").append(value);
    }
    return text;
}

std::string numbers_text(std::uint32_t vni, std::uint16_t dstport) {
    return (vni == 0 ? "" : " vni " + std::to_string(vni)) +
           (dstport == 0 ? "" : " dstport " + std::to_string(dstport));
}

/// A member has a group and source once, but several entries may be of one group.
std::string mdb_text(const MdbEntry& entry) {
    std::string text = entry.group.text();
    if (entry.source) text += " source " + entry.source->text();
    for (const IpAddress& dst : entry.dst) text += " dst " + dst.text();
    for (const std::string& port : entry.ports) text += " port " + port;
    return text + numbers_text(entry.vni, entry.dstport);
}

/// `100-200,300`
std::string ranges_text(const std::set<std::uint32_t>& numbers) {
    std::string list;
    for (auto first = numbers.begin(); first != numbers.end();) {
        auto last = first;
        while (std::next(last) != numbers.end() && *std::next(last) == *last + 1) ++last;
        list += (list.empty() ? "" : ",") + std::to_string(*first);
        if (last != first) list += "-" + std::to_string(*last);
        first = std::next(last);
    }
    return list;
}

/// What is said of many parts of an external vxlan, `vxlans.NAME:VNI`, is said once.
std::vector<Change> joined(std::vector<Change> all) {
    struct Group {
        std::size_t at;
        std::set<std::uint32_t> vnis;
        bool whole;
    };
    std::map<std::string, Group> groups;
    std::vector<Change> out;
    for (Change& change : all) {
        const std::size_t colon = change.path.find(':');
        if (!change.path.starts_with("vxlans.") || colon == std::string::npos ||
            colon > change.path.find_first_of("[ ")) {
            out.push_back(std::move(change));
            continue;
        }
        const std::size_t end =
            std::min(change.path.find_first_not_of("0123456789", colon + 1), change.path.size());
        const auto vni =
            parse_number(std::string_view(change.path).substr(colon + 1, end - colon - 1));
        const std::string rest = change.path.substr(end);
        const std::string path = change.path.substr(0, colon) + rest;
        const std::size_t why = rest.empty() ? change.text.find("; made anew") : 0;
        const std::string text = why == std::string::npos ? "" : change.text.substr(why);
        const std::string key = std::to_string(static_cast<int>(change.kind)) + path + "\n" + text;
        const auto [known, fresh] = groups.try_emplace(key, Group{out.size(), {}, rest.empty()});
        if (fresh) {
            change.path = path;
            change.text = text;
            out.push_back(std::move(change));
        }
        known->second.vnis.insert(static_cast<std::uint32_t>(vni.value_or(0)));
    }
    for (const auto& [key, group] : groups) {
        const std::string vnis = "vni " + ranges_text(group.vnis);
        Change& change = out[group.at];
        change.text = group.whole ? vnis + change.text : change.text + " (" + vnis + ")";
    }
    return out;
}

class Differ {
  public:
    Differ(const Topology& from, const Topology& to) : from_(from), to_(to) {}

    std::vector<Change> run() {
        modify("system", from_.system, to_.system);
        objects<Port>(from_.ports, to_.ports, [](const Port& p) { return "ports." + p.name; });
        objects<Route>(from_.routes, to_.routes,
                       [](const Route& r) { return "routes[" + name_of(r) + "]"; });
        objects<Neighbour>(from_.neighbours, to_.neighbours, [](const Neighbour& n) {
            return "neighbours[" + n.address.text() + " dev " + n.dev + "]";
        });
        objects<NexthopGroup>(from_.nexthops, to_.nexthops, [](const NexthopGroup& g) {
            return "nexthops." + std::to_string(g.id);
        });
        objects<RouteTable>(from_.tables, to_.tables,
                            [](const RouteTable& t) { return "tables." + t.name; });
        objects<Ipvlan>(from_.ipvlans, to_.ipvlans,
                        [](const Ipvlan& i) { return "ipvlans." + i.name; });
        objects<Vxlan>(from_.vxlans, to_.vxlans, [](const Vxlan& v) { return "vxlans." + v.name; });

        // What was noted first is the outermost: it goes last and comes first.
        std::vector<Change> all(std::make_move_iterator(removed_.rbegin()),
                                std::make_move_iterator(removed_.rend()));
        std::ranges::move(modified_, std::back_inserter(all));
        std::ranges::move(added_, std::back_inserter(all));
        return joined(std::move(all));
    }

  private:
    template <class T, class Name>
    void objects(const std::vector<T>& from, const std::vector<T>& to, Name name) {
        std::map<std::string, const T*> before;
        std::map<std::string, const T*> after;
        for (const T& object : from) before.try_emplace(name(object), &object);
        for (const T& object : to) after.try_emplace(name(object), &object);
        for (const T& object : from) {
            const std::string path = name(object);
            const auto kept = after.find(path);
            if (kept == after.end()) {
                remove(path, object);
            } else if (const std::string why = anew(object, *kept->second); !why.empty()) {
                remove(path, object, "; made anew: " + why);
            }
        }
        for (const T& object : to) {
            const std::string path = name(object);
            const auto old = before.find(path);
            if (old == before.end() || !anew(*old->second, object).empty()) {
                add(path, object);
            } else {
                modify(path, *old->second, object);
            }
        }
    }

    /// `id: 7 -> 8` of what no change of a living object can bring about; empty: nothing.
    template <class T>
    static std::string anew(const T& from, const T& to) {
        std::string text;
        for (const Key<T>& key : keys_of<T>()) {
            const KeyDescription& row = key.description;
            if (row.effect != Effect::recreate) continue;
            const std::string before = key.access.show(from, *row.type);
            const std::string after = key.access.show(to, *row.type);
            if (before == after) continue;
            if (!text.empty()) text += ", ";
            text.append(row.name).append(": ").append(before).append(" -> ").append(after);
        }
        return text;
    }

    template <class T>
    void remove(const std::string& path, const T& object, const std::string& why = {}) {
        removed_.push_back({Change::Kind::remove, path, summary(object) + why, is_port<T>});
        inside(path, object, T{});
    }

    template <class T>
    void add(const std::string& path, const T& object) {
        added_.push_back({Change::Kind::add, path, summary(object), is_port<T>});
        inside(path, T{}, object);
    }

    template <class T>
    void modify(const std::string& path, const T& from, const T& to) {
        for (const Key<T>& key : keys_of<T>()) {
            if (key.access.show == nullptr || key.description.effect == Effect::items) continue;
            const KeyDescription& row = key.description;
            const std::string before = key.access.show(from, *row.type);
            const std::string after = key.access.show(to, *row.type);
            if (before == after) continue;
            modified_.push_back({Change::Kind::modify, path + "." + std::string(row.name),
                                 before + " -> " + after, row.effect == Effect::restart});
        }
        if constexpr (std::is_same_v<T, Port>) {
            items(path + ".addresses", from.addresses, to.addresses,
                  [](const IpPrefix& address) { return address.text(); });
        }
        if constexpr (std::is_same_v<T, Vxlan>) {
            items(path + ".ports", from.ports, to.ports, std::identity{});
        }
        if constexpr (std::is_same_v<T, Slave>) {
            items(path + ".addresses", from.addresses, to.addresses,
                  [](const IpPrefix& address) { return address.text(); });
            items(path + ".groups", from.groups, to.groups,
                  [](const IpAddress& address) { return address.text(); });
        }
        if constexpr (std::is_same_v<T, Ipvlan>) conntrack(path + ".conntrack", from, to);
        inside(path, from, to);
    }

    /// The objects that an object holds.
    template <class T>
    void inside(const std::string& path, const T& from, const T& to) {
        if constexpr (std::is_same_v<T, Vxlan>) {
            objects<SegmentNeighbour>(from.neighbours, to.neighbours,
                                      [&](const SegmentNeighbour& one) {
                                          return path + ".neighbours[" + one.ip.text() + "]";
                                      });
            objects<TunnelInfo>(from.tunnel_info, to.tunnel_info, [&](const TunnelInfo& info) {
                return path + ".tunnel-info[" + info.vid + "]";
            });
            objects<MdbEntry>(from.mdb, to.mdb, [&](const MdbEntry& entry) {
                return path + ".mdb[" + mdb_text(entry) + "]";
            });
            objects<FdbEntry>(from.fdb, to.fdb, [&](const FdbEntry& entry) {
                // A list may have remotes with other numbers in entries of their own.
                const bool list = entry.mac.is_zero() || entry.mac.is_multicast();
                return path + ".fdb[" + entry.mac.text() +
                       (list ? numbers_text(entry.vni, entry.dstport) : "") + "]";
            });
        }
        if constexpr (std::is_same_v<T, NexthopGroup>) {
            objects<NexthopMember>(from.members, to.members, [&](const NexthopMember& member) {
                return path + ".members[" + member.dst.text() +
                       numbers_text(member.vni, member.dstport) + "]";
            });
        }
        if constexpr (std::is_same_v<T, Ipvlan>) {
            objects<Slave>(from.slaves, to.slaves,
                           [&](const Slave& slave) { return path + ".slaves." + slave.name; });
        }
        if constexpr (std::is_same_v<T, RouteTable> || std::is_same_v<T, Slave>) {
            objects<TableRoute>(from.routes, to.routes, [&](const TableRoute& route) {
                return path + ".routes[" + route.to.text() + "]";
            });
        }
        if constexpr (std::is_same_v<T, Slave>) {
            objects<NatPair>(from.nat, to.nat, [&](const NatPair& pair) {
                return path + ".nat[" + pair.public_.text() + "]";
            });
        }
        if constexpr (std::is_same_v<T, Ipvlan> || std::is_same_v<T, Slave>) {
            rules(path + ".rules", from.rules, to.rules);
        }
    }

    /// What counts is whether connections are tracked, not whether the file says so.
    void conntrack(const std::string& path, const Ipvlan& from, const Ipvlan& to) {
        ConntrackOptions before = from.conntrack;
        ConntrackOptions after = to.conntrack;
        before.on = conntrack_on(from);
        after.on = conntrack_on(to);
        modify(path, before, after);
        // Connections that are there stay where they are.
        for (Change& change : modified_) {
            if (change.path != path + ".capacity") continue;
            change.needs_restart = before.on && after.on;
        }
    }

    /// Rules are known by their names; those without, by what they say. Their order counts.
    void rules(const std::string& path, const std::vector<Rule>& from,
               const std::vector<Rule>& to) {
        const auto key = [&](const Rule& rule) {
            return path + "[" + (rule.name.empty() ? summary(rule) : rule.name) + "]";
        };
        objects<Rule>(from, to, key);
        std::vector<std::string> before;
        std::vector<std::string> after;
        for (const Rule& rule : from) before.push_back(key(rule));
        for (const Rule& rule : to) after.push_back(key(rule));
        const std::set<std::string> old(before.begin(), before.end());
        const std::set<std::string> fresh(after.begin(), after.end());
        std::erase_if(before, [&](const std::string& one) { return !fresh.contains(one); });
        std::erase_if(after, [&](const std::string& one) { return !old.contains(one); });
        if (before == after) return;
        const auto list = [&](const std::vector<std::string>& keys) {
            std::string text;
            for (const std::string& one : keys) text += one.substr(path.size());
            return text;
        };
        modified_.push_back(
            {Change::Kind::modify, path, "order " + list(before) + " -> " + list(after), false});
    }

    template <class T, class Text>
    void items(const std::string& path, const std::vector<T>& from, const std::vector<T>& to,
               Text text) {
        for (const T& item : from) {
            if (std::ranges::find(to, item) != to.end()) continue;
            removed_.push_back({Change::Kind::remove, path, text(item), false});
        }
        for (const T& item : to) {
            if (std::ranges::find(from, item) != from.end()) continue;
            added_.push_back({Change::Kind::add, path, text(item), false});
        }
    }

    /// Ports are opened once, before the workers start.
    template <class T>
    static constexpr bool is_port = std::is_same_v<T, Port>;

    const Topology& from_;
    const Topology& to_;
    std::vector<Change> removed_;
    std::vector<Change> modified_;
    std::vector<Change> added_;
};

}  // namespace

std::string Change::line() const {
    const char* const verb = kind == Kind::add      ? "add "
                             : kind == Kind::remove ? "remove "
                                                    : "modify ";
    return verb + path + (text.empty() ? "" : ": " + text) +
           (needs_restart ? " (needs a restart)" : "");
}

std::vector<Change> diff(const Topology& from, const Topology& to) {
    return Differ(from, to).run();
}

}  // namespace vxplane::config
