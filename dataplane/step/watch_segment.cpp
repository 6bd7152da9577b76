#include "dataplane/step/watch_segment.hpp"

#include <array>
#include <cstring>

#include "dataplane/net/icmpv6.hpp"
#include "dataplane/step/clamp_mss.hpp"
#include "dataplane/step/gpe.hpp"
#include "dataplane/step/learn_source.hpp"
#include "dataplane/step/prefetch_fdb.hpp"
#include "dataplane/step/remote_sum.hpp"

namespace vxplane::step {
namespace {

using packet::DropReason;
using packet::Verdict;
namespace watch = table::watch;

constexpr std::uint32_t kEthernet = sizeof(net::EthernetHeader);
/// Longer than any ARP message and than what is read of neighbour discovery.
constexpr std::uint32_t kRead = 2048;

/// The beginning of a frame in one piece, however it lies in memory.
class Head {
  public:
    Head(const packet::Packet& p, std::uint32_t offset) noexcept {
        size_ = p.length() > offset ? std::min(p.length() - offset, kRead) : 0;
        data_ =
            static_cast<const std::byte*>(rte_pktmbuf_read(p.mbuf(), offset, size_, copy_.data()));
        size_ = data_ == nullptr ? 0 : size_;
    }
    Head(const Head&) = delete;
    Head& operator=(const Head&) = delete;
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
    [[nodiscard]] net::Be16 type() const noexcept {
        return size_ < kEthernet ? net::Be16{} : net::view<net::EthernetHeader>(data_).type;
    }
    [[nodiscard]] std::span<const std::byte> payload() const noexcept {
        return bytes().subspan(std::min<std::size_t>(kEthernet, size_));
    }

