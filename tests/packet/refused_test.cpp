// Who sent what was refused: exact counts by peer and reason, in a memory that does not grow.
#include <gtest/gtest.h>

#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

using PeerReason = std::pair<std::string, DropReason>;
using PeerCounts = std::map<PeerReason, std::uint64_t>;

/// Tunnel packets of either family to red, which has the VNI 7; 9 is a segment without members.
struct RefusingScene : Scene {
    explicit RefusingScene(SceneWords scene_words = {}) : Scene(with_both(scene_words)) {
        empty = lab.segment("empty", {.vni = 9, .ipv6 = true});
        lab.own(address("2001:db8::1"), up);
        lab.own(ip("10.0.0.99"), up);
        lab.own(address("2001:db8::99"), up);
        // Of an address that is fixed at vm2, wherever a peer says that it is.
        lab.fdb(red, host(77), FdbKind::port, vm2, FdbState::static_);
    }
    static SceneWords with_both(SceneWords words) {
        words.red.ipv6 = true;
        return words;
    }
    void guard(table::Guard guard) {
        lab.segment_entry(red).guard = 1;
        lab.complete = [guard](table::Tables& tables) {
            tables.guards = table::Shared{std::vector<table::Guard>{{}, guard}};
        };
        lab.publish();
    }
    void watch(std::uint16_t bits) {
        lab.segment_entry(red).watch = bits;
        lab.publish();
    }

    SegmentId empty;
    PeerCounts expected{};
};

/// What is wrong with a packet.
struct Wrong {
    Vxlan header{};
    Udp udp{};
    std::uint16_t port = 40000;
    std::uint8_t tos = 0;
    Frame inner = small_from(12, host(1));
    std::optional<Bytes> payload{};  ///< instead of VXLAN
    const char* sources[2] = {nullptr, nullptr};
    std::uint16_t fragment = 0;
};

Frame wrong_packet(const Scene& s, bool ipv6, const std::string& source, const Wrong& wrong) {
    Frame frame = a_frame().to(s.local_mac).from(Scene::remote_mac(2));
    if (ipv6)
        frame.ipv6({.source = source, .destination = "2001:db8::1", .traffic_class = wrong.tos});
    else
        frame.ipv4({.source = source,
                    .destination = Scene::kLocal,
                    .tos = wrong.tos,
                    .fragment = wrong.fragment});
    frame.udp(wrong.port, 4789, wrong.udp);
    return wrong.payload ? frame.payload(*wrong.payload) : frame.vxlan(wrong.header, wrong.inner);
}

PeerCounts peer_counts(const step::RefusedPeers& refused) {
    PeerCounts all;
    refused.for_each([&](const step::RefusedPeers::Sample& sample) {
        std::string peer;
        if (sample.peer.is_v4()) {
            for (unsigned i = 12; i < 16; ++i)
                peer += (i == 12 ? "" : ".") + std::to_string(sample.peer.bytes[i]);
        } else {
            peer = hex({sample.peer.bytes.begin(), sample.peer.bytes.end()});
        }
        all[{peer, sample.reason}] += sample.count;
    });
    return all;
}
std::string named(const std::string& source) {
    const net::IpAddress all = address(source);
    return all.is_v4() ? source : hex({all.bytes.begin(), all.bytes.end()});
}

/// Three packets of one peer and five of another, interleaved, over IPv4 and IPv6.
void expect_two_peers(RefusingScene& s, DropReason reason, const Wrong& wrong,
                      std::initializer_list<bool> families = {false, true}) {
    const testing::ScopedTrace here(__FILE__, __LINE__, std::string(packet::info(reason).name));
    for (const bool ipv6 : families) {
        const std::string one = wrong.sources[0] != nullptr ? wrong.sources[0]
                                : ipv6                      ? "2001:db8::2"
                                                            : "10.0.0.2";
        const std::string two = wrong.sources[1] != nullptr ? wrong.sources[1]
                                : ipv6                      ? "2001:db8::3"
                                                            : "10.0.0.3";
        std::vector<Bytes> burst;
        for (int i = 0; i < 8; ++i)
            burst.push_back(wrong_packet(s, ipv6, i % 3 == 0 ? one : two, wrong).bytes());
        const Seen seen = s.lab.receive(s.up, burst);
        expect_law(seen);
        note_reasons(seen);
        const auto dropped = seen.moved.find("drop." + std::string(packet::info(reason).name));
        ASSERT_NE(dropped, seen.moved.end());
        EXPECT_EQ(dropped->second, 8U);
        s.expected[{named(one), reason}] += 3;
        s.expected[{named(two), reason}] += 5;
        EXPECT_EQ(peer_counts(s.lab.worker().refused_peers()), s.expected);
    }
}

