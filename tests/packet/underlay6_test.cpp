// Tunnels over IPv6: what the outer header says, and which tunnel packets are taken. The scene's
// segment red has remotes of both families.
#include <gtest/gtest.h>

#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

constexpr const char* kOwn = "2001:db8::1";
constexpr const char* kPeer = "2001:db8::2";

using Adjust = void (*)(table::TunnelSpec&);

/// Host 16 is behind 2001:db8::2, host 12 behind 10.0.0.2.
struct Scene6 : Scene {
    explicit Scene6(Adjust adjust = nullptr, SceneWords scene_words = {})
        : Scene(with_both(scene_words)) {
        options.udp_checksum = true;
        if (adjust != nullptr) adjust(options);
        lab.own(address(kOwn), up);
        t6 = lab.tunnel(spec6());
        lab.fdb(red, host(16), FdbKind::tunnel, t6, FdbState::dynamic);
    }
    static SceneWords with_both(SceneWords words) {
        words.red.ipv6 = true;
        return words;
    }
    table::TunnelSpec spec6() const {
        table::TunnelSpec spec = options;
        spec.local = address(kOwn);
        spec.remote = address(kPeer);
        spec.out_port = up;
        spec.source_mac = local_mac;
        spec.next_hop = remote_mac(6);
        return spec;
    }
    Frame to_peer(const Frame& inner, Ip6 outer = {}, Udp udp = {}) const {
        outer.source = kOwn;
        outer.destination = kPeer;
        return a_frame()
            .to(remote_mac(6))
            .from(local_mac)
            .ipv6(outer)
            .udp(0, 4789, udp)
            .vxlan({}, inner)
            .any_source_port();
    }
    Frame from_peer(const Frame& inner, Ip6 outer = {}, Udp udp = {}) const {
        if (outer.source == "2001:db8::1") outer.source = kPeer;
        outer.destination = kOwn;
        return a_frame()
            .to(local_mac)
            .from(remote_mac(6))
            .ipv6(outer)
            .udp(40000, 4789, udp)
            .vxlan({}, inner);
    }

    table::TunnelSpec options;
    TunnelId t6 = 0;
};

Frame inner_frame6() {
    return small_from(16, host(1));
}
const std::initializer_list<DropReason> kCut{DropReason::ip6_malformed, DropReason::host_unclaimed};

TEST(VxlanEncap6, VX01_VX02_VX03_VX08_adds_seventy_bytes_of_outer_header) {
    Scene6 s;
    for (const std::size_t payload : {18, 19, 700, 1430 - 28}) {
        const Frame inner = a_frame().to(host(16)).ipv4().udp(1000, 2000).payload(payload);
        ASSERT_EQ(s.to_peer(inner).size(), inner.size() + 70);
        Golden(s.lab, s.vm1, inner)
            .out(s.up, s.to_peer(inner))
            .tunnelled(s.red, 1, inner.size())
            .uncut()
            .check();
    }
}

TEST(VxlanEncap6, VX13_VX14_the_checksum_is_there_unless_switched_off_and_never_zero) {
    Scene6 off([](auto& t) { t.udp_checksum = false; });
    const Frame inner = small(host(16));
    Golden(off.lab, off.vm1, inner)
        .out(off.up, off.to_peer(inner, {}, {.checksum = 0}))
        .tunnelled(off.red, 1, inner.size())
        .uncut()
        .check();
    // All values of two bytes of payload: one of them makes the sum come out as zero.
    Scene6 on;
    bool all_ones = false;
    for (std::uint32_t first = 0; first < 65536; first += 256) {
        std::vector<Bytes> burst;
        for (std::uint32_t value = first; value < first + 256; ++value)
            burst.push_back(a_frame()
                                .to(host(16))
                                .ipv4()
                                .udp(1000, 2000, {.checksum = 0})
                                .payload(Bytes{static_cast<std::uint8_t>(value >> 8),
                                               static_cast<std::uint8_t>(value)})
                                .bytes());
        const Seen seen = on.lab.receive(on.vm1, burst);
        for (const Bytes& frame : seen.sent_by(on.up)) {
            const std::uint32_t field = frame[60] << 8U | frame[61];
            ASSERT_NE(field, 0U);
            all_ones = all_ones || field == 0xFFFF;
        }
    }
    EXPECT_TRUE(all_ones);
}

