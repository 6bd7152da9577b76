// Trunks: one access port in many segments, told apart by VLAN tags.
#include <gtest/gtest.h>

#include "dataplane/path/counters.hpp"
#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

/// VLAN 10 of the trunks is red, VLAN 20 is blue; on `native` red has no tag. Hosts 5 and 6 of red
/// are on the two trunks, host 5 of blue is on the first.
struct Trunks : Scene {
    explicit Trunks(SceneWords scene_words = {}) : Scene(scene_words) {
        trunk = lab.access("trunk");
        native = lab.access("native");
        lab.trunk(trunk, red, 10);
        lab.trunk(trunk, blue, 20);
        lab.trunk(native, red, 10, true);
        lab.fdb(red, host(5), FdbKind::port, trunk, FdbState::dynamic);
        lab.fdb(red, host(6), FdbKind::port, native, FdbState::dynamic);
        lab.fdb(blue, host(5), FdbKind::port, trunk, FdbState::dynamic);
    }
    [[nodiscard]] const path::SegmentCounters& counters(SegmentId segment) {
        return lab.worker().counters().segments[segment];
    }
    PortId trunk = 0, native = 0;
};

Frame from5(net::MacAddress to, std::size_t payload = 18) {
    return a_frame().to(to).from(host(5)).ipv4().udp(1000, 2000).payload(payload);
}
Frame tagged(Frame frame, std::uint16_t vid) {
    return frame.vlan(vid);
}

TEST(Trunk, VX96_a_tag_selects_the_vni_and_stays_outside) {
    Trunks s;
    const Frame inner = from5(host(12));
    for (const Memory memory : {Memory::pool, Memory::exact, Memory::split}) {
        const Seen seen = s.lab.receive(s.trunk, tagged(inner, 10), memory);
        ASSERT_EQ(seen.sent_by(s.up).size(), 1U);
        EXPECT_EQ(take_apart(seen.sent_by(s.up)[0]).inner, inner.bytes());
        expect_law(seen);
    }
    Golden(s.lab, s.trunk, tagged(inner, 10))
        .out(s.up, s.to_remote(inner))
        .tunnelled(s.red, 1, inner.size())
        .uncut()
        .check();
    // The same hosts in the other VLAN are others.
    const Frame local = from5(host(9));
    s.lab.fdb(s.blue, host(9), FdbKind::port, s.vm9);
    Golden(s.lab, s.trunk, tagged(local, 20)).out(s.vm9, local).uncut().check();
    // A priority is not a VLAN, and none of its bits gets in.
    Golden(s.lab, s.trunk, tagged(inner, 0xE00A))
        .out(s.up, s.to_remote(inner))
        .tunnelled(s.red, 1, inner.size())
        .uncut()
        .check();
}

TEST(Trunk, VX96_without_a_vni_a_frame_goes_nowhere) {
    Trunks s;
    const Frame inner = from5(host(12));
    Golden(s.lab, s.trunk, inner).drops(DropReason::access_untagged).uncut().check();
    Golden(s.lab, s.trunk, tagged(inner, 0)).drops(DropReason::access_untagged).uncut().check();
    Golden(s.lab, s.trunk, tagged(inner, 30)).drops(DropReason::access_unknown_vid).uncut().check();
    Golden(s.lab, s.trunk, tagged(inner, 4095))
        .drops(DropReason::access_unknown_vid)
        .uncut()
        .check();
    const Frame native = small_from(6, host(12));
    for (const Frame& frame : {native, tagged(native, 0), tagged(native, 10)})
        Golden(s.lab, s.native, frame)
            .out(s.up, s.to_remote(native))
            .tunnelled(s.red, 1, native.size())
            .uncut()
            .check();
    Golden(s.lab, s.native, tagged(native, 20))
        .drops(DropReason::access_unknown_vid)
        .uncut()
        .check();
}

TEST(Trunk, VX96_what_leaves_gets_the_tag_of_its_vni) {
    Trunks s;
    const Frame back = small_from(12, host(5));
    Golden(s.lab, s.up, s.from_remote(back))
        .out(s.trunk, tagged(back, 10))
        .arrived(s.red, back.size())
        .check();
    s.lab.fdb(s.blue, host(12), FdbKind::tunnel, s.t2, FdbState::dynamic);
    Golden(s.lab, s.up, s.from_remote(back, 2, {.vni = 8}))
        .out(s.trunk, tagged(back, 20))
        .arrived(s.blue, back.size())
        .check();
    const Frame untagged = small_from(12, host(6));
    Golden(s.lab, s.up, s.from_remote(untagged))
        .out(s.native, untagged)
        .arrived(s.red, untagged.size())
        .check();
    // From one trunk to another, and from a plain port.
    Golden(s.lab, s.trunk, tagged(from5(host(6)), 10))
        .out(s.native, from5(host(6)))
        .uncut()
        .check();
    Golden(s.lab, s.vm1, small(host(5))).out(s.trunk, tagged(small(host(5)), 10)).check();
    // In another VLAN of the same port is another host of that address.
    Golden(s.lab, s.trunk, tagged(from5(host(5)), 10))
        .drops(DropReason::fdb_same_port)
        .uncut()
        .check();
}

