// The headers that vxplane reads and writes, laid out as they stand on the wire. Every field is a
// byte, an array of bytes or big-endian, so each struct has alignment 1 and may be laid over a
// frame at any offset.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dataplane/net/big_endian.hpp"
#include "dataplane/net/ipv4_address.hpp"
#include "dataplane/net/mac_address.hpp"

namespace vxplane::net {

/// EtherTypes (IANA "IEEE 802 Numbers").
namespace ether_type {
constexpr Be16 kIpv4 = Be16::of(0x0800);
constexpr Be16 kArp = Be16::of(0x0806);
constexpr Be16 kVlan = Be16::of(0x8100);         ///< IEEE 802.1Q
constexpr Be16 kServiceVlan = Be16::of(0x88A8);  ///< IEEE 802.1ad
constexpr Be16 kIpv6 = Be16::of(0x86DD);
}  // namespace ether_type

struct EthernetHeader {
    MacAddress destination;
    MacAddress source;
    Be16 type;

    [[nodiscard]] bool is_vlan() const noexcept {
        return type == ether_type::kVlan || type == ether_type::kServiceVlan;
    }
};
static_assert(sizeof(EthernetHeader) == 14);

/// Both addresses and the EtherType in two loads, for the steps that every frame passes.
struct EthernetWords {
    std::uint64_t destination;  ///< address in the upper 48 bits, below it two bytes of the source
    std::uint64_t source;       ///< address in the upper 48 bits, below it the EtherType

    /// At least an Ethernet header must be there.
    static EthernetWords of(const std::byte* frame) noexcept {
        EthernetWords words;
        std::memcpy(&words.destination, frame, sizeof words.destination);
        std::memcpy(&words.source, frame + sizeof(MacAddress), sizeof words.source);
        words.destination = swap_bytes(words.destination);
        words.source = swap_bytes(words.source);
        return words;
    }
    /// Host order.
    [[nodiscard]] std::uint16_t type() const noexcept { return static_cast<std::uint16_t>(source); }
    /// No station has it: all zero, or with the group bit.
    [[nodiscard]] bool source_is_bad() const noexcept {
        return source <= 0xFFFF || (source & kMacGroupBit << 16) != 0;
    }
    /// 01:80:c2:00:00:00 to 0f.
    [[nodiscard]] bool destination_is_link_local() const noexcept {
        return destination >> 20 == kLinkLocalMacs >> 4;
    }
};

struct VlanHeader {
    Be16 tag;  ///< PCP, DEI, VID
    Be16 type;
};
static_assert(sizeof(VlanHeader) == 4);

/// RFC 826, for Ethernet and IPv4.
struct ArpHeader {
    Be16 hardware;                 ///< 1
    Be16 protocol;                 ///< 0x0800
    std::uint8_t hardware_length;  ///< 6
    std::uint8_t protocol_length;  ///< 4
    Be16 operation;
    MacAddress sender_mac;
    Ipv4Address sender;
    MacAddress target_mac;
    Ipv4Address target;

    static constexpr Be16 kRequest = Be16::of(1);
    static constexpr Be16 kReply = Be16::of(2);
    [[nodiscard]] bool is_ethernet_ipv4() const noexcept {
        return hardware == Be16::of(1) && protocol == ether_type::kIpv4 && hardware_length == 6 &&
               protocol_length == 4;
    }
};
static_assert(sizeof(ArpHeader) == 28);

/// IP protocol numbers (IANA).
namespace ip_protocol {
constexpr std::uint8_t kIcmp = 1;
constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kUdp = 17;
constexpr std::uint8_t kIcmpv6 = 58;
constexpr std::uint8_t kSctp = 132;
}  // namespace ip_protocol

/// RFC 791.
struct Ipv4Header {
    std::uint8_t version_ihl;
    std::uint8_t tos;
    Be16 total_length;
    Be16 id;
    Be16 fragment;  ///< flags and offset
    std::uint8_t ttl;
    std::uint8_t protocol;
    Be16 checksum;
    Ipv4Address source;
    Ipv4Address destination;

    static constexpr std::uint8_t kPlain = 0x45;  ///< version_ihl without options
    static constexpr std::uint16_t kDontFragment = 0x4000;
    static constexpr std::uint16_t kMoreFragments = 0x2000;
    static constexpr std::uint16_t kOffsetMask = 0x1FFF;
    static constexpr std::uint16_t kFragmentMask = kMoreFragments | kOffsetMask;
    [[nodiscard]] std::uint32_t version() const noexcept { return version_ihl >> 4U; }
    /// Bytes of this header, options included; below 20 when the field is malformed.
    [[nodiscard]] std::uint32_t header_length() const noexcept { return (version_ihl & 0xFU) * 4U; }
    [[nodiscard]] bool is_fragment() const noexcept {
        return (fragment.value() & kFragmentMask) != 0;
    }
};
static_assert(sizeof(Ipv4Header) == 20);

/// RFC 8200.
struct Ipv6Header {
    Be32 version_class_label;
    Be16 payload_length;
    std::uint8_t next_header;
    std::uint8_t hop_limit;
    std::array<std::uint8_t, 16> source;
    std::array<std::uint8_t, 16> destination;

