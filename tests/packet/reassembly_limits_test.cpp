// What fragments that wait may cost, and whose they are that are no tunnel packets or are to a
// group (VX-39).
#include <gtest/gtest.h>

#include <algorithm>

#include "dataplane/net/icmpv6.hpp"
#include "tests/support/reassembling.hpp"

namespace vxplane::support::reassembly {
namespace {

TEST(VxlanReassembly, VX39_the_limit_is_of_buffers_however_few_fragments_have_them) {
    Reassembling s;
    Bytes whole = s.tunnel_packet(inner_of(1300));
    rte_mempool* pool = s.lab.packet_pool();
    s.lab.receive(s.up, std::vector<Bytes>{s.tunnel_packet(inner_of(18))});
    const unsigned before = rte_mempool_in_use_count(pool);
    const unsigned most = s.lab.worker().options().fragments;
    for (std::size_t id = 0; id < most; ++id) {
        put16(whole, kFramed + 4, id);
        const Seen seen =
            s.lab.receive(s.up, std::vector<Bytes>{fragment(whole, 8, 800, true)}, Memory::split);
        ASSERT_EQ(seen.broken_law, "");
        ASSERT_LE(rte_mempool_in_use_count(pool) - before, most) << id;
    }
    // All of them are in use, by fewer fragments.
    EXPECT_GT(rte_mempool_in_use_count(pool) - before, most - 8);
    EXPECT_LT(s.held(), most / 2 + 1);
    EXPECT_GT(s.held(), 0U);
    s.lab.pass_time(path::Reassembly::kPatience);
    s.lab.poll();
    const Seen seen = s.lab.collect();
    EXPECT_EQ(seen.broken_law, "");
    EXPECT_EQ(s.held(), 0U);
    EXPECT_EQ(rte_mempool_in_use_count(pool), before);
}

TEST(VxlanReassembly, VX39_what_comes_twice_of_a_datagram_for_the_host_is_counted_once) {
    SceneWords words;
    words.twin = true;
    Reassembling s(words);
    for (Bytes whole : {s.tunnel_packet(inner_of(400)), s.tunnel_packet6(inner_of(400))}) {
        whole[is_ipv6(whole) ? 57 : 37] ^= 1;  // UDP port 4788
        const std::vector<Bytes> parts = cut(whole, {160, 80});
        const Bytes overlap = fragment(whole, 80, 160, true);
        // More bytes than the datagram has, and one fragment is still missing.
        const std::vector<Bytes> sent{parts[0], parts[0], parts[0], overlap,
                                      parts[2], parts[2], parts[1]};
        const Seen seen = s.one_by_one(sent);
        EXPECT_EQ(seen.broken_law, "");
        EXPECT_EQ(seen.sent_by(s.host_twin), sent);
        EXPECT_EQ(s.held(), 0U);
        // Its place was free after the last: one that comes now begins a datagram, and waits.
        EXPECT_TRUE(s.lab.receive(s.up, std::vector<Bytes>{parts[1]}).sent.empty());
        EXPECT_EQ(s.held(), 1U);
        EXPECT_EQ(s.lab.receive(s.up, std::vector<Bytes>{parts[0]}).sent_by(s.host_twin),
                  (std::vector<Bytes>{parts[1], parts[0]}));
        EXPECT_EQ(s.held(), 0U);
        EXPECT_EQ(s.lab.receive(s.up, std::vector<Bytes>{parts[2]}).sent_by(s.host_twin),
                  std::vector<Bytes>{parts[2]});
    }
}

TEST(VxlanReassembly, VX39_endless_datagrams_for_the_host_hold_nothing) {
    SceneWords words;
    words.twin = true;
    Reassembling s(words);
    Bytes whole = s.tunnel_packet(inner_of(1300));
    whole[37] ^= 1;
    const unsigned before = rte_mempool_in_use_count(s.lab.packet_pool());
    for (std::size_t id = 0; id < 100; ++id) {
        put16(whole, kFramed + 4, id);
        for (std::size_t i = 0; i < 70; ++i) {
            const Bytes one = fragment(whole, 16 * i, 8, true);
            ASSERT_EQ(s.lab.receive(s.up, std::vector<Bytes>{one}).sent_by(s.host_twin),
                      std::vector<Bytes>{one});
        }
    }
    EXPECT_EQ(s.held(), 0U);
    EXPECT_LE(rte_mempool_in_use_count(s.lab.packet_pool()), before);
    expect_alone(s.lab.receive(s.up, cut(s.tunnel_packet(inner_of(400)), {160, 80})), s.vm1,
                 inner_of(400), "beside them");
}

/// Groups of both families are joined at the uplink for red alone.
void join_groups(Scene& s) {
    s.lab.complete = [&s](table::Tables& tables) {
        tables.joined = std::make_shared<const table::AddressMap>(
            std::vector<std::pair<table::ScopedAddress, std::uint32_t>>{
                {{address("239.1.1.1"), s.up}, 0}, {{address("ff05::100"), s.up}, 1}});
        tables.group_segments = std::make_shared<const table::FlatMap>(
            std::vector<std::pair<std::uint64_t, std::uint32_t>>{
                {table::group_segment_key(0, s.red), 0}, {table::group_segment_key(1, s.red), 0}});
    };
    s.lab.publish();
}

Bytes packet_to_group(bool over6, const Frame& inner, std::uint16_t port = 4789,
                      bool joined = true) {
    const char* group = over6    ? joined ? "ff05::100" : "ff05::101"
                        : joined ? "239.1.1.1"
                                 : "239.1.1.2";
    const Frame begin = a_frame().to(net::group_mac(address(group))).from(Scene::remote_mac(2));
    return (over6 ? Frame(begin).ipv6({.source = kPeer6, .destination = group})
                  : Frame(begin).ipv4({.source = "10.0.0.2", .destination = group, .id = kId}))
        .udp(40000, port)
        .vxlan({}, inner)
        .bytes();
}

TEST(VxlanReassembly, VX39_VX73_fragments_of_packets_to_a_group_become_whole) {
    Reassembling s;
    join_groups(s);
    const Frame inner = inner_of(400);
    for (const bool over6 : {false, true}) {
        std::vector<Bytes> parts = cut(packet_to_group(over6, inner), {160, 80});
        std::sort(parts.begin(), parts.end());
        do {
            expect_alone(s.lab.receive(s.up, parts), s.vm1, inner, over6 ? "IPv6" : "IPv4");
            expect_alone(s.one_by_one(parts, Memory::exact), s.vm1, inner, "one by one");
        } while (std::next_permutation(parts.begin(), parts.end()));
    }
    EXPECT_EQ(s.held(), 0U);
}

TEST(VxlanReassembly, VX39_VX73_fragments_to_a_group_are_judged_as_the_whole_packet) {
    SceneWords words;
    words.twin = true;
    Reassembling s(words);
    join_groups(s);
    const Frame inner = inner_of(400);
    for (const bool over6 : {false, true}) {
        // Of a group of nobody nothing waits, and of another UDP port nothing stays.
        for (const Bytes& whole :
             {packet_to_group(over6, inner, 4789, false), packet_to_group(over6, inner, 4788)}) {
            const std::vector<Bytes> parts = cut(whole, {160, 80});
            EXPECT_EQ(s.lab.receive(s.up, parts).sent_by(s.host_twin), parts);
            EXPECT_EQ(s.held(), 0U);
        }
        Bytes other = packet_to_group(over6, inner);
        other.back() ^= 1;
        EXPECT_EQ(s.lab.receive(s.up, cut(other, {160, 80})).only_reason(),
                  DropReason::udp_bad_checksum);
    }
    // Where nothing is put together a host may do it; else they are dropped.
    for (const bool host : {true, false}) {
        SceneWords plain;
        plain.twin = host;
        Reassembling without(plain);
        without.lab.port_entry(without.up).reassembles = false;
        join_groups(without);
        for (const bool over6 : {false, true}) {
            const Bytes later = cut(packet_to_group(over6, inner), {160, 80})[1];
            const Seen seen = without.lab.receive(without.up, std::vector<Bytes>{later});
            EXPECT_EQ(seen.broken_law, "");
            if (host)
                EXPECT_EQ(seen.sent_by(without.host_twin), std::vector<Bytes>{later});
            else
                EXPECT_EQ(seen.only_reason(), DropReason::outer_fragment);
        }
    }
}

}  // namespace
}  // namespace vxplane::support::reassembly
