// Packets byte by byte, and the order in which a master's hooks meet them.
#include "tests/support/hook_world.hpp"

#include <arpa/inet.h>

#include <cstdio>
#include <cstring>
#include <stdexcept>

namespace vxplane::support::hooks {
namespace {

void put8(Bytes& to, unsigned value) {
    to.push_back(static_cast<std::uint8_t>(value));
}
void put16(Bytes& to, unsigned value) {
    put8(to, value >> 8 & 0xFF);
    put8(to, value & 0xFF);
}
void put32(Bytes& to, std::uint32_t value) {
    put16(to, value >> 16);
    put16(to, value & 0xFFFF);
}
void append(Bytes& to, const Bytes& from) {
    to.insert(to.end(), from.begin(), from.end());
}
std::uint16_t get16(const Bytes& from, std::size_t at) {
    return static_cast<std::uint16_t>(from.at(at) << 8 | from.at(at + 1));
}
void set16(Bytes& in, std::size_t at, std::uint16_t value) {
    in.at(at) = static_cast<std::uint8_t>(value >> 8);
    in.at(at + 1) = static_cast<std::uint8_t>(value);
}

bool is_v6(const std::string& text) {
    return text.find(':') != std::string::npos;
}
Bytes wire(const std::string& text) {
    Bytes bytes(is_v6(text) ? 16 : 4);
    if (inet_pton(is_v6(text) ? AF_INET6 : AF_INET, text.c_str(), bytes.data()) != 1)
        throw std::invalid_argument(text);
    return bytes;
}

/// Folded, not complemented.
std::uint16_t sum(const Bytes& bytes) {
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i)
        total += static_cast<std::uint64_t>(bytes[i]) << (i % 2 == 0 ? 8 : 0);
    while (total >> 16 != 0) total = (total >> 16) + (total & 0xFFFF);
    return static_cast<std::uint16_t>(total);
}

Bytes pseudo(const Bytes& source, const Bytes& destination, std::uint8_t protocol,
             std::size_t length) {
    Bytes bytes = source;
    append(bytes, destination);
    put32(bytes, static_cast<std::uint32_t>(length));
    put32(bytes, protocol);
    return bytes;
}

std::size_t checksum_offset(std::uint8_t protocol) {
    return protocol == kTcp ? 16 : protocol == kUdp ? 6 : 2;
}

Bytes transport(const Words& w) {
    Bytes l4;
    if (w.protocol == kUdp) {
        put16(l4, w.source_port);
        put16(l4, w.destination_port);
        put16(l4, static_cast<unsigned>(8 + w.payload.size()));
        put16(l4, 0);
    } else if (w.protocol == kTcp) {
        put16(l4, w.source_port);
        put16(l4, w.destination_port);
        put32(l4, w.sequence);
        put32(l4, w.acknowledgement);
        put8(l4, 0x50);
        put8(l4, w.tcp_flags);
        put16(l4, 1000);
        put32(l4, 0);
    } else if (w.protocol == kIcmp || w.protocol == kIcmp6) {
        put8(l4, w.icmp_type);
        put8(l4, w.icmp_code);
        put16(l4, 0);
        put16(l4, w.quoted.empty() ? w.source_port : 0);
        put16(l4, w.quoted.empty() ? 1 : 0);
        append(l4, Bytes(w.quoted.begin(), w.quoted.begin() + static_cast<std::ptrdiff_t>(std::min(
                                                                  w.quote, w.quoted.size()))));
    }
    if (w.quoted.empty()) append(l4, w.payload);
    const bool has =
        w.protocol == kUdp || w.protocol == kTcp || w.protocol == kIcmp || w.protocol == kIcmp6;
    if (has && !(w.protocol == kUdp && w.no_udp_checksum)) {
        Bytes covered;
        if (w.protocol != kIcmp)
            covered = pseudo(wire(w.source), wire(w.destination), w.protocol, l4.size());
        append(covered, l4);
        auto field = static_cast<std::uint16_t>(~sum(covered));
        if (w.protocol == kUdp && field == 0) field = 0xFFFF;
        set16(l4, checksum_offset(w.protocol), field);
    }
    return l4;
}

std::string shown(const Bytes& packet, std::size_t at, bool v6) {
    std::array<char, INET6_ADDRSTRLEN> out{};
    inet_ntop(v6 ? AF_INET6 : AF_INET, packet.data() + at, out.data(), out.size());
    return out.data();
}

struct Layout {
    bool v6 = false;
    std::size_t l4 = 0;
    std::uint8_t protocol = 0;
    bool later = false;
    bool fragment = false;
};
Layout layout(const Bytes& p) {
    Layout l;
    l.v6 = p.at(0) >> 4 == 6;
    if (!l.v6) {
        l.l4 = (p.at(0) & 0xFU) * 4U;
        l.protocol = p.at(9);
        l.later = (get16(p, 6) & 0x1FFF) != 0;
        l.fragment = (get16(p, 6) & 0x3FFF) != 0;
        return l;
    }
    l.l4 = 40;
    l.protocol = p.at(6);
    if (l.protocol == 44) {
        l.protocol = p.at(40);
        l.later = get16(p, 42) >> 3 != 0;
        l.fragment = true;
        l.l4 = 48;
    }
    return l;
}

bool is_error(const Layout& l, std::uint8_t type) {
    return l.protocol == kIcmp ? type == 3 || type == 4 || type == 5 || type == 11 || type == 12
                               : l.protocol == kIcmp6 && type >= 1 && type <= 4;
}

}  // namespace

