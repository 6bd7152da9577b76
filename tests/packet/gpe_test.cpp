// `gpe`: VXLAN headers that say what is inside, and peers that have no Ethernet.
#include <gtest/gtest.h>

#include "dataplane/worker/steering.hpp"
#include "tests/support/scene.hpp"
#include "tests/support/stream.hpp"

namespace vxplane::support {
namespace {

/// P and I; `protocol` in the last byte of the first word.
Vxlan gpe(std::uint32_t protocol, std::uint8_t flags = 0x0C) {
    return {.flags = flags, .reserved = protocol};
}

/// What stands for 10.0.0.2.
net::MacAddress gpe_peer() {
    return mac("06:76:0a:00:00:02");
}

Bytes bare_of(const Frame& frame) {
    const Bytes all = frame.bytes();
    return {all.begin() + 14, all.end()};
}

Frame bare_packet(const char* to = "192.0.2.2", std::size_t size = 18) {
    return a_frame().ipv4({.destination = to}).udp(1000, 2000).payload(size);
}
Frame bare_packet6() {
    return a_frame().ipv6().udp(1000, 2000).payload(18);
}

/// Host 1 has 192.0.2.2 and 2001:db8::2 in red, which has two ports; blue has one.
struct Extended : Scene {
    explicit Extended(SceneWords scene_words = {}) : Scene(with_gpe(scene_words)) {
        for (const SegmentId segment : {red, blue})
            lab.segment_entry(segment).watch = table::watch::kGpe;
        lab.complete = [this](table::Tables& tables) {
            const std::vector<std::pair<table::ScopedAddress, std::uint32_t>> known{
                {{address("192.0.2.2"), red}, 0}, {{address("2001:db8::2"), red}, 0}};
            tables.segment_neighbours = std::make_shared<const table::AddressMap>(known);
            tables.known_neighbours =
                table::Shared(std::vector<table::SegmentNeighbour>{{host(1), false}});
        };
        lab.fdb(red, gpe_peer(), FdbKind::tunnel, t2, FdbState::dynamic);
    }
    static SceneWords with_gpe(SceneWords words) {
        words.tunnel.gpe = true;
        words.access.mac = mac("02:00:00:cc:00:01");
        return words;
    }
    [[nodiscard]] Frame packet(Vxlan header, const Bytes& inner) const {
        return a_frame()
            .to(local_mac)
            .from(remote_mac(2))
            .ipv4({.source = "10.0.0.2", .destination = kLocal})
            .udp(40000, 4789, {.checksum = 0})
            .vxlan(header, inner);
    }
    [[nodiscard]] Frame sent(Vxlan header, const Bytes& inner) const {
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
    void refuses(Vxlan header, const Bytes& inner, DropReason reason) {
        Golden(lab, up, packet(header, inner)).drops(reason).uncut().check();
    }
    /// From the peer, to whoever has the address in red.
    void comes(std::uint32_t protocol, Frame frame) {
        Golden(lab, up, packet(gpe(protocol), bare_of(frame)))
            .out(vm1, frame.to(host(1)).from(gpe_peer()))
            .arrived(red, frame.size())
            .uncut()
            .check();
    }
    void goes(std::uint32_t protocol, Frame frame) {
        frame.to(gpe_peer()).from(host(1));
        Golden(lab, vm1, frame)
            .out(up, sent(gpe(protocol), bare_of(frame)))
            .tunnelled(red, 1, frame.size() - 14)
            .uncut()
            .check();
    }
};

TEST(Gpe, VX47_ethernet_inside_is_bridged_and_teaches) {
    Extended s;
    const Frame frame = small_from(99, host(1));
    Golden(s.lab, s.up, s.from_remote(frame, 2, gpe(3)))
        .out(s.vm1, frame)
        .arrived(s.red, 60)
        .learns_behind("10.0.0.2")
        .uncut()
        .check();
}

TEST(Gpe, VX47_headers_of_frames_say_ethernet) {
    Extended s;
    const Frame frame = small(host(12));
    Golden(s.lab, s.vm1, frame)
        .out(s.up, s.sent(gpe(3), frame.bytes()))
        .tunnelled(s.red, 1, 60)
        .check();
    const Frame arp = a_frame().to(host(12)).from(host(1)).arp();
    Golden(s.lab, s.vm1, arp)
        .out(s.up, s.sent(gpe(3), arp.bytes()))
        .tunnelled(s.red, 1, arp.size())
        .uncut()
        .check();
}

TEST(Gpe, VX47_ip_inside_goes_to_who_has_the_address) {
    Extended s;
    s.comes(1, bare_packet());
    s.comes(2, bare_packet6());
}

TEST(Gpe, VX47_ip_inside_teaches_that_its_peer_takes_ip) {
    Extended s;
    s.lab.fdb_erase(s.red, gpe_peer());
    Frame frame = bare_packet();
    Golden(s.lab, s.up, s.packet(gpe(1), bare_of(frame)))
        .out(s.vm1, frame.to(host(1)).from(gpe_peer()))
        .arrived(s.red, 60)
        .learns_behind("10.0.0.2")
        .uncut()
        .check();
}

TEST(Gpe, VX47_the_host_behind_the_only_port_has_every_address) {
    Extended s;
    s.lab.fdb(s.blue, gpe_peer(), FdbKind::tunnel, s.t2, FdbState::permanent);
    Frame frame = bare_packet("192.0.2.77");
    Vxlan header = gpe(1);
    header.vni = 8;
    Golden(s.lab, s.up, s.packet(header, bare_of(frame)))
        .out(s.vm9, frame.to(mac("02:00:00:cc:00:01")).from(gpe_peer()))
        .arrived(s.blue, 60)
        .flooded(s.blue, 0)
        .uncut()
        .check();
}

TEST(Gpe, VX47_ip_to_a_group_goes_to_all_members) {
    Extended s;
    const auto reaches_both = [&s](std::uint32_t protocol, Frame frame, const char* to) {
        frame.from(gpe_peer());
        Golden(s.lab, s.up, s.packet(gpe(protocol), bare_of(frame)))
            .out(s.vm1, frame.to(mac(to)))
            .out(s.vm2, frame.to(mac(to)))
            .arrived(s.red, frame.size())
            .flooded(s.red, 1)
            .uncut()
            .check();
    };
    reaches_both(1, bare_packet("239.129.2.3"), "01:00:5e:01:02:03");
    reaches_both(1, bare_packet("255.255.255.255"), "ff:ff:ff:ff:ff:ff");
    reaches_both(2, a_frame().ipv6({.destination = "ff05::1:2"}).udp(1, 2).payload(18),
                 "33:33:00:01:00:02");
}

TEST(Gpe, VX47_VX40_ecn_of_the_outside_reaches_ip_inside) {
    Extended s;
    Frame in = a_frame().ipv4({.tos = 2}).udp(1000, 2000).payload(18);
    Frame out = a_frame().ipv4({.tos = 3}).udp(1000, 2000).payload(18);
    const Frame outer = a_frame()
                            .to(s.local_mac)
                            .from(Scene::remote_mac(2))
                            .ipv4({.source = "10.0.0.2", .destination = Scene::kLocal, .tos = 3})
                            .udp(40000, 4789, {.checksum = 0})
                            .vxlan(gpe(1), bare_of(in));
    Golden(s.lab, s.up, outer)
        .out(s.vm1, out.to(host(1)).from(gpe_peer()))
        .arrived(s.red, 60)
        .uncut()
        .check();
}

TEST(Gpe, VX47_what_is_for_such_a_peer_leaves_without_ethernet) {
    for (const bool checksum : {false, true}) {
        SceneWords words;
        words.tunnel.udp_checksum = checksum;
        words.tunnel.inherit.ttl = true;
        Extended s(words);
        s.goes(1, bare_packet());
        s.goes(2, bare_packet6());
        s.goes(1, bare_packet("192.0.2.2", 1400));
    }
}

TEST(Gpe, VX47_padding_of_the_frame_stays_behind) {
    Extended s;
    Frame frame = bare_packet("192.0.2.2", 1);
    frame.to(gpe_peer()).from(host(1));
    const Bytes inner = bare_of(frame);
    Golden(s.lab, s.vm1, frame.padded())
        .out(s.up, s.sent(gpe(1), inner))
        .tunnelled(s.red, 1, 29)
        .uncut()
        .check();
}

TEST(Gpe, VX47_what_is_not_ip_is_not_for_such_a_peer) {
    SceneWords words;
    words.red.inner_vlan = true;
    Extended s(words);
    const auto refused = [&s](const Frame& frame) {
        Golden(s.lab, s.vm1, frame).drops(DropReason::gpe_not_ip).uncut().check();
    };
    refused(a_frame().to(gpe_peer()).from(host(1)).arp());
    refused(a_frame().to(gpe_peer()).from(host(1)).vlan(5).ipv4().udp(1, 2).payload(18));
}

TEST(Gpe, VX47_VX29_a_clamped_syn_leaves_without_ethernet) {
    SceneWords words;
    words.tunnel.clamp_mss = true;
    words.tunnel.udp_checksum = true;
    Extended s(words);
    const auto syn = [](std::uint8_t high, std::uint8_t low) {
        Frame frame = a_frame();
        frame.to(gpe_peer()).from(host(1)).ipv4();
        return frame.tcp(40'000, 80, {.flags = 0x02, .options = {2, 4, high, low}});
    };
    Golden(s.lab, s.vm1, syn(0x05, 0xB4))
        .out(s.up, s.sent(gpe(1), bare_of(syn(0x05, 0x82))))
        .tunnelled(s.red, 1, 44)
        .uncut()
        .check();
}

TEST(Gpe, VX47_RP31_a_large_packet_is_cut_into_packets_without_ethernet) {
    for (const bool inner6 : {false, true}) {
        SceneWords words;
        words.access.gro = true;
        words.tunnel.udp_checksum = true;
        Extended s(words);
        StreamWords flow;
        flow.inner6 = inner6;
        flow.from = host(1);
        flow.to = gpe_peer();
        const auto frames = stream(flow, 13'000, 1300);
        const Seen seen = s.lab.receive(s.vm1, frames);
        EXPECT_EQ(seen.broken_law, "");
        EXPECT_EQ(seen.moved.at("merged"), 9U);
        const auto got = seen.sent_by(s.up);
        ASSERT_EQ(got.size(), frames.size());
        for (std::size_t i = 0; i < got.size(); ++i) {
            const Outer outer = take_apart(got[i]);
            EXPECT_TRUE(outer.whole && outer.ip_checksum_right && outer.udp_checksum_right);
            ASSERT_EQ(got[i].size(), frames[i].size() + 50 - 14);
            EXPECT_EQ(got[i][42], 0x0C);
            EXPECT_EQ(got[i][45], inner6 ? 2 : 1);
            // Whole again, but for ids.
            Bytes again(frames[i].begin(), frames[i].begin() + 14);
            again.insert(again.end(), got[i].begin() + 50, got[i].end());
            EXPECT_EQ(hex(without_ids(again, flow)), hex(without_ids(frames[i], flow)));
        }
    }
}

TEST(Gpe, VX47_tcp_without_ethernet_is_not_merged) {
    SceneWords words;
    words.underlay.gro = true;
    Extended s(words);
    std::vector<Bytes> packets;
    for (const Bytes& frame : stream({}, 4000, 1000))
        packets.push_back(s.packet(gpe(1), {frame.begin() + 14, frame.end()}).bytes());
    const Seen seen = s.lab.receive(s.up, packets);
    EXPECT_EQ(seen.broken_law, "");
    EXPECT_FALSE(seen.moved.contains("merged"));
    EXPECT_EQ(seen.sent_by(s.vm1).size(), packets.size());
}

TEST(Gpe, VX47_RP11_ip_inside_is_steered_as_in_a_frame) {
    const Extended s;
    const table::FlatMap vxlan({{4789, 0}});
    const auto hash = [&vxlan](const Bytes& frame, std::size_t size) {
        return worker::steering_hash(reinterpret_cast<const std::byte*>(frame.data()), size,
                                     table::PortRole::underlay, vxlan);
    };
    for (const std::uint32_t protocol : {1U, 2U}) {
        const Frame inner = protocol == 1 ? bare_packet() : bare_packet6();
        const Bytes whole = s.from_remote(inner, 2, gpe(3)).bytes();
        const Bytes bare = s.packet(gpe(protocol), bare_of(inner)).bytes();
        EXPECT_EQ(hash(bare, bare.size()), hash(whole, whole.size()));
        for (std::size_t size = 0; size <= bare.size(); ++size) {
            const Bytes exact(bare.begin(), bare.begin() + static_cast<std::ptrdiff_t>(size));
            const std::uint32_t found = hash(exact, size);
            EXPECT_TRUE(size >= 14 || found == 0) << size;
        }
    }
}

TEST(Gpe, VX47_headers_that_mean_something_else_are_dropped) {
    Extended s;
    const Bytes frame = small_from(12, host(1)).bytes();
    const Bytes ip = bare_of(small_from(12, host(1)));
    s.refuses(gpe(3, 0x1C), frame, DropReason::gpe_version);
    s.refuses(gpe(3, 0x3C), frame, DropReason::gpe_version);
    s.refuses(gpe(3, 0x08), frame, DropReason::gpe_no_protocol);
    s.refuses({}, frame, DropReason::gpe_no_protocol);
    s.refuses(gpe(3, 0x0D), frame, DropReason::gpe_oam);
    s.refuses(gpe(3, 0x0E), frame, DropReason::vxlan_reserved_bits);
    s.refuses(gpe(3, 0x8C), frame, DropReason::vxlan_reserved_bits);
    s.refuses(gpe(0x010003), frame, DropReason::vxlan_reserved_bits);
    s.refuses(gpe(3, 0x04), frame, DropReason::vxlan_no_vni_flag);
    for (const std::uint32_t protocol : {0U, 4U, 5U, 6U, 255U})
        s.refuses(gpe(protocol), ip, DropReason::gpe_unknown_protocol);
    s.refuses(gpe(1), bare_of(bare_packet6()), DropReason::gpe_unknown_protocol);
    s.refuses(gpe(1), {ip.begin(), ip.begin() + 10}, DropReason::vxlan_too_short);
    s.refuses(gpe(1), {ip.begin(), ip.begin() + 19}, DropReason::vxlan_inner_truncated);
    s.refuses(gpe(2), {ip.begin(), ip.begin() + 39}, DropReason::vxlan_inner_truncated);
}

TEST(Gpe, VX47_ip_for_an_address_that_nobody_has_is_dropped) {
    Extended s;
    s.refuses(gpe(1), bare_of(bare_packet("192.0.2.77")), DropReason::gpe_no_owner);
}

TEST(Gpe, VX47_over_ipv6_the_header_says_the_same) {
    for (const bool checksum : {false, true}) {
        SceneWords words;
        words.red.ipv6 = true;
        words.red.udp6_zero_rx = true;
        Extended s(words);
        table::TunnelSpec spec = s.words.tunnel;
        spec.local = address("2001:db8::1");
        spec.remote = address("2001:db8::a00:2");
        spec.udp_checksum = checksum;
        spec.out_port = s.up;
        spec.source_mac = s.local_mac;
        spec.next_hop = Scene::remote_mac(6);
        s.lab.own(address("2001:db8::1"), s.up);
        const TunnelId t6 = s.lab.tunnel(spec);
        s.lab.fdb(s.red, gpe_peer(), FdbKind::tunnel, t6, FdbState::dynamic);
        Udp udp;
        if (!checksum) udp.checksum = 0;
        Frame frame = bare_packet();
        frame.to(gpe_peer()).from(host(1));
        Golden(s.lab, s.vm1, frame)
            .out(s.up, a_frame()
                           .to(Scene::remote_mac(6))
                           .from(s.local_mac)
                           .ipv6({.source = "2001:db8::1", .destination = "2001:db8::a00:2"})
                           .udp(0, 4789, udp)
                           .vxlan(gpe(1), bare_of(frame))
                           .any_source_port())
            .tunnelled(s.red, 1, 46)
            .uncut()
            .check();
        Frame answer = bare_packet6();
        Golden(s.lab, s.up,
               a_frame()
                   .to(s.local_mac)
                   .from(Scene::remote_mac(6))
                   .ipv6({.source = "2001:db8::a00:2", .destination = "2001:db8::1"})
                   .udp(40000, 4789, udp)
                   .vxlan(gpe(2), bare_of(answer)))
            .out(s.vm1, answer.to(host(1)).from(gpe_peer()))
            .arrived(s.red, 80)
            .uncut()
            .check();
    }
}

}  // namespace
}  // namespace vxplane::support
