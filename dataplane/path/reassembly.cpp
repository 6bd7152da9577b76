#include "dataplane/path/reassembly.hpp"

#include <algorithm>
#include <cstring>
#include <random>

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/ecn.hpp"
#include "dataplane/net/icmpv6.hpp"
#include "dataplane/path/slaves.hpp"
#include "dataplane/path/special.hpp"

namespace vxplane::path {
namespace {

using packet::DropReason;

constexpr std::uint32_t kIp = sizeof(net::EthernetHeader);
constexpr std::uint32_t kBuckets = 2 * Reassembly::kDatagrams;
/// What the length field of either IP header can say: in IPv4 its header counts.
constexpr std::uint32_t kLongest = 0xFFFF;
constexpr std::uint32_t kFragmentHeader6 = 8;  // RFC 8200 section 4.5

/// The mark of the whole from those of its fragments (RFC 3168 section 5.3): congestion that one
/// of them met is kept. None: senders that speak ECN do not mix such fields.
/// `seen`: a bit for each field.
bool joined_ecn(std::uint8_t seen, std::uint8_t& ecn) noexcept {
    constexpr std::uint8_t kNotEct = 1U << static_cast<unsigned>(net::Ecn::not_ect);
    constexpr std::uint8_t kCe = 1U << static_cast<unsigned>(net::Ecn::ce);
    if ((seen & kNotEct) != 0) {
        ecn = 0;
        return seen == kNotEct;
    }
    ecn = (seen & kCe) != 0 ? static_cast<std::uint8_t>(net::Ecn::ce) : 0;
    return true;
}

/// A fragment as it came by the port that it names.
void refuse(rte_mbuf* mbuf, DropReason reason, step::Context& ctx, Exit& exit) noexcept {
    exit.counters().ports[mbuf->port].dropped.add(1);
    note_sender(packet::Packet(mbuf), {}, ctx, reason);
    exit.drop(mbuf, reason);
}

/// Puts the bytes behind one another, into as many buffers as they need.
class Writer {
  public:
    Writer(port::WorkerPools& pools, std::uint16_t port) noexcept : pools_(pools), port_(port) {}

    /// `size` bytes of `from`, from `at` on. False when there is no buffer left.
    bool copy(const rte_mbuf* from, std::uint32_t at, std::uint32_t size) noexcept {
        while (at >= from->data_len && from->next != nullptr) {
            at -= from->data_len;
            from = from->next;
        }
        for (; size != 0; from = from->next, at = 0) {
            const std::uint32_t some = std::min<std::uint32_t>(size, from->data_len - at);
            if (!put(rte_pktmbuf_mtod_offset(from, const std::byte*, at), some)) {
                return false;
            }
            size -= some;
        }
        return true;
    }
    [[nodiscard]] rte_mbuf* frame() const noexcept { return first_; }

  private:
    bool put(const std::byte* bytes, std::uint32_t size) noexcept {
        while (size != 0) {
            std::uint32_t room = last_ == nullptr ? 0 : rte_pktmbuf_tailroom(last_);
            if (room == 0) {
                rte_mbuf* more = pools_.packet();
                if (more == nullptr) {
                    return false;
                }
                if (first_ == nullptr) {
                    more->port = port_;
                    first_ = more;
                } else {
                    last_->next = more;
                    ++first_->nb_segs;
                }
                last_ = more;
                room = rte_pktmbuf_tailroom(more);
            }
            const std::uint32_t some = std::min(size, room);
            std::memcpy(rte_pktmbuf_mtod_offset(last_, std::byte*, last_->data_len), bytes, some);
            last_->data_len = static_cast<std::uint16_t>(last_->data_len + some);
            first_->pkt_len += some;
            bytes += some;
            size -= some;
        }
        return true;
    }

