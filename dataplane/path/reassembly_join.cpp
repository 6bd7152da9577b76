// Makes one packet of fragments that are all there.
#include <algorithm>
#include <cstring>

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/ecn.hpp"
#include "dataplane/path/reassembly.hpp"

namespace vxplane::path {
namespace {

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

void Reassembly::join(Index at, std::uint16_t port, step::Context& ctx, Exit& exit) noexcept {
    Datagram& datagram = datagrams_[at];
    std::uint8_t ecn = 0;
    if (whole_count_ == whole_.size()) {
        give_up(at, packet::DropReason::outer_fragment_full, ctx, exit);
        return;
    }
    if (!joined_ecn(datagram.ecn, ecn)) {
        give_up(at, packet::DropReason::outer_fragment_bad, ctx, exit);
        return;
    }
    const Piece& head = pieces_[datagram.first];
    const bool ipv6 =
        packet::Packet(head.mbuf).at<net::EthernetHeader>(0)->type == net::ether_type::kIpv6;
    const std::uint32_t header = head.header - (ipv6 ? kFragmentHeader6 : 0U);
    if (!ipv6 && datagram.total + header - kIp > kLongest) {
        give_up(at, packet::DropReason::outer_fragment_bad, ctx, exit);
        return;
    }
    Writer writer(*ctx.pools, port);
    bool done = writer.copy(head.mbuf, 0, header);
    for (Index i = datagram.first; i != kNone && done; i = pieces_[i].next) {
        done = writer.copy(pieces_[i].mbuf, pieces_[i].header, pieces_[i].size);
    }
    if (!done) {
        rte_pktmbuf_free(writer.frame());
        give_up(at, packet::DropReason::outer_fragment_full, ctx, exit);
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
    forget(at);
    whole_[whole_count_++] = whole.mbuf();
}

}  // namespace vxplane::path