TEST(VxlanEncap6, VX09_VX10_hop_limit_and_traffic_class_are_fixed_or_inherited) {
    Scene6 fixed([](auto& t) { t.ttl = 9, t.tos = 0xB9; });
    const Frame plain = small(host(16));
    Golden(fixed.lab, fixed.vm1, plain)
        .out(fixed.up, fixed.to_peer(plain, {.traffic_class = 0xB8, .hop_limit = 9}))
        .tunnelled(fixed.red, 1, plain.size())
        .uncut()
        .check();
    Scene6 taken([](auto& t) { t.inherit.ttl = t.inherit.tos = true; });
    const Frame v4 = a_frame().to(host(16)).ipv4({.tos = 0x4A, .ttl = 33}).udp(1, 2).payload(18);
    const Frame v6 =
        a_frame().to(host(16)).ipv6({.traffic_class = 0x29, .hop_limit = 77}).udp(1, 2).payload(18);
    const Frame used_up = a_frame().to(host(16)).ipv4({.ttl = 0}).udp(1, 2).payload(18);
    const Frame no_ip = a_frame().to(host(16)).payload(46);
    const std::vector<std::pair<Frame, Ip6>> all{{v4, {.traffic_class = 0x4A, .hop_limit = 33}},
                                                 {v6, {.traffic_class = 0x29, .hop_limit = 77}},
                                                 {used_up, {}},
                                                 {no_ip, {}}};
    for (const auto& [inner, outer] : all)
        Golden(taken.lab, taken.vm1, inner)
            .out(taken.up, taken.to_peer(inner, outer))
            .tunnelled(taken.red, 1, inner.size())
            .uncut()
            .check();
}

TEST(VxlanEncap6, VX11_congestion_is_shown_outside) {
    for (const std::uint8_t ecn : {0, 1, 2, 3}) {
        for (const auto mode : {net::EcnMode::rfc6040, net::EcnMode::rfc3168}) {
            Scene6 s(mode == net::EcnMode::rfc3168
                         ? Adjust([](auto& t) { t.ecn = net::EcnMode::rfc3168; })
                         : nullptr);
            const Frame inner = small(host(16), ecn);
            const std::uint8_t shown = ecn == 3 && mode == net::EcnMode::rfc3168 ? 2 : ecn;
            Golden(s.lab, s.vm1, inner)
                .out(s.up, s.to_peer(inner, {.traffic_class = shown}))
                .tunnelled(s.red, 1, inner.size())
                .uncut()
                .check();
        }
    }
}

TEST(VxlanEncap6, VX16_flow_label_is_fixed_or_made_from_the_flow) {
    Scene6 fixed([](auto& t) { t.flow_label.fixed = 0xABCDE; });
    const Frame inner = small(host(16));
    Golden(fixed.lab, fixed.vm1, inner)
        .out(fixed.up, fixed.to_peer(inner, {.flow_label = 0xABCDE}))
        .tunnelled(fixed.red, 1, inner.size())
        .uncut()
        .check();
    Scene6 made([](auto& t) { t.flow_label.from_flow = true; });
    std::set<std::uint32_t> labels;
    std::vector<Bytes> flows;
    for (std::uint16_t port = 0; port < 64; ++port)
        flows.push_back(a_frame().to(host(16)).ipv4().udp(port, 2).payload(18).bytes());
    for (const Bytes& frame : made.lab.receive(made.vm1, flows).sent_by(made.up))
        labels.insert((frame[15] & 0xFU) << 16 | std::uint32_t{frame[16]} << 8 | frame[17]);
    EXPECT_GT(labels.size(), 60U);
    const auto label = [&] {
        const Bytes out = made.lab.receive(made.vm1, inner).sent_by(made.up).at(0);
        return Bytes(out.begin() + 14, out.begin() + 18);
    };
    EXPECT_EQ(label(), label());
}

