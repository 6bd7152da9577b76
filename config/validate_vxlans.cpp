// Segments: numbers that clash, the uplink they need, and the ports they hold.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_set>
#include <utility>
#include <vector>

#include "config/expand.hpp"
#include "config/judge.hpp"
#include "config/limits.hpp"
#include "config/nearest.hpp"
#include "config/parse.hpp"
#include "config/resolve.hpp"

namespace vxplane::config {
namespace {

/// Which segment has a name, number or port.
using Holder = std::pair<const Vxlan*, Position>;

class VxlanJudge {
  public:
    explicit VxlanJudge(Judge& judge) : judge_(judge) {}

    void all() {
        const std::vector<Vxlan>& vxlans = judge_.topology().vxlans;
        if (vxlans.size() > limits::segments_max) {
            judge_.refuse(vxlans[limits::segments_max].where, "vxlans",
                          std::to_string(vxlans.size()) + " segments are too many (at most " +
                              std::to_string(limits::segments_max) + ")");
            return;
        }
        for (const Vxlan& vxlan : vxlans) one(vxlan);
        judge_trunks(judge_);
        capacities();
    }

  private:
    void one(const Vxlan& vxlan) {
        const std::string path = "vxlans." + said_name(vxlan);
        if (!names_.insert(vxlan.name).second) {
            judge_.refuse(vxlan.where, path, "given twice (each name once)");
        }
        numbers(vxlan, path);
        meaning(vxlan, path);
        if (vxlan.mac && (vxlan.mac->is_zero() || vxlan.mac->is_multicast())) {
            judge_.refuse(at(vxlan, "mac"), path + ".mac",
                          vxlan.mac->text() + " is not the address of one station (a unicast MAC)");
        }
        local(vxlan, path);
        remote(vxlan, path);
        mtu(vxlan, path);
        fragment(vxlan, path);
        router(vxlan, path);
        ports(vxlan, path);
        judge_fdb(judge_, vxlan);
        judge_watch(judge_, vxlan);
        judge_group(judge_, vxlan);
        judge_mdb(judge_, vxlan);
    }

    void numbers(const Vxlan& vxlan, const std::string& path) {
        const std::string key = vni_key(vxlan);
        judge_.range(at(vxlan, key), path + "." + key, vxlan.id, limits::vni_min, limits::vni_max);
        judge_.range(at(vxlan, "dstport"), path + ".dstport", vxlan.dstport, 1, 65535);
        judge_.range(at(vxlan, "ageing"), path + ".ageing", vxlan.ageing, 0, limits::ageing_max);
        if (vxlan.srcport.lo >= vxlan.srcport.hi || vxlan.srcport.hi > 65536) {
            const std::string lo = std::to_string(vxlan.srcport.lo);
            judge_.refuse(at(vxlan, "srcport"), path + ".srcport",
                          lo + " to " + std::to_string(vxlan.srcport.hi) +
                              " is no range (lo < hi, hi at most 65536)");
        }
        if (!parse_reserved_bits(vxlan.reserved_bits)) {
            judge_.refuse(
                at(vxlan, "reserved-bits"), path + ".reserved-bits",
                quoted(vxlan.reserved_bits) + " (strict, ignore, or bits of 0xf7ffffff000000ff)");
        }
        const Families families = families_of(judge_.topology(), vxlan);
        for (const bool ipv6 : {false, true}) {
            if (!(ipv6 ? families.ipv6 : families.ipv4)) continue;
            const auto [earlier, fresh] =
                numbers_.try_emplace({{vxlan.id, vxlan.dstport}, ipv6}, &vxlan, at(vxlan, key));
            if (fresh) continue;
            // Two ranges may have many in common: one is enough to tell.
            const std::string& other = said_name(*earlier->second.first);
            if (!clashes_.emplace(said_name(vxlan), other).second) return;
            judge_.refuse(at(vxlan, key), path + "." + key,
                          "VNI " + std::to_string(vxlan.id) + " with dstport " +
                              std::to_string(vxlan.dstport) + (ipv6 ? " over IPv6" : "") +
                              " is both segment " + quoted(said_name(vxlan)) + " and segment " +
                              quoted(said_name(*earlier->second.first)) +
                              line_text(earlier->second.second) + " (each VNI once per dstport)");
            return;
        }
    }

