// Fragments: the first one has ports and a connection, later ones follow it.
#include <gtest/gtest.h>

#include "tests/support/hook_world.hpp"

namespace vxplane::support::hooks {
namespace {

using packet::DropReason;

class Fragments : public testing::TestWithParam<bool> {
  protected:
    static Words first() {
        Words w;
        if (GetParam()) {
            w.source = "fd00::5";
            w.destination = "2001:db8::9";
        }
        w.payload = Bytes(64, 7);
        w.fragment = 0x2000;
        return w;
    }
    static Words later(unsigned eights = 9) {
        Words w = first();
        w.fragment = static_cast<std::uint16_t>(eights);
        w.rest = Bytes(40, 8);
        return w;
    }
    static const char* public_address() { return GetParam() ? World::kPublic6 : World::kPublic4; }
};

TEST_P(Fragments, later_ones_follow_the_first) {
    World world({masquerade(2000, 2000)});
    const Outcome a = world.out(packet_of(first()), 1);
    const Outcome b = world.out(packet_of(later()), 1);
    const Outcome c = world.out(packet_of(later(14)), 1);
    ASSERT_TRUE(a.passed() && b.passed() && c.passed());
    EXPECT_EQ(a.read().source_port, 2000);
    for (const Outcome* o : {&a, &b, &c}) {
        EXPECT_EQ(o->read().source, public_address());
        EXPECT_TRUE(checksums_right(o->packet));
    }
    EXPECT_EQ(world.conntrack.at(a.ctx.connection).original.packets, 3U);
    EXPECT_EQ(world.conntrack.stats().fragments_used, 1U);
}

TEST_P(Fragments, the_checksum_of_the_whole_datagram_is_right_afterwards) {
    World world({masquerade(2000, 2000)});
    Words whole = first();
    whole.fragment = 0;
    whole.payload = Bytes(104, 9);
    const Bytes packet = packet_of(whole);
    const auto header = static_cast<std::ptrdiff_t>(GetParam() ? 40 : 20);
    Words a = first(), b = later(9);
    a.rest = Bytes(packet.begin() + header, packet.begin() + header + 72);
    b.rest = Bytes(packet.begin() + header + 72, packet.end());
    const Outcome out_a = world.out(packet_of(a), 1);
    const Outcome out_b = world.out(packet_of(b), 1);
    ASSERT_TRUE(out_a.passed() && out_b.passed());
    const auto cut = header + (GetParam() ? 8 : 0);
    Words joined = whole;
    joined.source = public_address();
    joined.rest = Bytes(out_a.packet.begin() + cut, out_a.packet.end());
    joined.rest.insert(joined.rest.end(), out_b.packet.begin() + cut, out_b.packet.end());
    EXPECT_TRUE(checksums_right(packet_of(joined)));
}

TEST_P(Fragments, one_whose_first_was_not_seen_is_dropped) {
    World world({masquerade()});
    EXPECT_EQ(world.out(packet_of(later()), 1).reason(), DropReason::ct_fragment_no_first);
    ASSERT_TRUE(world.out(packet_of(first()), 1).passed());
    Words other = later();
    other.id = 8;
    EXPECT_EQ(world.out(packet_of(other), 1).reason(), DropReason::ct_fragment_no_first);
    other = later();
    std::swap(other.source, other.destination);
    EXPECT_EQ(world.in(packet_of(other)).reason(), DropReason::ct_fragment_no_first);
}

TEST_P(Fragments, those_of_another_tenant_do_not_follow) {
    World world({masquerade()});
    world.slave(1, 1);
    world.slave(2, 2);
    ASSERT_TRUE(world.out(packet_of(first()), 1).passed());
    EXPECT_EQ(world.out(packet_of(later()), 2).reason(), DropReason::ct_fragment_no_first);
    EXPECT_TRUE(world.out(packet_of(later()), 1).passed());
}

TEST_P(Fragments, none_follows_a_first_one_that_was_dropped) {
    table::HookRule drop;
    drop.hook = table::Hook::postrouting;
    drop.verdict = table::RuleVerdict::drop;
    drop.destination_ports = {53, 53};
    World world({drop});
    EXPECT_EQ(world.out(packet_of(first()), 1).reason(), DropReason::hook_drop);
    EXPECT_EQ(world.out(packet_of(later()), 1).reason(), DropReason::ct_fragment_no_first);
}

TEST_P(Fragments, the_memory_of_a_first_one_ends_after_thirty_seconds) {
    World world({masquerade()});
    ASSERT_TRUE(world.out(packet_of(first()), 1).passed());
    world.now += 29'000;
    EXPECT_TRUE(world.out(packet_of(later()), 1).passed());
    world.now += 1'001;
    EXPECT_EQ(world.out(packet_of(later()), 1).reason(), DropReason::ct_fragment_no_first);
}

TEST_P(Fragments, none_follows_a_connection_that_is_gone) {
    World world({masquerade()});
    const Outcome a = world.out(packet_of(first()), 1);
    world.conntrack.remove(a.ctx.connection.place());
    EXPECT_EQ(world.out(packet_of(later()), 1).reason(), DropReason::ct_fragment_no_first);
    Words other = first();
    other.id = 9;
    other.source_port = 2;
    ASSERT_TRUE(world.out(packet_of(other), 1).passed()) << "takes the same place";
    EXPECT_EQ(world.out(packet_of(later()), 1).reason(), DropReason::ct_fragment_no_first);
}

INSTANTIATE_TEST_SUITE_P(Both, Fragments, testing::Bool(),
                         [](const auto& v6) { return v6.param ? "ipv6" : "ipv4"; });

TEST(FragmentTable, the_one_that_ends_first_goes_when_a_set_is_full) {
    table::FragmentTable fragments;
    std::uint32_t found = 0;
    constexpr std::uint32_t kMany = 3 * table::FragmentTable::kPlaces;
    for (std::uint32_t id = 0; id < kMany; ++id)
        fragments.put({{}, {}, id, 0, 17}, {id, 0}, 1000, 31'000 + id);
    for (std::uint32_t id = 0; id < kMany; ++id)
        found += fragments.find({{}, {}, id, 0, 17}, 1000).ref == id ? 1U : 0U;
    EXPECT_EQ(found, fragments.used());
    EXPECT_LE(fragments.used(), table::FragmentTable::kPlaces);
    EXPECT_GT(fragments.used(), table::FragmentTable::kPlaces / 2);
    EXPECT_EQ(fragments.replaced(), kMany - fragments.used());
    EXPECT_EQ(fragments.find({{}, {}, kMany - 1, 0, 17}, 1000).ref, kMany - 1);
    for (std::uint32_t i = 0; i < table::FragmentTable::kPlaces; ++i) fragments.sweep(100'000);
    EXPECT_EQ(fragments.used(), 0U);
    EXPECT_LE(fragments.high_water(), table::FragmentTable::kPlaces);
}

}  // namespace
}  // namespace vxplane::support::hooks