net::IpAddress address(const std::string& text) {
    const Bytes bytes = wire(text);
    if (bytes.size() == 4) return net::Ipv4Address::of(bytes[0], bytes[1], bytes[2], bytes[3]);
    net::IpAddress result;
    std::copy(bytes.begin(), bytes.end(), result.bytes.begin());
    return result;
}

Bytes packet_of(const Words& w) {
    const Bytes l4 = w.rest.empty() ? transport(w) : w.rest;
    Bytes packet;
    if (is_v6(w.source)) {
        const bool fragmented = w.fragment != 0;
        put32(packet, 0x60000000);
        put16(packet, static_cast<unsigned>(l4.size() + (fragmented ? 8 : 0)));
        put8(packet, fragmented ? 44 : w.protocol);
        put8(packet, 64);
        append(packet, wire(w.source));
        append(packet, wire(w.destination));
        if (fragmented) {
            put8(packet, w.protocol);
            put8(packet, 0);
            put16(packet, (w.fragment & 0x1FFFU) << 3U | ((w.fragment & 0x2000U) != 0 ? 1 : 0));
            put32(packet, w.id);
        }
    } else {
        put16(packet, 0x4500);
        put16(packet, static_cast<unsigned>(20 + l4.size()));
        put16(packet, w.id & 0xFFFF);
        put16(packet, w.fragment);
        put8(packet, 64);
        put8(packet, w.protocol);
        put16(packet, 0);
        append(packet, wire(w.source));
        append(packet, wire(w.destination));
        set16(packet, 10, static_cast<std::uint16_t>(~sum(packet)));
    }
    append(packet, l4);
    return packet;
}

Read read(const Bytes& packet) {
    const Layout l = layout(packet);
    Read r;
    r.source = shown(packet, l.v6 ? 8 : 12, l.v6);
    r.destination = shown(packet, l.v6 ? 24 : 16, l.v6);
    r.protocol = l.protocol;
    if (l.later) return r;
    if (l.protocol == kTcp || l.protocol == kUdp || l.protocol == 132) {
        r.source_port = get16(packet, l.l4);
        r.destination_port = get16(packet, l.l4 + 2);
    } else if (l.protocol == kIcmp || l.protocol == kIcmp6) {
        r.source_port = get16(packet, l.l4 + 4);
    }
    return r;
}

Bytes quoted(const Bytes& error) {
    const Layout l = layout(error);
    return {error.begin() + static_cast<std::ptrdiff_t>(l.l4 + 8), error.end()};
}

bool checksums_right(const Bytes& packet, bool whole) {
    const Layout l = layout(packet);
    if (!l.v6 &&
        sum(Bytes(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(l.l4))) != 0xFFFF)
        return false;
    if (l.later || l.fragment || !whole) return true;
    const Bytes l4(packet.begin() + static_cast<std::ptrdiff_t>(l.l4), packet.end());
    if (l.protocol != kTcp && l.protocol != kUdp && l.protocol != kIcmp && l.protocol != kIcmp6)
        return true;
    if (l.protocol == kUdp && get16(l4, 6) == 0) return true;
    Bytes covered;
    if (l.protocol != kIcmp) {
        const std::size_t size = l.v6 ? 16 : 4;
        const auto at = packet.begin() + (l.v6 ? 8 : 12);
        const auto step = static_cast<std::ptrdiff_t>(size);
        covered =
            pseudo(Bytes(at, at + step), Bytes(at + step, at + 2 * step), l.protocol, l4.size());
    }
    append(covered, l4);
    if (sum(covered) != 0xFFFF) return false;
    if (!is_error(l, l4.at(0))) return true;
    const Bytes inside = quoted(packet);
    const Layout i = layout(inside);
    const std::size_t length = i.v6 ? 40U + get16(inside, 4) : get16(inside, 2);
    return checksums_right(inside, inside.size() >= length);
}

std::string text(const Bytes& packet) {
    std::string out;
    for (const std::uint8_t byte : packet) {
        std::array<char, 3> two{};
        std::snprintf(two.data(), two.size(), "%02x", byte);
        out += two.data();
    }
    return out;
}

