// Frames for tunnels that go another way than most: too long ones that the segment lets be cut, and
// those for a VTEP address of our own.
#include <gtest/gtest.h>

#include <map>

#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

constexpr std::uint16_t kDontFragment = 0x4000;
constexpr std::size_t kEthernet = 14;

unsigned be16(const Bytes& bytes, std::size_t at) {
    return static_cast<unsigned>(bytes[at] << 8 | bytes[at + 1]);
}
Frame datagram(std::size_t size, std::uint16_t fragment = 0, std::uint8_t to = 12) {
    return a_frame()
        .to(host(to))
        .ipv4({.id = 77, .fragment = fragment})
        .udp(1, 2)
        .payload(size - 28);
}

/// Puts IPv4 fragments together, and checks each by itself.
Bytes together(const std::vector<Bytes>& pieces, std::size_t mtu) {
    std::map<std::size_t, Bytes> parts;
    std::size_t end = 0;
    for (const Bytes& piece : pieces) {
        const std::size_t total = be16(piece, kEthernet + 2);
        EXPECT_EQ(piece.size(), kEthernet + total);
        EXPECT_LE(total, mtu);
        EXPECT_EQ(rfc1071(Bytes(piece.begin() + kEthernet, piece.begin() + kEthernet + 20)), 0);
        EXPECT_EQ(be16(piece, kEthernet + 4), be16(pieces[0], kEthernet + 4)) << "one id";
        const unsigned word = be16(piece, kEthernet + 6);
        const std::size_t at = (word & 0x1FFFU) * 8;
        EXPECT_EQ(word & 0xC000U, 0U);
        if ((word & 0x2000U) == 0) end = at + total - 20;
        parts[at] = Bytes(piece.begin() + kEthernet + 20, piece.end());
    }
    Bytes whole(pieces[0].begin(), pieces[0].begin() + kEthernet + 20);
    for (const auto& [at, bytes] : parts) {
        EXPECT_EQ(at, whole.size() - kEthernet - 20) << "no gap";
        whole.insert(whole.end(), bytes.begin(), bytes.end());
    }
    EXPECT_EQ(whole.size(), kEthernet + 20 + end);
    const std::size_t total = whole.size() - kEthernet;
    whole[kEthernet + 2] = static_cast<std::uint8_t>(total >> 8);
    whole[kEthernet + 3] = static_cast<std::uint8_t>(total);
    whole[kEthernet + 6] = whole[kEthernet + 7] = 0;
    whole[kEthernet + 10] = whole[kEthernet + 11] = 0;
    const std::uint16_t sum =
        rfc1071(Bytes(whole.begin() + kEthernet, whole.begin() + kEthernet + 20));
    whole[kEthernet + 10] = static_cast<std::uint8_t>(sum >> 8);
    whole[kEthernet + 11] = static_cast<std::uint8_t>(sum);
    return whole;
}

SceneWords outer(std::uint16_t mtu = 1500) {
    SceneWords words;
    words.red.mtu = 1500;
    words.red.inner_vlan = true;
    words.tunnel.fragments = true;
    words.tunnel.udp_checksum = true;
    words.underlay.mtu = mtu;
    return words;
}

TEST(FragmentOuter, VX26_a_tunnel_packet_that_is_too_long_leaves_in_fragments) {
    Scene s(outer());
    const Frame arp_like = a_frame().to(host(12)).type(0x88B5).payload(1451);
    for (const Frame& frame : {datagram(1451), datagram(1500), arp_like}) {
        for (const Memory memory : {Memory::pool, Memory::exact, Memory::split}) {
            const Seen seen = s.lab.receive(s.vm1, frame, memory);
            const std::vector<Bytes> sent = seen.sent_by(s.up);
            ASSERT_EQ(sent.size(), 2U);
            const Outer whole = take_apart(together(sent, 1500));
            EXPECT_TRUE(whole.whole && whole.udp_checksum_right);
            EXPECT_EQ(whole.inner, frame.bytes());
            expect_law(seen);
            EXPECT_EQ(seen.moved.at("segment.red.tx_packets"), 1U);
            EXPECT_EQ(seen.moved.at("segment.red.tx_bytes"), frame.size());
        }
    }
    Golden(s.lab, s.vm1, datagram(1450))
        .out(s.up, s.to_remote(datagram(1450)))
        .tunnelled(s.red, 1, 1464)
        .uncut()
        .check();
}

