// Frames that are too long for their tunnel: whose sender is told, and what routers of the underlay
// tell us.
#include <gtest/gtest.h>

#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

constexpr std::uint16_t kDontFragment = 0x4000;

Frame datagram(std::size_t size, std::uint16_t fragment = kDontFragment, std::uint8_t to = 12) {
    return a_frame().to(host(to)).ipv4({.fragment = fragment}).udp(1, 2).payload(size - 28);
}

TEST(TooBig, VX23_control_is_asked_to_tell_the_sender_of_a_datagram_that_may_not_be_fragmented) {
    Scene s;
    Golden(s.lab, s.vm1, datagram(1450))
        .out(s.up, s.to_remote(datagram(1450)))
        .tunnelled(s.red, 1, 1464)
        .uncut()
        .check();
    Golden(s.lab, s.vm1, datagram(1451))
        .punts(packet::Punt::too_big)
        .counts("segment.red.oversize", 1)
        .uncut()
        .check();
    const Frame v6 = a_frame().to(host(12)).ipv6().udp(1, 2).payload(1451 - 48);
    Golden(s.lab, s.vm1, v6)
        .punts(packet::Punt::too_big)
        .counts("segment.red.oversize", 1)
        .uncut()
        .check();
}

TEST(TooBig, VX23_what_fits_is_said_with_the_question) {
    Scene s;
    Seen seen = s.lab.receive(s.vm1, {datagram(1451).bytes()});
    ASSERT_EQ(seen.punted.size(), 1U);
    EXPECT_EQ(seen.punted[0].tunnel, 1450U);
    EXPECT_EQ(seen.punted[0].in_port, s.vm1);
    EXPECT_EQ(seen.punted[0].if_refused, DropReason::tunnel_oversize);
    s.lab.segment_entry(s.red).max_frame = 1414;
    s.lab.publish();
    seen = s.lab.receive(s.vm1, {datagram(1450).bytes()});
    ASSERT_EQ(seen.punted.size(), 1U);
    EXPECT_EQ(seen.punted[0].tunnel, 1400U);
}

TEST(TooBig, VX26_who_may_be_fragmented_and_who_speaks_no_ip_is_told_nothing) {
    Scene s;
    const Frame other = a_frame().to(host(12)).type(0x88B5).payload(1451);
    for (const Frame& frame : {datagram(1451, 0), other})
        Golden(s.lab, s.vm1, frame)
            .drops(DropReason::tunnel_oversize)
            .counts("segment.red.oversize", 1)
            .uncut()
            .check();
}

TEST(TooBig, VX23_VX25_copies_of_a_flood_are_told_of_once_and_not_one_by_one) {
    SceneWords words;
    words.red.mtu = 1400;
    Scene s(words);
    const Frame v6 = a_frame().to(host(77)).ipv6().udp(1, 2).payload(1401 - 48);
    for (const Frame& frame : {datagram(1401, kDontFragment, 77), v6}) {
        Golden(s.lab, s.vm1, frame)
            .out(s.vm2, frame)
            .flooded(s.red, 3)
            .punts(packet::Punt::too_big)
            .drops(DropReason::tunnel_oversize, 2)
            .counts("segment.red.oversize", 3)
            .uncut()
            .check();
        const Seen seen = s.lab.receive(s.vm1, {frame.bytes()});
        ASSERT_EQ(seen.punted.size(), 1U);
        EXPECT_EQ(seen.punted[0].tunnel, 1400U);
        EXPECT_EQ(seen.punted[0].in_port, s.vm1);
    }
}

TEST(TooBig, VX23_of_a_flood_whose_copies_fit_in_part_the_first_that_does_not_is_told) {
    Scene s;
    table::TunnelSpec narrow = s.spec(3);
    narrow.underlay_mtu = 1350;
    s.lab.replace_tunnel(s.t3, narrow);
    s.lab.publish();
    const Frame frame = datagram(1400, kDontFragment, 77);
    const Seen seen = s.lab.receive(s.vm1, {frame.bytes()});
    ASSERT_EQ(seen.punted.size(), 1U);
    EXPECT_EQ(seen.punted[0].tunnel, 1300U);
    EXPECT_EQ(seen.moved.at("segment.red.oversize"), 1U);
    EXPECT_EQ(seen.moved.at("segment.red.tx_packets"), 2U);
    EXPECT_EQ(seen.moved.count("drop.tunnel_oversize"), 0U);
    EXPECT_EQ(seen.broken_law, "");
}

TEST(TooBig, VX26_of_floods_to_all_and_of_what_may_be_fragmented_nobody_is_told) {
    SceneWords words;
    words.red.mtu = 1400;
    Scene s(words);
    Frame to_all = datagram(1401);
    to_all.to(mac("ff:ff:ff:ff:ff:ff"));
    Frame to_group = a_frame().ipv6({.destination = "ff05::77"}).udp(1, 2).payload(1401 - 48);
    to_group.to(mac("33:33:00:00:00:77"));
    for (const Frame& frame : {to_all, to_group, datagram(1401, 0, 77)})
        Golden(s.lab, s.vm1, frame)
            .out(s.vm2, frame)
            .flooded(s.red, 3)
            .drops(DropReason::tunnel_oversize, 3)
            .counts("segment.red.oversize", 3)
            .uncut()
            .check();
}

/// From a router, about a packet of ours.
Frame told(const Scene& s, std::uint8_t code, std::uint16_t dstport, std::uint8_t protocol = 17) {
    const Bytes quoted = a_frame()
                             .ipv4({.source = Scene::kLocal,
                                    .destination = "10.0.0.2",
                                    .fragment = kDontFragment,
                                    .protocol = protocol})
                             .udp(40000, dstport)
                             .bytes();
    Bytes message{3, code, 0, 0, 0, 0, 5, 20};
    message.insert(message.end(), quoted.begin() + 14, quoted.begin() + 14 + 28);
    return a_frame()
        .to(s.local_mac)
        .from(Scene::remote_mac(2))
        .ipv4({.source = "10.0.0.2", .destination = Scene::kLocal, .protocol = 1})
        .payload(message);
}

TEST(TooBig, VX28_news_of_a_tunnels_path_go_to_control_and_other_news_to_the_host) {
    Scene s;
    Golden(s.lab, s.up, told(s, 4, 4789)).punts(packet::Punt::icmp).uncut().as_received().check();
    for (const Frame& other : {told(s, 4, 53), told(s, 1, 4789), told(s, 4, 4789, 6)})
        Golden(s.lab, s.up, other).drops(DropReason::host_unclaimed).uncut().check();
}

}  // namespace
}  // namespace vxplane::support
