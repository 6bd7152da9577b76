// The device of a guest finishes its checksums, so that a frame may go anywhere (net_vhost); what
// of it leaves by a tunnel whose other end does that gets the unfinished one back, which costs no
// look at the payload.
#include "dataplane/step/remote_sum.hpp"

#include <cstddef>

#include "dataplane/net/checksum.hpp"
#include "dataplane/packet/chain_sum.hpp"
#include "dataplane/packet/large.hpp"
#include "dataplane/step/tcp_frame.hpp"

namespace vxplane::step {
namespace {

using net::Be16;
using net::VxlanHeader;

constexpr auto kTcpField = static_cast<std::uint32_t>(offsetof(net::TcpHeader, checksum));
constexpr auto kUdpField = static_cast<std::uint32_t>(offsetof(net::UdpHeader, checksum));

/// A whole TCP or UDP message with a checksum that fills the frame; `at` from the frame's
/// beginning.
struct OpenSum {
    std::uint32_t at = 0;  ///< 0: none, or not where a header can tell
    std::uint32_t field = 0;
    Be16 unfinished;  ///< the sum of the pseudo header
};

OpenSum find_open_sum(const std::byte* frame, std::uint32_t readable, std::uint32_t length,
                      std::uint32_t l3) noexcept {
    if (readable <= l3) {
        return {};
    }
    const auto& v4 = net::view<net::Ipv4Header>(frame + l3);
    const bool is_v4 = v4.version() == 4;
    const Transport transport = find_transport(
        frame, readable, l3, is_v4 ? net::ether_type::kIpv4 : net::ether_type::kIpv6);
    const bool tcp = transport.protocol == net::ip_protocol::kTcp;
    const std::uint32_t header = tcp ? sizeof(net::TcpHeader) : sizeof(net::UdpHeader);
    if (transport.at == 0 || (!tcp && transport.protocol != net::ip_protocol::kUdp) ||
        transport.at > VxlanHeader::kRemoteSumFarthest || transport.at % 2 != 0 ||
        readable < transport.at + header) {
        return {};
    }
    const std::uint32_t said = is_v4
                                   ? v4.total_length.value()
                                   : net::view<net::Ipv6Header>(frame + l3).payload_length.value() +
                                         static_cast<std::uint32_t>(sizeof(net::Ipv6Header));
    if (said != length - l3) {
        return {};
    }
    const std::uint32_t message = length - transport.at;
    if (!tcp) {
        const auto& udp = net::view<net::UdpHeader>(frame + transport.at);
        if (udp.checksum.wire() == 0 || udp.length.value() != message) {
            return {};
        }
    }
    const net::Sum pseudo = pseudo_sum(frame + l3, !is_v4, transport.protocol, message);
    return {transport.at, transport.at + (tcp ? kTcpField : kUdpField),
            Be16::from_wire(net::fold(pseudo))};
}

/// Words of what the outer checksum covers, and the checksum with them.
class Change {
  public:
    explicit Change(net::UdpHeader& udp) noexcept : udp_(udp) {}
    void operator()(std::byte* word, Be16 after) noexcept {
        const auto before = net::load<Be16>(word);
        std::memcpy(word, &after, sizeof after);
        if (udp_.checksum.wire() != 0) {
            const Be16 sum = net::update_checksum(udp_.checksum, before, after);
            udp_.checksum = sum.wire() == 0 ? Be16::from_wire(0xFFFF) : sum;
        }
    }

  private:
    net::UdpHeader& udp_;
};

}  // namespace

bool fill_remote_sum(packet::Packet p, std::uint32_t udp_at) noexcept {
    const auto* vxlan = p.at<VxlanHeader>(udp_at + sizeof(net::UdpHeader));
    if ((vxlan->flags.value() & VxlanHeader::kRemoteSumFlag) == 0) {
        return true;
    }
    const std::uint32_t word = vxlan->vni_reserved.value();
    const std::uint32_t end = udp_at + p.at<net::UdpHeader>(udp_at)->length.value();
    const std::uint32_t start = udp_at +
                                static_cast<std::uint32_t>(sizeof(net::UdpHeader) + sizeof *vxlan) +
                                2 * (word & VxlanHeader::kRemoteSumStart);
    const std::uint32_t field =
        start + ((word & VxlanHeader::kRemoteSumUdp) != 0 ? kUdpField : kTcpField);
    if (field + sizeof(Be16) > end) {
        return false;
    }
    packet::put_word(p.mbuf(), field,
                     net::udp_finish(packet::add_chain(0, p.mbuf(), start, end - start)));
    return true;
}

void leave_remote_sum(rte_mbuf* mbuf, const packet::PacketMeta& meta, const Context& ctx) noexcept {
    // A shared frame stands behind a buffer with the header alone, and others read it.
    const std::uint32_t inner = meta.tunnel_bytes;
    if ((mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) != RTE_MBUF_F_RX_L4_CKSUM_GOOD ||
        !ctx.tables->ports[meta.in_port].from_guest || meta.from_tunnel || !meta.inner_is_ip ||
        packet::is_large(mbuf) || mbuf->data_len <= inner) {
        return;
    }
    auto* frame = rte_pktmbuf_mtod_offset(mbuf, std::byte*, inner);
    const OpenSum open =
        find_open_sum(frame, mbuf->data_len - inner, mbuf->pkt_len - inner, meta.l3_offset);
    if (open.at == 0) {
        return;
    }
    std::byte* header = frame - sizeof(VxlanHeader);
    Change change(*reinterpret_cast<net::UdpHeader*>(header - sizeof(net::UdpHeader)));
    constexpr std::uint32_t kLow = 6;  // the low half of the second word
    const auto vxlan = net::load<VxlanHeader>(header);
    const std::uint32_t where =
        open.at / 2 | (open.field - open.at == kUdpField ? VxlanHeader::kRemoteSumUdp : 0);
    change(header, Be16::of(static_cast<std::uint16_t>(
                       (vxlan.flags.value() | VxlanHeader::kRemoteSumFlag) >> 16)));
    change(header + kLow,
           Be16::of(static_cast<std::uint16_t>((vxlan.vni_reserved.value() & 0xFF00U) | where)));
    change(frame + open.field, open.unfinished);
}

}  // namespace vxplane::step
