// Rules: in which order they are asked, what they match, what they do.
#include <gtest/gtest.h>

#include "tests/support/hook_world.hpp"

namespace vxplane::support::hooks {
namespace {

using packet::DropReason;
using table::CtState;
using table::Hook;
using table::HookRule;
using table::RuleVerdict;

HookRule rule(Hook hook, int priority, RuleVerdict verdict, std::uint32_t id = 0) {
    HookRule r;
    r.hook = hook;
    r.priority = priority;
    r.verdict = verdict;
    r.id = id;
    return r;
}
std::uint8_t bit(CtState state) {
    return static_cast<std::uint8_t>(state);
}

Words syn() {
    Words w;
    w.protocol = kTcp;
    w.tcp_flags = 0x02;
    return w;
}
Words answer_to(const Words& w, std::uint8_t flags = 0x12) {
    Words a = w;
    std::swap(a.source, a.destination);
    std::swap(a.source_port, a.destination_port);
    a.tcp_flags = flags;
    return a;
}

TEST(Rules, RP53_without_a_rule_that_matches_a_packet_passes) {
    HookRule r = rule(Hook::output, 0, RuleVerdict::drop);
    r.any_protocol = false;
    r.protocol = kTcp;
    World world({r});
    EXPECT_TRUE(world.out(packet_of({}), 1).passed());
    EXPECT_EQ(world.out(packet_of(syn()), 1).reason(), DropReason::hook_drop);
}

TEST(Rules, RP53_lower_priorities_are_asked_first_and_equal_ones_in_their_order) {
    World world({rule(Hook::output, 10, RuleVerdict::drop, 1),
                 rule(Hook::output, -300, RuleVerdict::accept, 2),
                 rule(Hook::output, -300, RuleVerdict::drop, 3)});
    EXPECT_EQ(world.out(packet_of({}), 1).reason(), DropReason::hook_drop);
    EXPECT_EQ(world.counters.read(2).packets, 1U);
    EXPECT_EQ(world.counters.read(3).packets, 0U) << "accept ends its own priority";
    EXPECT_EQ(world.counters.read(1).packets, 1U) << "and no other";
    EXPECT_EQ(world.counters.read(1).bytes, packet_of({}).size());
}

TEST(Rules, RP54_return_ends_its_own_priority_only) {
    World world({rule(Hook::output, 0, RuleVerdict::return_, 1),
                 rule(Hook::output, 0, RuleVerdict::drop, 2)});
    EXPECT_TRUE(world.out(packet_of({}), 1).passed());
    EXPECT_EQ(world.counters.read(1).packets, 1U);
    EXPECT_EQ(world.counters.read(2).packets, 0U);
}

TEST(Rules, RP54_reject_goes_to_control) {
    World world({rule(Hook::postrouting, 0, RuleVerdict::reject)});
    const Outcome o = world.out(packet_of({}), 1);
    EXPECT_EQ(o.verdict, packet::Verdict::divert(packet::Lane::control));
    EXPECT_EQ(o.meta.punt, packet::Punt::reject);
    EXPECT_EQ(o.meta.tunnel, 0U);
    EXPECT_EQ(o.meta.if_refused, DropReason::hook_reject);
    EXPECT_EQ(world.conntrack.stats().used, 0U);
}

TEST(Rules, each_hook_has_its_own) {
    for (const Hook hook : {Hook::prerouting, Hook::input, Hook::output, Hook::postrouting}) {
        World world({rule(hook, 0, RuleVerdict::drop)});
        const bool outward = hook == Hook::output || hook == Hook::postrouting;
        EXPECT_EQ(world.out(packet_of({}), 1).passed(), !outward);
        EXPECT_EQ(world.in(packet_of({}), 1).passed(), outward);
    }
}

TEST(Rules, forward_is_asked) {
    World world({rule(Hook::forward, 0, RuleVerdict::drop)});
    Buffer buffer(packet_of({}));
    step::HookContext ctx;
    packet::PacketMeta meta;
    ASSERT_TRUE(buffer.parse().goes_on());
    EXPECT_TRUE(step::forward(buffer.l3, ctx, meta).goes_on());
    ctx.hooks = &world.rules;
    EXPECT_EQ(step::forward(buffer.l3, ctx, meta).reason(), DropReason::hook_drop);
}

TEST(Rules, prefixes_match_their_addresses_and_no_other_family) {
    HookRule r = rule(Hook::output, 0, RuleVerdict::drop);
    r.source = {address("10.0.0.0"), 8};
    r.destination = {address("198.51.100.8"), 31};
    World world({r});
    Words w;
    EXPECT_FALSE(world.out(packet_of(w), 1).passed());
    w.source = "11.0.0.5";
    EXPECT_TRUE(world.out(packet_of(w), 1).passed());
    w = {};
    w.destination = "198.51.100.10";
    EXPECT_TRUE(world.out(packet_of(w), 1).passed());
    w = {.source = "fd00::5", .destination = "fd00::6"};
    EXPECT_TRUE(world.out(packet_of(w), 1).passed());
    HookRule all4 = rule(Hook::output, 0, RuleVerdict::drop);
    all4.source = {address("0.0.0.0"), 0};
    World second({all4});
    EXPECT_TRUE(second.out(packet_of(w), 1).passed());
    EXPECT_FALSE(second.out(packet_of({}), 1).passed());
}

TEST(Rules, prefixes_of_ipv6_match_bit_by_bit) {
    HookRule r = rule(Hook::output, 0, RuleVerdict::drop);
    r.destination = {address("2001:db8::"), 33};
    World world({r});
    Words w{.source = "fd00::5", .destination = "2001:db8:7fff::1"};
    EXPECT_FALSE(world.out(packet_of(w), 1).passed());
    w.destination = "2001:db8:8000::1";
    EXPECT_TRUE(world.out(packet_of(w), 1).passed());
}

TEST(Rules, ports_match_inclusively_and_only_where_there_are_ports) {
    HookRule r = rule(Hook::output, 0, RuleVerdict::drop);
    r.source_ports = {999, 1000};
    r.destination_ports = {53, 60};
    World world({r});
    Words w;
    EXPECT_FALSE(world.out(packet_of(w), 1).passed());
    w.destination_port = 61;
    EXPECT_TRUE(world.out(packet_of(w), 1).passed());
    w.destination_port = 60;
    EXPECT_FALSE(world.out(packet_of(w), 1).passed());
    w.source_port = 1001;
    EXPECT_TRUE(world.out(packet_of(w), 1).passed());
    w.protocol = kIcmp;
    w.source_port = 1000;
    EXPECT_TRUE(world.out(packet_of(w), 1).passed());
}

TEST(Rules, slave_and_zone_match_who_sent) {
    HookRule by_slave = rule(Hook::output, 0, RuleVerdict::drop);
    by_slave.slave = 3;
    HookRule by_zone = rule(Hook::postrouting, 0, RuleVerdict::drop);
    by_zone.zone = 2;
    World world({by_slave, by_zone});
    world.slave(4, 1);
    world.slave(5, 2);
    EXPECT_FALSE(world.out(packet_of({}), 3).passed());
    EXPECT_TRUE(world.out(packet_of({}), 4).passed());
    EXPECT_FALSE(world.out(packet_of({}), 5).passed());
}

TEST(Rules, states_tell_answers_from_strangers) {
    HookRule established = rule(Hook::prerouting, 0, RuleVerdict::accept);
    established.states = bit(CtState::established) | bit(CtState::related);
    World world({established, rule(Hook::prerouting, 0, RuleVerdict::drop)});
    EXPECT_FALSE(world.in(packet_of(answer_to(syn())), 1).passed());
    ASSERT_TRUE(world.out(packet_of(syn()), 1).passed());
    EXPECT_TRUE(world.in(packet_of(answer_to(syn()))).passed());
    Words stranger = answer_to(syn(), 0x02);
    stranger.source_port = 54;
    EXPECT_FALSE(world.in(packet_of(stranger), 1).passed());
}

TEST(Rules, a_chain_that_translates_is_asked_for_first_packets_only) {
    HookRule nat = masquerade();
    nat.id = 1;
    World world({nat, rule(Hook::postrouting, 50, RuleVerdict::accept, 2)});
    Words w = syn();
    ASSERT_TRUE(world.out(packet_of(w), 1).passed());
    ASSERT_TRUE(world.out(packet_of(w), 1).passed());
    EXPECT_EQ(world.counters.read(1).packets, 1U);
    EXPECT_EQ(world.counters.read(2).packets, 2U);
}

TEST(Rules, filters_see_a_destination_that_was_translated_and_a_source_that_was_not) {
    HookRule dnat = rule(Hook::output, table::hook_priority::kDestinationNat, RuleVerdict::dnat);
    dnat.to = address("192.0.2.9");
    HookRule on_new = rule(Hook::postrouting, 0, RuleVerdict::accept, 1);
    on_new.destination = {address("192.0.2.9"), 32};
    on_new.source = {address("10.0.0.5"), 32};
    HookRule behind = rule(Hook::postrouting, 200, RuleVerdict::accept, 2);
    behind.source = {address(World::kPublic4), 32};
    World world({dnat, on_new, behind, masquerade()});
    ASSERT_TRUE(world.out(packet_of(syn()), 1).passed());
    ASSERT_TRUE(world.out(packet_of(syn()), 1).passed());
    EXPECT_EQ(world.counters.read(1).packets, 2U);
    EXPECT_EQ(world.counters.read(2).packets, 2U);
}

TEST(Rules, a_dropped_packet_leaves_no_entry) {
    World world({rule(Hook::postrouting, 300, RuleVerdict::drop), masquerade()});
    EXPECT_FALSE(world.out(packet_of(syn()), 1).passed());
    EXPECT_EQ(world.conntrack.stats().used, 0U);
    EXPECT_EQ(world.conntrack.stats().created, 0U);
}

TEST(Rules, notrack_leaves_no_entry_and_no_translation) {
    World world(
        {rule(Hook::output, table::hook_priority::kRaw, RuleVerdict::notrack), masquerade()});
    const Outcome o = world.out(packet_of(syn()), 1);
    ASSERT_TRUE(o.passed());
    EXPECT_EQ(o.ctx.state, CtState::untracked);
    EXPECT_EQ(o.packet, packet_of(syn()));
    EXPECT_EQ(world.conntrack.stats().used, 0U);
}

TEST(Rules, only_rules_that_translate_are_asked_when_the_host_does_not_see_the_packet) {
    auto rules = one_to_one(World::kPublic4, "10.0.0.5", 7, 1);
    rules.push_back(rule(Hook::prerouting, 0, RuleVerdict::drop));
    World world(rules);
    Buffer buffer(packet_of({.source = "198.51.100.9", .destination = World::kPublic4}));
    step::HookContext ctx;
    packet::PacketMeta meta;
    ctx.hooks = &world.rules;
    ctx.conntrack = &world.conntrack;
    ctx.nat_only = true;
    ASSERT_TRUE(buffer.parse().goes_on());
    EXPECT_TRUE(step::prerouting(buffer.l3, ctx, meta).goes_on());
    EXPECT_EQ(ctx.to_slave, 7);
    EXPECT_TRUE(ctx.knows_way);
    EXPECT_EQ(read(buffer.bytes()).destination, "10.0.0.5");
}

TEST(Rules, without_a_tracker_filters_work_and_nothing_is_translated) {
    World world({masquerade(), rule(Hook::output, 0, RuleVerdict::accept, 1)});
    Buffer buffer(packet_of({}));
    step::HookContext ctx;
    packet::PacketMeta meta;
    ctx.hooks = &world.rules;
    ctx.counters = &world.counters;
    ASSERT_TRUE(buffer.parse().goes_on());
    EXPECT_TRUE(step::output(buffer.l3, ctx, meta).goes_on());
    EXPECT_TRUE(step::postrouting(buffer.l3, ctx, meta).goes_on());
    EXPECT_EQ(buffer.bytes(), packet_of({}));
    EXPECT_EQ(world.counters.read(1).packets, 1U);
}

TEST(Rules, a_tenants_packet_of_no_connection_does_not_leave_as_it_is) {
    World world({masquerade()});
    world.slave(1, 1);
    Words w = syn();
    w.tcp_flags = 0x14;  // a reset that resets nothing
    EXPECT_EQ(world.out(packet_of(w), 1).reason(), DropReason::ct_invalid);
    const Outcome shared = world.out(packet_of(w), 2);
    EXPECT_TRUE(shared.passed());
    EXPECT_EQ(shared.ctx.state, CtState::invalid);
}

TEST(Rules, a_full_table_drops_what_is_new_and_not_what_is_known) {
    World world({}, 1);
    ASSERT_TRUE(world.out(packet_of(syn()), 1).passed());
    ASSERT_TRUE(world.in(packet_of(answer_to(syn()))).passed());
    Words ack = syn();
    ack.tcp_flags = 0x10;
    ASSERT_TRUE(world.out(packet_of(ack), 1).passed());
    Words other = syn();
    other.source_port = 1001;
    EXPECT_EQ(world.out(packet_of(other), 1).reason(), DropReason::ct_table_full);
    EXPECT_EQ(world.conntrack.stats().refused, 1U);
    EXPECT_TRUE(world.in(packet_of(answer_to(ack, 0x10))).passed());
}

TEST(Rules, neighbour_discovery_is_not_tracked) {
    World world;
    Words w{.source = "fd00::5", .destination = "fd00::6", .protocol = kIcmp6};
    w.icmp_type = 135;
    world.slave(1, 1);
    const Outcome o = world.out(packet_of(w), 1);
    EXPECT_TRUE(o.passed());
    EXPECT_EQ(o.ctx.state, CtState::untracked);
}

TEST(HookSet, a_rule_in_the_wrong_place_has_a_problem) {
    EXPECT_NE(table::HookSet::problem(rule(Hook::postrouting, -100, RuleVerdict::dnat)), nullptr);
    EXPECT_NE(table::HookSet::problem(rule(Hook::prerouting, 100, RuleVerdict::snat)), nullptr);
    EXPECT_NE(table::HookSet::problem(rule(Hook::input, 100, RuleVerdict::masquerade)), nullptr);
    EXPECT_NE(table::HookSet::problem(rule(Hook::output, 0, RuleVerdict::notrack)), nullptr);
    HookRule reversed = rule(Hook::output, 0, RuleVerdict::drop);
    reversed.source_ports = {9, 8};
    EXPECT_NE(table::HookSet::problem(reversed), nullptr);
    for (const HookRule& right : one_to_one("192.0.2.1", "10.0.0.1", 1, 1))
        EXPECT_EQ(table::HookSet::problem(right), nullptr);
}

TEST(HookSet, chains_that_translate_stand_where_the_kernel_translates) {
    HookRule nat = masquerade();
    nat.priority = 77;
    const table::HookSet set({rule(Hook::postrouting, 100, RuleVerdict::accept), nat,
                              rule(Hook::postrouting, 99, RuleVerdict::accept)});
    std::vector<std::pair<int, bool>> seen;
    for (const auto& chain : set.chains(Hook::postrouting))
        seen.emplace_back(chain.priority, chain.translates);
    EXPECT_EQ(seen, (std::vector<std::pair<int, bool>>{{99, false}, {100, true}, {100, false}}));
    EXPECT_EQ(set.chains(Hook::input).begin(), set.chains(Hook::input).end());
}

TEST(RuleCounters, ids_beyond_the_room_are_let_be) {
    table::RuleCounters counters;
    counters.add(table::RuleCounters::kRoom, 10);
    counters.add(table::RuleCounters::kRoom - 1, 10);
    EXPECT_EQ(counters.read(table::RuleCounters::kRoom).packets, 0U);
    EXPECT_EQ(counters.read(table::RuleCounters::kRoom - 1).bytes, 10U);
}

}  // namespace
}  // namespace vxplane::support::hooks
