// Who is told of frames that do not get on their way, and how often.
#include "punts_fixture.hpp"

namespace vxplane::control {
namespace {

TEST_F(ControlPunts, VX27_the_rate_of_answers_is_settable) {
    routes.v4.add(ip("10.3.0.0").number(), 16, {table::RouteType::unreachable, 0, 0});
    with_remote("10.3.0.2");
    const auto answered = [this](std::uint32_t rate) {
        punts.set_icmp_rate(rate);
        now += 2s;
        forget_sent();
        for (int i = 0; i < 20; ++i) receive(world.vm1, numbered(1));
        tick();
        return sent_by(world.vm1).size();
    };
    EXPECT_EQ(answered(0), 0U);
    const std::uint64_t before = punts.icmp_suppressed();
    EXPECT_EQ(before, 20U);
    // The second in which the source is may change once.
    const std::size_t few = answered(3);
    EXPECT_TRUE(few >= 3 && few <= 6) << few;
    EXPECT_EQ(punts.icmp_suppressed() - before, 20 - few);
    EXPECT_EQ(answered(1000), 20U);
    expect_law();
}

TEST_F(ControlPunts, VX23_RP62_who_waited_for_a_way_that_came_to_take_less_is_told) {
    with_remote();
    forget_sent();
    const auto datagram = [](std::uint16_t fragment) {
        Frame frame = a_frame();
        return frame.to(host(20))
            .from(host(1))
            .ipv4({.source = "192.0.2.1", .destination = "192.0.2.20", .fragment = fragment})
            .udp(1000, 2000)
            .payload(1422);
    };
    receive(world.vm1, datagram(0x4000));  // may not be fragmented
    receive(world.vm1, datagram(0));
    tick();
    ASSERT_EQ(punts.held(), 2U);
    SegmentSpec less = red();
    less.mtu = 1400;
    ASSERT_FALSE(bridge.change_segment(0, less, now));
    bridge.commit();
    forget_sent();
    receive(world.up, {arp_reply("10.0.0.2", kPeerMac)});
    tick();
    EXPECT_EQ(punts.held(), 0U);
    EXPECT_EQ(control_drops(DropReason::tunnel_oversize), 2U);
    const auto told = sent_by(world.vm1);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(icmp_of(told[0]), (std::pair<unsigned, unsigned>{3, 4}));
    EXPECT_EQ(cut(told[0], 40, 2), (Bytes{1400 >> 8, 1400 & 0xFF}));
    expect_law();
}

}  // namespace
}  // namespace vxplane::control