Buffer::Buffer(const Bytes& packet) : memory_(kEthernet + packet.size()) {
    std::copy(packet.begin(), packet.end(), memory_.begin() + kEthernet);
    mbuf_.buf_addr = memory_.data();
    mbuf_.data_off = 0;
    mbuf_.data_len = static_cast<std::uint16_t>(memory_.size());
    mbuf_.pkt_len = static_cast<std::uint32_t>(memory_.size());
    mbuf_.buf_len = static_cast<std::uint16_t>(memory_.size());
    mbuf_.nb_segs = 1;
    rte_mbuf_refcnt_set(&mbuf_, 1);
}

Bytes Buffer::bytes() const {
    return {memory_.begin() + kEthernet, memory_.end()};
}

World::World(std::vector<table::HookRule> list, std::uint32_t capacity,
             table::ConnTimeouts timeouts)
    : conntrack(capacity, timeouts), rules(std::move(list)) {}

void World::slave(std::uint16_t number, std::uint16_t zone) {
    zones_.at(number) = zone;
}

std::uint16_t World::zone(std::uint16_t slave) const {
    return slave == table::kNoSlave ? std::uint16_t{0} : zones_.at(slave);
}

step::HookContext World::context(std::uint16_t slave) const {
    step::HookContext ctx;
    ctx.hooks = &rules;
    ctx.conntrack = const_cast<table::Conntrack*>(&conntrack);
    ctx.counters = const_cast<table::RuleCounters*>(&counters);
    ctx.now = now;
    ctx.slave = slave;
    ctx.zone = zone(slave);
    ctx.masquerade4 = address(kPublic4).v4();
    ctx.masquerade6 = address(kPublic6);
    return ctx;
}

Outcome World::out(const Bytes& packet, std::uint16_t slave) {
    Buffer buffer(packet);
    Outcome o;
    o.ctx = context(slave);
    o.verdict = buffer.parse();
    if (o.passed()) o.verdict = step::output(buffer.l3, o.ctx, o.meta);
    if (o.passed()) o.verdict = step::postrouting(buffer.l3, o.ctx, o.meta);
    o.packet = buffer.bytes();
    return o;
}

Outcome World::in(const Bytes& packet, std::uint16_t to) {
    Buffer buffer(packet);
    Outcome o;
    o.ctx = context(table::kNoSlave);
    o.verdict = buffer.parse();
    if (o.passed()) o.verdict = step::prerouting(buffer.l3, o.ctx, o.meta);
    if (o.passed()) {
        o.ctx.exit_slave = o.ctx.knows_way ? o.ctx.to_slave : to;
        o.ctx.exit_zone = zone(o.ctx.exit_slave);
        o.verdict = step::input(buffer.l3, o.ctx, o.meta);
    }
    o.packet = buffer.bytes();
    return o;
}

Outcome World::across(const Bytes& packet, std::uint16_t slave, std::uint16_t to) {
    Buffer buffer(packet);
    Outcome o;
    o.ctx = context(slave);
    o.verdict = buffer.parse();
    if (o.passed()) o.verdict = step::output(buffer.l3, o.ctx, o.meta);
    if (o.passed()) {
        o.ctx.exit_slave = o.ctx.knows_way ? o.ctx.to_slave : to;
        o.ctx.exit_zone = zone(o.ctx.exit_slave);
        o.ctx.more_hooks = true;
        o.verdict = step::postrouting(buffer.l3, o.ctx, o.meta);
        o.ctx.more_hooks = false;
    }
    o.ctx.hooks = nullptr;  // the receiver has no rules
    if (o.passed()) o.verdict = step::prerouting(buffer.l3, o.ctx, o.meta);
    if (o.passed()) o.verdict = step::input(buffer.l3, o.ctx, o.meta);
    o.packet = buffer.bytes();
    return o;
}

table::HookRule masquerade(std::uint16_t low, std::uint16_t high) {
    table::HookRule rule;
    rule.hook = table::Hook::postrouting;
    rule.priority = table::hook_priority::kSourceNat;
    rule.verdict = table::RuleVerdict::masquerade;
    rule.to_ports = {low, high};
    return rule;
}

std::vector<table::HookRule> one_to_one(const std::string& public_, const std::string& private_,
                                        std::uint16_t slave, std::uint16_t zone) {
    table::HookRule in;
    in.hook = table::Hook::prerouting;
    in.priority = table::hook_priority::kDestinationNat;
    in.verdict = table::RuleVerdict::dnat;
    in.destination = {address(public_), 128};
    in.to = address(private_);
    in.to_slave = slave;
    table::HookRule turned = in;
    turned.hook = table::Hook::output;
    table::HookRule out;
    out.hook = table::Hook::postrouting;
    out.priority = table::hook_priority::kSourceNat;
    out.verdict = table::RuleVerdict::snat;
    out.source = {address(private_), 128};
    out.zone = zone;
    out.to = address(public_);
    return {in, turned, out};
}

}  // namespace vxplane::support::hooks