TEST(FragmentOuter, VX26_as_many_fragments_as_it_takes) {
    Scene s(outer(600));
    const Seen seen = s.lab.receive(s.vm1, datagram(1500));
    EXPECT_EQ(seen.sent_by(s.up).size(), 3U);
    EXPECT_EQ(take_apart(together(seen.sent_by(s.up), 600)).inner, datagram(1500).bytes());
    expect_law(seen);
}

TEST(FragmentOuter, VX23_who_asks_for_the_size_of_its_way_is_told) {
    Scene s(outer());
    Golden(s.lab, s.vm1, datagram(1451, kDontFragment))
        .punts(packet::Punt::too_big)
        .counts("segment.red.oversize", 1)
        .uncut()
        .check();
    // What a segment does not take is told, or dropped, as ever.
    s.lab.segment_entry(s.red).max_frame = 1414;
    s.lab.publish();
    Golden(s.lab, s.vm1, datagram(1401))
        .drops(DropReason::tunnel_oversize)
        .counts("segment.red.oversize", 1)
        .uncut()
        .check();
}

TEST(FragmentOuter, VX24_VX26_where_nobody_may_be_told_it_is_cut) {
    Scene s(outer());
    const auto sent = [&](const char* source, const char* destination) {
        Frame frame = a_frame();
        frame.to(host(12))
            .ipv4({.source = source, .destination = destination, .fragment = kDontFragment})
            .udp(1, 2)
            .payload(1472);
        const Seen seen = s.lab.receive(s.vm1, frame);
        expect_law(seen);
        return seen.sent_by(s.up).size();
    };
    EXPECT_EQ(sent("192.0.2.1", "192.0.2.2"), 0U);
    EXPECT_EQ(sent("192.0.2.1", "239.1.1.1"), 2U);
    EXPECT_EQ(sent("192.0.2.1", "255.255.255.255"), 2U);
    EXPECT_EQ(sent("0.0.0.0", "192.0.2.2"), 2U);
    EXPECT_EQ(sent("127.0.0.1", "192.0.2.2"), 2U);
}

TEST(FragmentOuter, VX23_VX25_of_a_flood_the_sender_is_told_once_and_no_copy_is_cut) {
    Scene s(outer());
    const Frame v6 = a_frame().to(host(77)).ipv6().udp(1, 2).payload(1500 - 48);
    for (const Frame& frame : {datagram(1500, kDontFragment, 77), v6}) {
        Golden(s.lab, s.vm1, frame)
            .out(s.vm2, frame)
            .flooded(s.red, 3)
            .punts(packet::Punt::too_big)
            .drops(DropReason::tunnel_oversize, 2)
            .counts("segment.red.oversize", 3)
            .uncut()
            .check();
    }
    // To all, or to a group: nobody is told, and every copy is cut.
    Frame to_all = datagram(1500, kDontFragment);
    to_all.to(mac("ff:ff:ff:ff:ff:ff"));
    Frame to_group = a_frame().ipv6({.destination = "ff05::77"}).udp(1, 2).payload(1500 - 48);
    to_group.to(mac("33:33:00:00:00:77"));
    for (const Frame& frame : {to_all, to_group}) {
        const Seen seen = s.lab.receive(s.vm1, frame);
        EXPECT_EQ(seen.sent_by(s.up).size(), 6U);
        EXPECT_TRUE(seen.punted.empty());
        expect_law(seen);
    }
}

TEST(FragmentOuter, VX26_every_copy_of_a_flood_is_cut) {
    Scene s(outer());
    const Seen seen = s.lab.receive(s.vm1, datagram(1500, 0, 77));
    EXPECT_EQ(seen.sent_by(s.up).size(), 6U);
    EXPECT_EQ(seen.sent_by(s.vm2).size(), 1U);
    expect_law(seen);
}

TEST(FragmentOuter, VX26_without_a_buffer_a_fragment_is_dropped) {
    Scene s(outer());
    s.lab.receive(s.vm1, datagram(1500));
    s.lab.push(s.vm1, {datagram(1500).bytes()});
    const auto famine = s.lab.starve(s.lab.packet_pool());
    s.lab.poll();
    const Seen seen = s.lab.collect();
    EXPECT_TRUE(seen.sent_by(s.up).empty());
    EXPECT_EQ(seen.moved.at("drop.route_no_fragment"), 2U);
    expect_law(seen);
}

