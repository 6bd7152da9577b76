#include "control/punts.hpp"

#include <spdlog/spdlog.h>

#include <cstring>

#include "control/apply/words.hpp"
#include "control/punts_held.hpp"
#include "dataplane/step/add_tunnel.hpp"
#include "dataplane/step/read_flow.hpp"
#include "dataplane/step/special_port.hpp"

namespace vxplane::control {

using packet::DropReason;

namespace {

// Bounds the time of one turn: about half a millisecond when every packet asks for an answer.
constexpr unsigned kPacketsPerTurn = 512;

}  // namespace

Punts::Punts(Machine& machine, Publisher& publisher) : machine_(machine), publisher_(publisher) {
    context_.pools = &machine.control_pools();
    context_.next_ip_id = 0x8000;  // apart from the workers, which begin at multiples of 0x2F6B
}

void Punts::take(Time now) {
    unsigned left = kPacketsPerTurn;
    const std::size_t count = machine_.rings().size();
    // Another ring is first in each turn: a busy worker does not starve the others.
    for (std::size_t i = 0; i < count; ++i) {
        rte_ring* ring = machine_.rings()[(first_ring_ + i) % count].rings.punt;
        path::PuntItem item;
        while (left != 0 && rte_ring_sc_dequeue_elem(ring, &item, sizeof item) == 0) {
            --left;
            ++counters_.taken;
            take_one(item, now);
        }
    }
    if (routing_ != nullptr) {
        follow_released(now);
    }
    ++first_ring_;
    if (left != 0) {
        tunnels_->allow_reuse();  // every ring was seen empty: no packet names an old tunnel
        if (routing_ != nullptr) {
            routing_->allow_reuse();
        }
    }
}

void Punts::take_one(const path::PuntItem& item, Time now) {
    switch (item.why) {
        case packet::Punt::arp:
            take_arp(item, now);
            break;
        case packet::Punt::icmp:
            if (!take_path_mtu(item, now)) {
                take_icmp(item);
            }
            break;
        case packet::Punt::unresolved:
            take_unresolved(item, now);
            break;
        case packet::Punt::unreachable:
            // One dead remote of a flood is no news of the destination, which others may have.
            if (!item.one_of_many) {
                answer(item.mbuf, item.in_port, item.segment,
                       item.if_refused == DropReason::tunnel_prohibited
                           ? IcmpError::admin_prohibited
                       : item.if_refused == DropReason::tunnel_unreachable
                           ? IcmpError::host_unreachable
                           : IcmpError::net_unreachable);
            }
            drop(item.mbuf, item.if_refused);
            break;
        case packet::Punt::next_hop:
            take_next_hop(item, now);
            break;
        case packet::Punt::slave_arp:
            take_slave_arp(item);
            break;
        case packet::Punt::slave_nd:
            take_slave_nd(item);
            break;
        case packet::Punt::slave_report:
            take_slave_report(item, now);
            break;
        case packet::Punt::dhcp:
            take_dhcp(item, now);
            break;
        case packet::Punt::neighbour:
        case packet::Punt::l2_miss:
        case packet::Punt::l3_miss:
        case packet::Punt::listeners:
        case packet::Punt::group_query:
            take_heard(item);
            break;
        case packet::Punt::port_closed:
            answer_closed(item);
            drop(item.mbuf, item.if_refused);
            break;
        case packet::Punt::ttl_exceeded:
        case packet::Punt::route_unreachable:
        case packet::Punt::route_prohibited:
        case packet::Punt::too_big:
        case packet::Punt::reject:
            take_refused(item);
            break;
    }
}

void Punts::take_arp(const path::PuntItem& item, Time now) {
    const std::span<const std::byte> frame = bytes_of(item.mbuf);
    if (net::load<net::EthernetHeader>(frame.data()).type == net::ether_type::kIpv6) {
        take_nd(item, now);
        return;
    }
    const ArpResult result = neighbours_->on_arp(item.in_port, frame, now);
    if (result == ArpResult::malformed) {
        drop(item.mbuf, DropReason::arp_malformed);
        return;
    }
    // Answers may be for the kernel too, which asks through the twin with the same MAC address.
    const OpenPort* port = machine_.by_id(item.in_port);
    const auto operation =
        net::load<net::ArpHeader>(frame.data() + sizeof(net::EthernetHeader)).operation;
    const bool for_kernel = result == ArpResult::not_ours || operation != net::ArpHeader::kRequest;
    if (port != nullptr && port->partner != table::kNoPort && for_kernel) {
        forward(item.mbuf, port->partner);
    } else {
        consume(item.mbuf);
    }
}

void Punts::take_nd(const path::PuntItem& item, Time now) {
    const std::span<const std::byte> frame = bytes_of(item.mbuf);
    const NdResult result = neighbours_->on_nd(item.in_port, frame, now);
    if (result == NdResult::malformed) {
        drop(item.mbuf, DropReason::nd_malformed);
        return;
    }
    // As with ARP: advertisements may be for the kernel too.
    const OpenPort* port = machine_.by_id(item.in_port);
    const net::NdMessage nd = net::read_nd(frame.subspan(sizeof(net::EthernetHeader)));
    const bool for_kernel = result == NdResult::not_ours || nd.kind == net::NdKind::advertisement;
    if (port != nullptr && port->partner != table::kNoPort && for_kernel) {
        forward(item.mbuf, port->partner);
    } else {
        consume(item.mbuf);
    }
}

void Punts::take_icmp(const path::PuntItem& item) {
    const std::span<const std::byte> request = bytes_of(item.mbuf);
    rte_mbuf* reply = machine_.control_pools().packet();
    if (reply == nullptr) {
        ++counters_.no_buffer;
        consume(item.mbuf);
        return;
    }
    const std::span<std::byte> out{rte_pktmbuf_mtod(reply, std::byte*),
                                   rte_pktmbuf_tailroom(reply)};
    const IcmpMade made = make_echo_reply(request, addresses_, out);
    if (!made) {
        rte_pktmbuf_free(reply);
        drop(item.mbuf, made.why == NoIcmp::bad_source ? DropReason::ip4_bad_source
                                                       : DropReason::icmp_malformed);
        return;
    }
    reply->data_len = static_cast<std::uint16_t>(made.size);
    reply->pkt_len = static_cast<std::uint32_t>(made.size);
    ++counters_.made;
    forward(reply, item.in_port);
    consume(item.mbuf);
}

void Punts::take_unresolved(const path::PuntItem& item, Time now) {
    const auto next_hop = tunnels_->next_hop(item.tunnel);
    if (!next_hop) {
        drop(item.mbuf, DropReason::port_gone);
        return;
    }
    Held held;
    held.mbuf = item.mbuf;
    held.bytes = memory_of(item.mbuf);
    held.tunnel = item.tunnel;
    held.segment = item.segment;
    held.opaque = opaque_of(item, tunnels_->serial(item.tunnel));
    neighbours_->hold(*next_hop, std::move(held), now);
}

void Punts::take_heard(const path::PuntItem& item) {
    std::array<std::byte, 2048> room;
    const std::size_t skip = item.why == packet::Punt::neighbour ? item.tunnel : 0;
    const std::span<const std::byte> frame = head_of(item.mbuf, room);
    if (heard_ && frame.size() > skip) {
        heard_(item, frame.subspan(skip));
    }
    consume(item.mbuf);
}

void Punts::answer(rte_mbuf* frame, std::uint16_t in_port, std::uint16_t segment, IcmpError error) {
    std::array<std::byte, kIcmpErrorFrame> out{};
    std::array<std::byte, kQuoted> room;
    const std::span<const std::byte> bytes = head_of(frame, room);
    const IcmpMade made = make_icmp_error(bytes, error, 0, out, frame->pkt_len);
    if (!made) {
        return;
    }
    const auto shape = net::shape_of(bytes.data(), bytes.size());
    const auto source = net::load<net::Ipv4Header>(bytes.data() + shape.l3_offset).source;
    if (limiter_.allow(segment, source, Neighbours::Clock::now())) {
        send_to_tenant(in_port, segment, std::span(out).first(made.size));
    }
}

rte_mbuf* Punts::made_of(std::span<const std::byte> frame) {
    rte_mbuf* mbuf = machine_.control_pools().packet();
    char* to = mbuf == nullptr ? nullptr
                               : rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(frame.size()));
    if (to == nullptr) {
        ++counters_.no_buffer;
        rte_pktmbuf_free(mbuf);
        return nullptr;
    }
    std::memcpy(to, frame.data(), frame.size());
    ++counters_.made;
    return mbuf;
}