  private:
    std::array<std::byte, kRead> copy_;
    const std::byte* data_ = nullptr;
    std::uint32_t size_ = 0;
};

/// What a frame asks or says of IP addresses.
struct Question {
    enum class Kind : std::uint8_t {
        none,      ///< not ARP, not neighbour discovery
        passes,    ///< its business: answers, announcements
        asks,      ///< for `target`
        probes,    ///< whether anybody has `target`
        malformed  ///< or for what nobody can have
    };
    Kind kind = Kind::none;
    net::IpAddress target{};
    net::IpAddress speaker{};  ///< whose MAC address it tells; unset: nobody's
};

Question read_arp(std::span<const std::byte> payload) noexcept {
    using Kind = Question::Kind;
    if (payload.size() < sizeof(net::ArpHeader)) {
        return {Kind::malformed, {}, {}};
    }
    const auto& arp = net::view<net::ArpHeader>(payload.data());
    if (!arp.is_ethernet_ipv4()) {
        return {Kind::malformed, {}, {}};
    }
    const bool speaks = arp.sender.is_unicast() && !arp.sender.is_loopback() &&
                        !arp.sender_mac.is_zero() && !arp.sender_mac.is_group();
    const net::IpAddress speaker = speaks ? net::IpAddress(arp.sender) : net::IpAddress{};
    const bool possible = arp.target.is_unicast() && !arp.target.is_loopback();
    if (arp.operation == net::ArpHeader::kRequest && arp.sender.is_zero() && possible) {
        return {Kind::probes, arp.target, {}};  // RFC 5227
    }
    // A gratuitous request is for the owner of the address.
    if (arp.operation != net::ArpHeader::kRequest || arp.sender.is_zero() ||
        arp.sender == arp.target) {
        return {Kind::passes, {}, speaker};
    }
    return {possible ? Kind::asks : Kind::malformed, arp.target, speaker};
}

Question read_nd(std::span<const std::byte> payload) noexcept {
    using Kind = Question::Kind;
    const net::NdMessage nd = net::read_nd(payload);
    switch (nd.kind) {
        case net::NdKind::solicitation:
            // From nobody: duplicate address detection.
            return {nd.source.is_unset() ? Kind::probes : Kind::asks, nd.target,
                    nd.mac ? nd.source : net::IpAddress{}};
        case net::NdKind::advertisement:
            return {Kind::passes, {}, nd.target};
        case net::NdKind::other:
            return {Kind::passes, {}, {}};
        case net::NdKind::malformed:
            return {Kind::malformed, {}, {}};
        case net::NdKind::none:
            break;
    }
    return {};
}

Question question_in(const Head& head) noexcept {
    if (head.type() == net::ether_type::kArp) {
        return read_arp(head.payload());
    }
    return head.type() == net::ether_type::kIpv6 ? read_nd(head.payload()) : Question{};
}

void tell(packet::Packet p, const packet::PacketMeta& meta, packet::Punt why, std::uint64_t key,
          Context& ctx) noexcept {
    if (ctx.listener != nullptr) {
        ctx.listener->copy_to_control(p, meta, why, net::mix(key, static_cast<std::uint64_t>(why)),
                                      ctx);
    }
}

std::uint64_t key_of(const net::IpAddress& address, const packet::PacketMeta& meta) noexcept {
    return net::mix(address.low() ^ meta.segment, address.high());
}

const table::SegmentNeighbour* neighbour(std::uint16_t segment, const net::IpAddress& address,
                                         packet::PacketMeta& meta,
                                         const table::Tables& tables) noexcept {
    if (tables.segment_neighbours == nullptr) {
        return nullptr;
    }
    const std::uint32_t number = tables.segment_neighbours->find(segment, address);
    if (number == table::AddressMap::kNone) {
        return nullptr;
    }
    meta.tunnel = number;
    return &tables.known_neighbours[number];
}

/// The frame goes no further by the path: what the path would have learned from it is learned here.
Verdict learn_from(packet::Packet& p, packet::PacketMeta& meta, Context& ctx) noexcept {
    PrefetchFdb<packet::Side::local>(ctx, meta.in_port)(p, meta, ctx);
    meta.l3_offset = kEthernet;
    return LearnSource<packet::Side::local>(ctx, meta.in_port)(p, meta, ctx);
}

/// Nothing is known: the question is for everybody, or for the local ports alone.
Verdict leave_open(packet::Packet& p, packet::PacketMeta& meta, const table::Segment& segment,
                   Context& ctx) noexcept {
    const bool group = ((meta.destination_key >> 16) & net::kMacGroupBit) != 0;
    if ((segment.watch & watch::kProxyLocal) == 0 || !group) {
        return Verdict::go_on();
    }
    if (const Verdict learned = learn_from(p, meta, ctx); !learned.goes_on()) {
        return learned;
    }
    // The empty list: no remote gets a copy.
    meta.destination =
        table::FdbValue::make(table::FdbKind::flood_list, 0, table::FdbState::permanent, 0).raw();
    return Verdict::divert(packet::Lane::flood);
}

Verdict answer(packet::Packet& p, packet::PacketMeta& meta, const Question& question,
               const table::Segment& segment, Context& ctx) noexcept {
    const table::Tables& tables = *ctx.tables;
    const table::SegmentNeighbour* who = neighbour(meta.segment, question.target, meta, tables);
    if (who == nullptr) {
        if ((segment.watch & watch::kL3Miss) != 0) {
            tell(p, meta, packet::Punt::l3_miss, key_of(question.target, meta), ctx);
        }
        return leave_open(p, meta, segment, ctx);
    }
    const table::FdbKind kind =
        tables.fdb->find(table::FdbKey::make(who->mac.number(), meta.segment)).value.kind();
    if (kind != table::FdbKind::tunnel && kind != table::FdbKind::nexthop_group) {
        return leave_open(p, meta, segment, ctx);  // its owner is here, or nobody knows where
    }
    const Verdict learned = learn_from(p, meta, ctx);
    return learned.goes_on() ? Verdict::divert(packet::Lane::answer) : learned;
}

/// A probe for duplicates is for the owner of the address, who defends it: unless the segment
/// answers for its owners, or IPv6 asks for one whose place is fixed.
bool answers_probe(const packet::PacketMeta& meta, const Question& question,
                   const table::Segment& segment, const table::Tables& tables) noexcept {
    packet::PacketMeta unused = meta;
    const table::SegmentNeighbour* who = neighbour(meta.segment, question.target, unused, tables);
    if (who == nullptr) {
        return false;
    }
    const auto key = table::FdbKey::make(who->mac.number(), meta.segment);
    const table::FdbValue at = tables.fdb->find(key).value;
    const bool remote =
        at.kind() == table::FdbKind::tunnel || at.kind() == table::FdbKind::nexthop_group;
    const bool fixed = !question.target.is_v4() && at.state() == table::FdbState::static_;
    // Who has come here itself is told of no duplicate.
    return remote && key.raw != meta.source_key &&
           (fixed || (segment.watch & watch::kProxyProbes) != 0);
}

/// `rsc` of ip-link(8): the frame is for a router behind a tunnel, and the next node is known.
void shorten(packet::Packet& p, packet::PacketMeta& meta, const Head& head,
             const table::Segment& segment, Context& ctx) noexcept {
    const table::Tables& tables = *ctx.tables;
    const auto packet = head.payload();
    net::IpAddress target;
    if (tables.routers == nullptr || !tables.routers->contains(meta.destination_key)) {
        return;
    }
    if (head.type() == net::ether_type::kIpv4 && packet.size() >= sizeof(net::Ipv4Header)) {
        target = net::view<net::Ipv4Header>(packet.data()).destination;
    } else if (head.type() == net::ether_type::kIpv6 && packet.size() >= sizeof(net::Ipv6Header)) {
        target = net::IpAddress(net::view<net::Ipv6Header>(packet.data()).destination);
    } else {
        return;
    }
    if (target.is_multicast()) {
        return;
    }
    const table::SegmentNeighbour* who = neighbour(meta.segment, target, meta, tables);
    if (who == nullptr) {
        if ((segment.watch & watch::kL3Miss) != 0) {
            tell(p, meta, packet::Punt::l3_miss, key_of(target, meta), ctx);
        }
        return;
    }
    auto* ethernet = p.at<net::EthernetHeader>(0);
    if (ethernet->destination == who->mac) {
        return;
    }
    ethernet->source = ethernet->destination;
    ethernet->destination = who->mac;
    meta.destination_key = table::FdbKey::make(who->mac.number(), meta.segment).raw;
}

/// UDP to one of our VXLAN ports: a tenant that makes tunnel packets of its own.
bool is_vxlan(const Head& head, const table::Tables& tables) noexcept {
    const auto bytes = head.bytes();
    const auto shape = net::shape_of(bytes.data(), bytes.size());
    if (!shape.is_ip || bytes.size() <= shape.l3_offset) {
        return false;
    }
    const auto packet = bytes.subspan(shape.l3_offset);
    std::size_t at = 0;
    if (shape.type == net::ether_type::kIpv4) {
        if (packet.size() < sizeof(net::Ipv4Header)) {
            return false;
        }
        const auto& ip = net::view<net::Ipv4Header>(packet.data());
        if (ip.protocol != net::ip_protocol::kUdp ||
            (ip.fragment.value() & net::Ipv4Header::kOffsetMask) != 0) {
            return false;
        }
        at = ip.header_length();
    } else {
        if (packet.size() < sizeof(net::Ipv6Header)) {
            return false;
        }
        const net::Ipv6Upper upper = net::upper_of(packet.data(), packet.size());
        if (upper.protocol != net::ip_protocol::kUdp || !upper.is_whole || upper.is_later) {
            return false;
        }
        at = upper.offset;
    }
    if (packet.size() < at + sizeof(net::UdpHeader)) {
        return false;
    }
    const std::uint16_t port = net::view<net::UdpHeader>(packet.data() + at).destination.value();
    return tables.dstports->contains(table::dstport_key(port)) ||
           tables.dstports->contains(table::dstport_key(port, true));
}

bool is_listed(const net::IpAddress& sender, std::uint16_t number, const table::Guard& guard,
               const table::Tables& tables) noexcept {
    if (tables.allowed_peers != nullptr &&
        tables.allowed_peers->find(number, sender) != table::AddressMap::kNone) {
        return true;
    }
    for (std::uint32_t i = 0; i < guard.count; ++i) {
        if (tables.peer_prefixes[guard.begin + i].contains(sender)) {
            return true;
        }
    }
    return false;
}

}  // namespace

net::IpAddress outer_sender_of(const std::byte* outer) noexcept {
    const auto& ip = net::view<net::Ipv4Header>(outer + kEthernet);
    return ip.version() == 4 ? net::IpAddress(ip.source)
                             : net::IpAddress(net::view<net::Ipv6Header>(outer + kEthernet).source);
}

bool is_closed(std::uint16_t dstport, bool ipv6, const Context& ctx) noexcept {
    return ctx.tables->dstports->find(table::dstport_key(dstport, ipv6)) == table::kPortClosed;
}

Verdict ask_to_answer(packet::PacketMeta& meta, DropReason why) noexcept {
    meta.punt = packet::Punt::port_closed;
    meta.if_refused = why;
    return Verdict::divert(packet::Lane::control);
}

Verdict watch_access(packet::Packet& p, packet::PacketMeta& meta, Context& ctx) noexcept {
    const table::Segment& segment = ctx.tables->segments[meta.segment];
    if ((segment.watch & watch::kDown) != 0) {
        return Verdict::drop(DropReason::admin_down);
    }
    const Head head(p, 0);
    if ((segment.watch & watch::kRefuseVxlan) != 0 && is_vxlan(head, *ctx.tables)) {
        return Verdict::drop(DropReason::access_vxlan);
    }
    if ((segment.watch & (watch::kProxy | watch::kSnoop)) != 0) {
        const Question question = question_in(head);
        if ((segment.watch & watch::kSnoop) != 0 && !question.speaker.is_unset()) {
            tell(p, meta, packet::Punt::neighbour, key_of(question.speaker, meta) ^ meta.source_key,
                 ctx);
        }
        if ((segment.watch & watch::kProxy) != 0) {
            if (question.kind == Question::Kind::asks ||
                (question.kind == Question::Kind::probes &&
                 answers_probe(meta, question, segment, *ctx.tables))) {
                return answer(p, meta, question, segment, ctx);
            }
            if (question.kind == Question::Kind::malformed) {
                return leave_open(p, meta, segment, ctx);
            }
        }
    }
    if ((segment.watch & watch::kRsc) != 0) {
        shorten(p, meta, head, segment, ctx);
    }
    if ((segment.watch & watch::kL2Miss) != 0 &&
        ((meta.destination_key >> 16) & net::kMacGroupBit) == 0 &&
        !ctx.tables->fdb->find(table::FdbKey{meta.destination_key})) {
        tell(p, meta, packet::Punt::l2_miss, meta.destination_key, ctx);
    }
    return Verdict::go_on();
}

Verdict watch_tunnel(packet::Packet& p, packet::PacketMeta& meta, std::uint16_t number,
                     Context& ctx) noexcept {
    const table::Tables& tables = *ctx.tables;
    const table::Segment& segment = tables.segments[number];
    if ((segment.watch & watch::kDown) != 0) {
        const bool ipv6 = p.at<net::Ipv4Header>(kEthernet)->version() == 6;
        return is_closed(p.at<net::UdpHeader>(meta.outer_size)->destination.value(), ipv6, ctx)
                   ? ask_to_answer(meta, DropReason::admin_down)
                   : Verdict::drop(DropReason::admin_down);
    }
    if (segment.guard != 0) {
        const table::Guard& guard = tables.guards[segment.guard];
        const std::uint16_t port = p.at<net::UdpHeader>(meta.outer_size)->source.value();
        // Link-local addresses are on every link, and the segment is of one: others have no such
        // VNI.
        if (guard.link != table::kNoPort && guard.link != meta.in_port &&
            p.at<net::Ipv4Header>(kEthernet)->version() == 6) {
            return Verdict::drop(DropReason::vxlan_unknown_vni);
        }
        if (guard.listed && !is_listed(outer_sender_of(p.data()), segment.guard, guard, tables)) {
            return Verdict::drop(DropReason::peer_unknown);
        }
        if (port < guard.source_port_lo || port > guard.source_port_hi) {
            return Verdict::drop(DropReason::peer_port);
        }
    }
    if ((segment.watch & watch::kGroupPolicy) != 0) {
        meta.policy = p.at<net::VxlanHeader>(meta.outer_size + sizeof(net::UdpHeader))->policy();
        if (meta.policy.is_given()) {
            ctx.groups.note(segment.vni, meta.policy);
        }
    }
    // Before an Ethernet header is written over that of VXLAN, and before anything looks inside.
    if ((segment.watch & watch::kRemoteSum) != 0 && !fill_remote_sum(p, meta.outer_size)) {
        return Verdict::drop(DropReason::vxlan_bad_remcsum);
    }
    if ((segment.watch & watch::kGpe) != 0) {
        if (const Verdict verdict = read_gpe(p, meta, number, tables); !verdict.goes_on()) {
            return verdict;
        }
    }
    if ((segment.watch & watch::kSnoop) != 0) {
        const std::uint32_t inner =
            meta.outer_size + sizeof(net::UdpHeader) + sizeof(net::VxlanHeader);
        const Head head(p, inner);
        const Question question = question_in(head);
        if (!question.speaker.is_unset()) {
            packet::PacketMeta about = meta;
            about.segment = number;
            about.from_tunnel = true;
            about.tunnel = inner;
            const auto source = net::EthernetWords::of(head.bytes().data()).source;
            tell(p, about, packet::Punt::neighbour, key_of(question.speaker, about) ^ source, ctx);
        }
    }
    if ((segment.watch & watch::kClampMss) != 0) {
        clamp_mss_from(p, meta.outer_size + sizeof(net::UdpHeader) + sizeof(net::VxlanHeader),
                       number, meta, ctx);
    }
    return Verdict::go_on();
}

}  // namespace vxplane::step
