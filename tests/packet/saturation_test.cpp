// More traffic than a worker or a transmit queue can take: what is carried stays what it was at the
// limit, and each frame too many is counted where it was given up.
#include <gtest/gtest.h>

#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

/// Polls `turns` times with `offered` frames a turn at the entrance, and takes out what was sent
/// after each; the sum of all counters.
Counts under_load(Scene& s, unsigned turns, std::size_t offered, Counts sum = {}) {
    const std::vector<Bytes> frames(offered, small(host(12)).bytes());
    for (unsigned turn = 0; turn < turns; ++turn) {
        s.lab.push(s.vm1, frames);
        s.lab.poll();
        const Seen seen = s.lab.collect();
        EXPECT_EQ(seen.broken_law, "");
        for (const auto& [name, count] : seen.moved) sum[name] += count;
    }
    return sum;
}

std::uint64_t drops(const Counts& moved) {
    std::uint64_t sum = 0;
    for (const auto& [name, count] : moved)
        if (name.starts_with("drop.")) sum += count;
    return sum;
}

TEST(Saturation, twice_of_what_a_transmit_ring_takes_leaves_at_the_rate_of_the_ring) {
    SceneWords words;
    words.underlay.slots = 16;  // 15 frames between two visits of the wire
    Scene at_limit(words);
    Scene beyond(words);
    const Counts limit = under_load(at_limit, 100, 15);
    const Counts twice = under_load(beyond, 100, 30);
    EXPECT_EQ(limit.at("sent"), 1500U);
    EXPECT_EQ(drops(limit), 0U);
    EXPECT_EQ(twice.at("sent"), 1500U) << "not less than at the limit";
    EXPECT_EQ(twice.at("drop.tx_full"), 1500U);
    EXPECT_EQ(twice.at("port.up.tx_full"), 1500U) << "at the port where they were lost";
    EXPECT_EQ(drops(twice), 1500U) << "and for no other reason";
}

TEST(Saturation, a_receive_ring_that_is_never_empty_gives_a_full_burst_each_poll) {
    SceneWords words;
    words.access.slots = 8192;
    Scene s(words);
    const std::vector<Bytes> burst(packet::kBurstSize, small(host(12)).bytes());
    s.lab.push(s.vm1, burst);
    // A backlog that never ends.
    for (unsigned turn = 0; turn < 100; ++turn) {
        s.lab.push(s.vm1, burst);
        s.lab.push(s.vm1, {burst.begin(), burst.begin() + packet::kBurstSize / 2});
        EXPECT_EQ(s.lab.poll(), packet::kBurstSize);
        const Seen seen = s.lab.collect();
        EXPECT_EQ(seen.broken_law, "");
        EXPECT_EQ(seen.moved.at("sent"), packet::kBurstSize);
        EXPECT_EQ(drops(seen.moved), 0U) << "what waits in the ring is the NIC's";
    }
    while (s.lab.poll() != 0) s.lab.collect();
    expect_law(s.lab.collect());
}

TEST(Saturation, a_full_lane_to_control_takes_nothing_from_ordinary_traffic) {
    SceneWords words;
    words.lab.punt_slots = 16;
    Scene s(words);
    const Frame ping = a_frame()
                           .to(s.local_mac)
                           .from(Scene::remote_mac(2))
                           .ipv4({.source = "10.0.0.2", .destination = Scene::kLocal})
                           .icmp_echo();
    for (unsigned turn = 0; turn < 20; ++turn) {
        // Nobody empties the ring to control before collect().
        s.lab.push(s.up, std::vector<Bytes>(32, ping.bytes()));
        s.lab.push(s.vm1, std::vector<Bytes>(32, small(host(12)).bytes()));
        EXPECT_EQ(s.lab.poll(), 64U);
        const Seen seen = s.lab.collect();
        EXPECT_EQ(seen.broken_law, "");
        EXPECT_EQ(seen.moved.at("sent"), 32U);
        EXPECT_EQ(seen.moved.at("diverted"), 12U);
        EXPECT_EQ(seen.moved.at("drop.control_ring_full"), 20U);
    }
}

TEST(Saturation, without_buffers_for_copies_known_traffic_still_flows) {
    Scene s;
    s.lab.poll();
    const auto famine = s.lab.starve(s.lab.header_pool());
    const Seen flood = s.lab.receive(s.vm1, small(host(77)));
    EXPECT_EQ(flood.broken_law, "");
    EXPECT_GE(drops(flood.moved), 1U) << "copies that could not be made";
    const Seen known = s.lab.receive(s.vm1, std::vector<Bytes>(32, small(host(12)).bytes()));
    EXPECT_EQ(known.broken_law, "");
    EXPECT_EQ(known.moved.at("sent"), 32U);
    EXPECT_EQ(drops(known.moved), 0U);
}

TEST(Saturation, RP81_retries_end_and_the_queue_is_named) {
    // The owner of the queue is worker 1: its counter moves, not that of the worker which received.
    SceneWords words;
    words.lab.workers = 2;
    words.underlay.owner = 1;
    words.underlay.slots = 8;
    Scene s(words);
    s.lab.push(s.vm1, std::vector<Bytes>(10, small(host(12)).bytes()));
    s.lab.poll(0);
    s.lab.poll(1);
    const Seen seen = s.lab.collect();
    expect_law(seen);
    EXPECT_EQ(seen.moved.at("w1.port.up.tx_full"), 3U);
    EXPECT_EQ(seen.moved.at("w1.drop.tx_full"), 3U);
    EXPECT_EQ(seen.moved.count("port.up.tx_full"), 0U);
}

}  // namespace
}  // namespace vxplane::support
