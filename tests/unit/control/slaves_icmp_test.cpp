// What slaves are told about packets that go no further.
#include "config/parse.hpp"
#include "slaves_fixture.hpp"

namespace vxplane::control {
namespace {

/// red may send jumbo frames, and the way out takes 1500 bytes.
class ControlJumbo : public ControlSlaves {
  protected:
    ControlJumbo() {
        topology.ports[0].mtu = 9000;
        topology.ipvlans[0].slaves[0].addresses.push_back({six("fd00::5"), 128});
        topology.ipvlans[0].slaves[0].routes.push_back({});
        topology.ipvlans[0].slaves[0].routes.back().to = {six("fd00:1::"), 32};
        topology.ipvlans[0].slaves[0].routes.back().hops.resize(1);
        topology.ipvlans[0].slaves[0].routes.back().hops[0].via = six("fd00:2::1");
    }
    static config::IpAddress six(const std::string& text) { return *config::parse_ip(text); }
    static std::uint16_t at16(const Bytes& bytes, std::size_t at) {
        return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
    }
};

TEST_F(ControlJumbo, IV45_a_packet_in_several_buffers_is_told_the_mtu_that_it_meets) {
    begin_ipvlan();
    Frame large = a_frame();
    large.to(world.mac_of(world.up))
        .from(world.mac_of(world.up))
        .ipv4({.source = "10.1.0.5", .destination = "8.8.8.8", .fragment = 0x4000})
        .udp(1000, 2000)
        .payload(8000);
    receive(world.vm1, large);
    tick();
    const auto told = sent_by(world.vm1);
    ASSERT_EQ(told.size(), 1U);
    ASSERT_EQ(told[0].size(), 14U + 576);
    EXPECT_EQ(told[0][34], 3U);  // fragmentation needed
    EXPECT_EQ(told[0][35], 4U);
    EXPECT_EQ(at16(told[0], 40), 1500U);
    const Bytes sent = large.bytes();
    EXPECT_TRUE(std::equal(told[0].begin() + 42, told[0].end(), sent.begin() + 14)) << "the quote";
    EXPECT_EQ(support::rfc1071(Bytes(told[0].begin() + 34, told[0].end())), 0U);
    expect_law();
}

TEST_F(ControlJumbo, IV45_and_so_is_one_of_ipv6) {
    begin_ipvlan();
    Frame large = a_frame();
    large.to(world.mac_of(world.up))
        .from(world.mac_of(world.up))
        .ipv6({.source = "fd00::5", .destination = "fd00:1::9"})
        .udp(1000, 2000)
        .payload(8000);
    receive(world.vm1, large);
    tick();
    const auto told = sent_by(world.vm1);
    ASSERT_EQ(told.size(), 1U);
    ASSERT_EQ(told[0].size(), 14U + 1280);
    EXPECT_EQ(told[0][54], 2U);  // packet too big
    EXPECT_EQ(at16(told[0], 60), 1500U);
    const Bytes sent = large.bytes();
    EXPECT_TRUE(std::equal(told[0].begin() + 62, told[0].end(), sent.begin() + 14)) << "the quote";
    expect_law();
}

TEST_F(ControlJumbo, RP62_a_packet_in_several_buffers_is_held_and_its_sender_is_told) {
    topology.ports[0].mtu = 9000;
    table::PortEntry wide = bridge.port(world.up);
    wide.max_frame = 9014;
    bridge.set_port(world.up, wide);
    begin_ipvlan();
    Frame large = a_frame();
    large.to(world.mac_of(world.up))
        .from(world.mac_of(world.up))
        .ipv4({.source = "10.1.0.5", .destination = "8.8.8.8"})
        .udp(1000, 2000)
        .payload(8000);
    receive(world.vm1, large);
    pass(4s);
    const auto told = sent_by(world.vm1);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0].size(), 14U + 576);
    EXPECT_EQ(told[0][35], 1U);
    EXPECT_EQ(control_drops(DropReason::neigh_failed), 1U);
    expect_law();
}

TEST_F(ControlJumbo,
       VX27_a_routed_slave_is_told_no_oftener_than_others_and_each_family_for_itself) {
    begin_ipvlan();
    punts.set_icmp_rate(10);
    const auto sends = [this](const Frame& frame) {
        forget_sent();
        // Few enough for the share of one port in what control is asked.
        for (int i = 0; i < 25; ++i) receive(world.vm1, frame);
        tick();
        return sent_by(world.vm1).size();
    };
    const auto routed = [this] { return a_frame().to(world.mac_of(world.up)); };
    const std::uint64_t before = punts.icmp_suppressed();
    const std::size_t four =
        sends(routed()
                  .ipv4({.source = "10.1.0.5", .destination = "8.8.8.8", .fragment = 0x4000})
                  .udp(1000, 2000)
                  .payload(1600));
    // The second in which the sender is may change once.
    EXPECT_TRUE(four >= 10 && four <= 20) << four;
    EXPECT_EQ(punts.icmp_suppressed() - before, 25 - four);
    const std::size_t six = sends(routed()
                                      .ipv6({.source = "fd00::5", .destination = "fd00:1::9"})
                                      .udp(1000, 2000)
                                      .payload(1600));
    EXPECT_TRUE(six >= 10 && six <= 20) << six;
    EXPECT_EQ(punts.icmp_suppressed() - before, 50 - four - six);
    expect_law();
}

}  // namespace
}  // namespace vxplane::control
