// What a frame looks like after it went into a tunnel.
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

/// The outer headers of frames that vm1 sends to host 12.
std::vector<Outer> tunnelled(Scene& s, const std::vector<Frame>& frames) {
    std::vector<Outer> outers;
    std::vector<Bytes> burst;
    const auto send = [&] {
        const Seen seen = s.lab.receive(s.vm1, burst);
        expect_law(seen);
        for (const Bytes& frame : seen.sent_by(s.up)) outers.push_back(take_apart(frame));
        burst.clear();
    };
    for (const Frame& frame : frames) {
        burst.push_back(frame.bytes());
        if (burst.size() == 256) send();
    }
    if (!burst.empty()) send();
    EXPECT_EQ(outers.size(), frames.size());
    for (const Outer& outer : outers) EXPECT_TRUE(outer.whole && outer.ip_checksum_right);
    return outers;
}

Outer tunnelled(Scene& s, const Frame& frame) {
    return tunnelled(s, std::vector<Frame>{frame}).at(0);
}

TEST(VxlanEncap, VX01_VX02_VX03_VX08_adds_fifty_bytes_of_outer_header) {
    Scene s;
    const Frame inner = small(host(12));
    ASSERT_EQ(s.to_remote(inner).size(), inner.size() + 50);
    Golden(s.lab, s.vm1, inner)
        .out(s.up, s.to_remote(inner))
        .tunnelled(s.red, 1, inner.size())
        .cut_may({DropReason::eth_bad_source})
        .check();
    const Outer outer = tunnelled(s, inner);
    EXPECT_EQ(outer.flags_word, 0x08000000U);
    EXPECT_EQ(outer.vni_word, 7U << 8);
    EXPECT_EQ(outer.udp_length, inner.size() + 16);
    EXPECT_EQ(outer.total_length, inner.size() + 36);
    EXPECT_EQ(outer.source, ip(Scene::kLocal));
    EXPECT_EQ(outer.ttl, 64);
}

TEST(VxlanEncap, VX08_outer_source_is_the_address_of_the_vtep) {
    Scene s;
    table::TunnelSpec other = s.spec(2);
    other.local = ip("10.9.9.9");
    s.lab.replace_tunnel(s.t2, other);
    const Outer outer = tunnelled(s, small(host(12)));
    EXPECT_EQ(outer.source, ip("10.9.9.9"));
    EXPECT_EQ(outer.destination, ip("10.0.0.2"));
}

TEST(VxlanEncap, VX04_destination_port_is_the_configured_one) {
    Scene standard;
    EXPECT_EQ(tunnelled(standard, small(host(12))).destination_port, 4789);
    SceneWords words;
    words.red.dstport = words.tunnel.dstport = 8472;
    Scene flannel(words);
    EXPECT_EQ(tunnelled(flannel, small(host(12))).destination_port, 8472);
    const Frame back = small_from(12, host(1));
    Golden(flannel.lab, flannel.up, flannel.from_remote(back))
        .out(flannel.vm1, back)
        .arrived(flannel.red, back.size())
        .check();
}

TEST(VxlanEncap, VX09_VX10_VX12_what_is_inherited_is_that_of_the_inner_packet) {
    struct Row {
        Frame inner;
        std::uint8_t ttl, tos;
        bool df;
    };
    const auto v4 = [](Ip4 words) { return a_frame().to(host(12)).ipv4(words).udp(1, 2); };
    const auto v6 = [](Ip6 words) { return a_frame().to(host(12)).ipv6(words).udp(1, 2); };
    const std::vector<Row> rows{
        {v4({.tos = 0xB8, .ttl = 7, .fragment = 0x4000}).payload(18), 7, 0xB8, true},
        {v4({.tos = 0x29, .ttl = 255}).payload(1000), 255, 0x29, false},
        {v4({.ttl = 0}).payload(18), 64, 0, false},
        {v6({.traffic_class = 0x2A, .hop_limit = 3}).payload(18), 3, 0x2A, true},
        {a_frame().to(host(12)).type(0x88B5).payload(50), 64, 0, false},
    };
    for (const bool checksum : {false, true}) {
        SceneWords words;
        words.tunnel.inherit = {true, true, true};
        words.tunnel.udp_checksum = checksum;
        Scene s(words);
        for (const Row& row : rows) {
            const Outer outer = tunnelled(s, row.inner);
            EXPECT_EQ(outer.ttl, row.ttl);
            EXPECT_EQ(outer.tos, row.tos);
            EXPECT_EQ(outer.fragment, row.df ? 0x4000 : 0);
        }
        // In a flood the header has a buffer of its own.
        const Frame broadcast =
            a_frame()
                .to(net::MacAddress::from_number(net::MacAddress::kBroadcastNumber))
                .ipv4({.tos = 0xB8, .ttl = 9})
                .udp(1, 2)
                .payload(18);
        const Seen seen = s.lab.receive(s.vm1, {broadcast.bytes()});
        expect_law(seen);
        EXPECT_FALSE(seen.sent_by(s.up).empty());
        for (const Bytes& frame : seen.sent_by(s.up)) {
            const Outer outer = take_apart(frame);
            EXPECT_TRUE(outer.whole && outer.ip_checksum_right && outer.udp_checksum_right);
            EXPECT_EQ(outer.ttl, 9);
            EXPECT_EQ(outer.tos, 0xB8);
        }
    }
}

