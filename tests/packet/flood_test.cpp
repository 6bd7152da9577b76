// Frames that go to more than one place: one copy each, payload shared, never back.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

const net::MacAddress kBroadcast = net::MacAddress::broadcast();

TEST(Flood, VX71_VX72_goes_once_to_every_other_member_and_every_remote) {
    Scene s;
    for (const net::MacAddress to : {kBroadcast, mac("01:00:5e:00:00:05"), host(77)}) {
        const Frame frame = small(to);
        Golden(s.lab, s.vm1, frame)
            .out(s.vm2, frame)
            .out(s.up, s.to_remote(frame, 3))
            .out(s.up, s.to_remote(frame, 4))
            .out(s.up, s.to_remote(frame, 2))
            .flooded(s.red, 3)
            .tunnelled(s.red, 3, 3 * 60)
            .cut_may({DropReason::eth_bad_source})
            .check();
    }
}

TEST(Flood, VX71_a_multicast_entry_has_its_own_list) {
    Scene s;
    const net::MacAddress group = mac("01:00:5e:00:00:09");
    s.lab.fdb(s.red, group, FdbKind::flood_list, s.lab.flood_list({s.t4}));
    const Frame frame = small(group);
    Golden(s.lab, s.vm1, frame)
        .out(s.vm2, frame)
        .out(s.up, s.to_remote(frame, 4))
        .flooded(s.red, 1)
        .tunnelled(s.red, 1, 60)
        .uncut()
        .check();
}

TEST(Flood, VX75_what_came_from_a_vtep_goes_to_local_ports_alone) {
    Scene s;
    const Frame inner = small_from(12, kBroadcast);
    Golden(s.lab, s.up, s.from_remote(inner))
        .out(s.vm1, inner)
        .out(s.vm2, inner)
        .flooded(s.red, 1)
        .arrived(s.red, 60)
        .check();
}

TEST(Flood, VX77_nobody_else_in_the_segment) {
    Scene s;
    Golden(s.lab, s.vm9, small_from(9, kBroadcast))
        .drops(DropReason::flood_empty)
        .learns_at(s.vm9)
        .uncut()
        .check();
    s.lab.port_entry(s.vm9).segment = table::kNoSegment;
    s.lab.publish();
    Golden(s.lab, s.up, s.from_remote(small_from(12, kBroadcast), 2, {.vni = 8}))
        .drops(DropReason::flood_empty)
        .learns_behind("10.0.0.2")
        .check();
}

TEST(Flood, VX76_no_more_frames_a_second_than_the_segment_allows) {
    Scene s;
    table::RateLimit limit;
    s.lab.segment_entry(s.red).flood_rate = table::Segment::flood_rate_of(100);
    s.lab.segment_entry(s.red).flood_limit = &limit;
    s.lab.publish();
    const std::vector<Bytes> burst(20, small(kBroadcast).bytes());
    const auto flooded = [&] {
        const Seen seen = s.lab.receive(s.vm1, burst);
        expect_law(seen);
        const std::size_t out = seen.sent_by(s.vm2).size();
        const auto dropped = seen.moved.find("drop.flood_limit");
        EXPECT_EQ(out + (dropped == seen.moved.end() ? 0 : dropped->second), burst.size());
        note_reasons(seen);
        return out;
    };
    s.lab.pass_time(1000);
    // Eight may come together; 100 a second are one in ten milliseconds.
    EXPECT_EQ(flooded(), 8U);
    EXPECT_EQ(flooded(), 0U);
    s.lab.pass_time(50);
    EXPECT_EQ(flooded(), 5U);
    // Known addresses and other segments are not concerned.
    Golden(s.lab, s.vm1, small(host(12)))
        .out(s.up, s.to_remote(small(host(12))))
        .tunnelled(s.red, 1, 60)
        .uncut()
        .check();
    s.lab.segment_entry(s.red).flood_rate = 0;
    s.lab.publish();
    EXPECT_EQ(flooded(), burst.size());
}

TEST(Flood, two_segments_do_not_leak_into_each_other) {
    Scene s;
    const Frame inner = small_from(12, kBroadcast);
    Golden(s.lab, s.up, s.from_remote(inner, 2, {.vni = 8}))
        .out(s.vm9, inner)
        .flooded(s.blue, 0)
        .arrived(s.blue, 60)
        .learns_behind("10.0.0.2")
        .check();
}

