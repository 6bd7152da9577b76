// Frames, byte after byte.
#include "tests/support/frame.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <numeric>
#include <stdexcept>

namespace vxplane::support {
namespace {

void put8(Bytes& to, unsigned value) {
    to.push_back(static_cast<std::uint8_t>(value));
}
void put16(Bytes& to, std::uint32_t value) {
    put8(to, value >> 8 & 0xFF);
    put8(to, value & 0xFF);
}
void put32(Bytes& to, std::uint32_t value) {
    put16(to, value >> 16);
    put16(to, value & 0xFFFF);
}
void put(Bytes& to, const Bytes& bytes) {
    to.insert(to.end(), bytes.begin(), bytes.end());
}
void set16(Bytes& in, std::size_t at, std::uint16_t value) {
    in[at] = static_cast<std::uint8_t>(value >> 8);
    in[at + 1] = static_cast<std::uint8_t>(value);
}
std::uint16_t get16(const Bytes& from, std::size_t at) {
    return static_cast<std::uint16_t>(from[at] << 8 | from[at + 1]);
}
std::uint32_t get32(const Bytes& from, std::size_t at) {
    return std::uint32_t{get16(from, at)} << 16 | get16(from, at + 2);
}
Bytes ip6_bytes(const std::string& text) {
    Bytes bytes(16);
    if (inet_pton(AF_INET6, text.c_str(), bytes.data()) != 1) throw std::invalid_argument(text);
    return bytes;
}
void put(Bytes& to, const net::MacAddress& address) {
    to.insert(to.end(), address.bytes.begin(), address.bytes.end());
}
std::uint32_t sum_of(const Bytes& bytes) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i)
        sum += static_cast<std::uint32_t>(bytes[i]) << (i % 2 == 0 ? 8 : 0);
    return sum;
}
Bytes pseudo4(const Ip4& header, std::uint8_t protocol, std::size_t length) {
    Bytes bytes;
    put32(bytes, ip(header.source).number());
    put32(bytes, ip(header.destination).number());
    put16(bytes, protocol);
    put16(bytes, static_cast<std::uint32_t>(length));
    return bytes;
}
Bytes pseudo6(const Ip6& header, std::uint8_t protocol, std::size_t length) {
    Bytes bytes = ip6_bytes(header.source);
    put(bytes, ip6_bytes(header.destination));
    put32(bytes, static_cast<std::uint32_t>(length));
    put32(bytes, protocol);
    return bytes;
}

constexpr std::uint8_t kIcmp = 1, kTcp = 6, kUdp = 17;

}  // namespace

net::MacAddress mac(std::string_view text) {
    net::MacAddress address;
    std::array<unsigned, 6> b{};
    if (std::sscanf(std::string(text).c_str(), "%x:%x:%x:%x:%x:%x", &b[0], &b[1], &b[2], &b[3],
                    &b[4], &b[5]) != 6)
        throw std::invalid_argument(std::string(text));
    for (std::size_t i = 0; i < 6; ++i) address.bytes[i] = static_cast<std::uint8_t>(b[i]);
    return address;
}

net::MacAddress host(std::uint8_t number) {
    return {{2, 0, 0, 0, 0, number}};
}

net::Ipv4Address ip(std::string_view text) {
    in_addr address{};
    if (inet_pton(AF_INET, std::string(text).c_str(), &address) != 1)
        throw std::invalid_argument(std::string(text));
    return net::Ipv4Address::of(ntohl(address.s_addr));
}

net::IpAddress address(const std::string& text) {
    if (text.find(':') == std::string::npos) return ip(text);
    net::IpAddress address;
    const Bytes bytes = ip6_bytes(text);
    std::copy(bytes.begin(), bytes.end(), address.bytes.begin());
    return address;
}

std::uint16_t rfc1071(const Bytes& data, std::uint32_t start) {
    std::uint32_t sum = start + sum_of(data);
    while (sum >> 16 != 0) sum = (sum & 0xFFFF) + (sum >> 16);
    return static_cast<std::uint16_t>(~sum);
}

