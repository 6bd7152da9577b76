#include "dataplane/step/merge_tcp.hpp"

#include <cstring>

#include "dataplane/packet/chain_sum.hpp"
#include "dataplane/packet/large.hpp"
#include "dataplane/packet/rx_sums.hpp"
#include "dataplane/step/adopt_large.hpp"

namespace vxplane::step {

namespace {

using net::TcpHeader;

constexpr std::uint8_t kNeverMerged =
    TcpHeader::kFin | TcpHeader::kSyn | TcpHeader::kRst | TcpHeader::kUrg;

const std::byte* data_of(const rte_mbuf* mbuf) noexcept {
    return rte_pktmbuf_mtod(mbuf, const std::byte*);
}

const TcpHeader& tcp_of(const std::byte* frame, const TcpFrame& at) noexcept {
    return net::view<TcpHeader>(frame + at.l4);
}

bool same_bytes(const std::byte* a, const std::byte* b, std::size_t size) noexcept {
    return std::memcmp(a, b, size) == 0;
}

/// Addresses of the IP header.
std::uint64_t mix_ends(const std::byte* l3, bool v6) noexcept {
    if (!v6) {
        return net::load<std::uint64_t>(l3 + 12);
    }
    return net::mix(net::load<std::uint64_t>(l3 + 8), net::load<std::uint64_t>(l3 + 16)) ^
           net::mix(net::load<std::uint64_t>(l3 + 24), net::load<std::uint64_t>(l3 + 32));
}

/// The IP header of a segment or of its tunnel: whole, without options or padding behind it, and
/// with a right checksum.
bool fits(const std::byte* l3, bool v6, std::uint32_t size) noexcept {
    if (v6) {
        const auto& ip = net::view<net::Ipv6Header>(l3);
        return ip.payload_length.value() + sizeof ip == size;
    }
    const auto& ip = net::view<net::Ipv4Header>(l3);
    return ip.version_ihl == 0x45 && ip.total_length.value() == size &&
           net::fold(net::add_bytes(0, &ip, sizeof ip)) == 0xFFFF;
}

/// All of two IP headers but what differs between packets of a flow: length, id and checksum.
bool same_ip(const std::byte* a, const std::byte* b, bool v6) noexcept {
    if (v6) {
        return net::load<std::uint32_t>(a) == net::load<std::uint32_t>(b) &&
               net::load<std::uint16_t>(a + 6) == net::load<std::uint16_t>(b + 6) &&
               same_bytes(a + 8, b + 8, 32);
    }
    return net::load<std::uint16_t>(a) == net::load<std::uint16_t>(b) &&  // version, length, TOS
           net::load<std::uint32_t>(a + 6) == net::load<std::uint32_t>(b + 6) &&  // DF, TTL
           net::load<std::uint64_t>(a + 12) == net::load<std::uint64_t>(b + 12);
}

bool same_flow(const std::byte* a, const TcpFrame& at_a, const std::byte* b,
               const TcpFrame& at_b) noexcept {
    if (at_a.v6 != at_b.v6 || at_a.in_tunnel() != at_b.in_tunnel() ||
        net::load<std::uint32_t>(a + at_a.l4) != net::load<std::uint32_t>(b + at_b.l4)) {
        return false;
    }
    const std::size_t skip = at_a.v6 ? 8 : 12;
    if (!same_bytes(a + at_a.l3 + skip, b + at_b.l3 + skip, at_a.v6 ? 32 : 8)) {
        return false;
    }
    return !at_a.in_tunnel() || net::load<std::uint32_t>(a + at_a.inner - 4) ==
                                    net::load<std::uint32_t>(b + at_b.inner - 4);
}

/// Everything but lengths, ids, checksums, sequence number, PSH and CWR.
bool same_headers(const std::byte* a, const std::byte* b, const TcpFrame& at) noexcept {
    if (at.in_tunnel()) {
        const auto& udp_a = net::view<net::UdpHeader>(a + at.udp);
        const auto& udp_b = net::view<net::UdpHeader>(b + at.udp);
        if (!same_bytes(a, b, at.outer_l3) ||
            !same_ip(a + at.outer_l3, b + at.outer_l3, at.outer_v6) ||
            net::load<std::uint32_t>(a + at.udp) != net::load<std::uint32_t>(b + at.udp) ||
            (udp_a.checksum.wire() == 0) != (udp_b.checksum.wire() == 0) ||
            !same_bytes(a + at.udp + sizeof udp_a, b + at.udp + sizeof udp_a,
                        sizeof(net::VxlanHeader))) {
            return false;
        }
    }
    const TcpHeader& tcp_a = tcp_of(a, at);
    const TcpHeader& tcp_b = tcp_of(b, at);
    constexpr auto kCompared =
        static_cast<std::uint8_t>(~(TcpHeader::kPsh | TcpHeader::kCwr) & 0xFF);
    return same_bytes(a + at.inner, b + at.inner, at.l3 - at.inner) &&
           same_ip(a + at.l3, b + at.l3, at.v6) && tcp_a.acknowledgement == tcp_b.acknowledgement &&
           tcp_a.offset_reserved == tcp_b.offset_reserved &&
           ((tcp_a.flags ^ tcp_b.flags) & kCompared) == 0 && tcp_a.window == tcp_b.window &&
           tcp_a.urgent == tcp_b.urgent &&
           same_bytes(a + at.l4 + sizeof tcp_a, b + at.l4 + sizeof tcp_b,
                      at.payload - at.l4 - sizeof tcp_a);
}

/// The folded sum of the payload, if the checksums over it are right.
bool verify(const rte_mbuf* mbuf, const TcpFrame& at, std::uint32_t length, bool trusted,
            std::uint16_t& sum) noexcept {
    const std::byte* frame = data_of(mbuf);
    const net::Sum headers =
        net::add_bytes(pseudo_sum(frame + at.l3, at.v6, net::ip_protocol::kTcp, length - at.l4),
                       frame + at.l4, at.payload - at.l4);
    if (trusted) {
        // What the payload must sum up to when the whole is right.
        sum = static_cast<std::uint16_t>(~net::fold(headers));
        return true;
    }
    sum = net::fold(packet::add_chain(0, mbuf, at.payload, length - at.payload));
    if (net::fold(headers + sum) != 0xFFFF) {
        return false;
    }
    if (!at.in_tunnel() || net::view<net::UdpHeader>(frame + at.udp).checksum.wire() == 0) {
        return true;
    }
    return net::fold(net::add_bytes(sum + pseudo_sum(frame + at.outer_l3, at.outer_v6,
                                                     net::ip_protocol::kUdp, length - at.udp),
                                    frame + at.udp, at.payload - at.udp)) == 0xFFFF;
}

}  // namespace

void TcpMerger::finish(Flow& flow) noexcept {
    rte_mbuf* head = flow.head;
    std::byte* frame = rte_pktmbuf_mtod(head, std::byte*);
    reinterpret_cast<TcpHeader*>(frame + flow.at.l4)->flags = flow.flags;
    finish_headers(frame, flow.at, head->pkt_len, flow.sum, ip_id(frame + flow.at.l3, flow.at.v6),
                   ip_id(frame + flow.at.outer_l3, flow.at.outer_v6));
    mark_large(head, flow.at, flow.segment);
}

void TcpMerger::close(Flow& flow, MergeEnd why, MergeTally& tally) noexcept {
    ++tally.ends[static_cast<std::size_t>(why)];
    if (flow.segments > 1) {
        ++tally.large;
        finish(flow);
    }
    flow.head = nullptr;
    if (last_ == &flow) {
        last_ = nullptr;
    }
}

void TcpMerger::open(const Candidate& candidate, MergeTally& tally) noexcept {
    Bucket& bucket = buckets_[candidate.hash % kBuckets];
    Flow* place = nullptr;
    for (std::uint8_t i = 0; i < bucket.used; ++i) {
        if (bucket.flows[i].head == nullptr) {
            place = &bucket.flows[i];
        }
    }
    if (place == nullptr && bucket.used < kFlowsPerBucket) {
        place = &bucket.flows[bucket.used++];
    }
    if (place == nullptr) {
        place = &bucket.flows[bucket.oldest];
        bucket.oldest = static_cast<std::uint8_t>((bucket.oldest + 1) % kFlowsPerBucket);
        close(*place, MergeEnd::evicted, tally);
    }
    const TcpHeader& tcp = tcp_of(data_of(candidate.mbuf), candidate.at);
    place->head = candidate.mbuf;
    place->tail = rte_pktmbuf_lastseg(candidate.mbuf);
    place->at = candidate.at;
    place->hash = candidate.hash;
    place->next_sequence = tcp.sequence.value() + candidate.payload;
    place->payload = candidate.payload;
    place->segment = static_cast<std::uint16_t>(candidate.payload);
    place->segments = 1;
    place->flags = tcp.flags;
    // Its own checksum is looked at only when a second segment comes.
    place->sum = candidate.trusted ? 1 : 0;
    last_ = place;
}

void TcpMerger::append(Flow& flow, const Candidate& candidate, std::uint16_t sum,
                       MergeTally& tally) noexcept {
    rte_mbuf* mbuf = candidate.mbuf;
    const std::uint16_t buffers = mbuf->nb_segs;
    flow.sum += placed_sum(sum, flow.payload);
    flow.flags |= tcp_of(data_of(mbuf), candidate.at).flags;
    rte_pktmbuf_adj(mbuf, candidate.at.payload);
    for (rte_mbuf* rest = mbuf; rest != nullptr; rest = rest->next) {
        rest->tx_offload = 0;
    }
    if (buffers == 1) [[likely]] {
        mbuf->tx_offload = packet::kSumIsKnown | sum;
    }
    flow.tail->next = mbuf;
    flow.tail = buffers == 1 ? mbuf : rte_pktmbuf_lastseg(mbuf);
    flow.head->nb_segs = static_cast<std::uint16_t>(flow.head->nb_segs + buffers);
    flow.head->pkt_len += candidate.payload;
    flow.payload += candidate.payload;
    flow.next_sequence += candidate.payload;
    ++flow.segments;
    mbuf->nb_segs = 1;
    ++tally.merged;
    tally.merged_bytes += candidate.at.payload;
}

bool TcpMerger::take(const Candidate& candidate, MergeTally& tally) noexcept {
    const std::byte* frame = data_of(candidate.mbuf);
    const TcpHeader& tcp = tcp_of(frame, candidate.at);
    Flow* flow = nullptr;
    const auto is_it = [&](Flow& one) {
        return one.head != nullptr && one.hash == candidate.hash &&
               same_flow(data_of(one.head), one.at, frame, candidate.at);
    };
    if (last_ != nullptr && is_it(*last_)) [[likely]] {
        flow = last_;
    } else {
        Bucket& bucket = buckets_[candidate.hash % kBuckets];
        for (std::uint8_t i = 0; i < bucket.used && flow == nullptr; ++i) {
            if (is_it(bucket.flows[i])) {
                flow = &bucket.flows[i];
            }
        }
    }
    bool closes = (tcp.flags & kNeverMerged) != 0 || candidate.payload == 0;  // or not whole
    if (flow != nullptr) {
        MergeEnd why = MergeEnd::count;
        std::uint16_t sum = 0;
        const std::uint32_t longest =
            candidate.at.in_tunnel() ? candidate.at.outer_l3 : std::uint32_t{candidate.at.l3};
        if (closes || (tcp.flags & TcpHeader::kCwr) != 0) {
            why = MergeEnd::flags;
        } else if (!(flow->at == candidate.at) ||
                   !same_headers(data_of(flow->head), frame, candidate.at)) {
            why = MergeEnd::headers;
        } else if (tcp.sequence.value() != flow->next_sequence) {
            why = MergeEnd::sequence;
        } else if (candidate.payload > flow->segment) {
            why = MergeEnd::longer;
        } else if (flow->head->pkt_len + candidate.payload - longest > kMaxPacket) {
            why = MergeEnd::full;
        } else {
            if (flow->segments == 1) {
                std::uint16_t first = 0;
                if (!verify(flow->head, flow->at, flow->head->pkt_len, flow->sum != 0, first)) {
                    why = MergeEnd::checksum;
                }
                flow->sum = first;
            }
            if (why == MergeEnd::count &&
                !verify(candidate.mbuf, candidate.at, candidate.mbuf->pkt_len, candidate.trusted,
                        sum)) {
                why = MergeEnd::checksum;
                closes = true;
            }
        }
        if (why == MergeEnd::count) {
            append(*flow, candidate, sum, tally);
            if ((tcp.flags & TcpHeader::kPsh) != 0 || candidate.payload < flow->segment) {
                close(*flow, MergeEnd::complete, tally);
            } else {
                last_ = flow;
            }
            return true;
        }
        close(*flow, why, tally);
    }
    if (!closes && (tcp.flags & TcpHeader::kPsh) == 0) {
        open(candidate, tally);
    }
    return false;
}

std::uint16_t TcpMerger::run(rte_mbuf** frames, std::uint16_t count, const table::Tables& tables,
                             std::uint16_t port, port::WorkerPools& pools,
                             MergeTally& tally) noexcept {
    const table::PortEntry& entry = tables.ports[port];
    const bool underlay = entry.role == table::PortRole::underlay;
    for (Bucket& bucket : buckets_) {
        bucket.used = 0;
        bucket.oldest = 0;
    }
    last_ = nullptr;
    const auto is_vxlan = [&](std::uint16_t dstport) {
        return underlay && (tables.dstports->contains(table::dstport_key(dstport)) ||
                            tables.dstports->contains(table::dstport_key(dstport, true)));
    };
    std::uint16_t kept = 0;
    for (std::uint16_t i = 0; i < count; ++i) {
        rte_mbuf* mbuf = frames[i];
        Candidate candidate;
        TcpFrame& at = candidate.at;
        const std::byte* frame = data_of(mbuf);
        if (!find_tcp(frame, mbuf->data_len, at, is_vxlan)) {
            mbuf->ol_flags &= ~RTE_MBUF_F_RX_LRO;
            frames[kept++] = mbuf;
            continue;
        }
        const bool written_alone = rte_mbuf_refcnt_read(mbuf) == 1;
        if (is_left_by_guest(mbuf) && !at.in_tunnel() && written_alone) [[unlikely]] {
            static_cast<void>(adopt_from_guest(mbuf, at, entry.max_frame + (at.l3 - 14U), pools));
            tally.large += packet::is_large(mbuf) ? 1 : 0;
            frames[kept++] = mbuf;
            continue;
        }
        const std::uint32_t length = mbuf->pkt_len;
        const std::uint32_t tags = at.in_tunnel() ? at.outer_l3 - 14U : at.l3 - 14U;
        bool whole = length <= entry.max_frame + tags && written_alone &&
                     fits(frame + at.l3, at.v6, length - at.l3);
        if (whole && at.in_tunnel()) {
            whole = fits(frame + at.outer_l3, at.outer_v6, length - at.outer_l3) &&
                    net::view<net::UdpHeader>(frame + at.udp).length.value() == length - at.udp;
        }
        if (written_alone) {
            candidate.mbuf = mbuf;
            candidate.whole = whole;
            candidate.payload = whole ? length - at.payload : 0;
            const std::uint64_t ports = net::load<std::uint32_t>(frame + at.l4);
            const std::uint64_t mixed = net::mix(mix_ends(frame + at.l3, at.v6), ports);
            candidate.hash = static_cast<std::uint32_t>(mixed ^ mixed >> 32);
            candidate.trusted =
                !at.in_tunnel() &&
                (entry.trusted_sums &
                 packet::set_of(at.v6 ? packet::RxSum::tcp6 : packet::RxSum::tcp4)) != 0 &&
                packet::message_is_called_good(mbuf);
            if (take(candidate, tally)) {
                continue;
            }
        }
        frames[kept++] = mbuf;
    }
    for (Bucket& bucket : buckets_) {
        for (std::uint8_t i = 0; i < bucket.used; ++i) {
            if (bucket.flows[i].head != nullptr) {
                close(bucket.flows[i], MergeEnd::burst, tally);
            }
        }
    }
    return kept;
}

}  // namespace vxplane::step