TEST(VxlanEncap, VX05_source_port_is_in_the_range) {
    for (const auto& [lo, span] : {std::pair<std::uint16_t, std::uint16_t>{32768, 28231},
                                   {49152, 16384},
                                   {5000, 1},
                                   {65534, 2}}) {
        SceneWords words;
        words.tunnel.source_port_lo = lo;
        words.tunnel.source_port_span = span;
        Scene s(words);
        std::vector<Frame> flows;
        for (std::uint16_t i = 0; i < 500; ++i)
            flows.push_back(a_frame().to(host(12)).ipv4().udp(i, 2000).payload(18));
        for (const Outer& outer : tunnelled(s, flows)) {
            EXPECT_GE(outer.source_port, lo);
            EXPECT_LT(outer.source_port, std::uint32_t{lo} + span);
        }
    }
}

TEST(VxlanEncap, VX06_source_port_belongs_to_the_flow) {
    Scene s;
    const auto port = [&](const Frame& frame) { return tunnelled(s, frame).source_port; };
    const auto v4 = [] { return a_frame().to(host(12)).ipv4().payload(18); };
    const auto v6 = [] { return a_frame().to(host(12)).ipv6().payload(18); };
    // The same flow with another payload, TTL and TOS.
    EXPECT_EQ(port(v4().udp(1, 2)),
              port(a_frame().to(host(12)).ipv4({.tos = 8, .ttl = 3, .id = 9}).udp(1, 2)));
    EXPECT_EQ(port(v6().tcp(1, 2)), port(v6().tcp(1, 2).payload(99)));
    // Another flow: one that differs in anything that tells flows apart.
    EXPECT_NE(port(v4().udp(1, 2)), port(v4().udp(1, 3)));
    EXPECT_NE(port(v4().udp(1, 2)), port(v4().tcp(1, 2)));
    EXPECT_NE(port(v6().udp(1, 2)), port(v6().udp(4, 2)));
    EXPECT_NE(port(v6().udp(1, 2)),
              port(a_frame().to(host(12)).ipv6({.source = "2001:db8::9"}).udp(1, 2)));
    EXPECT_NE(port(v4().udp(1, 2)),
              port(a_frame().to(host(12)).ipv4({.destination = "192.0.2.3"}).udp(1, 2)));
    const auto sctp = [](std::uint16_t from) {
        return a_frame().to(host(12)).ipv4({.protocol = 132}).udp(from, 2).payload(18);
    };
    EXPECT_NE(port(sctp(1)), port(sctp(2)));
    // Both directions of a flow are one flow.
    EXPECT_EQ(port(v4().udp(1, 2)),
              port(a_frame()
                       .to(host(12))
                       .ipv4({.source = "192.0.2.2", .destination = "192.0.2.1"})
                       .udp(2, 1)
                       .payload(18)));
    // ICMP identifiers and fragments' ports do not count.
    EXPECT_EQ(port(v4().icmp_echo(8)), port(v4().icmp_echo(0)));
    EXPECT_EQ(port(a_frame().to(host(12)).ipv4({.fragment = 0x2000}).udp(1, 2).payload(24)),
              port(a_frame().to(host(12)).ipv4({.fragment = 3}).udp(7, 8).payload(24)));
    // Behind a tag is the same flow; other frames go by their MAC addresses.
    EXPECT_NE(port(a_frame().to(host(12)).payload(46)),
              port(a_frame().to(host(12)).from(host(3)).payload(46)));
    EXPECT_EQ(port(a_frame().to(host(12)).payload(46)),
              port(a_frame().to(host(12)).payload(Bytes(46, 7))));
}