TEST(RefusedPeers, what_is_wrong_with_the_outer_header_is_counted_for_its_sender) {
    RefusingScene s;
    expect_two_peers(s, DropReason::ip4_bad_source, {.sources = {"127.0.0.2", "255.255.255.255"}},
                     {false});
    expect_two_peers(s, DropReason::ip6_bad_source, {.sources = {"::1", "::"}}, {true});
    expect_two_peers(s, DropReason::outer_own_vtep, {.sources = {"10.0.0.1", "10.0.0.99"}},
                     {false});
    expect_two_peers(s, DropReason::outer_own_vtep, {.sources = {"2001:db8::1", "2001:db8::99"}},
                     {true});
    expect_two_peers(s, DropReason::udp_bad_length, {.udp = {.length = 7}});
    expect_two_peers(s, DropReason::udp_bad_checksum, {.udp = {.checksum = 0x1234}});
    expect_two_peers(s, DropReason::udp_no_checksum, {.udp = {.checksum = 0}}, {true});
}

TEST(RefusedPeers, fragments_are_counted_for_their_sender) {
    RefusingScene s;
    expect_two_peers(s, DropReason::outer_fragment, {.fragment = 0x2000}, {false});
    expect_two_peers(s, DropReason::outer_fragment, {.fragment = 100}, {false});
}

TEST(RefusedPeers, what_is_wrong_with_the_vxlan_header_is_counted_for_its_sender) {
    RefusingScene s;
    expect_two_peers(s, DropReason::vxlan_too_short, {.payload = Bytes(12)});
    expect_two_peers(s, DropReason::vxlan_no_vni_flag, {.header = {.flags = 0}});
    expect_two_peers(s, DropReason::vxlan_reserved_bits, {.header = {.last = 1}});
    expect_two_peers(s, DropReason::vxlan_unknown_vni, {.header = {.vni = 4711}});
}

TEST(RefusedPeers, what_extended_headers_are_refused_for_is_counted_for_their_sender) {
    RefusingScene s;
    s.watch(table::watch::kGpe);
    expect_two_peers(s, DropReason::gpe_no_protocol, {});
    expect_two_peers(s, DropReason::gpe_version, {.header = {.flags = 0x3C, .reserved = 3}});
    expect_two_peers(s, DropReason::gpe_oam, {.header = {.flags = 0x0D, .reserved = 3}});
    expect_two_peers(s, DropReason::gpe_unknown_protocol,
                     {.header = {.flags = 0x0C, .reserved = 99}});
    Bytes bare = small(host(1)).bytes();
    bare.erase(bare.begin(), bare.begin() + 14);
    expect_two_peers(s, DropReason::gpe_no_owner,
                     {.header = {.flags = 0x0C, .reserved = 1}, .inner = raw_frame(bare)});
}

TEST(RefusedPeers, whom_a_segment_does_not_hear_is_counted) {
    RefusingScene listed;
    listed.guard({.listed = true});
    expect_two_peers(listed, DropReason::peer_unknown, {});
    RefusingScene ports;
    ports.guard({.source_port_lo = 50000, .source_port_hi = 50001});
    expect_two_peers(ports, DropReason::peer_port, {});
    RefusingScene down;
    down.watch(table::watch::kDown);
    expect_two_peers(down, DropReason::admin_down, {});
}

TEST(RefusedPeers, what_is_wrong_inside_is_counted_for_the_sender_outside) {
    RefusingScene s;
    const Frame tagged = small_from(12, host(1)).vlan(5);
    expect_two_peers(s, DropReason::vxlan_own_mac,
                     {.inner = small(host(1)).from(mac("02:ee:00:00:00:07"))});
    expect_two_peers(s, DropReason::vxlan_bad_source_mac, {.inner = small(host(1)).from({})});
    expect_two_peers(s, DropReason::vxlan_inner_vlan, {.inner = tagged});
    expect_two_peers(
        s, DropReason::vxlan_inner_truncated,
        {.inner = a_frame().to(host(1)).from(host(12)).type(0x0800).payload(Bytes{0x45, 0})});
    expect_two_peers(s, DropReason::vxlan_ecn_lost, {.tos = 3});
    expect_two_peers(s, DropReason::eth_link_local,
                     {.inner = small_from(12, mac("01:80:c2:00:00:01"))});
}

