// From the values of a topology to what the tables' owners take.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "config/resolve.hpp"
#include "control/apply/words.hpp"
#include "control/daemon.hpp"

namespace vxplane::control {

namespace {

using Time = Neighbours::Time;

net::MacAddress mac_of(const config::MacAddress& mac) {
    return {mac.bytes};
}

/// Locally administered, from the VNI: the same at every start, and different between segments.
net::MacAddress own_mac_of(const config::Vxlan& vxlan) {
    if (vxlan.mac) {
        return mac_of(*vxlan.mac);
    }
    const std::uint32_t id = vxlan.id;
    return {{0x02, 0x76, 0x78, static_cast<std::uint8_t>(id >> 16),
             static_cast<std::uint8_t>(id >> 8), static_cast<std::uint8_t>(id)}};
}

TunnelProfile profile_of(const config::Vxlan& vxlan) {
    TunnelProfile profile;
    // Without `local` the route to each remote chooses.
    profile.local = vxlan.local ? vxlan.local->ipv4_number() : 0;
    profile.dstport = vxlan.dstport;
    profile.source_port_lo = vxlan.srcport.lo;
    profile.source_port_span = static_cast<std::uint16_t>(vxlan.srcport.hi - vxlan.srcport.lo);
    profile.ttl = vxlan.ttl == 0 ? 64 : vxlan.ttl;
    profile.tos = vxlan.tos;
    profile.dont_fragment = vxlan.df == config::Df::set;
    profile.udp_checksum = vxlan.udpcsum;
    profile.ecn = vxlan.ecn == config::Ecn::rfc3168 ? net::EcnMode::rfc3168 : net::EcnMode::rfc6040;
    return profile;
}

}  // namespace

void Daemon::load_ports() {
    std::vector<std::pair<OwnAddress, std::uint16_t>> addresses;
    std::vector<OwnAddress> all;
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
        entry.trusts_rx_checksum = port.rx_checksum();
        entry.partner = open.partner;
        // A twin may take less than its underlay port does.
        const std::uint16_t mtu = std::min(open.config->mtu, port.mtu());
        entry.max_frame = static_cast<std::uint16_t>(mtu + sizeof(net::EthernetHeader));
        entry.mac = mac.number();
        bridge_->set_port(port.id(), entry);
        for (const std::string& note : port.notes()) {
            spdlog::info("{}", note);
        }
        spdlog::info("port {}: {} ({}), MAC {}, MTU {}, {} rx and {} tx queues", port.name(),
                     port.device(), port.driver(), text(mac), mtu, port.rx_queues(),
                     port.tx_queues());
        if (open.is_twin || !underlay) {
            continue;
        }
        std::vector<OwnAddress> own;
        for (const config::IpPrefix& prefix : open.config->addresses) {
            const auto address = net::Ipv4Address::of(prefix.address.ipv4_number());
            own.push_back({address, prefix.length});
            addresses.emplace_back(own.back(), port.id());
            all.push_back(own.back());
            routes_.add(address.number() & net::prefix_mask(prefix.length), prefix.length,
                        {table::RouteType::unicast, port.id(), 0});
        }
        neighbours_->set_port(port.id(), mac, own);
        tunnels_->set_uplink(port.id(), {mac, open.config->mtu, own});
    }
    // Longer than any subnet, hence after all of them: an own address is never a next hop.
    for (const auto& [own, port] : addresses) {
        routes_.add(own.address.number(), 32, {table::RouteType::local, port, 0});
    }
    punts_->set_addresses(std::move(all));
    bridge_->set_addresses(std::move(addresses));
}

void Daemon::load_routes() {
    for (const config::Route& route : topology_.routes) {
        table::Route out;
        out.type = static_cast<table::RouteType>(route.type);
        const config::Port* port = nullptr;
        if (route.via) {
            out.via = route.via->ipv4_number();
            port = config::connected_to(topology_, *route.via).port;
        }
        if (!route.dev.empty()) {
            port = config::find_port(topology_, route.dev);
        }
        if (port != nullptr) {
            out.port = machine_.by_name(port->name)->port->id();
        }
        routes_.add(route.to.address.ipv4_number(), route.to.length, out);
    }
}

void Daemon::load_neighbours() {
    for (const config::Neighbour& neighbour : topology_.neighbours) {
        const NeighbourKey key{machine_.by_name(neighbour.dev)->port->id(),
                               net::Ipv4Address::of(neighbour.address.ipv4_number())};
        neighbours_->add_permanent(key, mac_of(neighbour.lladdr), Neighbours::Clock::now());
    }
}

std::optional<std::string> Daemon::load_segments() {
    std::map<std::uint32_t, std::vector<net::Ipv4Address>> groups;
    for (const config::NexthopGroup& group : topology_.nexthops) {
        for (const config::IpAddress& remote : group.remotes) {
            groups[group.id].push_back(net::Ipv4Address::of(remote.ipv4_number()));
        }
    }
    bridge_->set_nexthops(std::move(groups));
    const Time now = Neighbours::Clock::now();
    for (const config::Vxlan& vxlan : topology_.vxlans) {
        SegmentSpec spec;
        spec.name = vxlan.name;
        spec.vni = {vxlan.id};
        spec.profile = profile_of(vxlan);
        spec.own_mac = own_mac_of(vxlan);
        spec.mtu = config::effective_mtu(topology_, vxlan);
        spec.ageing = vxlan.ageing;
        spec.maxaddr = vxlan.maxaddr;
        spec.learning = vxlan.learning;
        spec.inner_vlan = vxlan.inner_vlan;
        for (const std::string& name : vxlan.ports) {
            spec.ports.push_back(machine_.by_name(name)->port->id());
        }
        const std::uint16_t index = bridge_->add_segment(spec, now);
        if (auto problem = load_fdb(vxlan, index)) {
            return "vxlan " + vxlan.name + ": " + *problem;
        }
    }
    return std::nullopt;
}

std::optional<std::string> Daemon::load_fdb(const config::Vxlan& vxlan, std::uint16_t index) {
    const Time now = Neighbours::Clock::now();
    FdbRequest request;
    request.segment = index;
    for (const config::IpAddress& remote : config::flood_list(vxlan)) {
        request.place.remote = net::Ipv4Address::of(remote.ipv4_number());
        if (auto problem = bridge_->add(request, now)) {
            return problem;
        }
    }
    for (const config::FdbEntry& entry : vxlan.fdb) {
        if (entry.mac.is_zero()) {
            continue;
        }
        request.mac = mac_of(entry.mac);
        request.state = entry.state == config::FdbState::static_ ? table::FdbState::static_
                                                                 : table::FdbState::permanent;
        request.place = {};
        if (entry.nhid) {
            request.place.nhid = entry.nhid;
        } else if (!entry.port.empty()) {
            request.place.port = machine_.by_name(entry.port)->port->id();
        }
        for (const config::IpAddress& remote : entry.dst) {
            request.place.remote = net::Ipv4Address::of(remote.ipv4_number());
            if (auto problem = bridge_->add(request, now)) {
                return problem;
            }
        }
        if (entry.dst.empty()) {
            if (auto problem = bridge_->add(request, now)) {
                return problem;
            }
        }
    }
    return std::nullopt;
}

}  // namespace vxplane::control
