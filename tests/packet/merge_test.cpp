// The merge stage alone: what becomes one large packet, what does not, and why.
#include <gtest/gtest.h>

#include <functional>
#include <numeric>
#include <random>

#include "dataplane/packet/large.hpp"
#include "tests/support/merge_bench.hpp"

namespace vxplane::support {
namespace {

using step::MergeEnd;

const Bytes kHello = stream_bytes(0, 100);

/// A pair of segments that would merge, the second one changed by `change`.
template <class Change>
MergeBench::Result pair(StreamWords words, Change&& change) {
    MergeBench bench;
    Tcp first;
    Tcp second;
    second.sequence = 101;
    StreamWords other = words;
    Bytes payload = stream_bytes(100, 100);
    change(other, second, payload);
    return bench.run({segment(words, 0, first, kHello), segment(other, 1, second, payload)});
}
MergeBench::Result pair_of(const std::function<void(StreamWords&, Tcp&, Bytes&)>& change) {
    return pair(StreamWords{}, change);
}
std::uint32_t ended(const MergeBench::Result& result, MergeEnd why) {
    return result.tally.ends[static_cast<std::size_t>(why)];
}

TEST(Merge, RP22_segments_in_order_become_one_packet_with_right_headers) {
    for (const StreamWords& words : all_shapes()) {
        SCOPED_TRACE(name_of(words));
        MergeBench bench;
        const auto result = bench.run(stream(words, 4000, 1000));
        ASSERT_EQ(result.frames.size(), 1U);
        // The large packet is the frame that a sender without an MTU would have sent.
        Tcp tcp;
        tcp.flags = 0x18;
        EXPECT_EQ(hex(result.frames[0].bytes), hex(segment(words, 0, tcp, stream_bytes(0, 4000))));
        EXPECT_EQ(result.frames[0].segment, 1000);
        EXPECT_EQ(result.frames[0].buffers, 4);
        EXPECT_EQ(result.tally.merged, 3U);
        EXPECT_EQ(result.tally.large, 1U);
        EXPECT_EQ(ended(result, MergeEnd::complete), 1U);
    }
}

TEST(Merge, RP22_odd_segments_and_tags_and_options_sum_up) {
    for (StreamWords words : all_shapes()) {
        SCOPED_TRACE(name_of(words));
        words.tags = {5, 6};
        Tcp tcp;
        tcp.options = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
        MergeBench bench;
        const auto result = bench.run(stream(words, 701 * 5 + 33, 701, tcp, 0x10));
        ASSERT_EQ(result.frames.size(), 1U);
        EXPECT_EQ(hex(result.frames[0].bytes),
                  hex(segment(words, 0, tcp, stream_bytes(0, 701 * 5 + 33))));
        EXPECT_EQ(ended(result, MergeEnd::complete), 1U) << "a short segment is the last one";
    }
}

TEST(Merge, RP22_what_differs_is_not_merged) {
    using W = StreamWords;
    const auto headers = [](const std::function<void(W&, Tcp&, Bytes&)>& change) {
        const auto result = pair_of(change);
        return result.frames.size() == 2 && result.tally.merged == 0 &&
               ended(result, MergeEnd::headers) == 1;
    };
    EXPECT_TRUE(headers([](W& w, Tcp&, Bytes&) { w.ip4.ttl = 63; }));
    EXPECT_TRUE(headers([](W& w, Tcp&, Bytes&) { w.ip4.tos = 4; }));
    EXPECT_TRUE(headers([](W& w, Tcp&, Bytes&) { w.ip4.fragment = 0x4000; }));
    EXPECT_TRUE(headers([](W& w, Tcp&, Bytes&) { w.from = host(13); }));
    EXPECT_TRUE(headers([](W&, Tcp& t, Bytes&) { t.acknowledgement = 5; }));
    EXPECT_TRUE(headers([](W&, Tcp& t, Bytes&) { t.window = 5; }));
    EXPECT_TRUE(headers([](W&, Tcp& t, Bytes&) { t.flags = 0x50; })) << "ECE";
    EXPECT_TRUE(headers([](W&, Tcp& t, Bytes&) { t.options = {1, 1, 1, 1}; }));
    const auto options = pair_of([](W& w, Tcp&, Bytes&) { w.ip4.options = {1, 1, 1, 1}; });
    EXPECT_EQ(options.frames.size(), 2U) << "IPv4 options are never merged";
    const auto flags = [](std::uint8_t bits) {
        const auto result = pair_of([bits](W&, Tcp& t, Bytes&) { t.flags = bits; });
        return result.frames.size() == 2 && ended(result, MergeEnd::flags) == 1;
    };
    EXPECT_TRUE(flags(0x11)) << "FIN";
    EXPECT_TRUE(flags(0x12)) << "SYN";
    EXPECT_TRUE(flags(0x14)) << "RST";
    EXPECT_TRUE(flags(0x30)) << "URG";
    EXPECT_TRUE(flags(0x90)) << "CWR";
    const auto none = pair_of([](W&, Tcp&, Bytes& payload) { payload.clear(); });
    EXPECT_EQ(ended(none, MergeEnd::flags), 1U) << "an acknowledgement keeps its place";
    const auto gap = pair_of([](W&, Tcp& t, Bytes&) { t.sequence = 102; });
    EXPECT_EQ(ended(gap, MergeEnd::sequence), 1U);
    const auto longer = pair_of([](W&, Tcp&, Bytes& p) { p.resize(101); });
    EXPECT_EQ(ended(longer, MergeEnd::longer), 1U);
    const auto other = pair_of([](W& w, Tcp&, Bytes&) { w.source_port = 40002; });
    EXPECT_EQ(other.frames.size(), 2U);
    EXPECT_EQ(ended(other, MergeEnd::burst), 2U) << "another flow ends nothing";
}

TEST(Merge, RP22_IPv6_fields_are_compared) {
    using W = StreamWords;
    const auto differs = [](const std::function<void(W&)>& change) {
        const auto result =
            pair(StreamWords{.inner6 = true}, [&](W& w, Tcp&, Bytes&) { change(w); });
        return result.frames.size() == 2 && ended(result, MergeEnd::headers) == 1;
    };
    EXPECT_TRUE(differs([](W& w) { w.ip6.hop_limit = 63; }));
    EXPECT_TRUE(differs([](W& w) { w.ip6.traffic_class = 1; }));
    EXPECT_TRUE(differs([](W& w) { w.ip6.flow_label = 9; }));
}

TEST(Merge, RP22_padding_and_fragments_are_left_alone) {
    MergeBench bench;
    const auto frames = stream({}, 6, 3, {}, 0x10);
    Bytes padded = frames[0];
    padded.resize(60);
    Bytes second = frames[1];
    second.resize(60);
    EXPECT_EQ(bench.run({padded, second}).frames.size(), 2U);
    StreamWords fragment;
    fragment.ip4.fragment = 0x2000;
    EXPECT_EQ(bench.run(stream(fragment, 200, 100)).frames.size(), 2U);
}

TEST(Merge, RP22_an_acknowledgement_with_padding_is_not_overtaken) {
    MergeBench bench;
    const auto frames = stream({}, 300, 100, {}, 0x10);
    Tcp ack;
    ack.sequence = 101;
    Bytes padded = segment({}, 9, ack, {});
    padded.resize(60);
    const auto result = bench.run({frames[0], padded, frames[1], frames[2]});
    ASSERT_EQ(result.frames.size(), 3U);
    EXPECT_EQ(result.frames[0].bytes, frames[0]);
    EXPECT_EQ(result.frames[1].bytes, padded);
}

TEST(Merge, RP23_stays_below_65535_bytes) {
    for (const StreamWords& words : all_shapes()) {
        SCOPED_TRACE(name_of(words));
        MergeBench bench(9000 + 100);
        const auto result = bench.run(stream(words, 20 * 8800, 8800, {}, 0x10));
        EXPECT_GE(result.frames.size(), 3U);
        EXPECT_GE(ended(result, MergeEnd::full), 2U);
        for (const auto& frame : result.frames) EXPECT_LE(frame.bytes.size() - 14, 65'535U);
    }
}

TEST(Merge, RP24_outer_headers_must_be_equal) {
    using W = StreamWords;
    for (const bool outer6 : {false, true}) {
        const auto merged = [&](const std::function<void(W&)>& change) {
            const auto result =
                pair(W{.tunnel = true, .outer6 = outer6}, [&](W& w, Tcp&, Bytes&) { change(w); });
            return result.frames.size() == 1;
        };
        EXPECT_TRUE(merged([](W&) {}));
        EXPECT_FALSE(merged([](W& w) { w.outer_source_port = 50002; }));
        EXPECT_FALSE(merged([](W& w) { w.vni = 8; }));
        EXPECT_FALSE(merged([](W& w) { w.outer_checksum = true; }));
        EXPECT_FALSE(merged([](W& w) {
            w.outer4.tos = 4;
            w.outer_ip6.traffic_class = 4;
        }));
        EXPECT_FALSE(merged([](W& w) {
            w.outer4.ttl = 63;
            w.outer_ip6.hop_limit = 63;
        }));
        EXPECT_FALSE(merged([](W& w) {
            w.outer4.source = "10.0.0.3";
            w.outer_ip6.source = "2001:db8:1::3";
        }));
    }
}

TEST(Merge, RP24_only_one_level_of_tunnel) {
    MergeBench bench;
    std::vector<Bytes> frames;
    for (const Bytes& inner : stream({.tunnel = true}, 200, 100))
        frames.push_back(a_frame()
                             .ipv4({.source = "10.0.0.2", .destination = "10.0.0.1"})
                             .udp(50001, 4789, {.checksum = 0})
                             .vxlan({}, inner)
                             .bytes());
    EXPECT_EQ(bench.run(frames).frames.size(), 2U);
}

TEST(Merge, RP25_outer_checksums_are_verified_and_made_anew) {
    for (StreamWords words : all_shapes()) {
        if (!words.tunnel) continue;
        SCOPED_TRACE(name_of(words));
        words.outer_checksum = true;
        MergeBench bench;
        auto frames = stream(words, 3000, 1000);
        Tcp tcp;
        tcp.flags = 0x18;
        const auto good = bench.run(frames);
        ASSERT_EQ(good.frames.size(), 1U);
        EXPECT_EQ(hex(good.frames[0].bytes), hex(segment(words, 0, tcp, stream_bytes(0, 3000))));
        const std::size_t at = words.outer6 ? 14 + 40 + 6 : 14 + 20 + 6;
        frames[1][at] ^= 1;
        const auto bad = bench.run(frames);
        EXPECT_EQ(bad.frames.size(), 3U);
        EXPECT_EQ(ended(bad, MergeEnd::checksum), 1U);
        EXPECT_EQ(bad.frames[1].bytes, frames[1]) << "not repaired";
    }
}

TEST(Merge, RP26_a_wrong_inner_checksum_is_neither_merged_nor_repaired) {
    for (const StreamWords& words : all_shapes()) {
        SCOPED_TRACE(name_of(words));
        for (const std::size_t which : {0U, 1U, 2U}) {
            MergeBench bench;
            auto frames = stream(words, 300, 100, {}, 0x10);
            frames[which].back() ^= 0x40;
            const auto result = bench.run(frames);
            EXPECT_EQ(ended(result, MergeEnd::checksum), 1U);
            std::size_t same = 0;
            for (const auto& frame : result.frames) same += frame.bytes == frames[which] ? 1 : 0;
            EXPECT_EQ(same, 1U) << "segment " << which;
        }
    }
}

TEST(Merge, RP26_a_wrong_IPv4_header_checksum_is_left_alone) {
    MergeBench bench;
    StreamWords words;
    words.ip4.checksum = 0x1234;
    EXPECT_EQ(bench.run(stream(words, 200, 100)).frames.size(), 2U);
}

TEST(Merge, a_NIC_that_verified_the_checksum_spares_the_reading) {
    MergeBench bench;
    bench.entry.trusted_sums = packet::kAllRxSums;
    bench.rx_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    Tcp tcp;
    tcp.flags = 0x18;
    const auto result = bench.run(stream({}, 2999, 1000));
    ASSERT_EQ(result.frames.size(), 1U);
    EXPECT_EQ(hex(result.frames[0].bytes), hex(segment({}, 0, tcp, stream_bytes(0, 2999))));
    // In a tunnel the word may be about the outer checksum: there all is read.
    StreamWords words{.tunnel = true};
    auto frames = stream(words, 200, 100);
    frames[1].back() ^= 1;
    EXPECT_EQ(bench.run(frames).frames.size(), 2U);
}

TEST(Merge, a_NIC_is_believed_about_TCP_of_the_family_in_which_it_was_right) {
    for (const bool v6 : {false, true}) {
        for (const bool believed6 : {false, true}) {
            MergeBench bench;
            bench.entry.trusted_sums =
                packet::set_of(believed6 ? packet::RxSum::tcp6 : packet::RxSum::tcp4);
            bench.rx_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
            auto frames = stream({.inner6 = v6}, 200, 100);
            frames[1].back() ^= 1;
            EXPECT_EQ(bench.run(frames).frames.size(), v6 == believed6 ? 1U : 2U);
        }
    }
}

TEST(Merge, RP27_flows_beside_each_other_and_the_oldest_gives_way) {
    MergeBench bench;
    std::vector<Bytes> frames;
    constexpr unsigned kFlows = 16;
    for (unsigned number = 0; number < 4; ++number)
        for (unsigned flow = 0; flow < kFlows; ++flow) {
            StreamWords words;
            words.source_port = static_cast<std::uint16_t>(1000 + flow);
            Tcp tcp;
            tcp.sequence = 1 + 100 * number;
            frames.push_back(
                segment(words, number, tcp, stream_bytes(100 * std::size_t{number}, 100)));
        }
    const auto result = bench.run(frames);
    EXPECT_EQ(result.frames.size(), kFlows);
    EXPECT_EQ(result.tally.large, kFlows);
    // Sixty-four flows that all begin: the buckets hold eight each, and more than that evicts.
    frames.clear();
    for (unsigned flow = 0; flow < 64; ++flow) {
        StreamWords words;
        words.source_port = static_cast<std::uint16_t>(2000 + flow * 7);
        frames.push_back(segment(words, 0, {}, kHello));
    }
    const auto many = bench.run(frames);
    EXPECT_EQ(many.frames.size(), 64U);
    EXPECT_EQ(ended(many, MergeEnd::burst) + ended(many, MergeEnd::evicted), 64U);
    EXPECT_GT(ended(many, MergeEnd::evicted), 0U);
}

TEST(Merge, RP28_UDP_is_not_merged) {
    MergeBench bench;
    const Bytes one = a_frame().ipv4().udp(1, 2).payload(100).bytes();
    EXPECT_EQ(bench.run({one, one, one}).frames.size(), 3U);
}

TEST(Merge, RP29_every_end_of_a_flow_is_counted) {
    MergeBench bench;
    const auto result = bench.run(stream({}, 1000, 100, {}, 0x10));
    EXPECT_EQ(result.tally.merged, 9U);
    EXPECT_EQ(result.tally.merged_bytes, 9U * 54);
    EXPECT_EQ(ended(result, MergeEnd::burst), 1U);
    EXPECT_EQ(std::accumulate(result.tally.ends.begin(), result.tally.ends.end(), 0U), 1U);
}

TEST(Merge, a_frame_longer_than_the_port_takes_is_not_hidden) {
    MergeBench bench(1000);
    EXPECT_EQ(bench.run(stream({}, 3000, 1000)).frames.size(), 3U);
}

TEST(Merge, frames_cut_at_every_length_are_only_looked_at) {
    for (const StreamWords& words : all_shapes()) {
        const auto frames = stream(words, 200, 100);
        for (std::size_t size = 1; size < frames[0].size(); ++size) {
            MergeBench bench;
            Bytes cut = frames[1];
            cut.resize(size);
            const auto result = bench.run({frames[0], cut}, true);
            ASSERT_EQ(result.frames.size(), 2U) << name_of(words) << ' ' << size;
            ASSERT_EQ(result.frames[1].bytes, cut);
        }
    }
}

TEST(Merge, RP31_merged_and_cut_again_is_what_came) {
    std::mt19937 random(7);
    for (int round = 0; round < 100; ++round) {
        std::vector<StreamWords> shapes = all_shapes();
        StreamWords words = shapes[random() % shapes.size()];
        words.outer_checksum = random() % 2 != 0;
        words.ip4.id = static_cast<std::uint16_t>(random());
        if (random() % 3 == 0) words.tags = {static_cast<std::uint16_t>(random() & 0xFFF)};
        Tcp tcp;
        tcp.sequence = random();
        if (random() % 2 != 0) tcp.options = Bytes(4 * (1 + random() % 10), 1);
        if (random() % 4 == 0) tcp.flags |= 0x40;
        const std::size_t each = 1 + random() % 1300;
        const std::size_t total = each * (1 + random() % 30) + random() % each;
        const std::uint8_t last =
            static_cast<std::uint8_t>(tcp.flags | (random() % 2 != 0 ? 8 : 0));
        const auto frames = stream(words, total, each, tcp, last);
        if (frames.size() > step::TcpMerger::kRoom) continue;
        MergeBench bench;
        const auto cut = bench.merge_and_cut(frames);
        ASSERT_EQ(cut.size(), frames.size()) << name_of(words) << " each " << each;
        for (std::size_t i = 0; i < cut.size(); ++i)
            ASSERT_EQ(hex(without_ids(cut[i], words)), hex(without_ids(frames[i], words)))
                << name_of(words) << " segment " << i << " of " << frames.size();
    }
}

}  // namespace
}  // namespace vxplane::support