TEST(RefusedPeers, what_the_bridge_refuses_is_counted_for_the_sender_outside) {
    RefusingScene s;
    expect_two_peers(s, DropReason::fdb_conflict, {.inner = small_from(77, host(1))});
    expect_two_peers(s, DropReason::fdb_split_horizon, {.inner = small_from(13, host(12))});
    expect_two_peers(s, DropReason::fdb_miss, {.header = {.vni = 9}});
    expect_two_peers(s, DropReason::flood_empty,
                     {.header = {.vni = 9}, .inner = small_from(12, mac("ff:ff:ff:ff:ff:ff"))});
    s.lab.port_entry(s.vm1).max_frame = 59;
    s.lab.publish();
    expect_two_peers(s, DropReason::port_oversize, {});
    // What tenants do is not counted for peers.
    s.lab.port_entry(s.vm1).max_frame = 1514;
    s.lab.publish();
    const Seen seen = s.lab.receive(s.vm1, small_from(77, host(2)));
    EXPECT_EQ(seen.only_reason(), DropReason::fdb_conflict);
    EXPECT_EQ(peer_counts(s.lab.worker().refused_peers()), s.expected);
}

TEST(RefusedPeers, ten_thousand_made_up_senders_take_no_place_from_real_ones) {
    RefusingScene s;
    const Wrong wrong{.header = {.vni = 4711}};
    const auto send = [&](const std::string& source, int times) {
        const Bytes frame = wrong_packet(s, false, source, wrong).bytes();
        expect_law(s.lab.receive(s.up, std::vector<Bytes>(static_cast<std::size_t>(times), frame)));
    };
    for (int i = 1; i <= 100; ++i) send("172.16.0." + std::to_string(i), i + 1);
    std::vector<Bytes> storm;
    for (unsigned i = 0; i < 10'000; ++i) {
        const std::string source =
            "11.0." + std::to_string(i / 200) + "." + std::to_string(i % 200 + 1);
        storm.push_back(wrong_packet(s, false, source, wrong).bytes());
        if (storm.size() == 200) {
            expect_law(s.lab.receive(s.up, storm));
            storm.clear();
            send("172.16.0.1", 1);
        }
    }
    const step::RefusedPeers& refused = s.lab.worker().refused_peers();
    const PeerCounts all = peer_counts(refused);
    std::uint64_t sum = refused.others(DropReason::vxlan_unknown_vni);
    EXPECT_GT(sum, 0U);
    for (const auto& [who, count] : all) sum += count;
    for (int i = 1; i <= 100; ++i)
        EXPECT_EQ(all.at({"172.16.0." + std::to_string(i), DropReason::vxlan_unknown_vni}),
                  i == 1 ? 2U + 50U : static_cast<std::uint64_t>(i) + 1U);
    EXPECT_EQ(sum, s.lab.counts().at("drop.vxlan_unknown_vni"));
    EXPECT_EQ(all.size(), step::RefusedPeers::kRoom);
}

TEST(RefusedPeers, as_many_as_there_is_room_for_are_exact_and_the_least_makes_room) {
    step::RefusedPeers refused(1);
    const auto peer = [](std::uint32_t i) { return net::IpAddress(net::Ipv4Address::of(i)); };
    const auto sum = [&refused] {
        std::uint64_t all = refused.others(DropReason::peer_port);
        refused.for_each([&](const step::RefusedPeers::Sample& one) { all += one.count; });
        return all;
    };
    std::map<net::IpAddress, std::uint64_t> counts;
    std::uint64_t noted = 0;
    const auto note = [&](std::uint32_t i, std::uint64_t times) {
        for (std::uint64_t n = 0; n < times; ++n) refused.note(peer(i), DropReason::peer_port);
        counts[peer(i)] += times;
        noted += times;
    };
    for (std::uint32_t i = 0; i < step::RefusedPeers::kRoom; ++i) note(0x0A000000 + i, 5 + i % 7);
    std::size_t rows = 0;
    refused.for_each([&](const step::RefusedPeers::Sample& one) {
        ++rows;
        EXPECT_EQ(one.count, counts.at(one.peer));
    });
    EXPECT_EQ(rows, std::size_t{step::RefusedPeers::kRoom});
    EXPECT_EQ(refused.others(DropReason::peer_port), 0U);
    // Newcomers of three packets each: the first one takes the place of one with five, and every
    // later one that of the one before it.
    for (std::uint32_t i = 0; i < 1000; ++i) note(0x0B000000 + i, 3);
    EXPECT_EQ(refused.others(DropReason::peer_port), 5U + 999U * 3U);
    EXPECT_EQ(sum(), noted);
    // One that goes on keeps its place, and the next one takes that of another.
    note(0x0B000000 + 999, 100);
    note(0x0C000000, 1);
    EXPECT_EQ(refused.others(DropReason::peer_port), 5U + 999U * 3U + 5U);
    EXPECT_EQ(sum(), noted);
    refused.for_each(
        [&](const step::RefusedPeers::Sample& one) { EXPECT_LE(one.count, counts.at(one.peer)); });
}

}  // namespace
}  // namespace vxplane::support
