// What the data plane wants to know of a tenant's frame before it forwards it: tags, protocol, TOS,
// and a hash of the flow that is the same in both directions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dataplane/net/headers.hpp"

namespace vxplane::net {

/// Facts of one Ethernet frame. Offsets in bytes from the start of the frame.
struct FrameFacts {
    Be16 type;                    ///< EtherType behind at most two VLAN tags
    std::uint16_t l3_offset = 0;  ///< where the network header begins
    std::uint8_t tos = 0;         ///< IPv4 TOS or IPv6 traffic class; 0 for anything else
    bool tagged = false;
    bool is_ip = false;  ///< IPv4 or IPv6 with a whole fixed header of the right version
    std::uint32_t hash = 0;
};

/// One multiplication of 64 x 64 bits, both halves folded together: every input bit reaches every
/// output bit. Constants are primes of the golden ratio family without further meaning.
inline std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a ^ 0x9E3779B97F4A7C15ULL) * (b ^ 0xD1B54A32D192ED03ULL);
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

template <class T>
inline T load(const void* from) noexcept {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

/// A header where it stands. A copy would be made in overlapping stores, and reading them back
/// before they have reached the cache costs more than all that is done with them.
template <class Header>
inline const Header& view(const std::byte* from) noexcept {
    static_assert(alignof(Header) == 1);
    return *reinterpret_cast<const Header*>(from);
}

/// Ports count for TCP, UDP and SCTP only: ICMP identifiers are not part of a flow, so that an
/// error travels the way of the packets that it is about.
constexpr bool has_ports(std::uint8_t protocol) noexcept {
    return protocol == ip_protocol::kTcp || protocol == ip_protocol::kUdp ||
           protocol == ip_protocol::kSctp;
}

/// What the two ends of a flow have in common, whichever of them sends: products and sums do not
/// ask for the order, and both together leave no other pair with the same ends. Anything else that
/// is part of the flow comes as `also`.
inline std::uint32_t pair_hash(std::uint32_t a, std::uint32_t b, std::uint16_t port_a,
                               std::uint16_t port_b, std::uint64_t also) noexcept {
    const std::uint64_t sums = std::uint64_t{a} + b + port_a + port_b;
    const std::uint64_t h =
        mix(std::uint64_t{a} * b, (sums << 32 | std::uint32_t{port_a} * port_b) ^ also << 56);
    return static_cast<std::uint32_t>(h ^ h >> 32);
}

/// Same hash for all fragments of a datagram: ports are left out of every fragment, the first
/// one included (as the Linux flow dissector does).
inline std::uint32_t ipv4_flow_hash(const std::byte* l3, std::size_t size) noexcept {
    const auto& header = view<Ipv4Header>(l3);
    const std::size_t l4 = header.header_length();
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;
    if (has_ports(header.protocol) && !header.is_fragment() && l4 >= sizeof header &&
        size >= l4 + 4) {
        source_port = load<std::uint16_t>(l3 + l4);
        destination_port = load<std::uint16_t>(l3 + l4 + 2);
    }
    return pair_hash(header.source.be.wire(), header.destination.be.wire(), source_port,
                     destination_port, header.protocol);
}

/// The same for a header without options and 24 bytes that can be read.
inline std::uint32_t plain_ipv4_flow_hash(const std::byte* l3) noexcept {
    const auto& header = view<Ipv4Header>(l3);
    std::uint32_t ports = 0;
    if (has_ports(header.protocol) && !header.is_fragment()) [[likely]] {
        ports = load<std::uint32_t>(l3 + sizeof header);
    }
    return pair_hash(header.source.be.wire(), header.destination.be.wire(),
                     static_cast<std::uint16_t>(ports), static_cast<std::uint16_t>(ports >> 16),
                     header.protocol);
}

inline std::uint32_t ipv6_flow_hash(const std::byte* l3, std::size_t size) noexcept {
    const auto& header = view<Ipv6Header>(l3);
    std::uint64_t ports = 0;
    if (has_ports(header.next_header) && size >= sizeof header + 4) {
        const std::uint64_t a = load<std::uint16_t>(l3 + sizeof header);
        const std::uint64_t b = load<std::uint16_t>(l3 + sizeof header + 2);
        ports = a * b + (a + b);
    }
    const auto source = mix(load<std::uint64_t>(header.source.data()),
                            load<std::uint64_t>(header.source.data() + 8));
    const auto destination = mix(load<std::uint64_t>(header.destination.data()),
                                 load<std::uint64_t>(header.destination.data() + 8));
    const std::uint64_t ends =
        source < destination ? mix(source, destination) : mix(destination, source);
    const std::uint64_t h = mix(ends, ports | std::uint64_t{header.next_header} << 32 |
                                          std::uint64_t{header.flow_label()} << 40);
    return static_cast<std::uint32_t>(h ^ h >> 32);
}

/// Frames that are not IP are spread by their pair of MAC addresses.
inline std::uint32_t mac_pair_hash(const EthernetHeader& ethernet) noexcept {
    const std::uint64_t a = ethernet.source.number();
    const std::uint64_t b = ethernet.destination.number();
    const std::uint64_t h = a < b ? mix(a, b) : mix(b, a);
    return static_cast<std::uint32_t>(h ^ h >> 32);
}

/// Bytes of the VLAN tags of a frame of `size` contiguous bytes: 0, 4 or 8, as shape_of() counts
/// them. At least an Ethernet header must be there.
inline std::uint32_t tag_bytes(const std::byte* frame, std::size_t size) noexcept {
    constexpr std::size_t kOne = sizeof(EthernetHeader) + sizeof(VlanHeader);
    if (!view<EthernetHeader>(frame).is_vlan() || size < kOne) [[likely]] {
        return 0;
    }
    const Be16 type = view<VlanHeader>(frame + sizeof(EthernetHeader)).type;
    const bool two = EthernetHeader{{}, {}, type}.is_vlan() && size >= kOne + sizeof(VlanHeader);
    return two ? 2 * sizeof(VlanHeader) : sizeof(VlanHeader);
}

/// Reads a frame of `size` contiguous bytes; at least an Ethernet header must be there. Never reads
/// beyond `size`. Everything but the hash.
inline FrameFacts shape_of(const std::byte* frame, std::size_t size) noexcept {
    FrameFacts facts;
    const auto& ethernet = view<EthernetHeader>(frame);
    facts.type = ethernet.type;
    facts.l3_offset = sizeof(EthernetHeader);
    if (ethernet.is_vlan()) [[unlikely]] {
        facts.tagged = true;
        for (int tags = 0; tags < 2 && size >= facts.l3_offset + sizeof(VlanHeader); ++tags) {
            const auto& tag = view<VlanHeader>(frame + facts.l3_offset);
            facts.type = tag.type;
            facts.l3_offset += sizeof(VlanHeader);
            if (!EthernetHeader{{}, {}, tag.type}.is_vlan()) {
                break;
            }
        }
    }
    const std::byte* l3 = frame + facts.l3_offset;
    const std::size_t l3_size = size - facts.l3_offset;
    if (facts.type == ether_type::kIpv4 && l3_size >= sizeof(Ipv4Header) &&
        static_cast<std::uint8_t>(l3[0]) >> 4 == 4) [[likely]] {
        facts.is_ip = true;
        facts.tos = static_cast<std::uint8_t>(l3[1]);
    } else if (facts.type == ether_type::kIpv6 && l3_size >= sizeof(Ipv6Header) &&
               static_cast<std::uint8_t>(l3[0]) >> 4 == 6) {
        facts.is_ip = true;
        facts.tos = view<Ipv6Header>(l3).traffic_class();
    }
    return facts;
}

/// The hash that belongs to a frame and its shape.
inline std::uint32_t flow_hash(const std::byte* frame, std::size_t size,
                               const FrameFacts& shape) noexcept {
    if (!shape.is_ip) {
        return mac_pair_hash(view<EthernetHeader>(frame));
    }
    const std::byte* l3 = frame + shape.l3_offset;
    return shape.type == ether_type::kIpv4 ? ipv4_flow_hash(l3, size - shape.l3_offset)
                                           : ipv6_flow_hash(l3, size - shape.l3_offset);
}

/// Shape and hash together.
inline FrameFacts facts_of(const std::byte* frame, std::size_t size) noexcept {
    FrameFacts facts = shape_of(frame, size);
    facts.hash = flow_hash(frame, size, facts);
    return facts;
}

/// A number below `bound` that is spread evenly if the hash is: a multiplication in place of a
/// division.
constexpr std::uint32_t scale(std::uint32_t hash, std::uint32_t bound) noexcept {
    return static_cast<std::uint32_t>(std::uint64_t{hash} * bound >> 32);
}

}  // namespace vxplane::net