    // Of version_class_label, host order.
    static constexpr std::uint32_t kVersion = 0x60000000;
    static constexpr unsigned kClassShift = 20;
    static constexpr std::uint32_t kLabelMask = 0xFFFFF;
    [[nodiscard]] std::uint32_t version() const noexcept {
        return version_class_label.value() >> 28;
    }
    [[nodiscard]] std::uint8_t traffic_class() const noexcept {
        return static_cast<std::uint8_t>(version_class_label.value() >> 20);
    }
    [[nodiscard]] std::uint32_t flow_label() const noexcept {
        return version_class_label.value() & 0xFFFFFU;
    }
};
static_assert(sizeof(Ipv6Header) == 40);

/// RFC 768.
struct UdpHeader {
    Be16 source;
    Be16 destination;
    Be16 length;
    Be16 checksum;
};
static_assert(sizeof(UdpHeader) == 8);

/// RFC 9293.
struct TcpHeader {
    Be16 source;
    Be16 destination;
    Be32 sequence;
    Be32 acknowledgement;
    std::uint8_t offset_reserved;
    std::uint8_t flags;
    Be16 window;
    Be16 checksum;
    Be16 urgent;

    static constexpr std::uint8_t kFin = 0x01;
    static constexpr std::uint8_t kSyn = 0x02;
    static constexpr std::uint8_t kRst = 0x04;
    static constexpr std::uint8_t kPsh = 0x08;
    static constexpr std::uint8_t kAck = 0x10;
    static constexpr std::uint8_t kUrg = 0x20;
    static constexpr std::uint8_t kEce = 0x40;
    static constexpr std::uint8_t kCwr = 0x80;
    /// Bytes of this header, options included; below 20 when the field is malformed.
    [[nodiscard]] std::uint32_t header_length() const noexcept {
        return (offset_reserved >> 4U) * 4U;
    }
};
static_assert(sizeof(TcpHeader) == 20);

/// RFC 792.
struct IcmpHeader {
    std::uint8_t type;
    std::uint8_t code;
    Be16 checksum;
    Be32 rest;

    static constexpr std::uint8_t kEchoReply = 0;
    static constexpr std::uint8_t kUnreachable = 3;
    static constexpr std::uint8_t kEchoRequest = 8;
    static constexpr std::uint8_t kNetUnreachable = 0;
    static constexpr std::uint8_t kTimeExceeded = 11;
    static constexpr std::uint8_t kHostUnreachable = 1;
    static constexpr std::uint8_t kPortUnreachable = 3;
    static constexpr std::uint8_t kFragmentationNeeded = 4;
    static constexpr std::uint8_t kAdminProhibited = 13;  ///< RFC 1812 section 5.2.7.1
};
static_assert(sizeof(IcmpHeader) == 8);

/// VNI: 24 bits, host order (RFC 7348 section 5).
struct Vni {
    std::uint32_t number = 0;
    static constexpr std::uint32_t kMax = 0xFFFFFF;
    constexpr bool operator==(const Vni&) const noexcept = default;
};

/// The group policy of a frame, as a VXLAN header tells it (draft-smith-vxlan-group-policy): flags,
/// then the id, high byte first. All zero: none. Bytes, as it travels in gaps of other structures.
struct GroupPolicy {
    std::array<std::uint8_t, 3> bytes{};

    static constexpr std::uint8_t kGiven = 0x80;      ///< the G bit; no header has it in this byte
    static constexpr std::uint8_t kDontLearn = 0x40;  ///< the D bit
    static constexpr std::uint8_t kApplied = 0x08;    ///< the A bit
    static constexpr GroupPolicy of(std::uint16_t id, std::uint8_t flags = 0) noexcept {
        return {{static_cast<std::uint8_t>(kGiven | flags), static_cast<std::uint8_t>(id >> 8),
                 static_cast<std::uint8_t>(id & 0xFFU)}};
    }
    [[nodiscard]] constexpr bool is_given() const noexcept { return bytes[0] != 0; }
    [[nodiscard]] constexpr bool has(std::uint8_t flag) const noexcept {
        return (bytes[0] & flag) != 0;
    }
    /// 0 also when there is none.
    [[nodiscard]] constexpr std::uint16_t id() const noexcept {
        return static_cast<std::uint16_t>(bytes[1] << 8 | bytes[2]);
    }
    constexpr bool operator==(const GroupPolicy&) const noexcept = default;
};

/// RFC 7348 section 5.
struct VxlanHeader {
    Be32 flags;  ///< flag byte, then 24 reserved bits
    Be32 vni_reserved;

