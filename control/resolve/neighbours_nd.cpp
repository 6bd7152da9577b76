// What the neighbour table says and hears of IPv6 neighbours (RFC 4861 sections 7.1 and 7.2,
// net/ipv6/ndisc.c of the kernel).
#include "control/resolve/neighbours.hpp"

namespace vxplane::control {

using net::Icmpv6Header;
using net::NdHeader;

void Neighbours::send_solicitation(const Port& port, const Entry& entry) {
    const net::IpAddress& target = entry.key.address;
    const net::IpAddress source = port.sender_to(target);
    if (source.is_unset()) {
        return;  // without an address there is nothing to answer to
    }
    ++counters_.requests_sent;
    const bool knows = entry.state == NeighbourState::probe;
    const net::IpAddress destination = knows ? target : net::solicited_node(target);
    sink_.send_frame(entry.key.port,
                     net::make_nd({knows ? entry.mac : net::group_mac(destination), port.mac,
                                   source, destination, Icmpv6Header::kSolicitation, 0, target}));
}

NdResult Neighbours::on_nd(std::uint16_t port_id, std::span<const std::byte> frame, Time now) {
    ++counters_.received;
    if (frame.size() < sizeof(net::EthernetHeader)) {
        ++counters_.malformed;
        return NdResult::malformed;
    }
    const auto ethernet = net::load<net::EthernetHeader>(frame.data());
    if (ethernet.type != net::ether_type::kIpv6) {
        return NdResult::not_ours;
    }
    const net::NdMessage nd = net::read_nd(frame.subspan(sizeof ethernet));
    if (nd.kind == net::NdKind::malformed ||
        (nd.kind != net::NdKind::none && ethernet.source.is_group())) {
        ++counters_.malformed;
        return NdResult::malformed;
    }
    const auto found = ports_.find(port_id);
    if (found == ports_.end() || nd.kind == net::NdKind::none || nd.kind == net::NdKind::other) {
        return NdResult::not_ours;
    }
    const Port& port = found->second;
    if ((ethernet.destination != port.mac && !ethernet.destination.is_group()) ||
        ethernet.source == port.mac || nd.mac == port.mac) {
        return NdResult::not_ours;  // for another station, or our own coming back
    }
    return nd.kind == net::NdKind::solicitation ? on_solicitation(port_id, ethernet, nd, now)
                                                : on_advertisement(port_id, ethernet, nd, now);
}

NdResult Neighbours::on_solicitation(std::uint16_t port_id, const net::EthernetHeader& ethernet,
                                     const net::NdMessage& nd, Time now) {
    const Port& port = ports_.at(port_id);
    if (port.owns(nd.source)) {
        note_conflict({port_id, nd.source}, nd.mac.value_or(ethernet.source), now);
        return NdResult::handled;
    }
    if (!port.owns(nd.target)) {
        return NdResult::not_ours;
    }
    ++counters_.replies_sent;
    if (nd.source.is_unset()) {
        // Somebody wants to take our address: everybody is told whose it is (section 7.2.4).
        sink_.send_frame(
            port_id,
            net::make_nd({net::group_mac(net::all_nodes()), port.mac, nd.target, net::all_nodes(),
                          Icmpv6Header::kAdvertisement, NdHeader::kOverride, nd.target}));
        return NdResult::handled;
    }
    if (nd.mac) {
        const NeighbourKey sender{port_id, nd.source};
        if (Entry* entry = lookup_or_create(sender, now); entry != nullptr) {
            update(*entry, *nd.mac, NeighbourState::stale, true, now);
        }
    }
    sink_.send_frame(port_id,
                     net::make_nd({nd.mac.value_or(ethernet.source), port.mac, nd.target, nd.source,
                                   Icmpv6Header::kAdvertisement,
                                   NdHeader::kSolicited | NdHeader::kOverride, nd.target}));
    return NdResult::handled;
}

NdResult Neighbours::on_advertisement(std::uint16_t port_id, const net::EthernetHeader& ethernet,
                                      const net::NdMessage& nd, Time now) {
    const NeighbourKey key{port_id, nd.target};
    const Port& port = ports_.at(port_id);
    if (port.owns(nd.target)) {
        note_conflict(key, nd.mac.value_or(ethernet.source), now);
        return NdResult::handled;
    }
    const NdResult result = port.owns(nd.destination) ? NdResult::handled : NdResult::not_ours;
    Entry* entry = lookup(key);
    // As in the kernel, a neighbour that failed is asked again and not taken from the air.
    if (entry == nullptr || entry->state == NeighbourState::failed ||
        entry->state == NeighbourState::none) {
        return result;
    }
    const bool knows = is_usable(entry->state);
    if (!nd.mac && !knows) {
        return result;
    }
    const net::MacAddress mac = nd.mac.value_or(entry->mac);
    const bool is_other = knows && mac != entry->mac;
    if (is_other && !nd.overrides) {
        if (entry->state == NeighbourState::reachable) {  // section 7.2.5: doubt, not belief
            set_state(*entry, NeighbourState::stale, now);
            schedule(*entry, std::nullopt);
            if (is_wanted(key)) {
                use_entry(*entry, now);
            }
        }
        return result;
    }
    update(*entry, mac, nd.is_solicited ? NeighbourState::reachable : NeighbourState::stale, true,
           now);
    return result;
}

}  // namespace vxplane::control
