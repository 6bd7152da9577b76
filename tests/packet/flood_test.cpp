// Frames that go to more than one place: one copy each, payload shared, never back.
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace vxplane::support
