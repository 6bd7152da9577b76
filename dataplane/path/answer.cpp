#include "dataplane/path/answer.hpp"

#include <array>
#include <cstring>
#include <span>

#include "dataplane/net/icmpv6.hpp"
#include "dataplane/path/special.hpp"

namespace vxplane::path {
namespace {

constexpr std::size_t kEthernet = sizeof(net::EthernetHeader);
constexpr std::uint32_t kRead = 2048;

/// Without padding: whoever sends the frame on a wire adds it.
std::size_t write_arp(const std::byte* frame, const table::SegmentNeighbour& who,
                      std::byte* out) noexcept {
    net::ArpHeader arp = net::load<net::ArpHeader>(frame + kEthernet);
    const net::EthernetHeader ethernet{arp.sender_mac, who.mac, net::ether_type::kArp};
    const net::Ipv4Address asker = arp.sender;
    arp.operation = net::ArpHeader::kReply;
    arp.target_mac = arp.sender_mac;
    arp.sender_mac = who.mac;
    arp.sender = arp.target;
    arp.target = asker;
    std::memcpy(out, &ethernet, sizeof ethernet);
    std::memcpy(out + kEthernet, &arp, sizeof arp);
    return kEthernet + sizeof arp;
}

std::size_t write_nd(std::span<const std::byte> frame, const table::SegmentNeighbour& who,
                     bool router, std::byte* out) noexcept {
    const net::NdMessage nd = net::read_nd(frame.subspan(kEthernet));
    const auto asker = net::view<net::EthernetHeader>(frame.data()).source;
    // Who has no address yet is told as everybody is: RFC 4861, section 7.2.4.
    const bool probe = nd.source.is_unset();
    const std::uint32_t flags = (probe ? 0U : net::NdHeader::kSolicited) |
                                net::NdHeader::kOverride | (router ? net::NdHeader::kRouter : 0U);
    const auto made =
        net::make_nd({probe ? net::group_mac(net::all_nodes()) : nd.mac.value_or(asker), who.mac,
                      nd.target, probe ? net::all_nodes() : nd.source,
                      net::Icmpv6Header::kAdvertisement, flags, nd.target});
    std::memcpy(out, made.data(), made.size());
    return made.size();
}

}  // namespace

void answer_for_neighbour(packet::Packet p, const packet::PacketMeta& meta, step::Context& ctx,
                          Exit& exit) noexcept {
    const table::Tables& tables = *ctx.tables;
    const table::SegmentNeighbour& who = tables.known_neighbours[meta.tunnel];
    rte_mbuf* made = ctx.pools->packet();
    if (made == nullptr) {
        exit.drop(p.mbuf(), packet::DropReason::proxy_no_buffer);
        return;
    }
    std::array<std::byte, kRead> room;
    const std::uint32_t size = std::min(p.length(), kRead);
    const auto* frame =
        static_cast<const std::byte*>(rte_pktmbuf_read(p.mbuf(), 0, size, room.data()));
    auto* out = rte_pktmbuf_mtod(made, std::byte*);
    const bool is_arp = net::view<net::EthernetHeader>(frame).type == net::ether_type::kArp;
    const bool router =
        who.router ||
        (tables.routers != nullptr &&
         tables.routers->contains(table::FdbKey::make(who.mac.number(), meta.segment).raw));
    const std::size_t length =
        is_arp ? write_arp(frame, who, out) : write_nd({frame, size}, who, router, out);
    made->data_len = static_cast<std::uint16_t>(length);
    made->pkt_len = static_cast<std::uint32_t>(length);
    made->port = p.mbuf()->port;
    rte_pktmbuf_free(p.mbuf());
    exit.counters().segments[meta.segment].answered.add(1);
    if (ctx.tables->ports[meta.in_port].segment == meta.segment) {
        exit.send(made, meta.in_port);
        return;
    }
    packet::PacketMeta back = meta;
    back.out_port = meta.in_port;
    back.policy = net::GroupPolicy::of(0, net::GroupPolicy::kApplied);  // of no group
    put_special(packet::Packet(made), back, ctx, exit);
}

}  // namespace vxplane::path
