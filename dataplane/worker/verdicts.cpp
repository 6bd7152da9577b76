#include "dataplane/worker/verdicts.hpp"

#include <optional>

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/headers.hpp"
#include "dataplane/packet/chain_sum.hpp"
#include "dataplane/packet/large.hpp"

namespace vxplane::worker {
namespace {

/// `length` bytes at `at`, all of which are in the frame. None: nothing that has a checksum.
std::optional<bool> message_is_right(const rte_mbuf* mbuf, std::uint8_t protocol, net::Sum pseudo,
                                     std::uint32_t at, std::uint32_t length) noexcept {
    if (protocol == net::ip_protocol::kUdp) {
        if (length < sizeof(net::UdpHeader) || mbuf->data_len < at + sizeof(net::UdpHeader)) {
            return std::nullopt;
        }
        const auto* udp = rte_pktmbuf_mtod_offset(mbuf, const net::UdpHeader*, at);
        if (udp->checksum.wire() == 0 || udp->length.value() != length) {
            return std::nullopt;
        }
    } else if (protocol != net::ip_protocol::kTcp || length < sizeof(net::TcpHeader)) {
        return std::nullopt;
    }
    return net::fold(packet::add_chain(pseudo, mbuf, at, length)) == 0xFFFF;
}

std::uint32_t& right_of(VerdictTally& tally, packet::RxSum sum) noexcept {
    return tally.right[static_cast<std::size_t>(sum)];
}

void compare(const rte_mbuf* mbuf, VerdictTally& tally) noexcept {
    const bool header_good = packet::header_is_called_good(mbuf);
    const bool message_good = packet::message_is_called_good(mbuf);
    if ((!header_good && !message_good) || (mbuf->ol_flags & RTE_MBUF_F_RX_LRO) != 0 ||
        packet::is_large(mbuf) || mbuf->data_len < sizeof(net::EthernetHeader)) {
        return;
    }
    const auto* frame = rte_pktmbuf_mtod(mbuf, const std::byte*);
    const auto facts = net::shape_of(frame, mbuf->data_len);
    const std::uint32_t l3 = facts.l3_offset;
    std::optional<bool> right;
    packet::RxSum sum = packet::RxSum::count;
    if (facts.is_ip && facts.type == net::ether_type::kIpv4) {
        const auto& ip = net::view<net::Ipv4Header>(frame + l3);
        const std::uint32_t header = ip.header_length();
        const std::uint32_t total = ip.total_length.value();
        if (header < sizeof ip || mbuf->data_len < l3 + header || total < header ||
            mbuf->pkt_len < l3 + total) {
            return;
        }
        if (header_good) {
            if (!net::ipv4_checksum_is_right(ip)) {
                ++tally.wrong;
                return;
            }
            ++right_of(tally, packet::RxSum::ipv4);
        }
        sum = packet::sum_of(ip.protocol, false);
        if (message_good && !ip.is_fragment()) {
            const auto length = static_cast<std::uint16_t>(total - header);
            right =
                message_is_right(mbuf, ip.protocol,
                                 net::pseudo_header(ip.source, ip.destination, ip.protocol, length),
                                 l3 + header, length);
        }
    } else if (facts.is_ip && facts.type == net::ether_type::kIpv6 && message_good &&
               mbuf->data_len >= l3 + sizeof(net::Ipv6Header)) {
        const auto& ip = net::view<net::Ipv6Header>(frame + l3);
        const std::uint16_t length = ip.payload_length.value();
        sum = packet::sum_of(ip.next_header, true);
        if (mbuf->pkt_len >= l3 + sizeof ip + length) {
            right = message_is_right(mbuf, ip.next_header,
                                     net::pseudo_header(ip, ip.next_header, length),
                                     l3 + static_cast<std::uint32_t>(sizeof ip), length);
        }
    }
    if (right) {
        ++(*right ? right_of(tally, sum) : tally.wrong);
    }
}

}  // namespace

VerdictTally compare_verdicts(std::span<rte_mbuf* const> frames) noexcept {
    VerdictTally tally;
    for (const rte_mbuf* mbuf : frames) {
        compare(mbuf, tally);
    }
    return tally;
}

}  // namespace vxplane::worker
