// Slaves of ipvlans: what they are, and what went through their ports.
#include "control/apply/words.hpp"
#include "control/stats/stats.hpp"

namespace vxplane::control::stats {

Json Reader::slaves(const Slaves& slaves, const std::optional<std::string>& name) const {
    Json out = Json::array();
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
        out.push_back({{"name", view.name},
                       {"ipvlan", view.ipvlan},
                       {"port", view.config->port},
                       {"mode", kModes[static_cast<std::size_t>(master.mode)]},
                       {"addresses", addresses},
                       {"vrf", view.config->vrf},
                       {"mac", text(net::MacAddress::from_number(master.mac))},
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
    }
    return out;
}

}  // namespace vxplane::control::stats
