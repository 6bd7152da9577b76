// Flushes of the forwarding database: what they take, what they leave, and how little they say.
#include "stack.hpp"

namespace vxplane::control {
namespace {

using State = table::FdbState;
const net::MacAddress kFlushedGroup = mac("01:00:5e:00:00:05");

class FdbFlush : public Stack {};

TEST_F(FdbFlush, VX63_flush_by_segment_remote_port_and_state) {
    segment(red());
    SegmentSpec blue = red();
    blue.name = "blue";
    blue.vni = {8};
    blue.ports = {world.vm3};
    segment(blue);
    begin();
    const auto fill = [&] {
        for (const std::uint16_t s : {std::uint16_t{0}, std::uint16_t{1}}) {
            ASSERT_FALSE(bridge.add(to_remote(host(20), "10.0.0.2", s), now));
            ASSERT_FALSE(bridge.add(to_remote(host(21), "10.0.0.3", s), now));
        }
        ASSERT_FALSE(bridge.add(to_remote(kFlushedGroup, "10.0.0.2"), now));
        ASSERT_FALSE(bridge.add(to_remote(kFlushedGroup, "10.0.0.3"), now));
        step::LearnEvent learned;
        learned.key = table::FdbKey::make(host(1).number(), 0).raw;
        learned.port = world.vm1;
        bridge.learn({&learned, 1}, now);
    };
    fill();
    FdbFilter filter;
    filter.segment = 1;
    EXPECT_EQ(bridge.flush(filter), 2U);
    EXPECT_TRUE(entry(host(20)));
    filter = {};
    filter.place.port = world.vm1;
    EXPECT_EQ(bridge.flush(filter), 1U);
    EXPECT_FALSE(entry(host(1)));
    // One remote goes, the other members of its lists do not.
    filter = {};
    filter.place.remote = ip("10.0.0.2");
    EXPECT_EQ(bridge.flush(filter), 2U);
    EXPECT_FALSE(entry(host(20)));
    EXPECT_EQ(dst(kFlushedGroup), "10.0.0.3");
    EXPECT_EQ(dst(host(21)), "10.0.0.3");
    EXPECT_EQ(bridge.flush({}), 1U);  // no flood list unless it is named
    EXPECT_EQ(dst(kFlushedGroup), "10.0.0.3");
    filter.place.remote = ip("10.0.0.3");
    EXPECT_EQ(bridge.flush(filter), 1U);
    EXPECT_EQ(dst(kFlushedGroup), "none");
    EXPECT_EQ(tunnels.used(), 0U);
    fill();
    filter = {};
    filter.state = State::dynamic;
    EXPECT_EQ(bridge.flush(filter), 1U);
    filter.state = State::permanent;
    EXPECT_EQ(bridge.flush(filter), 5U);
    EXPECT_EQ(tunnels.used(), 0U);
    EXPECT_EQ(bridge.used(0) + bridge.used(1), 0U);
}

class BigFdb : public Stack {
  protected:
    BigFdb() : Stack(20000, 8192) {}
};

TEST_F(BigFdb, VX63_ten_thousand_entries_go_in_one_call_without_an_event_each) {
    begin();
    std::vector<step::LearnEvent> events(10000);
    for (std::uint32_t i = 0; i < events.size(); ++i) {
        events[i].key = table::FdbKey::make(0x020000100000ULL + i, 0).raw;
        events[i].remote = net::Ipv4Address::of(ip("10.1.0.0").number() + i % 4000);
    }
    routes.v4.add(ip("10.1.0.0").number(), 16,
                  {table::RouteType::unicast, world.up, ip("10.0.0.254").number()});
    bridge.learn(events, now);
    EXPECT_EQ(bridge.fdb().used(), 10000U);
    EXPECT_EQ(tunnels.used(), 4000U);
    tick();
    news.clear();
    const auto generation = publisher.generation();
    const auto began = std::chrono::steady_clock::now();
    EXPECT_EQ(bridge.flush({}), 10000U);
    const auto took = std::chrono::steady_clock::now() - began;
    EXPECT_LT(took, 2s);
    RecordProperty("flush_us", static_cast<int>(took / 1us));
    EXPECT_LE(news.size(), 10U);
    EXPECT_LE(publisher.generation(), generation + 1);
    EXPECT_EQ(bridge.fdb().used(), 0U);
    EXPECT_EQ(bridge.used(0), 0U);
    EXPECT_EQ(tunnels.used(), 0U);
    tick();
    EXPECT_EQ(publisher.waiting(), 0U);
}

}  // namespace
}  // namespace vxplane::control
