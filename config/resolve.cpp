// Look-ups over a topology that has been loaded. Linear: a topology has few ports and routes.
#include "config/resolve.hpp"

#include <algorithm>
#include <sstream>
#include <utility>

#include "config/limits.hpp"

namespace vxplane::config {
namespace {

/// Source on `port` for `next_hop`: an address of the same subnet, else the first of its family.
std::optional<IpAddress> source_on(const Port& port, const IpAddress& next_hop) {
    std::optional<IpAddress> first;
    for (const IpPrefix& own : port.addresses) {
        if (contains(own, next_hop)) return own.address;
        if (!first && own.address.family == next_hop.family) first = own.address;
    }
    return first;
}

/// The first remote a segment can send to.
std::optional<IpAddress> first_remote(const Topology& topology, const Vxlan& vxlan) {
    const auto flood = flood_list(vxlan);
    if (!flood.empty()) return flood.front();
    for (const FdbEntry& entry : vxlan.fdb) {
        if (!entry.dst.empty()) return entry.dst.front();
    }
    for (const FdbEntry& entry : vxlan.fdb) {
        const NexthopGroup* const group =
            entry.nhid ? find_nexthop(topology, *entry.nhid) : nullptr;
        const auto remotes = group == nullptr ? std::vector<IpAddress>{} : remotes_of(*group);
        if (!remotes.empty()) return remotes.front();
    }
    return std::nullopt;
}

}  // namespace

const Port* find_port(const Topology& topology, std::string_view name) {
    const auto found = std::ranges::find(topology.ports, name, &Port::name);
    return found == topology.ports.end() ? nullptr : &*found;
}

const Vxlan* find_vxlan(const Topology& topology, std::string_view name) {
    const auto found = std::ranges::find(topology.vxlans, name, &Vxlan::name);
    return found == topology.vxlans.end() ? nullptr : &*found;
}

const NexthopGroup* find_nexthop(const Topology& topology, std::uint32_t id) {
    const auto found = std::ranges::find(topology.nexthops, id, &NexthopGroup::id);
    return found == topology.nexthops.end() ? nullptr : &*found;
}

std::vector<IpAddress> remotes_of(const NexthopGroup& group) {
    std::vector<IpAddress> all = group.remotes;
    for (const NexthopMember& member : group.members) all.push_back(member.dst);
    return all;
}

IpPrefix network_of(const IpPrefix& prefix) {
    IpPrefix network = prefix;
    for (std::size_t i = 0; i < network.address.bytes.size(); ++i) {
        const std::size_t bits = std::clamp<std::size_t>(prefix.length, 8 * i, 8 * i + 8) - 8 * i;
        network.address.bytes[i] &= static_cast<std::uint8_t>(0xFF00U >> bits);
    }
    return network;
}

bool contains(const IpPrefix& prefix, const IpAddress& address) {
    return prefix.address.family == address.family &&
           network_of({address, prefix.length}) == network_of(prefix);
}

Connected connected_to(const Topology& topology, const IpAddress& address) {
    Connected best;
    for (const Port& port : topology.ports) {
        if (port.role != PortRole::underlay) continue;
        for (const IpPrefix& own : port.addresses) {
            if (!contains(own, address)) continue;
            if (best.port == nullptr || own.length > best.subnet.length) best = {&port, own};
        }
    }
    return best;
}

const Port* owner_of(const Topology& topology, const IpAddress& address) {
    for (const Port& port : topology.ports) {
        if (port.role != PortRole::underlay) continue;
        for (const IpPrefix& own : port.addresses) {
            if (own.address == address) return &port;
        }
    }
    return nullptr;
}

Egress egress_to(const Topology& topology, const IpAddress& address, std::uint8_t tos) {
    const Connected direct = connected_to(topology, address);
    const Route* best = nullptr;
    const auto rank = [](const Route& route) { return std::pair(route.to.length, route.tos); };
    for (const Route& route : topology.routes) {
        if (!contains(route.to, address)) continue;
        if (route.tos != 0 && route.tos != (tos & limits::route_tos_mask)) continue;
        if (best == nullptr || rank(route) > rank(*best)) best = &route;
    }
    // The subnet wins over a route of the same length, as a metric of 0 does in the kernel.
    if (direct.port != nullptr && (best == nullptr || best->to.length <= direct.subnet.length)) {
        return {direct.port, address, direct.subnet.address};
    }
    if (best == nullptr || best->type != RouteType::unicast) return {};
    const Port* port = best->dev.empty() ? nullptr : find_port(topology, best->dev);
    if (best->dev.empty() && best->via) port = connected_to(topology, *best->via).port;
    if (port == nullptr || port->role != PortRole::underlay) return {};
    const IpAddress next_hop = best->via.value_or(address);
    return {port, next_hop, source_on(*port, next_hop)};
}

std::string name_of(const Route& route) {
    if (route.tos == 0) return route.to.text();
    std::ostringstream text;
    text << route.to.text() << " tos 0x" << std::hex << unsigned{route.tos};
    return text.str();
}

std::size_t flood_copies(const Vxlan& vxlan) {
    std::size_t copies = (vxlan.remote ? 1U : 0U) + (vxlan.group ? 1U : 0U);
    for (const FdbEntry& entry : vxlan.fdb) {
        if (entry.mac.is_zero()) copies += entry.dst.size();
    }
    return copies;
}

std::vector<IpAddress> flood_list(const Vxlan& vxlan) {
    std::vector<IpAddress> remotes;
    const auto add = [&](const IpAddress& remote) {
        if (std::ranges::find(remotes, remote) == remotes.end()) remotes.push_back(remote);
    };
    if (vxlan.group) add(*vxlan.group);
    if (vxlan.remote) add(*vxlan.remote);
    for (const FdbEntry& entry : vxlan.fdb) {
        if (entry.mac.is_zero()) std::ranges::for_each(entry.dst, add);
    }
    return remotes;
}

std::optional<IpAddress> first_address(const Port& port, IpAddress::Family family) {
    for (const IpPrefix& own : port.addresses) {
        if (own.address.family == family && !is_link_local(own.address)) return own.address;
    }
    return std::nullopt;
}

bool has_address(const Port& port, const IpAddress& address) {
    return std::ranges::any_of(port.addresses,
                               [&](const IpPrefix& own) { return own.address == address; });
}

bool is_link_local(const IpAddress& address) {
    return !address.is_ipv4() && address.bytes[0] == 0xFE && (address.bytes[1] & 0xC0U) == 0x80;
}

bool is_of_one_link(const Vxlan& vxlan) {
    return (vxlan.local && is_link_local(*vxlan.local)) ||
           (vxlan.local6 && is_link_local(*vxlan.local6));
}

Families families_of(const Topology& topology, const Vxlan& vxlan) {
    Families out;
    const auto add = [&out](const IpAddress& address) {
        (address.is_ipv4() ? out.ipv4 : out.ipv6) = true;
    };
    if (vxlan.local) add(*vxlan.local);
    if (vxlan.local6) add(*vxlan.local6);
    if (vxlan.group) add(*vxlan.group);
    if (vxlan.remote) add(*vxlan.remote);
    for (const MdbEntry& entry : vxlan.mdb) std::ranges::for_each(entry.dst, add);
    for (const FdbEntry& entry : vxlan.fdb) {
        std::ranges::for_each(entry.dst, add);
        const NexthopGroup* const group =
            entry.nhid ? find_nexthop(topology, *entry.nhid) : nullptr;
        if (group != nullptr) std::ranges::for_each(remotes_of(*group), add);
    }
    if (!out.ipv4 && !out.ipv6) {
        const auto local = effective_local(topology, vxlan);
        add(local.value_or(IpAddress{}));
    }
    return out;
}

std::uint16_t overhead_of(const Topology& topology, const Vxlan& vxlan) {
    return static_cast<std::uint16_t>(families_of(topology, vxlan).ipv6 ? limits::vxlan_overhead6
                                                                        : limits::vxlan_overhead);
}

std::optional<IpAddress> effective_local(const Topology& topology, const Vxlan& vxlan) {
    if (vxlan.local) return vxlan.local;
    if (const Port* const dev = vxlan.group ? dev_of(topology, vxlan) : nullptr) {
        if (const auto source = first_address(*dev, vxlan.group->family)) return source;
    }
    if (const auto remote = first_remote(topology, vxlan)) {
        if (const Egress egress = egress_to(topology, *remote, vxlan.tos); egress.source) {
            return egress.source;
        }
    }
    for (const auto family : {IpAddress::Family::ipv4, IpAddress::Family::ipv6}) {
        for (const Port& port : topology.ports) {
            if (port.role != PortRole::underlay) continue;
            if (const auto first = first_address(port, family)) return first;
        }
    }
    return std::nullopt;
}

const Port* dev_of(const Topology& topology, const Vxlan& vxlan) {
    return vxlan.dev.empty() ? nullptr : find_port(topology, vxlan.dev);
}

const Port* uplink_of(const Topology& topology, const Vxlan& vxlan) {
    const auto local = effective_local(topology, vxlan);
    // A link-local address may be that of other ports, too: dev tells which is meant.
    const auto owner = [&](const IpAddress& address) {
        return is_link_local(address) ? dev_of(topology, vxlan) : owner_of(topology, address);
    };
    const Port* const uplink = local ? owner(*local) : nullptr;
    // Of several, the one that takes least.
    const auto least = [](const Port* one, const Port* other) {
        return one != nullptr && other != nullptr && other->mtu < one->mtu ? other : one;
    };
    const Port* const other = vxlan.local6 ? owner(*vxlan.local6) : nullptr;
    return least(least(uplink, other), dev_of(topology, vxlan));
}

std::uint16_t effective_mtu(const Topology& topology, const Vxlan& vxlan) {
    if (vxlan.mtu != 0) return vxlan.mtu;
    const Port* const uplink = uplink_of(topology, vxlan);
    const std::uint16_t overhead = overhead_of(topology, vxlan);
    if (uplink == nullptr || uplink->mtu <= overhead) return 0;
    return static_cast<std::uint16_t>(uplink->mtu - overhead);
}

std::uint16_t segment_mtu(const Topology& topology, const Port& port) {
    std::uint16_t least = 0;
    for (const Vxlan& vxlan : topology.vxlans) {
        if (std::ranges::find(vxlan.ports, port.name) == vxlan.ports.end()) continue;
        const std::uint16_t room = effective_mtu(topology, vxlan);
        if (room != 0 && (least == 0 || room < least)) least = room;
    }
    return least;
}

}  // namespace vxplane::config