TEST(FragmentOuter, VX26_over_ipv6_the_source_puts_a_fragment_header) {
    SceneWords words = outer();
    words.red.ipv6 = true;
    Scene s(words);
    table::TunnelSpec spec = s.spec(2);
    spec.local = address("2001:db8::1");
    spec.remote = address("2001:db8::2");
    s.lab.own(address("2001:db8::1"), s.up);
    s.lab.fdb(s.red, host(16), FdbKind::tunnel, s.lab.tunnel(spec), FdbState::dynamic);
    const Frame frame = datagram(1500, 0, 16);
    const Seen seen = s.lab.receive(s.vm1, frame);
    const std::vector<Bytes> sent = seen.sent_by(s.up);
    ASSERT_EQ(sent.size(), 2U);
    constexpr std::size_t kHeaders = kEthernet + 40;
    Bytes whole;
    for (const Bytes& piece : sent) {
        EXPECT_LE(piece.size(), kEthernet + 1500);
        EXPECT_EQ(be16(piece, kEthernet + 4), piece.size() - kHeaders);
        EXPECT_EQ(piece[kEthernet + 6], 44) << "fragment header";
        EXPECT_EQ(piece[kHeaders], 17) << "UDP";
        EXPECT_EQ(be16(piece, kHeaders + 2) & ~7U, whole.size());
        EXPECT_EQ(be16(piece, kHeaders + 2) & 7U, &piece == &sent.back() ? 0U : 1U);
        EXPECT_EQ(Bytes(piece.begin() + kHeaders + 4, piece.begin() + kHeaders + 8),
                  Bytes(sent[0].begin() + kHeaders + 4, sent[0].begin() + kHeaders + 8));
        whole.insert(whole.end(), piece.begin() + kHeaders + 8, piece.end());
    }
    EXPECT_EQ(Bytes(whole.begin() + 16, whole.end()), frame.bytes());
    Bytes covered(sent[0].begin() + kEthernet + 8, sent[0].begin() + kHeaders);
    covered.insert(covered.end(), whole.begin(), whole.end());
    EXPECT_EQ(rfc1071(covered, 17 + static_cast<std::uint32_t>(whole.size())), 0);
    expect_law(seen);
}

struct Inner : Scene {
    explicit Inner() : Scene(with_tags()) {
        lab.segment_entry(red).watch = table::watch::kFragmentInner;
    }
    static SceneWords with_tags() {
        SceneWords words;
        words.red.inner_vlan = true;
        return words;
    }
    /// What arrives at the remote.
    std::vector<Bytes> inner_of(const Seen& seen) {
        std::vector<Bytes> all;
        for (const Bytes& frame : seen.sent_by(up)) {
            const Outer outer = take_apart(frame);
            EXPECT_TRUE(outer.whole && outer.ip_checksum_right);
            EXPECT_LE(frame.size(), 1514U);
            all.push_back(outer.inner);
        }
        return all;
    }
};

TEST(FragmentInner, VX26_a_datagram_that_is_too_long_is_fragmented) {
    Inner s;
    for (const Memory memory : {Memory::pool, Memory::exact, Memory::split}) {
        const Seen seen = s.lab.receive(s.vm1, {datagram(1500).bytes()}, memory);
        const std::vector<Bytes> pieces = s.inner_of(seen);
        ASSERT_EQ(pieces.size(), 2U);
        EXPECT_EQ(together(pieces, 1450), datagram(1500).bytes());
        EXPECT_EQ(seen.moved.at("segment.red.tx_packets"), 2U);
        expect_law(seen);
    }
    Frame tagged = datagram(1470);
    const Seen seen = s.lab.receive(s.vm1, tagged.vlan(5));
    for (const Bytes& piece : s.inner_of(seen)) {
        EXPECT_EQ(be16(piece, 12), 0x8100U);
        EXPECT_LE(piece.size(), 1464U);
    }
    EXPECT_EQ(seen.sent_by(s.up).size(), 2U);
    expect_law(seen);
}

TEST(FragmentInner, VX26_what_may_not_be_fragmented_is_told_or_dropped) {
    Inner s;
    Golden(s.lab, s.vm1, datagram(1451, kDontFragment))
        .punts(packet::Punt::too_big)
        .counts("segment.red.oversize", 1)
        .uncut()
        .check();
    Frame damaged = a_frame();
    damaged.to(host(12)).ipv4({.checksum = 0x1234}).udp(1, 2).payload(1451 - 28);
    Frame cut = a_frame();
    cut.to(host(12)).ipv4({.total_length = 1600}).udp(1, 2).payload(1451 - 28);
    for (const Frame& frame : {a_frame().to(host(12)).type(0x88B5).payload(1451), damaged, cut})
        Golden(s.lab, s.vm1, frame)
            .drops(DropReason::tunnel_oversize)
            .counts("segment.red.oversize", 1)
            .uncut()
            .check();
}

