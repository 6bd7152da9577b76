// The states of a neighbour and its timers.
#include "resolve_fixture.hpp"

namespace vxplane::control {
namespace {

using enum NeighbourState;

TEST_F(ResolveTest, RP61_first_use_asks_three_times_by_broadcast_a_second_apart) {
    EXPECT_FALSE(table->use(kKey, now));
    EXPECT_EQ(state(), incomplete);
    ASSERT_EQ(sink.sent.size(), 1U);
    const SentArp& request = sink.sent[0];
    EXPECT_EQ(request.port, kPort);
    EXPECT_EQ(request.ethernet.destination, net::MacAddress::broadcast());
    EXPECT_EQ(request.ethernet.source, kOwnMac);
    EXPECT_EQ(request.ethernet.type, net::ether_type::kArp);
    EXPECT_EQ(request.arp.operation, net::ArpHeader::kRequest);
    EXPECT_EQ(request.arp.sender_mac, kOwnMac);
    EXPECT_EQ(request.arp.sender, kOwn);
    EXPECT_TRUE(request.arp.target_mac.is_zero());
    EXPECT_EQ(request.arp.target, kPeer);
    pass(900ms);
    EXPECT_EQ(sink.sent.size(), 1U);
    pass(100ms);
    EXPECT_EQ(sink.sent.size(), 2U);
    pass(1s);
    EXPECT_EQ(sink.sent.size(), 3U);
    EXPECT_EQ(table->find(kKey, now)->probes, 3U);
    pass(900ms);
    EXPECT_EQ(state(), incomplete);
    pass(100ms);
    EXPECT_EQ(state(), failed);
    EXPECT_EQ(sink.sent.size(), 3U);
    EXPECT_EQ(sink.down, std::vector{kKey});
    EXPECT_TRUE(sink.up.empty());
}

TEST_F(ResolveTest, RP61_more_uses_while_incomplete_ask_no_more) {
    for (int i = 0; i < 100; ++i) {
        table->use(kKey, now);
    }
    EXPECT_EQ(sink.sent.size(), 1U);
}

TEST_F(ResolveTest, RP61_answer_makes_it_reachable) {
    table->use(kKey, now);
    EXPECT_EQ(hear_reply(), ArpResult::handled);
    EXPECT_EQ(state(), reachable);
    EXPECT_EQ(table->use(kKey, now), kPeerMac);
    ASSERT_EQ(sink.up.size(), 1U);
    EXPECT_EQ(sink.up[0], std::pair(kKey, kPeerMac));
    pass(10s);
    EXPECT_EQ(sink.sent.size(), 1U) << "nothing more to ask";
    EXPECT_EQ(table->counters().resolved, 1U);
}

TEST_F(ResolveTest, RP61_reachable_time_is_random_between_15_and_45_s) {
    constexpr std::uint8_t kCount = 100;
    for (std::uint8_t i = 10; i < 10 + kCount; ++i) {
        const auto peer = net::Ipv4Address::of(10, 0, 0, i);
        table->use({kPort, peer}, now);
        hear(net::ArpHeader::kReply, kPeerMac, peer, kOwn);
    }
    const auto count_reachable = [&] {
        int count = 0;
        table->for_each(now, [&](const Neighbours::View& v) { count += v.state == reachable; });
        return count;
    };
    pass(14'900ms);
    EXPECT_EQ(count_reachable(), kCount);
    pass(15s);
    EXPECT_GT(count_reachable(), 25);
    EXPECT_LT(count_reachable(), 75);
    pass(15'200ms);
    EXPECT_EQ(count_reachable(), 0);
}

TEST_F(ResolveTest, RP61_unused_goes_stale_stays_usable_and_is_asked_after_the_next_use) {
    resolve();
    pass(46s);
    EXPECT_EQ(state(), stale);
    pass(10s);
    EXPECT_EQ(sink.sent.size(), 1U);
    EXPECT_EQ(table->use(kKey, now), kPeerMac);
    EXPECT_EQ(state(), delay);
    pass(4'900ms);
    EXPECT_EQ(sink.sent.size(), 1U);
    pass(100ms);
    EXPECT_EQ(state(), probe);
    ASSERT_EQ(sink.sent.size(), 2U);
    EXPECT_EQ(sink.sent[1].ethernet.destination, kPeerMac) << "a re-check is unicast";
    EXPECT_EQ(table->use(kKey, now), kPeerMac) << "usable meanwhile";
    hear_reply();
    EXPECT_EQ(state(), reachable);
    EXPECT_EQ(sink.up.size(), 1U) << "nothing new for the workers";
}

TEST_F(ResolveTest, RP61_three_unicast_probes_then_failed) {
    resolve();
    pass(46s);
    table->use(kKey, now);
    pass(5s);
    pass(2'900ms);
    EXPECT_EQ(sink.sent.size(), 4U);
    EXPECT_EQ(state(), probe);
    EXPECT_TRUE(sink.down.empty());
    pass(100ms);
    EXPECT_EQ(state(), failed);
    EXPECT_EQ(sink.down, std::vector{kKey});
    EXPECT_EQ(sink.sent.size(), 4U);
    EXPECT_FALSE(table->use(kKey, now));
    EXPECT_EQ(state(), incomplete) << "used again, asked again";
    EXPECT_EQ(sink.sent.back().ethernet.destination, net::MacAddress::broadcast());
}

TEST_F(ResolveTest, RP61_used_shortly_before_it_expires_goes_to_delay) {
    resolve();
    for (int i = 0; i < 460 && state() == reachable; ++i) {
        table->use(kKey, now);
        pass(100ms);
    }
    EXPECT_EQ(state(), delay);
}

TEST_F(ResolveTest, RP61_a_late_tick_skips_no_state) {
    table->use(kKey, now);
    now += 1h;
    table->tick(now);
    EXPECT_EQ(sink.sent.size(), 2U) << "late probes are sent a second apart, not at once";
    EXPECT_EQ(state(), incomplete);
}

TEST_F(ResolveTest, RP61_permanent_is_usable_at_once_and_for_ever) {
    EXPECT_TRUE(table->add_permanent(kKey, kPeerMac, now));
    EXPECT_EQ(sink.up.size(), 1U);
    EXPECT_EQ(table->use(kKey, now), kPeerMac);
    pass(300s);
    hear_gratuitous(kOtherMac);
    hear_reply(kOtherMac);
    EXPECT_EQ(state(), permanent);
    EXPECT_EQ(table->use(kKey, now), kPeerMac);
    EXPECT_TRUE(sink.sent.empty());
}

TEST_F(ResolveTest, RP61_permanent_replaces_what_is_being_asked) {
    table->hold(kKey, packet(1), now);
    table->add_permanent(kKey, kOtherMac, now);
    EXPECT_EQ(sink.released.size(), 1U);
    EXPECT_EQ(sink.release_mac, kOtherMac);
    pass(10s);
    EXPECT_EQ(state(), permanent);
    EXPECT_TRUE(sink.down.empty());
}

TEST_F(ResolveTest, RP61_group_and_broadcast_addresses_need_no_asking) {
    EXPECT_EQ(table->use({kPort, net::Ipv4Address::of(239, 129, 1, 2)}, now)->number(),
              0x01005E010102ULL);
    EXPECT_EQ(table->use({kPort, net::Ipv4Address::of(255, 255, 255, 255)}, now),
              net::MacAddress::broadcast());
    EXPECT_EQ(table->use({kPort, net::Ipv4Address::of(10, 0, 0, 255)}, now),
              net::MacAddress::broadcast());
    EXPECT_EQ(state({kPort, net::Ipv4Address::of(10, 0, 0, 255)}), noarp);
    EXPECT_TRUE(sink.sent.empty());
}

TEST_F(ResolveTest, nobody_has_the_zero_or_a_loopback_address) {
    EXPECT_FALSE(table->use({kPort, net::Ipv4Address{}}, now));
    table->hold({kPort, net::Ipv4Address::of(127, 0, 0, 1)}, packet(1), now);
    ASSERT_EQ(sink.given_up.size(), 1U);
    EXPECT_EQ(sink.given_up[0].second, packet::DropReason::neigh_failed);
    EXPECT_EQ(table->size(), 0U);
    EXPECT_TRUE(sink.sent.empty());
}

TEST_F(ResolveTest, asks_from_the_address_on_the_same_network) {
    table->set_port(kPort, kOwnMac, {{kOwn, 24}, {net::Ipv4Address::of(10, 9, 0, 1), 16}});
    table->use({kPort, net::Ipv4Address::of(10, 9, 3, 4)}, now);
    table->use({kPort, net::Ipv4Address::of(172, 16, 0, 1)}, now);
    EXPECT_EQ(sink.sent[0].arp.sender, net::Ipv4Address::of(10, 9, 0, 1));
    EXPECT_EQ(sink.sent[1].arp.sender, kOwn);
}

// --- wanted next hops ------------------------------------------------------------------------

TEST_F(ResolveTest, RP66_wanted_is_refreshed_by_timer_without_any_traffic) {
    table->want(kKey, now);
    hear_reply();
    for (int i = 0; i < 36'000; ++i) {  // an hour
        const std::size_t before = sink.sent.size();
        pass(100ms);
        if (sink.sent.size() > before) {
            EXPECT_EQ(sink.sent.back().ethernet.destination, kPeerMac);
            hear_reply();
        }
        ASSERT_TRUE(is_usable(state()));
    }
    EXPECT_TRUE(sink.down.empty());
    EXPECT_EQ(sink.up.size(), 1U);
    EXPECT_GT(sink.sent.size(), 3600U / 51);
    EXPECT_LT(sink.sent.size(), 3600U / 19);
}

TEST_F(ResolveTest, RP66_wanted_that_vanishes_fails_and_is_asked_until_it_is_back) {
    table->want(kKey, now);
    hear_reply();
    for (int i = 0; i < 540 && sink.down.empty(); ++i) {
        pass(100ms);
    }
    EXPECT_EQ(sink.down, std::vector{kKey});
    sink.sent.erase(sink.sent.begin(), sink.sent.end() - 1);
    EXPECT_EQ(state(), incomplete) << "asked by broadcast at once";
    EXPECT_EQ(sink.sent.back().ethernet.destination, net::MacAddress::broadcast());
    pass(10min);
    const auto probes = sink.sent.size();
    EXPECT_NEAR(static_cast<double>(probes), 600.0 / 8 * 3, 15);
    hear_reply(kOtherMac);
    EXPECT_TRUE(is_usable(state()));
    EXPECT_EQ(sink.up.back().second, kOtherMac);
}

TEST_F(ResolveTest, want_is_counted) {
    EXPECT_FALSE(table->want(kKey, now));
    hear_reply();
    EXPECT_EQ(table->want(kKey, now), kPeerMac) << "already known";
    EXPECT_EQ(table->find(kKey, now)->wanted, 2U);
    table->unwant(kKey);
    pass(120s);
    EXPECT_GT(sink.sent.size(), 4U);
    table->unwant(kKey);
    pass(20s);
    const auto sent = sink.sent.size();
    pass(10min);
    EXPECT_EQ(sink.sent.size(), sent);
    table->unwant(kKey);  // one too many does no harm
}

TEST_F(ResolveTest, forgetting_a_wanted_one_asks_anew) {
    table->want(kKey, now);
    hear_reply();
    EXPECT_TRUE(table->forget(kKey, now));
    EXPECT_EQ(sink.down, std::vector{kKey});
    EXPECT_EQ(state(), incomplete);
    EXPECT_FALSE(table->forget({kPort, kOwn}, now));
}

TEST_F(ResolveTest, clear_spares_permanent_ones_unless_told) {
    table->add_permanent(kKey, kPeerMac, now);
    table->use({kPort, net::Ipv4Address::of(10, 0, 0, 9)}, now);
    table->clear(now, false);
    EXPECT_EQ(table->size(), 1U);
    table->clear(now, true);
    EXPECT_EQ(table->size(), 0U);
    EXPECT_EQ(sink.down, std::vector{kKey});
    EXPECT_FALSE(table->next_due());
}

TEST_F(ResolveTest, next_due_is_when_tick_has_work) {
    EXPECT_FALSE(table->next_due());
    table->use(kKey, now);
    EXPECT_EQ(table->next_due(), now + 1s);
    hear_reply();
    EXPECT_GE(*table->next_due(), now + 15s);
    EXPECT_LE(*table->next_due(), now + 45s);
}

}  // namespace
}  // namespace vxplane::control
