// Remotes that are sent to with a VNI or a UDP port of their own.
#include <gtest/gtest.h>

#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

constexpr std::uint32_t kOwn = 5000;

/// Hosts 16 and 17 of red are behind 10.0.0.2 and 2001:db8::2, who know the segment as VNI 5000.
struct Downstream : Scene {
    explicit Downstream(SceneWords scene_words = {}) : Scene(with_both(scene_words)) {
        table::TunnelSpec four = spec(2);
        four.vni = kOwn;
        own4 = lab.tunnel(four, 0);
        lab.own(address("2001:db8::1"), up);
        table::TunnelSpec six = spec(2);
        six.vni = kOwn;
        six.local = address("2001:db8::1");
        six.remote = address("2001:db8::2");
        six.udp_checksum = true;
        own6 = lab.tunnel(six, 0);
        lab.fdb(red, host(16), FdbKind::tunnel, own4, FdbState::permanent);
        lab.fdb(red, host(17), FdbKind::tunnel, own6, FdbState::permanent);
    }
    static SceneWords with_both(SceneWords scene_words) {
        scene_words.red.ipv6 = true;
        return scene_words;
    }
    Frame to_remote6(const Frame& inner) const {
        Ip6 outer;
        outer.source = "2001:db8::1";
        outer.destination = "2001:db8::2";
        return a_frame()
            .to(remote_mac(2))
            .from(local_mac)
            .ipv6(outer)
            .udp(0, 4789)
            .vxlan({.vni = kOwn}, inner)
            .any_source_port();
    }
    TunnelId own4 = 0, own6 = 0;
};

TEST(DownstreamVni, VX98_a_frame_leaves_with_the_vni_of_its_remote) {
    Downstream s;
    for (const std::size_t payload : {18U, 700U}) {
        const auto to = [payload](std::uint8_t last) {
            return a_frame().to(host(last)).ipv4().udp(1000, 2000).payload(payload);
        };
        Golden(s.lab, s.vm1, to(16))
            .out(s.up, s.to_remote(to(16), 2, 0, kOwn))
            .tunnelled(s.red, 1, to(16).size())
            .check();
        Golden(s.lab, s.vm1, to(17))
            .out(s.up, s.to_remote6(to(17)))
            .tunnelled(s.red, 1, to(17).size())
            .uncut()
            .check();
        // The others have the segment's.
        Golden(s.lab, s.vm1, to(12))
            .out(s.up, s.to_remote(to(12)))
            .tunnelled(s.red, 1, to(12).size())
            .check();
    }
}

TEST(DownstreamVni, VX98_each_copy_of_a_flood_has_its_own) {
    Downstream s;
    s.lab.flood_to(s.red, {s.t3, s.own4, s.t4});
    const Frame inner = small(mac("ff:ff:ff:ff:ff:ff"));
    Golden(s.lab, s.vm1, inner)
        .out(s.vm2, inner)
        .out(s.up, s.to_remote(inner, 2, 0, kOwn))
        .out(s.up, s.to_remote(inner, 4))
        .out(s.up, s.to_remote(inner, 3))
        .tunnelled(s.red, 3, 3 * inner.size())
        .flooded(s.red, 3)
        .check();
}

TEST(DownstreamVni, VX98_options_of_the_header_hold_for_it_too) {
    SceneWords words;
    words.tunnel.udp_checksum = true;
    words.tunnel.inherit.tos = true;
    words.tunnel.inherit.ttl = true;
    Downstream s(words);
    const Frame inner = a_frame().to(host(16)).ipv4({.tos = 0x48, .ttl = 9}).udp(1, 2).payload(30);
    const Seen seen = s.lab.receive(s.vm1, inner);
    ASSERT_EQ(seen.sent_by(s.up).size(), 1U);
    const Bytes sent = seen.sent_by(s.up)[0];
    const Outer outer = take_apart(sent);
    EXPECT_TRUE(outer.udp_checksum_right);
    EXPECT_EQ(outer.inner, inner.bytes());
    EXPECT_EQ(sent[15], 0x48);
    EXPECT_EQ(sent[22], 9);
    EXPECT_EQ((Bytes{sent[46], sent[47], sent[48]}), (Bytes{0, 0x13, 0x88}));
}

TEST(DownstreamVni, VX54_VX98_the_remote_of_a_fixed_address_is_heard_with_the_vni_of_the_segment) {
    Downstream s;
    const Frame back = small_from(16, host(1));
    Golden(s.lab, s.up, s.from_remote(back)).out(s.vm1, back).arrived(s.red, back.size()).check();
    // Another remote is not.
    Golden(s.lab, s.up, s.from_remote(back, 3)).drops(DropReason::fdb_conflict).check();
    // And what comes with the other VNI is of no segment here.
    Golden(s.lab, s.up, s.from_remote(back, 2, {.vni = kOwn}))
        .drops(DropReason::vxlan_unknown_vni)
        .check();
}

TEST(DownstreamVni, VX55_VX98_members_of_a_group_may_have_one) {
    Downstream s;
    const std::uint32_t group = s.lab.group({s.own4, s.own6});
    s.lab.fdb(s.red, host(18), FdbKind::nexthop_group, group, FdbState::permanent);
    bool four = false, six = false;
    for (std::uint16_t port = 1; port < 64; ++port) {
        const Frame inner = a_frame().to(host(18)).ipv4().udp(port, 2000).payload(18);
        const Seen seen = s.lab.receive(s.vm1, inner);
        ASSERT_EQ(seen.sent_by(s.up).size(), 1U);
        const Bytes sent = seen.sent_by(s.up)[0];
        const std::size_t vni = sent[12] == 0x08 ? 46 : 66;
        (vni == 46 ? four : six) = true;
        EXPECT_EQ((Bytes{sent[vni], sent[vni + 1], sent[vni + 2]}), (Bytes{0, 0x13, 0x88}));
    }
    EXPECT_TRUE(four && six);
    const Frame back = small_from(18, host(1));
    Golden(s.lab, s.up, s.from_remote(back)).out(s.vm1, back).arrived(s.red, back.size()).check();
    Golden(s.lab, s.up, s.from_remote(back, 4)).drops(DropReason::fdb_conflict).check();
}

TEST(DownstreamVni, VX19_VX98_a_remote_of_our_own_is_delivered_by_the_vni_of_its_own) {
    Downstream s;
    table::TunnelSpec local = s.spec(2);
    local.remote = ip(Scene::kLocal);
    local.state = table::TunnelState::local;
    local.vni = 8;  // blue
    s.lab.fdb(s.red, host(19), FdbKind::tunnel, s.lab.tunnel(local, 0), FdbState::permanent);
    local.vni = 9;  // nobody
    s.lab.fdb(s.red, host(20), FdbKind::tunnel, s.lab.tunnel(local, 0), FdbState::permanent);
    const Frame inner = small(host(19));
    Golden(s.lab, s.vm1, inner)
        .out(s.vm9, inner)
        .tunnelled(s.red, 1, inner.size())
        .arrived(s.blue, inner.size())
        .counts("segment.blue.flooded", 1)
        .uncut()
        .check();
    Golden(s.lab, s.vm1, small(host(20))).drops(DropReason::vxlan_unknown_vni).uncut().check();
}

}  // namespace
}  // namespace vxplane::support
