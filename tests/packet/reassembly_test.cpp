// Tunnel packets in fragments (VX-39), at a port with `reassembly`.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/reassembling.hpp"

namespace vxplane::support::reassembly {
namespace {

TEST(VxlanReassembly, VX39_fragments_in_any_order_become_the_packet_that_was_cut) {
    Reassembling s;
    const Frame inner = inner_of(400);
    for (const Bytes& whole : {s.tunnel_packet(inner), s.tunnel_packet6(inner)}) {
        for (const Memory memory : {Memory::pool, Memory::exact, Memory::split}) {
            std::vector<int> order{0, 1, 2};
            do {
                const std::vector<Bytes> parts = cut(whole, {8, 160});
                std::vector<Bytes> sorted;
                for (const int i : order) sorted.push_back(parts[static_cast<std::size_t>(i)]);
                const std::string what = "order " + std::to_string(order[0]) +
                                         std::to_string(order[1]) + std::to_string(order[2]);
                const Seen seen = s.lab.receive(s.up, sorted, memory);
                expect_alone(seen, s.vm1, inner, what);
                EXPECT_EQ(seen.moved.at("reassembled"), 1U);
                EXPECT_EQ(seen.moved.at("merged"), 2U);
                EXPECT_EQ(seen.moved.at("segment.red.rx_packets"), 1U);
                expect_alone(s.one_by_one(sorted, memory), s.vm1, inner, what);
            } while (std::next_permutation(order.begin(), order.end()));
        }
    }
    EXPECT_EQ(s.held(), 0U);
}

TEST(VxlanReassembly, VX39_whole_packets_are_judged_as_if_they_had_come_so) {
    Reassembling s;
    const Frame inner = inner_of(400);
    for (Bytes whole : {s.tunnel_packet(inner), s.tunnel_packet6(inner)}) {
        whole.back() ^= 1;  // the checksum of the whole tells, not that of a part
        EXPECT_EQ(s.lab.receive(s.up, cut(whole, {160, 80})).only_reason(),
                  DropReason::udp_bad_checksum);
        Bytes other = is_ipv6(whole) ? s.tunnel_packet6(inner) : s.tunnel_packet(inner);
        other[other.size() - inner.size() - 2] ^= 0x40;  // VNI
        other[is_ipv6(other) ? 60 : 40] = other[is_ipv6(other) ? 61 : 41] = 0;
        const Seen seen = s.lab.receive(s.up, cut(other, {160, 80}));
        EXPECT_EQ(seen.only_reason(), DropReason::vxlan_unknown_vni);
    }
}

TEST(VxlanReassembly, VX39_packets_longer_than_the_underlay_and_jumbo_frames) {
    SceneWords words;
    words.access.mtu = 9000;
    words.red.mtu = 9000;
    Reassembling s(words);
    s.lab.port_entry(s.vm1).max_frame = 9014;
    for (const std::size_t size : {1472U, 4000U, 8972U}) {
        const Frame inner = inner_of(size);
        for (const Bytes& whole : {s.tunnel_packet(inner), s.tunnel_packet6(inner)}) {
            const std::size_t most = is_ipv6(whole) ? 1448 : 1480;
            std::vector<std::size_t> sizes(payload_of(whole) / most, most);
            std::vector<Bytes> parts = cut(whole, sizes);
            std::reverse(parts.begin(), parts.end());
            expect_alone(s.lab.receive(s.up, parts), s.vm1, inner, std::to_string(size));
        }
    }
}

TEST(VxlanReassembly, VX39_an_atomic_fragment_is_a_whole_packet) {
    Reassembling s;
    const Bytes whole = s.tunnel_packet6(inner_of(40));
    expect_alone(s.lab.receive(s.up, cut(whole, {})), s.vm1, inner_of(40), "atomic");
}

TEST(VxlanReassembly, VX39_a_fragment_inside_a_fragment_is_refused) {
    Reassembling s;
    const Bytes whole = s.tunnel_packet6(inner_of(400));
    // As many as would overflow what is put together in one burst, and another burst behind them.
    for (std::uint8_t number = 0; number < 3; ++number) {
        std::vector<Bytes> burst;
        for (std::uint8_t i = 0; i < packet::kBurstSize; ++i) {
            Bytes inner = fragment(whole, 304, 80, true);
            const std::size_t size = inner.size() - 54;
            inner.insert(inner.begin() + 54, {44, 0, 0, 0, 0, 0, number, i});
            put16(inner, kFramed + 4, size + 8);
            put16(inner, 54 + 8 + 2, 0x12B5);  // offset and flags, or UDP port 4789
            burst.push_back(inner);
        }
        const Seen seen = s.lab.receive(s.up, burst);
        EXPECT_EQ(seen.broken_law, "");
        EXPECT_EQ(seen.only_reason(), DropReason::outer_fragment);
        EXPECT_EQ(s.held(), 0U);
    }
    expect_alone(s.lab.receive(s.up, cut(whole, {160})), s.vm1, inner_of(400), "afterwards");
}

TEST(VxlanReassembly, VX39_datagrams_do_not_mix) {
    Reassembling s;
    const Frame one = inner_of(300);
    const Frame two = inner_of(500);
    Bytes other = s.tunnel_packet(two);
    put16(other, kFramed + 4, kId + 1);
    const std::vector<Bytes> a = cut(s.tunnel_packet(one), {160});
    const std::vector<Bytes> b = cut(other, {160});
    const Seen seen = s.lab.receive(s.up, {a[0], b[1], b[0], a[1]});
    EXPECT_EQ(seen.broken_law, "");
    EXPECT_EQ(seen.sent_by(s.vm1), (std::vector<Bytes>{two.bytes(), one.bytes()}));
    // As short as Ethernet allows: the last fragment is padded.
    std::vector<Bytes> padded = cut(s.tunnel_packet(one), {344});
    ASSERT_LT(padded[1].size(), 60U);
    padded[1].resize(60, 0xEE);
    expect_alone(s.lab.receive(s.up, padded), s.vm1, one, "padded");
}

TEST(VxlanReassembly, VX39_a_fragment_that_comes_twice_is_dropped_alone) {
    Reassembling s;
    const Frame inner = inner_of(400);
    for (const Bytes& whole : {s.tunnel_packet(inner), s.tunnel_packet6(inner)}) {
        std::vector<Bytes> parts = cut(whole, {160, 80});
        parts.insert(parts.begin() + 1, parts[0]);
        const Seen seen = s.lab.receive(s.up, parts);
        expect_alone(seen, s.vm1, inner, "twice");
        EXPECT_EQ(seen.moved.at("drop.outer_fragment_bad"), 1U);
    }
}

TEST(VxlanReassembly, VX39_nothing_is_used_of_a_datagram_whose_fragments_overlap) {
    Reassembling s;
    const Frame inner = inner_of(400);
    for (const Bytes& whole : {s.tunnel_packet(inner), s.tunnel_packet6(inner)}) {
        const std::size_t all = payload_of(whole);
        const std::vector<std::vector<Bytes>> bad{
            {fragment(whole, 0, 160, true), fragment(whole, 152, 160, true)},
            {fragment(whole, 160, 80, true), fragment(whole, 0, 168, true)},
            {fragment(whole, 160, 80, true), fragment(whole, 152, 96, true)},
            // Two ends, and something behind the end.
            {fragment(whole, 240, all - 240, false), fragment(whole, 160, 72, false)},
            {fragment(whole, 240, 80, true), fragment(whole, 160, 80, false)},
            {fragment(whole, 160, 80, false), fragment(whole, 240, 80, true)},
        };
        for (const std::vector<Bytes>& two : bad) {
            const Seen seen = s.lab.receive(s.up, two);
            EXPECT_EQ(seen.broken_law, "");
            EXPECT_TRUE(seen.sent.empty());
            EXPECT_EQ(seen.moved.at("drop.outer_fragment_bad"), 2U);
            EXPECT_EQ(s.held(), 0U);
        }
        // A part of one that is there.
        Seen seen =
            s.lab.receive(s.up, {fragment(whole, 0, 160, true), fragment(whole, 8, 80, true)});
        EXPECT_EQ(seen.moved.at("drop.outer_fragment_bad"), 1U);
        seen = s.lab.receive(s.up, std::vector<Bytes>{fragment(whole, 160, all - 160, false)});
        expect_alone(seen, s.vm1, inner, "after a part");
    }
}

TEST(VxlanReassembly, VX39_fragments_that_no_datagram_can_have_are_refused) {
    Reassembling s;
    const Frame inner = inner_of(400);
    for (const Bytes& whole : {s.tunnel_packet(inner), s.tunnel_packet6(inner)}) {
        Bytes beyond = fragment(whole, 0, 160, false);
        put16(beyond, is_ipv6(whole) ? kFramed + 42 : kFramed + 6,
              is_ipv6(whole) ? 0xFFF8U : 0x1FFFU);
        if (!is_ipv6(whole)) {
            put16(beyond, kFramed + 10, 0);
            const net::Be16 sum = net::finish(net::add_bytes(0, beyond.data() + kFramed, 20));
            std::memcpy(beyond.data() + kFramed + 10, &sum, sizeof sum);
        }
        for (const Bytes& bad :
             {fragment(whole, 0, 161, true),  // offsets count eights
              fragment(whole, 160, 0, true), fragment(whole, 0, 7, false), beyond}) {
            // An IPv4 packet that is not one of several is no fragment.
            if (!is_ipv6(whole) && bad[kFramed + 6] == 0 && bad[kFramed + 7] == 0) continue;
            const Seen seen = s.lab.receive(s.up, std::vector<Bytes>{bad});
            EXPECT_EQ(seen.only_reason(), DropReason::outer_fragment_bad);
            caused_reasons().insert(DropReason::outer_fragment_bad);
            EXPECT_EQ(seen.broken_law, "");
        }
    }
    // Another extension header in front of the fragment header.
    Bytes behind = fragment(s.tunnel_packet6(inner), 0, 160, true);
    const Bytes options{44, 0, 1, 4, 0, 0, 0, 0};
    behind.insert(behind.begin() + kFramed + 40, options.begin(), options.end());
    behind[kFramed + 6] = 60;
    put16(behind, kFramed + 4, 8 + 8 + 160);
    const Seen seen = s.lab.receive(s.up, std::vector<Bytes>{behind});
    EXPECT_EQ(seen.only_reason(), DropReason::outer_fragment);
    EXPECT_EQ(seen.broken_law, "");
    SceneWords words;
    words.twin = true;
    Reassembling with_host(words);
    EXPECT_EQ(with_host.lab.receive(with_host.up, std::vector<Bytes>{behind})
                  .sent_by(with_host.host_twin),
              std::vector<Bytes>{behind});
}

TEST(VxlanReassembly, VX39_what_does_not_become_whole_is_given_up_after_30_seconds) {
    Reassembling s;
    const Frame inner = inner_of(400);
    const std::vector<Bytes> parts = cut(s.tunnel_packet(inner), {160, 80});
    EXPECT_EQ(s.lab.receive(s.up, {parts[0], parts[2]}).broken_law, "");
    EXPECT_EQ(s.held(), 2U);
    s.lab.pass_time(29'900);
    s.lab.poll();
    EXPECT_EQ(s.held(), 2U);
    EXPECT_EQ(s.lab.collect().broken_law, "");
    s.lab.pass_time(200);
    s.lab.poll();
    const Seen seen = s.lab.collect();
    EXPECT_EQ(seen.moved.at("drop.outer_fragment_lost"), 2U);
    caused_reasons().insert(DropReason::outer_fragment_lost);
    EXPECT_EQ(seen.broken_law, "");
    EXPECT_EQ(s.held(), 0U);
    // The one that is late begins anew, and so does its datagram.
    EXPECT_EQ(s.lab.receive(s.up, std::vector<Bytes>{parts[1]}).broken_law, "");
    EXPECT_EQ(s.held(), 1U);
    expect_alone(s.lab.receive(s.up, {parts[0], parts[2]}), s.vm1, inner, "anew");
}

TEST(VxlanReassembly, VX39_of_1024_datagrams_the_oldest_makes_room) {
    Reassembling s;
    const Frame inner = inner_of(400);
    Bytes whole = s.tunnel_packet(inner);
    const auto numbered = [&](std::size_t id, std::size_t part) {
        put16(whole, kFramed + 4, id);
        return cut(whole, {160})[part];
    };
    std::uint64_t gone = 0;
    for (std::size_t id = 0; id < 1030; ++id) {
        const Seen seen = s.lab.receive(s.up, std::vector<Bytes>{numbered(id, 0)});
        ASSERT_EQ(seen.broken_law, "");
        const auto found = seen.moved.find("drop.outer_fragment_full");
        gone += found == seen.moved.end() ? 0 : found->second;
    }
    EXPECT_EQ(gone, 6U);
    caused_reasons().insert(DropReason::outer_fragment_full);
    EXPECT_EQ(s.held(), 1024U);
    EXPECT_TRUE(s.lab.receive(s.up, std::vector<Bytes>{numbered(5, 1)}).sent.empty());
    expect_alone(s.lab.receive(s.up, std::vector<Bytes>{numbered(7, 1)}), s.vm1, inner, "kept");
    expect_alone(s.lab.receive(s.up, std::vector<Bytes>{numbered(1029, 1)}), s.vm1, inner, "new");
}

TEST(VxlanReassembly, VX39_endless_datagrams_do_not_take_all_buffers) {
    Reassembling s;
    const Frame inner = inner_of(1300);
    Bytes whole = s.tunnel_packet(inner);
    // 64 fragments of one datagram are as many as it may have.
    for (std::size_t i = 0; i < 64; ++i)
        s.lab.receive(s.up, std::vector<Bytes>{fragment(whole, 8 + 16 * i, 8, true)});
    EXPECT_EQ(s.held(), 64U);
    const Seen seen = s.lab.receive(s.up, std::vector<Bytes>{fragment(whole, 1200, 8, true)});
    EXPECT_EQ(seen.moved.at("drop.outer_fragment_full"), 65U);
    EXPECT_EQ(s.held(), 0U);
    // Of many datagrams: as many as the worker may keep.
    for (std::size_t id = 0; id < 100; ++id) {
        put16(whole, kFramed + 4, id);
        for (std::size_t i = 0; i < 40; ++i)
            s.lab.push(s.up, {fragment(whole, 8 + 16 * i, 8, true)});
        while (s.lab.poll() != 0) {
        }
        ASSERT_EQ(s.lab.collect().broken_law, "");
        ASSERT_LE(s.held(), s.lab.worker().options().fragments);
    }
    EXPECT_EQ(s.held() / 40, s.lab.worker().options().fragments / 40);
}

TEST(VxlanReassembly, VX39_no_buffer_for_the_whole) {
    Reassembling s;
    const std::vector<Bytes> parts = cut(s.tunnel_packet(inner_of(400)), {160, 80});
    s.lab.push(s.up, parts);
    {
        const auto famine = s.lab.starve(s.lab.packet_pool());
        while (s.lab.poll() != 0) {
        }
    }
    const Seen seen = s.lab.collect();
    EXPECT_EQ(seen.moved.at("drop.outer_fragment_full"), 3U);
    EXPECT_EQ(seen.broken_law, "");
}

TEST(VxlanReassembly, VX39_VX40_congestion_that_one_fragment_met_is_told_inside) {
    struct Case {
        std::uint8_t first, second;
        int inner;  ///< -1: dropped
    };
    // 0 Not-ECT, 1 ECT(1), 2 ECT(0), 3 CE; inside stands ECT(0).
    constexpr Case kCases[] = {{2, 2, 2}, {2, 3, 3},  {3, 2, 3},  {1, 3, 3},
                               {3, 3, 3}, {0, 3, -1}, {0, 2, -1}, {1, 0, -1}};
    Reassembling s;
    const auto inner = [](int tos) {
        return a_frame()
            .to(host(1))
            .from(host(12))
            .ipv4({.tos = static_cast<std::uint8_t>(tos)})
            .udp(1000, 2000)
            .payload(400);
    };
    for (const Case& c : kCases) {
        for (const bool ipv6 : {false, true}) {
            const auto whole = [&](std::uint8_t tos) {
                return ipv6 ? s.tunnel_packet6(inner(2), tos) : s.tunnel_packet(inner(2), tos);
            };
            const Seen seen = s.lab.receive(
                s.up, {cut(whole(c.first), {160})[0], cut(whole(c.second), {160})[1]});
            EXPECT_EQ(seen.broken_law, "");
            if (c.inner < 0) {
                EXPECT_EQ(seen.only_reason(), DropReason::outer_fragment_bad);
            } else {
                expect_alone(seen, s.vm1, inner(c.inner), std::to_string(c.first));
            }
        }
    }
}

TEST(VxlanReassembly, VX39_fragments_of_other_datagrams_go_to_the_host_as_they_came) {
    SceneWords words;
    words.twin = true;
    Reassembling s(words);
    for (Bytes whole : {s.tunnel_packet(inner_of(400)), s.tunnel_packet6(inner_of(400))}) {
        whole[is_ipv6(whole) ? 57 : 37] ^= 1;  // UDP port 4788
        std::vector<Bytes> parts = cut(whole, {160, 80});
        const auto expect_as_sent = [&](const std::vector<Bytes>& expected) {
            const Seen seen = s.lab.receive(s.up, parts);
            EXPECT_EQ(seen.broken_law, "");
            EXPECT_EQ(seen.sent_by(s.host_twin), expected);
            EXPECT_EQ(s.held(), 0U);
        };
        expect_as_sent(parts);
        std::reverse(parts.begin(), parts.end());
        // Those that came before the first one wait for it.
        expect_as_sent({parts[1], parts[0], parts[2]});
        // A tunnel packet with the same numbers is another datagram.
        const Bytes tunnel =
            is_ipv6(whole) ? s.tunnel_packet6(inner_of(400)) : s.tunnel_packet(inner_of(400));
        expect_alone(s.lab.receive(s.up, cut(tunnel, {160, 80})), s.vm1, inner_of(400), "next");
    }
}

TEST(VxlanReassembly, VX39_fragments_of_a_steered_flow_meet_at_one_worker) {
    SceneWords words;
    words.lab.workers = 2;
    words.lab.backlog = 64;
    Reassembling s(words);
    for (std::uint16_t id = 0; id < 50; ++id) {
        const Frame inner = a_frame()
                                .to(host(1))
                                .from(host(12))
                                .ipv4()
                                .udp(static_cast<std::uint16_t>(1000 + id), 2000)
                                .payload(400);
        Bytes whole = s.tunnel_packet(inner);
        put16(whole, kFramed + 4, id);
        put16(whole, 14 + 20 + 6, 0);
        expect_alone(s.lab.receive(s.up, cut(whole, {160, 80})), s.vm1, inner, "steered");
    }
}

}  // namespace
}  // namespace vxplane::support::reassembly