TEST(VxlanEncap6, VX17_header_goes_into_a_buffer_of_its_own_when_there_is_no_room) {
    Scene6 s;
    // Shared by the copies of a flood, and sent last with nobody else to share it with.
    s.lab.flood_to(s.red, {s.t6, s.t2});
    s.lab.publish();
    const Frame inner = small(mac("ff:ff:ff:ff:ff:ff"));
    const Seen seen = s.lab.receive(s.vm1, inner);
    expect_law(seen);
    const std::vector<Bytes> sent = seen.sent_by(s.up);
    ASSERT_EQ(sent.size(), 2U);
    EXPECT_EQ(sent[0], s.to_remote(inner, 2).bytes_like(sent[0]));
    EXPECT_EQ(sent[1], s.to_peer(inner).bytes_like(sent[1]));
    EXPECT_EQ(seen.moved.at("segment.red.tx_bytes"), 2 * inner.size());
    const auto famine = s.lab.starve(s.lab.header_pool());
    const Seen starved = s.lab.receive(s.vm1, {small(host(16)).bytes()}, Memory::exact);
    EXPECT_EQ(starved.only_reason(), DropReason::tunnel_no_headroom);
}

TEST(VxlanEncap6, VX21_inner_frame_that_does_not_fit_is_dropped) {
    Scene6 s;
    const Frame too_long = a_frame().to(host(16)).ipv4().udp(1, 2).payload(1431 - 28);
    Golden(s.lab, s.vm1, too_long)
        .drops(DropReason::tunnel_oversize)
        .counts("segment.red.oversize", 1)
        .uncut()
        .check();
}

TEST(VxlanEncap6, frames_wait_with_control_for_a_next_hop_and_are_refused_as_over_ipv4) {
    Scene6 s;
    table::TunnelSpec spec = s.spec6();
    spec.state = table::TunnelState::waiting;
    s.lab.replace_tunnel(s.t6, spec);
    Golden(s.lab, s.vm1, small(host(16))).punts(packet::Punt::unresolved).uncut().check();
    spec.state = table::TunnelState::refused;
    spec.refusal = DropReason::tunnel_blackhole;
    s.lab.replace_tunnel(s.t6, spec);
    s.lab.publish();
    Golden(s.lab, s.vm1, small(host(16))).drops(DropReason::tunnel_blackhole).uncut().check();
}

TEST(VxlanDecap6, delivers_the_inner_frame_unchanged) {
    Scene6 s;
    for (const std::size_t payload : {0, 18, 19, 700, 1390}) {
        const Frame inner = a_frame().to(host(1)).from(host(16)).ipv4().tcp(1, 2).payload(payload);
        Golden(s.lab, s.up, s.from_peer(inner))
            .out(s.vm1, inner)
            .arrived(s.red, inner.size())
            .cut_may(kCut)
            .check();
    }
    Bytes padded = s.from_peer(inner_frame6()).bytes();
    padded.insert(padded.end(), 9, 0xEE);
    Golden(s.lab, s.up, raw_frame(padded))
        .out(s.vm1, inner_frame6())
        .arrived(s.red, 60)
        .cut_may(kCut)
        .check();
}

TEST(VxlanDecap6, VX38_checksum_must_be_right_and_may_be_absent_where_allowed) {
    Scene6 s;
    Golden(s.lab, s.up, s.from_peer(inner_frame6(), {}, {.checksum = 0x1234}))
        .drops(DropReason::udp_bad_checksum)
        .cut_may(kCut)
        .check();
    Golden(s.lab, s.up, s.from_peer(inner_frame6(), {}, {.checksum = 0}))
        .drops(DropReason::udp_no_checksum)
        .cut_may(kCut)
        .check();
    s.lab.segment_entry(s.red).udp6_zero_rx = true;
    s.lab.publish();
    Golden(s.lab, s.up, s.from_peer(inner_frame6(), {}, {.checksum = 0}))
        .out(s.vm1, inner_frame6())
        .arrived(s.red, 60)
        .cut_may(kCut)
        .check();
}

