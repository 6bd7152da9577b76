// Lengths and offsets of an IP packet, checked before anything looks behind them.
#include "dataplane/step/l3_packet.hpp"

namespace vxplane::step {
namespace {

/// Extension headers that are walked over, as the kernel's ipv6_skip_exthdr() does.
namespace extension {
constexpr std::uint8_t kHopByHop = 0;
constexpr std::uint8_t kRouting = 43;
constexpr std::uint8_t kFragment = 44;
constexpr std::uint8_t kAuthentication = 51;
constexpr std::uint8_t kDestination = 60;
}  // namespace extension

constexpr std::uint32_t kFragmentHeader = 8;

/// Bytes of the transport header that must be in reach for the packet to be looked at further.
constexpr std::uint32_t needed(std::uint8_t protocol) noexcept {
    return protocol == net::ip_protocol::kTcp ? sizeof(net::TcpHeader) : sizeof(net::UdpHeader);
}

void look_behind(L3Packet& out) noexcept {
    const std::uint32_t size = needed(out.protocol);
    out.has_l4 =
        !out.later_fragment && out.l4_length >= size && out.p->contiguous() >= out.l4_offset + size;
}

bool is_mapped(const std::array<std::uint8_t, 16>& address) noexcept {
    return net::IpAddress(address).is_v4();
}

packet::Verdict parse6(packet::Packet& p, L3Packet& out) noexcept {
    using packet::DropReason;
    using packet::Verdict;
    const std::uint32_t at = out.l3_offset;
    const auto& ip = out.ip6();
    const std::uint32_t length = sizeof ip + ip.payload_length.value();
    if (p.length() < at + length || length > 0xFFFF) {
        return Verdict::drop(DropReason::ip6_malformed);
    }
    // What looks like IPv4 inside must not pass rules for IPv4 (the kernel's ip6_rcv_core()).
    if (is_mapped(ip.source) || is_mapped(ip.destination)) [[unlikely]] {
        return Verdict::drop(DropReason::ip6_mapped_address);
    }
    const std::uint32_t in_reach = p.contiguous() - at;
    const Extensions found = walk_extensions(p.data() + at, in_reach < length ? in_reach : length);
    if (!found.whole) {
        return Verdict::drop(DropReason::ip6_malformed);
    }
    out.v6 = true;
    out.l3_length = static_cast<std::uint16_t>(length);
    out.l4_offset = static_cast<std::uint16_t>(at + found.l4_offset);
    out.l4_length = static_cast<std::uint16_t>(length - found.l4_offset);
    out.protocol = found.protocol;
    out.fragment = found.fragment;
    out.later_fragment = found.later_fragment;
    out.fragment_id = found.fragment_id;
    look_behind(out);
    return Verdict::go_on();
}

}  // namespace

Extensions walk_extensions(const std::byte* bytes, std::uint32_t size) noexcept {
    Extensions result;
    const auto byte = [bytes](std::uint32_t at) { return static_cast<std::uint8_t>(bytes[at]); };
    std::uint32_t at = sizeof(net::Ipv6Header);
    std::uint8_t next = byte(6);
    for (unsigned count = 0; count <= kMaxExtensions; ++count) {
        std::uint32_t length = 0;
        switch (next) {
            case extension::kHopByHop:
            case extension::kRouting:
            case extension::kDestination:
                length = size >= at + 2 ? (byte(at + 1) + 1U) * 8U : 0;
                break;
            case extension::kAuthentication:
                length = size >= at + 2 ? (byte(at + 1) + 2U) * 4U : 0;
                break;
            case extension::kFragment:
                length = kFragmentHeader;
                break;
            default:
                result.l4_offset = at;
                result.protocol = next;
                result.whole = true;
                return result;
        }
        if (length == 0 || size < at + length) {
            return result;
        }
        if (next == extension::kFragment) {
            const std::uint32_t offset_and_flags = byte(at + 2) << 8U | byte(at + 3);
            // Offset 0 and no more: an atomic fragment, a datagram like any other (RFC 6946).
            if ((offset_and_flags & 0xFFF9U) != 0) {
                result.fragment = true;
                __builtin_memcpy(&result.fragment_id, bytes + at + 4, sizeof result.fragment_id);
            }
            if (offset_and_flags >> 3U != 0) {
                result.later_fragment = true;
                result.l4_offset = at + length;
                result.protocol = byte(at);
                result.whole = true;
                return result;
            }
        }
        next = byte(at);
        at += length;
    }
    return result;
}

packet::Verdict parse(packet::Packet& p, std::uint16_t l3_offset, L3Packet& out) noexcept {
    using packet::DropReason;
    using packet::Verdict;
    out = {};
    out.p = &p;
    out.l3_offset = l3_offset;
    const std::uint32_t at = l3_offset;
    if (p.contiguous() < at + sizeof(net::Ipv4Header)) {
        return Verdict::drop(DropReason::ip4_truncated);
    }
    const auto& ip = out.ip4();
    if (ip.version() == 6) {
        return p.contiguous() < at + sizeof(net::Ipv6Header)
                   ? Verdict::drop(DropReason::ip6_malformed)
                   : parse6(p, out);
    }
    if (ip.version() != 4) {
        return Verdict::drop(DropReason::ip4_bad_version);
    }
    const std::uint32_t header = ip.header_length();
    if (header < sizeof ip || p.contiguous() < at + header) {
        return Verdict::drop(DropReason::ip4_bad_header_length);
    }
    const std::uint32_t total = ip.total_length.value();
    if (total < header || p.length() < at + total) {
        return Verdict::drop(DropReason::ip4_bad_total_length);
    }
    out.l3_length = static_cast<std::uint16_t>(total);
    out.l4_offset = static_cast<std::uint16_t>(at + header);
    out.l4_length = static_cast<std::uint16_t>(total - header);
    out.protocol = ip.protocol;
    const std::uint16_t fragment = ip.fragment.value();
    if ((fragment & net::Ipv4Header::kFragmentMask) != 0) [[unlikely]] {
        out.fragment = true;
        out.later_fragment = (fragment & net::Ipv4Header::kOffsetMask) != 0;
        out.fragment_id = ip.id.wire();
    }
    look_behind(out);
    return Verdict::go_on();
}

}  // namespace vxplane::step
