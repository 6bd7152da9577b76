#include "dataplane/path/segment.hpp"

#include <algorithm>
#include <cstring>

#include "dataplane/packet/chain_sum.hpp"
#include "dataplane/packet/large.hpp"

namespace vxplane::path {

namespace {

using net::TcpHeader;

constexpr std::uint8_t kOnlyLast = TcpHeader::kFin | TcpHeader::kPsh;

/// A large packet is TCP: whatever UDP stands around it is its tunnel.
constexpr auto kAnyPort = [](std::uint16_t /*port*/) { return true; };

bool may_be_written(const rte_mbuf* mbuf) noexcept {
    return rte_mbuf_refcnt_read(mbuf) == 1 && RTE_MBUF_DIRECT(mbuf);
}

}  // namespace

Segmenter::Segmenter(rte_mbuf* large, port::WorkerPools& pools) noexcept
    : pools_(pools),
      rest_(large),
      left_(large->pkt_len),
      segment_(large->tso_segsz),
      port_(large->port) {
    if (!cut_headers(large)) {
        segment_ = 0;
    }
}

Segmenter::~Segmenter() {
    while (rest_ != nullptr) {
        rte_mbuf* next = rest_->next;
        rte_pktmbuf_free_seg(rest_);
        rest_ = next;
    }
}

bool Segmenter::cut_headers(rte_mbuf* large) noexcept {
    const auto size = std::min<std::uint32_t>(large->pkt_len, step::kMaxHeaders);
    // The headers may lie in two buffers, when the outer one got a buffer of its own.
    const void* begin = rte_pktmbuf_read(large, 0, size, headers_.data());
    if (begin != headers_.data()) {
        std::memcpy(headers_.data(), begin, size);
    }
    if (segment_ == 0 || !step::find_tcp<true>(headers_.data(), size, at_, kAnyPort) ||
        at_.payload >= left_) {
        return false;
    }
    left_ -= at_.payload;
    skip_ = at_.payload;
    while (skip_ >= rest_->data_len) {
        skip_ -= rest_->data_len;
        rte_mbuf* next = rest_->next;
        rte_pktmbuf_free_seg(rest_);
        rest_ = next;
    }
    // What was in front of the payload is room for the headers now.
    if (skip_ != 0 && may_be_written(rest_)) {
        rest_->data_off = static_cast<std::uint16_t>(rest_->data_off + skip_);
        rest_->data_len = static_cast<std::uint16_t>(rest_->data_len - skip_);
        rest_->tx_offload = 0;
        skip_ = 0;
    }
    return true;
}

rte_mbuf* Segmenter::take_buffers(std::uint32_t bytes) noexcept {
    if (skip_ != 0 || !may_be_written(rest_) || rte_pktmbuf_headroom(rest_) < at_.payload) {
        return nullptr;
    }
    std::uint32_t found = 0;
    std::uint16_t buffers = 0;
    rte_mbuf* last = nullptr;
    for (rte_mbuf* one = rest_; one != nullptr && found < bytes; one = one->next) {
        found += one->data_len;
        last = one;
        ++buffers;
    }
    if (found != bytes) {
        return nullptr;
    }
    rte_mbuf* taken = rest_;
    rest_ = last->next;
    last->next = nullptr;
    taken->nb_segs = buffers;
    return taken;
}

rte_mbuf* Segmenter::copy(std::uint32_t bytes, net::Sum& sum) noexcept {
    rte_mbuf* made = pools_.packet();
    if (made == nullptr) {
        return nullptr;
    }
    if (rte_pktmbuf_tailroom(made) < at_.payload + bytes) {
        rte_pktmbuf_free(made);
        return nullptr;
    }
    made->data_off = static_cast<std::uint16_t>(made->data_off + at_.payload);
    made->data_len = static_cast<std::uint16_t>(bytes);
    auto* to = rte_pktmbuf_mtod(made, std::byte*);
    for (std::uint32_t done = 0; done < bytes;) {
        const std::uint32_t here = std::min<std::uint32_t>(bytes - done, rest_->data_len - skip_);
        std::memcpy(to + done, rte_pktmbuf_mtod_offset(rest_, const std::byte*, skip_), here);
        done += here;
        skip_ += here;
        if (skip_ == rest_->data_len) {
            rte_mbuf* next = rest_->next;
            rte_pktmbuf_free_seg(rest_);
            rest_ = next;
            skip_ = 0;
        }
    }
    sum = net::fold(net::add_bytes(0, to, bytes));
    return made;
}

void Segmenter::write_headers(std::byte* to, std::uint32_t bytes, net::Sum sum) noexcept {
    std::memcpy(to, headers_.data(), at_.payload);
    auto* tcp = reinterpret_cast<TcpHeader*>(to + at_.l4);
    tcp->sequence = net::Be32::of(tcp->sequence.value() + sent_);
    if (left_ != bytes) {
        tcp->flags = static_cast<std::uint8_t>(tcp->flags & ~kOnlyLast);
    }
    if (number_ != 0) {
        tcp->flags = static_cast<std::uint8_t>(tcp->flags & ~TcpHeader::kCwr);
    }
    const auto behind = [this](net::Be16 id) {
        return net::Be16::of(static_cast<std::uint16_t>(id.value() + number_));
    };
    step::finish_headers(to, at_, at_.payload + bytes, sum,
                         behind(step::ip_id(to + at_.l3, at_.v6)),
                         behind(step::ip_id(to + at_.outer_l3, at_.outer_v6)));
}

rte_mbuf* Segmenter::next() noexcept {
    if (left_ == 0 || segment_ == 0) {
        return nullptr;
    }
    const std::uint32_t bytes = std::min<std::uint32_t>(left_, segment_);
    net::Sum sum = 0;
    rte_mbuf* frame = take_buffers(bytes);
    if (frame != nullptr) [[likely]] {
        const bool known = frame->nb_segs == 1 && (frame->tx_offload & packet::kSumIsKnown) != 0;
        sum =
            known ? frame->tx_offload & 0xFFFFU : net::fold(packet::add_chain(0, frame, 0, bytes));
    } else {
        frame = copy(bytes, sum);
        if (frame == nullptr) {
            return nullptr;
        }
    }
    frame->data_off = static_cast<std::uint16_t>(frame->data_off - at_.payload);
    frame->data_len = static_cast<std::uint16_t>(frame->data_len + at_.payload);
    frame->pkt_len = bytes + at_.payload;
    frame->ol_flags = 0;
    frame->tx_offload = 0;
    frame->port = port_;
    write_headers(rte_pktmbuf_mtod(frame, std::byte*), bytes, sum);
    left_ -= bytes;
    sent_ += bytes;
    ++number_;
    return frame;
}

bool prepare_for_nic(rte_mbuf* large, const port::TsoAbility& can) noexcept {
    if (large->nb_segs > can.max_buffers) {
        return false;
    }
    step::TcpFrame at;
    auto* frame = rte_pktmbuf_mtod(large, std::byte*);
    if (!can.plain || large->tso_segsz == 0 ||
        !step::find_tcp(frame, large->data_len, at, kAnyPort)) {
        return false;
    }
    if (at.in_tunnel()) {
        // An outer checksum would have to be right in each frame: that is left to software.
        if (!(at.outer_v6 ? can.tunnel6 : can.tunnel4) ||
            net::view<net::UdpHeader>(frame + at.udp).checksum.wire() != 0) {
            return false;
        }
    }
    if (rte_mbuf_refcnt_read(large) != 1 || !RTE_MBUF_DIRECT(large)) {
        return false;
    }
    constexpr std::uint64_t kKept = RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
    const std::uint16_t segment = large->tso_segsz;
    std::uint64_t flags =
        (large->ol_flags & kKept) | RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM;
    flags |= at.v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
    large->tx_offload = 0;
    large->tso_segsz = segment;
    std::uint32_t l2 = at.l3;
    if (at.in_tunnel()) {
        flags |= RTE_MBUF_F_TX_TUNNEL_VXLAN;
        flags |= at.outer_v6 ? RTE_MBUF_F_TX_OUTER_IPV6
                             : RTE_MBUF_F_TX_OUTER_IPV4 | RTE_MBUF_F_TX_OUTER_IP_CKSUM;
        large->outer_l2_len = at.outer_l3 & 0x7FU;
        large->outer_l3_len = static_cast<std::uint64_t>(at.udp - at.outer_l3) & 0x1FF;
        l2 = at.l3 - std::uint32_t{at.udp};
    }
    large->l2_len = l2 & 0x7FU;
    large->l3_len = static_cast<std::uint64_t>(at.l4 - at.l3) & 0x1FF;
    large->l4_len = static_cast<std::uint64_t>(at.payload - at.l4) & 0xFF;
    large->ol_flags = flags;
    // As rte_mbuf asks: IPv4 checksums 0, that of TCP the sum of a pseudo header of length 0.
    const auto clear = [frame](std::uint32_t l3) {
        reinterpret_cast<net::Ipv4Header*>(frame + l3)->checksum = {};
    };
    if (!at.v6) {
        clear(at.l3);
    }
    if (at.in_tunnel() && !at.outer_v6) {
        clear(at.outer_l3);
    }
    reinterpret_cast<TcpHeader*>(frame + at.l4)->checksum = net::Be16::from_wire(
        net::fold(step::pseudo_sum(frame + at.l3, at.v6, net::ip_protocol::kTcp, 0)));
    return true;
}

}  // namespace vxplane::path
