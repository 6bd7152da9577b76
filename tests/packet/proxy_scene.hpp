// What tests of ARP and neighbour discovery stand on: a segment that knows who has which address.
#pragma once

#include "dataplane/net/icmpv6.hpp"
#include "tests/support/scene.hpp"

namespace vxplane::support {

namespace watch = table::watch;

inline const net::MacAddress kEverybody = mac("ff:ff:ff:ff:ff:ff");

inline net::IpAddress ip6(std::uint8_t last) {
    net::IpAddress address;
    address.bytes = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last};
    return address;
}

/// Host 12 (192.0.2.12, 2001:db8::c) is behind 10.0.0.2, host 2 (192.0.2.2, 2001:db8::2) is at
/// vm2, and of host 40 (192.0.2.40) nobody knows where it is. Host 13 is a router behind 10.0.0.3.
struct ProxyScene : Scene {
    explicit ProxyScene(unsigned bits) {
        lab.segment_entry(red).watch = static_cast<std::uint16_t>(bits);
        lab.fdb(red, host(13), FdbKind::tunnel, t3, FdbState::permanent);
        lab.complete = [this](table::Tables& tables) {
            using table::ScopedAddress;
            tables.segment_neighbours = std::make_shared<const table::AddressMap>(
                std::vector<std::pair<ScopedAddress, std::uint32_t>>{
                    {{ip("192.0.2.12"), red}, 0},
                    {{ip6(12), red}, 0},
                    {{ip("192.0.2.2"), red}, 1},
                    {{ip6(2), red}, 1},
                    {{ip("192.0.2.40"), red}, 2},
                    {{ip6(13), red}, 3},
                    {{ip("192.0.2.99"), blue}, 0}});
            tables.known_neighbours = table::Shared{std::vector<table::SegmentNeighbour>{
                {host(12), false}, {host(2), false}, {host(40), false}, {host(13), true}}};
            tables.routers = std::make_shared<const table::FlatMap>(
                std::vector<std::pair<std::uint64_t, std::uint32_t>>{
                    {table::FdbKey::make(host(13).number(), red).raw, 0}});
        };
        lab.publish();
    }
    Golden asks(const Frame& frame) { return {lab, vm1, frame}; }
    /// To every other member of red.
    Golden& is_flooded(Golden& golden, const Frame& frame) {
        return golden.out(vm2, frame)
            .out(up, to_remote(frame, 3))
            .out(up, to_remote(frame, 4))
            .out(up, to_remote(frame, 2))
            .tunnelled(red, 3, 3 * frame.size())
            .flooded(red, 3);
    }
};

inline Frame asked_by_arp(const char* target, const char* sender = "192.0.2.1") {
    return a_frame().to(kEverybody).arp({.sender = sender, .target = target});
}
inline Frame arp_answer(std::uint8_t who, const char* address) {
    return a_frame().to(host(1)).from(host(who)).arp({.operation = 2,
                                                      .sender_mac = host(who),
                                                      .sender = address,
                                                      .target_mac = host(1),
                                                      .target = "192.0.2.1"});
}
template <class Array>
Frame frame_of(const Array& bytes) {
    const auto* begin = reinterpret_cast<const std::uint8_t*>(bytes.data());
    return raw_frame(Bytes(begin, begin + bytes.size()));
}
inline Frame solicitation(std::uint8_t target) {
    const net::IpAddress group = net::solicited_node(ip6(target));
    return frame_of(net::make_nd({net::group_mac(group), host(1), ip6(1), group,
                                  net::Icmpv6Header::kSolicitation, 0, ip6(target)}));
}
inline Frame nd_answer(std::uint8_t who, bool router) {
    return frame_of(
        net::make_nd({host(1), host(who), ip6(who), ip6(1), net::Icmpv6Header::kAdvertisement,
                      net::NdHeader::kSolicited | net::NdHeader::kOverride |
                          (router ? net::NdHeader::kRouter : 0U),
                      ip6(who)}));
}

}  // namespace vxplane::support