void Punts::send_made(std::uint16_t port, std::span<const std::byte> frame) {
    if (rte_mbuf* mbuf = made_of(frame); mbuf != nullptr) {
        forward(mbuf, port);
    }
}

void Punts::send_to_tenant(std::uint16_t port, std::uint16_t segment,
                           std::span<const std::byte> frame) {
    context_.begin(publisher_.current(), 0, 0);
    const table::Tables& tables = *context_.tables;
    if (port >= tables.ports.size() || tables.ports[port].trunk == table::kNoTrunk) {
        send_made(port, frame);
        return;
    }
    rte_mbuf* mbuf = made_of(frame);
    if (mbuf == nullptr) {
        return;
    }
    packet::PacketMeta meta;
    meta.segment = segment;
    meta.out_port = port;
    meta.l3_offset = sizeof(net::EthernetHeader);
    meta.policy = net::GroupPolicy::of(0, net::GroupPolicy::kApplied);  // of no group
    const step::Written6 done = step::leave_special(mbuf, meta, context_);
    if (done.verdict.is_drop()) {
        drop(done.mbuf, done.verdict.reason());
    } else {
        forward(done.mbuf, port);
    }
}

void Punts::forward(rte_mbuf* mbuf, std::uint16_t port) {
    if (machine_.inject(mbuf, port)) {
        ++counters_.forwarded;
    } else {
        drop(mbuf, DropReason::inject_ring_full);
    }
}

