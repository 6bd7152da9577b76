// Facts of frames. Reads them by itself, without the parsers of the data plane.
#include "facts.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "dataplane/table/segment_watch.hpp"

namespace vxplane::oracle {
namespace {

constexpr std::size_t kEthernet = 14;

std::uint16_t be16(const Bytes& frame, std::size_t at) {
    return at + 2 <= frame.size() ? static_cast<std::uint16_t>(frame[at] << 8 | frame[at + 1])
                                  : std::uint16_t{0};
}
std::uint8_t byte(const Bytes& frame, std::size_t at) {
    return at < frame.size() ? frame[at] : std::uint8_t{0};
}
bool is_tag(std::uint16_t type) {
    return type == 0x8100 || type == 0x88A8;
}
bool is_group_ip(const Bytes& frame, std::size_t at) {
    return byte(frame, at) >= 224;
}

/// Addresses of the bridge and of its ports: the kernel keeps their frames for itself.
bool is_bridge_mac(const Bytes& frame, std::size_t at, const Topology& topology) {
    if (frame.size() < at + 6) return false;
    for (const char* name : {"br0", "vx0", "acc", "acc2", "br1", "vx1"}) {
        const auto mac = topology.macs.find(name);
        if (mac == topology.macs.end()) continue;
        const net::MacAddress address = support::mac(mac->second);
        if (std::equal(address.bytes.begin(), address.bytes.end(), frame.begin() + long(at)))
            return true;
    }
    return false;
}

struct L3 {
    std::uint16_t type = 0;
    std::size_t at = 0;
    bool tagged = false;
    [[nodiscard]] bool is_ip() const { return type == 0x0800 || type == 0x86DD; }
    /// Bytes of the fixed header.
    [[nodiscard]] std::size_t least() const {
        return type == 0x0800 ? 20 : type == 0x86DD ? 40 : 0;
    }
};

L3 l3_of(const Bytes& frame, std::size_t at) {
    L3 l3{be16(frame, at + 12), at + kEthernet, false};
    for (int tags = 0; tags < 2 && is_tag(l3.type); ++tags)
        l3 = {be16(frame, l3.at + 2), l3.at + 4, true};
    return l3;
}

/// What an untagged ARP message or neighbour solicitation is about.
void note_question(const Bytes& frame, const Setup& setup, Facts& facts) {
    const auto known = [&](const std::string& address) {
        const auto host = setup.segment_hosts.find(address);
        return host != setup.segment_hosts.end() && !setup.fdb.contains(host->second) &&
               !setup.local_macs.contains(host->second);
    };
    const auto text = [&](int family, std::size_t at) {
        std::array<char, INET6_ADDRSTRLEN> out{};
        inet_ntop(family, frame.data() + at, out.data(), out.size());
        return std::string(out.data());
    };
    if (be16(frame, 12) == 0x0806 && frame.size() >= kEthernet + 28) {
        const bool probe = be16(frame, kEthernet + 14) == 0 && be16(frame, kEthernet + 16) == 0;
        const bool gratuitous =
            std::equal(frame.begin() + kEthernet + 14, frame.begin() + kEthernet + 18,
                       frame.begin() + kEthernet + 24);
        if (be16(frame, kEthernet + 6) != 1 || probe || gratuitous) facts.insert("for_the_owner");
        if (known(text(AF_INET, kEthernet + 24))) facts.insert("asks_for_unplaced");
    }
    constexpr std::size_t kNd = kEthernet + 40;
    const bool to_group = (byte(frame, 0) & 1U) != 0;
    if (be16(frame, 12) == 0x86DD && byte(frame, kEthernet + 6) == 58) {
        if (byte(frame, kNd) == 136 && to_group) facts.insert("announces");
        if (byte(frame, kNd) == 135 && !to_group) facts.insert("asks_one");
    }
    if (be16(frame, 12) != 0x86DD || frame.size() < kNd + 24 || byte(frame, kNd) != 135) return;
    const Bytes message(frame.begin() + kNd, frame.end());
    std::uint32_t pseudo = static_cast<std::uint32_t>(message.size()) + 58;
    for (std::size_t at = kEthernet + 8; at < kNd; at += 2) pseudo += be16(frame, at);
    if (std::all_of(frame.begin() + kEthernet + 8, frame.begin() + kEthernet + 24,
                    [](std::uint8_t one) { return one == 0; }))
        facts.insert("for_the_owner");
    if (byte(frame, kEthernet + 7) != 255 || support::rfc1071(message, pseudo) != 0)
        facts.insert("nd_invalid");
    if (known(text(AF_INET6, kNd + 8))) facts.insert("asks_for_unplaced");
}

void note_tenant(const Bytes& frame, const Setup& setup, const Topology& topology, Facts& facts) {
    const L3 l3 = l3_of(frame, 0);
    if (l3.tagged) facts.insert("tagged");
    if (!l3.is_ip()) facts.insert("not_ip");
    note_question(frame, setup, facts);
    if (frame.size() < l3.at + l3.least()) facts.insert("truncated");
    if (frame.size() > std::size_t{std::min(setup.mtu, setup.most())} + kEthernet)
        facts.insert("oversize");
    if (is_bridge_mac(frame, 0, topology)) facts.insert("to_bridge_mac");
    for (const auto& [mac, remote] : setup.fdb) {
        const net::MacAddress address = support::mac(mac);
        if (frame.size() >= 6 &&
            std::equal(address.bytes.begin(), address.bytes.end(), frame.begin()))
            facts.insert("known_destination");
    }
}

void note_inner(const Bytes& frame, std::size_t udp, const Setup& setup, const Topology& topology,
                Facts& facts) {
    if (be16(frame, udp + 2) != setup.dstport) return;
    const std::size_t inner = udp + 16;
    const L3 l3 = l3_of(frame, inner);
    if (l3.tagged) facts.insert("inner_tagged");
    if (is_bridge_mac(frame, inner, topology)) facts.insert("inner_to_bridge_mac");
    if (frame.size() < l3.at + l3.least()) facts.insert("inner_truncated");
}

void note_outer6(const Bytes& frame, const Setup& setup, const Topology& topology, Facts& facts) {
    if (frame.size() < kEthernet + 40) return;
    facts.insert("outer_ipv6");
    if ((byte(frame, 0) & 1U) != 0 || byte(frame, kEthernet + 24) == 0xFF)
        facts.insert("outer_to_group");
    if ((byte(frame, kEthernet + 1) & 0x30U) != 0) facts.insert("outer_ecn");
    net::IpAddress source;
    std::copy_n(frame.begin() + kEthernet + 8, 16, source.bytes.begin());
    if (source.is_unset()) facts.insert("outer_from_nobody");
    if (std::find(setup.addresses.begin(), setup.addresses.end(), source) != setup.addresses.end())
        facts.insert("outer_from_own");
    std::uint8_t next = byte(frame, kEthernet + 6);
    std::size_t at = kEthernet + 40;
    while ((next == 0 || next == 43 || next == 44 || next == 60) && at + 8 <= frame.size()) {
        facts.insert(next == 44 ? "outer_fragment" : "outer_options");
        const std::size_t length = next == 44 ? 8U : (byte(frame, at + 1) + 1U) * 8U;
        next = byte(frame, at);
        at += length;
    }
    if (next == 17) note_inner(frame, at, setup, topology, facts);
}

void note_outer(const Bytes& frame, const Setup& setup, const Topology& topology, Facts& facts) {
    if (is_tag(be16(frame, 12))) facts.insert("outer_tagged");
    if (be16(frame, 12) == 0x86DD) note_outer6(frame, setup, topology, facts);
    if (be16(frame, 12) != 0x0800) return;
    const std::size_t header = (byte(frame, kEthernet) & 0xFU) * 4U;
    if ((be16(frame, kEthernet + 6) & 0x3FFFU) != 0) facts.insert("outer_fragment");
    if (header > 20) facts.insert("outer_options");
    if ((byte(frame, 0) & 1U) != 0) facts.insert("outer_to_group");
    const std::uint32_t to =
        std::uint32_t{be16(frame, kEthernet + 16)} << 16 | be16(frame, kEthernet + 18);
    if (is_group_ip(frame, kEthernet + 16)) facts.insert("outer_to_group");
    for (const Setup::Route& route : setup.routes)
        if (route.via.is_unset() && route.to.is_v4() && route.length < 31 &&
            to == (route.to.v4().number() | ~net::prefix_mask(route.length)))
            facts.insert("outer_to_group");
    if ((byte(frame, kEthernet + 1) & 3U) != 0) facts.insert("outer_ecn");
    const std::size_t udp = kEthernet + header;
    if (byte(frame, kEthernet + 9) == 17) note_inner(frame, udp, setup, topology, facts);
}

void note_kernel(const Case& one, Facts& facts) {
    if (one.expect.empty()) facts.insert("kernel_silent");
    for (const auto& [port, frames] : one.expect) {
        for (const Bytes& frame : frames) {
            if (port == "wire") {
                facts.insert("kernel_at_wire");
                if (be16(frame, 12) == 0x0800 && (be16(frame, kEthernet + 6) & 0x3FFFU) != 0)
                    facts.insert("kernel_fragments");
                continue;
            }
            facts.insert("kernel_delivers");
            const std::size_t l4 = kEthernet + (byte(frame, kEthernet) & 0xFU) * 4U;
            const bool too_big4 = be16(frame, 12) == 0x0800 && byte(frame, kEthernet + 9) == 1 &&
                                  be16(frame, l4) == 0x0304;
            const bool too_big6 = be16(frame, 12) == 0x86DD && byte(frame, kEthernet + 6) == 58 &&
                                  byte(frame, kEthernet + 40) == 2;
            if (too_big4 || too_big6) facts.insert("kernel_too_big");
        }
    }
}

}  // namespace

bool is_own_stack(const Bytes& frame) {
    switch (be16(frame, 12)) {
        case 0x0806:
            return true;
        case 0x0800:
            return byte(frame, kEthernet + 9) == 1 || byte(frame, kEthernet + 9) == 2;
        case 0x86DD:
            return byte(frame, kEthernet + 6) == 58 || byte(frame, kEthernet + 6) == 0;
        default:
            return false;
    }
}

Frames without_inner_ecn(Frames frames) {
    for (auto& [port, all] : frames) {
        if (port == "wire") continue;
        for (Bytes& frame : all) {
            const L3 l3 = l3_of(frame, 0);
            if (!l3.is_ip() || frame.size() < l3.at + l3.least()) continue;
            if (l3.type == 0x0800) {
                frame[l3.at + 1] &= 0xFC;
                frame[l3.at + 10] = frame[l3.at + 11] = 0;
            } else {
                frame[l3.at + 1] &= 0xCF;
            }
        }
    }
    return frames;
}

Frames without_outer_df(Frames frames) {
    for (Bytes& frame : frames["wire"]) {
        const L3 l3 = l3_of(frame, 0);
        if (l3.type != 0x0800 || frame.size() < l3.at + l3.least()) continue;
        frame[l3.at + 6] &= 0xBF;
        frame[l3.at + 10] = frame[l3.at + 11] = 0;
        const auto begin = frame.begin() + static_cast<std::ptrdiff_t>(l3.at);
        const std::uint16_t sum = support::rfc1071(Bytes(begin, begin + 20));
        frame[l3.at + 10] = static_cast<std::uint8_t>(sum >> 8);
        frame[l3.at + 11] = static_cast<std::uint8_t>(sum);
    }
    return frames;
}

bool names(const Bytes& frame, const std::string& mac) {
    const net::MacAddress address = support::mac(mac);
    return std::search(frame.begin(), frame.end(), address.bytes.begin(), address.bytes.end()) !=
           frame.end();
}

Facts facts_of(const Case& one, const Setup& setup, const Topology& topology) {
    Facts facts{"vxlan"};
    for (const Injected& injected : one.inject) {
        if (injected.port == "wire")
            note_outer(injected.frame, setup, topology, facts);
        else if (!setup.bare)
            note_tenant(injected.frame, setup, topology, facts);
    }
    note_kernel(one, facts);
    facts.insert(setup.said.begin(), setup.said.end());
    for (const auto& [mac, fact] : setup.refused_macs)
        for (const Injected& injected : one.inject)
            if (names(injected.frame, mac)) facts.insert(fact);
    if (setup.vni == 0) facts.insert("vni_zero");
    if (setup.neigh_suppress) facts.insert("neigh_suppress");
    if (setup.options.group_policy) facts.insert("gbp");
    if (setup.options.gpe) facts.insert("gpe");
    if (setup.local_foreign) facts.insert("local_foreign");
    if ((setup.watch & table::watch::kProxy) != 0) facts.insert("proxy");
    return facts;
}

}  // namespace vxplane::oracle
