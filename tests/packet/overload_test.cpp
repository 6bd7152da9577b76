// The lane to control when there is too much for it: what keeps tunnels alive has room of its own.
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

Frame arp_request() {
    return a_frame()
        .to(net::MacAddress::broadcast())
        .from(Scene::remote_mac(2))
        .arp({.sender = "10.0.0.2", .target = Scene::kLocal});
}

Frame ping(const Scene& s) {
    return a_frame()
        .to(s.local_mac)
        .from(Scene::remote_mac(2))
        .ipv4({.source = "10.0.0.2", .destination = Scene::kLocal})
        .icmp_echo();
}

/// So many of one and of the other kind, in this order.
std::vector<Bytes> many(std::size_t count, const Frame& first, std::size_t then,
                        const Frame& second) {
    std::vector<Bytes> frames(count, first.bytes());
    frames.insert(frames.end(), then, second.bytes());
    return frames;
}

std::size_t punted(const Seen& seen, packet::Punt why) {
    return static_cast<std::size_t>(
        std::count_if(seen.punted.begin(), seen.punted.end(),
                      [why](const PuntedFrame& one) { return one.why == why; }));
}

SceneWords small_ring() {
    SceneWords words;
    words.lab.punt_slots = 16;  // one less can be held; a quarter of it is 3
    return words;
}

TEST(Overload, RP65_a_quarter_of_the_ring_is_for_arp_when_pings_flood) {
    Scene s(small_ring());
    const Seen seen = s.lab.receive(s.up, many(20, ping(s), 4, arp_request()));
    expect_law(seen);
    EXPECT_EQ(punted(seen, packet::Punt::icmp), 12U);
    EXPECT_EQ(punted(seen, packet::Punt::arp), 3U);
    EXPECT_EQ(seen.moved.at("drop.control_ring_full"), 8U + 1U);
}

TEST(Overload, RP65_a_quarter_of_the_ring_is_for_arp_when_a_next_hop_is_unresolved) {
    Scene s(small_ring());
    table::TunnelSpec waiting = s.spec(2);
    waiting.state = table::TunnelState::waiting;
    s.lab.replace_tunnel(s.t2, waiting);
    s.lab.publish();
    s.lab.push(s.vm1, std::vector<Bytes>(20, small(host(12)).bytes()));
    s.lab.poll();
    const Seen seen = s.lab.receive(s.up, many(0, ping(s), 4, arp_request()));
    expect_law(seen);
    EXPECT_EQ(punted(seen, packet::Punt::unresolved), 12U);
    EXPECT_EQ(punted(seen, packet::Punt::arp), 3U);
}

TEST(Overload, arp_may_use_the_whole_ring) {
    Scene s(small_ring());
    const Seen seen = s.lab.receive(s.up, many(20, arp_request(), 1, ping(s)));
    expect_law(seen);
    EXPECT_EQ(punted(seen, packet::Punt::arp), 15U);
    EXPECT_EQ(punted(seen, packet::Punt::icmp), 0U);
}

TEST(Overload, RP65_arp_has_a_rate_of_its_own_that_pings_cannot_use_up) {
    SceneWords words;
    words.lab.punt_rate = 200;
    words.lab.punt_slots = 4096;
    words.underlay.slots = 1024;
    Scene s(words);
    s.lab.poll();
    // Five packets' worth of credit, for each of the two.
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    const Seen seen = s.lab.receive(s.up, many(700, ping(s), 5, arp_request()));
    expect_law(seen);
    EXPECT_GE(punted(seen, packet::Punt::icmp), 5U);
    EXPECT_GE(seen.moved.at("drop.control_rate"), 1U) << "pings beyond their rate";
    EXPECT_EQ(punted(seen, packet::Punt::arp), 5U);
}

}  // namespace
}  // namespace vxplane::support