TEST(VxlanDecap6, VX34_VX95_each_family_has_segments_of_its_own) {
    Scene6 s;
    s.lab.segment("green", {.vni = 9});
    Frame green = s.from_peer(inner_frame6());
    green.vxlan({.vni = 9}, inner_frame6());
    Golden(s.lab, s.up, green).drops(DropReason::vxlan_unknown_vni).cut_may(kCut).check();
    bool noted = false;
    s.lab.worker().unknown_vnis().for_each([&](const step::UnknownVnis::Sample& sample) {
        noted = noted || (sample.vni.number == 9 && sample.source == address(kPeer));
    });
    EXPECT_TRUE(noted);
}

TEST(VxlanDecap6, VX40_congestion_outside_is_told_inside) {
    Scene6 s;
    const Frame inner = small_from(16, host(1), 2);
    Golden(s.lab, s.up, s.from_peer(inner, {.traffic_class = 3}))
        .out(s.vm1, small_from(16, host(1), 3))
        .arrived(s.red, 60)
        .cut_may(kCut)
        .check();
    Golden(s.lab, s.up, s.from_peer(inner_frame6(), {.traffic_class = 3}))
        .drops(DropReason::vxlan_ecn_lost)
        .cut_may(kCut)
        .check();
}

TEST(VxlanDecap6, VX44_sources_that_no_other_host_has_are_refused) {
    Scene6 s;
    const std::vector<std::pair<const char*, DropReason>> sources{
        {"::", DropReason::ip6_bad_source},
        {"::1", DropReason::ip6_bad_source},
        {"ff02::2", DropReason::ip6_bad_source},
        {"::ffff:10.0.0.2", DropReason::ip6_bad_source}};
    for (const auto& [source, reason] : sources)
        Golden(s.lab, s.up, s.from_peer(inner_frame6(), {.source = source}))
            .drops(reason)
            .cut_may(kCut)
            .check();
    Bytes own = s.from_peer(inner_frame6(), {}, {.checksum = 0}).bytes();
    const net::IpAddress ours = address(kOwn);
    std::copy(ours.bytes.begin(), ours.bytes.end(), own.begin() + 22);
    Golden(s.lab, s.up, raw_frame(own)).drops(DropReason::outer_own_vtep).cut_may(kCut).check();
}

/// The header of `bytes` (its first byte is set to UDP) between IPv6 and UDP.
Bytes with_extension(Bytes frame, std::uint8_t type, Bytes header) {
    header[0] = frame[20];
    frame[20] = type;
    const auto length = static_cast<std::uint16_t>((frame[18] << 8 | frame[19]) + header.size());
    frame[18] = static_cast<std::uint8_t>(length >> 8);
    frame[19] = static_cast<std::uint8_t>(length);
    frame.insert(frame.begin() + 54, header.begin(), header.end());
    return frame;
}

TEST(VxlanDecap6, VX39_extension_headers_are_skipped_and_fragments_dropped) {
    Scene6 s;
    const Bytes plain = s.from_peer(inner_frame6()).bytes();
    const Bytes options = with_extension(plain, 60, {0, 0, 1, 4, 0, 0, 0, 0});
    Golden(s.lab, s.up, raw_frame(options))
        .out(s.vm1, inner_frame6())
        .arrived(s.red, 60)
        .cut_may(kCut)
        .check();
    const Bytes first = with_extension(plain, 44, {0, 0, 0, 1, 0, 0, 0, 9});
    Golden(s.lab, s.up, raw_frame(first)).drops(DropReason::outer_fragment).cut_may(kCut).check();
    const Bytes later = with_extension(plain, 44, {0, 0, 1, 0, 0, 0, 0, 9});
    Golden(s.lab, s.up, raw_frame(later)).drops(DropReason::outer_fragment).cut_may(kCut).check();
}

