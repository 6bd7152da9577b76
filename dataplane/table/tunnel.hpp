// A tunnel: one remote VTEP as a group of segments with the same options reaches it. The whole
// outer header stands ready, next hop included, in one cache line that encapsulation copies.
#pragma once

#include <cstdint>

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/ecn.hpp"
#include "dataplane/net/headers.hpp"
#include "dataplane/packet/drop_reason.hpp"

namespace vxplane::table {

enum class TunnelState : std::uint8_t {
    ready,    ///< next hop resolved
    waiting,  ///< next hop unresolved: packets wait with control
    told,     ///< unreachable or prohibited: control answers the sender
    refused   ///< dropped for Tunnel::refusal
};

/// The first 14 bytes say how to use the rest and are copied into the headroom in front of the
/// frame, where they do no harm: this way one 64-byte copy writes the header.
struct alignas(64) Tunnel {
    // --- not sent
    TunnelState state;
    packet::DropReason refusal;  ///< why, unless ready or waiting
    std::uint8_t flags;          ///< kUdpChecksum and the like
    std::uint8_t reserved;
    std::uint16_t out_port;  ///< DPDK port id
    std::uint16_t ip_sum;    ///< IPv4 header folded, length and id counted as zero; host order
    std::uint16_t source_port_lo;    ///< host order
    std::uint16_t source_port_span;  ///< number of ports from there on
    std::uint16_t max_frame;         ///< longest inner frame in bytes
    // --- the outer header
    net::EthernetHeader ethernet;
    net::Ipv4Header ip;
    net::UdpHeader udp;
    net::VxlanHeader vxlan;

    static constexpr std::uint8_t kUdpChecksum = 1;
    /// DF is clear, so the id must tell datagrams apart (RFC 6864 section 4.1).
    static constexpr std::uint8_t kChangingId = 2;
    /// CE is shown outside as ECT(0).
    static constexpr std::uint8_t kEcnRfc3168 = 4;
    static constexpr std::uint8_t kInheritTtl = 8;
    static constexpr std::uint8_t kInheritTos = 16;
    static constexpr std::uint8_t kInheritDf = 32;
    static constexpr std::uint8_t kInherits = kInheritTtl | kInheritTos | kInheritDf;
    /// Bytes in front of the outer header.
    static constexpr std::uint16_t kPrefix = 14;
};
static_assert(sizeof(Tunnel) == 64);
static_assert(sizeof(Tunnel) - Tunnel::kPrefix == net::kVxlanIpv4Overhead);

/// What the outer header takes from an IP packet inside, as `ttl inherit`, `tos inherit` and
/// `df inherit` of ip-link(8). Other frames get what the rest of the spec says.
struct Inherit {
    bool ttl = false;
    bool tos = false;  ///< DSCP; ECN has its own rules
    bool df = false;   ///< of IPv4; set for IPv6, which nobody fragments on its way
    auto operator<=>(const Inherit&) const = default;
};

/// Everything that shapes an outer header. Control fills it and calls make_tunnel.
struct TunnelSpec {
    net::Ipv4Address local;
    net::Ipv4Address remote;
    std::uint16_t dstport = 4789;  ///< RFC 7348 section 5
    std::uint16_t source_port_lo = 32768;
    std::uint16_t source_port_span = 28231;  ///< [32768, 60999): Linux' ip_local_port_range
    std::uint8_t ttl = 64;
    std::uint8_t tos = 0;
    bool dont_fragment = false;
    Inherit inherit;
    bool udp_checksum = false;
    net::EcnMode ecn = net::EcnMode::rfc6040;
    std::uint16_t out_port = 0;
    net::MacAddress source_mac;
    net::MacAddress next_hop;
    std::uint16_t underlay_mtu = 1500;  ///< bytes after the outer Ethernet header
    TunnelState state = TunnelState::ready;
    packet::DropReason refusal = packet::DropReason::none;
    bool operator==(const TunnelSpec&) const = default;
};

inline Tunnel make_tunnel(const TunnelSpec& spec) noexcept {
    Tunnel t{};
    t.state = spec.state;
    t.refusal = spec.refusal;
    t.flags = static_cast<std::uint8_t>(
        (spec.udp_checksum ? Tunnel::kUdpChecksum : 0) |
        (spec.dont_fragment ? 0 : Tunnel::kChangingId) |
        (spec.ecn == net::EcnMode::rfc3168 ? Tunnel::kEcnRfc3168 : 0) |
        (spec.inherit.ttl ? Tunnel::kInheritTtl : 0) |
        (spec.inherit.tos ? Tunnel::kInheritTos : 0) | (spec.inherit.df ? Tunnel::kInheritDf : 0));
    t.out_port = spec.out_port;
    t.source_port_lo = spec.source_port_lo;
    t.source_port_span = spec.source_port_span;
    // The outer IPv4 packet holds the inner frame behind 36 bytes of IPv4, UDP and VXLAN header.
    constexpr std::uint32_t kInsideMtu = net::kVxlanIpv4Overhead - sizeof(net::EthernetHeader);
    t.max_frame = spec.underlay_mtu > kInsideMtu
                      ? static_cast<std::uint16_t>(spec.underlay_mtu - kInsideMtu)
                      : std::uint16_t{0};
    t.ethernet = {spec.next_hop, spec.source_mac, net::ether_type::kIpv4};
    t.ip.version_ihl = 0x45;
    t.ip.tos = static_cast<std::uint8_t>(spec.tos & ~net::kEcnMask);
    t.ip.fragment = net::Be16::of(spec.dont_fragment ? net::Ipv4Header::kDontFragment : 0);
    t.ip.ttl = spec.ttl;
    t.ip.protocol = net::ip_protocol::kUdp;
    t.ip.source = spec.local;
    t.ip.destination = spec.remote;
    t.ip_sum = net::swap_bytes(net::fold(net::add_bytes(0, &t.ip, sizeof t.ip)));
    t.udp.destination = net::Be16::of(spec.dstport);
    t.vxlan = net::VxlanHeader::of(net::Vni{0});
    return t;
}

}  // namespace vxplane::table
