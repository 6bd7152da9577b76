// A tunnel: one remote VTEP as a group of segments with the same options reaches it. The whole
// outer header stands ready, next hop included, in one cache line that encapsulation copies; over
// IPv6, which needs more room, in two lines of their own.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/ecn.hpp"
#include "dataplane/net/headers.hpp"
#include "dataplane/net/ip_address.hpp"
#include "dataplane/packet/drop_reason.hpp"

namespace vxplane::table {

enum class TunnelState : std::uint8_t {
    ready,    ///< next hop resolved
    waiting,  ///< next hop unresolved: packets wait with control
    told,     ///< unreachable or prohibited: control answers the sender
    refused,  ///< dropped for Tunnel::refusal
    ipv6,     ///< next hop resolved, and the header stands in Tables::tunnels6
    local,    ///< the remote is one of our own addresses: delivered without leaving
    special   ///< next hop resolved, and Tunnel::special says what is special about the header
};

/// The first 14 bytes say how to use the rest and are copied into the headroom in front of the
/// frame, where they do no harm: this way one 64-byte copy writes the header.
struct alignas(64) Tunnel {
    // --- not sent
    TunnelState state;
    packet::DropReason refusal;  ///< why, unless ready or waiting
    std::uint8_t flags;          ///< kUdpChecksum and the like
    std::uint8_t special;        ///< kOwnVni and the like
    std::uint16_t out_port;      ///< DPDK port id
    std::uint16_t ip_sum;        ///< IPv4 header folded, length and id counted as zero; host order
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
    /// The header tells the frame's group policy.
    static constexpr std::uint8_t kGroupPolicy = 64;
    /// TCP inside is told of segments that fit (step/clamp_mss.hpp).
    static constexpr std::uint8_t kClampMss = 128;
    // Of `special`.
    static constexpr std::uint8_t kOverIpv6 = 1;  ///< the header stands in Tables::tunnels6
    static constexpr std::uint8_t kOwnVni = 2;    ///< that of the header, not of the segment
    /// A tunnel packet that is too long leaves in fragments; looked at for those alone.
    static constexpr std::uint8_t kFragments = 4;
    /// The header says what is inside: Ethernet, or for peers without it IP (step/gpe.hpp).
    static constexpr std::uint8_t kGpe = 8;
    /// The TOS inside chooses another tunnel, of Tables::tos_ways; no header is made from this one.
    static constexpr std::uint8_t kByTos = 16;
    /// Checksums that a guest left open are left to the other end (step/remote_sum.hpp).
    static constexpr std::uint8_t kRemoteSum = 32;
    /// Bytes in front of the outer header.
    static constexpr std::uint16_t kPrefix = 14;

    /// Over IPv6: where in Tables::tunnels6 the header is. Besides it, the version of IP and the
    /// UDP port are known.
    [[nodiscard]] std::uint32_t line6() const noexcept { return vxlan.vni_reserved.value(); }
    void set_line6(std::uint32_t index) noexcept { vxlan.vni_reserved = net::Be32::of(index); }
    /// Of kByTos: where in Tables::tos_ways.
    [[nodiscard]] std::uint32_t tos_ways() const noexcept { return vxlan.vni_reserved.value(); }
    void set_tos_ways(std::uint32_t index) noexcept { vxlan.vni_reserved = net::Be32::of(index); }
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

/// A ready tunnel over IPv6: the outer header is copied from here.
struct alignas(64) Tunnel6 {
    // --- not sent
    std::uint32_t address_sum;     ///< of the pseudo header without the length; wire order
    std::uint16_t source_port_lo;  ///< host order
    std::uint16_t source_port_span;
    std::uint8_t flags;
    std::array<std::uint8_t, 49> reserved;
    // --- the outer header
    net::EthernetHeader ethernet;
    net::Ipv6Header ip;
    net::UdpHeader udp;
    net::VxlanHeader vxlan;