void Punts::drop(rte_mbuf* mbuf, DropReason reason) {
    ++counters_.dropped;
    ++counters_.drops[static_cast<std::size_t>(reason)];
    rte_pktmbuf_free(mbuf);
}

void Punts::consume(rte_mbuf* mbuf) {
    ++counters_.consumed;
    rte_pktmbuf_free(mbuf);
}

std::uint64_t Punts::held() const noexcept {
    return released_.size() + (neighbours_ == nullptr ? 0 : neighbours_->held_packets());
}

std::uint64_t Punts::difference() const noexcept {
    return counters_.taken + counters_.made - counters_.consumed - counters_.forwarded -
           counters_.dropped - held();
}

void Punts::send_released() {
    for (const auto& [key, mac, held] : released_) {
        if (is_routed(held)) {
            send_routed(key, mac, held);
            continue;
        }
        // The tunnel may have gone, and its number may lead elsewhere by now.
        if (tunnels_->next_hop(held.tunnel) == key &&
            tunnels_->serial(held.tunnel) == serial_of(held)) {
            encapsulate(held);
        } else {
            drop(held.mbuf, DropReason::port_gone);
        }
    }
    released_.clear();
}

void Punts::encapsulate(const Held& held) {
    encapsulate(held.mbuf, held.tunnel, held.segment, port_of(held),
                (held.opaque & kOneOfMany) != 0);
}

