// `gbp`: the group policy of a frame between a port, the VXLAN header and the port where it leaves.
#include <gtest/gtest.h>

#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

using net::GroupPolicy;

constexpr std::uint8_t kApplied = GroupPolicy::kApplied;
constexpr std::uint8_t kDontLearn = GroupPolicy::kDontLearn;

/// G and I; `bits`: the 24 bits behind them.
Vxlan policy(std::uint32_t bits, std::uint8_t flags = 0x88) {
    return {.flags = flags, .reserved = bits};
}

struct Grouped : Scene {
    explicit Grouped(SceneWords scene_words = {}) : Scene(with_policy(scene_words)) {
        lab.segment_entry(red).watch = table::watch::kGroupPolicy;
        lab.segment_entry(blue).watch = 0;
        lab.complete = [this](table::Tables& tables) {
            tables.accepted_groups = table::Shared<std::uint16_t>(accepted);
        };
    }
    static SceneWords with_policy(SceneWords words) {
        words.tunnel.group_policy = true;
        return words;
    }
    void mark(PortId port, GroupPolicy as) {
        lab.port_entry(port).policy = as;
        lab.publish();
    }
    /// Ascending.
    void accept(PortId port, std::vector<std::uint16_t> groups) {
        lab.port_entry(port).accepted_begin = static_cast<std::uint32_t>(accepted.size());
        lab.port_entry(port).accepted_count = static_cast<std::uint32_t>(groups.size());
        accepted.insert(accepted.end(), groups.begin(), groups.end());
        lab.publish();
    }
    /// to_remote(), with another first word of the VXLAN header.
    [[nodiscard]] Frame to_remote_with(const Frame& inner, Vxlan header) const {
        Udp udp;
        if (!words.tunnel.udp_checksum) udp.checksum = 0;
        return a_frame()
            .to(remote_mac(2))
            .from(local_mac)
            .ipv4({.source = kLocal, .destination = "10.0.0.2"})
            .udp(0, 4789, udp)
            .vxlan(header, inner)
            .any_source_port()
            .any_id();
    }
    void goes_with(Vxlan header) {
        const Frame frame = small(host(12));
        Golden(lab, vm1, frame)
            .out(up, to_remote_with(frame, header))
            .tunnelled(red, 1, 60)
            .check();
    }
    void comes_with(Vxlan header) {
        const Frame frame = small_from(12, host(1));
        Golden(lab, up, from_remote(frame, 2, header))
            .out(vm1, frame)
            .arrived(red, 60)
            .uncut()
            .check();
    }
    void refuses(Vxlan header, DropReason reason) {
        Golden(lab, up, from_remote(small_from(12, host(1)), 2, header)).drops(reason).check();
    }
    /// VNI, id -> packets, with A, with D.
    using Seen3 = std::array<std::uint64_t, 3>;
    std::map<std::pair<std::uint32_t, unsigned>, Seen3> groups() {
        std::map<std::pair<std::uint32_t, unsigned>, Seen3> all;
        lab.worker().seen_groups().for_each([&all](const step::SeenGroups::Seen& seen) {
            all[{seen.vni.number, seen.id}] = {seen.packets, seen.applied, seen.dont_learn};
        });
        return all;
    }

    std::vector<std::uint16_t> accepted;
};

TEST(GroupPolicy, VX46_the_group_of_a_port_goes_into_the_header) {
    Grouped s;
    s.goes_with({});
    s.mark(s.vm1, GroupPolicy::of(0x1234));
    s.goes_with(policy(0x001234));
    s.mark(s.vm1, GroupPolicy::of(0xFFFF, kApplied | kDontLearn));
    s.goes_with(policy(0x48FFFF));
    s.mark(s.vm1, GroupPolicy::of(1, kDontLearn));
    s.goes_with(policy(0x400001));
    s.mark(s.vm1, GroupPolicy::of(0));
    s.goes_with(policy(0));
    s.mark(s.vm1, {});
    s.goes_with({});
}

TEST(GroupPolicy, VX46_the_header_keeps_its_checksum_and_what_else_is_rare) {
    SceneWords words;
    words.tunnel.udp_checksum = true;
    words.tunnel.inherit.ttl = true;
    Grouped s(words);
    s.mark(s.vm1, GroupPolicy::of(0x0102, kApplied));
    s.goes_with(policy(0x080102));
}

