// Facts of frames. Reads them by itself, without the parsers of the data plane.
#include "ipvlan_facts.hpp"

#include <algorithm>

namespace vxplane::oracle {
namespace {

constexpr std::size_t kMacHeader = 14;

unsigned word_at(const Bytes& frame, std::size_t at) {
    return at + 2 <= frame.size() ? unsigned{frame[at]} << 8 | frame[at + 1] : 0U;
}
bool is_tag(unsigned type) {
    return type == 0x8100 || type == 0x88A8;
}

/// Where the network header is, and of what type.
struct L3 {
    std::size_t at = kMacHeader;
    unsigned type = 0;
    unsigned tags = 0;
};
L3 l3_of(const Bytes& frame) {
    L3 l3{kMacHeader, word_at(frame, 12), 0};
    while (is_tag(l3.type) && l3.tags < 4) l3 = {l3.at + 4, word_at(frame, l3.at + 2), l3.tags + 1};
    return l3;
}

void note_route(const net::IpAddress& to, const IpvlanSetup& setup, Facts& facts) {
    const Network::Route* route = setup.host.route_to(to);
    if (route == nullptr)
        facts.insert("route_none");
    else if (route->type == table::RouteType::unreachable)
        facts.insert("route_unreachable");
    else if (route->type == table::RouteType::blackhole)
        facts.insert("route_blackhole");
    else if (route->type == table::RouteType::prohibit)
        facts.insert("route_prohibit");
    else if (route->device != setup.host.device)
        facts.insert("route_other_device");
}

void note_destination(const net::IpAddress& to, const IpvlanSetup& setup, Facts& facts) {
    if (setup.owner(to) != nullptr) {
        facts.insert("to_slave");
    } else if (setup.host.owns(to)) {
        facts.insert("to_host");
        const auto here = [&](const Network::Address& one) {
            return one.address == to && one.device == setup.host.device;
        };
        if (std::none_of(setup.host.addresses.begin(), setup.host.addresses.end(), here))
            facts.insert("route_other_device");
    } else {
        note_route(to, setup, facts);
    }
}

unsigned mtu_towards(const net::IpAddress& to, const IpvlanSetup& setup) {
    const Network::Route* route = setup.host.route_to(to);
    return route == nullptr || route->mtu == 0 ? setup.host.mtu : route->mtu;
}

void note_ip4(const Bytes& frame, std::size_t at, const IpvlanSetup& setup, Facts& facts) {
    const std::size_t header = at < frame.size() ? (frame[at] & 0xFU) * 4U : 0U;
    const std::size_t total = word_at(frame, at + 2);
    if (frame.size() < at + 20 || frame[at] >> 4 != 4 || header < 20 || total < header ||
        frame.size() < at + total) {
        facts.insert("ip4_malformed");
        if (frame.size() < at + 20) return;
    } else {
        if (frame.size() > at + total) facts.insert("padded");
        if (support::rfc1071(Bytes(frame.begin() + long(at), frame.begin() + long(at + header))) !=
            0)
            facts.insert("ip4_bad_checksum");
    }
    if (frame[at + 8] == 0) facts.insert("ttl_zero");
    const unsigned from = frame[at + 12];
    const unsigned to = frame[at + 16];
    const net::Ipv4Address source =
        net::Ipv4Address::of(frame[at + 12], frame[at + 13], frame[at + 14], frame[at + 15]);
    const net::Ipv4Address goal =
        net::Ipv4Address::of(frame[at + 16], frame[at + 17], frame[at + 18], frame[at + 19]);
    if (total > mtu_towards(goal, setup)) facts.insert("oversize");
    if (from == 127) facts.insert("from_loopback");
    if (from >> 4 == 0xE) facts.insert("from_group");
    if (source.number() == ~0U || setup.host.is_broadcast(source)) facts.insert("from_broadcast");
    if (source.number() == 0) facts.insert("from_unspecified");
    if (to == 127) facts.insert("to_loopback");
    if (to == 0) facts.insert("to_zero");
    if (to >> 4 == 0xE) facts.insert("to_group");
    if (goal.number() == ~0U || setup.host.is_broadcast(goal)) facts.insert("to_broadcast");
    if (setup.host.is_network(goal)) facts.insert("to_network_address");
    note_destination(goal, setup, facts);
}

void note_ip6(const Bytes& frame, std::size_t at, const IpvlanSetup& setup, Facts& facts) {
    const std::size_t total = 40 + word_at(frame, at + 4);
    if (frame.size() < at + 40 || frame[at] >> 4 != 6 || frame.size() < at + total)
        facts.insert("ip6_malformed");
    else if (frame.size() > at + total)
        facts.insert("padded");
    if (frame.size() < at + 40) return;
    net::IpAddress source, to;
    std::copy_n(frame.begin() + long(at) + 8, 16, source.bytes.begin());
    std::copy_n(frame.begin() + long(at) + 24, 16, to.bytes.begin());
    static const net::IpAddress kLoopback = ip_address("::1");
    if (total > mtu_towards(to, setup)) facts.insert("oversize");
    if (frame[at + 7] == 0) facts.insert("ttl_zero");
    if (source == kLoopback) facts.insert("from_loopback");
    if (source.bytes[0] == 0xFF) facts.insert("from_group");
    if (source.is_unset()) facts.insert("from_unspecified");
    if (source.is_unset() && frame[at + 6] == 58) facts.insert("icmp6_from_unspecified");
    if (to == kLoopback) facts.insert("to_loopback");
    if (to.is_unset()) facts.insert("to_zero");
    if (to.bytes[0] == 0xFF) facts.insert("to_group");
    if (source.is_v4() || to.is_v4()) facts.insert("mapped_address");
    if (!to.is_v4()) note_destination(to, setup, facts);
}

void note_frame(const Injected& injected, const IpvlanSetup& setup, Facts& facts) {
    facts.insert(injected.port == "ext"    ? "from_wire"
                 : injected.port == "host" ? "from_host"
                                           : "from_slave");
    const Bytes& frame = injected.frame;
    if (frame.size() < kMacHeader) return;
    if ((frame[0] & 1U) != 0) facts.insert("group_frame");
    if (std::equal(frame.begin(), frame.begin() + 6, setup.host.mac.bytes.begin()))
        facts.insert("own_mac");
    const L3 l3 = l3_of(frame);
    if (l3.tags != 0) facts.insert("tagged");
    if (l3.tags > 1) facts.insert("double_tagged");
    // By its target.
    if (l3.type == 0x0806 && frame.size() >= l3.at + 28)
        note_destination(net::Ipv4Address::of(frame[l3.at + 24], frame[l3.at + 25],
                                              frame[l3.at + 26], frame[l3.at + 27]),
                         setup, facts);
    if (l3.type == 0x0800) facts.insert("ipv4");
    if (l3.type == 0x86DD) facts.insert("ipv6");
    if (l3.type == 0x0800) note_ip4(frame, l3.at, setup, facts);
    if (l3.type == 0x86DD) note_ip6(frame, l3.at, setup, facts);
}

const char* word_of(table::IpvlanMode mode) {
    return mode == table::IpvlanMode::l2   ? "mode_l2"
           : mode == table::IpvlanMode::l3 ? "mode_l3"
                                           : "mode_l3s";
}
const char* word_of(table::IpvlanFlag flag) {
    return flag == table::IpvlanFlag::bridge     ? "flag_bridge"
           : flag == table::IpvlanFlag::private_ ? "flag_private"
                                                 : "flag_vepa";
}

}  // namespace

Frames without_tag_at_host(Frames frames) {
    for (Bytes& frame : frames["host"])
        if (frame.size() >= 18 && is_tag(word_at(frame, 12)))
            frame.erase(frame.begin() + 12, frame.begin() + 16);
    if (frames["host"].empty()) frames.erase("host");
    return frames;
}

Frames without_padding(const IpvlanCase& one) {
    Frames frames = one.expect;
    if (one.inject.size() != 1) return frames;
    const Bytes& in = one.inject.front().frame;
    for (auto& [port, all] : frames) {
        for (Bytes& frame : all) {
            const L3 l3 = l3_of(frame);
            if (l3.tags != 0 || in.size() != frame.size() || frame.size() < kMacHeader + 40)
                continue;
            if (l3.type == 0x0800) {
                // Length and checksum as they came in; the packet ends where it says.
                for (const std::size_t at : {16, 17, 24, 25}) frame[at] = in[at];
                frame.resize(std::min(frame.size(), kMacHeader + word_at(frame, kMacHeader + 2)));
            } else if (l3.type == 0x86DD) {
                for (const std::size_t at : {18, 19}) frame[at] = in[at];
                frame.resize(
                    std::min(frame.size(), kMacHeader + 40 + word_at(frame, kMacHeader + 4)));
            }
        }
    }
    return frames;
}

Facts ipvlan_facts_of(const IpvlanCase& one, const IpvlanSetup& setup) {
    Facts facts{"ipvlan", word_of(setup.mode), word_of(setup.flag)};
    for (const Injected& injected : one.inject) note_frame(injected, setup, facts);
    for (const char* word : {"from_loopback", "from_group", "from_broadcast", "from_unspecified"})
        if (facts.contains(word)) facts.insert("bad_source");
    if (facts.contains("from_slave") && facts.contains("to_slave") &&
        facts.contains("flag_private"))
        facts.insert("between_private");
    if (setup.just_left) facts.insert("group_just_left");
    for (const auto& [name, slave] : setup.slaves)
        for (const Network::Address& taken : slave.addresses)
            if (setup.host.owns(taken.address)) facts.insert("host_address_at_slave");
    if (!one.by_stack.empty()) facts.insert("kernel_asks");
    if (one.expect.empty() && one.by_stack.empty()) facts.insert("kernel_silent");
    for (const auto& [port, frames] : one.expect)
        facts.insert(port == "ext"              ? "kernel_sends"
                     : port.starts_with("host") ? "kernel_gives_to_host"
                                                : "kernel_delivers");
    for (const auto& [name, datagrams] : one.accepted)
        if (name != "host") facts.insert("kernel_delivers");
    return facts;
}

}  // namespace vxplane::oracle
