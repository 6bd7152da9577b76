// The forwarding database as people, peers and time change it, seen through real workers.
#include "stack.hpp"

namespace vxplane::control {
namespace {

using Kind = FdbNews::Kind;
using State = table::FdbState;
const net::MacAddress kZero{};
const net::MacAddress kGroup = mac("01:00:5e:00:00:05");

class ApplyBridge : public Stack {};

TEST_F(ApplyBridge, VX51_new_source_behind_a_tunnel_is_learned_and_forwarded) {
    begin();
    from_remote("10.0.0.2", unicast(20, 1));
    EXPECT_EQ(sent_by(world.vm1).size(), 1U);  // flooded to both members
    tick();
    EXPECT_EQ(dst(host(20)), "10.0.0.2");
    EXPECT_EQ(entry(host(20))->state, State::dynamic);
    EXPECT_EQ(count(Kind::learned), 1U);
    EXPECT_EQ(bridge.counters().learned, 1U);
    EXPECT_EQ(bridge.used(0), 1U);
    EXPECT_EQ(tunnels.used(), 1U);
    expect_law();
}

TEST_F(ApplyBridge, VX51_new_source_at_a_port_is_learned) {
    begin();
    receive(world.vm1, unicast(1, 2));
    tick();
    EXPECT_EQ(dst(host(1)), "port vm1");
    forget_sent();
    // From now on frames for it go to its port alone.
    from_remote("10.0.0.2", unicast(20, 1));
    EXPECT_EQ(world.sent.size(), 1U);
    EXPECT_EQ(sent_by(world.vm1).size(), 1U);
}

TEST_F(ApplyBridge, VX51_is_forwarded_even_when_no_entry_could_be_made) {
    SegmentSpec spec = red();
    spec.maxaddr = 1;
    segment(spec);
    begin();
    receive(world.vm1, unicast(1, 2));
    tick();
    forget_sent();
    for (int i = 0; i < 3; ++i) {
        pass(200ms);
        forget_sent();
        from_remote("10.0.0.2", unicast(20, 1));
        EXPECT_EQ(sent_by(world.vm1).size(), 1U);
        tick();
    }
    EXPECT_FALSE(entry(host(20)));
    EXPECT_EQ(bridge.counters().learn_refused, 3U);
    // A peer that cannot be kept costs no tunnel and no ARP request.
    EXPECT_EQ(tunnels.used(), 0U);
    EXPECT_EQ(neighbours.counters().requests_sent, 0U);
}

TEST_F(ApplyBridge, VX52_the_same_place_again_refreshes_and_tells_nothing) {
    begin();
    from_remote("10.0.0.2", unicast(20, 1));
    tick();
    pass(5s);
    EXPECT_GE(entry(host(20))->age, 4s);
    from_remote("10.0.0.2", unicast(20, 1));
    tick();
    EXPECT_LE(entry(host(20))->age, 300ms);
    EXPECT_EQ(news.size(), 1U);
    // Sending to an address does not refresh it.
    pass(5s);
    receive(world.vm1, unicast(1, 20));
    tick();
    EXPECT_GE(entry(host(20))->age, 4s);
}

TEST_F(ApplyBridge, VX51_after_a_correction_one_frame_teaches) {
    begin();
    const auto speaks = [&] {
        from_remote("10.0.0.2", unicast(20, 1));
        tick();
        return entry(host(20)) ? dst(host(20)) : "nowhere";
    };
    EXPECT_EQ(speaks(), "10.0.0.2");
    ASSERT_FALSE(bridge.remove(0, host(20), std::nullopt));
    EXPECT_EQ(speaks(), "10.0.0.2");
    FdbRequest other = to_remote(host(20), "10.0.0.3");
    other.state = State::dynamic;
    ASSERT_FALSE(bridge.replace(other, now));
    EXPECT_EQ(speaks(), "10.0.0.2");
    EXPECT_EQ(bridge.flush({}), 1U);
    EXPECT_EQ(speaks(), "10.0.0.2");
    // What frames teach is no correction: many new addresses at once make one event each.
    const std::uint32_t before = bridge.fdb().corrections();
    from_remote("10.0.0.2", unicast(21, 1));
    tick();
    EXPECT_EQ(bridge.fdb().corrections(), before);
}

TEST_F(ApplyBridge, VX53_a_move_takes_effect_at_once_and_tells_where_from) {
    begin();
    from_remote("10.0.0.2", unicast(20, 1));
    tick();
    from_remote("10.0.0.3", unicast(20, 1));
    tick();
    EXPECT_EQ(dst(host(20)), "10.0.0.3");
    ASSERT_EQ(count(Kind::moved), 1U);
    EXPECT_EQ(news.back().entry.previous, ip("10.0.0.2"));
    EXPECT_EQ(news.back().entry.remotes, std::vector<net::IpAddress>{ip("10.0.0.3")});
    EXPECT_EQ(entry(host(20))->previous, ip("10.0.0.2"));  // and it is shown
    EXPECT_EQ(bridge.counters().moved, 1U);
    EXPECT_EQ(bridge.used(0), 1U);
    EXPECT_EQ(tunnels.used(), 1U);  // nobody needs the old one
    receive(world.vm2, unicast(20, 1));
    tick();
    EXPECT_EQ(dst(host(20)), "port vm2");
    EXPECT_EQ(tunnels.used(), 0U);
    EXPECT_EQ(bridge.flush({}), 1U);
    EXPECT_FALSE(entry(host(20)));
}

TEST_F(ApplyBridge, VX54_a_fixed_entry_does_not_move_and_the_frame_is_dropped) {
    begin();
    for (const State state : {State::permanent, State::static_}) {
        FdbRequest request = to_remote(host(20), "10.0.0.2");
        request.state = state;
        ASSERT_FALSE(bridge.replace(request, now));
        const auto before = worker_drops(DropReason::fdb_conflict);
        from_remote("10.0.0.3", unicast(20, 1));
        tick();
        EXPECT_EQ(worker_drops(DropReason::fdb_conflict), before + 1);
        EXPECT_EQ(dst(host(20)), "10.0.0.2");
        from_remote("10.0.0.2", unicast(20, 1));
        EXPECT_EQ(worker_drops(DropReason::fdb_conflict), before + 1);
    }
    EXPECT_EQ(count(Kind::moved), 0U);
    // An event that was on its way when the entry was fixed changes nothing either.
    step::LearnEvent late;
    late.key = table::FdbKey::make(host(20).number(), 0).raw;
    late.remote = ip("10.0.0.9");
    bridge.learn({&late, 1}, now);
    EXPECT_EQ(dst(host(20)), "10.0.0.2");
    EXPECT_EQ(tunnels.used(), 1U);
}

TEST_F(ApplyBridge, VX55_the_address_of_a_next_hop_group_does_not_move) {
    const std::vector<Bridge::Member> members{{ip("10.0.0.2")}, {ip("10.0.0.3")}};
    bridge.set_nexthops({{5, members}});
    begin();
    FdbRequest request;
    request.mac = host(20);
    request.place.nhid = 5;
    ASSERT_FALSE(bridge.add(request, now));
    from_remote("10.0.0.4", unicast(20, 1));
    EXPECT_EQ(worker_drops(DropReason::fdb_conflict), 1U);
    from_remote("10.0.0.3", unicast(20, 1));  // a member
    EXPECT_EQ(worker_drops(DropReason::fdb_conflict), 1U);
    EXPECT_EQ(entry(host(20))->nhid, 5U);
    request.place.nhid = 6;
    EXPECT_EQ(bridge.replace(request, now), "there is no next-hop group 6");
}

TEST_F(ApplyBridge, VX56_unused_entries_go_after_their_age_and_at_most_a_second_later) {
    for (const std::uint32_t age : {1U, 2U}) {
        SegmentSpec spec = red();
        spec.vni = {age};
        spec.name = "age" + std::to_string(age);
        spec.ageing = age;
        spec.ports = {world.vm1};
        segment(spec);
    }
    begin();
    for (const std::uint16_t i : {std::uint16_t{0}, std::uint16_t{1}}) {
        from_remote("10.0.0.2", unicast(20, 1), i + 1U);
        tick();
        const Time learned = now;
        while (entry(host(20), i) && now - learned < 10s) {
            pass(10ms);
        }
        const auto lived = now - learned;
        EXPECT_GE(lived, std::chrono::seconds(i + 1));
        EXPECT_LE(lived, std::chrono::seconds(i + 2));
    }
    EXPECT_EQ(count(Kind::aged), 2U);
    EXPECT_EQ(bridge.counters().aged, 2U);
    EXPECT_EQ(tunnels.used(), 0U);
    EXPECT_EQ(bridge.used(0), 0U);
}

TEST_F(ApplyBridge, VX56_used_entries_stay_and_zero_is_never) {
    SegmentSpec spec = red();
    spec.ageing = 1;
    segment(spec);
    spec.name = "blue";
    spec.vni = {8};
    spec.ports = {world.vm3};
    spec.ageing = 0;
    segment(spec);
    begin();
    from_remote("10.0.0.2", unicast(20, 1), 8);
    for (int i = 0; i < 20; ++i) {
        from_remote("10.0.0.2", unicast(20, 1));
        pass(700ms, 50ms);
        EXPECT_TRUE(entry(host(20)));
    }
    pass(3s, 50ms);
    EXPECT_FALSE(entry(host(20)));
    pass(200s, 250ms);
    EXPECT_TRUE(entry(host(20), 1));
}

TEST_F(ApplyBridge, VX57_configured_entries_never_age) {
    SegmentSpec spec = red();
    spec.ageing = 1;
    segment(spec);
    begin();
    FdbRequest request = to_remote(host(20), "10.0.0.2");
    ASSERT_FALSE(bridge.add(request, now));
    request.mac = host(21);
    request.state = State::static_;
    ASSERT_FALSE(bridge.add(request, now));
    request.mac = host(22);
    request.state = State::dynamic;
    ASSERT_FALSE(bridge.add(request, now));
    // A learned entry that is fixed afterwards stays too.
    from_remote("10.0.0.2", unicast(23, 1));
    tick();
    ASSERT_FALSE(bridge.replace(to_remote(host(23), "10.0.0.2"), now));
    pass(10s, 50ms);
    EXPECT_TRUE(entry(host(20)));
    EXPECT_TRUE(entry(host(21)));
    EXPECT_FALSE(entry(host(22)));
    EXPECT_TRUE(entry(host(23)));
    EXPECT_FALSE(entry(host(20))->age);
}

TEST_F(ApplyBridge, VX59_maxaddr_refuses_inserts_and_stops_learning) {
    SegmentSpec spec = red();
    spec.maxaddr = 2;
    segment(spec);
    spec.name = "blue";
    spec.vni = {8};
    spec.ports = {world.vm3};
    spec.maxaddr = 0;
    segment(spec);
    begin();
    // The flood list is no address.
    ASSERT_FALSE(bridge.add(to_remote(kZero, "10.0.0.8"), now));
    ASSERT_FALSE(bridge.add(to_remote(kZero, "10.0.0.9"), now));
    EXPECT_EQ(bridge.used(0), 0U);
    ASSERT_FALSE(bridge.add(to_remote(host(20), "10.0.0.2"), now));
    ASSERT_FALSE(bridge.add(to_remote(host(21), "10.0.0.2"), now));
    EXPECT_EQ(bridge.add(to_remote(host(22), "10.0.0.2"), now),
              "segment red holds as many addresses as its maxaddr 2 allows");
    EXPECT_EQ(bridge.add(to_remote(kGroup, "10.0.0.2"), now),
              "segment red holds as many addresses as its maxaddr 2 allows");
    ASSERT_FALSE(bridge.replace(to_remote(host(21), "10.0.0.3"), now));
    from_remote("10.0.0.4", unicast(24, 1));
    tick();
    EXPECT_FALSE(entry(host(24)));
    EXPECT_EQ(bridge.counters().learn_refused, 1U);
    // The other segment has its own count.
    from_remote("10.0.0.4", unicast(24, 1), 8);
    tick();
    EXPECT_TRUE(entry(host(24), 1));
    // Room again.
    ASSERT_FALSE(bridge.remove(0, host(20), std::nullopt));
    pass(200ms);
    from_remote("10.0.0.4", unicast(24, 1));
    tick();
    EXPECT_TRUE(entry(host(24)));
}

class SmallFdb : public Stack {
  protected:
    SmallFdb() : Stack(10) {}
};

TEST_F(SmallFdb, VX59_a_full_table_refuses_inserts_and_stops_learning) {
    begin();
    for (std::uint8_t i = 0; i < 10; ++i) {
        ASSERT_FALSE(bridge.add(to_remote(host(20 + i), "10.0.0.2"), now));
    }
    EXPECT_EQ(bridge.add(to_remote(host(40), "10.0.0.3"), now),
              "the forwarding database is full (system: fdb-capacity 10)");
    EXPECT_EQ(tunnels.used(), 1U);
    from_remote("10.0.0.4", unicast(50, 1));
    EXPECT_EQ(sent_by(world.vm1).size(), 1U);
    tick();
    EXPECT_EQ(bridge.counters().learn_refused, 1U);
    EXPECT_EQ(tunnels.used(), 1U);
    EXPECT_EQ(bridge.fdb().used(), 10U);
}

TEST_F(ApplyBridge, VX60_one_remote_for_an_address_a_list_for_zero_and_groups) {
    begin();
    ASSERT_FALSE(bridge.add(to_remote(host(20), "10.0.0.2"), now));
    const auto twice = bridge.add(to_remote(host(20), "10.0.0.3"), now);
    ASSERT_TRUE(twice);
    EXPECT_NE(twice->find("one remote"), std::string::npos);
    ASSERT_FALSE(bridge.replace(to_remote(host(20), "10.0.0.3"), now));
    EXPECT_EQ(dst(host(20)), "10.0.0.3");
    EXPECT_EQ(tunnels.used(), 1U);
    for (const net::MacAddress list : {kZero, kGroup}) {
        ASSERT_FALSE(bridge.add(to_remote(list, "10.0.0.4"), now));
        ASSERT_FALSE(bridge.add(to_remote(list, "10.0.0.5"), now));
        const auto same = bridge.add(to_remote(list, "10.0.0.5"), now);
        ASSERT_TRUE(same);
        EXPECT_NE(same->find("10.0.0.5 is there already"), std::string::npos);
        EXPECT_TRUE(bridge.replace(to_remote(list, "10.0.0.6"), now));
        EXPECT_EQ(dst(list), "10.0.0.4 10.0.0.5");
    }
    FdbRequest local;
    local.mac = kGroup;
    local.place.port = world.vm1;
    EXPECT_TRUE(bridge.add(local, now));
    local.mac = host(30);
    local.place.port = world.vm3;
    EXPECT_EQ(bridge.add(local, now), "the port is not a member of segment red");
    EXPECT_EQ(tunnels.used(), 3U);
}

TEST_F(ApplyBridge, VX61_unknown_destination_without_a_list_is_a_miss) {
    SegmentSpec spec = red();
    spec.ports = {world.vm1};
    segment(spec);
    begin();
    receive(world.vm1, unicast(1, 99));
    EXPECT_EQ(worker_drops(DropReason::fdb_miss), 1U);
    ASSERT_FALSE(bridge.add(to_remote(kZero, "10.0.0.4"), now));
    ASSERT_FALSE(bridge.remove(0, kZero, std::nullopt));
    receive(world.vm1, unicast(1, 99));
    EXPECT_EQ(worker_drops(DropReason::fdb_miss), 2U);
}

TEST_F(ApplyBridge, VX62_deleting_one_of_several_remotes_keeps_the_others) {
    begin();
    for (const net::MacAddress list : {kZero, kGroup}) {
        for (const char* remote : {"10.0.0.4", "10.0.0.5", "10.0.0.6"}) {
            ASSERT_FALSE(bridge.add(to_remote(list, remote), now));
        }
        ASSERT_FALSE(bridge.remove(0, list, ip("10.0.0.5")));
        EXPECT_EQ(dst(list), "10.0.0.4 10.0.0.6");
        EXPECT_EQ(news.back().entry.remotes, std::vector<net::IpAddress>{ip("10.0.0.5")});
        EXPECT_TRUE(bridge.remove(0, list, ip("10.0.0.5")));
        ASSERT_FALSE(bridge.remove(0, list, ip("10.0.0.4")));
        ASSERT_FALSE(bridge.remove(0, list, ip("10.0.0.6")));
        EXPECT_EQ(dst(list), "none");
        EXPECT_TRUE(bridge.remove(0, list, std::nullopt));
    }
    ASSERT_FALSE(bridge.add(to_remote(host(20), "10.0.0.2"), now));
    const auto other = bridge.remove(0, host(20), ip("10.0.0.3"));
    ASSERT_TRUE(other);
    EXPECT_NE(other->find("has no dst 10.0.0.3"), std::string::npos);
    ASSERT_FALSE(bridge.remove(0, host(20), ip("10.0.0.2")));
    EXPECT_EQ(tunnels.used(), 0U);
    EXPECT_EQ(bridge.used(0), 0U);
}

TEST_F(ApplyBridge, VX64_the_same_address_in_two_segments_is_two_entries) {
    segment(red());
    SegmentSpec blue = red();
    blue.name = "blue";
    blue.vni = {8};
    blue.ports = {world.vm3};
    segment(blue);
    begin();
    from_remote("10.0.0.2", unicast(20, 1), 7);
    from_remote("10.0.0.3", unicast(20, 1), 8);
    tick();
    EXPECT_EQ(dst(host(20), 0), "10.0.0.2");
    EXPECT_EQ(dst(host(20), 1), "10.0.0.3");
    EXPECT_EQ(count(Kind::learned), 2U);
    ASSERT_FALSE(bridge.remove(0, host(20), std::nullopt));
    EXPECT_FALSE(entry(host(20), 0));
    EXPECT_TRUE(entry(host(20), 1));
    EXPECT_EQ(bridge.remove(0, host(20), std::nullopt), "02:00:00:00:00:14 is not in segment red");
}

TEST_F(ApplyBridge, VX66_a_burst_of_new_addresses_is_learned_within_a_second) {
    begin();
    constexpr unsigned kAddresses = 2000;
    std::vector<Bytes> frames;
    for (unsigned i = 0; i < kAddresses; ++i) {
        Frame frame = unicast(1, 2);
        frame.from(net::MacAddress::from_number(0x020000200000ULL + i));
        frames.push_back(frame.bytes());
    }
    receive(world.vm1, frames);
    unsigned turns = 0;
    while (bridge.fdb().used() != kAddresses && turns < 1000) {  // a turn of the daemon is 1 ms
        pass(1ms, 1ms);
        ++turns;
    }
    EXPECT_EQ(bridge.fdb().used(), kAddresses);
    EXPECT_LT(turns, 1000U);
    EXPECT_EQ(bridge.counters().learned, kAddresses);
    expect_law();
}

}  // namespace
}  // namespace vxplane::control
