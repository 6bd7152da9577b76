// By which address a frame tells to whom it belongs, when several hosts share one MAC address: the
// kernel's ipvlan_get_L3_hdr() and ipvlan_addr_lookup() (drivers/net/ipvlan/ipvlan_core.c).
#pragma once

#include <array>
#include <cstring>

#include "dataplane/net/headers.hpp"
#include "dataplane/net/ip_address.hpp"
#include "dataplane/packet/packet.hpp"

namespace vxplane::step {

/// What of a frame can be asked for.
enum class End : std::uint8_t { source, destination };

/// What the frame is, as far as addresses go.
enum class Spoken : std::uint8_t {
    nothing,  ///< not IP and not ARP, or malformed
    arp,
    ipv4,
    ipv6,
    probe  ///< a neighbour solicitation from ::, told apart by its target
};

/// Neighbour solicitation, RFC 4861 section 4.3.
constexpr std::uint32_t kSolicitation = sizeof(net::EthernetHeader) + sizeof(net::Ipv6Header);
constexpr std::uint8_t kSolicitationType = 135;
constexpr std::uint32_t kSolicitationTarget = 8;
constexpr std::uint32_t kSolicitationSize = 24;

/// False for ::1 and for IPv4 addresses in the clothes of IPv6, which no packet on a wire has (RFC
/// 4291 sections 2.5.3 and 2.5.5.2): tables of both families would take the latter for IPv4.
inline bool may_travel(const net::IpAddress& v6) noexcept {
    if (v6.low() != 0) [[likely]] {
        return true;
    }
    constexpr net::IpAddress kLoopback({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
    return v6 != kLoopback && !v6.is_v4();
}

/// The target of a neighbour solicitation, which may lie in a second buffer; false when the packet
/// is none.
[[gnu::noinline]] inline bool read_target(const packet::Packet& p, net::IpAddress& out) noexcept {
    std::array<std::uint8_t, kSolicitationSize> room;
    const auto* message = static_cast<const std::uint8_t*>(
        rte_pktmbuf_read(p.mbuf(), kSolicitation, kSolicitationSize, room.data()));
    if (message == nullptr || message[0] != kSolicitationType) {
        return false;
    }
    net::IpAddress target;
    std::memcpy(target.bytes.data(), message + kSolicitationTarget, target.bytes.size());
    if (!may_travel(target)) {
        return false;
    }
    out = target;
    return true;
}

/// The header of an untagged frame of type IPv4; nullptr when lengths contradict each other or it
/// is not in one piece.
[[gnu::always_inline]] inline const net::Ipv4Header* read_ipv4(const packet::Packet& p) noexcept {
    constexpr std::uint32_t kIp = sizeof(net::EthernetHeader);
    if (p.contiguous() < kIp + sizeof(net::Ipv4Header)) {
        return nullptr;
    }
    const auto* ip = p.at<net::Ipv4Header>(kIp);
    const std::uint32_t total = ip->total_length.value();
    const bool is_whole = ip->version() == 4 && ip->header_length() >= sizeof *ip &&
                          total >= ip->header_length() && p.length() >= kIp + total;
    return is_whole ? ip : nullptr;
}

/// The address in `out`; untouched when there is none. Headers are read where they are contiguous,
/// and only untagged frames speak.
[[gnu::always_inline]] inline Spoken read_address(const packet::Packet& p, End end,
                                                  net::IpAddress& out) noexcept {
    constexpr std::uint32_t kIp = sizeof(net::EthernetHeader);
    const std::uint32_t size = p.contiguous();
    if (size < kIp) {
        return Spoken::nothing;
    }
    const net::Be16 type = p.at<net::EthernetHeader>(0)->type;
    if (type == net::ether_type::kIpv4) {
        const net::Ipv4Header* ip = read_ipv4(p);
        if (ip == nullptr) {
            return Spoken::nothing;
        }
        out = end == End::destination ? ip->destination : ip->source;
        return Spoken::ipv4;
    }
    if (type == net::ether_type::kIpv6) {
        if (size < kIp + sizeof(net::Ipv6Header)) {
            return Spoken::nothing;
        }
        const auto* ip = p.at<net::Ipv6Header>(kIp);
        if (ip->version() != 6) {
            return Spoken::nothing;
        }
        const net::IpAddress source(ip->source);
        if (source.is_unset() && ip->next_header == net::ip_protocol::kIcmpv6) [[unlikely]] {
            if (read_target(p, out)) {
                return Spoken::probe;
            }
        }
        const net::IpAddress said =
            end == End::destination ? net::IpAddress(ip->destination) : source;
        if (!may_travel(said)) [[unlikely]] {
            return Spoken::nothing;
        }
        out = said;
        return Spoken::ipv6;
    }
    if (type == net::ether_type::kArp && size >= kIp + sizeof(net::ArpHeader)) {
        const auto* arp = p.at<net::ArpHeader>(kIp);
        out = end == End::destination ? arp->target : arp->sender;
        return Spoken::arp;
    }
    return Spoken::nothing;
}

}  // namespace vxplane::step