/// Host 16 of red is behind our own address, at another UDP port.
struct Bypassing : Scene {
    explicit Bypassing(std::uint16_t dstport = 8472, bool with_green = true) {
        if (with_green) {
            SegmentWords other;
            other.dstport = 8472;
            green = lab.segment("green", other);
            vm5 = lab.access("vm5", green);
            vm6 = lab.access("vm6", green);
            lab.fdb(green, host(16), FdbKind::port, vm5);
            lab.fdb(green, host(17), FdbKind::tunnel, t2);
        }
        table::TunnelSpec spec = Scene::spec(2);
        spec.remote = ip(kLocal);
        spec.dstport = dstport;
        spec.state = table::TunnelState::local;
        own = lab.tunnel(spec);
        for (const std::uint8_t number : {16, 17, 18})
            lab.fdb(red, host(number), FdbKind::tunnel, own, FdbState::permanent);
    }
    SegmentId green = 0;
    PortId vm5 = 0, vm6 = 0;
    TunnelId own = 0;
};

TEST(LocalBypass, VX19_a_frame_for_our_own_address_comes_in_where_its_vni_belongs) {
    Bypassing s;
    const Frame known = small(host(16), 0x03);
    Golden(s.lab, s.vm1, known)
        .out(s.vm5, known)
        .tunnelled(s.red, 1, known.size())
        .arrived(s.green, known.size())
        .uncut()
        .check();
    const Frame unknown = small(host(18));
    Golden(s.lab, s.vm1, unknown)
        .out(s.vm5, unknown)
        .out(s.vm6, unknown)
        .tunnelled(s.red, 1, unknown.size())
        .arrived(s.green, unknown.size())
        .flooded(s.green, 1)
        .uncut()
        .check();
    // It came from a tunnel, and goes into none.
    Golden(s.lab, s.vm1, small(host(17)))
        .drops(DropReason::fdb_split_horizon)
        .tunnelled(s.red, 1, 60)
        .uncut()
        .check();
}

TEST(LocalBypass, VX19_what_leads_back_into_its_own_segment_goes_nowhere) {
    Bypassing s(4789);
    Golden(s.lab, s.vm1, small(host(16)))
        .drops(DropReason::fdb_split_horizon)
        .tunnelled(s.red, 1, 60)
        .uncut()
        .check();
}

TEST(LocalBypass, VX19_without_such_a_segment_the_frame_is_dropped) {
    Bypassing s(8472, false);
    Golden(s.lab, s.vm1, small(host(16))).drops(DropReason::vxlan_unknown_vni).uncut().check();
}

TEST(LocalBypass, VX19_VX36_it_is_judged_as_what_comes_from_a_tunnel) {
    Bypassing s;
    Frame own = small(host(16));
    Golden(s.lab, s.vm1, own.from(mac("02:ee:00:00:00:07")))
        .drops(DropReason::vxlan_own_mac)
        .learns_at(s.vm1)
        .tunnelled(s.red, 1, own.size())
        .uncut()
        .check();
}

/// What a segment sent, and what it gave up of what it should send or take.
using Account = std::array<std::uint64_t, 3>;
Account account(Scene& s, SegmentId segment) {
    const path::SegmentCounters& c = s.lab.worker().counters().segments[segment];
    return {c.tx_packets.get(), c.tx_drops.get() + c.tx_errors.get(),
            c.rx_packets.get() + c.rx_drops.get() + c.rx_errors.get()};
}

TEST(LocalBypass, VX96_what_one_segment_sends_the_other_takes_or_drops) {
    Bypassing s;
    s.lab.receive(s.vm1, small(host(16)));
    s.lab.receive(s.vm1, small(host(17)));
    Frame own = small(host(16));
    s.lab.receive(s.vm1, own.from(mac("02:ee:00:00:00:07")));
    EXPECT_EQ(account(s, s.red), (Account{3, 0, 0}));
    EXPECT_EQ(account(s, s.green), (Account{0, 0, 3}));
    Bypassing none(8472, false);
    none.lab.receive(none.vm1, small(host(16)));
    EXPECT_EQ(account(none, none.red), (Account{0, 1, 0}));
}

TEST(FragmentOuter, VX96_a_frame_without_all_of_its_fragments_was_not_sent) {
    Scene s(outer());
    s.lab.receive(s.vm1, datagram(1500));
    EXPECT_EQ(account(s, s.red), (Account{1, 0, 0}));
    s.lab.push(s.vm1, {datagram(1500).bytes()});
    const auto famine = s.lab.starve(s.lab.packet_pool());
    s.lab.poll();
    expect_law(s.lab.collect());
    EXPECT_EQ(account(s, s.red), (Account{1, 1, 0}));
}

}  // namespace
}  // namespace vxplane::support
