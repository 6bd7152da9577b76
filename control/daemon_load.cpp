// From the values of a topology to what the tables' owners take.
#include <rte_ethdev.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "config/load.hpp"
#include "config/resolve.hpp"
#include "config/validate.hpp"
#include "control/apply/from_topology.hpp"
#include "control/apply/reload.hpp"
#include "control/apply/words.hpp"
#include "control/daemon.hpp"
#include "control/log_level.hpp"
#include "control/offloads.hpp"

namespace vxplane::control {

namespace {

/// net_tap gives the kernel's end the address of the device. Of other hosts nothing is known.
net::MacAddress host_behind(const port::Port& port) {
    rte_ether_addr address{};
    net::MacAddress mac;
    if (port.driver() == "net_tap" && rte_eth_macaddr_get(port.id(), &address) == 0) {
        std::copy_n(address.addr_bytes, mac.bytes.size(), mac.bytes.begin());
    }
    return mac;
}

}  // namespace

void Daemon::load_ports() {
    for (const OpenPort& open : machine_.ports()) {
        const port::Port& port = *open.port;
        net::MacAddress mac;
        mac.bytes = port.mac();
        table::PortEntry entry;
        const bool underlay = open.config->role == config::PortRole::underlay;
        entry.role = open.is_twin ? table::PortRole::twin
                     : underlay   ? table::PortRole::underlay
                                  : table::PortRole::access;
        entry.learning = open.config->learning;
        entry.multi_segment_tx = port.multi_segment_tx();
        entry.promiscuous = open.config->promiscuous;
        entry.reassembles = open.config->reassembly;
        entry.from_guest = port.driver() == "net_vhost";
        entry.partner = open.partner;
        // A twin may take less than its underlay port does.
        const std::uint16_t mtu = std::min(device_mtu(topology_, *open.config), port.mtu());
        entry.max_frame = static_cast<std::uint16_t>(mtu + sizeof(net::EthernetHeader));
        const bool access = entry.role == table::PortRole::access;
        entry.mac = (access ? host_behind(port) : mac).number();
        bridge_->set_port(port.id(), entry);
        bridge_->set_rx_belief(port.id(), port.rx_checksum() ? RxBelief::trying : RxBelief::none);
        bridge_->set_group_policy(port.id(), group_policy_of(*open.config),
                                  open.config->accept_groups);
        for (const std::string& note : port.notes()) {
            spdlog::info("{}", note);
        }
        spdlog::info("port {}: {} ({}), MAC {}, MTU {}, {} rx and {} tx queues", port.name(),
                     port.device(), port.driver(), text(mac), std::min(mtu, port.offered_mtu()),
                     port.rx_queues(), port.tx_queues());
        spdlog::info("port {}: {}", port.name(), offloads_in_words(port.rx_checksum(), port.tso()));
        if (open.is_twin || !underlay) {
            continue;
        }
        const std::vector<OwnAddress> own = own_addresses(*open.config);
        neighbours_->set_port(port.id(), mac, answered_addresses(topology_, *open.config));
        tunnels_->set_uplink(port.id(), {mac, std::min(open.config->mtu, port.mtu()), own});
    }
    auto addresses = all_addresses(topology_, machine_);
    std::vector<OwnAddress> all;
    for (const auto& [own, port] : addresses) {
        all.push_back(own);
    }
    punts_->set_addresses(std::move(all));
    bridge_->set_addresses(std::move(addresses));
}

void Daemon::follow_mtus(Neighbours::Time now) {
    bool lowered_or_raised = false;
    for (const OpenPort& open : machine_.ports()) {
        if (!open.port->follow_mtu()) {
            continue;
        }
        const port::Port& port = *open.port;
        const std::uint16_t mtu = std::min(device_mtu(topology_, *open.config), port.mtu());
        spdlog::warn("port {}: MTU is {} now ({} configured)", port.name(), mtu, open.config->mtu);
        bridge_->set_max_frame(port.id(),
                               static_cast<std::uint16_t>(mtu + sizeof(net::EthernetHeader)));
        if (!open.is_twin && open.config->role == config::PortRole::underlay) {
            tunnels_->set_uplink_mtu(port.id(), mtu);
            lowered_or_raised = true;
        }
    }
    if (lowered_or_raised) {
        tunnels_->reroute(now);
    }
}

void Daemon::load_routes() {
    set_routes(routes_, topology_, machine_);
}

void Daemon::load_neighbours() {
    for (const config::Neighbour& neighbour : topology_.neighbours) {
        neighbours_->add_permanent(neighbour_of(neighbour, machine_), mac_of(neighbour.lladdr),
                                   Neighbours::Clock::now());
    }
}

std::optional<std::string> Daemon::load_segments() {
    bridge_->set_nexthops(nexthops_of(topology_));
    for (const config::Vxlan& vxlan : topology_.vxlans) {
        const std::uint16_t index =
            bridge_->add_segment(segment_of(topology_, vxlan, machine_), Neighbours::Clock::now());
        if (auto problem = load_fdb(vxlan, index)) {
            return "vxlan " + vxlan.name + ": " + *problem;
        }
    }
    return std::nullopt;
}

std::optional<std::string> Daemon::load_ipvlans() {
    const auto now = Neighbours::Clock::now();
    if (auto problem = slaves_->prepare(topology_, now)) {
        return problem;
    }
    slaves_->accept(topology_, now);
    return std::nullopt;
}

std::optional<std::string> Daemon::load_fdb(const config::Vxlan& vxlan, std::uint16_t index) {
    for (const FdbRequest& request : requests_of(vxlan, index, machine_)) {
        if (auto problem = bridge_->add(request, Neighbours::Clock::now())) {
            return problem;
        }
    }
    return std::nullopt;
}

Daemon::ReloadReport Daemon::reload(bool dry) {
    return change_to(config::check_file(topology_.file), dry);
}

Daemon::ReloadReport Daemon::change(config::Topology next, bool dry) {
    config::LoadResult checked;
    checked.problems = config::validate(next);
    checked.topology = std::move(next);
    return change_to(std::move(checked), dry);
}

Daemon::ReloadReport Daemon::change_to(config::LoadResult loaded, bool dry) {
    ReloadReport report;
    for (const config::Problem& problem : loaded.problems) {
        report.problems.push_back(problem.text());
    }
    if (!loaded.problems.empty() || !stats_) {
        for (const std::string& problem : report.problems) {
            spdlog::error("reload: {}", problem);
        }
        return report;
    }
    Reload change({machine_, *bridge_, *tunnels_, *neighbours_, *punts_, routes_, *slaves_},
                  topology_, loaded.topology);
    for (const config::Change& step : change.changes()) {
        report.changes.push_back(step.line());
    }
    report.problems = change.refusals();
    if (report.problems.empty() && !dry) {
        if (const auto problem = change.apply()) {
            report.problems.push_back(*problem);
        }
    }
    for (const std::string& problem : report.problems) {
        spdlog::error("reload: {}", problem);
    }
    if (dry || !report.problems.empty()) {
        return report;
    }
    for (const std::string& line : report.changes) {
        spdlog::info("reload: {}", line);
    }
    spdlog::info("reload: done, {} changes", report.changes.size());
    for (const std::uint16_t index : change.new_segments()) {
        stats_->begin_segment(index);
    }
    if (change.swept() != 0) {
        server_.publish("fdb", {{"what", "flushed"}, {"removed", change.swept()}});
    }
    // Ports refer to the old values.
    for (OpenPort& open : machine_.ports()) {
        open.config = config::find_port(loaded.topology, open.config->name);
    }
    topology_ = std::move(loaded.topology);
    slaves_->adopt(topology_);
    set_log_level(topology_.system.log_level);
    punts_->set_icmp_rate(topology_.system.icmp_rate);
    return report;
}

}  // namespace vxplane::control
