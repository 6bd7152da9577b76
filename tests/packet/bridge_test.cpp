// The bridge: where frames go by what the FDB says, and what is learned from them.
#include <gtest/gtest.h>

#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

TEST(Bridge, switches_between_access_ports_of_one_segment) {
    Scene s;
    const Frame frame = small(host(2));
    Golden(s.lab, s.vm1, frame).out(s.vm2, frame).cut_may({DropReason::eth_bad_source}).check();
}

TEST(Bridge, RP07_frames_that_no_host_may_send_are_dropped) {
    Scene s;
    for (const char* source : {"00:00:00:00:00:00", "01:00:5e:00:00:01"})
        Golden(s.lab, s.vm1, small(host(2)).from(mac(source)))
            .drops(DropReason::eth_bad_source)
            .check();
    for (const char* group : {"01:80:c2:00:00:00", "01:80:c2:00:00:0f"})
        Golden(s.lab, s.vm1, small(mac(group))).drops(DropReason::eth_link_local).check();
    const Frame outside = small(mac("01:80:c2:00:00:10"));
    EXPECT_EQ(s.lab.receive(s.vm1, outside).moved.count("drop.eth_link_local"), 0U);
    s.lab.push(s.vm1, {Bytes(13, 2)});
    s.lab.poll();
    expect_counts(s.lab.collect(), {{"received", 1},
                                    {"port.vm1.rx_packets", 1},
                                    {"port.vm1.rx_bytes", 13},
                                    {"drop.eth_runt", 1}});
    const Frame jumbo = a_frame().to(host(2)).payload(1501);
    Golden(s.lab, s.vm1, jumbo).drops(DropReason::eth_too_long).uncut().check();
}

TEST(Bridge, a_port_without_a_segment_forwards_nothing) {
    Scene s;
    s.lab.port_entry(s.vm1).segment = table::kNoSegment;
    Golden(s.lab, s.vm1, small(host(2))).drops(DropReason::access_no_segment).check();
}

TEST(Bridge, tagged_frames_pass_only_where_tags_are_allowed) {
    const Frame local = small(host(2)).vlan(5);
    const Frame remote = small(host(12)).vlan(5);
    Scene strict;
    Golden(strict.lab, strict.vm1, local).drops(DropReason::access_vlan).check();
    SceneWords words;
    words.red.inner_vlan = true;
    Scene s(words);
    Golden(s.lab, s.vm1, local).out(s.vm2, local).check();
    Golden(s.lab, s.vm1, remote)
        .out(s.up, s.to_remote(remote))
        .tunnelled(s.red, 1, remote.size())
        .check();
    // The tag comes on top of the MTU of a port.
    const Frame longest = a_frame().to(host(2)).vlan(5).payload(1500);
    Golden(s.lab, s.vm1, longest).out(s.vm2, longest).uncut().check();
}

TEST(Bridge, a_frame_for_its_own_port_is_dropped) {
    Scene s;
    s.lab.fdb(s.red, host(3), FdbKind::port, s.vm1);
    Golden(s.lab, s.vm1, small(host(3))).drops(DropReason::fdb_same_port).check();
}

TEST(Bridge, a_frame_too_long_for_the_other_port_is_dropped) {
    Scene s;
    s.lab.port_entry(s.vm2).max_frame = 59;
    Golden(s.lab, s.vm1, small(host(2))).drops(DropReason::port_oversize).check();
}

TEST(Bridge, an_entry_may_outlive_its_port) {
    Scene s;
    s.lab.port_entry(s.vm2).role = table::PortRole::none;
    Golden(s.lab, s.vm1, small(host(2))).drops(DropReason::port_gone).check();
    Golden(s.lab, s.vm2, small_from(2, host(1))).drops(DropReason::port_gone).check();
    Scene moved;
    moved.lab.port_entry(moved.vm2).segment = moved.blue;
    Golden(moved.lab, moved.vm1, small(host(2))).drops(DropReason::port_gone).check();
}

TEST(Bridge, VX64_the_same_address_in_two_segments_is_two_entries) {
    Scene s;
    s.lab.fdb(s.blue, host(1), FdbKind::port, s.vm9);
    const Frame inner = small_from(12, host(1));
    Golden(s.lab, s.up, s.from_remote(inner)).out(s.vm1, inner).arrived(s.red, 60).check();
    Golden(s.lab, s.up, s.from_remote(inner, 2, {.vni = 8}))
        .out(s.vm9, inner)
        .arrived(s.blue, 60)
        .learns_behind("10.0.0.2")
        .check();
}