TEST(GroupPolicy, VX46_no_header_of_a_tunnel_without_gbp_tells_a_group) {
    Scene s;
    s.lab.port_entry(s.vm1).policy = GroupPolicy::of(7);
    s.lab.publish();
    const Frame frame = small(host(12));
    Golden(s.lab, s.vm1, frame).out(s.up, s.to_remote(frame)).tunnelled(s.red, 1, 60).check();
}

TEST(GroupPolicy, VX46_a_flood_tells_the_group_to_every_remote) {
    Grouped s;
    s.mark(s.vm1, GroupPolicy::of(5));
    const Seen seen = s.lab.receive(s.vm1, small(mac("ff:ff:ff:ff:ff:ff")));
    unsigned told = 0;
    for (const Bytes& sent : seen.sent_by(s.up)) {
        EXPECT_EQ(sent.at(42), 0x88);
        EXPECT_EQ(sent.at(45), 5);
        ++told;
    }
    EXPECT_EQ(told, 3U);
    expect_law(seen);
}

TEST(GroupPolicy, VX46_received_groups_are_known_and_counted) {
    Grouped s;
    s.comes_with({});
    EXPECT_TRUE(s.groups().empty());
    const auto arrives = [&](Vxlan header) {
        expect_law(s.lab.receive(s.up, s.from_remote(small_from(12, host(1)), 2, header)));
    };
    arrives(policy(0x001234));
    arrives(policy(0x081234));
    arrives(policy(0x401234));
    arrives(policy(0));
    const std::map<std::pair<std::uint32_t, unsigned>, Grouped::Seen3> expected{
        {{7, 0x1234}, {3, 1, 1}}, {{7, 0}, {1, 0, 0}}};
    EXPECT_EQ(s.groups(), expected);
}

TEST(GroupPolicy, VX46_more_groups_than_have_a_place_are_counted_together) {
    Grouped s;
    std::vector<Bytes> frames;
    for (std::uint32_t id = 0; id < 1000; ++id)
        frames.push_back(s.from_remote(small_from(12, host(1)), 2, policy(id)).bytes());
    for (std::size_t i = 0; i < frames.size(); i += 250)
        s.lab.receive(s.up, {frames.begin() + static_cast<std::ptrdiff_t>(i),
                             frames.begin() + static_cast<std::ptrdiff_t>(i + 250)});
    std::uint64_t sum = s.lab.worker().seen_groups().others();
    EXPECT_GT(sum, 0U);
    for (const auto& [key, seen] : s.groups()) sum += seen[0];
    EXPECT_EQ(sum, 1000U);
    EXPECT_LE(s.groups().size(), 256U);
}

TEST(GroupPolicy, VX46_without_the_G_bit_the_others_are_reserved) {
    Grouped s;
    s.refuses(policy(0x001234, 0x08), DropReason::vxlan_reserved_bits);
    s.refuses(policy(0x080000, 0x08), DropReason::vxlan_reserved_bits);
    s.refuses(policy(0x400000, 0x08), DropReason::vxlan_reserved_bits);
    s.refuses(policy(0x001234, 0x80), DropReason::vxlan_no_vni_flag);
    s.lab.segment_entry(s.red).reserved_flags = 0;
    s.lab.publish();
    s.comes_with(policy(0x001234, 0x08));
    EXPECT_TRUE(s.groups().empty()) << "they are let pass, and mean nothing";
}

TEST(GroupPolicy, VX46_bits_that_mean_nothing_are_judged_as_ever) {
    Grouped s;
    s.comes_with(policy(0x001234));
    s.refuses(policy(0x201234), DropReason::vxlan_reserved_bits);
    s.refuses(policy(0x011234), DropReason::vxlan_reserved_bits);
    s.refuses(policy(0x001234, 0xC8), DropReason::vxlan_reserved_bits);
    s.refuses({.flags = 0x88, .reserved = 0x1234, .last = 1}, DropReason::vxlan_reserved_bits);
    s.lab.segment_entry(s.red).reserved_flags = 0x00FF0000;  // a mask: the second byte alone
    s.lab.publish();
    s.comes_with(policy(0x001234, 0xC8));
    s.comes_with(policy(0x481234));
    s.refuses(policy(0x201234), DropReason::vxlan_reserved_bits);
}