Frame& Frame::to(net::MacAddress address) {
    to_ = address;
    return *this;
}
Frame& Frame::from(net::MacAddress address) {
    from_ = address;
    return *this;
}
Frame& Frame::vlan(std::uint16_t tag, std::uint16_t type) {
    tags_.emplace_back(type, tag);
    return *this;
}
Frame& Frame::type(std::uint16_t ether_type) {
    type_ = ether_type;
    return *this;
}
Frame& Frame::ipv4(Ip4 header) {
    ip4_ = std::move(header);
    return *this;
}
Frame& Frame::ipv6(Ip6 header) {
    ip6_ = std::move(header);
    return *this;
}
Frame& Frame::arp(const Arp& message) {
    type_ = 0x0806;
    payload_.clear();
    put16(payload_, 1);
    put16(payload_, 0x0800);
    put8(payload_, 6);
    put8(payload_, 4);
    put16(payload_, message.operation);
    put(payload_, message.sender_mac);
    put32(payload_, ip(message.sender).number());
    put(payload_, message.target_mac);
    put32(payload_, ip(message.target).number());
    return *this;
}
Frame& Frame::udp(std::uint16_t source, std::uint16_t destination, Udp header) {
    l4_ = L4{kUdp, source, destination, 0, header, {}};
    return *this;
}
Frame& Frame::tcp(std::uint16_t source, std::uint16_t destination, Tcp header) {
    l4_ = L4{kTcp, source, destination, 0, {}, std::move(header)};
    return *this;
}
Frame& Frame::icmp_echo(std::uint8_t type) {
    l4_ = L4{kIcmp, 1, 1, type, {}, {}};
    return *this;
}
Frame& Frame::payload(std::size_t size) {
    payload_.resize(size);
    std::iota(payload_.begin(), payload_.end(), std::uint8_t{0});
    return *this;
}
Frame& Frame::payload(Bytes bytes) {
    payload_ = std::move(bytes);
    return *this;
}
Frame& Frame::vxlan(Vxlan header, const Frame& inner) {
    return vxlan(header, inner.bytes());
}
Frame& Frame::vxlan(Vxlan header, const Bytes& inner) {
    payload_.clear();
    put32(payload_, std::uint32_t{header.flags} << 24 | header.reserved);
    put32(payload_, header.vni << 8 | header.last);
    put(payload_, inner);
    return *this;
}
Frame& Frame::padded(std::size_t size) {
    least_ = size;
    return *this;
}
Frame& Frame::any_id() {
    any_id_ = true;
    return *this;
}
Frame& Frame::any_source_port() {
    any_source_port_ = true;
    return *this;
}

Bytes Frame::l4() const {
    if (!l4_) return payload_;
    Bytes bytes;
    std::size_t checksum_at = 0;
    if (l4_->protocol == kUdp) {
        put16(bytes, l4_->source);
        put16(bytes, l4_->destination);
        put16(bytes, l4_->udp.length.value_or(static_cast<std::uint16_t>(8 + payload_.size())));
        put16(bytes, 0);
        checksum_at = 6;
    } else if (l4_->protocol == kTcp) {
        put16(bytes, l4_->source);
        put16(bytes, l4_->destination);
        const Tcp& t = l4_->tcp;
        put32(bytes, t.sequence);
        put32(bytes, t.acknowledgement);
        put8(bytes, static_cast<unsigned>((20 + t.options.size()) / 4) << 4);
        put8(bytes, t.flags);
        put16(bytes, t.window);
        put16(bytes, 0);
        put16(bytes, t.urgent);
        put(bytes, t.options);
        checksum_at = 16;
    } else {
        put16(bytes, std::uint32_t{l4_->icmp_type} << 8);
        put16(bytes, 0);
        put16(bytes, l4_->source);
        put16(bytes, l4_->destination);
        checksum_at = 2;
    }
    put(bytes, payload_);
    std::uint32_t pseudo = 0;
    if (l4_->protocol != kIcmp && ip4_)
        pseudo = sum_of(pseudo4(*ip4_, l4_->protocol, bytes.size()));
    if (l4_->protocol != kIcmp && ip6_)
        pseudo = sum_of(pseudo6(*ip6_, l4_->protocol, bytes.size()));
    std::uint16_t checksum = rfc1071(bytes, pseudo);
    if (l4_->protocol == kUdp) {
        if (checksum == 0) checksum = 0xFFFF;
        checksum = l4_->udp.checksum.value_or(checksum);
    } else if (l4_->protocol == kTcp) {
        checksum = l4_->tcp.checksum.value_or(checksum);
    }
    set16(bytes, checksum_at, checksum);
    return bytes;
}

