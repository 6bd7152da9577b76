// The worker's loop: fairness between queues, order, full rings, and the account of all packets.
#include <gtest/gtest.h>

#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

TEST(Worker, RP01_a_queue_that_is_never_empty_does_not_starve_another) {
    SceneWords words;
    words.access.queues = 2;
    Scene s(words);
    constexpr unsigned kBurst = packet::kBurstSize;
    const std::vector<Bytes> frames(2 * kBurst + 4, small(host(2)).bytes());
    s.lab.push(s.vm1, frames, Memory::pool, 0);
    s.lab.push(s.vm1, {frames.begin(), frames.begin() + 3}, Memory::pool, 1);
    EXPECT_EQ(s.lab.poll(), kBurst + 3U) << "a burst of the long queue, and the short one";
    EXPECT_EQ(s.lab.collect().moved.at("received"), kBurst + 3U);
    EXPECT_EQ(s.lab.poll(), kBurst);
    EXPECT_EQ(s.lab.poll(), 4U);
    EXPECT_EQ(s.lab.poll(), 0U);
    expect_law(s.lab.collect());
}

TEST(Worker, RP03_frames_of_a_flow_stay_in_order) {
    Scene s;
    std::vector<Bytes> frames;
    for (std::uint8_t i = 0; i < 100; ++i)
        for (std::uint16_t flow = 0; flow < 4; ++flow)
            frames.push_back(a_frame()
                                 .to(flow == 3 ? host(2) : host(12))
                                 .ipv4()
                                 .udp(flow, 9)
                                 .payload(Bytes(18, i))
                                 .bytes());
    const Seen seen = s.lab.receive(s.vm1, frames);
    expect_law(seen);
    ASSERT_EQ(seen.sent.size(), frames.size());
    std::map<std::pair<PortId, unsigned>, unsigned> next;
    for (const SentFrame& one : seen.sent) {
        const unsigned flow_at = one.port == s.up ? 85 : 35;
        EXPECT_EQ(one.bytes.back(), next[std::make_pair(one.port, one.bytes.at(flow_at))]++);
    }
    EXPECT_EQ(next.size(), 4U);
}

TEST(Worker, RP81_what_a_full_transmit_ring_refuses_is_counted_by_port) {
    SceneWords words;
    words.underlay.slots = 8;
    Scene s(words);
    const std::vector<Bytes> frames(10, small(host(12)).bytes());
    expect_counts(s.lab.receive(s.vm1, frames), {{"received", 10},
                                                 {"port.vm1.rx_packets", 10},
                                                 {"port.vm1.rx_bytes", 600},
                                                 {"segment.red.tx_packets", 10},
                                                 {"segment.red.tx_bytes", 600},
                                                 {"sent", 7},
                                                 {"port.up.tx_packets", 7},
                                                 {"port.up.tx_bytes", 770},
                                                 {"port.up.tx_full", 3},
                                                 {"drop.tx_full", 3}});
}

TEST(Worker, RP84_polls_empty_polls_and_busy_cycles_are_exported) {
    Scene s;
    s.lab.poll();
    s.lab.poll();
    const path::WorkerCounters& c = s.lab.worker().counters();
    EXPECT_EQ(c.polls.get(), 2U);
    EXPECT_EQ(c.empty_polls.get(), 2U);
    EXPECT_EQ(c.busy_cycles.get(), 0U);
    s.lab.push(s.vm1, std::vector<Bytes>(5, small(host(2)).bytes()));
    s.lab.poll();
    EXPECT_EQ(c.polls.get(), 3U);
    EXPECT_EQ(c.empty_polls.get(), 2U);
    s.lab.poll();
    const std::uint64_t busy = c.busy_cycles.get();
    EXPECT_GT(busy, 0U) << "a poll ends where the next one begins";
    s.lab.poll();
    EXPECT_EQ(c.busy_cycles.get(), busy);
    const auto& stages = c.stages[static_cast<std::size_t>(path::PathId::from_access)];
    EXPECT_EQ(stages[0].packets.get(), 5U);
    EXPECT_GT(stages[0].cycles.get(), 0U);
    expect_law(s.lab.collect());
}

SceneWords two_workers() {
    SceneWords words;
    words.lab.workers = 2;
    words.underlay.owner = 1;
    return words;
}

TEST(Worker, a_port_with_one_transmit_queue_is_reached_through_its_owner) {
    Scene s(two_workers());
    const Frame inner = small(host(12));
    Golden(s.lab, s.vm1, inner)
        .out(s.up, s.to_remote(inner))
        .tunnelled(s.red, 1, 60)
        .counts("handed_off", 1)
        .counts("w1.taken_over", 1)
        // It is the owner that sends.
        .moves_to("w1.", {"sent", "port.up.tx_packets", "port.up.tx_bytes"})
        .cut_may({DropReason::eth_bad_source})
        .check();
}

TEST(Worker, RP96_frames_under_way_between_workers_are_accounted_for) {
    Scene s(two_workers());
    s.lab.push(s.vm1, std::vector<Bytes>(packet::kBurstSize + 8, small(host(12)).bytes()));
    s.lab.poll(0);
    const Seen under_way = s.lab.collect();
    expect_law(under_way);
    EXPECT_EQ(under_way.moved.at("handed_off"), packet::kBurstSize);
    EXPECT_TRUE(under_way.sent.empty());
    s.lab.poll(1);
    const Seen arrived = s.lab.collect();
    expect_law(arrived);
    EXPECT_EQ(arrived.sent_by(s.up).size(), packet::kBurstSize);
    s.lab.poll(0);
    s.lab.poll(1);
    expect_law(s.lab.collect());
}

TEST(Worker, a_hand_off_ring_that_is_full_is_counted) {
    SceneWords words = two_workers();
    words.lab.handoff_slots = 8;
    Scene s(words);
    s.lab.push(s.vm1, std::vector<Bytes>(10, small(host(12)).bytes()));
    s.lab.poll(0);
    expect_counts(s.lab.collect(), {{"received", 10},
                                    {"port.vm1.rx_packets", 10},
                                    {"port.vm1.rx_bytes", 600},
                                    {"segment.red.tx_packets", 10},
                                    {"segment.red.tx_bytes", 600},
                                    {"handed_off", 7},
                                    {"drop.handoff_full", 3}});
    s.lab.poll(1);
    expect_law(s.lab.collect());
}

TEST(Worker, new_tables_are_seen_by_the_next_poll) {
    Scene s;
    const Frame frame = small(host(2));
    EXPECT_EQ(s.lab.receive(s.vm1, frame).sent_by(s.vm2).size(), 1U);
    s.lab.segment_entry(s.red).inner_vlan = true;
    s.lab.port_entry(s.vm2).role = table::PortRole::none;
    EXPECT_EQ(s.lab.receive(s.vm1, frame).sent_by(s.vm2).size(), 1U) << "not published yet";
    s.lab.publish();
    EXPECT_EQ(s.lab.receive(s.vm1, frame).moved.at("drop.port_gone"), 1U);
}

}  // namespace
}  // namespace vxplane::support
