// Routing tables of slaves and those of `tables:`: where each route leads. Loops between tables are
// found in validate_leaks.cpp.
#include <algorithm>
#include <map>
#include <set>

#include "config/judge.hpp"
#include "config/limits.hpp"
#include "config/nearest.hpp"
#include "config/resolve.hpp"

namespace vxplane::config {
namespace {

/// Where a table stands: of a slave, or one of `tables:` (both null).
struct Place {
    const Ipvlan* home;
    const Slave* slave;
};

class HopJudge {
  public:
    HopJudge(Judge& judge, Place place, const TableRoute& route, const Hop& hop, std::string path)
        : judge_(judge), place_(place), route_(route), hop_(hop), path_(std::move(path)) {}

    void all() {
        judge_.range(at("weight"), path_ + ".weight", hop_.weight, 1, limits::weight_max);
        const int ways = (hop_.via || !hop_.dev.empty() ? 1 : 0) + (hop_.slave.empty() ? 0 : 1) +
                         (hop_.vxlan.empty() ? 0 : 1) + (hop_.table.empty() ? 0 : 1);
        if (ways != 1) {
            judge_.refuse(hop_.where, path_,
                          ways == 0 ? "the route leads nowhere (via, dev, slave, vxlan or table)"
                                    : "the route leads several ways (via, dev, slave, vxlan or "
                                      "table; several of them in nexthops)");
        }
        if (!hop_.dev.empty()) dev();
        if (hop_.via) via();
        if (!hop_.slave.empty()) slave();
        if (!hop_.table.empty()) table();
        vxlan();
    }

  private:
    void dev() {
        if (place_.slave != nullptr && hop_.dev == place_.slave->port) return;
        judge_.port(at("dev"), path_ + ".dev", hop_.dev, PortRole::underlay);
    }

    void via() {
        const IpAddress& via = *hop_.via;
        const std::string path = path_ + ".via";
        if (const auto unfit = unfit_host(via)) {
            judge_.refuse(at("via"), path, *unfit + " (the address of a gateway)");
            return;
        }
        if (via.family != route_.to.address.family) {
            judge_.refuse(at("via"), path,
                          via.text() + " is not of the family of " + route_.to.text() +
                              " (a gateway of the same family; default6 is ::/0)");
            return;
        }
        // Another network may have the addresses that we have elsewhere.
        const Port* const owner = owner_of(judge_.topology(), via);
        const std::string& exit = hop_.dev.empty() && place_.home ? place_.home->link : hop_.dev;
        if (owner != nullptr && (exit.empty() || exit == owner->name)) {
            judge_.refuse(at("via"), path,
                          via.text() + " is our own address, of port " + quoted(owner->name) +
                              " (the address of a gateway)");
            return;
        }
        if (place_.home != nullptr) {
            not_a_slave(via, path);
        } else if (hop_.dev.empty() && connected_to(judge_.topology(), via).port == nullptr) {
            judge_.refuse(at("via"), path,
                          via.text() + " is on no subnet of ours (dev: the underlay port)");
        }
    }

    /// A slave's address needs no neighbour: it is found without one.
    void not_a_slave(const IpAddress& via, const std::string& path) {
        for (const Slave& other : place_.home->slaves) {
            if (other.vrf != place_.slave->vrf) continue;
            for (const IpPrefix& own : other.addresses) {
                if (own.address != via) continue;
                const bool self = &other == place_.slave;
                judge_.refuse(
                    at("via"), path,
                    via.text() + (self ? " is the slave's own address (the address of a "
                                         "gateway)"
                                       : " is the address of slave " + quoted(other.name) +
                                             " (slave: " + other.name + ")"));
                return;
            }
        }
    }