TEST(Bridge, VX61_unknown_destination_without_a_flood_list_is_dropped) {
    Scene s;
    Golden(s.lab, s.vm9, small_from(9, host(77)))
        .drops(DropReason::fdb_miss)
        .learns_at(s.vm9)
        .cut_may({DropReason::flood_empty})
        .check();
}

TEST(Bridge, VX75_what_came_from_a_vtep_goes_to_no_other_vtep) {
    Scene s;
    s.lab.fdb(s.red, host(13), FdbKind::tunnel, s.t3);
    Golden(s.lab, s.up, s.from_remote(small_from(12, host(13))))
        .drops(DropReason::fdb_split_horizon)
        .check();
    s.lab.fdb(s.red, host(14), FdbKind::nexthop_group, s.lab.group({s.t3, s.t4}));
    s.lab.publish();
    Golden(s.lab, s.up, s.from_remote(small_from(12, host(14))))
        .drops(DropReason::fdb_split_horizon)
        .check();
}

TEST(Bridge, a_next_hop_group_spreads_flows_over_its_members) {
    Scene s;
    s.lab.fdb(s.red, host(14), FdbKind::nexthop_group, s.lab.group({s.t3, s.t4}));
    s.lab.fdb(s.red, host(15), FdbKind::nexthop_group, 0);
    std::vector<Bytes> flows;
    for (std::uint16_t i = 0; i < 200; ++i)
        flows.push_back(a_frame().to(host(14)).ipv4().udp(i, 2).payload(18).bytes());
    const Seen first = s.lab.receive(s.vm1, flows);
    expect_law(first);
    unsigned to_three = 0;
    for (const Bytes& frame : first.sent_by(s.up))
        to_three += take_apart(frame).destination == ip("10.0.0.3") ? 1U : 0U;
    EXPECT_GT(to_three, 60U);
    EXPECT_LT(to_three, 140U);
    const Seen again = s.lab.receive(s.vm1, flows);
    ASSERT_EQ(again.sent.size(), first.sent.size());
    for (std::size_t i = 0; i < flows.size(); ++i)
        EXPECT_EQ(take_apart(again.sent[i].bytes).destination,
                  take_apart(first.sent[i].bytes).destination);
    Golden(s.lab, s.vm1, small(host(15))).drops(DropReason::fdb_miss).uncut().check();
}

// ---- learning

TEST(Learning, VX51_an_unknown_source_is_told_and_its_frame_forwarded) {
    Scene s;
    const Frame inner = small_from(50, host(1));
    Golden(s.lab, s.up, s.from_remote(inner))
        .out(s.vm1, inner)
        .arrived(s.red, 60)
        .learns_behind("10.0.0.2")
        .check();
    const Frame local = small_from(51, host(2));
    Golden(s.lab, s.vm1, local)
        .out(s.vm2, local)
        .learns_at(s.vm1)
        .cut_may({DropReason::eth_bad_source})
        .check();
    const Seen seen = s.lab.receive(s.up, s.from_remote(small_from(52, host(1)), 9));
    ASSERT_EQ(seen.learned.size(), 1U) << "from a VTEP that nobody knows";
    EXPECT_EQ(seen.learned[0].remote, ip("10.0.0.9"));
    EXPECT_EQ(seen.learned[0].key, table::FdbKey::make(host(52).number(), s.red).raw);
}

TEST(Learning, VX51_a_dropped_frame_teaches_nothing) {
    Scene s;
    Golden(s.lab, s.up, s.from_remote(small_from(50, host(1)), 2, {}, {.tos = 3}))
        .drops(DropReason::vxlan_ecn_lost)
        .check();
    Golden(s.lab, s.up, s.from_remote(a_frame().to(host(1)).from(host(50)).type(0x0800).payload(5)))
        .drops(DropReason::vxlan_inner_truncated)
        .check();
}

TEST(Learning, nothing_is_learned_where_learning_is_off) {
    SceneWords words;
    words.red.learning = false;
    words.access.learning = false;
    Scene s(words);
    s.lab.fdb(s.red, host(60), FdbKind::tunnel, s.t3, FdbState::permanent);
    for (const std::uint8_t source : {50, 60}) {
        const Frame inner = small_from(source, host(1));
        Golden(s.lab, s.up, s.from_remote(inner)).out(s.vm1, inner).arrived(s.red, 60).check();
        const Frame local = small_from(source, host(2));
        Golden(s.lab, s.vm1, local).out(s.vm2, local).check();
    }
}

