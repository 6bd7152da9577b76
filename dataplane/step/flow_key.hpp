// The short way of packets whose connection is there already, where no rule is asked: one glance
// says what a plain packet belongs to, and a line says it to later stages. All else goes the long
// way of SlaveHooks, which this one must equal.
#pragma once

#include <cstdint>

#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/headers.hpp"
#include "dataplane/packet/packet.hpp"
#include "dataplane/step/track.hpp"

namespace vxplane::step {

/// What is known of a packet ahead of the step that needs it.
struct alignas(64) FlowKey {
    table::Conntrack::TupleWords words;
    std::uint64_t hash;
    table::Conntrack* conntrack;  ///< null: nothing of this is set, there is a SlaveHooks
};
static_assert(sizeof(FlowKey) == 64);

/// TCP or UDP, whole, over IPv4 without options, behind an Ethernet header: `key` is set, and the
/// first line of what is known of its connection fetched. False for all else. The frame is of type
/// IPv4, and reaches to the end of that header.
[[gnu::always_inline]] inline bool read_flow_key(const packet::Packet& p,
                                                 table::Conntrack& conntrack, std::uint16_t zone,
                                                 FlowKey& key) noexcept {
    constexpr std::uint32_t kIp = sizeof(net::EthernetHeader);
    constexpr std::uint32_t kL4 = kIp + sizeof(net::Ipv4Header);
    const auto& ip = *p.at<net::Ipv4Header>(kIp);
    const std::uint32_t total = ip.total_length.value();
    const bool tcp = ip.protocol == net::ip_protocol::kTcp;
    const std::uint32_t least = sizeof ip + (tcp ? sizeof(net::TcpHeader) : sizeof(net::UdpHeader));
    if (ip.version_ihl != net::Ipv4Header::kPlain || ip.is_fragment() ||
        (!tcp && ip.protocol != net::ip_protocol::kUdp) || total < least ||
        p.contiguous() < kIp + least || p.length() < kIp + total) {
        return false;
    }
    if (tcp) {
        const std::uint32_t size = p.at<net::TcpHeader>(kL4)->header_length();
        if (size < sizeof(net::TcpHeader) || size > total - sizeof ip) {
            return false;
        }
    }
    key.words = {0, net::IpAddress::v4_high(ip.source), 0, net::IpAddress::v4_high(ip.destination),
                 last_word(net::load<std::uint32_t>(p.data() + kL4), ip.protocol, zone)};
    key.hash = conntrack.hash(key.words);
    key.conntrack = &conntrack;
    conntrack.prefetch(key.hash);
    return true;
}

/// The connection of a packet with a FlowKey, if `takes` it and the packet changes nothing of its
/// state: then it is counted. None: nothing has happened, and the packet goes the long way.
template <class Takes>
[[gnu::always_inline]] inline table::ConnRef find_steady(const packet::Packet& p,
                                                         const FlowKey& key, std::uint32_t now,
                                                         Takes takes) noexcept {
    table::Conntrack& conntrack = *key.conntrack;
    constexpr std::uint32_t kIp = sizeof(net::EthernetHeader);
    const table::ConnRef ref = conntrack.find_at_once(key.words, key.hash, now);
    if (!ref || !takes(conntrack.at(ref), ref.direction())) [[unlikely]] {
        return {};
    }
    const auto& ip = *p.at<net::Ipv4Header>(kIp);
    table::ConnPacket facts;
    facts.bytes = ip.total_length.value();
    if (ip.protocol == net::ip_protocol::kTcp) {
        const auto& tcp = *p.at<net::TcpHeader>(kIp + sizeof ip);
        facts.tcp_flags = tcp.flags;
        facts.tcp_acknowledgement = tcp.acknowledgement.value();
    }
    return conntrack.note_steady(ref, facts, now) ? ref : table::ConnRef{};
}

/// Changes one half of a packet with a FlowKey to what its connection says.
[[gnu::noinline]] void translate_known(packet::Packet& p, const table::Connection& c,
                                       table::Direction direction, Half half) noexcept;

}  // namespace vxplane::step