TEST(VxlanEncap, VX07_source_ports_are_spread_evenly) {
    Scene s;
    std::mt19937 random(1);
    std::vector<Frame> flows;
    for (int i = 0; i < 10'000; ++i) {
        Ip4 header;
        header.source = "10." + std::to_string(random() % 256) + "." +
                        std::to_string(random() % 256) + "." + std::to_string(random() % 256);
        flows.push_back(a_frame()
                            .to(host(12))
                            .ipv4(header)
                            .udp(static_cast<std::uint16_t>(random()), 53)
                            .payload(18));
    }
    std::array<double, 64> buckets{};
    for (const Outer& outer : tunnelled(s, flows))
        ++buckets[(outer.source_port - 32768U) * 64 / 28231];
    const double each = 10'000 / 64.0;
    double chi_square = 0;
    for (const double n : buckets) chi_square += (n - each) * (n - each) / each;
    EXPECT_LT(chi_square, 92.01) << "63 degrees of freedom, 1 %";
}

TEST(VxlanEncap, VX11_outer_ecn_follows_the_inner) {
    for (const auto mode : {net::EcnMode::rfc6040, net::EcnMode::rfc3168}) {
        for (const std::uint8_t dscp : {0, 0xB8}) {
            SceneWords words;
            words.tunnel.ecn = mode;
            words.tunnel.tos = dscp;
            Scene s(words);
            for (std::uint8_t inner = 0; inner < 4; ++inner) {
                const auto outside = static_cast<std::uint8_t>(
                    inner == 3 && mode == net::EcnMode::rfc3168 ? 2 : inner);
                const Frame v4 = small(host(12), 0x48 | inner);
                Golden(s.lab, s.vm1, v4)
                    .out(s.up, s.to_remote(v4, 2, dscp | outside))
                    .tunnelled(s.red, 1, v4.size())
                    .uncut()
                    .check();
                const Frame v6 =
                    a_frame().to(host(12)).ipv6({.traffic_class = inner}).udp(1, 2).payload(8);
                EXPECT_EQ(tunnelled(s, v6).tos, dscp | outside);
            }
            EXPECT_EQ(tunnelled(s, a_frame().to(host(12)).payload(46)).tos, dscp);
        }
    }
}

TEST(VxlanEncap, VX13_udp_checksum_is_absent_or_right) {
    Scene without;
    EXPECT_EQ(tunnelled(without, small(host(12))).udp_checksum, 0);
    SceneWords words;
    words.tunnel.udp_checksum = true;
    Scene s(words);
    // Odd lengths, and payloads whose sum carries, in one buffer and in two.
    for (std::size_t size = 18; size < 80; ++size) {
        const Frame inner = a_frame().to(host(12)).ipv4().udp(1, 2).payload(Bytes(size, 0xF9));
        Golden(s.lab, s.vm1, inner)
            .out(s.up, s.to_remote(inner))
            .tunnelled(s.red, 1, inner.size())
            .uncut()
            .check();
        const Outer outer = tunnelled(s, inner);
        EXPECT_NE(outer.udp_checksum, 0);
        EXPECT_TRUE(outer.udp_checksum_right);
    }
}

TEST(VxlanEncap, VX14_a_checksum_of_zero_is_sent_as_all_ones) {
    SceneWords words;
    words.tunnel.udp_checksum = true;
    Scene s(words);
    Bytes payload(18, 0);
    const auto inner = [&] {
        return a_frame().to(host(12)).ipv4().udp(1, 2, {.checksum = 0}).payload(payload);
    };
    const std::uint16_t checksum = tunnelled(s, inner()).udp_checksum;
    // Adding the checksum to a word that was zero makes the sum all ones.
    payload[0] = static_cast<std::uint8_t>(checksum >> 8);
    payload[1] = static_cast<std::uint8_t>(checksum);
    const Outer outer = tunnelled(s, inner());
    EXPECT_EQ(outer.udp_checksum, 0xFFFF);
    EXPECT_TRUE(outer.udp_checksum_right);
}

TEST(VxlanEncap, VX15_id_changes_unless_fragments_are_forbidden) {
    for (const bool forbidden : {false, true}) {
        SceneWords words;
        words.tunnel.dont_fragment = forbidden;
        Scene s(words);
        const auto outers = tunnelled(s, std::vector<Frame>(40, small(host(12))));
        for (std::size_t i = 1; i < outers.size(); ++i) {
            EXPECT_EQ(outers[i].fragment, forbidden ? 0x4000 : 0);
            EXPECT_EQ(outers[i].id != outers[i - 1].id, !forbidden);
        }
    }
}