TEST(VxlanDecap6, VX31_other_udp_and_other_addresses_are_the_hosts) {
    SceneWords words;
    words.twin = true;
    Scene6 s(nullptr, words);
    Frame other_port = s.from_peer(inner_frame6());
    other_port.udp(40000, 4790);
    Golden(s.lab, s.up, other_port).out(s.host_twin, other_port).uncut().check();
    Ip6 elsewhere{.source = kPeer, .destination = "2001:db8::99"};
    const Frame foreign =
        a_frame().to(s.local_mac).ipv6(elsewhere).udp(1, 4789).vxlan({}, inner_frame6());
    Golden(s.lab, s.up, foreign).out(s.host_twin, foreign).uncut().check();
    const Bytes later =
        with_extension(s.from_peer(inner_frame6()).bytes(), 44, {0, 0, 1, 0, 0, 0, 0, 9});
    Golden(s.lab, s.up, raw_frame(later)).out(s.host_twin, raw_frame(later)).uncut().check();
}

TEST(VxlanDecap6, lengths_that_lie_are_refused) {
    Scene6 s;
    for (const std::uint16_t length : {7, 2000})
        Golden(s.lab, s.up, s.from_peer(inner_frame6(), {}, {.length = length, .checksum = 0}))
            .drops(DropReason::udp_bad_length)
            .cut_may(kCut)
            .check();
    Bytes long_payload = s.from_peer(inner_frame6()).bytes();
    long_payload[18] = 1;
    Golden(s.lab, s.up, raw_frame(long_payload))
        .drops(DropReason::ip6_malformed)
        .cut_may(kCut)
        .check();
}

TEST(VxlanLearning6, VX51_a_known_and_an_unknown_peer_are_told_in_full) {
    Scene6 s;
    const Frame inner = small_from(17, host(1));
    Golden(s.lab, s.up, s.from_peer(inner))
        .out(s.vm1, inner)
        .arrived(s.red, 60)
        .learns_behind(kPeer)
        .uncut()
        .check();
    Golden(s.lab, s.up, s.from_peer(inner, {.source = "2001:db8::77"}))
        .out(s.vm1, inner)
        .arrived(s.red, 60)
        .learns_behind("2001:db8::77")
        .uncut()
        .check();
    // At its place already.
    Golden(s.lab, s.up, s.from_peer(inner_frame6()))
        .out(s.vm1, inner_frame6())
        .arrived(s.red, 60)
        .uncut()
        .check();
}

TEST(VxlanLearning6, VX53_VX54_a_source_fixed_elsewhere_is_not_believed) {
    Scene6 s;
    s.lab.fdb(s.red, host(12), FdbKind::tunnel, s.t2, FdbState::permanent);
    Golden(s.lab, s.up, s.from_peer(small_from(12, host(1))))
        .drops(DropReason::fdb_conflict)
        .uncut()
        .check();
}

TEST(Underlay6, VX34_a_segment_of_one_link_is_none_of_others) {
    for (const bool other : {false, true}) {
        Scene6 s;
        s.lab.segment_entry(s.red).guard = 1;
        s.lab.complete = [&](table::Tables& tables) {
            table::Guard guard;
            guard.link = other ? s.vm9 : s.up;
            tables.guards = table::Shared{std::vector<table::Guard>{{}, guard}};
        };
        s.lab.publish();
        const Frame frame = small_from(12, host(1));
        const Seen seen = s.lab.receive(s.up, s.from_peer(frame));
        expect_law(seen);
        EXPECT_EQ(seen.sent_by(s.vm1).size(), other ? 0U : 1U);
        EXPECT_EQ(seen.moved.count("drop.vxlan_unknown_vni"), other ? 1U : 0U);
        // Over IPv4 no link is meant.
        EXPECT_EQ(s.lab.receive(s.up, s.from_remote(frame)).sent_by(s.vm1).size(), 1U);
    }
}

}  // namespace
}  // namespace vxplane::support