void Punts::encapsulate(rte_mbuf* mbuf, std::uint32_t tunnel, std::uint16_t segment,
                        std::uint16_t in_port, bool one_of_many) {
    context_.begin(publisher_.current(), 0, 0);
    if (segment >= context_.tables->segments.size() || tunnel >= context_.tables->tunnels.size() ||
        !context_.tables->segments[segment].in_use) {
        const bool down = segment < context_.tables->segments.size() &&
                          (context_.tables->segments[segment].watch & table::watch::kDown) != 0;
        // Its segment has gone while it waited, or was set down.
        drop(mbuf, down ? DropReason::admin_down : DropReason::port_gone);
        return;
    }
    packet::Packet p(mbuf);
    packet::PacketMeta meta;
    meta.in_port = in_port;
    meta.out_port = table::kNoPort;
    meta.tunnel = tunnel;
    meta.segment = segment;
    meta.one_of_many = one_of_many;
    meta.destination_key =
        table::FdbKey::make(p.at<net::EthernetHeader>(0)->destination.number(), segment).raw;
    meta.vni_word = context_.tables->segments[segment].vni_word;
    if (in_port < context_.tables->ports.size() &&
        (context_.tables->ports[in_port].segment == segment ||
         context_.tables->ports[in_port].trunk != table::kNoTrunk)) {
        meta.policy = context_.tables->ports[in_port].policy;
    }
    step::ReadFlow{}(p, meta, context_);
    const packet::Verdict verdict = step::AddTunnel(context_)(p, meta, context_);
    if (verdict.goes_on()) {
        forward(p.mbuf(), meta.out_port);
    } else if (!verdict.is_drop() && verdict.lane() == packet::Lane::too_long) {
        send_in_fragments(p, meta);
    } else if (!verdict.is_drop() && verdict.lane() == packet::Lane::bypass) {
        drop(p.mbuf(), DropReason::port_gone);  // its remote has become ours while it waited
    } else {
        const bool refused = meta.if_refused != DropReason::none;
        if (meta.punt == packet::Punt::too_big && told_of_held(p, meta)) {
            return;
        }
        drop(p.mbuf(), verdict.is_drop() ? verdict.reason()
                       : refused         ? meta.if_refused
                                         : DropReason::neigh_failed);
    }
}

void Punts::drop_all() {
    for (const auto& [key, mac, held] : released_) {
        drop(held.mbuf, DropReason::port_gone);
    }
    released_.clear();
}

void Punts::send_frame(std::uint16_t port, std::span<const std::byte> frame) {
    send_made(port, frame);
}

void Punts::reachable(NeighbourKey key, net::MacAddress mac) {
    note_answered(key);
    tunnels_->reachable(key, mac);
    if (routing_ != nullptr) {
        routing_->reachable(key, mac);
    }
    if (news_) {
        news_("reachable", key, mac);
    }
}

void Punts::unreachable(NeighbourKey key) {
    note_answered(key);
    if (tunnels_ == nullptr) {
        return;
    }
    if (routing_ != nullptr) {
        routing_->unreachable(key);
    }
    if (tunnels_->unreachable(key)) {
        spdlog::warn("neighbour {} does not answer any more", text(key.address));
    }
    if (news_) {
        news_("failed", key, {});
    }
}

void Punts::release(NeighbourKey key, net::MacAddress mac, Held&& held) {
    note_released(held);
    released_.push_back({key, mac, held});
}

void Punts::give_up(NeighbourKey key, Held&& held, DropReason reason) {
    note_released(held);
    if (reason != DropReason::neigh_queue_full) {
        note_answered(key);  // an entry that is removed says nothing else
    }
    if (reason == DropReason::neigh_failed && is_routed(held)) {
        answer_slave(held.mbuf, port_of(held), IcmpError::host_unreachable, 0);
    } else if (reason == DropReason::neigh_failed && (held.opaque & kOneOfMany) == 0) {
        answer(held.mbuf, port_of(held), held.segment, IcmpError::host_unreachable);
    }
    drop(held.mbuf, reason);
}

void Punts::conflict(NeighbourKey own, net::MacAddress other) {
    spdlog::error("address conflict: {} says that it has our address {}", text(other),
                  text(own.address));
    if (news_) {
        news_("conflict", own, other);
    }
}

void Punts::table_full(NeighbourKey refused) {
    constexpr std::chrono::seconds kLogged{10};
    if (const Time now = Neighbours::Clock::now(); now - full_logged_ >= kLogged) {
        full_logged_ = now;
        spdlog::error("neighbour table is full, {} is not resolved", text(refused.address));
    }
    if (news_) {
        news_("refused", refused, {});
    }
}

}  // namespace vxplane::control
