#include "control/apply/from_topology.hpp"

#include <algorithm>
#include <set>

#include "config/parse.hpp"
#include "config/resolve.hpp"

namespace vxplane::control {

namespace {

/// Locally administered, from the VNI: the same at every start, and different between segments.
net::MacAddress own_mac_of(const config::Vxlan& vxlan) {
    if (vxlan.mac) {
        return mac_of(*vxlan.mac);
    }
    const std::uint32_t id = vxlan.id;
    return {{0x02, 0x76, 0x78, static_cast<std::uint8_t>(id >> 16),
             static_cast<std::uint8_t>(id >> 8), static_cast<std::uint8_t>(id)}};
}

TunnelProfile profile_of(const config::Vxlan& vxlan, const Machine& machine) {
    TunnelProfile profile;
    if (!vxlan.dev.empty()) {
        profile.dev = machine.by_name(vxlan.dev)->port->id();
    }
    // Without `local` the route to each remote chooses.
    if (vxlan.local && vxlan.local->is_ipv4()) {
        profile.local = vxlan.local->ipv4_number();
    } else if (vxlan.local) {
        profile.local6 = ip_of(*vxlan.local);
    }
    if (vxlan.local6) {
        profile.local6 = ip_of(*vxlan.local6);
    }
    profile.dstport = vxlan.dstport;
    profile.source_port_lo = vxlan.srcport.lo;
    profile.source_port_span = static_cast<std::uint16_t>(vxlan.srcport.hi - vxlan.srcport.lo);
    profile.inherit.ttl = vxlan.ttl == config::Vxlan::kInheritTtl;
    profile.inherit.tos = vxlan.tos == config::Vxlan::kInheritTos;
    profile.inherit.df = vxlan.df == config::Df::inherit;
    // For what is not IP inside, too.
    const bool automatic = vxlan.ttl == 0 || profile.inherit.ttl;
    profile.ttl = automatic ? std::uint8_t{64} : static_cast<std::uint8_t>(vxlan.ttl);
    if (vxlan.group && !automatic) {
        profile.group_ttl = profile.ttl;
    }
    profile.tos = profile.inherit.tos ? std::uint8_t{0} : vxlan.tos;
    profile.dont_fragment = vxlan.df == config::Df::set;
    profile.flow_label.from_flow = vxlan.flowlabel == config::Vxlan::kEntropyLabel;
    profile.flow_label.inherit = vxlan.flowlabel == config::Vxlan::kInheritLabel;
    profile.flow_label.fixed =
        profile.flow_label.from_flow || profile.flow_label.inherit ? 0 : vxlan.flowlabel;
    profile.udp_checksum = vxlan.udpcsum;
    profile.clamp_mss = vxlan.mss_clamp;
    profile.fragments = vxlan.fragment == config::Fragment::outer;
    profile.local_bypass = vxlan.local_bypass;
    profile.group_policy = vxlan.gbp;
    profile.gpe = vxlan.gpe;
    profile.remote_sum = vxlan.remcsumtx;
    profile.udp6_checksum = !vxlan.udp6zerocsumtx;
    profile.ecn = vxlan.ecn == config::Ecn::rfc3168 ? net::EcnMode::rfc3168 : net::EcnMode::rfc6040;
    return profile;
}

std::uint16_t watch_of(const config::Vxlan& vxlan) {
    namespace watch = table::watch;
    unsigned bits = 0;
    bits |= vxlan.proxy || vxlan.neigh_suppress ? watch::kProxy : 0U;
    bits |= vxlan.proxy && vxlan.proxy_fallback == config::ProxyFallback::kernel
                ? watch::kProxyLocal
                : 0U;
    bits |= vxlan.proxy_dad ? watch::kProxyProbes : 0U;
    bits |= vxlan.neigh_learning ? watch::kSnoop : 0U;
    bits |= vxlan.l2miss ? watch::kL2Miss : 0U;
    bits |= vxlan.l3miss ? watch::kL3Miss : 0U;
    bits |= vxlan.rsc ? watch::kRsc : 0U;
    bits |= vxlan.refuse_vxlan ? watch::kRefuseVxlan : 0U;
    bits |= vxlan.mss_clamp ? watch::kClampMss : 0U;
    bits |= vxlan.fragment == config::Fragment::inner ? watch::kFragmentInner : 0U;
    bits |= vxlan.state == config::LinkState::down ? watch::kDown : 0U;
    bits |= vxlan.gbp ? watch::kGroupPolicy : 0U;
    bits |= vxlan.gpe ? watch::kGpe : 0U;
    bits |= vxlan.remcsumrx ? watch::kRemoteSum : 0U;
    bits |= vxlan.fdb_conflict == config::FdbConflict::forward ? watch::kConflictPass : 0U;
    return static_cast<std::uint16_t>(bits);
}

std::vector<MdbSpec> mdb_of(const config::Vxlan& vxlan, const Machine& machine) {
    std::vector<MdbSpec> all;
    for (const config::MdbEntry& entry : vxlan.mdb) {
        MdbSpec spec;
        spec.group = ip_of(entry.group);
        spec.source = entry.source ? ip_of(*entry.source) : net::IpAddress{};
        spec.include = entry.filter_mode == config::FilterMode::include;
        for (const config::IpAddress& source : entry.source_list) {
            spec.sources.push_back(ip_of(source));
        }
        std::sort(spec.sources.begin(), spec.sources.end());
        spec.own = {entry.vni, entry.dstport};
        for (const config::IpAddress& remote : entry.dst) {
            spec.remote = ip_of(remote);
            all.push_back(spec);
        }
        spec.remote = {};
        spec.own = {};
        for (const std::string& port : entry.ports) {
            spec.port = machine.by_name(port)->port->id();
            all.push_back(spec);
        }
    }
    return all;
}

GuardSpec guard_of(const config::Vxlan& vxlan, const Machine& machine) {
    GuardSpec guard;
    guard.source_port_lo = vxlan.check_srcport.lo;
    guard.source_port_hi = vxlan.check_srcport.hi;
    if (config::is_of_one_link(vxlan)) {
        guard.link = machine.by_name(vxlan.dev)->port->id();
    }
    for (const config::IpPrefix& peer : vxlan.peers) {
        guard.peers.push_back({ip_of(peer.address), peer.length});
    }
    return guard;
}

}  // namespace

net::GroupPolicy group_policy_of(const config::Port& port) {
    if (!port.group_policy) {
        return {};
    }
    unsigned flags = 0;
    for (const std::string& flag : port.policy_flags) {
        flags |= flag == "applied" ? net::GroupPolicy::kApplied : net::GroupPolicy::kDontLearn;
    }
    return net::GroupPolicy::of(static_cast<std::uint16_t>(*port.group_policy),
                                static_cast<std::uint8_t>(flags));
}

std::vector<OwnAddress> own_addresses(const config::Port& port) {
    std::vector<OwnAddress> own;
    for (const config::IpPrefix& prefix : port.addresses) {
        own.push_back({ip_of(prefix.address), prefix.length});
    }
    return own;
}

std::vector<OwnAddress> answered_addresses(const config::Topology& topology,
                                           const config::Port& port) {
    std::vector<OwnAddress> all = own_addresses(port);
    const config::Ipvlan* ipvlan = config::ipvlan_of_link(topology, port.name);
    if (ipvlan == nullptr) {
        return all;
    }
    const auto add = [&all](const config::IpAddress& address) {
        const auto bits = static_cast<std::uint8_t>(address.is_ipv4() ? 32 : 128);
        all.push_back({ip_of(address), bits});
    };
    for (const config::PublicAddress& one : config::public_addresses(*ipvlan)) {
        if (one.slave->up) {
            add(one.address);
        }
    }
    for (const config::Slave& slave : ipvlan->slaves) {
        if (ipvlan->mode == config::IpvlanMode::l2 || !slave.vrf.empty() || !slave.up) {
            continue;
        }
        for (const config::IpPrefix& own : slave.addresses) {
            if (std::any_of(port.addresses.begin(), port.addresses.end(),
                            [&own](const config::IpPrefix& subnet) {
                                return config::contains(subnet, own.address);
                            })) {
                add(own.address);
            }
        }
    }
    return all;
}

std::vector<std::pair<OwnAddress, std::uint16_t>> all_addresses(const config::Topology& topology,
                                                                const Machine& machine) {
    std::vector<std::pair<OwnAddress, std::uint16_t>> all;
    for (const config::Port& port : topology.ports) {
        const OpenPort* open = machine.by_name(port.name);
        if (open == nullptr || port.role != config::PortRole::underlay) {
            continue;
        }
        for (const OwnAddress& own : own_addresses(port)) {
            all.emplace_back(own, open->port->id());
        }
    }
    return all;
}

SegmentSpec segment_of(const config::Topology& topology, const config::Vxlan& vxlan,
                       const Machine& machine) {
    SegmentSpec spec;
    spec.name = vxlan.name;
    spec.vni = {vxlan.id};
    spec.profile = profile_of(vxlan, machine);
    if (vxlan.group) {
        spec.group = ip_of(*vxlan.group);
    }
    spec.own_mac = own_mac_of(vxlan);
    spec.mtu = config::effective_mtu(topology, vxlan);
    spec.ageing = vxlan.ageing;
    spec.maxaddr = vxlan.maxaddr;
    spec.neigh_maxaddr = vxlan.neigh_maxaddr;
    spec.learning = vxlan.learning;
    spec.inner_vlan = vxlan.inner_vlan;
    spec.flood_limit = vxlan.flood_limit;
    spec.moves = {vxlan.dup_addr_max_moves, vxlan.dup_addr_time, vxlan.dup_addr_freeze};
    spec.reserved_bits = *config::parse_reserved_bits(vxlan.reserved_bits);
    spec.watch = watch_of(vxlan);
    spec.guard = guard_of(vxlan, machine);
    for (const config::SegmentNeighbour& one : vxlan.neighbours) {
        spec.neighbours.push_back({ip_of(one.ip), mac_of(one.lladdr), one.router});
    }
    for (const config::FdbEntry& entry : vxlan.fdb) {
        if (entry.router) {
            spec.routers.push_back(mac_of(entry.mac));
        }
    }
    spec.mcast_snooping = vxlan.mcast_snooping;
    spec.mdb = mdb_of(vxlan, machine);
    const config::Families families = config::families_of(topology, vxlan);
    spec.ipv4 = families.ipv4;
    spec.ipv6 = families.ipv6;
    spec.udp6_zero_rx = vxlan.udp6zerocsumrx;
    spec.part_of = vxlan.part_of;
    spec.vid = vxlan.vid;
    for (const std::string& name : vxlan.ports) {
        spec.ports.push_back(machine.by_name(name)->port->id());
        const config::Port* port = config::find_port(topology, name);
        if (vxlan.vid != 0 && port != nullptr && port->pvid == vxlan.vid) {
            spec.untagged.push_back(spec.ports.back());
        }
    }
    return spec;
}

Bridge::Nexthops nexthops_of(const config::Topology& topology) {
    Bridge::Nexthops groups;
    for (const config::NexthopGroup& group : topology.nexthops) {
        for (const config::IpAddress& remote : group.remotes) {
            groups[group.id].emplace_back(ip_of(remote));
        }
        for (const config::NexthopMember& member : group.members) {
            groups[group.id].emplace_back(ip_of(member.dst),
                                          OwnNumbers{member.vni, member.dstport});
        }
    }
    return groups;
}

NeighbourKey neighbour_of(const config::Neighbour& neighbour, const Machine& machine) {
    return {machine.by_name(neighbour.dev)->port->id(), ip_of(neighbour.address)};
}

std::vector<FdbRequest> requests_of(const config::Vxlan& vxlan, std::uint16_t segment,
                                    const Machine& machine) {
    std::vector<FdbRequest> requests;
    FdbRequest request;
    request.segment = segment;
    std::set<std::pair<net::IpAddress, OwnNumbers>> flooded;
    const auto ask = [&](const config::IpAddress& remote) {
        request.place.remote = ip_of(remote);
        if (!request.mac.is_zero() ||
            flooded.emplace(*request.place.remote, request.place.own).second) {
            requests.push_back(request);
        }
    };
    if (vxlan.group) {
        ask(*vxlan.group);
    }
    if (vxlan.remote) {
        ask(*vxlan.remote);
    }
    for (const config::FdbEntry& entry : vxlan.fdb) {
        request.mac = mac_of(entry.mac);
        request.state = entry.state == config::FdbState::static_ ? table::FdbState::static_
                                                                 : table::FdbState::permanent;
        request.place = {};
        request.place.own = {entry.vni == vxlan.id ? 0 : entry.vni,
                             entry.dstport == vxlan.dstport ? std::uint16_t{0} : entry.dstport};
        if (entry.nhid) {
            request.place.nhid = entry.nhid;
            requests.push_back(request);
        } else if (!entry.port.empty()) {
            request.place.port = machine.by_name(entry.port)->port->id();
            requests.push_back(request);
        } else {
            std::for_each(entry.dst.begin(), entry.dst.end(), ask);
        }
    }
    return requests;
}

}  // namespace vxplane::control
