// Masters and their slaves: links, ports, addresses that clash, sizes.
#include <map>
#include <set>
#include <utility>

#include "config/judge.hpp"
#include "config/limits.hpp"
#include "config/nearest.hpp"
#include "config/parse.hpp"
#include "config/resolve.hpp"

namespace vxplane::config {
namespace {

class IpvlanJudge {
  public:
    explicit IpvlanJudge(Judge& judge) : judge_(judge) {
        for (const Vxlan& vxlan : judge.topology().vxlans) {
            for (const std::string& port : vxlan.ports) segments_.try_emplace(port, &vxlan);
        }
    }

    void all() {
        std::size_t slaves = 0;
        for (const Ipvlan& ipvlan : judge_.topology().ipvlans) slaves += ipvlan.slaves.size();
        if (slaves > limits::slaves_max) {
            judge_.refuse(judge_.topology().ipvlans.front().where, "ipvlans",
                          std::to_string(slaves) + " slaves are too many (at most " +
                              std::to_string(limits::slaves_max) + ")");
            return;
        }
        for (const Ipvlan& ipvlan : judge_.topology().ipvlans) one(ipvlan);
    }

  private:
    struct Owner {
        const Slave* slave;
        Position where;
    };

    void one(const Ipvlan& ipvlan) {
        const std::string path = "ipvlans." + ipvlan.name;
        if (!names_.insert(ipvlan.name).second) {
            judge_.refuse(ipvlan.where, path, "given twice (each name once)");
        }
        const Port* const port = link(ipvlan, path);
        if (ipvlan.dhcp_snoop && ipvlan.mode != IpvlanMode::l2) {
            judge_.refuse(
                ipvlan.keys.of("dhcp-snoop", ipvlan.where), path + ".dhcp-snoop",
                "clients ask by broadcast, and l3 and l3s carry none (false, or mode: l2)");
        }
        judge_.range(ipvlan.conntrack.keys.of("capacity", ipvlan.where),
                     path + ".conntrack.capacity", ipvlan.conntrack.capacity,
                     limits::connections_min, limits::connections_max);
        owners_.clear();
        slave_names_.clear();
        for (const Slave& slave : ipvlan.slaves) {
            this->slave(ipvlan, port, slave, path + ".slaves." + slave.name);
        }
        judge_rules(judge_, ipvlan);
        judge_nat(judge_, ipvlan);
    }

    const Port* link(const Ipvlan& ipvlan, const std::string& path) {
        const Position where = ipvlan.keys.of("link", ipvlan.where);
        const Port* const port =
            judge_.port(where, path + ".link", ipvlan.link, PortRole::underlay);
        if (port == nullptr) return nullptr;
        const auto [earlier, fresh] = links_.try_emplace(ipvlan.link, &ipvlan);
        if (!fresh) {
            const Ipvlan& other = *earlier->second;
            judge_.refuse(where, path + ".link",
                          "port " + quoted(ipvlan.link) + " is the link of ipvlan " +
                              quoted(other.name) + line_text(other.keys.of("link", other.where)) +
                              " (one ipvlan per underlay port)");
        }
        if (port->reassembly) {
            // Rules and translation of an ipvlan see fragments as they arrive.
            judge_.refuse(
                port->keys.of("reassembly", port->where), "ports." + port->name + ".reassembly",
                "port " + quoted(port->name) + " is the link of ipvlan " + quoted(ipvlan.name) +
                    line_text(where) + " (tunnels in fragments by a port of their own)");
        }
        return port;
    }

    void slave(const Ipvlan& ipvlan, const Port* link, const Slave& slave,
               const std::string& path) {
        if (!slave_names_.insert(slave.name).second) {
            judge_.refuse(slave.where, path, "given twice (each name once)");
        }
        if (!slave.vrf.empty() && !is_object_name(slave.vrf)) {
            judge_.refuse(at(slave, "vrf"), path + ".vrf",
                          quoted(slave.vrf) +
                              " cannot name a tenant (1 to 63 letters, digits, '.', '_' and '-')");
        }
        port(slave, path);
        if (link != nullptr) mtu(slave, *link, path);
        for (std::size_t i = 0; i < slave.addresses.size(); ++i) {
            const Position where = position_at(slave.address_where, i, at(slave, "addresses"));
            address(ipvlan, link, {&slave, where}, slave.addresses[i],
                    item_path(path + ".addresses", i));
        }
        groups(slave, path);
        if (slave.rate != 0) {
            judge_.range(at(slave, "rate"), path + ".rate", slave.rate, limits::rate_min,
                         limits::rate_max);
        }
        judge_table_routes(judge_, slave.routes, path + ".routes", &ipvlan, &slave);
    }

    void port(const Slave& slave, const std::string& path) {
        const Position where = at(slave, "port");
        if (judge_.port(where, path + ".port", slave.port, PortRole::access) == nullptr) return;
        const auto segment = segments_.find(slave.port);
        if (segment != segments_.end()) {
            judge_.refuse(where, path + ".port",
                          "port " + quoted(slave.port) + " is in segment " +
                              quoted(segment->second->name) + line_text(segment->second->where) +
                              " (an access port of its own)");
        }
        const auto [earlier, fresh] = ports_.try_emplace(slave.port, &slave);
        if (!fresh) {
            judge_.refuse(where, path + ".port",
                          "port " + quoted(slave.port) + " is that of slave " +
                              quoted(earlier->second->name) +
                              line_text(at(*earlier->second, "port")) +
                              " (an access port of its own)");
        }
    }