TEST(VxlanEncap, VX17_frame_without_headroom_gets_a_buffer_for_its_header) {
    Scene s;
    const Frame inner = small(host(12));
    const Seen roomy = s.lab.receive(s.vm1, inner, Memory::pool);
    const Seen tight = s.lab.receive(s.vm1, inner, Memory::exact);
    ASSERT_EQ(roomy.sent.size(), 1U);
    ASSERT_EQ(tight.sent.size(), 1U);
    EXPECT_EQ(roomy.sent[0].buffers, 1U);
    EXPECT_EQ(tight.sent[0].buffers, 2U);
    EXPECT_EQ(tight.sent[0].bytes, s.to_remote(inner).bytes_like(tight.sent[0].bytes));
}

TEST(VxlanEncap, VX17_no_buffer_for_the_header_drops) {
    Scene s;
    s.lab.push(s.vm1, {small(host(12)).bytes()}, Memory::exact);
    const auto famine = s.lab.starve(s.lab.header_pool());
    s.lab.poll();
    expect_counts(s.lab.collect(), {{"received", 1},
                                    {"port.vm1.rx_packets", 1},
                                    {"port.vm1.rx_bytes", 60},
                                    {"pool.refused", 1},
                                    {"drop.tunnel_no_headroom", 1}});
}

TEST(VxlanEncap, inner_frame_that_does_not_fit_is_dropped) {
    Scene s;
    const Frame fits = a_frame().to(host(12)).ipv4().udp(1, 2).payload(1450 - 28);
    const Frame too_long = a_frame().to(host(12)).ipv4().udp(1, 2).payload(1451 - 28);
    Golden(s.lab, s.vm1, fits)
        .out(s.up, s.to_remote(fits))
        .tunnelled(s.red, 1, 1464)
        .uncut()
        .check();
    Golden(s.lab, s.vm1, too_long)
        .drops(DropReason::tunnel_oversize)
        .counts("segment.red.oversize", 1)
        .uncut()
        .check();
    // The segment may allow less than the tunnel does.
    s.lab.segment_entry(s.red).max_frame = 1400;
    s.lab.publish();
    Golden(s.lab, s.vm1, fits)
        .drops(DropReason::tunnel_oversize)
        .counts("segment.red.oversize", 1)
        .uncut()
        .check();
}

TEST(VxlanEncap, frames_wait_with_control_for_a_next_hop) {
    Scene s;
    table::TunnelSpec spec = s.spec(2);
    spec.state = table::TunnelState::waiting;
    s.lab.replace_tunnel(s.t2, spec);
    const Frame inner = small(host(12));
    const Seen seen = s.lab.receive(s.vm1, inner);
    ASSERT_EQ(seen.punted.size(), 1U);
    EXPECT_EQ(seen.punted[0].tunnel, s.t2);
    EXPECT_EQ(seen.punted[0].segment, s.red);
    EXPECT_EQ(seen.punted[0].bytes, inner.bytes());
    Golden(s.lab, s.vm1, inner)
        .punts(packet::Punt::unresolved)
        .cut_may({DropReason::eth_bad_source})
        .check();
}

TEST(VxlanEncap, RP71_routes_that_lead_nowhere_have_their_own_reasons) {
    for (const auto reason : {DropReason::tunnel_no_route, DropReason::tunnel_blackhole}) {
        Scene s;
        table::TunnelSpec spec = s.spec(2);
        spec.state = table::TunnelState::refused;
        spec.refusal = reason;
        s.lab.replace_tunnel(s.t2, spec);
        Golden(s.lab, s.vm1, small(host(12))).drops(reason).check();
    }
}

TEST(VxlanEncap, RP71_unreachable_and_prohibited_are_told_to_control_while_it_listens) {
    for (const auto reason : {DropReason::tunnel_unreachable, DropReason::tunnel_prohibited}) {
        SceneWords words;
        words.lab.punt_slots = 8;
        Scene s(words);
        table::TunnelSpec spec = s.spec(2);
        spec.state = table::TunnelState::told;
        spec.refusal = reason;
        s.lab.replace_tunnel(s.t2, spec);
        Golden(s.lab, s.vm1, small(host(12))).punts(packet::Punt::unreachable).check();
        const Seen many = s.lab.receive(s.vm1, std::vector<Bytes>(10, small(host(12)).bytes()));
        expect_counts(many, {{"received", 10},
                             {"port.vm1.rx_packets", 10},
                             {"port.vm1.rx_bytes", 600},
                             // Seven can be held, and the last quarter is for ARP.
                             {"diverted", 6},
                             {"drop." + std::string(packet::info(reason).name), 4}});
    }
}

}  // namespace
}  // namespace vxplane::support
