// Packets that wait for a next hop, and the bounds of the table.
#include "resolve_fixture.hpp"

namespace vxplane::control {
namespace {

using enum NeighbourState;
using packet::DropReason;

NeighbourKey nth(std::uint32_t i) {
    return {kPort, net::Ipv4Address::of(0x0A000100U + i)};
}

TEST_F(ResolveTest, RP62_held_packets_are_released_in_order_on_answer) {
    for (std::uint64_t i = 0; i < 10; ++i) {
        table->hold(kKey, packet(i), now);
    }
    EXPECT_EQ(table->find(kKey, now)->held_packets, 10U);
    EXPECT_EQ(table->find(kKey, now)->held_bytes, 1000U);
    EXPECT_TRUE(sink.released.empty());
    hear_reply();
    ASSERT_EQ(sink.released.size(), 10U);
    for (std::uint64_t i = 0; i < 10; ++i) {
        EXPECT_EQ(sink.released[i].opaque, i);
    }
    EXPECT_EQ(sink.released[0].tunnel, 7U);
    EXPECT_EQ(sink.released[0].segment, 8U);
    EXPECT_EQ(sink.release_mac, kPeerMac);
    expect_packets_accounted();
}

TEST_F(ResolveTest, RP62_the_default_queue_is_212992_bytes_and_its_oldest_goes_first) {
    for (std::uint64_t i = 0; i < 213; ++i) {
        table->hold(kKey, packet(i, 1000), now);
    }
    ASSERT_EQ(sink.given_up.size(), 1U) << "212 fit";
    EXPECT_EQ(sink.given_up[0].first.opaque, 0U);
    EXPECT_EQ(sink.given_up[0].second, DropReason::neigh_queue_full);
    EXPECT_EQ(table->find(kKey, now)->held_bytes, 212'000U);
    table->hold(kKey, packet(999, 992), now);
    EXPECT_EQ(sink.given_up.size(), 1U) << "exactly full is not too full";
    hear_reply();
    EXPECT_EQ(sink.released.front().opaque, 1U);
    EXPECT_EQ(sink.released.back().opaque, 999U);
    expect_packets_accounted();
}

TEST_F(ResolveTest, RP62_a_packet_larger_than_the_queue_waits_alone) {
    restart({.queue_bytes = 1000});
    table->hold(kKey, packet(1, 400), now);
    table->hold(kKey, packet(2, 5000), now);
    EXPECT_EQ(sink.given_up.size(), 1U);
    EXPECT_EQ(table->find(kKey, now)->held_packets, 1U);
    expect_packets_accounted();
}

TEST_F(ResolveTest, RP62_after_the_last_probe_all_are_given_up_in_order) {
    for (std::uint64_t i = 0; i < 5; ++i) {
        table->hold(kKey, packet(i), now);
    }
    pass(2'900ms);
    EXPECT_TRUE(sink.given_up.empty());
    pass(100ms);
    ASSERT_EQ(sink.given_up.size(), 5U);
    for (std::uint64_t i = 0; i < 5; ++i) {
        EXPECT_EQ(sink.given_up[i].first.opaque, i);
        EXPECT_EQ(sink.given_up[i].second, DropReason::neigh_failed);
    }
    table->hold(kKey, packet(6), now);
    EXPECT_EQ(state(), incomplete) << "a failed neighbour is asked again when it is used";
    hear_reply();
    EXPECT_EQ(sink.released.size(), 1U);
    expect_packets_accounted();
}

TEST_F(ResolveTest, RP62_a_resolved_neighbour_holds_nothing) {
    resolve();
    table->hold(kKey, packet(1), now);
    EXPECT_EQ(sink.released.size(), 1U);
    EXPECT_EQ(table->held_packets(), 0U);
    expect_packets_accounted();
}

TEST_F(ResolveTest, RP62_all_neighbours_together_hold_a_bounded_number) {
    restart({.held_packets = 10});
    for (std::uint64_t i = 0; i < 10; ++i) {
        table->hold(kKey, packet(i), now);
    }
    table->hold(nth(1), packet(100), now);
    ASSERT_EQ(sink.given_up.size(), 1U) << "it has none of its own to give";
    EXPECT_EQ(sink.given_up[0].first.opaque, 100U);
    table->hold(kKey, packet(10), now);
    EXPECT_EQ(sink.given_up[1].first.opaque, 0U);
    EXPECT_EQ(table->held_packets(), 10U);
    expect_packets_accounted();
}

TEST_F(ResolveTest, removing_the_port_gives_all_back_and_forgets_wants) {
    table->want(kKey, now);
    table->hold(kKey, packet(1), now);
    table->want(nth(1), now);
    hear(net::ArpHeader::kReply, kPeerMac, nth(1).address.v4(), kOwn);
    table->remove_port(kPort);
    ASSERT_EQ(sink.given_up.size(), 1U);
    EXPECT_EQ(sink.given_up[0].second, DropReason::port_gone);
    EXPECT_EQ(sink.down, std::vector{nth(1)});
    EXPECT_EQ(table->size(), 0U);
    EXPECT_FALSE(table->next_due());
    expect_packets_accounted();
}

TEST_F(ResolveTest, RP63_a_full_table_refuses_counts_and_tells_once_a_second) {
    restart({.capacity = 4});
    for (std::uint32_t i = 0; i < 10; ++i) {
        table->use(nth(i), now);
    }
    EXPECT_EQ(table->size(), 4U);
    EXPECT_EQ(table->high_water(), 4U);
    EXPECT_EQ(table->counters().refused, 6U);
    EXPECT_EQ(sink.full.size(), 1U);
    table->hold(nth(9), packet(1), now);
    ASSERT_EQ(sink.given_up.size(), 1U);
    EXPECT_EQ(sink.given_up[0].second, DropReason::neigh_failed);
    EXPECT_FALSE(table->add_permanent(nth(9), kPeerMac, now));
    EXPECT_EQ(hear(net::ArpHeader::kRequest, kPeerMac, kPeer, kOwn), ArpResult::handled);
    EXPECT_EQ(sink.sent.back().arp.operation, net::ArpHeader::kReply)
        << "the asker is answered even if there is no room to remember it";
    expect_packets_accounted();
}

TEST_F(ResolveTest, RP63_a_full_table_gives_up_failed_and_old_entries_but_no_wanted_ones) {
    restart({.capacity = 4});
    table->want(nth(0), now);
    hear(net::ArpHeader::kReply, kPeerMac, nth(0).address.v4(), kOwn);
    table->add_permanent(nth(1), kPeerMac, now);
    table->use(nth(2), now);  // will fail
    hear(net::ArpHeader::kRequest, kPeerMac, nth(3).address.v4(), kOwn);
    pass(6s);
    ASSERT_EQ(table->size(), 4U);
    table->use(nth(4), now);
    EXPECT_TRUE(table->find(nth(0), now));
    EXPECT_TRUE(table->find(nth(1), now));
    EXPECT_FALSE(table->find(nth(2), now));
    EXPECT_FALSE(table->find(nth(3), now));
    EXPECT_TRUE(table->find(nth(4), now));
    EXPECT_EQ(table->counters().forgotten, 2U);
}

TEST_F(ResolveTest, RP63_a_want_that_found_no_room_is_served_later) {
    restart({.capacity = 2});
    table->use(nth(0), now);
    table->use(nth(1), now);
    EXPECT_FALSE(table->want(kKey, now));
    EXPECT_FALSE(table->find(kKey, now));
    pass(10s);
    ASSERT_TRUE(table->find(kKey, now));
    EXPECT_EQ(sink.sent.back().arp.target, kPeer);
}

TEST_F(ResolveTest, RP63_no_collection_under_128_entries) {
    for (std::uint32_t i = 0; i < 128; ++i) {
        table->use(nth(i), now);
    }
    pass(10min);
    EXPECT_EQ(table->size(), 128U);
    table->use(nth(128), now);
    pass(10min);
    EXPECT_LE(table->size(), 1U) << "the last one may still have been asked during the sweep";
    EXPECT_GE(table->counters().forgotten, 128U);
}

TEST_F(ResolveTest, sixteen_thousand_wanted_neighbours_are_kept_fresh) {
    constexpr std::uint32_t kCount = 16'384;
    for (std::uint32_t i = 0; i < kCount; ++i) {
        table->want(nth(i), now);
        hear(net::ArpHeader::kReply, kPeerMac, nth(i).address.v4(), kOwn);
    }
    sink.sent.clear();
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 1'200; ++i) {
        pass(100ms);
        for (const SentArp& sent : std::exchange(sink.sent, {})) {
            hear(net::ArpHeader::kReply, kPeerMac, sent.arp.target, kOwn);
        }
    }
    const auto took = std::chrono::steady_clock::now() - begin;
    RecordProperty("us_per_second_of_work",
                   static_cast<int>(
                       std::chrono::duration_cast<std::chrono::microseconds>(took).count() / 120));
    EXPECT_TRUE(sink.down.empty());
    EXPECT_LT(took, 60s);
}

}  // namespace
}  // namespace vxplane::control
