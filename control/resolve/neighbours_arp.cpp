// What the neighbour table says and hears on the wire (net/ipv4/arp.c of the kernel), and its
// views.
#include <algorithm>
#include <array>
#include <cstring>

#include "control/resolve/neighbours.hpp"
#include "dataplane/net/flow_hash.hpp"

namespace vxplane::control {

using net::ArpHeader;
using net::Be16;
using net::EthernetHeader;

namespace {

/// RFC 5227 section 1.1, DEFEND_INTERVAL.
constexpr std::chrono::seconds kConflictPeriod{10};

ArpHeader arp_of(Be16 operation, net::MacAddress sender_mac, net::Ipv4Address sender,
                 net::MacAddress target_mac, net::Ipv4Address target) {
    return {Be16::of(1), net::ether_type::kIpv4, 6, 4, operation, sender_mac, sender, target_mac,
            target};
}

/// A sender that can be a neighbour; RFC 1812 section 3.3.2 forbids to believe group addresses.
bool is_sane(const ArpHeader& arp) {
    const bool is_probe = arp.operation == ArpHeader::kRequest && arp.sender.is_zero();
    return !arp.sender_mac.is_zero() && !arp.sender_mac.is_group() &&
           (is_probe || (arp.sender.is_unicast() && !arp.sender.is_loopback()));
}

}  // namespace

bool Neighbours::Port::owns(const net::IpAddress& address) const noexcept {
    return std::any_of(addresses.begin(), addresses.end(),
                       [&](const OwnAddress& own) { return own.address == address; });
}

net::IpAddress Neighbours::Port::sender_to(const net::IpAddress& other) const noexcept {
    const OwnAddress* first = nullptr;
    for (const OwnAddress& own : addresses) {
        if (own.contains(other)) {
            return own.address;
        }
        if (first == nullptr && own.address.is_v4() == other.is_v4()) {
            first = &own;
        }
    }
    return first == nullptr ? net::IpAddress{} : first->address;
}

void Neighbours::set_port(std::uint16_t port, net::MacAddress mac,
                          std::vector<OwnAddress> addresses) {
    ports_[port] = {mac, std::move(addresses)};
}

std::optional<net::MacAddress> Neighbours::mac_by_rule(NeighbourKey key) const {
    if (key.address.is_multicast()) {
        return net::group_mac(key.address);
    }
    if (key.address.is_v4() && key.address.v4().is_broadcast()) {
        return net::MacAddress::broadcast();
    }
    const auto port = ports_.find(key.port);
    if (port != ports_.end() &&
        std::any_of(
            port->second.addresses.begin(), port->second.addresses.end(),
            [&](const OwnAddress& own) { return own.is_directed_broadcast(key.address); })) {
        return net::MacAddress::broadcast();
    }
    return std::nullopt;
}

void Neighbours::send_arp(std::uint16_t port, const net::MacAddress& ethernet_destination,
                          const ArpHeader& arp) {
    std::array<std::byte, net::kMinEthernetFrame> frame{};
    const EthernetHeader ethernet{ethernet_destination, arp.sender_mac, net::ether_type::kArp};
    std::memcpy(frame.data(), &ethernet, sizeof ethernet);
    std::memcpy(frame.data() + sizeof ethernet, &arp, sizeof arp);
    sink_.send_frame(port, frame);
}

void Neighbours::send_probe(Entry& entry, Time now) {
    ++entry.probes;
    // At least a millisecond, or a zero in the options would make tick() endless.
    schedule(entry, now + std::max(options_.retransmit, std::chrono::milliseconds{1}));
    const auto found = ports_.find(entry.key.port);
    if (found == ports_.end()) {
        return;
    }
    const Port& port = found->second;
    if (!entry.key.address.is_v4()) {
        send_solicitation(port, entry);
        return;
    }
    const net::IpAddress own = port.sender_to(entry.key.address);
    const net::Ipv4Address sender = own.is_v4() ? own.v4() : net::Ipv4Address{};
    ++counters_.requests_sent;
    send_arp(entry.key.port,
             entry.state == NeighbourState::probe ? entry.mac : net::MacAddress::broadcast(),
             arp_of(ArpHeader::kRequest, port.mac, sender, {}, entry.key.address.v4()));
}

void Neighbours::announce(std::uint16_t port) {
    const auto found = ports_.find(port);
    if (found == ports_.end()) {
        return;
    }
    for (const OwnAddress& own : found->second.addresses) {
        ++counters_.announcements_sent;
        if (own.address.is_v4()) {
            const net::Ipv4Address address = own.address.v4();
            send_arp(port, net::MacAddress::broadcast(),
                     arp_of(ArpHeader::kRequest, found->second.mac, address, {}, address));
        } else {
            sink_.send_frame(port, net::make_nd({net::group_mac(net::all_nodes()),
                                                 found->second.mac, own.address, net::all_nodes(),
                                                 net::Icmpv6Header::kAdvertisement,
                                                 net::NdHeader::kOverride, own.address}));
        }
    }
}

void Neighbours::note_conflict(NeighbourKey own, net::MacAddress other, Time now) {
    ++counters_.conflicts;
    const auto [last, is_first] = conflicts_.try_emplace(own, now);
    if (is_first || now - last->second >= kConflictPeriod) {
        last->second = now;
        sink_.conflict(own, other);
    }
}

ArpResult Neighbours::on_arp(std::uint16_t port_id, std::span<const std::byte> frame, Time now) {
    ++counters_.received;
    if (frame.size() < sizeof(EthernetHeader) + sizeof(ArpHeader)) {
        ++counters_.malformed;
        return ArpResult::malformed;
    }
    const auto ethernet = net::load<EthernetHeader>(frame.data());
    const auto arp = net::load<ArpHeader>(frame.data() + sizeof(EthernetHeader));
    if (ethernet.type != net::ether_type::kArp || !arp.is_ethernet_ipv4() || !is_sane(arp)) {
        ++counters_.malformed;
        return ArpResult::malformed;
    }
    const auto found = ports_.find(port_id);
    const bool is_request = arp.operation == ArpHeader::kRequest;
    if (found == ports_.end() || (!is_request && arp.operation != ArpHeader::kReply)) {
        return ArpResult::not_ours;
    }
    const Port& port = found->second;
    const bool is_to_port = ethernet.destination == port.mac;
    if ((!is_to_port && !ethernet.destination.is_group()) || arp.target.is_multicast() ||
        arp.target.is_loopback()) {
        return ArpResult::not_ours;
    }
    const NeighbourKey sender{port_id, arp.sender};
    if (port.owns(arp.sender)) {
        if (arp.sender_mac != port.mac) {
            note_conflict(sender, arp.sender_mac, now);
        }
        return ArpResult::handled;
    }
    if (arp.sender_mac == port.mac) {
        return ArpResult::not_ours;  // believing it would send that address's packets to ourselves
    }
    const bool is_for_us = port.owns(arp.target);
    if (is_request && is_for_us) {
        if (!arp.sender.is_zero()) {
            if (Entry* entry = lookup_or_create(sender, now); entry != nullptr) {
                update(*entry, arp.sender_mac, NeighbourState::stale, true, now);
            }
        }
        ++counters_.replies_sent;
        send_arp(port_id, arp.sender_mac,
                 arp_of(ArpHeader::kReply, port.mac, arp.target, arp.sender_mac, arp.sender));
        return ArpResult::handled;
    }
    if (Entry* entry = lookup(sender); entry != nullptr) {
        // A gratuitous reply names itself twice; one that only repeats the address may be a race
        // between two servers of it, and the first one wins for a moment.
        const bool is_gratuitous =
            arp.sender == arp.target && (is_request || arp.target_mac == arp.sender_mac);
        const bool override_mac = is_gratuitous || now > entry->updated + options_.lock;
        update(*entry, arp.sender_mac,
               !is_request && is_to_port ? NeighbourState::reachable : NeighbourState::stale,
               override_mac, now);
    }
    return is_for_us ? ArpResult::handled : ArpResult::not_ours;
}

// --- views -----------------------------------------------------------------------------------

Neighbours::View Neighbours::view_of(const Entry& entry, Time now) const {
    using std::chrono::duration_cast;
    using std::chrono::milliseconds;
    const auto wanted = wanted_.find(entry.key);
    return {entry.key,
            entry.state,
            is_usable(entry.state) ? entry.mac : net::MacAddress{},
            duration_cast<milliseconds>(now - entry.used),
            duration_cast<milliseconds>(now - entry.confirmed),
            duration_cast<milliseconds>(now - entry.updated),
            entry.queue.size(),
            entry.queue_bytes,
            entry.probes,
            wanted == wanted_.end() ? 0 : wanted->second};
}

void Neighbours::for_each(Time now, const std::function<void(const View&)>& show) const {
    for (const auto& [key, entry] : entries_) {
        show(view_of(entry, now));
    }
}

std::optional<Neighbours::View> Neighbours::find(NeighbourKey key, Time now) const {
    const auto found = entries_.find(key);
    return found == entries_.end() ? std::nullopt : std::optional{view_of(found->second, now)};
}

}  // namespace vxplane::control
