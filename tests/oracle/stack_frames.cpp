// Reads frames by itself, without the parsers of the data plane.
#include "stack_frames.hpp"

#include <algorithm>

#include "ip_layer.hpp"

namespace vxplane::oracle {
namespace {

constexpr std::size_t kEthernet = 14;
constexpr unsigned kIcmp = 1, kTcp = 6, kUdp = 17, kIcmp6 = 58;

unsigned be16(const Bytes& bytes, std::size_t at) {
    return at + 2 <= bytes.size() ? unsigned{bytes[at]} << 8 | bytes[at + 1] : 0U;
}
Bytes part(const Bytes& bytes, std::size_t from, std::size_t to) {
    to = std::min(to, bytes.size());
    from = std::min(from, to);
    return {bytes.begin() + long(from), bytes.begin() + long(to)};
}
Bytes ip_of(const Bytes& frame) {
    const unsigned type = be16(frame, 12);
    return type == 0x0800 || type == 0x86DD ? part(frame, kEthernet, frame.size()) : Bytes{};
}
bool is_arp(const Bytes& frame) {
    return be16(frame, 12) == 0x0806 && frame.size() >= kEthernet + 28;
}
net::IpAddress v4_at(const Bytes& bytes, std::size_t at) {
    return net::Ipv4Address::of(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
}
net::IpAddress v6_at(const Bytes& bytes, std::size_t at) {
    net::IpAddress address;
    std::copy_n(bytes.begin() + long(at), 16, address.bytes.begin());
    return address;
}

/// An IP packet taken apart; IPv6 without extension headers.
struct Datagram {
    bool fine = false;  ///< header whole, lengths as they should be
    bool v6 = false;
    bool fragment = false;
    unsigned protocol = 0;
    net::IpAddress source, destination;
    std::size_t header = 0;
    Bytes payload{};
};

Datagram read(const Bytes& packet) {
    Datagram d;
    if (packet.size() >= 20 && packet[0] >> 4 == 4) {
        d.header = (packet[0] & 0xFU) * 4U;
        const std::size_t total = be16(packet, 2);
        if (d.header < 20 || total < d.header || packet.size() < total) return d;
        d.fragment = (be16(packet, 6) & 0x3FFFU) != 0;
        d.protocol = packet[9];
        d.source = v4_at(packet, 12);
        d.destination = v4_at(packet, 16);
        d.payload = part(packet, d.header, total);
        d.fine = true;
    } else if (packet.size() >= 40 && packet[0] >> 4 == 6) {
        d.v6 = true;
        d.header = 40;
        d.protocol = packet[6];
        d.source = v6_at(packet, 8);
        d.destination = v6_at(packet, 24);
        d.payload = part(packet, 40, 40 + be16(packet, 4));
        d.fine = d.payload.size() == be16(packet, 4);
    }
    return d;
}

Bytes pseudo_header(const Datagram& d) {
    const std::size_t from = d.v6 ? 0 : 12;
    Bytes bytes(d.source.bytes.begin() + long(from), d.source.bytes.end());
    bytes.insert(bytes.end(), d.destination.bytes.begin() + long(from), d.destination.bytes.end());
    const std::size_t length = d.payload.size();
    bytes.insert(bytes.end(),
                 {0, 0, static_cast<std::uint8_t>(length >> 8), static_cast<std::uint8_t>(length),
                  0, 0, 0, static_cast<std::uint8_t>(d.protocol)});
    return bytes;
}

/// Where the checksum is, behind the IP header; 0: there is none.
std::size_t checksum_at(const Datagram& d) {
    const std::size_t at = d.protocol == kUdp                            ? 6
                           : d.protocol == kTcp                          ? 16
                           : d.protocol == kIcmp || d.protocol == kIcmp6 ? 2
                                                                         : 0;
    return at + 2 <= d.payload.size() ? at : 0;
}

unsigned transport_sum(const Datagram& d) {
    Bytes all = d.protocol == kIcmp ? Bytes{} : pseudo_header(d);
    all.insert(all.end(), d.payload.begin(), d.payload.end());
    return support::rfc1071(all);
}

bool is_sound(const Bytes& packet, const Datagram& d) {
    if (!d.fine) return false;
    if (!d.v6 && support::rfc1071(part(packet, 0, d.header)) != 0) return false;
    if (d.fragment || checksum_at(d) == 0) return true;
    if (d.protocol == kUdp && be16(d.payload, 6) == 0 && !d.v6) return true;
    return transport_sum(d) == 0;
}

bool is_echo(const Datagram& d, bool request) {
    if (d.payload.size() < 8) return false;
    return d.v6 ? d.protocol == kIcmp6 && d.payload[0] == (request ? 128 : 129)
                : d.protocol == kIcmp && d.payload[0] == (request ? 8 : 0);
}

/// What an ICMP error quotes; empty: it is none.
Bytes quoted_by(const Datagram& d) {
    static const std::set<unsigned> kErrors{3, 4, 5, 11, 12};
    const bool error =
        d.v6 ? d.protocol == kIcmp6 && !d.payload.empty() && d.payload[0] < 128
             : d.protocol == kIcmp && !d.payload.empty() && kErrors.contains(d.payload[0]);
    return error ? part(d.payload, 8, d.payload.size()) : Bytes{};
}

/// The same packet but for TTL, header checksum, and where it was cut off.
bool is_start_of(const Bytes& quoted, const Bytes& packet) {
    if (quoted.size() < 28 || quoted.size() > packet.size()) return false;
    const bool v6 = packet[0] >> 4 == 6;
    for (std::size_t i = 0; i < quoted.size(); ++i) {
        const bool changes = v6 ? i == 7 : i == 8 || i == 10 || i == 11;
        if (!changes && quoted[i] != packet[i]) return false;
    }
    return true;
}

/// What a router makes of it.
bool is_next_hop_of(const Bytes& sent, const Bytes& given) {
    if (sent.size() != given.size() || given.size() < 40) return false;
    const std::size_t ttl = given[0] >> 4 == 6 ? 7 : 8;
    return sent[ttl] + 1 == given[ttl] && is_start_of(sent, given);
}

}  // namespace

Bytes completed_packet(Bytes packet) {
    const Datagram d = read(packet);
    const std::size_t at = checksum_at(d);
    if (!d.fine || d.fragment || at == 0 || (d.protocol != kUdp && d.protocol != kTcp))
        return packet;
    // rfc1071() gives the complement.
    if (be16(d.payload, at) != (~support::rfc1071(pseudo_header(d)) & 0xFFFFU)) return packet;
    packet[d.header + at] = packet[d.header + at + 1] = 0;
    const unsigned sum = transport_sum(read(packet));
    const unsigned written = sum == 0 ? 0xFFFFU : sum;
    packet[d.header + at] = static_cast<std::uint8_t>(written >> 8);
    packet[d.header + at + 1] = static_cast<std::uint8_t>(written);
    return packet;
}

Bytes completed_frame(const Bytes& frame) {
    const Bytes packet = ip_of(frame);
    if (packet.empty()) return frame;
    Bytes whole = part(frame, 0, kEthernet);
    const Bytes completed = completed_packet(packet);
    whole.insert(whole.end(), completed.begin(), completed.end());
    return whole;
}

net::IpAddress packet_sender(const Bytes& packet) {
    return read(packet).source;
}

net::IpAddress sender_of(const Bytes& frame) {
    return is_arp(frame) ? v4_at(frame, kEthernet + 14) : read(ip_of(frame)).source;
}

Bytes without_addresses(Bytes frame) {
    const Datagram d = read(ip_of(frame));
    if (!d.fine) return frame;
    const auto blank = [&](std::size_t from, std::size_t count) {
        for (std::size_t i = from; i < std::min(from + count, frame.size()); ++i) frame[i] = 0;
    };
    blank(kEthernet + (d.v6 ? 8 : 12), d.v6 ? 32 : 8);
    if (!d.v6) blank(kEthernet + 10, 2);
    if (d.protocol == kUdp || d.protocol == kTcp) blank(kEthernet + d.header, 4);
    if (const std::size_t at = checksum_at(d); at != 0) blank(kEthernet + d.header + at, 2);
    return frame;
}

bool is_fragment(const Bytes& frame) {
    return read(ip_of(frame)).fragment;
}

std::string one_line(const Bytes& bytes) {
    std::string text = support::hex(bytes);
    std::erase(text, '\n');
    return text;
}

std::string datagram_text(const Bytes& packet) {
    const Datagram d = read(packet);
    if (!d.v6) return datagram_of(packet);
    const auto hex = [](const net::IpAddress& one) {
        return support::hex({one.bytes.begin(), one.bytes.end()});
    };
    const unsigned traffic_class = (packet[0] & 0xFU) << 4 | packet[1] >> 4;
    return "v6 " + hex(d.source) + " " + hex(d.destination) + " " + std::to_string(d.protocol) +
           " " + std::to_string(packet[7]) + " " + std::to_string(traffic_class) + " " +
           support::hex(d.payload);
}

bool tells_of(const Bytes& frame, const Bytes& cause) {
    const Datagram told = read(ip_of(frame));
    const Datagram about = read(cause);
    if (!told.fine || !about.fine) return false;
    if (is_start_of(quoted_by(told), cause)) return true;
    return told.protocol == kTcp && about.protocol == kTcp && told.payload.size() >= 14 &&
           about.payload.size() >= 14 && (told.payload[13] & 4U) != 0 &&
           told.source == about.destination && told.destination == about.source &&
           be16(told.payload, 0) == be16(about.payload, 2) &&
           be16(told.payload, 2) == be16(about.payload, 0);
}

net::IpAddress asked_for(const Bytes& frame) {
    if (is_arp(frame))
        return be16(frame, kEthernet + 6) == 1 ? v4_at(frame, kEthernet + 24) : net::IpAddress{};
    const Datagram d = read(ip_of(frame));
    return d.fine && d.protocol == kIcmp6 && d.payload.size() >= 24 && d.payload[0] == 135
               ? v6_at(d.payload, 8)
               : net::IpAddress{};
}

void HostStack::time_passes() {
    std::erase_if(used_, [](const std::string& use) { return use.starts_with("asks"); });
}

net::IpAddress HostStack::next_hop(const net::IpAddress& to) const {
    const Network::Route* route = host_.route_to(to);
    return route == nullptr || route->via.is_unset() ? to : route->via;
}

bool HostStack::asks(const Bytes& frame) {
    const net::IpAddress target = asked_for(frame);
    if (!host_.owns(sender_of(frame))) return false;
    const bool wanted =
        std::any_of(told_.begin(), told_.end(),
                    [&](const net::IpAddress& to) { return next_hop(to) == target; }) ||
        std::any_of(given_.begin(), given_.end(), [&](const Bytes& one) {
            const Datagram d = read(ip_of(one));
            return d.fine && (next_hop(d.source) == target || next_hop(d.destination) == target);
        });
    return wanted && once("asks " + support::hex({target.bytes.begin(), target.bytes.end()}));
}

bool HostStack::follows(const Bytes& frame, std::size_t number) {
    const Bytes& given = given_[number];
    const std::string mark = " " + std::to_string(number);
    if (is_arp(frame)) {
        // The whole answer is known.
        if (!is_arp(given) || be16(given, kEthernet + 6) != 1) return false;
        Bytes answer = part(given, 6, 12);
        const Bytes mac(host_.mac.bytes.begin(), host_.mac.bytes.end());
        for (const Bytes& next :
             {mac, part(given, 12, 20), Bytes{0, 2}, mac, part(given, 38, 42), part(given, 22, 32)})
            answer.insert(answer.end(), next.begin(), next.end());
        return host_.owns(v4_at(given, kEthernet + 24)) && answer == frame && once("answer" + mark);
    }
    const Bytes packet = ip_of(frame);
    const Bytes cause = ip_of(given);
    const Datagram d = read(packet);
    const Datagram before = read(cause);
    if (!is_sound(packet, d) || !before.fine) return false;
    if (host_.forwards && is_next_hop_of(packet, cause)) return once("forward" + mark);
    if (!host_.owns(d.source)) return false;
    if (is_echo(d, false) && is_echo(before, true))
        return d.destination == before.source &&
               part(d.payload, 4, d.payload.size()) ==
                   part(before.payload, 4, before.payload.size()) &&
               once("answer" + mark);
    if (d.protocol == kIcmp6 && d.payload.size() >= 24 && d.payload[0] == 136)
        return asked_for(given) == v6_at(d.payload, 8) && once("answer" + mark);
    return tells_of(frame, cause) && once("error" + mark);
}

bool HostStack::may_have_sent(const Bytes& frame) {
    if (!asked_for(frame).is_unset()) return asks(frame);
    for (std::size_t i = 0; i < given_.size(); ++i)
        if (follows(frame, i)) return true;
    const Bytes packet = ip_of(frame);
    const Datagram d = read(packet);
    if (!is_sound(packet, d) || !host_.owns(d.source)) return false;
    for (std::size_t i = 0; i < told_.size(); ++i)
        if (told_[i] == d.destination &&
            once("told " + std::to_string(i) + " " + std::to_string(be16(packet, 6))))
            return true;
    return false;
}

}  // namespace vxplane::oracle