    static constexpr Be32 kVniFlag = Be32::of(0x08000000);  ///< the I flag
    [[nodiscard]] Vni vni() const noexcept { return {vni_reserved.value() >> 8}; }
    /// The I flag alone, and no reserved bit.
    [[nodiscard]] bool is_plain() const noexcept {
        return flags == kVniFlag && (vni_reserved.value() & 0xFFU) == 0;
    }
    static constexpr VxlanHeader of(Vni vni) noexcept {
        return {kVniFlag, Be32::of(vni.number << 8)};
    }

    // Generic protocol extension, in the first word (draft-ietf-nvo3-vxlan-gpe).
    static constexpr std::uint32_t kGpeVersion = 0x30000000;
    static constexpr std::uint32_t kGpeProtocolFlag = 0x04000000;  ///< the P bit
    static constexpr std::uint32_t kGpeOam = 0x01000000;           ///< the O bit
    static constexpr std::uint32_t kGpeProtocol = 0xFF;
    static constexpr std::uint32_t kGpeIpv4 = 1;
    static constexpr std::uint32_t kGpeIpv6 = 2;
    static constexpr std::uint32_t kGpeEthernet = 3;
    /// The first word of a header that says what is inside.
    static constexpr Be32 gpe_flags(std::uint32_t protocol) noexcept {
        return Be32::of(kVniFlag.value() | kGpeProtocolFlag | protocol);
    }
    /// Inside is an IP packet, without an Ethernet header.
    [[nodiscard]] bool says_ip() const noexcept {
        const std::uint32_t word = flags.value();
        const std::uint32_t protocol = word & kGpeProtocol;
        return (word & kGpeProtocolFlag) != 0 && (protocol == kGpeIpv4 || protocol == kGpeIpv6);
    }

    // Remote checksum offload (draft-herbert-vxlan-rco): a flag in the first word; the low byte of
    // the second one says where a checksum is missing, and from where on it sums up.
    static constexpr std::uint32_t kRemoteSumFlag = 0x00200000;
    static constexpr std::uint32_t kRemoteSumStart = 0x7F;  ///< of what follows the header, halved
    static constexpr std::uint32_t kRemoteSumUdp = 0x80;    ///< UDP's field, else TCP's
    static constexpr std::uint32_t kRemoteSumFarthest = 2 * kRemoteSumStart;

    // Group policy, in the first word.
    static constexpr std::uint32_t kPolicyFlag = 0x80000000;  ///< the G bit
    static constexpr std::uint32_t kPolicyBits = 0x0048FFFF;  ///< D, A and the id
    /// Without the G bit the others mean nothing.
    [[nodiscard]] GroupPolicy policy() const noexcept {
        const std::uint32_t word = flags.value();
        return (word & kPolicyFlag) == 0
                   ? GroupPolicy{}
                   : GroupPolicy::of(static_cast<std::uint16_t>(word & 0xFFFFU),
                                     static_cast<std::uint8_t>((word & kPolicyBits) >> 16));
    }
    /// The first word of the header of a frame that has a policy.
    static constexpr Be32 flags_with(GroupPolicy policy) noexcept {
        constexpr std::uint8_t kSaid = GroupPolicy::kDontLearn | GroupPolicy::kApplied;
        const auto bits = static_cast<std::uint32_t>(policy.bytes[0] & kSaid);
        return Be32::of(kVniFlag.value() | kPolicyFlag | bits << 16 | policy.id());
    }
};
static_assert(sizeof(VxlanHeader) == 8);

/// Outer headers of VXLAN over IPv4, Ethernet included.
constexpr std::uint32_t kVxlanIpv4Overhead =
    sizeof(EthernetHeader) + sizeof(Ipv4Header) + sizeof(UdpHeader) + sizeof(VxlanHeader);
static_assert(kVxlanIpv4Overhead == 50);
/// The same over IPv6.
constexpr std::uint32_t kVxlanIpv6Overhead =
    sizeof(EthernetHeader) + sizeof(Ipv6Header) + sizeof(UdpHeader) + sizeof(VxlanHeader);
static_assert(kVxlanIpv6Overhead == 70);

/// The shortest Ethernet frame without its FCS (IEEE 802.3) and the smallest IPv4 MTU (RFC 791).
constexpr std::uint32_t kMinEthernetFrame = 60;
constexpr std::uint32_t kMinIpv4Mtu = 68;

}  // namespace vxplane::net