TEST(Learning, VX52_receiving_refreshes_and_transmitting_does_not) {
    Scene s;
    s.lab.receive(s.vm1, small(host(12)));
    s.lab.next_epoch();
    s.lab.receive(s.vm1, small(host(12)));
    EXPECT_EQ(s.lab.fdb_find(s.red, host(1)).epoch(), 1) << "the sender was seen";
    EXPECT_EQ(s.lab.fdb_find(s.red, host(12)).epoch(), 0) << "the destination was not";
    s.lab.next_epoch();
    s.lab.receive(s.up, s.from_remote(small_from(12, host(1))));
    EXPECT_EQ(s.lab.fdb_find(s.red, host(12)).epoch(), 2);
    EXPECT_EQ(s.lab.fdb_find(s.red, host(1)).epoch(), 1);
}

TEST(Learning, VX53_a_source_seen_at_another_place_is_told) {
    Scene s;
    const Frame inner = small_from(12, host(1));
    Golden(s.lab, s.up, s.from_remote(inner, 3))
        .out(s.vm1, inner)
        .arrived(s.red, 60)
        .learns_behind("10.0.0.3")
        .check();
    const Frame local = small_from(12, host(2));
    Golden(s.lab, s.vm1, local)
        .out(s.vm2, local)
        .learns_at(s.vm1)
        .cut_may({DropReason::eth_bad_source})
        .check();
    EXPECT_EQ(s.lab.fdb_find(s.red, host(12)).index(), s.t2) << "only control writes the table";
}

TEST(Learning, VX54_VX57_a_fixed_entry_is_not_moved_and_its_impostor_dropped) {
    for (const auto state : {FdbState::static_, FdbState::permanent, FdbState::controller}) {
        Scene s;
        s.lab.fdb(s.red, host(60), FdbKind::tunnel, s.t2, state);
        s.lab.fdb(s.red, host(61), FdbKind::port, s.vm2, state);
        for (const std::uint8_t source : {60, 61}) {
            Golden(s.lab, s.up, s.from_remote(small_from(source, host(1)), 3))
                .drops(DropReason::fdb_conflict)
                .check();
            Golden(s.lab, s.vm1, small_from(source, host(2)))
                .drops(DropReason::fdb_conflict)
                .cut_may({DropReason::eth_bad_source})
                .check();
        }
        // From a VTEP that nobody knows, too.
        Golden(s.lab, s.up, s.from_remote(small_from(60, host(1)), 9))
            .drops(DropReason::fdb_conflict)
            .check();
        const Frame owner = small_from(60, host(1));
        Golden(s.lab, s.up, s.from_remote(owner, 2)).out(s.vm1, owner).arrived(s.red, 60).check();
    }
}

TEST(Learning, VX54_where_conflicts_pass_the_frame_goes_on_and_nothing_is_learned) {
    for (const auto state : {FdbState::static_, FdbState::permanent, FdbState::controller}) {
        Scene s;
        s.lab.segment_entry(s.red).watch = table::watch::kConflictPass;
        s.lab.fdb(s.red, host(60), FdbKind::tunnel, s.t2, state);
        s.lab.fdb(s.red, host(61), FdbKind::port, s.vm2, state);
        const table::FdbValue before = s.lab.fdb_find(s.red, host(60));
        for (const std::uint8_t source : {60, 61}) {
            // From another VTEP, from one that nobody knows, and from a port.
            const Frame inner = small_from(source, host(1));
            for (const unsigned remote : {3U, 9U})
                Golden(s.lab, s.up, s.from_remote(inner, remote))
                    .out(s.vm1, inner)
                    .arrived(s.red, 60)
                    .check();
            const Frame local = small_from(source, host(2));
            Golden(s.lab, s.vm1, local)
                .out(s.vm2, local)
                .cut_may({DropReason::eth_bad_source})
                .check();
        }
        EXPECT_EQ(s.lab.fdb_find(s.red, host(60)).raw(), before.raw());
        // What is not fixed moves as ever.
        const Frame moved = small_from(12, host(1));
        Golden(s.lab, s.up, s.from_remote(moved, 3))
            .out(s.vm1, moved)
            .arrived(s.red, 60)
            .learns_behind("10.0.0.3")
            .check();
    }
}