TEST(Flood, VX72_copies_share_one_payload) {
    Scene s;
    std::set<const void*> payloads;
    unsigned frames = 0;
    s.lab.look_at_sent = [&](PortId port, rte_mbuf* mbuf) {
        ++frames;
        rte_mbuf* payload = mbuf;
        if (port == s.up) {
            ASSERT_EQ(mbuf->nb_segs, 2) << "outer header and payload";
            EXPECT_EQ(mbuf->data_len, 50);
            payload = mbuf->next;
        }
        EXPECT_EQ(payload->data_len, 60);
        payloads.insert(rte_pktmbuf_mtod(payload, const void*));
        const rte_mbuf* owner =
            RTE_MBUF_CLONED(payload) ? rte_mbuf_from_indirect(payload) : payload;
        EXPECT_EQ(rte_mbuf_refcnt_read(owner), 4) << "four frames, one payload";
    };
    expect_law(s.lab.receive(s.vm1, small(kBroadcast)));
    EXPECT_EQ(frames, 4U);
    EXPECT_EQ(payloads.size(), 1U);
}

TEST(Flood, a_copy_without_a_buffer_is_counted_and_the_others_go) {
    Scene s;
    s.lab.push(s.vm1, {small(kBroadcast).bytes()});
    {
        const auto famine = s.lab.starve(s.lab.header_pool());
        s.lab.poll();
    }
    const Seen seen = s.lab.collect();
    expect_counts(seen, {{"received", 1},
                         {"port.vm1.rx_packets", 1},
                         {"port.vm1.rx_bytes", 60},
                         {"copies", 3},
                         {"drop.flood_no_buffer", 3},
                         {"pool.refused", 3},
                         {"segment.red.flooded", 1},
                         {"segment.red.tx_packets", 1},
                         {"segment.red.tx_bytes", 60},
                         {"sent", 1},
                         {"port.up.tx_packets", 1},
                         {"port.up.tx_bytes", 110}});
}

TEST(Flood, copies_that_do_not_fit_are_counted_and_the_others_go) {
    SceneWords words;
    words.red.mtu = 1400;
    Scene s(words);
    const Frame frame = a_frame().to(kBroadcast).payload(1401);
    Golden(s.lab, s.vm1, frame)
        .out(s.vm2, frame)
        .flooded(s.red, 3)
        .drops(DropReason::tunnel_oversize, 3)
        .counts("segment.red.oversize", 3)
        .uncut()
        .check();
}

TEST(Flood, copies_for_an_unresolved_remote_wait_with_control) {
    Scene s;
    table::TunnelSpec spec = s.spec(3);
    spec.state = table::TunnelState::waiting;
    s.lab.replace_tunnel(s.t3, spec);
    const Frame frame = small(kBroadcast);
    Golden(s.lab, s.vm1, frame)
        .out(s.vm2, frame)
        .out(s.up, s.to_remote(frame, 4))
        .out(s.up, s.to_remote(frame, 2))
        .punts(packet::Punt::unresolved)
        .flooded(s.red, 3)
        .tunnelled(s.red, 2, 2 * 60)
        .uncut()
        .check();
}

TEST(Flood, a_port_that_takes_no_chains_gets_copies_in_one_piece) {
    SceneWords words;
    words.underlay.chains = false;
    Scene s(words);
    const Frame frame = small(kBroadcast);
    Golden(s.lab, s.vm1, frame)
        .out(s.vm2, frame)
        .out(s.up, s.to_remote(frame, 3))
        .out(s.up, s.to_remote(frame, 4))
        .out(s.up, s.to_remote(frame, 2))
        .counts("port.up.tx_copies", 3)
        .flooded(s.red, 3)
        .tunnelled(s.red, 3, 3 * 60)
        .uncut()
        .check();
    for (const SentFrame& one : s.lab.receive(s.vm1, frame).sent) EXPECT_EQ(one.buffers, 1U);
}

TEST(Flood, a_copy_in_one_piece_needs_a_buffer) {
    SceneWords words;
    words.underlay.chains = false;
    Scene s(words);
    s.lab.push(s.vm1, {small(host(12)).bytes()}, Memory::exact);
    {
        const auto famine = s.lab.starve(s.lab.packet_pool());
        s.lab.poll();
    }
    expect_counts(s.lab.collect(), {{"received", 1},
                                    {"port.vm1.rx_packets", 1},
                                    {"port.vm1.rx_bytes", 60},
                                    {"drop.tx_no_buffer", 1},
                                    {"pool.refused", 1},
                                    {"segment.red.tx_packets", 1},
                                    {"segment.red.tx_bytes", 60}});
}

/// Red has 4,096 remotes: 10.1.0.0 to 10.1.15.255, each behind a next hop of its own.
struct CrowdedScene : Scene {
    static constexpr std::uint32_t kRemotes = 4096;

