// Where the headers of a TCP segment stand in a frame, be it plain or in a VXLAN tunnel. Merging at
// the entrance and cutting at the exit read frames by this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/headers.hpp"

namespace vxplane::step {

/// Offsets in bytes from the start of the frame.
struct TcpFrame {
    std::uint16_t outer_l3 = 0;
    std::uint16_t udp = 0;    ///< 0 = not in a tunnel; the VXLAN header follows
    std::uint16_t inner = 0;  ///< the Ethernet header of the segment; 0 without a tunnel
    std::uint16_t l3 = 0;
    std::uint16_t l4 = 0;
    std::uint16_t payload = 0;
    bool outer_v6 = false;
    bool v6 = false;

    [[nodiscard]] bool in_tunnel() const noexcept { return udp != 0; }
    bool operator==(const TcpFrame&) const noexcept = default;
};

/// The longest set of headers: two Ethernet headers with two tags each, IPv6 twice, UDP, VXLAN, TCP
/// with all its options.
constexpr std::uint32_t kMaxHeaders = 2 * (14 + 8) + 2 * 40 + 8 + 8 + 60;

/// The transport header of an IP packet and its protocol.
struct Transport {
    std::uint32_t at = 0;  ///< 0 = none that we could read
    std::uint8_t protocol = 0;
    bool v6 = false;
};

/// IPv4 with any options, unfragmented, or IPv6 without extension headers.
inline Transport find_transport(const std::byte* frame, std::size_t size, std::uint32_t l3,
                                net::Be16 type) noexcept {
    if (type == net::ether_type::kIpv4 && size >= l3 + sizeof(net::Ipv4Header)) [[likely]] {
        const auto& ip = net::view<net::Ipv4Header>(frame + l3);
        if (ip.version() != 4 || ip.header_length() < sizeof ip || ip.is_fragment()) {
            return {};
        }
        return {l3 + ip.header_length(), ip.protocol, false};
    }
    if (type == net::ether_type::kIpv6 && size >= l3 + sizeof(net::Ipv6Header)) {
        const auto& ip = net::view<net::Ipv6Header>(frame + l3);
        if (ip.version() == 6) {
            return {l3 + static_cast<std::uint32_t>(sizeof ip), ip.next_header, true};
        }
    }
    return {};
}

/// Finds the TCP segment of a frame with `size` contiguous bytes. `is_vxlan(port)` says which UDP
/// destination ports are tunnels. False when there is none or its headers are cut short. Lengths
/// and checksums are not looked at. IP in VXLAN-GPE without an Ethernet header is read with `kBare`
/// alone: then `inner` is `l3`.
template <bool kBare = false, class IsVxlan>
inline bool find_tcp(const std::byte* frame, std::size_t size, TcpFrame& out,
                     IsVxlan&& is_vxlan) noexcept {
    if (size < sizeof(net::EthernetHeader)) {
        return false;
    }
    out = {};
    net::FrameFacts shape = net::shape_of(frame, size);
    std::uint32_t l3 = shape.l3_offset;
    Transport transport = find_transport(frame, size, l3, shape.type);
    if (transport.at != 0 && transport.protocol == net::ip_protocol::kUdp) {
        const std::uint32_t inner =
            transport.at +
            static_cast<std::uint32_t>(sizeof(net::UdpHeader) + sizeof(net::VxlanHeader));
        if (size < inner + sizeof(net::EthernetHeader) ||
            !is_vxlan(net::view<net::UdpHeader>(frame + transport.at).destination.value())) {
            return false;
        }
        out.outer_l3 = static_cast<std::uint16_t>(l3);
        out.outer_v6 = transport.v6;
        out.udp = static_cast<std::uint16_t>(transport.at);
        out.inner = static_cast<std::uint16_t>(inner);
        const auto& vxlan = net::view<net::VxlanHeader>(frame + inner - sizeof(net::VxlanHeader));
        // With a checksum left open nothing is merged, and no large packet ever has one.
        if ((vxlan.flags.value() & net::VxlanHeader::kRemoteSumFlag) != 0) [[unlikely]] {
            return false;
        }
        if (vxlan.says_ip()) [[unlikely]] {
            if constexpr (!kBare) {
                return false;
            }
            shape.type = net::view<net::Ipv4Header>(frame + inner).version() == 4
                             ? net::ether_type::kIpv4
                             : net::ether_type::kIpv6;
            shape.l3_offset = 0;
        } else {
            shape = net::shape_of(frame + inner, size - inner);
        }
        l3 = inner + shape.l3_offset;
        transport = find_transport(frame, size, l3, shape.type);
    }
    if (transport.at == 0 || transport.protocol != net::ip_protocol::kTcp ||
        size < transport.at + sizeof(net::TcpHeader)) {
        return false;
    }
    const std::uint32_t header = net::view<net::TcpHeader>(frame + transport.at).header_length();
    if (header < sizeof(net::TcpHeader) || size < transport.at + header) {
        return false;
    }
    out.l3 = static_cast<std::uint16_t>(l3);
    out.v6 = transport.v6;
    out.l4 = static_cast<std::uint16_t>(transport.at);
    out.payload = static_cast<std::uint16_t>(transport.at + header);
    return true;
}

/// Sum of the pseudo header of the TCP or UDP message of `length` bytes behind an IP header.
inline net::Sum pseudo_sum(const std::byte* l3, bool v6, std::uint8_t protocol,
                           std::uint32_t length) noexcept {
    const auto size = static_cast<std::uint16_t>(length);
    if (v6) {
        return net::pseudo_header(net::view<net::Ipv6Header>(l3), protocol, size);
    }
    const auto& ip = net::view<net::Ipv4Header>(l3);
    return net::pseudo_header(ip.source, ip.destination, protocol, size);
}

/// Writes the length of what stands from the IP header on, and the header's checksum. `id` is the
/// identification of IPv4.
inline void write_ip_length(std::byte* l3, bool v6, std::uint32_t bytes, net::Be16 id) noexcept {
    if (v6) {
        auto* ip = reinterpret_cast<net::Ipv6Header*>(l3);
        ip->payload_length =
            net::Be16::of(static_cast<std::uint16_t>(bytes - sizeof(net::Ipv6Header)));
        return;
    }
    auto* ip = reinterpret_cast<net::Ipv4Header*>(l3);
    ip->total_length = net::Be16::of(static_cast<std::uint16_t>(bytes));
    ip->id = id;
    ip->checksum = {};
    ip->checksum = net::finish(net::add_bytes(0, ip, ip->header_length()));
}

inline net::Be16 ip_id(const std::byte* l3, bool v6) noexcept {
    return v6 ? net::Be16{} : net::view<net::Ipv4Header>(l3).id;
}

/// Makes the headers of a frame of `length` bytes right whose payload sums up to `payload_sum`:
/// lengths, ids and checksums, from the inside out. An outer UDP checksum is written where there is
/// one already.
inline void finish_headers(std::byte* frame, const TcpFrame& at, std::uint32_t length,
                           net::Sum payload_sum, net::Be16 id, net::Be16 outer_id) noexcept {
    write_ip_length(frame + at.l3, at.v6, length - at.l3, id);
    auto* tcp = reinterpret_cast<net::TcpHeader*>(frame + at.l4);
    tcp->checksum = {};
    tcp->checksum = net::finish(net::add_bytes(
        payload_sum + pseudo_sum(frame + at.l3, at.v6, net::ip_protocol::kTcp, length - at.l4), tcp,
        at.payload - at.l4));
    if (!at.in_tunnel()) {
        return;
    }
    write_ip_length(frame + at.outer_l3, at.outer_v6, length - at.outer_l3, outer_id);
    auto* udp = reinterpret_cast<net::UdpHeader*>(frame + at.udp);
    udp->length = net::Be16::of(static_cast<std::uint16_t>(length - at.udp));
    if (udp->checksum.wire() != 0) {
        udp->checksum = {};
        udp->checksum = net::udp_finish(
            net::add_bytes(payload_sum + pseudo_sum(frame + at.outer_l3, at.outer_v6,
                                                    net::ip_protocol::kUdp, length - at.udp),
                           udp, at.payload - at.udp));
    }
}

/// The sum of bytes that stand behind `before` others: an odd number of them swaps the halves.
inline net::Sum placed_sum(std::uint16_t sum, std::uint32_t before) noexcept {
    return (before & 1U) != 0 ? net::swap_bytes(sum) : sum;
}

}  // namespace vxplane::step
