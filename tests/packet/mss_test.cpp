// `mss-clamp`: what TCP says of its segments when it opens a connection through a tunnel.
#include <gtest/gtest.h>

#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

constexpr std::uint8_t kSyn = 0x02;
constexpr std::uint8_t kSynAck = 0x12;

Bytes mss(unsigned value) {
    return {2, 4, static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)};
}
Frame& opening(Frame& frame, const Bytes& options, std::uint8_t flags = kSyn) {
    return frame.tcp(40'000, 80, {.flags = flags, .options = options});
}
Frame syn(std::uint8_t to, const Bytes& options, std::uint8_t flags = kSyn) {
    Frame frame = a_frame();
    frame.to(host(to)).ipv4();
    return opening(frame, options, flags);
}
Frame syn6(std::uint8_t to, const Bytes& options) {
    Frame frame = a_frame();
    frame.to(host(to)).ipv6();
    return opening(frame, options);
}

/// The inner MTU is 1450.
struct Clamped : Scene {
    explicit Clamped(SceneWords scene_words = {}) : Scene(clamping(scene_words)) {
        lab.segment_entry(red).watch = table::watch::kClampMss;
    }
    static SceneWords clamping(SceneWords words) {
        words.tunnel.clamp_mss = true;
        words.red.inner_vlan = true;
        return words;
    }
    void goes(const Frame& in, const Frame& out) {
        Golden(lab, vm1, in).out(up, to_remote(out)).tunnelled(red, 1, in.size()).uncut().check();
    }
    void comes(Frame in, Frame out) {
        Golden(lab, up, from_remote(in.from(host(12))))
            .out(vm1, out.from(host(12)))
            .arrived(red, in.size())
            .uncut()
            .check();
    }
};

TEST(MssClamp, VX29_a_syn_into_a_tunnel_says_what_fits) {
    Clamped s;
    s.goes(syn(12, mss(1460)), syn(12, mss(1410)));
    s.goes(syn6(12, mss(1440)), syn6(12, mss(1390)));
    s.goes(syn(12, mss(65535), kSynAck), syn(12, mss(1410), kSynAck));
    // A tag has no room of its own in the tunnel packet.
    Frame tagged = syn(12, mss(1460));
    Frame lowered = syn(12, mss(1406));
    s.goes(tagged.vlan(5), lowered.vlan(5));
}

TEST(MssClamp, VX29_a_syn_out_of_a_tunnel_says_what_fits) {
    Clamped s;
    s.comes(syn(1, mss(1460)), syn(1, mss(1410)));
    s.comes(syn6(1, mss(1440)), syn6(1, mss(1390)));
    s.comes(syn(1, mss(1460), kSynAck), syn(1, mss(1410), kSynAck));
    Frame tagged = syn(1, mss(1460));
    Frame lowered = syn(1, mss(1406));
    s.comes(tagged.vlan(5), lowered.vlan(5));
}

TEST(MssClamp, VX29_what_fits_is_never_raised) {
    Clamped s;
    for (const unsigned value : {0U, 1U, 536U, 1409U, 1410U}) {
        s.goes(syn(12, mss(value)), syn(12, mss(value)));
        s.comes(syn(1, mss(value)), syn(1, mss(value)));
    }
    s.goes(syn(12, {}), syn(12, {}));
}

TEST(MssClamp, VX29_a_narrower_path_is_obeyed_in_both_directions) {
    Clamped s;
    table::TunnelSpec narrow = s.spec(2);
    narrow.underlay_mtu = 1300;
    s.lab.replace_tunnel(s.t2, narrow);
    s.lab.publish();
    s.goes(syn(12, mss(1460)), syn(12, mss(1210)));
    s.comes(syn(1, mss(1460)), syn(1, mss(1210)));
    Frame tagged = syn(12, mss(1460));
    Frame lowered = syn(12, mss(1206));
    s.goes(tagged.vlan(5), lowered.vlan(5));
}

TEST(MssClamp, VX29_the_tenants_own_port_may_take_less) {
    SceneWords words;
    words.access.mtu = 1400;
    Clamped s(words);
    s.goes(syn(12, mss(1460)), syn(12, mss(1360)));
}

TEST(MssClamp, VX29_the_option_is_found_among_others_at_any_byte) {
    Clamped s;
    const auto among = [](unsigned value) {
        // NOP, MSS at an odd byte, SACK permitted, window scale, timestamps, another MSS.
        Bytes options{1};
        for (const std::uint8_t byte : mss(value)) options.push_back(byte);
        for (const std::uint8_t byte : {4, 2, 3, 3, 7, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8})
            options.push_back(byte);
        for (const std::uint8_t byte : mss(value)) options.push_back(byte);
        return options;
    };
    ASSERT_EQ(among(1).size() % 4, 0U);
    s.goes(syn(12, among(9000)), syn(12, among(1410)));
    s.goes(syn6(12, among(9000)), syn6(12, among(1390)));
    s.comes(syn(1, among(9000)), syn(1, among(1410)));
}

TEST(MssClamp, VX29_malformed_options_are_left_alone) {
    Clamped s;
    const std::vector<Bytes> odd{
        {2, 3, 0xFF, 0xFF},              // a length of its own
        {2, 0, 0xFF, 0xFF},              // none
        {2, 1, 0xFF, 0xFF},              // shorter than itself
        {3, 5, 2, 4, 0xFF, 0xFF, 1, 1},  // in the middle of another one: ends at the NOP before it
        {0, 2, 4, 0xFF},                 // behind the end
        {1, 1, 1, 2},                    // kind without a length
        {1, 2, 4, 0xFF},                 // beyond the header
        {4, 200, 2, 4},                  // far beyond it
    };
    for (const Bytes& options : odd) {
        s.goes(syn(12, options), syn(12, options));
        s.comes(syn(1, options), syn(1, options));
    }
}

TEST(MssClamp, VX29_only_what_opens_a_connection_is_changed) {
    Clamped s;
    s.goes(syn(12, mss(9000), 0x10), syn(12, mss(9000), 0x10));
    s.comes(syn(1, mss(9000), 0x18), syn(1, mss(9000), 0x18));
    // A piece of a datagram: whose header it is cannot be known.
    Frame piece = a_frame();
    piece.to(host(12)).ipv4({.fragment = 0x2000});
    opening(piece, mss(9000));
    s.goes(piece, piece);
    // UDP that looks like it.
    Frame udp = a_frame();
    udp.to(host(12)).ipv4().udp(40'000, 80).payload(syn(12, mss(9000)).bytes());
    s.goes(udp, udp);
}

TEST(MssClamp, VX29_a_wrong_checksum_stays_wrong) {
    Clamped s;
    Frame in = a_frame();
    in.to(host(12)).ipv4().tcp(1, 2, {.flags = kSyn, .options = mss(1460), .checksum = 0x1234});
    const Seen seen = s.lab.receive(s.vm1, in);
    const std::vector<Bytes> sent = seen.sent_by(s.up);
    ASSERT_EQ(sent.size(), 1U);
    const Bytes inner = take_apart(sent[0]).inner;
    // 1460 - 1410 less in one field is as much more in the other.
    EXPECT_EQ(inner[14 + 20 + 16] << 8 | inner[14 + 20 + 17], 0x1234 + 50);
}

TEST(MssClamp, VX29_copies_for_local_ports_are_not_changed) {
    Clamped s;
    const Frame in = syn(77, mss(1460));
    const Frame out = syn(77, mss(1410));
    Golden(s.lab, s.vm1, in)
        .out(s.vm2, in)
        .out(s.up, s.to_remote(out, 3))
        .out(s.up, s.to_remote(out, 4))
        .out(s.up, s.to_remote(out, 2))
        .flooded(s.red, 3)
        .tunnelled(s.red, 3, 3 * in.size())
        .uncut()
        .check();
    // From one local port to another nothing is changed.
    Golden(s.lab, s.vm1, syn(2, mss(9000))).out(s.vm2, syn(2, mss(9000))).uncut().check();
}

TEST(MssClamp, VX29_the_outer_checksum_fits_what_is_inside) {
    SceneWords words;
    words.tunnel.udp_checksum = true;
    Clamped s(words);
    s.goes(syn(12, mss(1460)), syn(12, mss(1410)));
    s.goes(syn6(12, mss(1460)), syn6(12, mss(1390)));
}

TEST(MssClamp, VX29_over_ipv6_less_fits) {
    SceneWords words;
    words.red.ipv6 = true;
    words.red.mtu = 1430;
    Clamped s(words);
    s.lab.own(address("2001:db8::1"), s.up);
    table::TunnelSpec spec;
    spec.local = address("2001:db8::1");
    spec.remote = address("2001:db8::2");
    spec.out_port = s.up;
    spec.source_mac = s.local_mac;
    spec.next_hop = Scene::remote_mac(6);
    spec.clamp_mss = true;
    spec.udp_checksum = true;
    spec.underlay_mtu = 1400;
    s.lab.fdb(s.red, host(16), FdbKind::tunnel, s.lab.tunnel(spec), FdbState::dynamic);
    const auto outer = [&](const Frame& inner) {
        return a_frame()
            .to(Scene::remote_mac(6))
            .from(s.local_mac)
            .ipv6({.source = "2001:db8::1", .destination = "2001:db8::2"})
            .udp(0, 4789)
            .vxlan({}, inner)
            .any_source_port();
    };
    const Frame in = syn(16, mss(1460));
    Golden(s.lab, s.vm1, in)
        .out(s.up, outer(syn(16, mss(1290))))
        .tunnelled(s.red, 1, in.size())
        .uncut()
        .check();
    Frame back = syn(1, mss(1460), kSynAck);
    Frame lowered = syn(1, mss(1290), kSynAck);
    Golden(s.lab, s.up,
           a_frame()
               .to(s.local_mac)
               .from(Scene::remote_mac(6))
               .ipv6({.source = "2001:db8::2", .destination = "2001:db8::1"})
               .udp(40'000, 4789)
               .vxlan({}, back.from(host(16))))
        .out(s.vm1, lowered.from(host(16)))
        .arrived(s.red, back.size())
        .uncut()
        .check();
}

TEST(MssClamp, VX29_without_the_option_nothing_is_changed) {
    Scene s;
    const Frame in = syn(12, mss(9000));
    Golden(s.lab, s.vm1, in)
        .out(s.up, s.to_remote(in))
        .tunnelled(s.red, 1, in.size())
        .uncut()
        .check();
}

}  // namespace
}  // namespace vxplane::support