    void mtu(const Slave& slave, const Port& link, const std::string& path) {
        const std::string of_link = " exceeds the mtu of link " + quoted(link.name) + " (at most ";
        if (slave.mtu != 0) {
            judge_.range(at(slave, "mtu"), path + ".mtu", slave.mtu, limits::mtu_min,
                         limits::mtu_max);
        }
        if (slave.mtu > link.mtu) {
            judge_.refuse(at(slave, "mtu"), path + ".mtu",
                          std::to_string(slave.mtu) + of_link + std::to_string(link.mtu) + ")");
        }
        const Port* const port = find_port(judge_.topology(), slave.port);
        if (port == nullptr || !port->keys.has("mtu")) return;
        if (port->mtu > link.mtu) {
            judge_.refuse(port->keys.of("mtu", port->where), "ports." + port->name + ".mtu",
                          std::to_string(port->mtu) + of_link + std::to_string(link.mtu) + ")");
        } else if (slave.mtu > port->mtu) {
            judge_.refuse(at(slave, "mtu"), path + ".mtu",
                          std::to_string(slave.mtu) + " exceeds the mtu of port " +
                              quoted(port->name) + " (at most " + std::to_string(port->mtu) + ")");
        }
    }

    void address(const Ipvlan& ipvlan, const Port* link, const Owner& owner, const IpPrefix& prefix,
                 const std::string& path) {
        if (const auto unfit = unfit_prefix(prefix)) {
            judge_.refuse(owner.where, path, *unfit + " (a host address such as 10.0.0.5/24)");
            return;
        }
        const std::string text = prefix.address.text();
        for (const IpPrefix& own : link == nullptr ? std::vector<IpPrefix>{} : link->addresses) {
            if (own.address != prefix.address) continue;
            judge_.refuse(owner.where, path,
                          text + " is the address of the link, port " + quoted(link->name) +
                              line_text(link->keys.of("addresses", link->where)) +
                              " (an address of the slave's own)");
            return;
        }
        const auto [earlier, fresh] =
            owners_.try_emplace({owner.slave->vrf, prefix.address}, owner);
        if (!fresh) {
            const Slave& other = *earlier->second.slave;
            judge_.refuse(
                owner.where, path,
                text +
                    (&other == owner.slave ? " is given twice"
                                           : " is the address of slave " + quoted(other.name)) +
                    line_text(earlier->second.where) + " (each address once on ipvlan " +
                    ipvlan.name + ", unless the slaves are of different vrf)");
            return;
        }
        if (owner.slave->vrf.empty()) neighbour(ipvlan, owner, prefix.address, path);
    }

    void neighbour(const Ipvlan& ipvlan, const Owner& owner, const IpAddress& address,
                   const std::string& path) {
        for (const Neighbour& other : judge_.topology().neighbours) {
            if (other.dev != ipvlan.link || other.address != address) continue;
            judge_.refuse(owner.where, path,
                          address.text() + " is the address of a neighbour of the link" +
                              line_text(other.where) + " (an address of the slave's own)");
        }
    }

    void groups(const Slave& slave, const std::string& path) {
        std::set<IpAddress> seen;
        for (std::size_t i = 0; i < slave.groups.size(); ++i) {
            const Position where = position_at(slave.group_where, i, at(slave, "groups"));
            const std::string item = item_path(path + ".groups", i);
            const std::string text = slave.groups[i].text();
            if (!slave.groups[i].is_multicast()) {
                judge_.refuse(where, item,
                              text + " is not a multicast address (224.0.0.0/4 or ff00::/8)");
            } else if (!seen.insert(slave.groups[i]).second) {
                judge_.refuse(where, item, text + " is given twice (each group once)");
            }
        }
        // All hosts, all nodes, and a solicited-node group for each IPv6 address.
        std::size_t all = slave.groups.size() + 2;
        for (const IpPrefix& own : slave.addresses) all += own.address.is_ipv4() ? 0 : 1;
        if (all <= limits::groups_max || slave.groups.empty() || slave.allmulticast) return;
        judge_.refuse(at(slave, "groups"), path + ".groups",
                      std::to_string(all) +
                          " groups, those of its addresses included, are too many (at most " +
                          std::to_string(limits::groups_max) + ", or allmulticast: true)");
    }

    static Position at(const Slave& slave, std::string_view key) {
        return slave.keys.of(key, slave.where);
    }

    Judge& judge_;
    std::set<std::string_view> names_;
    std::map<std::string_view, const Ipvlan*> links_;
    std::map<std::string_view, const Slave*> ports_;
    std::map<std::string_view, const Vxlan*> segments_;
    // Of the ipvlan that is being judged.
    std::set<std::string_view> slave_names_;
    std::map<std::pair<std::string_view, IpAddress>, Owner> owners_;
};

}  // namespace

void judge_ipvlans(Judge& judge) {
    IpvlanJudge(judge).all();
}

}  // namespace vxplane::config
