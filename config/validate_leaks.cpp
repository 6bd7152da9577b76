// Routes that go on in another table must end somewhere, and not at the slave of another ipvlan:
// finds the prefixes whose packets would be handed from table to table in a circle, and names the
// whole circle.
#include <algorithm>
#include <map>
#include <set>

#include "config/judge.hpp"
#include "config/nearest.hpp"
#include "config/resolve.hpp"

namespace vxplane::config {
namespace {

using Routes = const std::vector<TableRoute>*;

/// A table, and what is needed to follow a packet through it.
struct Table {
    std::string name;
    std::string path;
    const Ipvlan* home = nullptr;
    std::map<IpPrefix, const TableRoute*> by_prefix{};  ///< made when a leak leads here
};

class LeakJudge {
  public:
    explicit LeakJudge(Judge& judge) : judge_(judge) {
        for (const RouteTable& table : judge.topology().tables) {
            add(table.routes, {table.name, "tables." + table.name + ".routes"});
        }
        for (const Ipvlan& ipvlan : judge.topology().ipvlans) {
            for (const Slave& slave : ipvlan.slaves) {
                add(slave.routes,
                    {slave.name, "ipvlans." + ipvlan.name + ".slaves." + slave.name + ".routes",
                     &ipvlan});
            }
        }
    }

    void circles() {
        for (const Routes routes : order_) {
            for (std::size_t i = 0; i < routes->size(); ++i) {
                const TableRoute& route = (*routes)[i];
                if (!leaks(route)) continue;
                steps_ = {{routes, &route}};
                visited_ = {routes};
                follow(route.to, item_path(tables_.at(routes).path, i));
            }
        }
    }

    /// Slaves are reached only from slaves of the same ipvlan: each has connections of its own.
    void strangers() {
        for (const Ipvlan& ipvlan : judge_.topology().ipvlans) {
            std::vector<Routes> reached;
            for (const Slave& slave : ipvlan.slaves) reached.push_back(&slave.routes);
            visited_ = {reached.begin(), reached.end()};
            while (!reached.empty()) {
                const Routes routes = reached.back();
                reached.pop_back();
                for (std::size_t i = 0; i < routes->size(); ++i) {
                    for (const Hop& hop : (*routes)[i].hops) {
                        const Table& table = tables_.at(routes);
                        if (table.home != &ipvlan) stranger(ipvlan, table, hop, i);
                        const Routes next = hop.table.empty() ? nullptr : target(hop, table.home);
                        if (next != nullptr && visited_.insert(next).second) {
                            reached.push_back(next);
                        }
                    }
                }
            }
        }
    }

  private:
    void stranger(const Ipvlan& from, const Table& table, const Hop& hop, std::size_t route) {
        if (hop.slave.empty()) return;
        const SlaveRef to = resolve_slave(judge_.topology(), table.home, hop.slave);
        if (!to || to.ipvlan == &from) return;
        judge_.refuse(hop.keys.of("slave", hop.where), item_path(table.path, route, "slave"),
                      quoted(hop.slave) + " is a slave of ipvlan " + quoted(to.ipvlan->name) +
                          ", and slaves of " + quoted(from.name) +
                          " are led to this table (one ipvlan, or two tables)");
    }

    struct Step {
        Routes table;
        const TableRoute* route;
    };

    void add(const std::vector<TableRoute>& routes, Table table) {
        if (tables_.try_emplace(&routes, std::move(table)).second) order_.push_back(&routes);
    }

    static bool leaks(const TableRoute& route) {
        return std::ranges::any_of(route.hops, [](const Hop& hop) { return !hop.table.empty(); });
    }

    /// Goes on from the last step with packets to all of `to`, in every table that it leads to.
    /// The smallest prefix of a circle is that of one of its routes, so starting at each route
    /// finds every circle.
    void follow(const IpPrefix& to, const std::string& path) {
        const Step last = steps_.back();
        const Table& table = tables_.at(last.table);
        for (const Hop& hop : last.route->hops) {
            const Routes next = hop.table.empty() ? nullptr : target(hop, table.home);
            if (next == nullptr) continue;
            if (next == steps_.front().table) {
                // A slave's route to its own table was refused as such.
                if (steps_.size() > 1 || table.home == nullptr) found(next, path);
                continue;
            }
            const TableRoute* const route =
                visited_.insert(next).second ? longest(next, to) : nullptr;
            if (route == nullptr || !leaks(*route)) continue;
            steps_.push_back({next, route});
            follow(to, path);
            steps_.pop_back();
        }
    }

    [[nodiscard]] Routes target(const Hop& hop, const Ipvlan* home) const {
        const TableRef found = resolve_table(judge_.topology(), home, hop.table);
        if (found.table != nullptr) return &found.table->routes;
        return found.slave ? &found.slave.slave->routes : nullptr;
    }

    /// The route that packets to all of `to` take, as far as no longer one takes some of them.
    const TableRoute* longest(Routes routes, const IpPrefix& to) {
        Table& table = tables_.at(routes);
        if (table.by_prefix.empty()) {
            for (const TableRoute& route : *routes) table.by_prefix.try_emplace(route.to, &route);
        }
        for (int length = to.length; length >= 0; --length) {
            const auto at =
                table.by_prefix.find(network_of({to.address, static_cast<std::uint8_t>(length)}));
            if (at != table.by_prefix.end()) return at->second;
        }
        return nullptr;
    }

    void found(Routes end, const std::string& path) {
        std::set<Routes> circle;
        std::string names;
        for (const Step& step : steps_) {
            circle.insert(step.table);
            names += tables_.at(step.table).name + " -> ";
        }
        if (!known_.insert(circle).second) return;
        const Step& first = steps_.front();
        judge_.refuse(first.route->keys.of("table", first.route->where), path,
                      "tables lead in a circle: " + names + tables_.at(end).name + " for " +
                          first.route->to.text() +
                          " (a route in one of them that leads out of it)");
    }

    Judge& judge_;
    std::map<Routes, Table> tables_;
    std::vector<Routes> order_;
    std::vector<Step> steps_;
    std::set<Routes> visited_;  ///< from the first step
    std::set<std::set<Routes>> known_;
};

}  // namespace

void judge_leaks(Judge& judge) {
    LeakJudge leaks(judge);
    leaks.circles();
    leaks.strangers();
}

}  // namespace vxplane::config
