// Address translation of one ipvlan as a whole: pairs, ranges of ports and masquerading that would
// take each other's packets.
#include <algorithm>
#include <map>

#include "config/judge.hpp"
#include "config/nearest.hpp"
#include "config/resolve.hpp"

namespace vxplane::config {
namespace {

bool overlap(const Ports& a, const Ports& b) {
    return a.lo <= b.hi && b.lo <= a.hi;
}

std::string text_of(const Ports& ports) {
    return std::to_string(ports.lo) + "-" + std::to_string(ports.hi);
}

/// Ports of an address that connections are given, by one rule.
struct Range {
    IpAddress address;
    std::optional<std::uint8_t> protocol;
    Ports ports;
    Position where;
    std::string path;
};

class NatJudge {
  public:
    NatJudge(Judge& judge, const Ipvlan& ipvlan)
        : judge_(judge),
          ipvlan_(ipvlan),
          link_(find_port(judge.topology(), ipvlan.link)),
          path_("ipvlans." + ipvlan.name) {}

    void all() {
        masquerade();
        for (const Slave& slave : ipvlan_.slaves) {
            const std::string path = path_ + ".slaves." + slave.name + ".nat";
            for (std::size_t i = 0; i < slave.nat.size(); ++i) {
                pair(slave, slave.nat[i], item_path(path, i));
            }
        }
        ranges();
    }

  private:
    void masquerade() {
        const Ports& ports = ipvlan_.masquerade_ports;
        if (ports.lo == 0 || ports.lo > ports.hi) {
            judge_.refuse(at("masquerade-ports"), path_ + ".masquerade-ports",
                          text_of(ports) + " is no range (from 1, the low end first)");
        }
        if (!ipvlan_.masquerade || conntrack_on(ipvlan_)) return;
        judge_.refuse(at("masquerade"), path_ + ".masquerade", untracked());
    }

    [[nodiscard]] std::string untracked() const {
        return "connections are not tracked" +
               line_text(ipvlan_.conntrack.keys.of("on", ipvlan_.where)) +
               " (conntrack: {on: true})";
    }

    void pair(const Slave& slave, const NatPair& pair, const std::string& path) {
        const auto at = [&](std::string_view key) { return pair.keys.of(key, pair.where); };
        if (!conntrack_on(ipvlan_)) judge_.refuse(pair.where, path, untracked());
        if (const auto unfit = unfit_host(pair.public_)) {
            judge_.refuse(at("public"), path + ".public", *unfit + " (the address of a host)");
            return;
        }
        private_address(slave, pair, path);
        const std::string text = pair.public_.text();
        const auto [earlier, fresh] = publics_.try_emplace(pair.public_, &slave, at("public"));
        if (!fresh) {
            const Slave& other = *earlier->second.first;
            judge_.refuse(
                at("public"), path + ".public",
                text +
                    (&other == &slave ? " is given twice"
                                      : " is the public address of slave " + quoted(other.name)) +
                    line_text(earlier->second.second) + " (each public address once)");
        }
        for (const Slave& other : ipvlan_.slaves) {
            if (!other.vrf.empty() && other.vrf != slave.vrf) continue;
            for (const IpPrefix& own : other.addresses) {
                if (own.address != pair.public_) continue;
                judge_.refuse(at("public"), path + ".public",
                              text + " is the address of slave " + quoted(other.name) +
                                  line_text(other.keys.of("addresses", other.where)) +
                                  " (an address that no slave has)");
            }
        }
        if (masquerades() && masquerade_address(pair.public_) == pair.public_) {
            judge_.refuse(at("public"), path + ".public",
                          text + " is the address that masquerade gives (another address)");
        }
    }