    static SceneWords roomy() {
        SceneWords words;
        words.underlay.slots = 8192;
        return words;
    }
    CrowdedScene() : Scene(roomy()) {
        std::vector<TunnelId> all;
        for (std::uint32_t i = 0; i < kRemotes; ++i) {
            table::TunnelSpec one = spec(2);
            one.remote = remote(i);
            one.next_hop = next_hop(i);
            all.push_back(lab.tunnel(one));
        }
        lab.flood_to(red, all);
        lab.publish();
    }
    static net::Ipv4Address remote(std::uint32_t i) {
        return net::Ipv4Address::of(10, 1, static_cast<std::uint8_t>(i >> 8),
                                    static_cast<std::uint8_t>(i));
    }
    static net::MacAddress next_hop(std::uint32_t i) {
        return {{2, 0, 0, 0xCC, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i)}};
    }
    /// Every remote got the frame exactly once, in a right outer header.
    void expect_each_once(const Seen& seen, const Bytes& frame) const {
        std::vector<unsigned> got(kRemotes);
        unsigned wrong = 0;
        for (const Bytes& one : seen.sent_by(up)) {
            const Outer outer = take_apart(one);
            const std::uint32_t i = outer.destination.number() - remote(0).number();
            const bool right = outer.whole && i < kRemotes && outer.to == next_hop(i) &&
                               outer.inner == frame && outer.ip_checksum_right;
            if (right)
                ++got[i];
            else
                ++wrong;
        }
        EXPECT_EQ(wrong, 0U);
        EXPECT_EQ(std::count(got.begin(), got.end(), 1U), kRemotes);
    }
};

TEST(Flood, VX72_one_broadcast_goes_to_4096_remotes_once_each) {
    CrowdedScene s;
    const Frame frame = small(kBroadcast);
    const Seen seen = s.lab.receive(s.vm1, frame);
    expect_law(seen);
    s.expect_each_once(seen, frame.bytes());
    constexpr std::uint64_t n = CrowdedScene::kRemotes;
    expect_counts(seen, {{"received", 1},
                         {"port.vm1.rx_packets", 1},
                         {"port.vm1.rx_bytes", 60},
                         {"copies", n},
                         {"segment.red.flooded", 1},
                         {"segment.red.tx_packets", n},
                         {"segment.red.tx_bytes", n * 60},
                         {"sent", n + 1},
                         {"port.vm2.tx_packets", 1},
                         {"port.vm2.tx_bytes", 60},
                         {"port.up.tx_packets", n},
                         {"port.up.tx_bytes", n * 110}});
    // Again, with the buffers of before; and nothing of what comes from a tunnel.
    s.expect_each_once(s.lab.receive(s.vm1, frame), frame.bytes());
    EXPECT_TRUE(
        s.lab.receive(s.up, s.from_remote(small_from(12, kBroadcast))).sent_by(s.up).empty());
}

TEST(Flood, VX76_a_budget_bounds_floods_to_4096_remotes) {
    CrowdedScene s;
    table::RateLimit limit;
    s.lab.segment_entry(s.red).flood_rate = table::Segment::flood_rate_of(100);
    s.lab.segment_entry(s.red).flood_limit = &limit;
    s.lab.publish();
    s.lab.pass_time(1000);
    const Frame frame = small(kBroadcast);
    std::uint64_t copies = 0, limited = 0;
    for (int i = 0; i < 12; ++i) {
        const Seen seen = s.lab.receive(s.vm1, frame);
        expect_law(seen);
        copies += seen.sent_by(s.up).size();
        const auto dropped = seen.moved.find("drop.flood_limit");
        limited += dropped == seen.moved.end() ? 0 : dropped->second;
        note_reasons(seen);
    }
    EXPECT_EQ(copies, 8U * CrowdedScene::kRemotes) << "eight may come together";
    EXPECT_EQ(limited, 4U) << "frames that were not flooded at all";
}

TEST(Flood, copies_to_4096_remotes_that_find_no_buffer_or_no_room_are_counted) {
    CrowdedScene s;
    const std::vector<Bytes> burst(4, small(kBroadcast).bytes());
    const Seen seen = s.lab.receive(s.vm1, burst);
    expect_law(seen);
    std::uint64_t lost = 0;
    for (const auto& [name, times] : seen.moved)
        if (name.rfind("drop.", 0) == 0) lost += times;
    EXPECT_GT(lost, 0U);
    EXPECT_EQ(seen.sent.size() + lost, 4U * (CrowdedScene::kRemotes + 1U));
    // All is well again when they are gone.
    const Seen after = s.lab.receive(s.vm1, small(kBroadcast));
    expect_law(after);
    s.expect_each_once(after, burst[0]);
}

}  // namespace
}  // namespace vxplane::support
