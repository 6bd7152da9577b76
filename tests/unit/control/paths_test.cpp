// Paths of tunnels: what routers say is believed for a while where it can be true, and tenants are
// told what fits.
#include "stack.hpp"

namespace vxplane::control {
namespace {

class ControlPaths : public Stack {
  protected:
    /// vm1's frames to host 20 leave for 10.0.0.2 and may not be fragmented.
    void with_remote(bool dont_fragment = true) {
        SegmentSpec spec = red();
        spec.profile.dont_fragment = dont_fragment;
        segment(spec);
        begin();
        ASSERT_FALSE(bridge.add(to_remote(host(20), "10.0.0.2"), now));
        tick();
        receive(world.up, {arp_reply("10.0.0.2", mac("02:00:00:00:00:99"))});
        tick();
        id = tunnels.find(tunnels.profile_id(spec.profile), ip("10.0.0.2")).value();
        forget_sent();
    }
    static PathMtuNews says(std::uint16_t mtu) {
        PathMtuNews news;
        news.is_whole = true;
        news.local = ip("10.0.0.1");
        news.remote = ip("10.0.0.2");
        news.source_port = 40'000;
        news.dstport = 4789;
        news.length = 1500;
        news.dont_fragment = true;
        news.mtu = mtu;
        return news;
    }
    [[nodiscard]] unsigned inner_mtu() const { return tunnels.line(id).max_frame - 14U; }
    static Frame datagram(std::size_t size, std::uint16_t fragment) {
        return a_frame()
            .to(host(20))
            .from(host(1))
            .ipv4({.source = "192.0.2.1", .destination = "192.0.2.20", .fragment = fragment})
            .udp(1000, 2000)
            .payload(size - 28);
    }
    std::uint32_t id = 0;
};

TEST_F(ControlPaths, VX28_a_path_is_believed_to_be_narrow_for_600_seconds) {
    with_remote();
    EXPECT_EQ(inner_mtu(), 1450U);
    EXPECT_EQ(tunnels.learn_path_mtu(says(1300), now), PathMtuResult::lowered);
    EXPECT_EQ(tunnels.path_mtu(ip("10.0.0.2")), 1300);
    EXPECT_EQ(inner_mtu(), 1250U);
    EXPECT_EQ(tunnels.line(id).state, table::TunnelState::ready);
    tunnels.tick(now + 599s);
    EXPECT_EQ(inner_mtu(), 1250U);
    // Said again, it counts from then on; what left before is no news.
    EXPECT_EQ(tunnels.learn_path_mtu(says(1300), now + 100s), PathMtuResult::known);
    EXPECT_EQ(tunnels.learn_path_mtu(says(1400), now + 300s), PathMtuResult::known);
    tunnels.tick(now + 699s);
    EXPECT_EQ(tunnels.path_mtus(), 1U);
    EXPECT_EQ(tunnels.learn_path_mtu(says(1200), now + 100s), PathMtuResult::lowered);
    tunnels.tick(now + 700s);
    EXPECT_EQ(tunnels.path_mtus(), 0U);
    EXPECT_EQ(inner_mtu(), 1450U);
    EXPECT_EQ(tunnels.line(id).state, table::TunnelState::ready);
}

TEST_F(ControlPaths, VX28_a_path_takes_a_datagram_of_576_bytes_whatever_is_said) {
    with_remote();
    EXPECT_EQ(tunnels.learn_path_mtu(says(0), now), PathMtuResult::lowered);
    EXPECT_EQ(tunnels.path_mtu(ip("10.0.0.2")), 626U);
    EXPECT_EQ(inner_mtu(), 576U);
}

TEST_F(ControlPaths, VX28_what_we_cannot_have_sent_changes_nothing) {
    with_remote();
    const auto expect_forged = [&](auto&& change) {
        PathMtuNews said = says(1300);
        change(said);
        EXPECT_EQ(tunnels.learn_path_mtu(said, now), PathMtuResult::forged);
    };
    expect_forged([](PathMtuNews& n) { n.local = ip("10.0.0.9"); });
    expect_forged([](PathMtuNews& n) { n.remote = ip("10.0.0.9"); });
    expect_forged([](PathMtuNews& n) { n.dstport = 8472; });
    expect_forged([](PathMtuNews& n) { n.source_port = 32'767; });
    expect_forged([](PathMtuNews& n) { n.source_port = 60'999; });
    expect_forged([](PathMtuNews& n) { n.dont_fragment = false; });
    expect_forged([](PathMtuNews& n) { n.length = 1501; });
    expect_forged([](PathMtuNews& n) { n.length = 1300; });
    EXPECT_EQ(tunnels.path_mtus(), 0U);
    EXPECT_EQ(inner_mtu(), 1450U);
}

TEST_F(ControlPaths, VX28_packets_that_may_be_fragmented_cause_no_such_message) {
    with_remote(false);
    EXPECT_EQ(tunnels.learn_path_mtu(says(1300), now), PathMtuResult::forged);
}

TEST_F(ControlPaths, VX23_a_tenant_is_told_what_fits_and_VX26_only_who_asked_for_it) {
    with_remote();
    receive(world.vm1, datagram(1451, 0x4000));
    tick();
    auto told = sent_by(world.vm1);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0].size(), 14U + 576U);
    EXPECT_EQ((Bytes{told[0][34], told[0][35], told[0][40], told[0][41]}), (Bytes{3, 4, 5, 0xAA}));
    EXPECT_EQ(control_drops(DropReason::tunnel_oversize), 1U);
    receive(world.vm1, datagram(1451, 0));
    tick();
    EXPECT_TRUE(sent_by(world.vm1).empty());
    // A path that became narrow.
    ASSERT_EQ(tunnels.learn_path_mtu(says(1300), now), PathMtuResult::lowered);
    tick();
    receive(world.vm1, datagram(1251, 0x4000));
    tick();
    told = sent_by(world.vm1);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ((Bytes{told[0][40], told[0][41]}), (Bytes{4, 0xE2}));
    expect_law();
}

TEST_F(ControlPaths, VX08_a_route_says_which_address_is_ours_and_what_its_way_takes) {
    begin();
    TunnelProfile profile = red().profile;
    table::Route route{table::RouteType::unicast, world.up, ip("10.0.0.2").number()};
    route.src = ip("10.0.0.77").number();
    route.mtu = 1300;
    ASSERT_TRUE(routes.v4.add(ip("198.51.100.0").number(), 24, route));
    for (const bool by_route : {false, true}) {
        profile.local = by_route ? 0 : ip("10.0.0.1").number();
        const auto led = tunnels.acquire(tunnels.profile_id(profile), ip("198.51.100.9"), now);
        ASSERT_TRUE(led);
        EXPECT_EQ(tunnels.line(*led).ip.source, ip(by_route ? "10.0.0.77" : "10.0.0.1"));
        EXPECT_EQ(tunnels.line(*led).max_frame, 1264U);
        tunnels.release(*led);
    }
}

TEST_F(ControlPaths, VX19_a_tunnel_to_an_own_address_is_led_nowhere_or_to_the_wire) {
    begin();
    TunnelProfile profile = red().profile;
    const auto at = [&] {
        return tunnels.line(*tunnels.acquire(tunnels.profile_id(profile), ip("10.0.0.1"), now));
    };
    EXPECT_EQ(at().state, table::TunnelState::local);
    EXPECT_EQ(at().udp.destination.value(), 4789);
    profile.local_bypass = false;
    EXPECT_EQ(at().state, table::TunnelState::ready);
    EXPECT_EQ(at().out_port, world.up);
    EXPECT_EQ(at().ethernet.destination, world.mac_of(world.up));
}

TEST_F(ControlPaths, VX27_one_sender_is_told_100_times_a_second_at_most) {
    with_remote();
    const auto began = Neighbours::Clock::now();
    for (int i = 0; i < 400; ++i) {
        receive(world.vm1, datagram(1451, 0x4000));
        tick();
    }
    const auto took = Neighbours::Clock::now() - began;
    const std::size_t told = sent_by(world.vm1).size();
    EXPECT_GE(told, 1U);
    EXPECT_LE(told, 100U * (static_cast<std::size_t>(took / 1s) + 2));
    EXPECT_EQ(
        worker_drops(DropReason::tunnel_oversize) + control_drops(DropReason::tunnel_oversize),
        400U);
    expect_law();
}

TEST_F(ControlPaths, VX27_a_sender_of_ipv6_is_told_no_oftener_and_alone) {
    with_remote();
    punts.set_icmp_rate(10);
    const auto sends = [this](const std::string& source) {
        forget_sent();
        // Few enough for the share of one port in what control is asked.
        for (int i = 0; i < 25; ++i) {
            receive(world.vm1, a_frame()
                                   .to(host(20))
                                   .from(host(1))
                                   .ipv6({.source = source, .destination = "fd00::20"})
                                   .udp(1000, 2000)
                                   .payload(1500 - 48));
        }
        tick();
        const auto told = sent_by(world.vm1);
        for (const Bytes& one : told) {
            EXPECT_EQ(one.at(20), 58U);
            EXPECT_EQ(one.at(54), 2U);  // packet too big
        }
        return told.size();
    };
    const std::uint64_t before = punts.icmp_suppressed();
    // The second in which the sender is may change once.
    const std::size_t first = sends("fd00::1");
    EXPECT_TRUE(first >= 10 && first <= 20) << first;
    EXPECT_EQ(punts.icmp_suppressed() - before, 25 - first);
    const std::size_t other = sends("fd00::2");
    EXPECT_TRUE(other >= 10 && other <= 20) << other;
    EXPECT_EQ(punts.icmp_suppressed() - before, 50 - first - other);
    expect_law();
}

}  // namespace
}  // namespace vxplane::control
