// Incremental checksums: what a field was and what it becomes is all that they need.
#include "dataplane/step/translate.hpp"

#include <cstring>

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/flow_hash.hpp"

namespace vxplane::step {
namespace {

/// Protocols besides those of net::ip_protocol whose checksums cover the addresses.
constexpr std::uint8_t kDccp = 33;      // RFC 4340
constexpr std::uint8_t kUdpLite = 136;  // RFC 3828

/// What has been added to a sum and taken away from it, in wire order.
class Change {
  public:
    /// Writes `size` bytes, a multiple of two.
    void put(std::byte* at, const void* value, std::size_t size) noexcept {
        for (std::size_t i = 0; i < size; i += 2) {
            std::uint16_t before = 0;
            std::uint16_t after = 0;
            std::memcpy(&before, at + i, 2);
            std::memcpy(&after, static_cast<const std::byte*>(value) + i, 2);
            sum_ += static_cast<std::uint16_t>(~before) + net::Sum{after};
        }
        std::memcpy(at, value, size);
    }
    /// Writes four bytes.
    void put4(std::byte* at, std::uint32_t value) noexcept {
        std::uint32_t before = 0;
        std::memcpy(&before, at, sizeof before);
        std::memcpy(at, &value, sizeof value);
        sum_ += net::Sum{~before} + value;
    }
    void put(std::byte* at, net::Be16 value) noexcept { put(at, &value, sizeof value); }
    /// Brings a checksum field up to date that covers all that was put so far.
    void apply(std::byte* at) const noexcept {
        std::uint16_t field = 0;
        std::memcpy(&field, at, sizeof field);
        field = net::finish(sum_ + static_cast<std::uint16_t>(~field)).wire();
        std::memcpy(at, &field, sizeof field);
    }
    /// The same of UDP: zero means that there is none (RFC 768).
    void apply_udp(std::byte* at) const noexcept {
        std::uint16_t field = 0;
        std::memcpy(&field, at, sizeof field);
        if (field == 0) {
            return;
        }
        field = net::finish(sum_ + static_cast<std::uint16_t>(~field)).wire();
        field = field == 0 ? 0xFFFF : field;
        std::memcpy(at, &field, sizeof field);
    }
    /// A word that somebody else has written.
    void note(net::Be16 before, net::Be16 after) noexcept {
        sum_ += static_cast<std::uint16_t>(~before.wire()) + net::Sum{after.wire()};
    }
    void join(const Change& other) noexcept { sum_ += other.sum_; }

