// Lengths that lie, headers that end early, extension headers.
#include <gtest/gtest.h>

#include "tests/support/hook_world.hpp"

namespace vxplane::support::hooks {
namespace {

using packet::DropReason;

packet::Verdict parse(const Bytes& bytes, step::L3Packet* out = nullptr) {
    Buffer buffer(bytes);
    const packet::Verdict verdict = buffer.parse();
    if (out != nullptr) *out = buffer.l3;
    return verdict;
}

TEST(ParseL3, whole_packets_are_read) {
    step::L3Packet l3;
    ASSERT_TRUE(parse(packet_of({}), &l3).goes_on());
    EXPECT_EQ(l3.l4_offset, 34);
    EXPECT_EQ(l3.l3_length, 33);
    EXPECT_EQ(l3.l4_length, 13);
    EXPECT_TRUE(l3.has_l4);
    EXPECT_FALSE(l3.fragment);
    ASSERT_TRUE(parse(packet_of({.source = "fd00::1", .destination = "fd00::2"}), &l3).goes_on());
    EXPECT_TRUE(l3.v6);
    EXPECT_EQ(l3.l4_offset, 54);
    EXPECT_EQ(l3.protocol, kUdp);
}

TEST(ParseL3, a_packet_cut_anywhere_is_dropped_or_read_no_further_than_it_goes) {
    for (const Words& w : {Words{}, Words{.source = "fd00::1", .destination = "fd00::2"}}) {
        const Bytes whole = packet_of(w);
        for (std::size_t size = 0; size < whole.size(); ++size) {
            const auto verdict =
                parse(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
            EXPECT_TRUE(verdict.is_drop()) << size;
        }
    }
}

TEST(ParseL3, lengths_that_lie_are_refused) {
    Bytes p = packet_of({});
    p[0] = 0x44;
    EXPECT_EQ(parse(p).reason(), DropReason::ip4_bad_header_length);
    p[0] = 0x4F;
    EXPECT_EQ(parse(p).reason(), DropReason::ip4_bad_header_length);
    p[0] = 0x55;
    EXPECT_EQ(parse(p).reason(), DropReason::ip4_bad_version);
    p = packet_of({});
    p[3] = 19;
    EXPECT_EQ(parse(p).reason(), DropReason::ip4_bad_total_length);
    p[3] = 34;
    EXPECT_EQ(parse(p).reason(), DropReason::ip4_bad_total_length);
    p = packet_of({.source = "fd00::1", .destination = "fd00::2"});
    p[5] = 14;
    EXPECT_EQ(parse(p).reason(), DropReason::ip6_malformed);
}

TEST(ParseL3, an_address_of_the_other_family_in_disguise_is_refused) {
    EXPECT_EQ(parse(packet_of({.source = "::ffff:10.0.0.5", .destination = "fd00::2"})).reason(),
              DropReason::ip6_mapped_address);
    EXPECT_EQ(parse(packet_of({.source = "fd00::2", .destination = "::ffff:10.0.0.5"})).reason(),
              DropReason::ip6_mapped_address);
}

/// An IPv6 packet with these headers, each given by its number and whole bytes but the first.
Bytes with_extensions(std::vector<std::pair<std::uint8_t, Bytes>> headers, std::uint8_t last) {
    Words w{.source = "fd00::1", .destination = "fd00::2"};
    Bytes p = packet_of(w);
    Bytes chain;
    for (std::size_t i = 0; i < headers.size(); ++i) {
        chain.push_back(i + 1 < headers.size() ? headers[i + 1].first : last);
        chain.insert(chain.end(), headers[i].second.begin(), headers[i].second.end());
    }
    if (!headers.empty()) p[6] = headers[0].first;
    p.insert(p.begin() + 40, chain.begin(), chain.end());
    p[4] = static_cast<std::uint8_t>((p.size() - 40) >> 8);
    p[5] = static_cast<std::uint8_t>(p.size() - 40);
    return p;
}

TEST(ParseL3, extension_headers_are_walked) {
    step::L3Packet l3;
    const Bytes p = with_extensions({{0, Bytes(7, 0)},
                                     {60, {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
                                     {51, {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}},
                                    kUdp);
    ASSERT_TRUE(parse(p, &l3).goes_on());
    EXPECT_EQ(l3.protocol, kUdp);
    EXPECT_EQ(l3.l4_offset, 14 + 40 + 8 + 16 + 12);
    EXPECT_TRUE(l3.has_l4);
}

TEST(ParseL3, extension_headers_that_do_not_end_are_refused) {
    EXPECT_EQ(parse(with_extensions({{0, {200, 0, 0, 0, 0, 0, 0}}}, kUdp)).reason(),
              DropReason::ip6_malformed);
    EXPECT_EQ(parse(with_extensions(
                        std::vector<std::pair<std::uint8_t, Bytes>>(9, {60, Bytes(7, 0)}), kUdp))
                  .reason(),
              DropReason::ip6_malformed);
}

TEST(ParseL3, an_atomic_fragment_is_none) {
    step::L3Packet l3;
    ASSERT_TRUE(parse(with_extensions({{44, {0, 0, 0, 1, 2, 3, 4}}}, kUdp), &l3).goes_on());
    EXPECT_FALSE(l3.fragment);
    EXPECT_TRUE(l3.has_l4);
}

TEST(ParseL3, a_transport_header_that_is_not_whole_is_no_connection) {
    World world;
    Words w;
    w.protocol = kTcp;
    w.rest = Bytes(19, 0);
    const Outcome o = world.out(packet_of(w), 1);
    EXPECT_TRUE(o.passed());
    EXPECT_EQ(o.ctx.state, table::CtState::invalid);
    w.rest = Bytes(20, 0);
    w.rest[12] = 0xF0;  // a header longer than the packet
    EXPECT_EQ(world.out(packet_of(w), 1).ctx.state, table::CtState::invalid);
}

}  // namespace
}  // namespace vxplane::support::hooks