    // As those of Tunnel.
    static constexpr std::uint8_t kUdpChecksum = Tunnel::kUdpChecksum;
    static constexpr std::uint8_t kEcnRfc3168 = Tunnel::kEcnRfc3168;
    static constexpr std::uint8_t kInheritTtl = Tunnel::kInheritTtl;
    static constexpr std::uint8_t kInheritTos = Tunnel::kInheritTos;
    /// The flow label is that of IPv6 inside.
    static constexpr std::uint8_t kInheritLabel = 32;
    /// The flow label is made from the hash of the inner flow (RFC 6438).
    static constexpr std::uint8_t kLabelFromFlow = 64;
};
static_assert(sizeof(Tunnel6) == 128);
static_assert(sizeof(net::EthernetHeader) + sizeof(net::Ipv6Header) + sizeof(net::UdpHeader) +
                  sizeof(net::VxlanHeader) ==
              net::kVxlanIpv6Overhead);

/// The flow label of the outer IPv6 header.
struct FlowLabel {
    std::uint32_t fixed = 0;  ///< 20 bits
    bool from_flow = false;   ///< from the inner flow instead
    bool inherit = false;     ///< that of IPv6 inside, else `fixed`
    auto operator<=>(const FlowLabel&) const = default;
};

/// Everything that shapes an outer header. Control fills it and calls make_tunnel, and over IPv6
/// make_tunnel6, too.
struct TunnelSpec {
    net::IpAddress local = net::Ipv4Address{};  ///< of the family of `remote`
    net::IpAddress remote = net::Ipv4Address{};
    std::uint16_t dstport = 4789;  ///< RFC 7348 section 5
    std::uint16_t source_port_lo = 32768;
    std::uint16_t source_port_span = 28231;  ///< [32768, 60999): Linux' ip_local_port_range
    std::uint8_t ttl = 64;
    std::uint8_t tos = 0;
    bool dont_fragment = false;
    Inherit inherit;
    FlowLabel flow_label;
    bool udp_checksum = false;
    bool clamp_mss = false;
    bool fragments = false;     ///< what is too long leaves in fragments
    std::uint32_t vni = 0;      ///< of the header; 0: that of the segment
    bool group_policy = false;  ///< headers tell group policies
    bool gpe = false;           ///< headers say what is inside
    bool remote_sum = false;    ///< checksums that a guest left open are left to the other end
    bool by_tos = false;        ///< the TOS inside chooses another tunnel
    net::EcnMode ecn = net::EcnMode::rfc6040;
    std::uint16_t out_port = 0;
    net::MacAddress source_mac;
    net::MacAddress next_hop;
    std::uint16_t underlay_mtu = 1500;  ///< bytes after the outer Ethernet header
    TunnelState state = TunnelState::ready;
    packet::DropReason refusal = packet::DropReason::none;
    bool operator==(const TunnelSpec&) const = default;
};

/// Of a tunnel whose next hop is known.
inline TunnelState ready_state(const TunnelSpec& spec) noexcept {
    return spec.vni != 0 || spec.gpe || spec.remote_sum || spec.by_tos ? TunnelState::special
           : spec.remote.is_v4()                                       ? TunnelState::ready
                                                                       : TunnelState::ipv6;
}

inline net::VxlanHeader make_vxlan(const TunnelSpec& spec) noexcept {
    net::VxlanHeader header = net::VxlanHeader::of(net::Vni{spec.vni});
    if (spec.gpe) {
        header.flags = net::VxlanHeader::gpe_flags(net::VxlanHeader::kGpeEthernet);
    }
    return header;
}

inline Tunnel make_tunnel(const TunnelSpec& spec) noexcept {
    Tunnel t{};
    const bool ipv6 = !spec.remote.is_v4();
    t.state = spec.state == TunnelState::ready ? ready_state(spec) : spec.state;
    t.special = static_cast<std::uint8_t>(
        (ipv6 ? Tunnel::kOverIpv6 : 0) | (spec.vni != 0 ? Tunnel::kOwnVni : 0) |
        (spec.fragments ? Tunnel::kFragments : 0) | (spec.gpe ? Tunnel::kGpe : 0) |
        (spec.by_tos ? Tunnel::kByTos : 0) | (spec.remote_sum ? Tunnel::kRemoteSum : 0));
    t.refusal = spec.refusal;
    t.flags = static_cast<std::uint8_t>(
        (spec.udp_checksum ? Tunnel::kUdpChecksum : 0) |
        (spec.dont_fragment ? 0 : Tunnel::kChangingId) |
        (spec.ecn == net::EcnMode::rfc3168 ? Tunnel::kEcnRfc3168 : 0) |
        (spec.inherit.ttl ? Tunnel::kInheritTtl : 0) |
        (spec.inherit.tos ? Tunnel::kInheritTos : 0) | (spec.inherit.df ? Tunnel::kInheritDf : 0) |
        (spec.group_policy ? Tunnel::kGroupPolicy : 0) | (spec.clamp_mss ? Tunnel::kClampMss : 0));
    t.out_port = spec.out_port;
    t.source_port_lo = spec.source_port_lo;
    t.source_port_span = spec.source_port_span;
    // The outer packet holds the inner frame behind IP, UDP and VXLAN headers: 36 or 56 bytes.
    const std::uint32_t inside =
        (ipv6 ? net::kVxlanIpv6Overhead : net::kVxlanIpv4Overhead) - sizeof(net::EthernetHeader);
    t.max_frame = spec.underlay_mtu > inside
                      ? static_cast<std::uint16_t>(spec.underlay_mtu - inside)
                      : std::uint16_t{0};
    t.udp.destination = net::Be16::of(spec.dstport);
    t.vxlan = make_vxlan(spec);
    if (ipv6) {
        t.ip.version_ihl = 0x60;  // nothing else of it is used
        return t;
    }
    t.ethernet = {spec.next_hop, spec.source_mac, net::ether_type::kIpv4};
    t.ip.version_ihl = 0x45;
    t.ip.tos = static_cast<std::uint8_t>(spec.tos & ~net::kEcnMask);
    t.ip.fragment = net::Be16::of(spec.dont_fragment ? net::Ipv4Header::kDontFragment : 0);
    t.ip.ttl = spec.ttl;
    t.ip.protocol = net::ip_protocol::kUdp;
    t.ip.source = spec.local.v4();
    t.ip.destination = spec.remote.v4();
    t.ip_sum = net::swap_bytes(net::fold(net::add_bytes(0, &t.ip, sizeof t.ip)));
    return t;
}

/// Only over IPv6.
inline Tunnel6 make_tunnel6(const TunnelSpec& spec) noexcept {
    Tunnel6 t{};
    t.flags =
        static_cast<std::uint8_t>((spec.udp_checksum ? Tunnel6::kUdpChecksum : 0) |
                                  (spec.ecn == net::EcnMode::rfc3168 ? Tunnel6::kEcnRfc3168 : 0) |
                                  (spec.inherit.ttl ? Tunnel6::kInheritTtl : 0) |
                                  (spec.inherit.tos ? Tunnel6::kInheritTos : 0) |
                                  (spec.flow_label.inherit ? Tunnel6::kInheritLabel : 0) |
                                  (spec.flow_label.from_flow ? Tunnel6::kLabelFromFlow : 0));
    t.source_port_lo = spec.source_port_lo;
    t.source_port_span = spec.source_port_span;
    t.ethernet = {spec.next_hop, spec.source_mac, net::ether_type::kIpv6};
    const std::uint32_t traffic_class = spec.tos & ~std::uint32_t{net::kEcnMask};
    t.ip.version_class_label = net::Be32::of(
        net::Ipv6Header::kVersion | traffic_class << net::Ipv6Header::kClassShift |
        (spec.flow_label.from_flow ? 0 : spec.flow_label.fixed & net::Ipv6Header::kLabelMask));
    t.ip.next_header = net::ip_protocol::kUdp;
    t.ip.hop_limit = spec.ttl;
    t.ip.source = spec.local.bytes;
    t.ip.destination = spec.remote.bytes;
    t.address_sum = net::fold(net::pseudo_header(t.ip, net::ip_protocol::kUdp, 0));
    t.udp.destination = net::Be16::of(spec.dstport);
    t.vxlan = make_vxlan(spec);
    return t;
}

}  // namespace vxplane::table
