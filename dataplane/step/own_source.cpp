#include "dataplane/step/own_source.hpp"

#include "dataplane/net/icmpv6.hpp"
#include "dataplane/step/l3_packet.hpp"
#include "dataplane/step/slave_address.hpp"

namespace vxplane::step {
namespace {

using packet::DropReason;

constexpr std::uint32_t kNetwork = sizeof(net::EthernetHeader);

bool is_own(const Speaker& speaker, const net::IpAddress& address) noexcept {
    return speaker.addresses.find(speaker.scope, address) == speaker.slave;
}

/// RFC 2131: a client without an address, from port 68 to port 67.
bool is_dhcp_client(const packet::Packet& p, const net::Ipv4Header& ip) noexcept {
    constexpr std::uint16_t kClient = 68;
    constexpr std::uint16_t kServer = 67;
    const std::uint32_t at = kNetwork + ip.header_length();
    if (ip.protocol != net::ip_protocol::kUdp ||
        (ip.fragment.value() & net::Ipv4Header::kFragmentMask) != 0 ||
        p.contiguous() < at + sizeof(net::UdpHeader)) {
        return false;
    }
    const auto* udp = p.at<net::UdpHeader>(at);
    return udp->source.value() == kClient && udp->destination.value() == kServer;
}

DropReason judge4(const packet::Packet& p, const Speaker& speaker) noexcept {
    if (p.contiguous() < kNetwork + sizeof(net::Ipv4Header)) {
        return DropReason::ip4_truncated;
    }
    const auto* ip = p.at<net::Ipv4Header>(kNetwork);
    if (ip->version() != 4) {
        return DropReason::ip4_bad_version;
    }
    const std::uint32_t header = ip->header_length();
    if (header < sizeof *ip || p.contiguous() < kNetwork + header) {
        return DropReason::ip4_bad_header_length;
    }
    const std::uint32_t total = ip->total_length.value();
    if (total < header || p.length() < kNetwork + total) {
        return DropReason::ip4_bad_total_length;
    }
    const bool own = ip->source.is_zero() ? is_dhcp_client(p, *ip) : is_own(speaker, ip->source);
    return own ? DropReason::none : DropReason::slave_spoofed;
}

/// Types that a host sends from :: while it has no address (RFC 4861, RFC 4862, RFC 3810).
bool is_said_without_address(std::uint8_t type) noexcept {
    constexpr std::uint8_t kReport = 131;
    constexpr std::uint8_t kDone = 132;
    constexpr std::uint8_t kReport2 = 143;
    return type == net::Icmpv6Header::kSolicitation ||
           type == net::Icmpv6Header::kRouterSolicitation || type == kReport || type == kDone ||
           type == kReport2;
}

DropReason judge6(const packet::Packet& p, const Speaker& speaker) noexcept {
    if (p.contiguous() < kNetwork + sizeof(net::Ipv6Header)) {
        return DropReason::ip6_malformed;
    }
    const auto* ip = p.at<net::Ipv6Header>(kNetwork);
    const std::uint32_t length = sizeof *ip + ip->payload_length.value();
    if (ip->version() != 6 || p.length() < kNetwork + length) {
        return DropReason::ip6_malformed;
    }
    const net::IpAddress source(ip->source);
    if (source.is_v4()) {
        return DropReason::ip6_mapped_address;
    }
    const Extensions found =
        walk_extensions(p.data() + kNetwork, std::min(p.contiguous() - kNetwork, length));
    if (!found.whole) {
        return DropReason::ip6_malformed;
    }
    std::uint8_t type = 0;
    const std::uint32_t at = kNetwork + found.l4_offset;
    if (found.protocol == net::ip_protocol::kIcmpv6 && !found.later_fragment) {
        if (length <= found.l4_offset || p.contiguous() <= at) {
            return DropReason::ip6_malformed;
        }
        type = static_cast<std::uint8_t>(p.data()[at]);
    }
    if (source.is_unset() ? !is_said_without_address(type) || found.fragment
                          : !is_own(speaker, source)) {
        return DropReason::slave_spoofed;
    }
    if (type == net::Icmpv6Header::kAdvertisement) {
        net::NdHeader room;
        const auto* nd =
            static_cast<const net::NdHeader*>(rte_pktmbuf_read(p.mbuf(), at, sizeof room, &room));
        // In fragments nobody has to take it (RFC 6980).
        return nd != nullptr && !found.fragment && is_own(speaker, nd->target)
                   ? DropReason::none
                   : DropReason::slave_spoofed;
    }
    return DropReason::none;
}

DropReason judge_arp(const packet::Packet& p, const Speaker& speaker) noexcept {
    if (p.contiguous() < kNetwork + sizeof(net::ArpHeader)) {
        return DropReason::slave_spoofed;
    }
    const auto* arp = p.at<net::ArpHeader>(kNetwork);
    const bool own = arp->is_ethernet_ipv4() &&
                     (arp->sender.is_zero() ? arp->operation == net::ArpHeader::kRequest
                                            : is_own(speaker, arp->sender));
    return own ? DropReason::none : DropReason::slave_spoofed;
}

}  // namespace

DropReason judge_source(const packet::Packet& p, const Speaker& speaker) noexcept {
    const auto* ethernet = p.at<net::EthernetHeader>(0);
    const net::Be16 type = ethernet->type;
    if (type == net::ether_type::kIpv4) {
        return judge4(p, speaker);
    }
    if (type == net::ether_type::kIpv6) {
        return judge6(p, speaker);
    }
    if (type == net::ether_type::kArp) {
        return judge_arp(p, speaker);
    }
    return ethernet->is_vlan() ? DropReason::slave_vlan : DropReason::none;
}

}  // namespace vxplane::step