    /// Whether headers say what is inside is the same for all that comes in at a UDP port.
    void meaning(const Vxlan& vxlan, const std::string& path) {
        const std::string_view key = vxlan.gpe ? "gpe" : "dstport";
        const auto& [other, where] =
            meanings_.try_emplace(vxlan.dstport, &vxlan, at(vxlan, key)).first->second;
        if (other->gpe == vxlan.gpe || !mixed_.insert(said_name(vxlan)).second) return;
        judge_.refuse(at(vxlan, key), path + "." + std::string(key),
                      "headers at dstport " + std::to_string(vxlan.dstport) +
                          (vxlan.gpe ? " say what is inside, and those of segment "
                                     : " do not say what is inside (gpe), and those of segment ") +
                          quoted(said_name(*other)) + line_text(where) +
                          (vxlan.gpe ? " do not" : " do") + " (another dstport, or gpe for both)");
    }

    void local(const Vxlan& vxlan, const std::string& path) {
        std::vector<std::string> own;
        for (const Port& port : judge_.topology().ports) {
            if (port.role != PortRole::underlay) continue;
            for (const IpPrefix& address : port.addresses) {
                if (!is_link_local(address.address)) own.push_back(address.address.text());
            }
        }
        if (own.empty() && !is_of_one_link(vxlan)) {
            judge_.refuse(vxlan.where, path,
                          "the segment has no uplink (a port with role: underlay and an "
                          "address)");
            return;
        }
        if (vxlan.local) is_ours(vxlan, "local", path, *vxlan.local, own);
        if (vxlan.local6) is_ours(vxlan, "local6", path, *vxlan.local6, own);
        if (vxlan.local6 && vxlan.local6->is_ipv4()) {
            judge_.refuse(at(vxlan, "local6"), path + ".local6",
                          vxlan.local6->text() + " is IPv4 (local6: an IPv6 address of ours)");
        } else if (vxlan.local6 && vxlan.local && !vxlan.local->is_ipv4()) {
            judge_.refuse(at(vxlan, "local6"), path + ".local6",
                          vxlan.local6->text() + " is a second IPv6 address beside local " +
                              vxlan.local->text() + " (one of each family)");
        }
        sources(vxlan, path);
    }

    void is_ours(const Vxlan& vxlan, std::string_view key, const std::string& path,
                 const IpAddress& address, const std::vector<std::string>& own) {
        const std::string text = address.text();
        const Position where = at(vxlan, key);
        const std::string item = path + "." + std::string(key);
        const Port* const dev = dev_of(judge_.topology(), vxlan);
        const bool elsewhere =
            is_link_local(address) && dev != nullptr && !has_address(*dev, address);
        if (elsewhere) {
            judge_.refuse(where, item,
                          text + " is not an address of port " + quoted(dev->name) +
                              " (one of that port, or another dev)");
        } else if (owner_of(judge_.topology(), address) == nullptr) {
            judge_.refuse(where, item,
                          text + " is not our address" + nearest_text(text, own) +
                              " (an address of a port with role: underlay)");
        } else if (is_link_local(address) && vxlan.dev.empty()) {
            judge_.refuse(where, item, text + " is on every link (dev: the underlay port)");
        }
    }

    /// Remotes of a family that no underlay port has an address of.
    void sources(const Vxlan& vxlan, const std::string& path) {
        const Families families = families_of(judge_.topology(), vxlan);
        for (const auto family : {IpAddress::Family::ipv4, IpAddress::Family::ipv6}) {
            const bool ipv6 = family == IpAddress::Family::ipv6;
            if (!(ipv6 ? families.ipv6 : families.ipv4)) continue;
            bool has_source = ipv6 && is_of_one_link(vxlan);
            for (const Port& port : judge_.topology().ports) {
                has_source = has_source || (port.role == PortRole::underlay &&
                                            first_address(port, family).has_value());
            }
            if (has_source) continue;
            const std::string name = ipv6 ? "IPv6" : "IPv4";
            judge_.refuse(vxlan.where, path,
                          "the segment has remotes over " + name +
                              ", and no underlay port has an " + name + " address (addresses)");
        }
    }