  private:
    net::Sum sum_ = 0;
};

struct Field {
    std::uint32_t offset = 0;
    bool exists = false;
    bool zero_is_none = false;
};

/// The checksum field of a transport header that covers addresses.
constexpr Field checksum_of(std::uint8_t protocol) noexcept {
    switch (protocol) {
        case net::ip_protocol::kTcp:
            return {16, true, false};
        case net::ip_protocol::kUdp:
            return {6, true, true};
        case net::ip_protocol::kIcmpv6:
            return {2, true, false};
        case kUdpLite:
        case kDccp:
            return {6, true, false};
        default:
            return {};
    }
}

constexpr bool speaks_icmp(std::uint8_t protocol) noexcept {
    return protocol == net::ip_protocol::kIcmp || protocol == net::ip_protocol::kIcmpv6;
}
constexpr bool carries_ports(std::uint8_t protocol) noexcept {
    return protocol == net::ip_protocol::kTcp || protocol == net::ip_protocol::kUdp;
}

/// Puts the address into the network header at `l3`, IPv4 checksum included.
Change put_address(std::byte* l3, bool v6, Half half, const net::IpAddress& to) noexcept {
    Change change;
    if (v6) {
        change.put(l3 + (half == Half::source ? 8 : 24), to.bytes.data(), 16);
    } else {
        std::uint32_t word = 0;
        std::memcpy(&word, to.bytes.data() + 12, sizeof word);
        change.put4(l3 + (half == Half::source ? 12 : 16), word);
        change.apply(l3 + 10);
    }
    return change;
}

/// Where the port of a half, or the identifier, stands in a transport header.
constexpr std::uint32_t port_offset(std::uint8_t protocol, Half half) noexcept {
    return speaks_icmp(protocol) ? 4 : half == Half::source ? 0 : 2;
}

void apply(const Change& change, Field field, std::byte* l4) noexcept {
    if (field.zero_is_none) {
        change.apply_udp(l4 + field.offset);
    } else {
        change.apply(l4 + field.offset);
    }
}

}  // namespace

void translate(const L3Packet& packet, Half half, const End3& to, bool with_port) noexcept {
    std::byte* data = packet.p->data();
    Change change = put_address(data + packet.l3_offset, packet.v6, half, to.address);
    if (!packet.has_l4) [[unlikely]] {
        return;
    }
    std::byte* l4 = data + packet.l4_offset;
    if (packet.protocol == net::ip_protocol::kIcmp) {
        change = {};  // its checksum covers no addresses
        if (with_port) {
            change.put(l4 + port_offset(packet.protocol, half), to.port);
            change.apply(l4 + 2);
        }
        return;
    }
    if (with_port && (carries_ports(packet.protocol) || speaks_icmp(packet.protocol))) {
        change.put(l4 + port_offset(packet.protocol, half), to.port);
    }
    if (const Field field = checksum_of(packet.protocol); field.exists) {
        apply(change, field, l4);
    }
}

void translate_plain(const L3Packet& packet, Half half, const net::IpAddress& address,
                     net::Be16 port) noexcept {
    std::byte* l3 = packet.p->data() + packet.l3_offset;
    std::byte* l4 = packet.p->data() + packet.l4_offset;
    const bool udp = packet.protocol == net::ip_protocol::kUdp;
    std::byte* at = l3 + (half == Half::source ? 12 : 16);
    std::byte* port_at = l4 + port_offset(packet.protocol, half);
    const auto before = net::load<std::uint32_t>(at);
    const auto after = static_cast<std::uint32_t>(address.high() >> 32);
    const auto port_before = net::load<std::uint16_t>(port_at);
    if (before == after && port_before == port.wire()) {
        return;
    }
    Change change;
    change.put4(at, after);
    if (before != after) {
        change.apply(l3 + 10);
    }
    change.put(port_at, port);
    if (udp) {
        change.apply_udp(l4 + 6);
    } else {
        change.apply(l4 + 16);
    }
}

bool is_icmp_error(const L3Packet& packet) noexcept {
    if (!packet.has_l4) {
        return false;
    }
    const std::uint8_t type = packet.p->at<net::IcmpHeader>(packet.l4_offset)->type;
    if (packet.protocol == net::ip_protocol::kIcmp) {
        // Unreachable, source quench, redirect, time exceeded, parameter problem.
        return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
    }
    // Unreachable, too big, time exceeded, parameter problem (RFC 4443).
    return packet.protocol == net::ip_protocol::kIcmpv6 && type >= 1 && type <= 4;
}

bool is_icmp_redirect(const L3Packet& packet) noexcept {
    return packet.protocol == net::ip_protocol::kIcmp && packet.has_l4 &&
           packet.p->at<net::IcmpHeader>(packet.l4_offset)->type == 5;
}

Quoted read_quoted(const L3Packet& packet) noexcept {
    Quoted quoted;
    quoted.l3_offset = packet.l4_offset + static_cast<std::uint32_t>(sizeof(net::IcmpHeader));
    const std::uint32_t last = packet.l4_offset + std::uint32_t{packet.l4_length};
    quoted.end = last < packet.p->contiguous() ? last : packet.p->contiguous();
    const std::uint32_t fixed = packet.v6 ? sizeof(net::Ipv6Header) : sizeof(net::Ipv4Header);
    if (quoted.end < quoted.l3_offset + fixed) {
        return quoted;
    }
    if (packet.v6) {
        const auto& ip = *packet.p->at<net::Ipv6Header>(quoted.l3_offset);
        if (ip.version() != 6) {
            return quoted;
        }
        const Extensions found =
            walk_extensions(packet.p->data() + quoted.l3_offset, quoted.end - quoted.l3_offset);
        if (!found.whole || found.later_fragment) {
            return quoted;
        }
        quoted.l4_offset = quoted.l3_offset + found.l4_offset;
        quoted.protocol = found.protocol;
    } else {
        const auto& ip = *packet.p->at<net::Ipv4Header>(quoted.l3_offset);
        if (ip.version() != 4 || ip.header_length() < sizeof ip ||
            (ip.fragment.value() & net::Ipv4Header::kOffsetMask) != 0) {
            return quoted;
        }
        quoted.l4_offset = quoted.l3_offset + ip.header_length();
        quoted.protocol = ip.protocol;
    }
    // RFC 792: at least eight bytes of it.
    quoted.found = quoted.end >= quoted.l4_offset + 8;
    return quoted;
}

void translate_quoted(const L3Packet& packet, const Quoted& quoted, Half half, const End3& to,
                      bool with_port) noexcept {
    std::byte* data = packet.p->data();
    std::byte* l4 = data + quoted.l4_offset;
    // The quoted IPv4 header sums up to the same as before, its checksum included: only its
    // transport header's change counts for the error. IPv6 has no such sum.
    const Change address = put_address(data + quoted.l3_offset, packet.v6, half, to.address);
    Change covered;  // by the transport's own checksum
    Change whole;    // by the checksum of the error
    if (packet.v6) {
        whole.join(address);
    }
    if (checksum_of(quoted.protocol).exists) {
        covered.join(address);
    }
    if (with_port && (carries_ports(quoted.protocol) || speaks_icmp(quoted.protocol))) {
        Change port;
        port.put(l4 + port_offset(quoted.protocol, half), to.port);
        covered.join(port);
        whole.join(port);
    }
    const Field field = quoted.protocol == net::ip_protocol::kIcmp ? Field{2, true, false}
                                                                   : checksum_of(quoted.protocol);
    if (field.exists && quoted.end >= quoted.l4_offset + field.offset + 2) {
        net::Be16 before;
        net::Be16 after;
        std::memcpy(&before, l4 + field.offset, sizeof before);
        apply(covered, field, l4);
        std::memcpy(&after, l4 + field.offset, sizeof after);
        whole.note(before, after);
    }
    whole.apply(data + packet.l4_offset + 2);
}

}  // namespace vxplane::step
