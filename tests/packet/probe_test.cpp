// Probes for duplicate addresses (RFC 5227, RFC 4862): whose business they are, and when a segment
// answers them for owners behind tunnels.
#include <gtest/gtest.h>

#include "proxy_scene.hpp"

namespace vxplane::support {
namespace {

/// A solicitation from nobody, which has no option.
Frame dad(std::uint8_t target, net::MacAddress from = host(1)) {
    Bytes bytes = solicitation(target).bytes();
    bytes.resize(bytes.size() - 8);
    const auto* sender = reinterpret_cast<const std::uint8_t*>(from.bytes.data());
    std::copy(sender, sender + 6, bytes.begin() + 6);
    std::fill(bytes.begin() + 22, bytes.begin() + 38, std::uint8_t{0});
    bytes[19] = 24;
    bytes[56] = bytes[57] = 0;
    const auto* packet = reinterpret_cast<const std::byte*>(bytes.data());
    const auto& header = net::view<net::Ipv6Header>(packet + 14);
    const std::uint16_t sum =
        net::finish(net::add_bytes(net::pseudo_header(header, net::ip_protocol::kIcmpv6, 24),
                                   packet + 54, 24))
            .value();
    bytes[56] = static_cast<std::uint8_t>(sum >> 8);
    bytes[57] = static_cast<std::uint8_t>(sum);
    return raw_frame(bytes);
}
Frame probe(const char* target, net::MacAddress from = host(1)) {
    return a_frame()
        .to(kEverybody)
        .from(from)
        .arp({.sender_mac = from, .sender = "0.0.0.0", .target = target});
}
/// What defends an address: to all nodes, and not solicited.
Frame defence(std::uint8_t who, bool router = false) {
    return frame_of(net::make_nd({net::group_mac(net::all_nodes()), host(who), ip6(who),
                                  net::all_nodes(), net::Icmpv6Header::kAdvertisement,
                                  net::NdHeader::kOverride | (router ? net::NdHeader::kRouter : 0U),
                                  ip6(who)}));
}
Frame arp_defence(std::uint8_t who, const char* address) {
    return a_frame().to(host(1)).from(host(who)).arp({.operation = 2,
                                                      .sender_mac = host(who),
                                                      .sender = address,
                                                      .target_mac = host(1),
                                                      .target = "0.0.0.0"});
}

TEST(Probes, VX84_probes_announcements_and_duplicate_detection_are_for_the_owner) {
    for (const unsigned bits :
         {unsigned{watch::kProxy}, unsigned{watch::kProxy | watch::kProxyLocal}}) {
        ProxyScene s(bits);
        const auto unsolicited = frame_of(
            net::make_nd({net::group_mac(net::all_nodes()), host(1), ip6(1), net::all_nodes(),
                          net::Icmpv6Header::kAdvertisement, net::NdHeader::kOverride, ip6(1)}));
        for (const Frame& frame :
             {probe("192.0.2.12"), asked_by_arp("192.0.2.12", "192.0.2.12"),
              asked_by_arp("192.0.2.1", "192.0.2.1"),
              a_frame().to(kEverybody).arp({.operation = 2, .target = "192.0.2.1"}), dad(12),
              // A permanent entry may be replaced by a controller, so its owner may be elsewhere.
              dad(13), unsolicited}) {
            Golden golden = s.asks(frame);
            s.is_flooded(golden, frame).uncut().check();
        }
    }
}

TEST(Probes, VX84_duplicate_detection_for_a_remote_address_that_does_not_move_is_answered) {
    ProxyScene s(watch::kProxy);
    s.lab.fdb(s.red, host(13), FdbKind::tunnel, s.t3, FdbState::static_);
    s.asks(dad(13)).out(s.vm1, defence(13, true)).counts("segment.red.answered", 1).uncut().check();
    // A controller's entry moves when the controller says so, and ARP has no such rule.
    s.lab.fdb(s.red, host(12), FdbKind::tunnel, s.t2, FdbState::controller);
    for (const Frame& frame : {dad(12), probe("192.0.2.12")}) {
        Golden golden = s.asks(frame);
        s.is_flooded(golden, frame).uncut().check();
    }
    // Nor is anything said for who is here.
    s.lab.fdb(s.red, host(2), FdbKind::port, s.vm2, FdbState::static_);
    Golden golden = s.asks(dad(2));
    s.is_flooded(golden, dad(2)).uncut().check();
}

TEST(Probes, VX84_with_the_option_probes_are_answered_for_every_remote_owner) {
    ProxyScene s(watch::kProxy | watch::kProxyProbes);
    s.asks(dad(12)).out(s.vm1, defence(12)).counts("segment.red.answered", 1).uncut().check();
    s.asks(probe("192.0.2.12"))
        .out(s.vm1, arp_defence(12, "192.0.2.12"))
        .counts("segment.red.answered", 1)
        .uncut()
        .check();
    // For others, and for what announces, it is as without.
    for (const Frame& frame :
         {dad(2), dad(77), probe("192.0.2.2"), probe("192.0.2.40"), probe("192.0.2.77"),
          probe("127.0.0.1"), probe("0.0.0.0"), asked_by_arp("192.0.2.12", "192.0.2.12")}) {
        Golden golden = s.asks(frame);
        s.is_flooded(golden, frame).uncut().check();
    }
    // Without proxy the option says nothing.
    ProxyScene off(watch::kProxyProbes);
    Golden golden = off.asks(dad(12));
    off.is_flooded(golden, dad(12)).uncut().check();
}

TEST(Probes, VX84_who_has_moved_here_is_told_of_no_duplicate_of_itself) {
    ProxyScene s(watch::kProxy | watch::kProxyProbes);
    for (const Frame& frame : {dad(12, host(12)), probe("192.0.2.12", host(12))}) {
        s.lab.fdb(s.red, host(12), FdbKind::tunnel, s.t2, FdbState::dynamic);
        const Seen seen = s.lab.receive(s.vm1, frame);
        expect_law(seen);
        EXPECT_TRUE(seen.sent_by(s.vm1).empty());
        ASSERT_EQ(seen.sent_by(s.vm2).size(), 1U);
        EXPECT_EQ(seen.sent_by(s.vm2)[0], frame.bytes());
        EXPECT_EQ(seen.sent_by(s.up).size(), 3U);
    }
}

}  // namespace
}  // namespace vxplane::support