TEST(Learning, VX55_a_group_is_where_its_members_are) {
    Scene s;
    s.lab.fdb(s.red, host(60), FdbKind::nexthop_group, s.lab.group({s.t2, s.t3}));
    const Frame inner = small_from(60, host(1));
    for (const unsigned member : {2U, 3U})
        Golden(s.lab, s.up, s.from_remote(inner, member))
            .out(s.vm1, inner)
            .arrived(s.red, 60)
            .check();
    for (const unsigned other : {4U, 9U})
        Golden(s.lab, s.up, s.from_remote(inner, other)).drops(DropReason::fdb_conflict).check();
    Golden(s.lab, s.vm1, small_from(60, host(2)))
        .drops(DropReason::fdb_conflict)
        .cut_may({DropReason::eth_bad_source})
        .check();
}

std::vector<Bytes> from_new_addresses(const Scene& s, unsigned count) {
    std::vector<Bytes> frames;
    for (unsigned i = 0; i < count; ++i) {
        net::MacAddress source = host(static_cast<std::uint8_t>(i));
        source.bytes[4] = static_cast<std::uint8_t>(1 + i / 256);
        frames.push_back(s.from_remote(small(host(1)).from(source)).bytes());
    }
    return frames;
}

TEST(Learning, VX66_each_new_address_of_a_burst_is_told_once) {
    SceneWords words;
    words.lab.learn_slots = 1024;
    Scene s(words);
    std::vector<Bytes> frames = from_new_addresses(s, 400);
    const Seen first = s.lab.receive(s.up, frames);
    EXPECT_EQ(first.learned.size(), 400U);
    EXPECT_EQ(first.moved.at("learn_events"), 400U);
    EXPECT_EQ(first.moved.count("learn_lost"), 0U);
    EXPECT_EQ(first.sent_by(s.vm1).size(), 400U);
    std::set<std::uint64_t> keys;
    for (const auto& event : first.learned) keys.insert(event.key);
    EXPECT_EQ(keys.size(), 400U);
    // One address over and over is one event, and one more after a while.
    const std::vector<Bytes> same(100, s.from_remote(small_from(99, host(1))).bytes());
    EXPECT_EQ(s.lab.receive(s.up, same).learned.size(), 1U);
    s.lab.pass_time(1000);
    EXPECT_EQ(s.lab.receive(s.up, same).learned.size(), 1U);
}

TEST(Learning, VX66_events_that_find_no_room_are_counted_and_told_again) {
    SceneWords words;
    words.lab.learn_slots = 16;
    Scene s(words);
    const std::vector<Bytes> frames = from_new_addresses(s, 30);
    const Seen first = s.lab.receive(s.up, frames);
    expect_law(first);
    EXPECT_EQ(first.learned.size(), 15U);
    EXPECT_EQ(first.moved.at("learn_events"), 15U);
    EXPECT_EQ(first.moved.at("learn_lost"), 15U);
    EXPECT_EQ(first.sent_by(s.vm1).size(), 30U) << "forwarding goes on";
    const Seen again = s.lab.receive(s.up, frames);
    EXPECT_EQ(again.learned.size(), 15U) << "those that were lost, at once";
    std::set<std::uint64_t> keys;
    for (const auto& event : first.learned) keys.insert(event.key);
    for (const auto& event : again.learned) keys.insert(event.key);
    EXPECT_EQ(keys.size(), 30U);
}

// A worker tells control of one address at one place once in 100 ms, or once for each correction.
TEST(Learning, VX51_a_frame_after_a_correction_teaches_at_once) {
    Scene s;
    const auto speaks = [&](unsigned remote) {
        return s.lab.receive(s.up, s.from_remote(small_from(99, host(1)), remote)).learned.size();
    };
    EXPECT_EQ(speaks(3), 1U);
    EXPECT_EQ(speaks(3), 0U) << "told a moment ago";
    s.lab.fdb().count_correction();
    EXPECT_EQ(speaks(3), 1U) << "what was learned may be gone";
    EXPECT_EQ(speaks(3), 0U);
    EXPECT_EQ(speaks(2), 1U) << "another place";
}

}  // namespace
}  // namespace vxplane::support
