// What workers hand to control and what comes of it: next hops, ARP, ICMP, and the account of it.
#include "punts_fixture.hpp"

namespace vxplane::control {
namespace {

TEST_F(ControlPunts, RP61_a_new_tunnel_asks_for_its_next_hop_three_times) {
    with_remote();
    auto asked = sent_by(world.up);
    ASSERT_EQ(asked.size(), 1U);
    EXPECT_EQ(cut(asked[0], 0, 6), Bytes(6, 0xff));
    EXPECT_EQ(asked[0].size(), 60U);
    EXPECT_EQ(cut(asked[0], 38, 4), (Bytes{10, 0, 0, 2}));
    pass(4s);
    EXPECT_EQ(sent_by(world.up).size(), 2U);
    const NeighbourKey key{world.up, ip("10.0.0.2")};
    EXPECT_EQ(neighbours.find(key, now)->state, NeighbourState::failed);
    pass(6s);
    EXPECT_GE(sent_by(world.up).size(), 1U);  // a wanted next hop is asked again
    expect_law();
}

TEST_F(ControlPunts, RP62_packets_wait_and_leave_in_order_encapsulated) {
    with_remote();
    forget_sent();
    for (unsigned i = 0; i < 90; ++i) {
        receive(world.vm1, numbered(i));
    }
    tick();
    EXPECT_EQ(punts.held(), 90U);
    EXPECT_TRUE(sent_by(world.up).empty());
    expect_law();
    receive(world.up, {arp_reply("10.0.0.2", kPeerMac)});
    tick();
    EXPECT_EQ(punts.held(), 0U);
    const auto frames = sent_by(world.up);
    ASSERT_EQ(frames.size(), 90U);
    for (unsigned i = 0; i < frames.size(); ++i) {
        const Outer outer = take_apart(frames[i]);
        ASSERT_TRUE(outer.whole);
        EXPECT_EQ(outer.to, kPeerMac);
        EXPECT_EQ(outer.from, world.mac_of(world.up));
        EXPECT_EQ(outer.source, ip("10.0.0.1"));
        EXPECT_EQ(outer.destination, ip("10.0.0.2"));
        EXPECT_TRUE(outer.ip_checksum_right);
        EXPECT_EQ(outer.destination_port, 4789);
        EXPECT_EQ(outer.vni_word, 7U << 8);
        EXPECT_EQ(outer.inner, numbered(i).bytes());
    }
    // From now on the worker sends by itself, with the same source port for the flow.
    receive(world.vm1, numbered(7));
    const auto direct = sent_by(world.up);
    ASSERT_EQ(direct.size(), 1U);
    EXPECT_EQ(take_apart(direct[0]).source_port, take_apart(frames[7]).source_port);
    EXPECT_EQ(punts.counters().taken, 91U);  // and the answer
    expect_law();
}

TEST_F(ControlPunts, RP62_after_the_last_request_packets_are_dropped_and_the_sender_is_told) {
    with_remote();
    receive(world.vm1, numbered(1));
    tick();
    forget_sent();
    pass(4s);
    EXPECT_EQ(punts.held(), 0U);
    EXPECT_EQ(control_drops(DropReason::neigh_failed), 1U);
    const auto told = sent_by(world.vm1);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(icmp_of(told[0]), (std::pair<unsigned, unsigned>{3, 1}));  // host unreachable
    EXPECT_EQ(cut(told[0], 0, 6), (Bytes{2, 0, 0, 0, 0, 1}));
    EXPECT_EQ(cut(told[0], 30, 4), (Bytes{192, 0, 2, 1}));
    expect_law();
}

TEST_F(ControlPunts, RP62_the_oldest_packet_goes_first_when_the_queue_is_full) {
    with_remote();
    // A short frame takes a whole buffer away from others.
    constexpr std::size_t kBuffer = sizeof(rte_mbuf) + RTE_MBUF_DEFAULT_BUF_SIZE;
    const std::size_t fit = NeighbourOptions{}.queue_bytes / kBuffer;
    std::vector<Bytes> frames;
    for (std::size_t i = 0; i < fit + 3; ++i) {
        Frame frame = numbered(0);
        Bytes payload(1000, 0);
        payload[0] = static_cast<std::uint8_t>(i);
        payload[1] = static_cast<std::uint8_t>(i >> 8);
        frames.push_back(frame.payload(payload).bytes());
    }
    for (const Bytes& frame : frames) {
        receive(world.vm1, {frame});
        tick();
    }
    EXPECT_EQ(control_drops(DropReason::neigh_queue_full), 3U);
    EXPECT_EQ(punts.held(), fit);
    forget_sent();
    receive(world.up, {arp_reply("10.0.0.2", kPeerMac)});
    tick();
    const auto sent = sent_by(world.up);
    ASSERT_EQ(sent.size(), fit);
    EXPECT_EQ(take_apart(sent.front()).inner, frames[3]);
    EXPECT_EQ(take_apart(sent.back()).inner, frames.back());
    expect_law();
}

TEST_F(ControlPunts, RP64_an_unasked_answer_makes_no_entry_and_updates_a_known_one) {
    with_remote();
    const std::size_t before = neighbours.size();
    receive(world.up, {arp_reply("10.0.0.77", kOtherMac)});
    tick();
    EXPECT_EQ(neighbours.size(), before);
    receive(world.up, {arp_reply("10.0.0.2", kPeerMac)});
    tick();
    pass(2s);
    forget_sent();
    receive(world.up, {arp_reply("10.0.0.2", kOtherMac)});
    tick();
    receive(world.vm1, numbered(1));
    const auto sent = sent_by(world.up);
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(take_apart(sent[0]).to, kOtherMac);
    expect_law();
}

TEST_F(ControlPunts, RP65_requests_for_our_address_are_answered_and_for_others_not) {
    begin();
    const auto ask = [&](const char* target) {
        receive(world.up, a_frame()
                              .to(net::MacAddress::broadcast())
                              .from(kPeerMac)
                              .arp({.operation = 1,
                                    .sender_mac = kPeerMac,
                                    .sender = "10.0.0.2",
                                    .target = target})
                              .padded());
        tick();
        return sent_by(world.up);
    };
    const auto answer = ask("10.0.0.1");
    ASSERT_EQ(answer.size(), 1U);
    EXPECT_EQ(cut(answer[0], 20, 2), (Bytes{0, 2}));
    EXPECT_EQ(cut(answer[0], 28, 4), (Bytes{10, 0, 0, 1}));
    EXPECT_EQ(cut(answer[0], 0, 6), Bytes(kPeerMac.bytes.begin(), kPeerMac.bytes.end()));
    EXPECT_TRUE(ask("10.0.0.99").empty());
    expect_law();
}

TEST_F(ControlPunts, RP65_somebody_with_our_address_is_news) {
    begin();
    std::vector<std::string> told;
    punts.on_news([&](std::string_view what, NeighbourKey key, net::MacAddress other) {
        told.emplace_back(what);
        EXPECT_EQ(key.address, ip("10.0.0.1"));
        EXPECT_EQ(other, kPeerMac);
    });
    receive(world.up, {arp_reply("10.0.0.1", kPeerMac)});
    tick();
    EXPECT_EQ(told, std::vector<std::string>{"conflict"});
    punts.on_news({});
}

TEST_F(ControlPunts, malformed_arp_is_dropped_for_that_reason) {
    begin();
    Bytes bad = arp_reply("10.0.0.2", kPeerMac);
    bad[18] = 5;  // length of a hardware address
    receive(world.up, {bad});
    receive(world.up, {cut(arp_reply("10.0.0.2", kPeerMac), 0, 30)});
    receive(world.up, {cut(arp_reply("10.0.0.2", kPeerMac), 0, 14)});
    tick();
    EXPECT_EQ(control_drops(DropReason::arp_malformed), 3U);
    EXPECT_EQ(punts.counters().dropped, 3U);
    expect_law();
}

TEST_F(ControlPunts, an_echo_request_to_us_is_answered_and_a_wrong_one_dropped) {
    begin();
    Frame ping = a_frame();
    ping.to(world.mac_of(world.up))
        .from(kPeerMac)
        .ipv4({.source = "10.0.0.2", .destination = "10.0.0.1"})
        .icmp_echo()
        .payload(56);
    receive(world.up, ping);
    tick();
    const auto answer = sent_by(world.up);
    ASSERT_EQ(answer.size(), 1U);
    EXPECT_EQ(icmp_of(answer[0]), (std::pair<unsigned, unsigned>{0, 0}));
    EXPECT_EQ(cut(answer[0], 0, 6), Bytes(kPeerMac.bytes.begin(), kPeerMac.bytes.end()));
    Bytes wrong = ping.bytes();
    wrong.back() ^= 1U;
    receive(world.up, {wrong});
    tick();
    EXPECT_EQ(control_drops(DropReason::icmp_malformed), 1U);
    EXPECT_TRUE(sent_by(world.up).empty());
    EXPECT_EQ(punts.counters().consumed, 1U);
    expect_law();
}

TEST_F(ControlPunts, RP71_each_type_of_route_has_its_reason_and_its_answer) {
    begin();
    struct Case {
        const char* remote;
        std::optional<table::RouteType> type;
        DropReason reason;
        std::optional<unsigned> code;  ///< of ICMP destination unreachable
    };
    using table::RouteType;
    const Case cases[] = {
        {"10.2.0.2", RouteType::blackhole, DropReason::tunnel_blackhole, std::nullopt},
        {"10.3.0.2", RouteType::unreachable, DropReason::tunnel_unreachable, 1},
        {"10.4.0.2", RouteType::prohibit, DropReason::tunnel_prohibited, 13},
        {"10.5.0.2", RouteType::throw_, DropReason::tunnel_no_route, 0},
        {"10.6.0.2", std::nullopt, DropReason::tunnel_no_route, 0},
    };
    std::map<DropReason, std::uint64_t> expected;
    std::uint8_t number = 20;
    for (const Case& one : cases) {
        if (one.type) {
            ASSERT_TRUE(
                routes.v4.add(ip(one.remote).number() & 0xFFFF0000U, 16, {*one.type, 0, 0}));
        }
        ASSERT_FALSE(bridge.add(to_remote(host(number), one.remote), now));
        forget_sent();
        receive(world.vm1, unicast(1, number));
        tick();
        ++expected[one.reason];
        EXPECT_EQ(worker_drops(one.reason) + control_drops(one.reason), expected[one.reason]);
        const auto told = sent_by(world.vm1);
        ASSERT_EQ(told.size(), one.code ? 1U : 0U) << one.remote;
        if (one.code) {
            EXPECT_EQ(icmp_of(told[0]), (std::pair<unsigned, unsigned>{3, *one.code}));
        }
        ++number;
    }
    EXPECT_EQ(neighbours.size(), 0U);
    expect_law();
}

TEST_F(ControlPunts, RP71_a_route_by_a_gateway_asks_for_the_gateway) {
    routes.v4.add(0, 0, {table::RouteType::unicast, world.up, ip("10.0.0.254").number()});
    with_remote("172.16.0.9");
    forget_sent();
    receive(world.vm1, numbered(1));
    tick();
    receive(world.up, {arp_reply("10.0.0.254", kPeerMac)});
    tick();
    const auto sent = sent_by(world.up);
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(take_apart(sent[0]).to, kPeerMac);
    EXPECT_EQ(take_apart(sent[0]).destination, ip("172.16.0.9"));
}

TEST_F(ControlPunts, answers_to_one_sender_are_limited) {
    routes.v4.add(ip("10.3.0.0").number(), 16, {table::RouteType::unreachable, 0, 0});
    with_remote("10.3.0.2");
    forget_sent();
    for (int i = 0; i < 300; ++i) {
        receive(world.vm1, numbered(1));
        if (i % 50 == 0) {
            tick();
        }
    }
    tick();
    EXPECT_LE(sent_by(world.vm1).size(), 200U);  // 100 in each second, and this may touch two
    EXPECT_GE(punts.icmp_suppressed(), 100U);
    expect_law();
}

TEST_F(ControlPunts, no_answer_about_broadcasts_fragments_or_icmp_errors) {
    routes.v4.add(ip("10.3.0.0").number(), 16, {table::RouteType::unreachable, 0, 0});
    with_remote("10.3.0.2");
    ASSERT_FALSE(bridge.add(to_remote({}, "10.3.0.2"), now));
    forget_sent();
    Frame all = a_frame();
    all.to(net::MacAddress::broadcast())
        .from(host(1))
        .ipv4({.source = "192.0.2.1", .destination = "255.255.255.255"})
        .udp(68, 67)
        .payload(100);
    receive(world.vm1, all);
    Frame later = a_frame();
    later.to(host(20))
        .from(host(1))
        .ipv4({.source = "192.0.2.1", .destination = "192.0.2.20", .fragment = 100})
        .udp(1, 2)
        .payload(100);
    receive(world.vm1, later);
    Frame error = a_frame();
    error.to(host(20))
        .from(host(1))
        .ipv4({.source = "192.0.2.1", .destination = "192.0.2.20"})
        .icmp_echo(3)
        .payload(100);
    receive(world.vm1, error);
    tick();
    EXPECT_TRUE(sent_by(world.vm1).empty());
    EXPECT_EQ(control_drops(DropReason::tunnel_unreachable), 3U);
    expect_law();
}

TEST_F(ControlPunts, a_full_inject_ring_drops_and_counts) {
    with_remote();
    receive(world.up, {arp_reply("10.0.0.2", kPeerMac)});
    tick();
    // Nobody polls: the ring fills.
    std::vector<std::byte> frame(60);
    const std::uint64_t made = punts.counters().made;
    for (unsigned i = 0; i < Machine::kInjectRing + 10; ++i) {
        punts.send_frame(world.up, frame);
    }
    EXPECT_EQ(punts.counters().made, made + Machine::kInjectRing + 10);
    EXPECT_GE(control_drops(DropReason::inject_ring_full), 10U);
    EXPECT_LE(control_drops(DropReason::inject_ring_full), 11U);
    expect_law();
    for (int i = 0; i < 40; ++i) {
        poll(0);
        poll(1);
    }
}

TEST_F(ControlPunts, a_held_packet_never_leaves_by_a_tunnel_that_got_its_number_later) {
    routes.v4.add(0, 0, {table::RouteType::unicast, world.up, ip("10.0.0.254").number()});
    with_remote("172.16.0.2");
    const std::uint32_t profile = tunnels.profile_id(red().profile);
    const std::uint32_t id = tunnels.find(profile, ip("172.16.0.2")).value();
    receive(world.vm1, numbered(1));
    tick();
    ASSERT_EQ(punts.held(), 1U);
    // The remote goes, and another one behind the same gateway gets its number.
    ASSERT_FALSE(bridge.remove(0, host(20), std::nullopt));
    tick();
    tick();
    ASSERT_FALSE(bridge.add(to_remote(host(21), "172.16.0.3"), now));
    ASSERT_EQ(tunnels.find(profile, ip("172.16.0.3")), id);
    tick();
    forget_sent();
    receive(world.up, {arp_reply("10.0.0.254", kPeerMac)});
    tick();
    for (const Bytes& frame : sent_by(world.up)) {
        EXPECT_FALSE(take_apart(frame).whole);
    }
    EXPECT_EQ(control_drops(DropReason::port_gone), 1U);
    expect_law();
}

TEST_F(ControlPunts, a_lost_next_hop_holds_packets_again) {
    with_remote();
    receive(world.up, {arp_reply("10.0.0.2", kPeerMac)});
    tick();
    forget_sent();
    pass(120s, 100ms);  // nobody confirms any more
    const NeighbourKey key{world.up, ip("10.0.0.2")};
    EXPECT_FALSE(is_usable(neighbours.find(key, now)->state));
    forget_sent();
    receive(world.vm1, numbered(1));
    tick();
    EXPECT_EQ(punts.held(), 1U);
    receive(world.up, {arp_reply("10.0.0.2", kOtherMac)});
    tick();
    std::size_t whole = 0;
    for (const Bytes& frame : sent_by(world.up)) {
        const Outer outer = take_apart(frame);
        whole += outer.whole ? 1U : 0U;
        EXPECT_TRUE(!outer.whole || outer.to == kOtherMac);
    }
    EXPECT_EQ(whole, 1U);
    expect_law();
}

TEST_F(ControlPunts, RP62_copies_of_a_flood_wait_too) {
    begin();
    for (const char* remote : {"10.0.0.2", "10.0.0.3"}) {
        ASSERT_FALSE(bridge.add(to_remote({}, remote), now));
    }
    tick();
    receive(world.vm1, unicast(1, 99));
    tick();
    EXPECT_EQ(punts.held(), 2U);
    EXPECT_EQ(sent_by(world.vm2).size(), 1U);
    receive(world.up, {arp_reply("10.0.0.2", kPeerMac)});
    receive(world.up, {arp_reply("10.0.0.3", kOtherMac)});
    tick();
    const auto sent = sent_by(world.up);
    ASSERT_EQ(sent.size(), 2U);
    for (const Bytes& frame : sent) {
        const Outer outer = take_apart(frame);
        ASSERT_TRUE(outer.whole);
        EXPECT_EQ(outer.inner, unicast(1, 99).bytes());
        EXPECT_EQ(outer.to, outer.destination == ip("10.0.0.2") ? kPeerMac : kOtherMac);
    }
    expect_law();
}

}  // namespace
}  // namespace vxplane::control
