// Slaves of ipvlans: what they are, and what went through their ports.
#include "control/apply/interface_id.hpp"
#include "control/apply/words.hpp"
#include "control/resolve/leases.hpp"
#include "control/stats/stats.hpp"

namespace vxplane::control::stats {

namespace {

double seconds(std::chrono::milliseconds time) {
    return static_cast<double>(time.count()) / 1e3;
}

/// Those of the topology, those that the slave joined itself, and what its filter had no room for.
void add_groups(Json& row, const Slaves& slaves, const SlaveView& view) {
    Json groups = Json::array();
    for (const config::IpAddress& group : view.config->groups) {
        groups.push_back({{"group", group.text()}, {"origin", "static"}});
    }
    const auto now = std::chrono::steady_clock::now();
    for (const Memberships::View& one : slaves.memberships().groups(view.number, now)) {
        groups.push_back(
            {{"group", text(one.group)}, {"origin", "snooped"}, {"expires_s", seconds(one.left)}});
    }
    row["groups"] = std::move(groups);
    row["groups_refused"] = slaves.memberships().refused(view.number);
}

/// Addresses that DHCP servers lease to it; `expires_s` is left out for those that stay.
void add_leases(Json& row, const Slaves& slaves, const SlaveView& view) {
    Json all = Json::array();
    for (const Leases::View& one :
         slaves.leases().of(view.number, std::chrono::steady_clock::now())) {
        Json lease{{"address", text(one.address)}, {"origin", "dhcp"}};
        if (one.left) {
            lease["expires_s"] = seconds(*one.left);
        }
        all.push_back(std::move(lease));
    }
    row["leases"] = std::move(all);
}

}  // namespace

Json Reader::slaves(const Slaves& slaves, const std::optional<std::string>& name) const {
    Json out = Json::array();
    std::vector<std::string> names;
    for (std::uint16_t i = 0; !slaves.name_of(i).empty(); ++i) {
        names.push_back(slaves.name_of(i));
    }
    const std::vector<std::uint16_t> ids = interface_numbers(names);
    for (const SlaveView& view : slaves.views()) {
        const std::string full = view.ipvlan + "/" + view.name;
        if (name && *name != view.name && *name != full) {
            continue;
        }
        const table::Slave& slave = slaves.slave(view.number);
        const table::Master& master = slaves.master(slave.master);
        const bool carrier = slaves.has_carrier(slave);
        const PortTotals now = port_totals(slave.port);
        const PortTotals& zero = port_zero_[slave.port];
        Json addresses = Json::array();
        for (const config::IpPrefix& own : view.config->addresses) {
            addresses.push_back(own.text());
        }
        Json nat = Json::array();
        for (const config::NatPair& pair : view.config->nat) {
            nat.push_back({{"public", pair.public_.text()}, {"private", pair.private_.text()}});
        }
        constexpr std::array<std::string_view, 3> kModes{"l2", "l3", "l3s"};
        // What the slave sends is what its port receives.
        out.push_back(
            {{"name", view.name},
             {"ipvlan", view.ipvlan},
             {"port", view.config->port},
             {"mode", kModes[static_cast<std::size_t>(master.mode)]},
             {"addresses", addresses},
             {"vrf", view.config->vrf},
             {"mac", text(net::MacAddress::from_number(master.mac))},
             {"interface_id", ids[view.number]},
             {"link_local", text(link_local(interface_id(net::MacAddress::from_number(master.mac),
                                                         ids[view.number])))},
             {"mtu", slave.max_frame - sizeof(net::EthernetHeader)},
             {"state", !slave.up  ? "down"
                       : !carrier ? "no-carrier"
                                  : "up"},
             {"nat", nat},
             {"rx",
              {{"packets", now.tx_packets - zero.tx_packets},
               {"bytes", now.tx_bytes - zero.tx_bytes},
               {"multicast", now.tx_groups - zero.tx_groups}}},
             {"tx",
              {{"packets", now.rx_packets - zero.rx_packets},
               {"bytes", now.rx_bytes - zero.rx_bytes},
               {"drops", now.dropped - zero.dropped}}}});
        add_groups(out.back(), slaves, view);
        add_leases(out.back(), slaves, view);
    }
    return out;
}

}  // namespace vxplane::control::stats