    port::WorkerPools& pools_;
    std::uint16_t port_;
    rte_mbuf* first_ = nullptr;
    rte_mbuf* last_ = nullptr;
};

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

Reassembly::Reassembly(std::uint32_t pieces)
    : datagrams_(std::make_unique<Datagram[]>(kDatagrams)),
      pieces_(std::make_unique<Piece[]>(std::clamp(pieces, 1U, kPieces))),
      buckets_(std::make_unique<Index[]>(kBuckets)),
      seed_(std::uint64_t{std::random_device{}()} << 32 | std::random_device{}()) {
    static_assert(kDatagrams < kNone && kPieces < kNone);
    for (std::uint32_t i = 0; i < kDatagrams; ++i) {
        datagrams_[i].next = static_cast<Index>(i + 1 == kDatagrams ? kNone : i + 1);
    }
    const std::uint32_t room = std::clamp(pieces, 1U, kPieces);
    for (std::uint32_t i = 0; i < room; ++i) {
        pieces_[i].next = static_cast<Index>(i + 1 == room ? kNone : i + 1);
    }
    std::fill_n(buckets_.get(), kBuckets, kNone);
}

Reassembly::~Reassembly() {
    while (oldest_ != kNone) {
        while (rte_mbuf* mbuf = take_piece(datagrams_[oldest_])) {
            rte_pktmbuf_free(mbuf);
        }
        end(oldest_);
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
    if (at == kNone) {
        return nullptr;
    }
    Piece& piece = pieces_[at];
    datagram.first = piece.next;
    piece.next = free_piece_;
    free_piece_ = at;
    --held_;
    return piece.mbuf;
}

void Reassembly::give_up(Index at, DropReason reason, step::Context& ctx, Exit& exit) noexcept {
    while (rte_mbuf* mbuf = take_piece(datagrams_[at])) {
        refuse(mbuf, reason, ctx, exit);
    }
    end(at);
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
    if ((fragment.is_last && more_behind) || datagram.pieces == kMostPieces) {
        return Fit::overlaps;
    }
    while (free_piece_ == kNone) {
        const Index victim = oldest_ != at ? oldest_ : datagram.newer;
        if (victim == kNone) {
            return Fit::overlaps;  // it alone has them all
        }
        give_up(victim, DropReason::outer_fragment_full, ctx, exit);
    }
    const Index fresh = free_piece_;
    free_piece_ = pieces_[fresh].next;
    pieces_[fresh] = {mbuf, static_cast<std::uint16_t>(fragment.from),
                      static_cast<std::uint16_t>(fragment.size),
                      static_cast<std::uint16_t>(fragment.header), *link};
    *link = fresh;
    ++held_;
    ++datagram.pieces;
    datagram.have += fragment.size;
    datagram.ecn = static_cast<std::uint8_t>(datagram.ecn | 1U << (fragment.tos & net::kEcnMask));
    if (fragment.is_last) {
        datagram.total = end;
    }
    return Fit::fits;
}

void Reassembly::release_to_host(Index at, step::Context& ctx, Exit& exit) noexcept {
    while (rte_mbuf* mbuf = take_piece(datagrams_[at])) {
        packet::PacketMeta own;
        own.in_port = mbuf->port;
        to_host(packet::Packet(mbuf), own, ctx, exit);
    }
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
        datagram.foreign = true;
    }
    if (datagram.foreign) {
        // Counted, so that its place is free once all of it has passed.
        datagram.have += fragment.size;
        datagram.total = fragment.is_last ? fragment.from + fragment.size : datagram.total;
        if (datagram.total != 0 && datagram.have >= datagram.total) {
            end(at);
        }
        to_host(p, meta, ctx, exit);
        return;
    }
    p.cut_to(fragment.header + fragment.size);
    const Fit fit = put(at, p.mbuf(), fragment, ctx, exit);
    if (fit != Fit::fits) {
        if (fit == Fit::overlaps) {
            give_up(at, DropReason::outer_fragment_bad, ctx, exit);
        }
        drop(DropReason::outer_fragment_bad);
        return;
    }
    if (datagram.have == datagram.total) {
        join(at, meta.in_port, ctx, exit);
    }
}

void Reassembly::join(Index at, std::uint16_t port, step::Context& ctx, Exit& exit) noexcept {
    Datagram& datagram = datagrams_[at];
    std::uint8_t ecn = 0;
    if (whole_count_ == whole_.size()) {
        give_up(at, DropReason::outer_fragment_full, ctx, exit);
        return;
    }
    if (!joined_ecn(datagram.ecn, ecn)) {
        give_up(at, DropReason::outer_fragment_bad, ctx, exit);
        return;
    }
    const Piece& head = pieces_[datagram.first];
    const bool ipv6 =
        packet::Packet(head.mbuf).at<net::EthernetHeader>(0)->type == net::ether_type::kIpv6;
    const std::uint32_t header = head.header - (ipv6 ? kFragmentHeader6 : 0U);
    if (!ipv6 && datagram.total + header - kIp > kLongest) {
        give_up(at, DropReason::outer_fragment_bad, ctx, exit);
        return;
    }
    Writer writer(*ctx.pools, port);
    bool done = writer.copy(head.mbuf, 0, header);
    for (Index i = datagram.first; i != kNone && done; i = pieces_[i].next) {
        done = writer.copy(pieces_[i].mbuf, pieces_[i].header, pieces_[i].size);
    }
    if (!done) {
        rte_pktmbuf_free(writer.frame());
        give_up(at, DropReason::outer_fragment_full, ctx, exit);
        return;
    }
    packet::Packet whole(writer.frame());
    if (ipv6) {
        auto& ip = *whole.at<net::Ipv6Header>(kIp);
        ip.next_header = static_cast<std::uint8_t>(
            packet::Packet(head.mbuf).data()[kIp + sizeof(net::Ipv6Header)]);
        ip.payload_length = net::Be16::of(static_cast<std::uint16_t>(datagram.total));
        ip.version_class_label = net::Be32::of(ip.version_class_label.value() |
                                               std::uint32_t{ecn} << net::Ipv6Header::kClassShift);
    } else {
        auto& ip = *whole.at<net::Ipv4Header>(kIp);
        ip.total_length =
            net::Be16::of(static_cast<std::uint16_t>(datagram.total + ip.header_length()));
        ip.fragment = net::Be16::of(ip.fragment.value() & net::Ipv4Header::kDontFragment);
        ip.tos = static_cast<std::uint8_t>(ip.tos | ecn);
        ip.checksum = {};
        ip.checksum = net::finish(net::add_bytes(0, &ip, ip.header_length()));
    }
    // One of them lives on in the whole.
    exit.counters().merged.add(datagram.pieces - 1U);
    exit.counters().reassembled.add(1);
    while (rte_mbuf* mbuf = take_piece(datagram)) {
        rte_pktmbuf_free(mbuf);
    }
    end(at);
    whole_[whole_count_++] = whole.mbuf();
}

}  // namespace vxplane::path