Bytes Frame::bytes() const {
    Bytes bytes;
    put(bytes, to_);
    put(bytes, from_);
    for (const auto& [type, tag] : tags_) {
        put16(bytes, type);
        put16(bytes, tag);
    }
    const Bytes inside = l4();
    const std::uint8_t protocol = l4_ ? l4_->protocol : 253;
    if (ip4_) {
        put16(bytes, type_.value_or(0x0800));
        const std::size_t header = 20 + ip4_->options.size();
        Bytes h;
        put8(h, ip4_->version_ihl.value_or(static_cast<std::uint8_t>(0x40 | header / 4)));
        put8(h, ip4_->tos);
        put16(h, ip4_->total_length.value_or(static_cast<std::uint16_t>(header + inside.size())));
        put16(h, ip4_->id);
        put16(h, ip4_->fragment);
        put8(h, ip4_->ttl);
        put8(h, ip4_->protocol.value_or(protocol));
        put16(h, 0);
        put32(h, ip(ip4_->source).number());
        put32(h, ip(ip4_->destination).number());
        put(h, ip4_->options);
        set16(h, 10, ip4_->checksum.value_or(rfc1071(h)));
        put(bytes, h);
    } else if (ip6_) {
        put16(bytes, type_.value_or(0x86DD));
        put32(bytes, 6U << 28 | std::uint32_t{ip6_->traffic_class} << 20 | ip6_->flow_label);
        put16(bytes, static_cast<std::uint32_t>(inside.size()));
        put8(bytes, ip6_->next_header.value_or(l4_ ? l4_->protocol : 59));
        put8(bytes, ip6_->hop_limit);
        put(bytes, ip6_bytes(ip6_->source));
        put(bytes, ip6_bytes(ip6_->destination));
    } else {
        put16(bytes, type_.value_or(0x88B5));  // IEEE 802 local experimental
    }
    put(bytes, inside);
    if (bytes.size() < least_) bytes.resize(least_);
    return bytes;
}

Bytes Frame::bytes_like(const Bytes& seen) const {
    Frame same = *this;
    if (any_id_ && same.ip4_ && seen.size() >= 20) same.ip4_->id = get16(seen, 18);
    const std::size_t port_at = ip6_ ? 54 : 34;
    if (any_source_port_ && same.l4_ && seen.size() >= port_at + 2)
        same.l4_->source = get16(seen, port_at);
    return same.bytes();
}

Frame raw_frame(const Bytes& bytes) {
    Frame frame;
    net::MacAddress to, from;
    std::copy_n(bytes.begin(), 6, to.bytes.begin());
    std::copy_n(bytes.begin() + 6, 6, from.bytes.begin());
    return frame.to(to)
        .from(from)
        .type(get16(bytes, 12))
        .payload(Bytes(bytes.begin() + 14, bytes.end()));
}

Outer take_apart(const Bytes& frame) {
    Outer o;
    if (frame.size() < 50 + 14 || get16(frame, 12) != 0x0800 || frame[14] != 0x45 ||
        frame[23] != kUdp)
        return o;
    o.whole = true;
    std::copy_n(frame.begin(), 6, o.to.bytes.begin());
    std::copy_n(frame.begin() + 6, 6, o.from.bytes.begin());
    o.tos = frame[15];
    o.total_length = get16(frame, 16);
    o.id = get16(frame, 18);
    o.fragment = get16(frame, 20);
    o.ttl = frame[22];
    o.ip_checksum_right = rfc1071(Bytes(frame.begin() + 14, frame.begin() + 34)) == 0;
    o.source = net::Ipv4Address::of(get32(frame, 26));
    o.destination = net::Ipv4Address::of(get32(frame, 30));
    o.source_port = get16(frame, 34);
    o.destination_port = get16(frame, 36);
    o.udp_length = get16(frame, 38);
    o.udp_checksum = get16(frame, 40);
    Bytes covered(frame.begin() + 26, frame.begin() + 34);
    put16(covered, kUdp);
    put16(covered, o.udp_length);
    put(covered, Bytes(frame.begin() + 34, frame.end()));
    o.udp_checksum_right = o.udp_checksum == 0 || rfc1071(covered) == 0;
    o.flags_word = get32(frame, 42);
    o.vni_word = get32(frame, 46);
    o.inner.assign(frame.begin() + 50, frame.end());
    return o;
}

std::string hex(const Bytes& bytes) {
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        char two[4];
        std::snprintf(two, sizeof two, "%02x%s", bytes[i], i % 16 == 15 ? "\n" : "");
        text += two;
    }
    return text;
}

}  // namespace vxplane::support