    void private_address(const Slave& slave, const NatPair& pair, const std::string& path) {
        const Position where = pair.keys.of("private", pair.where);
        if (pair.private_.is_unspecified()) {
            judge_.refuse(where, path,
                          "slave " + quoted(slave.name) + " has no address of the family of " +
                              pair.public_.text() + " (one of its addresses as private)");
        } else if (pair.private_.family != pair.public_.family) {
            judge_.refuse(where, path + ".private",
                          pair.private_.text() + " is not of the family of " + pair.public_.text() +
                              " (both IPv4 or both IPv6)");
        } else if (std::ranges::find(slave.addresses, pair.private_, &IpPrefix::address) ==
                   slave.addresses.end()) {
            judge_.refuse(where, path + ".private",
                          pair.private_.text() + " is not an address of slave " +
                              quoted(slave.name) + " (one of its addresses)");
        }
        const auto [earlier, fresh] = privates_.try_emplace({&slave, pair.private_}, pair.where);
        if (!fresh && !pair.private_.is_unspecified()) {
            judge_.refuse(where, path,
                          pair.private_.text() + " has a public address already" +
                              line_text(earlier->second) + " (one for each)");
        }
    }

    [[nodiscard]] bool masquerades() const {
        return ipvlan_.masquerade || std::ranges::find(ipvlan_.rules, RuleAction::masquerade,
                                                       &Rule::action) != ipvlan_.rules.end();
    }

    /// The first address of the link of the family of `like`.
    [[nodiscard]] std::optional<IpAddress> masquerade_address(const IpAddress& like) const {
        if (link_ == nullptr) return std::nullopt;
        for (const IpPrefix& own : link_->addresses) {
            if (own.address.family == like.family) return own.address;
        }
        return std::nullopt;
    }

    /// Ranges that are written out; without to-ports a rule takes what is free.
    void ranges() {
        std::vector<Range> all;
        if (ipvlan_.masquerade) {
            for (const IpAddress::Family family :
                 {IpAddress::Family::ipv4, IpAddress::Family::ipv6}) {
                const auto address = masquerade_address({family, {}});
                if (!address) continue;
                all.push_back({*address, std::nullopt, ipvlan_.masquerade_ports,
                               at("masquerade-ports"), path_ + ".masquerade-ports"});
            }
        }
        for (std::size_t i = 0; i < ipvlan_.rules.size(); ++i) {
            const Rule& rule = ipvlan_.rules[i];
            if (!rule.to_ports) continue;
            const std::string path = item_path(path_ + ".rules", i, "to-ports");
            const Position where = rule.keys.of("to-ports", rule.where);
            if (rule.action == RuleAction::snat && rule.to) {
                add(all, {*rule.to, rule.protocol, *rule.to_ports, where, path});
            } else if (rule.action == RuleAction::masquerade) {
                const auto address =
                    masquerade_address(rule.saddr ? rule.saddr->address : IpAddress{});
                if (address) add(all, {*address, rule.protocol, *rule.to_ports, where, path});
            }
        }
        for (const Range& range : all) {
            const auto taken = publics_.find(range.address);
            if (taken == publics_.end()) continue;
            // Said of the pair already.
            if (masquerades() && masquerade_address(range.address) == range.address) continue;
            judge_.refuse(range.where, range.path,
                          range.address.text() + " is the public address of slave " +
                              quoted(taken->second.first->name) + line_text(taken->second.second) +
                              ", all of its ports (another address)");
        }
    }

    void add(std::vector<Range>& all, Range range) {
        for (const Range& other : all) {
            if (other.address != range.address || !overlap(other.ports, range.ports)) continue;
            if (other.protocol && range.protocol && other.protocol != range.protocol) continue;
            judge_.refuse(range.where, range.path,
                          text_of(range.ports) + " of " + range.address.text() + " overlaps " +
                              text_of(other.ports) + " of " + other.path + line_text(other.where) +
                              " (ranges apart)");
            return;
        }
        all.push_back(std::move(range));
    }

    [[nodiscard]] Position at(std::string_view key) const {
        return ipvlan_.keys.of(key, ipvlan_.where);
    }

    Judge& judge_;
    const Ipvlan& ipvlan_;
    const Port* link_;
    std::string path_;
    std::map<IpAddress, std::pair<const Slave*, Position>> publics_;
    std::map<std::pair<const Slave*, IpAddress>, Position> privates_;
};

}  // namespace

void judge_nat(Judge& judge, const Ipvlan& ipvlan) {
    NatJudge(judge, ipvlan).all();
}

}  // namespace vxplane::config
