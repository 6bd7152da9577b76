// Options of TCP are read as far as they are well formed; nothing else of a frame changes.
#include "dataplane/step/clamp_mss.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/icmpv6.hpp"
#include "dataplane/packet/chain_sum.hpp"
#include "dataplane/step/watch_segment.hpp"

namespace vxplane::step {
namespace {

using net::Be16;

constexpr std::uint32_t kEthernet = sizeof(net::EthernetHeader);
/// Two tags, an IPv6 header with room for some extension headers, and the longest TCP header.
constexpr std::uint32_t kRead = 256;
/// What an MSS does not count: IP and TCP headers without options (RFC 6691 section 2).
constexpr std::uint32_t kHeaders4 = sizeof(net::Ipv4Header) + sizeof(net::TcpHeader);
constexpr std::uint32_t kHeaders6 = sizeof(net::Ipv6Header) + sizeof(net::TcpHeader);

constexpr std::uint8_t kEndOfOptions = 0;
constexpr std::uint8_t kNoOperation = 1;
constexpr std::uint8_t kMss = 2;  // RFC 9293 section 3.2
constexpr std::uint8_t kMssLength = 4;

/// What has to be written, offsets from the beginning of the frame.
struct Change {
    std::array<std::uint16_t, 10> at{};  ///< of values; more options than these do not fit
    std::uint32_t count = 0;
    Be16 mss;
    std::uint32_t checksum_at = 0;
    Be16 checksum;
};

/// Where a TCP header stands in an unfragmented IP packet, and how many bytes of it are there; 0:
/// nowhere.
struct TcpPlace {
    std::uint32_t at = 0;
    std::uint32_t size = 0;
};

TcpPlace tcp_in(std::span<const std::byte> packet, bool ipv6) noexcept {
    if (ipv6) {
        const net::Ipv6Upper upper = net::upper_of(packet.data(), packet.size());
        const std::size_t end = std::min<std::size_t>(
            packet.size(), sizeof(net::Ipv6Header) +
                               net::view<net::Ipv6Header>(packet.data()).payload_length.value());
        return upper.protocol == net::ip_protocol::kTcp && upper.is_whole && !upper.is_fragment &&
                       upper.offset < end
                   ? TcpPlace{upper.offset, static_cast<std::uint32_t>(end - upper.offset)}
                   : TcpPlace{};
    }
    const auto& ip = net::view<net::Ipv4Header>(packet.data());
    const std::uint32_t header = ip.header_length();
    const std::size_t end = std::min<std::size_t>(packet.size(), ip.total_length.value());
    return ip.protocol == net::ip_protocol::kTcp && header >= sizeof ip && !ip.is_fragment() &&
                   header < end
               ? TcpPlace{header, static_cast<std::uint32_t>(end - header)}
               : TcpPlace{};
}

/// Bytes of a frame that fits: into the segment, whose tags are not counted, and into the tunnel,
/// where they are.
struct Longest {
    std::uint32_t untagged;
    std::uint32_t tagged = 0xFFFF;
};

Change change_of(std::span<const std::byte> frame, const Longest& fits) noexcept {
    Change change;
    const net::FrameFacts facts = net::shape_of(frame.data(), frame.size());
    if (!facts.is_ip) {
        return change;
    }
    const bool ipv6 = facts.type == net::ether_type::kIpv6;
    const std::uint32_t tags = facts.l3_offset - kEthernet;
    const std::uint32_t longest =
        std::min(fits.untagged, fits.tagged - std::min(tags, fits.tagged));
    const TcpPlace tcp = tcp_in(frame.subspan(facts.l3_offset), ipv6);
    const std::uint32_t headers = kEthernet + (ipv6 ? kHeaders6 : kHeaders4);
    if (tcp.size < sizeof(net::TcpHeader) || longest <= headers) {
        return change;
    }
    const std::uint32_t begin = facts.l3_offset + tcp.at;
    const auto& header = net::view<net::TcpHeader>(frame.data() + begin);
    const std::uint32_t end = header.header_length();
    if ((header.flags & net::TcpHeader::kSyn) == 0 || end < sizeof header || end > tcp.size) {
        return change;
    }
    change.mss = Be16::of(static_cast<std::uint16_t>(std::min(longest - headers, 0xFFFFU)));
    change.checksum_at = begin + static_cast<std::uint32_t>(offsetof(net::TcpHeader, checksum));
    change.checksum = header.checksum;
    const auto swapped = [](Be16 value) {
        return Be16::of(static_cast<std::uint16_t>(value.value() << 8 | value.value() >> 8));
    };
    for (std::uint32_t at = sizeof header; at < end;) {
        const auto kind = static_cast<std::uint8_t>(frame[begin + at]);
        if (kind == kEndOfOptions) {
            break;
        }
        if (kind == kNoOperation) {
            ++at;
            continue;
        }
        const std::uint32_t length =
            at + 1 < end ? static_cast<std::uint32_t>(frame[begin + at + 1]) : 0;
        if (length < 2 || at + length > end) {
            break;
        }
        if (kind == kMss && length == kMssLength) {
            const auto said = net::load<Be16>(frame.data() + begin + at + 2);
            if (said.value() > change.mss.value()) {
                change.at[change.count++] = static_cast<std::uint16_t>(begin + at + 2);
                // Words of the checksum begin at even bytes.
                const bool odd = at % 2 != 0;
                change.checksum = net::update_checksum(change.checksum, odd ? swapped(said) : said,
                                                       odd ? swapped(change.mss) : change.mss);
            }
        }
        at += length;
    }
    return change;
}

Change change_in(const rte_mbuf* mbuf, std::uint32_t at, const Longest& fits) noexcept {
    if (mbuf->pkt_len < at + kEthernet + kHeaders4) {
        return {};
    }
    std::array<std::byte, kRead> room;
    const std::uint32_t size = std::min(mbuf->pkt_len - at, kRead);
    const auto* frame =
        static_cast<const std::byte*>(rte_pktmbuf_read(mbuf, at, size, room.data()));
    return change_of({frame, size}, fits);
}

void write(rte_mbuf* mbuf, std::uint32_t frame, const Change& change) noexcept {
    for (std::uint32_t i = 0; i < change.count; ++i) {
        packet::put_word(mbuf, frame + change.at[i], change.mss);
    }
    packet::put_word(mbuf, frame + change.checksum_at, change.checksum);
}

bool is_all_ours(const rte_mbuf* mbuf) noexcept {
    for (; mbuf != nullptr; mbuf = mbuf->next) {
        if (rte_mbuf_refcnt_read(mbuf) != 1 || !RTE_MBUF_DIRECT(mbuf)) {
            return false;
        }
    }
    return true;
}

/// Null without a buffer. The original is freed.
rte_mbuf* copy_of(rte_mbuf* mbuf, port::WorkerPools& pools) noexcept {
    rte_mbuf* copy = pools.packet();
    if (copy == nullptr || rte_pktmbuf_tailroom(copy) < mbuf->pkt_len) {
        rte_pktmbuf_free(copy);
        return nullptr;
    }
    copy->data_len = static_cast<std::uint16_t>(mbuf->pkt_len);
    copy->pkt_len = mbuf->pkt_len;
    copy->port = mbuf->port;
    auto* to = rte_pktmbuf_mtod(copy, std::byte*);
    for (const rte_mbuf* segment = mbuf; segment != nullptr; segment = segment->next) {
        std::memcpy(to, rte_pktmbuf_mtod(segment, const std::byte*), segment->data_len);
        to += segment->data_len;
    }
    rte_pktmbuf_free(mbuf);
    return copy;
}

/// The tunnel that leads back to the sender of a tunnel packet.
std::uint32_t tunnel_back(packet::Packet p, const table::Segment& segment,
                          const packet::PacketMeta& meta, const table::Tables& tables) noexcept {
    const net::IpAddress sender = outer_sender_of(p.data());
    if (sender.is_v4()) {
        return tables.peers->find(table::peer_key(segment.profile, meta.outer_source));
    }
    return tables.peers6 == nullptr ? table::FlatMap::kNone
                                    : tables.peers6->find(segment.profile, sender);
}

/// What fits whichever way a frame is going to take.
std::uint16_t longest_by(const table::Tunnel& tunnel, const table::Tables& tables) noexcept {
    std::uint16_t longest = tunnel.max_frame;
    if ((tunnel.special & table::Tunnel::kByTos) != 0) {
        for (const std::uint32_t way : tables.tos_ways[tunnel.tos_ways()]) {
            longest = std::min(longest, tables.tunnels[way].max_frame);
        }
    }
    return longest;
}

}  // namespace

rte_mbuf* clamp_mss_into(rte_mbuf* mbuf, std::uint32_t at, const table::Tunnel& tunnel,
                         const packet::PacketMeta& meta, Context& ctx) noexcept {
    const table::Tables& tables = *ctx.tables;
    Longest fits{tables.segments[meta.segment].max_frame, tunnel.max_frame};
    // What a tenant gets back must fit its port, too.
    const table::PortEntry& in = tables.ports[meta.in_port];
    if (in.role == table::PortRole::access) {
        fits.untagged = std::min<std::uint32_t>(fits.untagged, in.max_frame);
    }
    const Change change = change_in(mbuf, at, fits);
    if (change.count == 0) {
        return mbuf;
    }
    if (!is_all_ours(mbuf)) {
        rte_mbuf* copy = copy_of(mbuf, *ctx.pools);
        if (copy == nullptr) {
            return mbuf;
        }
        mbuf = copy;
    }
    write(mbuf, at, change);
    return mbuf;
}

void clamp_mss_from(packet::Packet p, std::uint32_t at, std::uint16_t number,
                    const packet::PacketMeta& meta, const Context& ctx) noexcept {
    static_assert(table::FlatMap::kNone == table::AddressMap::kNone);
    const table::Segment& segment = ctx.tables->segments[number];
    Longest fits{segment.max_frame};
    const std::uint32_t back = tunnel_back(p, segment, meta, *ctx.tables);
    if (back != table::FlatMap::kNone) {
        fits.tagged = longest_by(ctx.tables->tunnels[back], *ctx.tables);
    }
    if (const Change change = change_in(p.mbuf(), at, fits); change.count != 0) {
        write(p.mbuf(), at, change);
    }
}

}  // namespace vxplane::step
