// Rules of slaves in mode l2 about what is for many: broadcasts and multicasts pass the rules of
// the slave that sends them, and those of each that hears them.
#include <gtest/gtest.h>

#include "tests/support/slave_scene.hpp"

namespace vxplane::support {
namespace {

using table::CtState;
using table::Hook;
using table::HookRule;
using table::RuleVerdict;

constexpr std::uint16_t kRed = 0, kBlue = 1, kFar = 2;

HookRule rule(Hook hook, RuleVerdict verdict) {
    HookRule one;
    one.hook = hook;
    one.verdict = verdict;
    return one;
}
HookRule when(CtState state, HookRule one) {
    one.states = static_cast<std::uint8_t>(state);
    return one;
}
Frame shout(const char* from, const char* to = "255.255.255.255") {
    return datagram(from, to).to(kBroadcast);
}
/// Rules that only count, one in each hook.
std::vector<HookRule> counting(std::uint32_t first) {
    std::vector<HookRule> list;
    for (std::uint32_t i = 0; i < table::kHooks; ++i) {
        list.push_back(rule(static_cast<Hook>(i), RuleVerdict::accept));
        list.back().id = first + i;
    }
    return list;
}
using PerHook = std::array<std::uint64_t, table::kHooks>;  // in the order of Hook
PerHook met(Slaves& s, std::uint32_t first) {
    PerHook now{};
    for (std::uint32_t i = 0; i < table::kHooks; ++i)
        now[i] = s.lab.worker().rule_counters().read(first + i).packets;
    return now;
}

TEST(IpvlanGroups, a_receivers_rule_takes_its_copy_alone) {
    for (const Hook hook : {Hook::prerouting, Hook::input}) {
        Slaves s(IpvlanMode::l2);
        s.rules(kBlue, {rule(hook, RuleVerdict::drop)});
        const Frame all = shout("10.1.0.100").from(kPeer);
        Golden(s.lab, s.up, all)
            .out(s.red, all)
            .out(s.far, all)
            .out(s.host_twin, all)
            .drops(DropReason::hook_drop)
            .counts("copies", 3)
            .counts("port.red.tx_groups", 1)
            .counts("port.far.tx_groups", 1)
            .uncut()
            .check();
        const Frame own = shout("10.1.0.1");
        Golden(s.lab, s.red, own)
            .out(s.far, own)
            .out(s.up, own)
            .drops(DropReason::hook_drop)
            .counts("copies", 2)
            .counts("port.far.tx_groups", 1)
            .uncut()
            .check();
    }
}

TEST(IpvlanGroups, a_senders_rule_keeps_it_from_all) {
    for (const Hook hook : {Hook::output, Hook::postrouting}) {
        Slaves s(IpvlanMode::l2);
        s.rules(kRed, {rule(hook, RuleVerdict::drop)});
        Golden(s.lab, s.red, shout("10.1.0.1")).drops(DropReason::hook_drop).uncut().check();
        // ARP is no matter of rules.
        const Frame asks = request("10.1.0.1", "10.1.0.100").from(kMaster);
        Golden(s.lab, s.red, asks)
            .out(s.blue, asks)
            .out(s.far, asks)
            .out(s.up, asks)
            .counts("copies", 2)
            .counts("port.blue.tx_groups", 1)
            .counts("port.far.tx_groups", 1)
            .uncut()
            .check();
    }
}

TEST(IpvlanGroups, a_refusal_of_a_receiver_is_a_drop_and_that_of_a_sender_goes_to_control) {
    Slaves s(IpvlanMode::l2);
    s.rules(kBlue, {rule(Hook::input, RuleVerdict::reject)});
    s.slaves[kFar].up = false;
    const Frame all = shout("10.1.0.1");
    Golden(s.lab, s.red, all)
        .out(s.up, all)
        .drops(DropReason::hook_reject)
        .counts("copies", 1)
        .uncut()
        .check();
    s.rules(kRed, {rule(Hook::output, RuleVerdict::reject)});
    s.lab.publish();
    Golden(s.lab, s.red, all).punts(Punt::reject).uncut().check();
}

TEST(IpvlanGroups, each_hears_by_rules_of_its_own_which_count) {
    Slaves s(IpvlanMode::l2);
    s.track();
    s.rules(kRed, counting(10));
    s.rules(kBlue, counting(20));
    s.slaves[kBlue].address4 = ip("10.1.0.2");
    s.slaves[kBlue].length4 = 24;
    s.rules(kFar, counting(30));
    s.slaves[kFar].address4 = ip("10.2.0.3");
    s.slaves[kFar].length4 = 24;
    // prerouting, input, forward, output, postrouting
    s.lab.receive(s.red, shout("10.1.0.1"));
    EXPECT_EQ(met(s, 10), (PerHook{0, 0, 0, 1, 1}));
    EXPECT_EQ(met(s, 20), (PerHook{1, 1, 0, 0, 0}));
    EXPECT_EQ(met(s, 30), (PerHook{1, 1, 0, 0, 0}));
    // A subnet's broadcast ends where the subnet is.
    s.lab.receive(s.up, shout("10.1.0.100", "10.1.0.255").from(kPeer));
    EXPECT_EQ(met(s, 20), (PerHook{2, 2, 0, 0, 0}));
    EXPECT_EQ(met(s, 30), (PerHook{2, 1, 0, 0, 0}));
    // What is for red alone is nothing to others, whatever the frame says.
    s.lab.receive(s.up, shout("10.1.0.100", "10.1.0.1").from(kPeer));
    EXPECT_EQ(met(s, 10), (PerHook{2, 2, 0, 1, 1}));
    EXPECT_EQ(met(s, 20), (PerHook{3, 2, 0, 0, 0}));
}

TEST(IpvlanGroups, what_is_heard_is_new_and_makes_no_connection) {
    Slaves s(IpvlanMode::l2);
    s.track();
    s.rules(kBlue, {when(CtState::established, rule(Hook::input, RuleVerdict::drop)),
                    when(CtState::untracked, rule(Hook::input, RuleVerdict::drop)),
                    when(CtState::invalid, rule(Hook::input, RuleVerdict::drop))});
    s.rules(kFar, {when(CtState::fresh, rule(Hook::input, RuleVerdict::drop))});
    const Frame all = shout("10.1.0.100").from(kPeer);
    Golden(s.lab, s.up, all)
        .out(s.red, all)
        .out(s.blue, all)
        .out(s.host_twin, all)
        .drops(DropReason::hook_drop)
        .counts("copies", 3)
        .counts("port.red.tx_groups", 1)
        .counts("port.blue.tx_groups", 1)
        .uncut()
        .check();
    EXPECT_EQ(s.conntrack->stats().used, 0U);
}

TEST(IpvlanGroups, one_that_tracks_nothing_does_not_change_what_others_see) {
    Slaves s(IpvlanMode::l2);
    s.track();
    HookRule raw = rule(Hook::prerouting, RuleVerdict::notrack);
    raw.priority = table::hook_priority::kRaw;
    s.rules(kRed, {raw, when(CtState::fresh, rule(Hook::input, RuleVerdict::drop))});
    s.rules(kBlue, {when(CtState::untracked, rule(Hook::input, RuleVerdict::drop))});
    s.slaves[kFar].up = false;
    const Frame all = shout("10.1.0.100").from(kPeer);
    Golden(s.lab, s.up, all)
        .out(s.red, all)
        .out(s.blue, all)
        .out(s.host_twin, all)
        .counts("copies", 2)
        .counts("port.red.tx_groups", 1)
        .counts("port.blue.tx_groups", 1)
        .uncut()
        .check();
}

TEST(IpvlanGroups, what_cannot_be_judged_is_not_heard_where_rules_are) {
    Slaves s(IpvlanMode::l2);
    s.rules(kBlue, {rule(Hook::input, RuleVerdict::accept)});
    s.slaves[kFar].up = false;
    Bytes bytes = shout("10.1.0.100").from(kPeer).bytes();
    bytes[14 + 2] = 0xFF;  // a length that is not there
    const Frame wrong = raw_frame(bytes);
    Golden(s.lab, s.up, wrong)
        .out(s.red, wrong)
        .out(s.host_twin, wrong)
        .drops(DropReason::ip4_bad_total_length)
        .counts("copies", 2)
        .counts("port.red.tx_groups", 1)
        .uncut()
        .check();
}

TEST(IpvlanGroups, later_fragments_are_judged_and_not_lost) {
    Slaves s(IpvlanMode::l2);
    s.track();
    s.rules(kBlue, {rule(Hook::forward, RuleVerdict::drop)});
    s.slaves[kFar].up = false;
    Bytes bytes = shout("10.1.0.100").from(kPeer).bytes();
    bytes[14 + 7] = 5;  // offset
    const Frame piece = raw_frame(bytes);
    Golden(s.lab, s.up, piece)
        .out(s.red, piece)
        .out(s.blue, piece)
        .out(s.host_twin, piece)
        .counts("copies", 2)
        .counts("port.red.tx_groups", 1)
        .counts("port.blue.tx_groups", 1)
        .uncut()
        .check();
}

TEST(IpvlanGroups, a_senders_own_translation_holds_for_all_that_hear_it) {
    Slaves s(IpvlanMode::l2);
    s.track();
    HookRule snat = rule(Hook::postrouting, RuleVerdict::snat);
    snat.priority = table::hook_priority::kSourceNat;
    snat.to = any_ip("10.1.0.50");
    s.rules(kRed, {snat});
    s.slaves[kFar].up = false;
    const Frame out = shout("10.1.0.50");
    Golden(s.lab, s.red, shout("10.1.0.1"))
        .out(s.blue, out)
        .out(s.up, out)
        .counts("copies", 1)
        .counts("port.blue.tx_groups", 1)
        .uncut()
        .as_received()
        .check();
}

}  // namespace
}  // namespace vxplane::support