    void remote(const Vxlan& vxlan, const std::string& path) {
        if (!vxlan.remote) return;
        const Position where = at(vxlan, "remote");
        if (!judge_.remote_of(vxlan, where, path + ".remote", *vxlan.remote)) return;
        for (const FdbEntry& entry : vxlan.fdb) {
            if (!entry.mac.is_zero()) continue;
            for (const IpAddress& dst : entry.dst) {
                if (dst != *vxlan.remote) continue;
                judge_.refuse(where, path + ".remote",
                              dst.text() + " is in the flood list too" + line_text(entry.where) +
                                  " (once, in either)");
                return;
            }
        }
    }

    void router(const Vxlan& vxlan, const std::string& path) {
        if (vxlan.router.empty() || find_ipvlan(judge_.topology(), vxlan.router) != nullptr) return;
        std::vector<std::string> names;
        for (const Ipvlan& ipvlan : judge_.topology().ipvlans) names.push_back(ipvlan.name);
        judge_.refuse(at(vxlan, "router"), path + ".router",
                      "there is no ipvlan " + quoted(vxlan.router) +
                          nearest_text(vxlan.router, names) + " (one of ipvlans)");
    }

    void mtu(const Vxlan& vxlan, const std::string& path) {
        const Port* const uplink = uplink_of(judge_.topology(), vxlan);
        if (vxlan.mtu != 0) {
            judge_.range(at(vxlan, "mtu"), path + ".mtu", vxlan.mtu, limits::mtu_min,
                         limits::mtu_max);
        }
        if (uplink == nullptr) return;
        const std::string of_uplink =
            "the mtu " + std::to_string(uplink->mtu) + " of uplink " + quoted(uplink->name);
        const std::uint64_t overhead = overhead_of(judge_.topology(), vxlan);
        if (uplink->mtu < limits::mtu_min + overhead) {
            judge_.refuse(vxlan.where, path,
                          of_uplink + " leaves no room for a segment (at least " +
                              std::to_string(limits::mtu_min + overhead) + ")");
        } else if (vxlan.mtu + overhead > uplink->mtu && vxlan.fragment == Fragment::off) {
            judge_.refuse(at(vxlan, "mtu"), path + ".mtu",
                          std::to_string(vxlan.mtu) + " and " + std::to_string(overhead) +
                              " bytes of headers exceed " + of_uplink + " (at most " +
                              std::to_string(uplink->mtu - overhead) + ")");
        }
    }

    void fragment(const Vxlan& vxlan, const std::string& path) {
        if (vxlan.fragment != Fragment::outer || vxlan.df != Df::set) return;
        judge_.refuse(at(vxlan, "fragment"), path + ".fragment",
                      "outer fragments tunnel packets, and df: set" + line_text(at(vxlan, "df")) +
                          " says that they are not (df: unset or inherit)");
    }

    void ports(const Vxlan& vxlan, const std::string& path) {
        const std::uint16_t room = effective_mtu(judge_.topology(), vxlan);
        for (std::size_t i = 0; i < vxlan.ports.size(); ++i) {
            const Position where = position_at(vxlan.port_where, i, at(vxlan, "ports"));
            const std::string item = item_path(path + ".ports", i);
            const Port* const port = judge_.port(where, item, vxlan.ports[i], PortRole::access);
            if (port == nullptr) continue;
            const auto [earlier, fresh] = members_.try_emplace(vxlan.ports[i], &vxlan, where);
            if (!fresh) {
                const bool same = earlier->second.first == &vxlan;
                const std::string& part_of = earlier->second.first->part_of;
                if (!same && !vxlan.part_of.empty() && part_of == vxlan.part_of) {
                    continue;  // a trunk
                }
                judge_.refuse(
                    where, item,
                    "port " + quoted(port->name) +
                        (same ? std::string(" is given twice")
                              : " is in segment " + quoted(said_name(*earlier->second.first)) +
                                    line_text(earlier->second.second)) +
                        (same ? " (each port once)" : " (one segment per access port)"));
                continue;
            }
            if (room == 0 || port->mtu <= room || !port->keys.has("mtu")) continue;
            judge_.refuse(port->keys.of("mtu", port->where), "ports." + port->name + ".mtu",
                          std::to_string(port->mtu) + " exceeds the mtu of segment " +
                              quoted(said_name(vxlan)) + " (at most " + std::to_string(room) + ")");
        }
    }