TEST(GroupPolicy, VX46_VX33_without_gbp_a_group_is_a_reserved_bit) {
    Scene s;
    for (const std::uint32_t bits : {0U, 0x1234U, 0x080000U, 0x400000U})
        Golden(s.lab, s.up, s.from_remote(small_from(12, host(1)), 2, policy(bits)))
            .drops(DropReason::vxlan_reserved_bits)
            .check();
}

TEST(GroupPolicy, VX46_the_D_bit_keeps_a_frame_from_teaching) {
    Grouped s;
    const auto from = [&](std::uint32_t bits) {
        const Frame frame = small_from(99, host(1));
        return Golden(s.lab, s.up, s.from_remote(frame, 3, policy(bits)))
            .out(s.vm1, frame)
            .arrived(s.red, 60)
            .uncut();
    };
    from(0x400007).check();
    from(0x480007).check();
    from(0x080007).learns_behind("10.0.0.3").check();
}

TEST(GroupPolicy, VX46_the_D_bit_opens_no_way_for_a_fixed_address) {
    Grouped s;
    s.lab.fdb(s.red, host(98), FdbKind::tunnel, s.t2, FdbState::static_);
    Golden(s.lab, s.up, s.from_remote(small_from(98, host(1)), 3, policy(0x400007)))
        .drops(DropReason::fdb_conflict)
        .cut_may({DropReason::fdb_conflict})
        .check();
}

TEST(GroupPolicy, VX46_a_port_gives_out_the_groups_that_it_accepts) {
    Grouped s;
    s.accept(s.vm2, {3});
    s.accept(s.vm1, {7, 0x1234});
    s.comes_with(policy(0x000007));
    s.comes_with(policy(0x001234));
    const auto refused = [&](Vxlan header) {
        Golden(s.lab, s.up, s.from_remote(small_from(12, host(1)), 2, header))
            .drops(DropReason::group_refused)
            .cut_may({DropReason::group_refused})
            .check();
    };
    refused(policy(0x000003));
    refused(policy(0x401233));
    refused({});
    // Where it was applied, it is not applied again.
    s.comes_with(policy(0x080003));
    s.accept(s.vm1, {0});
    s.comes_with({});
    s.comes_with(policy(0));
    refused(policy(1));
}

TEST(GroupPolicy, VX46_groups_count_between_local_ports_too) {
    Grouped s;
    s.accept(s.vm2, {7});
    s.mark(s.vm1, GroupPolicy::of(7));
    const Frame frame = small(host(2));
    Golden(s.lab, s.vm1, frame).out(s.vm2, frame).check();
    s.mark(s.vm1, GroupPolicy::of(8));
    Golden(s.lab, s.vm1, frame)
        .drops(DropReason::group_refused)
        .cut_may({DropReason::group_refused})
        .check();
    s.mark(s.vm1, GroupPolicy::of(8, kApplied));
    Golden(s.lab, s.vm1, frame).out(s.vm2, frame).check();
}

TEST(GroupPolicy, VX46_a_flood_passes_by_a_port_that_does_not_accept_the_group) {
    Grouped s;
    s.accept(s.vm2, {7});
    const Frame frame = small_from(12, mac("ff:ff:ff:ff:ff:ff"));
    const Seen seen = s.lab.receive(s.up, s.from_remote(frame, 2, policy(8)));
    EXPECT_EQ(seen.sent_by(s.vm1).size(), 1U);
    EXPECT_TRUE(seen.sent_by(s.vm2).empty());
    EXPECT_EQ(seen.moved.at("drop.group_refused"), 1U);
    expect_law(seen);
}

TEST(GroupPolicy, what_is_too_long_for_a_port_is_dropped_whatever_its_group) {
    SceneWords words;
    words.underlay.mtu = 9000;
    words.red.mtu = 8950;
    Grouped s(words);
    s.accept(s.vm1, {7});
    Frame frame = small_from(12, host(1));
    frame.payload(1480);
    Golden(s.lab, s.up, s.from_remote(frame, 2, policy(7)))
        .drops(DropReason::port_oversize)
        .uncut()
        .check();
}

}  // namespace
}  // namespace vxplane::support