TEST(Trunk, VX71_VX96_a_flood_reaches_trunks_once_with_their_tag) {
    Trunks s;
    const Frame all = small_from(12, mac("ff:ff:ff:ff:ff:ff"));
    Golden(s.lab, s.up, s.from_remote(all))
        .out(s.vm1, all)
        .out(s.vm2, all)
        .out(s.trunk, tagged(all, 10))
        .out(s.native, all)
        .arrived(s.red, all.size())
        .flooded(s.red, 3)
        .check();
}

TEST(Trunk, VX45_VX96_a_second_tag_is_the_tenants) {
    Trunks strict;
    Frame twice = from5(host(12));
    twice.vlan(10).vlan(7);
    Golden(strict.lab, strict.trunk, twice).drops(DropReason::access_vlan).uncut().check();
    SceneWords words;
    words.red.inner_vlan = true;
    Trunks s(words);
    const Frame once = tagged(from5(host(12)), 7);
    Golden(s.lab, s.trunk, twice)
        .out(s.up, s.to_remote(once))
        .tunnelled(s.red, 1, once.size())
        .uncut()
        .check();
}

TEST(Trunk, VX21_VX96_the_tag_takes_no_room) {
    Trunks s;
    const auto of = [](std::size_t size) { return from5(host(9), size - 14 - 28); };
    s.lab.fdb(s.blue, host(9), FdbKind::port, s.vm9);
    Golden(s.lab, s.trunk, tagged(of(1514), 20)).out(s.vm9, of(1514)).uncut().check();
    Golden(s.lab, s.trunk, tagged(of(1515), 20)).drops(DropReason::eth_too_long).uncut().check();
}

TEST(Trunk, VX96_an_entry_may_outlive_its_trunk) {
    Trunks s;
    s.lab.fdb(s.blue, host(6), FdbKind::port, s.native, FdbState::dynamic);
    Golden(s.lab, s.vm9, small(host(6))).drops(DropReason::port_gone).learns_at(s.vm9).check();
}

TEST(Segment, VX96_each_counts_what_it_gives_up) {
    Trunks s;
    const auto moved = [&](SegmentId segment, auto&& cause) {
        const path::SegmentCounters& c = s.counters(segment);
        const auto now = [&c] {
            return std::array{c.rx_drops.get(), c.rx_errors.get(), c.tx_drops.get(),
                              c.tx_errors.get()};
        };
        auto before = now();
        cause();
        auto after = now();
        for (std::size_t i = 0; i < after.size(); ++i) after[i] -= before[i];
        return after;
    };
    using Four = std::array<std::uint64_t, 4>;
    s.lab.receive(s.vm1, small(host(12)));
    s.lab.replace_tunnel(s.t3, [&] {
        table::TunnelSpec gone = s.spec(3);
        gone.state = table::TunnelState::refused;
        gone.refusal = DropReason::tunnel_blackhole;
        return gone;
    }());
    s.lab.fdb(s.red, host(13), FdbKind::tunnel, s.t3, FdbState::permanent);
    s.lab.publish();
    EXPECT_EQ(moved(s.red, [&] { s.lab.receive(s.trunk, tagged(from5(host(5)), 10)); }),
              (Four{0, 0, 1, 0}));
    const Four refused = moved(s.red, [&] { s.lab.receive(s.vm1, small(host(13))); });
    EXPECT_EQ(refused[2] + refused[3], 1U);
    // What a peer sends for another peer, and with our own address.
    EXPECT_EQ(moved(s.red, [&] { s.lab.receive(s.up, s.from_remote(small_from(14, host(12)))); }),
              (Four{1, 0, 0, 0}));
    Frame own = small_from(12, host(1));
    own.from(mac("02:ee:00:00:00:07"));
    EXPECT_EQ(moved(s.red, [&] { s.lab.receive(s.up, s.from_remote(own)); }), (Four{0, 1, 0, 0}));
    EXPECT_EQ(moved(s.blue, [&] { s.lab.receive(s.vm1, small(host(1))); }), (Four{0, 0, 0, 0}));
}

}  // namespace
}  // namespace vxplane::support
