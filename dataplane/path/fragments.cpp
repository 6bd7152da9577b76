#include "dataplane/path/fragments.hpp"

#include <array>
#include <cstring>

#include "dataplane/net/checksum.hpp"
#include "dataplane/path/rare_tunnels.hpp"
#include "dataplane/step/add_tunnel.hpp"

namespace vxplane::path {
namespace {

/// An IPv4 header with its options.
struct Header {
    std::array<std::byte, 60> bytes{};
    std::uint32_t size = 0;

    [[nodiscard]] net::Ipv4Header& ip() noexcept {
        return *reinterpret_cast<net::Ipv4Header*>(bytes.data());
    }
};

/// What fragments but the first begin with: of the options only those that say so.
Header for_later(const Header& first) noexcept {
    Header later;
    std::memcpy(later.bytes.data(), first.bytes.data(), sizeof(net::Ipv4Header));
    later.size = sizeof(net::Ipv4Header);
    for (std::uint32_t at = sizeof(net::Ipv4Header); at < first.size;) {
        const auto kind = static_cast<std::uint8_t>(first.bytes[at]);
        if (kind == 0) {
            break;
        }
        const std::uint32_t length = kind == 1 ? 1
                                     : at + 1 < first.size
                                         ? static_cast<std::uint8_t>(first.bytes[at + 1])
                                         : 0;
        if (length == 0 || at + length > first.size) {
            break;
        }
        if ((kind & 0x80U) != 0) {
            std::memcpy(later.bytes.data() + later.size, first.bytes.data() + at, length);
            later.size += length;
        }
        at += length;
    }
    // Padded with end-of-options bytes, which the array holds already.
    later.size = (later.size + 3) & ~3U;
    later.ip().version_ihl = static_cast<std::uint8_t>(0x40U | later.size / 4);
    return later;
}

}  // namespace

bool is_whole_datagram(const packet::Packet& p, std::uint32_t l3) noexcept {
    if (p.contiguous() < l3 + sizeof(net::Ipv4Header)) {
        return false;
    }
    const auto& ip = *p.at<net::Ipv4Header>(l3);
    const std::uint32_t header = ip.header_length();
    const std::uint32_t total = ip.total_length.value();
    return ip.version() == 4 && header >= sizeof ip && p.contiguous() >= l3 + header &&
           total > header && p.length() >= l3 + total && net::ipv4_checksum_is_right(ip);
}

void send_fragments(packet::Packet p, packet::PacketMeta& meta, step::Context& ctx,
                    Exit& exit) noexcept {
    cut_datagram(p, meta, sizeof(net::EthernetHeader),
                 ctx.tables->next_hops[meta.destination].max_frame - sizeof(net::EthernetHeader),
                 ctx, exit);
}

void cut_datagram(packet::Packet p, const packet::PacketMeta& meta, std::uint32_t l3,
                  std::uint32_t room, step::Context& ctx, Exit& exit) noexcept {
    using packet::DropReason;
    Header header;
    header.size = p.at<net::Ipv4Header>(l3)->header_length();
    std::memcpy(header.bytes.data(), p.data() + l3, header.size);
    Header later = for_later(header);
    const net::Ipv4Header whole = header.ip();
    const std::uint32_t payload = whole.total_length.value() - header.size;
    const std::uint32_t from = header.size + l3;
    // A forged fragment may claim to end beyond the largest datagram.
    constexpr std::uint32_t kLongest = 0xFFFF;
    if ((whole.fragment.value() & net::Ipv4Header::kOffsetMask) * 8U + payload > kLongest ||
        room < header.size + 8) {
        exit.drop(p.mbuf(), DropReason::route_too_big);
        return;
    }
    std::uint64_t made = 0;
    for (std::uint32_t done = 0; done < payload;) {
        Header& own = done == 0 ? header : later;
        std::uint32_t size = payload - done;
        const bool is_last = own.size + size <= room;
        if (!is_last) {
            size = (room - own.size) & ~7U;  // offsets count units of eight bytes
        }
        net::Ipv4Header& ip = own.ip();
        const std::uint32_t flags = whole.fragment.value() & net::Ipv4Header::kMoreFragments;
        const std::uint32_t offset =
            (whole.fragment.value() & net::Ipv4Header::kOffsetMask) + done / 8;
        ip.fragment = net::Be16::of(static_cast<std::uint16_t>(
            offset | (is_last ? flags : net::Ipv4Header::kMoreFragments)));
        ip.total_length = net::Be16::of(static_cast<std::uint16_t>(own.size + size));
        ip.checksum = {};
        ip.checksum = net::finish(net::add_bytes(0, &ip, own.size));
        const std::uint32_t begin = from + done;
        done += size;
        ++made;
        rte_mbuf* piece = ctx.pools->packet();
        char* to = piece == nullptr ? nullptr
                                    : rte_pktmbuf_append(
                                          piece, static_cast<std::uint16_t>(l3 + own.size + size));
        if (to == nullptr) {
            rte_pktmbuf_free(piece);
            exit.count_drop(DropReason::route_no_fragment);
            continue;
        }
        std::memcpy(to, p.data(), l3);
        std::memcpy(to + l3, own.bytes.data(), own.size);
        const void* bytes = rte_pktmbuf_read(p.mbuf(), begin, size, to + l3 + own.size);
        if (bytes != to + l3 + own.size) {
            std::memcpy(to + l3 + own.size, bytes, size);
        }
        piece->port = p.mbuf()->port;
        packet::PacketMeta piece_meta = meta;
        packet::Packet view(piece);
        const packet::Verdict verdict = step::AddTunnel(ctx)(view, piece_meta, ctx);
        if (verdict.goes_on()) {
            if (piece_meta.tunnel_bytes != 0) {
                SegmentCounters& segment = exit.counters().segments[meta.segment];
                segment.tx_packets.add(1);
                segment.tx_bytes.add(view.length() - piece_meta.tunnel_bytes);
            }
            exit.send(view.mbuf(), piece_meta.out_port);
        } else if (verdict.is_drop()) {
            exit.drop(view.mbuf(), verdict.reason());
        } else if (verdict.lane() == packet::Lane::too_long) {
            send_too_long(view, piece_meta, ctx, exit);
        } else if (verdict.lane() == packet::Lane::bypass) {
            bypass(view, piece_meta, ctx, exit);
        } else {
            exit.to_control(view.mbuf(), piece_meta);
        }
    }
    // The datagram itself is gone without a word: its fragments stand for it.
    exit.counters().cut_frames.add(made - 1);
    rte_pktmbuf_free(p.mbuf());
}

}  // namespace vxplane::path