    void slave() {
        const Topology& topology = judge_.topology();
        const SlaveRef found = resolve_slave(topology, place_.home, hop_.slave);
        const std::string path = path_ + ".slave";
        if (!found) {
            const std::vector<std::string> names = slave_names(hop_.slave);
            const bool several = std::ranges::find(names, hop_.slave) != names.end();
            judge_.refuse(
                at("slave"), path,
                several ? quoted(hop_.slave) + " is a slave of several ipvlans" + allowed_slaves()
                        : "there is no slave " + quoted(hop_.slave) +
                              nearest_text(hop_.slave, names) + allowed_slaves());
        } else if (found.slave == place_.slave) {
            judge_.refuse(
                at("slave"), path,
                "the route of slave " + quoted(hop_.slave) + " leads to itself (another slave)");
        } else if (place_.home != nullptr && found.ipvlan != place_.home) {
            judge_.refuse(at("slave"), path,
                          quoted(hop_.slave) + " is a slave of another ipvlan" + allowed_slaves());
        }
    }

    void table() {
        const Topology& topology = judge_.topology();
        const TableRef found = resolve_table(topology, place_.home, hop_.table);
        const std::string path = path_ + ".table";
        if (found.table != nullptr && resolve_slave(topology, place_.home, hop_.table)) {
            judge_.refuse(at("table"), path,
                          quoted(hop_.table) +
                              " is one of tables and a slave too (a name of its "
                              "own)");
        } else if (found.table == nullptr && !found.slave) {
            std::vector<std::string> names = slave_names(hop_.table);
            for (const RouteTable& one : topology.tables) names.push_back(one.name);
            judge_.refuse(at("table"), path,
                          "there is no table " + quoted(hop_.table) +
                              nearest_text(hop_.table, names) +
                              " (one of tables, or a slave, for the table of that slave)");
        } else if (found.slave && found.slave.slave == place_.slave) {
            judge_.refuse(at("table"), path,
                          "the route of slave " + quoted(hop_.table) +
                              " leads back to its own table (another table)");
        }
    }

    void remote(const Vxlan* segment, const IpAddress& address) {
        if (!judge_.remote(at("remote"), path_ + ".remote", address) || segment == nullptr) return;
        const Families families = families_of(judge_.topology(), *segment);
        if (address.is_ipv4() ? families.ipv4 : families.ipv6) return;
        const std::string family = address.is_ipv4() ? "IPv4" : "IPv6";
        judge_.refuse(at("remote"), path_ + ".remote",
                      address.text() + " is " + family + ", and segment " + quoted(segment->name) +
                          " has no tunnels over " + family + " (a remote of its family, or local" +
                          (address.is_ipv4() ? "" : "6") + ")");
    }

    void vxlan() {
        if (hop_.vxlan.empty()) {
            if (!hop_.remote && !hop_.lladdr) return;
            const std::string_view key = hop_.remote ? "remote" : "lladdr";
            judge_.refuse(at(key), path_ + "." + std::string(key),
                          std::string(key) + " belongs to a route into a segment (vxlan: NAME)");
            return;
        }
        const Vxlan* const segment = find_vxlan(judge_.topology(), hop_.vxlan);
        if (segment == nullptr) {
            std::vector<std::string> names;
            for (const Vxlan& one : judge_.topology().vxlans) names.push_back(one.name);
            judge_.refuse(at("vxlan"), path_ + ".vxlan",
                          "there is no segment " + quoted(hop_.vxlan) +
                              nearest_text(hop_.vxlan, names) + " (one of vxlans)");
        }
        if (!hop_.remote || !hop_.lladdr) {
            judge_.refuse(at("vxlan"), path_ + ".vxlan",
                          "which node of the segment is not said (remote: its VTEP, lladdr: its "
                          "MAC)");
        }
        if (hop_.remote) remote(segment, *hop_.remote);
        if (hop_.lladdr && (hop_.lladdr->is_zero() || hop_.lladdr->is_multicast())) {
            judge_.refuse(
                at("lladdr"), path_ + ".lladdr",
                hop_.lladdr->text() + " is not the address of one station (a unicast MAC)");
        }
    }

