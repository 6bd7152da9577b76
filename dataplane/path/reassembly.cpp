#include "dataplane/path/reassembly.hpp"

#include <algorithm>
#include <random>
#include <utility>

#include "dataplane/net/ecn.hpp"
#include "dataplane/net/icmpv6.hpp"
#include "dataplane/path/slaves.hpp"
#include "dataplane/path/special.hpp"

namespace vxplane::path {
namespace {

using packet::DropReason;

constexpr std::uint32_t kBuckets = 2 * Reassembly::kDatagrams;

/// A fragment as it came by the port that it names.
void refuse(rte_mbuf* mbuf, DropReason reason, step::Context& ctx, Exit& exit) noexcept {
    exit.counters().ports[mbuf->port].dropped.add(1);
    note_sender(packet::Packet(mbuf), {}, ctx, reason);
    exit.drop(mbuf, reason);
}

}  // namespace

struct Reassembly::Fragment {
    table::FragmentKey key;
    std::uint32_t header = 0;  ///< bytes in front of its payload
    std::uint32_t from = 0;
    std::uint32_t size = 0;
    std::uint8_t tos = 0;
    bool is_last = false;
    bool ipv6 = false;
};

Reassembly::Reassembly(std::uint32_t buffers)
    : datagrams_(std::make_unique<Datagram[]>(kDatagrams)),
      pieces_(std::make_unique<Piece[]>(kPieces)),
      buckets_(std::make_unique<Index[]>(kBuckets)),
      seed_(std::uint64_t{std::random_device{}()} << 32 | std::random_device{}()),
      most_buffers_(std::clamp(buffers, 1U, kPieces)) {
    static_assert(kDatagrams < kNone && kPieces < kNone);
    for (std::uint32_t i = 0; i < kDatagrams; ++i) {
        datagrams_[i].next = static_cast<Index>(i + 1 == kDatagrams ? kNone : i + 1);
    }
    for (std::uint32_t i = 0; i < kPieces; ++i) {
        pieces_[i].next = static_cast<Index>(i + 1 == kPieces ? kNone : i + 1);
    }
    std::fill_n(buckets_.get(), kBuckets, kNone);
}

Reassembly::~Reassembly() {
    while (oldest_ != kNone) {
        forget(oldest_);
    }
    for (rte_mbuf* mbuf : whole()) {
        rte_pktmbuf_free(mbuf);
    }
}

/// False for an IPv6 packet whose fragment header stands behind other extension headers: only that
/// of the fixed header has to be written again then.
bool Reassembly::read(const packet::Packet& p, Fragment& out) noexcept {
    out.ipv6 = p.at<net::EthernetHeader>(0)->type == net::ether_type::kIpv6;
    if (!out.ipv6) {
        const auto& ip = *p.at<net::Ipv4Header>(kIp);
        const std::uint16_t field = ip.fragment.value();
        out.key = {ip.source, ip.destination, ip.id.wire(), 0, ip.protocol};
        out.header = kIp + ip.header_length();
        out.from = (field & net::Ipv4Header::kOffsetMask) * 8U;
        out.size = ip.total_length.value() - ip.header_length();
        out.tos = ip.tos;
        out.is_last = (field & net::Ipv4Header::kMoreFragments) == 0;
        return true;
    }
    const auto& ip = *p.at<net::Ipv6Header>(kIp);
    const std::uint32_t payload = ip.payload_length.value();
    out.header = kIp + sizeof ip + kFragmentHeader6;
    // Only UDP right behind it: other headers there could make the whole a fragment once more.
    if (ip.next_header != net::ipv6_extension::kFragment || payload < kFragmentHeader6 ||
        p.contiguous() < out.header || p.length() < kIp + sizeof ip + payload) {
        return false;
    }
    const std::byte* header = p.data() + kIp + sizeof ip;
    if (static_cast<std::uint8_t>(header[0]) != net::ip_protocol::kUdp) {
        return false;
    }
    const std::uint16_t field = net::load<net::Be16>(header + 2).value();
    out.key = {net::IpAddress(ip.source), net::IpAddress(ip.destination),
               net::load<net::Be32>(header + 4).wire(), 0, 0};
    out.from = field & 0xFFF8U;
    out.size = payload - kFragmentHeader6;
    out.tos = ip.traffic_class();
    out.is_last = (field & 1U) == 0;
    return true;
}

bool Reassembly::is_possible(const Fragment& fragment) noexcept {
    return fragment.size != 0 && (fragment.is_last || fragment.size % 8 == 0) &&
           fragment.from + fragment.size <= kLongest &&
           (fragment.from != 0 || fragment.size >= sizeof(net::UdpHeader));
}

bool Reassembly::is_tunnel(const packet::Packet& p, const Fragment& fragment,
                           const table::Tables& tables) const noexcept {
    return p.contiguous() >= fragment.header + sizeof(net::UdpHeader) &&
           tables.dstports->contains(table::dstport_key(
               p.at<net::UdpHeader>(fragment.header)->destination.value(), fragment.ipv6));
}

Reassembly::Index* Reassembly::bucket_of(const table::FragmentKey& key) noexcept {
    const std::uint64_t ends = net::mix(key.source.low() ^ key.source.high() << 1 ^ seed_,
                                        key.destination.low() ^ key.destination.high() << 1);
    return &buckets_[(net::mix(ends ^ key.id, seed_) >> 32) % kBuckets];
}

Reassembly::Index Reassembly::find(const table::FragmentKey& key) noexcept {
    Index at = *bucket_of(key);
    while (at != kNone && !(datagrams_[at].key == key)) {
        at = datagrams_[at].next;
    }
    return at;
}

Reassembly::Index Reassembly::begin(const table::FragmentKey& key, step::Context& ctx,
                                    Exit& exit) noexcept {
    if (free_datagram_ == kNone) {
        give_up(oldest_, DropReason::outer_fragment_full, ctx, exit);
    }
    const Index at = free_datagram_;
    Datagram& datagram = datagrams_[at];
    free_datagram_ = datagram.next;
    datagram = {};
    datagram.key = key;
    datagram.began = ctx.now;
    Index* bucket = bucket_of(key);
    datagram.next = *bucket;
    *bucket = at;
    datagram.older = newest_;
    (newest_ == kNone ? oldest_ : datagrams_[newest_].newer) = at;
    newest_ = at;
    return at;
}

void Reassembly::end(Index at) noexcept {
    Datagram& datagram = datagrams_[at];
    Index* link = bucket_of(datagram.key);
    while (*link != at) {
        link = &datagrams_[*link].next;
    }
    *link = datagram.next;
    (datagram.older == kNone ? oldest_ : datagrams_[datagram.older].newer) = datagram.newer;
    (datagram.newer == kNone ? newest_ : datagrams_[datagram.newer].older) = datagram.older;
    datagram.next = free_datagram_;
    free_datagram_ = at;
}

rte_mbuf* Reassembly::take_piece(Datagram& datagram) noexcept {
    const Index at = datagram.first;
    Piece& piece = pieces_[at];
    datagram.first = piece.next;
    piece.next = free_piece_;
    free_piece_ = at;
    return take_buffer(piece);
}

rte_mbuf* Reassembly::take_buffer(Piece& piece) noexcept {
    rte_mbuf* mbuf = std::exchange(piece.mbuf, nullptr);
    if (mbuf != nullptr) {
        --held_;
        buffers_ -= mbuf->nb_segs;
    }
    return mbuf;
}

/// Nothing of it is needed any more.
void Reassembly::forget(Index at) noexcept {
    while (datagrams_[at].first != kNone) {
        rte_pktmbuf_free(take_piece(datagrams_[at]));
    }
    end(at);
}

void Reassembly::give_up(Index at, DropReason reason, step::Context& ctx, Exit& exit) noexcept {
    while (datagrams_[at].first != kNone) {
        if (rte_mbuf* mbuf = take_piece(datagrams_[at]); mbuf != nullptr) {
            refuse(mbuf, reason, ctx, exit);
        }
    }
    end(at);
}

bool Reassembly::make_room(Index at, std::uint32_t buffers, step::Context& ctx,
                           Exit& exit) noexcept {
    while (free_piece_ == kNone || buffers_ + buffers > most_buffers_) {
        const Index victim = oldest_ != at ? oldest_ : datagrams_[at].newer;
        if (victim == kNone) {
            return false;  // it alone has them all
        }
        give_up(victim, DropReason::outer_fragment_full, ctx, exit);
    }
    return true;
}

/// Overlaps are an attack or a fault (RFC 5722): nothing of such a datagram is used.
Reassembly::Fit Reassembly::put(Index at, rte_mbuf* mbuf, const Fragment& fragment,
                                step::Context& ctx, Exit& exit) noexcept {
    Datagram& datagram = datagrams_[at];
    const std::uint32_t end = fragment.from + fragment.size;
    if (datagram.total != 0 &&
        (end > datagram.total || (fragment.is_last && end < datagram.total))) {
        return Fit::overlaps;
    }
    Index* link = &datagram.first;
    for (; *link != kNone; link = &pieces_[*link].next) {
        const Piece& piece = pieces_[*link];
        const std::uint32_t piece_end = std::uint32_t{piece.from} + piece.size;
        if (fragment.from < piece_end && end > piece.from) {
            return fragment.from >= piece.from && end <= piece_end ? Fit::twice : Fit::overlaps;
        }
        if (piece.from > fragment.from) {
            break;
        }
    }
    const bool more_behind = *link != kNone;
    if (fragment.is_last && more_behind) {
        return Fit::overlaps;
    }
    const std::uint32_t buffers = mbuf != nullptr ? mbuf->nb_segs : 0U;
    if (datagram.pieces == kMostPieces || !make_room(at, buffers, ctx, exit)) {
        return Fit::full;
    }
    const Index fresh = free_piece_;
    free_piece_ = pieces_[fresh].next;
    pieces_[fresh] = {mbuf, static_cast<std::uint16_t>(fragment.from),
                      static_cast<std::uint16_t>(fragment.size),
                      static_cast<std::uint16_t>(fragment.header), *link};
    *link = fresh;
    held_ += mbuf != nullptr ? 1U : 0U;
    buffers_ += buffers;
    ++datagram.pieces;
    datagram.have += fragment.size;
    datagram.ecn = static_cast<std::uint8_t>(datagram.ecn | 1U << (fragment.tos & net::kEcnMask));
    if (fragment.is_last) {
        datagram.total = end;
    }
    return Fit::fits;
}

void Reassembly::release_to_host(Index at, step::Context& ctx, Exit& exit) noexcept {
    Datagram& datagram = datagrams_[at];
    datagram.foreign = true;
    for (Index i = datagram.first; i != kNone; i = pieces_[i].next) {
        rte_mbuf* mbuf = take_buffer(pieces_[i]);
        packet::PacketMeta own;
        own.in_port = mbuf->port;
        to_host(packet::Packet(mbuf), own, ctx, exit);
    }
}

void Reassembly::pass_to_host(Index at, packet::Packet p, packet::PacketMeta& meta,
                              const Fragment& fragment, step::Context& ctx, Exit& exit) noexcept {
    // Remembered, so that its place is free once all of it has passed. What does not go with the
    // rest is the host's to judge.
    const bool is_new = put(at, nullptr, fragment, ctx, exit) == Fit::fits;
    if (is_new && datagrams_[at].have == datagrams_[at].total) {
        forget(at);
    }
    to_host(p, meta, ctx, exit);
}

void Reassembly::take(packet::Packet p, packet::PacketMeta& meta, step::Context& ctx,
                      Exit& exit) noexcept {
    const auto drop = [&](DropReason reason) { refuse(p.mbuf(), reason, ctx, exit); };
    p.mbuf()->port = meta.in_port;
    Fragment fragment;
    if (!read(p, fragment)) {
        // The twin, if there is one, puts together what this cannot.
        if (ctx.tables->ports[meta.in_port].partner == table::kNoPort) {
            drop(DropReason::outer_fragment);
        } else {
            to_host(p, meta, ctx, exit);
        }
        return;
    }
    // What was put together is no fragment again.
    if (ctx.reassembled || !is_possible(fragment)) {
        drop(DropReason::outer_fragment_bad);
        return;
    }
    Index at = find(fragment.key);
    if (at == kNone) {
        at = begin(fragment.key, ctx, exit);
    }
    Datagram& datagram = datagrams_[at];
    if (!datagram.foreign && fragment.from == 0 && !is_tunnel(p, fragment, *ctx.tables)) {
        release_to_host(at, ctx, exit);
    }
    if (datagram.foreign) {
        pass_to_host(at, p, meta, fragment, ctx, exit);
        return;
    }
    p.cut_to(fragment.header + fragment.size);
    const Fit fit = put(at, p.mbuf(), fragment, ctx, exit);
    if (fit != Fit::fits) {
        const DropReason reason =
            fit == Fit::full ? DropReason::outer_fragment_full : DropReason::outer_fragment_bad;
        if (fit != Fit::twice) {
            give_up(at, reason, ctx, exit);
        }
        drop(reason);
        return;
    }
    if (datagram.have == datagram.total) {
        join(at, meta.in_port, ctx, exit);
    }
}

}  // namespace vxplane::path
