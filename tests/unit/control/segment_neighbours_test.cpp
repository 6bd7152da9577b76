// Who has which IP address in a segment: what is believed of frames, how long, and how it reaches
// the workers.
#include "control/apply/segment_neighbours.hpp"

#include "control/apply/words.hpp"
#include "stack.hpp"

namespace vxplane::control {
namespace {

std::vector<std::byte> bytes_of(const Frame& frame) {
    const Bytes all = frame.bytes();
    const auto* begin = reinterpret_cast<const std::byte*>(all.data());
    return {begin, begin + all.size()};
}
Frame says(std::uint8_t who, const char* address) {
    return a_frame()
        .to(mac("ff:ff:ff:ff:ff:ff"))
        .from(host(who))
        .arp({.sender_mac = host(who), .sender = address, .target = address});
}

class SegmentNeighboursTest : public Stack {
  protected:
    SegmentNeighboursTest() : known(bridge) { bridge.add_part(known); }

    void hear(const Frame& frame) { known.hear(0, bytes_of(frame), now); }
    /// address=MAC state, of all.
    std::string shown() {
        std::string all;
        known.for_each(std::nullopt, now, [&](const SegmentNeighbours::View& view) {
            all += text(view.address) + "=" + text(view.mac).substr(15) + " " +
                   std::string(name(view.state)) + ";";
        });
        return all;
    }
    /// What workers find in the published tables; 0 = nothing.
    unsigned found(const char* address) {
        const table::Tables& tables = *publisher.current();
        if (tables.segment_neighbours == nullptr) {
            return 0;
        }
        const std::uint32_t at = tables.segment_neighbours->find(0, ip(address));
        return at == table::AddressMap::kNone ? 0 : tables.known_neighbours[at].mac.bytes[5];
    }
    static SegmentSpec with_static() {
        SegmentSpec spec = red();
        spec.neighbours = {{ip("192.0.2.9"), host(9), true}};
        return spec;
    }
    SegmentNeighbours known;
};

TEST_F(SegmentNeighboursTest, VX87_what_is_heard_is_known_moves_and_ages) {
    segment(red());
    begin();
    hear(says(1, "192.0.2.1"));
    known.tick(now);
    tick();
    EXPECT_EQ(shown(), "192.0.2.1=01 learned;");
    EXPECT_EQ(found("192.0.2.1"), 1U);
    now += 30ms;
    hear(says(2, "192.0.2.1"));
    known.tick(now);
    tick();
    EXPECT_EQ(found("192.0.2.1"), 2U) << "it moved";
    EXPECT_EQ(known.counters().moved, 1U);
    now += std::chrono::seconds(red().ageing) + 2s;
    known.tick(now);
    tick();
    EXPECT_EQ(shown(), "");
    EXPECT_EQ(found("192.0.2.1"), 0U);
}

TEST_F(SegmentNeighboursTest, what_the_topology_says_is_not_learned_away) {
    segment(with_static());
    begin();
    hear(says(1, "192.0.2.9"));
    EXPECT_EQ(found("192.0.2.9"), 9U);
    EXPECT_TRUE(known.add(0, ip("192.0.2.9"), host(1), false, true));
    EXPECT_EQ(shown(), "192.0.2.9=09 permanent;");
    SegmentSpec changed = with_static();
    changed.neighbours[0].mac = host(8);
    ASSERT_FALSE(bridge.change_segment(0, changed, now));
    bridge.commit();
    EXPECT_EQ(found("192.0.2.9"), 8U);
}

TEST_F(SegmentNeighboursTest, a_controller_is_believed_more_than_the_wire) {
    segment(red());
    begin();
    hear(says(1, "192.0.2.1"));
    EXPECT_FALSE(known.add(0, ip("192.0.2.1"), host(7), false, false));
    hear(says(1, "192.0.2.1"));
    bridge.commit();
    EXPECT_EQ(found("192.0.2.1"), 7U);
    EXPECT_TRUE(known.add(0, ip("192.0.2.1"), host(8), false, false)) << "is there already";
    EXPECT_FALSE(known.add(0, ip("192.0.2.1"), host(8), false, true));
    EXPECT_TRUE(known.add(0, ip("224.0.0.1"), host(8), false, true));
    EXPECT_TRUE(known.add(0, ip("192.0.2.2"), mac("01:00:00:00:00:01"), false, true));
    EXPECT_FALSE(known.remove(0, ip("192.0.2.1")));
    EXPECT_TRUE(known.remove(0, ip("192.0.2.1")));
    bridge.commit();
    EXPECT_EQ(found("192.0.2.1"), 0U);
}

TEST_F(SegmentNeighboursTest, VX82_learning_is_bounded_by_neigh_maxaddr_and_a_flush_makes_room) {
    segment(red());
    begin();
    const auto hear_many = [this](std::uint32_t from, std::uint32_t count) {
        for (std::uint32_t i = 0; i < count; ++i)
            hear(says(1, text(net::Ipv4Address::of(0x0A010000 + from + i)).c_str()));
    };
    hear_many(0, 4096 + 10);
    EXPECT_EQ(known.counters().learned, 4096U) << "unless said";
    EXPECT_EQ(known.learned(0), 4096U);
    EXPECT_EQ(known.refused(0), 10U);
    EXPECT_EQ(known.refused(1), 0U);
    EXPECT_EQ(known.flush(0), 4096U);
    EXPECT_EQ(known.learned(0), 0U);
    hear(says(1, "192.0.2.1"));
    EXPECT_EQ(shown(), "192.0.2.1=01 learned;");
    // Another limit while it runs holds for what is heard from then on.
    SegmentSpec few = red();
    few.neigh_maxaddr = 3;
    ASSERT_FALSE(bridge.change_segment(0, few, now));
    bridge.commit();
    hear_many(9000, 5);
    EXPECT_EQ(known.learned(0), 3U);
    EXPECT_EQ(known.refused(0), 13U);
    EXPECT_EQ(known.counters().refused, 13U);
}

TEST_F(SegmentNeighboursTest, who_speaks_for_another_station_is_not_believed) {
    segment(red());
    begin();
    hear(says(1, "192.0.2.1").from(host(2)));
    hear(says(1, "0.0.0.0"));
    hear(says(1, "224.0.0.1"));
    hear(a_frame().ipv4());
    EXPECT_EQ(shown(), "");
    EXPECT_EQ(known.counters().foreign, 4U);
    // A segment that is not there.
    known.hear(7, bytes_of(says(1, "192.0.2.1")), now);
    EXPECT_EQ(shown(), "");
}

TEST(SegmentWords, whom_a_frame_looks_for) {
    EXPECT_EQ(wanted_in(bytes_of(a_frame().arp({.target = "192.0.2.7"}))),
              net::IpAddress(ip("192.0.2.7")));
    EXPECT_EQ(wanted_in(bytes_of(a_frame().ipv4({.destination = "192.0.2.8"}))),
              net::IpAddress(ip("192.0.2.8")));
    EXPECT_FALSE(wanted_in({}));
}

TEST(SegmentWords, VX92_a_miss_is_told_once_in_a_second_and_keys_are_bounded) {
    MissLimiter limiter;
    const Time start = Neighbours::Clock::now();
    EXPECT_TRUE(limiter.may_tell(0, 1, 0, start));
    EXPECT_FALSE(limiter.may_tell(0, 1, 0, start + 999ms));
    EXPECT_TRUE(limiter.may_tell(0, 2, 0, start));
    EXPECT_TRUE(limiter.may_tell(1, 1, 0, start));
    EXPECT_TRUE(limiter.may_tell(0, 1, 0, start + 1s));
    EXPECT_EQ(limiter.suppressed(), 1U);
    std::size_t told = 0;
    for (std::uint64_t i = 0; i < 10000; ++i) told += limiter.may_tell(2, i, 0, start + 1s);
    EXPECT_LE(told, MissLimiter::kMostKeys);
    EXPECT_TRUE(limiter.may_tell(3, 1, 0, start + 2s)) << "old keys made room";
}

}  // namespace
}  // namespace vxplane::control