    /// Names that could have been meant, in the form of `text`.
    [[nodiscard]] std::vector<std::string> slave_names(const std::string& text) const {
        const bool full = text.find('/') != text.npos;
        std::vector<std::string> names;
        for (const Ipvlan& ipvlan : judge_.topology().ipvlans) {
            if (place_.home != nullptr && &ipvlan != place_.home) continue;
            for (const Slave& one : ipvlan.slaves) {
                names.push_back(full ? ipvlan.name + "/" + one.name : one.name);
            }
        }
        return names;
    }

    [[nodiscard]] std::string allowed_slaves() const {
        return place_.home == nullptr ? " (a slave, or IPVLAN/NAME)"
                                      : " (a slave of " + place_.home->name + ")";
    }

    [[nodiscard]] Position at(std::string_view key) const { return hop_.keys.of(key, hop_.where); }

    Judge& judge_;
    Place place_;
    const TableRoute& route_;
    const Hop& hop_;
    std::string path_;
};

void judge_route(Judge& judge, Place place, const TableRoute& route, const std::string& path) {
    const auto at = [&](std::string_view key) { return route.keys.of(key, route.where); };
    if (network_of(route.to) != route.to) {
        judge.refuse(at("to"), path + ".to",
                     route.to.text() + " has host bits set (" + network_of(route.to).text() + ")");
    }
    const bool inline_hop = !route.keys.has("nexthops") && route.hops.size() == 1;
    if (route.type != RouteType::unicast) {
        if (route.hops.empty()) return;
        judge.refuse(route.hops.front().where, path,
                     "a route of type " + std::string(type_name(route.type)) +
                         " leads nowhere (via, dev, slave, vxlan, table and nexthops with unicast "
                         "only)");
        return;
    }
    for (const std::string_view key :
         {"via", "dev", "slave", "vxlan", "remote", "lladdr", "table"}) {
        if (!route.keys.has("nexthops") || !route.keys.has(key)) continue;
        judge.refuse(at(key), path + "." + std::string(key),
                     "the route has nexthops too (one or the other)");
        return;
    }
    if (route.hops.empty()) {
        judge.refuse(route.where, path,
                     "a unicast route leads nowhere (via, dev, slave, vxlan, table or nexthops)");
    }
    if (route.hops.size() > limits::hops_max) {
        judge.refuse(at("nexthops"), path + ".nexthops",
                     std::to_string(route.hops.size()) + " next hops are too many (at most " +
                         std::to_string(limits::hops_max) + ")");
    }
    for (std::size_t i = 0; i < route.hops.size(); ++i) {
        HopJudge(judge, place, route, route.hops[i],
                 inline_hop ? path : item_path(path + ".nexthops", i))
            .all();
    }
}

}  // namespace

void judge_table_routes(Judge& judge, const std::vector<TableRoute>& routes,
                        const std::string& path, const Ipvlan* home, const Slave* slave) {
    std::map<IpPrefix, Position> seen;
    for (std::size_t i = 0; i < routes.size(); ++i) {
        const TableRoute& route = routes[i];
        const std::string item = item_path(path, i);
        judge_route(judge, {home, slave}, route, item);
        const auto [earlier, fresh] = seen.try_emplace(route.to, route.where);
        if (fresh) continue;
        judge.refuse(route.keys.of("to", route.where), item + ".to",
                     "there is a route to " + route.to.text() + " already" +
                         line_text(earlier->second) +
                         " (one route per prefix, several next hops in nexthops)");
    }
}

void judge_tables(Judge& judge) {
    std::set<std::string_view> names;
    for (const RouteTable& table : judge.topology().tables) {
        const std::string path = "tables." + table.name;
        if (!names.insert(table.name).second) {
            judge.refuse(table.where, path, "given twice (each name once)");
        }
        judge_table_routes(judge, table.routes, path + ".routes", nullptr, nullptr);
    }
}

}  // namespace vxplane::config
