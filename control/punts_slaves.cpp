// What workers hand over about slaves and routes: next hops to be resolved, ARP and ND of hosts
// that believe they are on Ethernet, and datagrams whose sender is to be told that they go no
// further.
#include <cstring>

#include "control/punts.hpp"
#include "control/punts_held.hpp"
#include "control/tcp_reset.hpp"
#include "dataplane/net/icmpv6.hpp"

namespace vxplane::control {

using packet::DropReason;

namespace {

constexpr std::size_t kEthernet = sizeof(net::EthernetHeader);

/// The addresses of an untagged datagram, which is what workers route.
struct Ends {
    net::IpAddress source;
    net::IpAddress destination;
};
std::optional<Ends> ends_of(std::span<const std::byte> frame) {
    if (frame.size() < kEthernet + sizeof(net::Ipv4Header)) {
        return std::nullopt;
    }
    const auto type = net::load<net::EthernetHeader>(frame.data()).type;
    if (type == net::ether_type::kIpv4) {
        const auto ip = net::load<net::Ipv4Header>(frame.data() + kEthernet);
        return Ends{ip.source, ip.destination};
    }
    if (type == net::ether_type::kIpv6 && frame.size() >= kEthernet + sizeof(net::Ipv6Header)) {
        const auto ip = net::load<net::Ipv6Header>(frame.data() + kEthernet);
        return Ends{net::IpAddress(ip.source), net::IpAddress(ip.destination)};
    }
    return std::nullopt;
}

}  // namespace

void Punts::take_next_hop(const path::PuntItem& item, Time now) {
    const auto ends = ends_of(bytes_of(item.mbuf));
    const auto key = ends && routing_ != nullptr
                         ? routing_->asked_for(item.tunnel, ends->destination)
                         : std::nullopt;
    if (!key) {
        drop(item.mbuf, DropReason::port_gone);
        return;
    }
    if (!may_ask(item.in_port, *key, now)) {
        ++over_quota_;
        drop(item.mbuf, DropReason::neigh_queue_full);
        return;
    }
    Held held;
    held.mbuf = item.mbuf;
    held.bytes = memory_of(item.mbuf);
    held.tunnel = item.tunnel;
    held.segment = item.segment;
    held.opaque = opaque_of(item, routing_->serial(item.tunnel)) | kRouted;
    ++askers_[item.in_port].held;
    neighbours_->hold(*key, std::move(held), now);
}

bool Punts::may_ask(std::uint16_t port, const NeighbourKey& key, Time now) {
    const auto known = neighbours_->find(key, now);
    if (known && is_usable(known->state)) {
        return true;
    }
    Asker& asker = askers_[port];
    if (asker.held >= kHeldForOne) {
        return false;
    }
    // A gateway is asked for whoever sends.
    if ((known && known->wanted != 0) || asked_by_.contains(key)) {
        return true;
    }
    if (asker.asked >= kAskedByOne) {
        return false;
    }
    ++asker.asked;
    asked_by_[key] = port;
    return true;
}

void Punts::note_answered(const NeighbourKey& key) {
    if (const auto at = asked_by_.find(key); at != asked_by_.end()) {
        --askers_[at->second].asked;
        asked_by_.erase(at);
    }
}

void Punts::note_released(const Held& held) {
    if (is_routed(held)) {
        --askers_[port_of(held)].held;
    }
}

void Punts::follow_released(Time now) {
    for (const Released& one : released_) {
        if (is_routed(one.held)) {
            routing_->follow(one.key, now);
        }
    }
}

void Punts::send_routed(NeighbourKey key, net::MacAddress mac, const Held& held) {
    const OpenPort* open = machine_.by_id(key.port);
    if (routing_ == nullptr || open == nullptr ||
        routing_->serial(held.tunnel) != serial_of(held)) {
        drop(held.mbuf, DropReason::port_gone);  // the route has gone while it waited
        return;
    }
    auto* ethernet = rte_pktmbuf_mtod(held.mbuf, net::EthernetHeader*);
    ethernet->destination = mac;
    ethernet->source = net::MacAddress{open->port->mac()};
    forward(held.mbuf, key.port);
}

void Punts::take_slave_arp(const path::PuntItem& item) {
    const std::span<const std::byte> frame = bytes_of(item.mbuf);
    const table::Slave* slave = slaves_ == nullptr ? nullptr : slaves_->slave_of_port(item.in_port);
    if (slave == nullptr || frame.size() < kEthernet + sizeof(net::ArpHeader)) {
        drop(item.mbuf, slave == nullptr ? DropReason::port_gone : DropReason::arp_malformed);
        return;
    }
    const auto request = net::load<net::ArpHeader>(frame.data() + kEthernet);
    if (!request.is_ethernet_ipv4()) {
        drop(item.mbuf, DropReason::arp_malformed);
        return;
    }
    // Everything but the slave's own addresses is behind the master. Who probes for an address that
    // it wants to take (RFC 5227) gets no answer, nor does who announces its own.
    if (request.operation != net::ArpHeader::kRequest || request.sender.is_zero() ||
        request.sender == request.target || !request.target.is_unicast() ||
        slaves_->owns(item.in_port, request.target)) {
        consume(item.mbuf);
        return;
    }
    if (!slaves_->owns(item.in_port, request.sender)) {
        drop(item.mbuf, DropReason::slave_arp_foreign);
        return;
    }
    const auto master = net::MacAddress::from_number(slaves_->master(slave->master).mac);
    std::array<std::byte, 60> out{};
    const net::EthernetHeader ethernet{request.sender_mac, master, net::ether_type::kArp};
    net::ArpHeader reply = request;
    reply.operation = net::ArpHeader::kReply;
    reply.sender_mac = master;
    reply.sender = request.target;
    reply.target_mac = request.sender_mac;
    reply.target = request.sender;
    std::memcpy(out.data(), &ethernet, sizeof ethernet);
    std::memcpy(out.data() + kEthernet, &reply, sizeof reply);
    send_made(item.in_port, out);
    consume(item.mbuf);
}

void Punts::take_slave_nd(const path::PuntItem& item) {
    const std::span<const std::byte> frame = bytes_of(item.mbuf);
    const table::Slave* slave = slaves_ == nullptr ? nullptr : slaves_->slave_of_port(item.in_port);
    if (slave == nullptr || frame.size() < kEthernet) {
        drop(item.mbuf, DropReason::port_gone);
        return;
    }
    const net::NdMessage nd = net::read_nd(frame.subspan(kEthernet));
    if (nd.kind == net::NdKind::malformed) {
        drop(item.mbuf, DropReason::nd_malformed);
        return;
    }
    if (nd.kind != net::NdKind::solicitation || nd.source.is_unset() ||
        slaves_->owns(item.in_port, nd.target)) {
        consume(item.mbuf);
        return;
    }
    if (!nd.source.is_link_local() && !slaves_->owns(item.in_port, nd.source)) {
        drop(item.mbuf, DropReason::slave_arp_foreign);
        return;
    }
    const auto asker = net::load<net::EthernetHeader>(frame.data()).source;
    const auto master = net::MacAddress::from_number(slaves_->master(slave->master).mac);
    const auto reply = net::make_nd(
        {nd.mac.value_or(asker), master, nd.target, nd.source, net::Icmpv6Header::kAdvertisement,
         net::NdHeader::kSolicited | net::NdHeader::kRouter, nd.target});
    send_made(item.in_port, reply);
    consume(item.mbuf);
}

void Punts::take_slave_report(const path::PuntItem& item, Time now) {
    if (slaves_ != nullptr) {
        slaves_->hear_report(item.in_port, bytes_of(item.mbuf), now);
    }
    consume(item.mbuf);
}

void Punts::take_dhcp(const path::PuntItem& item, Time now) {
    const std::span<const std::byte> frame = bytes_of(item.mbuf);
    const bool from_slave = slaves_ != nullptr && slaves_->slave_of_port(item.in_port) != nullptr;
    if (slaves_ == nullptr || from_slave) {
        if (from_slave) {
            slaves_->hear_dhcp_request(item.in_port, frame, now);
        }
        consume(item.mbuf);
        return;
    }
    const Slaves::DhcpAnswer answer = slaves_->hear_dhcp_reply(item.in_port, frame, now);
    if (item.one_of_many) {
        consume(item.mbuf);  // was a broadcast, which everybody has got
        return;
    }
    if (answer.refused) {
        drop(item.mbuf, DropReason::slave_lease_refused);
        return;
    }
    const auto ends = ends_of(frame);
    const table::Slave* slave = answer.port != table::kNoPort ? slaves_->slave_of_port(answer.port)
                                : ends ? slaves_->owner(item.in_port, ends->destination)
                                       : nullptr;
    const OpenPort* link = machine_.by_id(item.in_port);
    if (slave != nullptr && (!slave->up || item.mbuf->pkt_len > slave->max_frame)) {
        drop(item.mbuf, slave->up ? DropReason::slave_oversize : DropReason::slave_down);
    } else if (slave != nullptr) {
        forward(item.mbuf, slave->port);
    } else if (link != nullptr && link->partner != table::kNoPort) {
        forward(item.mbuf, link->partner);
    } else {
        drop(item.mbuf, DropReason::host_unclaimed);
    }
}

void Punts::tick_slaves(Time now) {
    slaves_->tick(now, [this](std::uint16_t port, std::span<const std::byte> frame) {
        send_made(port, frame);
    });
}

void Punts::take_refused(const path::PuntItem& item) {
    switch (item.why) {
        case packet::Punt::route_prohibited:
            answer_slave(item, IcmpError::admin_prohibited);
            break;
        case packet::Punt::too_big:
            if (item.if_refused == DropReason::tunnel_oversize &&
                (slaves_ == nullptr || slaves_->slave_of_port(item.in_port) == nullptr)) {
                answer_too_big(item);
                break;
            }
            answer_slave(item, IcmpError::fragmentation_needed,
                         static_cast<std::uint16_t>(item.tunnel));
            break;
        case packet::Punt::ttl_exceeded:
            answer_slave(item, IcmpError::time_exceeded);
            break;
        case packet::Punt::reject:
            reject(item);
            break;
        default:
            answer_slave(item, item.if_refused == DropReason::route_unreachable
                                   ? IcmpError::host_unreachable
                                   : IcmpError::net_unreachable);
            break;
    }
    drop(item.mbuf, item.if_refused);
}

void Punts::reject(const path::PuntItem& item) {
    std::array<std::byte, kResetFrame> out{};
    std::array<std::byte, kQuoted> room;
    const std::span<const std::byte> frame = head_of(item.mbuf, room);
    const Reset made = item.tunnel == 0 ? make_reset(frame, out) : Reset{};
    if (!made.is_tcp) {
        answer_slave(item,
                     item.tunnel == 0 ? IcmpError::port_unreachable : IcmpError::admin_prohibited);
    } else if (made.size != 0 && may_answer(frame, item.in_port)) {
        send_back(item, std::span(out).first(made.size));
    }
}

bool Punts::may_answer(std::span<const std::byte> frame, std::uint16_t port) {
    const auto ends = ends_of(frame);
    // Slaves of all tenants have scopes of their own; segments have those below.
    constexpr std::uint32_t kPorts = 0x10000;
    return ends && limiter_.allow(kPorts + port, ends->source, Neighbours::Clock::now());
}

const table::Master* Punts::router_of(const path::PuntItem& item) const {
    if (slaves_ == nullptr) {
        return nullptr;
    }
    if (const table::Slave* slave = slaves_->slave_of_port(item.in_port)) {
        return &slaves_->master(slave->master);
    }
    const table::Tables& tables = *publisher_.current();
    const bool in_segment =
        item.from_tunnel || tables.ports[item.in_port].role == table::PortRole::access;
    // A rule's rejection is said in the name of the destination, as by that itself.
    if (!in_segment || item.why == packet::Punt::reject || item.segment >= tables.segments.size()) {
        return nullptr;
    }
    const std::uint16_t router = tables.segments[item.segment].router;
    return router == table::kNoMaster ? nullptr : &slaves_->master(router);
}

void Punts::answer_slave(rte_mbuf* mbuf, std::uint16_t port, IcmpError error, std::uint16_t mtu) {
    path::PuntItem item;
    item.mbuf = mbuf;
    item.in_port = port;
    item.why = packet::Punt::next_hop;
    answer_slave(item, error, mtu);
}

void Punts::answer_slave(const path::PuntItem& item, IcmpError error, std::uint16_t mtu) {
    std::array<std::byte, kQuoted> room;
    const std::span<const std::byte> frame = head_of(item.mbuf, room);
    const auto ends = ends_of(frame);
    if (!ends) {
        return;
    }
    // In the name of the master; of the destination where it has no address, or where the sender is
    // behind the wire and has to believe that the destination said so.
    net::IpAddress router = ends->destination;
    const table::Master* master = router_of(item);
    if (master != nullptr &&
        (router.is_v4() ? !master->address4.is_zero() : !master->address6.is_unset())) {
        router = router.is_v4() ? net::IpAddress(master->address4) : master->address6;
    }
    std::array<std::byte, kIcmpErrorFrame> out{};
    const IcmpMade made = make_router_error(frame, router, error, mtu, out, item.mbuf->pkt_len);
    if (!made || !may_answer(frame, item.in_port)) {
        return;
    }
    if (slaves_ != nullptr && slaves_->slave_of_port(item.in_port) != nullptr) {
        const auto own = net::MacAddress::from_number(master->mac);
        std::memcpy(out.data() + sizeof(net::MacAddress), own.bytes.data(), own.bytes.size());
    }
    send_back(item, std::span(out).first(made.size));
}

void Punts::send_back(const path::PuntItem& item, std::span<const std::byte> frame) {
    if (!item.from_tunnel) {
        send_to_tenant(item.in_port, item.segment, frame);
    } else if (rte_mbuf* mbuf = made_of(frame); mbuf != nullptr) {
        encapsulate(mbuf, item.peer, item.segment, item.in_port);
    }
}

}  // namespace vxplane::control
