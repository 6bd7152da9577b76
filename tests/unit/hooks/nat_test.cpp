// Translation of whole conversations: addresses, ports, identifiers, and every checksum computed
// anew.
#include <gtest/gtest.h>

#include <set>

#include "tests/support/hook_world.hpp"

namespace vxplane::support::hooks {
namespace {

using packet::DropReason;
using table::CtState;

/// The same conversation in both families and three protocols.
struct Kind {
    const char* name;
    std::uint8_t protocol;
    bool v6;
};
void PrintTo(const Kind& kind, std::ostream* out) {
    *out << kind.name;
}

class Conversation : public testing::TestWithParam<Kind> {
  protected:
    static Words ask() {
        Words w;
        w.protocol = GetParam().protocol;
        if (GetParam().v6) {
            w.source = "fd00::5";
            w.destination = "2001:db8::9";
            w.icmp_type = 128;
        }
        w.tcp_flags = 0x02;
        return w;
    }
    /// The other end answers what it has seen.
    static Words answer(const Bytes& seen) {
        const Read r = read(seen);
        Words w;
        w.protocol = GetParam().protocol;
        w.source = r.destination;
        w.destination = r.source;
        w.source_port = r.destination_port;
        w.destination_port = r.source_port;
        w.tcp_flags = 0x12;
        if (icmp()) {
            w.source_port = r.source_port;
            w.icmp_type = GetParam().v6 ? 129 : 0;
        }
        w.payload = {9, 8, 7};
        return w;
    }
    static bool icmp() { return GetParam().protocol == kIcmp || GetParam().protocol == kIcmp6; }
    static const char* public_address() {
        return GetParam().v6 ? World::kPublic6 : World::kPublic4;
    }
};

TEST_P(Conversation, masquerade_changes_the_source_and_the_answer_finds_back) {
    World world({masquerade()});
    world.slave(3, 1);
    const Outcome out = world.out(packet_of(ask()), 3);
    ASSERT_TRUE(out.passed());
    EXPECT_EQ(out.read().source, public_address());
    EXPECT_EQ(out.read().source_port, 1000);
    EXPECT_EQ(out.read().destination, ask().destination);
    EXPECT_TRUE(checksums_right(out.packet)) << text(out.packet);

    const Outcome back = world.in(packet_of(answer(out.packet)));
    ASSERT_TRUE(back.passed());
    EXPECT_EQ(back.ctx.state, CtState::established);
    EXPECT_EQ(back.ctx.to_slave, 3);
    EXPECT_EQ(back.read().destination, ask().source);
    EXPECT_EQ(back.read().source, ask().destination);
    EXPECT_TRUE(checksums_right(back.packet)) << text(back.packet);
    EXPECT_EQ(world.conntrack.stats().used, 1U);
}

TEST_P(Conversation, a_taken_port_is_changed_there_and_back) {
    World world({masquerade(2000, 2001)});
    world.slave(3, 1);
    world.slave(4, 2);
    const Outcome first = world.out(packet_of(ask()), 3);
    const Outcome second = world.out(packet_of(ask()), 4);
    ASSERT_TRUE(first.passed() && second.passed());
    std::set<std::uint16_t> ports{first.read().source_port, second.read().source_port};
    EXPECT_EQ(ports, (std::set<std::uint16_t>{2000, 2001}));
    EXPECT_TRUE(checksums_right(first.packet) && checksums_right(second.packet));
    for (const auto& [out, slave] : {std::pair{&first, 3}, std::pair{&second, 4}}) {
        const Outcome back = world.in(packet_of(answer(out->packet)));
        ASSERT_TRUE(back.passed());
        EXPECT_EQ(back.ctx.to_slave, slave);
        EXPECT_EQ(icmp() ? back.read().source_port : back.read().destination_port, 1000);
        EXPECT_TRUE(checksums_right(back.packet)) << text(back.packet);
    }
}

TEST_P(Conversation, without_a_free_port_the_packet_is_dropped_and_leaves_no_entry) {
    World world({masquerade(2000, 2003)});
    for (std::uint16_t slave = 1; slave <= 4; ++slave) {
        world.slave(slave, slave);
        ASSERT_TRUE(world.out(packet_of(ask()), slave).passed());
    }
    world.slave(5, 5);
    EXPECT_EQ(world.out(packet_of(ask()), 5).reason(), DropReason::nat_ports_exhausted);
    EXPECT_EQ(world.conntrack.stats().used, 4U);
    EXPECT_EQ(world.conntrack.stats().ports_exhausted, 1U);
}

TEST_P(Conversation, IV52_one_to_one_from_outside_reaches_the_slave_and_answers_leave_as_public) {
    World world(one_to_one(public_address(), ask().source, 7, 2));
    world.slave(7, 2);
    Words w = ask();
    std::swap(w.source, w.destination);
    w.destination = public_address();
    const Outcome in = world.in(packet_of(w));
    ASSERT_TRUE(in.passed());
    EXPECT_EQ(in.ctx.to_slave, 7);
    EXPECT_EQ(in.read().destination, ask().source);
    EXPECT_TRUE(checksums_right(in.packet)) << text(in.packet);
    const Outcome back = world.out(packet_of(answer(in.packet)), 7);
    ASSERT_TRUE(back.passed());
    EXPECT_EQ(back.read().source, public_address());
    EXPECT_EQ(back.ctx.state, CtState::established);
    EXPECT_TRUE(checksums_right(back.packet)) << text(back.packet);
}

TEST_P(Conversation, hairpin_changes_both_ends_at_once) {
    const char* other = GetParam().v6 ? "2001:db8:ff::2" : "203.0.113.2";
    auto rules = one_to_one(other, ask().source, 7, 2);
    rules.push_back(masquerade());
    World world(rules);
    world.slave(3, 1);
    world.slave(7, 2);
    Words w = ask();
    w.destination = other;
    const Outcome there = world.across(packet_of(w), 3, 99);
    ASSERT_TRUE(there.passed());
    EXPECT_EQ(there.ctx.exit_slave, 7);
    EXPECT_EQ(there.read().destination, ask().source);
    EXPECT_EQ(there.read().source, public_address());
    EXPECT_TRUE(checksums_right(there.packet)) << text(there.packet);
    const Outcome back = world.across(packet_of(answer(there.packet)), 7, 99);
    ASSERT_TRUE(back.passed());
    EXPECT_EQ(back.ctx.exit_slave, 3);
    EXPECT_EQ(back.read().source, other);
    EXPECT_EQ(back.read().destination, ask().source);
    EXPECT_TRUE(checksums_right(back.packet)) << text(back.packet);
}

TEST_P(Conversation, IV53_two_tenants_with_one_tuple_do_not_mix) {
    World world;
    world.slave(3, 1);
    world.slave(4, 2);
    const Outcome a = world.across(packet_of(ask()), 3, 3);
    const Outcome b = world.across(packet_of(ask()), 4, 4);
    ASSERT_TRUE(a.passed() && b.passed());
    EXPECT_EQ(a.ctx.state, CtState::fresh);
    EXPECT_EQ(b.ctx.state, CtState::fresh);
    EXPECT_EQ(world.conntrack.stats().used, 2U);
    EXPECT_EQ(b.packet, packet_of(ask()));
    const Outcome back = world.across(packet_of(answer(b.packet)), 4, 4);
    EXPECT_EQ(back.ctx.state, CtState::established);
    EXPECT_EQ(back.ctx.to_slave, 4);
}

TEST_P(Conversation, no_two_connections_share_a_tuple_of_answers_even_without_a_rule) {
    World world;
    world.slave(3, 1);
    world.slave(4, 2);
    const Outcome a = world.out(packet_of(ask()), 3);
    const Outcome b = world.out(packet_of(ask()), 4);
    ASSERT_TRUE(a.passed() && b.passed());
    EXPECT_EQ(a.packet, packet_of(ask()));
    EXPECT_NE(b.read().source_port, a.read().source_port);
    EXPECT_TRUE(checksums_right(b.packet)) << text(b.packet);
    EXPECT_EQ(world.in(packet_of(answer(a.packet))).ctx.to_slave, 3);
    EXPECT_EQ(world.in(packet_of(answer(b.packet))).ctx.to_slave, 4);
}

INSTANTIATE_TEST_SUITE_P(All, Conversation,
                         testing::Values(Kind{"udp4", kUdp, false}, Kind{"tcp4", kTcp, false},
                                         Kind{"icmp4", kIcmp, false}, Kind{"udp6", kUdp, true},
                                         Kind{"tcp6", kTcp, true}, Kind{"icmp6", kIcmp6, true}),
                         [](const auto& kind) { return std::string(kind.param.name); });

TEST(Nat, a_udp_checksum_of_zero_stays_zero) {
    World world({masquerade(3000, 3000)});
    Words w;
    w.no_udp_checksum = true;
    const Outcome out = world.out(packet_of(w), 1);
    ASSERT_TRUE(out.passed());
    EXPECT_EQ(out.read().source_port, 3000);
    EXPECT_EQ(out.packet[26], 0);
    EXPECT_EQ(out.packet[27], 0);
}

TEST(Nat, a_port_in_the_range_is_kept) {
    World world({masquerade(1000, 1500)});
    Words w;
    w.source_port = 1234;
    EXPECT_EQ(world.out(packet_of(w), 1).read().source_port, 1234);
}

TEST(Nat, ports_outside_the_range_go_into_it) {
    World world({masquerade(40000, 40999)});
    for (std::uint16_t port = 1; port <= 500; ++port) {
        Words w;
        w.source_port = port;
        const Outcome out = world.out(packet_of(w), 1);
        ASSERT_TRUE(out.passed());
        EXPECT_GE(out.read().source_port, 40000);
        EXPECT_LE(out.read().source_port, 40999);
    }
}

TEST(Nat, a_changed_port_stays_in_its_class) {
    World world({masquerade()});
    world.slave(1, 1);
    world.slave(2, 2);
    for (const std::uint16_t port : {100, 700, 2000}) {
        Words w;
        w.source_port = port;
        ASSERT_TRUE(world.out(packet_of(w), 1).passed());
        const std::uint16_t changed = world.out(packet_of(w), 2).read().source_port;
        EXPECT_NE(changed, port);
        EXPECT_EQ(changed < 512, port < 512);
        EXPECT_EQ(changed < 1024, port < 1024);
    }
}

TEST(Nat, the_same_port_serves_several_destinations) {
    World world({masquerade(5000, 5000)});
    for (std::uint16_t port = 1; port <= 300; ++port) {
        Words w;
        w.destination_port = port;
        ASSERT_TRUE(world.out(packet_of(w), 1).passed());
    }
}

TEST(Nat, dnat_with_a_port_changes_it_and_back) {
    table::HookRule rule;
    rule.hook = table::Hook::prerouting;
    rule.priority = table::hook_priority::kDestinationNat;
    rule.verdict = table::RuleVerdict::dnat;
    rule.any_protocol = false;
    rule.protocol = kTcp;
    rule.destination_ports = {8080, 8080};
    rule.to = address("10.0.0.5");
    rule.to_ports = {80, 80};
    World world({rule});
    Words w{.source = "198.51.100.9", .destination = World::kPublic4, .protocol = kTcp};
    w.source_port = 5555;
    w.destination_port = 8080;
    w.tcp_flags = 2;
    const Outcome in = world.in(packet_of(w), 2);
    ASSERT_TRUE(in.passed());
    EXPECT_EQ(in.read().destination, "10.0.0.5");
    EXPECT_EQ(in.read().destination_port, 80);
    EXPECT_TRUE(checksums_right(in.packet));
    Words answer{.source = "10.0.0.5", .destination = "198.51.100.9", .protocol = kTcp};
    answer.source_port = 80;
    answer.destination_port = 5555;
    answer.tcp_flags = 0x12;
    const Outcome out = world.out(packet_of(answer), 2);
    EXPECT_EQ(out.read().source, World::kPublic4);
    EXPECT_EQ(out.read().source_port, 8080);
    EXPECT_TRUE(checksums_right(out.packet));
}

TEST(Nat, sctp_keeps_its_ports_and_a_second_one_is_refused) {
    World world({masquerade(2000, 3000)});
    world.slave(1, 1);
    world.slave(2, 2);
    Words w;
    w.protocol = 132;
    w.rest = {0x03, 0xE8, 0, 80, 1, 2, 3, 4, 5, 6, 7, 8};
    const Outcome out = world.out(packet_of(w), 1);
    ASSERT_TRUE(out.passed());
    EXPECT_EQ(out.read().source, World::kPublic4);
    EXPECT_EQ(out.read().source_port, 1000);
    EXPECT_EQ(world.out(packet_of(w), 2).reason(), DropReason::nat_ports_exhausted);
}

TEST(Nat, a_protocol_without_ports_is_translated_by_address) {
    World world({masquerade()});
    Words w;
    w.protocol = 47;
    w.rest = Bytes(30, 0x5A);
    const Outcome out = world.out(packet_of(w), 1);
    ASSERT_TRUE(out.passed());
    EXPECT_EQ(out.read().source, World::kPublic4);
    std::swap(w.source, w.destination);
    w.destination = World::kPublic4;
    EXPECT_EQ(world.in(packet_of(w)).read().destination, "10.0.0.5");
}

TEST(Nat, masquerade_without_an_address_drops) {
    World world({masquerade()});
    Buffer buffer(packet_of({}));
    ASSERT_TRUE(buffer.parse().goes_on());
    step::HookContext ctx;
    ctx.hooks = &world.rules;
    ctx.conntrack = &world.conntrack;
    packet::PacketMeta meta;
    ASSERT_TRUE(step::output(buffer.l3, ctx, meta).goes_on());
    EXPECT_EQ(step::postrouting(buffer.l3, ctx, meta).reason(), DropReason::nat_no_address);
}

TEST(Nat, a_second_packet_on_its_way_joins_the_connection) {
    World world({masquerade(1, 60000)});
    Buffer a(packet_of({})), b(packet_of({}));
    packet::PacketMeta meta;
    step::HookContext first;
    first.hooks = &world.rules;
    first.conntrack = &world.conntrack;
    first.masquerade4 = address(World::kPublic4).v4();
    step::HookContext second = first;
    ASSERT_TRUE(a.parse().goes_on() && b.parse().goes_on());
    ASSERT_TRUE(step::output(a.l3, first, meta).goes_on());
    ASSERT_TRUE(step::output(b.l3, second, meta).goes_on());
    ASSERT_TRUE(step::postrouting(a.l3, first, meta).goes_on());
    ASSERT_TRUE(step::postrouting(b.l3, second, meta).goes_on());
    EXPECT_EQ(a.bytes(), b.bytes());
    EXPECT_EQ(world.conntrack.stats().used, 1U);
    EXPECT_EQ(world.conntrack.at(first.connection).original.packets, 2U);
}

TEST(Nat, a_second_packet_that_was_sent_elsewhere_meanwhile_is_dropped) {
    World world(one_to_one(World::kPublic4, "10.0.0.5", 7, 1));
    const World plain;
    Words w{.source = "198.51.100.9", .destination = World::kPublic4};
    Buffer a(packet_of(w)), b(packet_of(w));
    packet::PacketMeta meta;
    step::HookContext first;
    first.hooks = &plain.rules;
    first.conntrack = &world.conntrack;
    step::HookContext second = first;
    second.hooks = &world.rules;
    ASSERT_TRUE(a.parse().goes_on() && b.parse().goes_on());
    ASSERT_TRUE(step::prerouting(a.l3, first, meta).goes_on());
    ASSERT_TRUE(step::prerouting(b.l3, second, meta).goes_on());
    ASSERT_TRUE(step::input(a.l3, first, meta).goes_on());
    EXPECT_EQ(step::input(b.l3, second, meta).reason(), DropReason::ct_clash);
}

}  // namespace
}  // namespace vxplane::support::hooks