    using Options = std::tuple<std::optional<IpAddress>, std::uint16_t, std::uint32_t,
                               std::uint32_t, std::uint16_t, std::uint8_t, Df, Ecn, bool, bool>;
    static Options options_of(const Vxlan& vxlan) {
        return {vxlan.local, vxlan.dstport, vxlan.srcport.lo, vxlan.srcport.hi, vxlan.ttl,
                vxlan.tos,   vxlan.df,      vxlan.ecn,        vxlan.udpcsum,    vxlan.mss_clamp};
    }

    void capacities() {
        const Topology& topology = judge_.topology();
        std::size_t entries = 0;
        // Segments with the same options share their tunnels.
        std::map<std::tuple<Options, std::uint32_t, std::uint16_t>, std::uint32_t> numbers;
        std::vector<std::unordered_set<IpAddress, IpAddressHash>> tunnels;
        for (const Vxlan& vxlan : topology.vxlans) {
            const auto remotes_with = [&](std::uint32_t vni, std::uint16_t dstport) -> auto& {
                const auto next = static_cast<std::uint32_t>(numbers.size());
                const auto made = numbers.try_emplace({options_of(vxlan), vni, dstport}, next);
                if (made.second) tunnels.emplace_back();
                return tunnels[made.first->second];
            };
            if (vxlan.remote) remotes_with(0, 0).insert(*vxlan.remote);
            if (vxlan.group) remotes_with(0, 0).insert(*vxlan.group);
            for (const FdbEntry& entry : vxlan.fdb) {
                if (!entry.mac.is_zero()) ++entries;
                if (entry.dst.empty()) continue;
                remotes_with(entry.vni, entry.dstport).insert(entry.dst.begin(), entry.dst.end());
            }
            for (const MdbEntry& entry : vxlan.mdb) {
                if (entry.dst.empty()) continue;
                remotes_with(entry.vni, entry.dstport).insert(entry.dst.begin(), entry.dst.end());
            }
        }
        std::size_t distinct = 0;
        for (const auto& remotes : tunnels) distinct += remotes.size();
        capacity("fdb-capacity", entries, topology.system.fdb_capacity, "FDB entries");
        capacity("tunnel-capacity", distinct, topology.system.tunnel_capacity, "remotes");
    }

    void capacity(std::string_view key, std::size_t used, std::size_t most,
                  const std::string& what) {
        if (used <= most) return;
        const System& system = judge_.topology().system;
        judge_.refuse(system.keys.of(key, system.where), "system." + std::string(key),
                      std::to_string(used) + " " + what + " are configured, there is room for " +
                          std::to_string(most) + " (at least " + std::to_string(used) + ")");
    }

    static Position at(const Vxlan& vxlan, std::string_view key) {
        return vxlan.keys.of(key, vxlan.where);
    }

    Judge& judge_;
    std::set<std::string> names_;
    std::set<std::pair<std::string, std::string>> clashes_;  ///< told already
    /// By VNI, dstport, and whether over IPv6.
    std::map<std::pair<std::pair<std::uint32_t, std::uint16_t>, bool>, Holder> numbers_;
    std::map<std::string, Holder> members_;
    std::map<std::uint16_t, Holder> meanings_;  ///< by dstport
    std::set<std::string> mixed_;               ///< told already
};

}  // namespace

void judge_vxlans(Judge& judge) {
    VxlanJudge(judge).all();
}

}  // namespace vxplane::config
