// Rules, connections and address translation on the way between slaves and the wire.
#include <gtest/gtest.h>

#include "tests/support/slave_scene.hpp"

namespace vxplane::support {
namespace {

using table::Hook;
using table::HookRule;
using table::kNoSlave;
using table::RuleVerdict;

HookRule masquerade(std::uint16_t low = 1024, std::uint16_t high = 65535) {
    HookRule rule;
    rule.hook = Hook::postrouting;
    rule.priority = table::hook_priority::kSourceNat;
    rule.verdict = RuleVerdict::masquerade;
    rule.to_ports = {low, high};
    return rule;
}
HookRule filter(Hook hook, RuleVerdict verdict) {
    HookRule rule;
    rule.hook = hook;
    rule.verdict = verdict;
    return rule;
}
HookRule dnat(const char* from, const char* to, std::uint16_t slave) {
    HookRule rule;
    rule.hook = Hook::prerouting;
    rule.priority = table::hook_priority::kDestinationNat;
    rule.verdict = RuleVerdict::dnat;
    rule.destination = table::RulePrefix(any_ip(from), 32);
    rule.to = any_ip(to);
    rule.to_slave = slave;
    return rule;
}
HookRule snat(const char* from, const char* to, std::uint16_t slave) {
    HookRule rule;
    rule.hook = Hook::postrouting;
    rule.priority = table::hook_priority::kSourceNat;
    rule.verdict = RuleVerdict::snat;
    rule.source = table::RulePrefix(any_ip(from), 32);
    rule.slave = slave;
    rule.to = any_ip(to);
    return rule;
}

/// UDP with ports that tests choose.
Frame flow(const char* from, std::uint16_t source, const char* to, std::uint16_t destination) {
    return a_frame()
        .to(kMaster)
        .from(kMaster)
        .ipv4({.source = from, .destination = to})
        .udp(source, destination)
        .payload(18);
}

/// Two tenants with the same addresses behind one public uplink: red and blue are 10.9.0.1 each, in
/// vrf 1 and 2.
struct Tenants : Slaves {
    explicit Tenants(IpvlanMode mode = IpvlanMode::l3) : Slaves(mode) {
        slaves[0].vrf = 1;
        slaves[1].vrf = 2;
        addresses.clear();
        own(0, "10.9.0.1", 1);
        own(1, "10.9.0.1", 2);
        own(2, "10.2.0.3");
        track();
    }
};

TEST(IpvlanNat, IV51_two_tenants_with_one_address_leave_by_one_gateway_and_get_their_own_answers) {
    Tenants s;
    s.rules(kNoSlave, {masquerade()});
    Golden(s.lab, s.red, flow("10.9.0.1", 5000, "198.51.100.1", 53))
        .out(s.up, flow(kHost, 5000, "198.51.100.1", 53).to(kGateway))
        .uncut()
        .as_received()
        .check();
    // The same tuple of another tenant: the port is taken, so another one is found.
    const Seen seen = s.lab.receive(s.blue, flow("10.9.0.1", 5000, "198.51.100.1", 53));
    ASSERT_EQ(seen.sent.size(), 1U);
    const Bytes out = seen.sent[0].bytes;
    const auto port = static_cast<std::uint16_t>(out[34] << 8 | out[35]);
    EXPECT_NE(port, 5000);
    EXPECT_GE(port, 1024);
    EXPECT_EQ(rfc1071(Bytes(out.begin() + 14, out.begin() + 34)), 0);
    const Frame answer = flow("198.51.100.1", 53, kHost, 5000).from(kGateway);
    Golden(s.lab, s.up, answer)
        .out(s.red, flow("198.51.100.1", 53, "10.9.0.1", 5000).from(kGateway))
        .uncut()
        .check();
    Golden(s.lab, s.up, flow("198.51.100.1", 53, kHost, port).from(kGateway))
        .out(s.blue, flow("198.51.100.1", 53, "10.9.0.1", 5000).from(kGateway))
        .uncut()
        .check();
    EXPECT_EQ(s.conntrack->stats().used, 2U);
}

TEST(IpvlanNat, IV53_what_no_connection_knows_is_the_hosts) {
    Tenants s;
    s.rules(kNoSlave, {masquerade()});
    const Frame stray = flow("198.51.100.1", 53, kHost, 5000).from(kGateway);
    Golden(s.lab, s.up, stray).out(s.host_twin, stray).uncut().check();
}

TEST(IpvlanNat, IV52_one_to_one_inbound_and_back) {
    Tenants s;
    // As the kernel: DNAT in the context of the slave that owns the public address.
    s.own(0 | table::kPublicAddress, "10.1.0.20");
    s.own(1 | table::kPublicAddress, "10.1.0.21");
    s.rules(0, {dnat("10.1.0.20", "10.9.0.1", 0)});
    s.rules(1, {dnat("10.1.0.21", "10.9.0.1", 1)});
    s.rules(kNoSlave, {snat("10.9.0.1", "10.1.0.20", 0), snat("10.9.0.1", "10.1.0.21", 1)});
    for (const auto& [slave, address] : {std::pair{s.red, "10.1.0.20"}, {s.blue, "10.1.0.21"}}) {
        Golden(s.lab, s.up, flow("198.51.100.7", 40000, address, 80).from(kGateway))
            .out(slave, flow("198.51.100.7", 40000, "10.9.0.1", 80).from(kGateway))
            .uncut()
            .check();
        Golden(s.lab, slave, flow("10.9.0.1", 80, "198.51.100.7", 40000))
            .out(s.up, flow(address, 80, "198.51.100.7", 40000).to(kGateway))
            .uncut()
            .check();
        Golden(s.lab, slave, flow("10.9.0.1", 6000, "198.51.100.9", 53))
            .out(s.up, flow(address, 6000, "198.51.100.9", 53).to(kGateway))
            .uncut()
            .check();
    }
}

TEST(IpvlanNat, a_tenant_reaches_the_other_by_its_public_address) {
    Tenants s;
    s.own(0 | table::kPublicAddress, "10.1.0.20");
    s.own(1 | table::kPublicAddress, "10.1.0.21");
    s.rules(0, {dnat("10.1.0.20", "10.9.0.1", 0)});
    s.rules(1, {dnat("10.1.0.21", "10.9.0.1", 1)});
    s.rules(kNoSlave, {snat("10.9.0.1", "10.1.0.20", 0), snat("10.9.0.1", "10.1.0.21", 1)});
    Golden(s.lab, s.red, flow("10.9.0.1", 7000, "10.1.0.21", 80))
        .out(s.blue, flow("10.1.0.20", 7000, "10.9.0.1", 80))
        .uncut()
        .as_received()
        .check();
    Golden(s.lab, s.blue, flow("10.9.0.1", 80, "10.1.0.20", 7000))
        .out(s.red, flow("10.1.0.21", 80, "10.9.0.1", 7000))
        .uncut()
        .check();
}

TEST(IpvlanNat, IV26_in_l3s_the_hosts_rules_see_both_directions) {
    Slaves s(IpvlanMode::l3s);
    s.track();
    HookRule answers = filter(Hook::input, RuleVerdict::accept);
    answers.states = static_cast<std::uint8_t>(table::CtState::established);
    answers.priority = -1;
    HookRule others = filter(Hook::input, RuleVerdict::drop);
    others.states = static_cast<std::uint8_t>(table::CtState::fresh);
    s.rules(kNoSlave, {answers, others});
    Golden(s.lab, s.up, flow("10.1.0.100", 53, "10.1.0.1", 5000).from(kPeer))
        .drops(DropReason::hook_drop)
        .uncut()
        .check();
    Golden(s.lab, s.red, flow("10.1.0.1", 5000, "10.1.0.100", 53))
        .out(s.up, flow("10.1.0.1", 5000, "10.1.0.100", 53).to(kPeer))
        .uncut()
        .check();
    const Frame answer = flow("10.1.0.100", 53, "10.1.0.1", 5000).from(kPeer);
    Golden(s.lab, s.up, answer).out(s.red, answer).uncut().check();
}

TEST(IpvlanNat, IV25_in_l3s_no_rule_of_the_slave_is_asked_from_the_wire) {
    const Frame frame = flow("10.1.0.100", 53, "10.1.0.1", 5000).from(kPeer);
    Slaves l3s(IpvlanMode::l3s);
    l3s.rules(
        0, {filter(Hook::input, RuleVerdict::drop), filter(Hook::prerouting, RuleVerdict::drop)});
    Golden(l3s.lab, l3s.up, frame).out(l3s.red, frame).uncut().check();
    Slaves l3(IpvlanMode::l3);
    l3.rules(0, {filter(Hook::input, RuleVerdict::drop)});
    Golden(l3.lab, l3.up, frame).drops(DropReason::hook_drop).uncut().check();
    // And in l3 none of the host.
    Slaves host(IpvlanMode::l3);
    host.rules(kNoSlave, {filter(Hook::input, RuleVerdict::drop),
                          filter(Hook::prerouting, RuleVerdict::drop)});
    Golden(host.lab, host.up, frame).out(host.red, frame).uncut().check();
}

TEST(IpvlanNat, IV22_in_l3_a_slaves_own_rule_translates_what_comes_in) {
    Slaves s(IpvlanMode::l3);
    s.track();
    s.rules(0, {dnat("10.1.0.1", "10.9.0.7", 0)});
    const auto out = [](const char* to) { return flow("10.1.0.100", 53, to, 5000).from(kPeer); };
    Golden(s.lab, s.up, out("10.1.0.1")).out(s.red, out("10.9.0.7")).uncut().check();
}

TEST(IpvlanNat, IV24_a_slave_may_be_a_router) {
    Slaves s(IpvlanMode::l3);
    s.track();
    // 10.9.0.7 is behind the slave: what is not its own address goes through its forward hook.
    s.rules(0, {dnat("10.1.0.1", "10.9.0.7", 0), filter(Hook::forward, RuleVerdict::drop)});
    s.rules(1, {dnat("10.1.0.2", "10.9.0.7", 1), filter(Hook::input, RuleVerdict::drop)});
    const auto out = [](const char* to) { return flow("10.1.0.100", 53, to, 5000).from(kPeer); };
    Golden(s.lab, s.up, out("10.1.0.1")).drops(DropReason::hook_drop).uncut().check();
    Golden(s.lab, s.up, out("10.1.0.2")).out(s.blue, out("10.9.0.7")).uncut().check();
}

TEST(IpvlanNat, RP51_IV23_each_packet_meets_the_hooks_of_its_way) {
    constexpr std::uint32_t kIds = 5;
    const auto one_in_each_hook = [](std::uint32_t first) {
        std::vector<HookRule> list;
        for (std::uint32_t i = 0; i < kIds; ++i) {
            list.push_back(filter(static_cast<Hook>(i), RuleVerdict::accept));
            list.back().id = first + i;
        }
        return list;
    };
    using Counts5 = std::array<std::uint64_t, kIds>;
    // prerouting, input, forward, output, postrouting
    const auto met = [](Slaves& s, std::uint32_t first, PortId port, const Frame& frame) {
        const auto read = [&] {
            Counts5 now{};
            for (std::uint32_t i = 0; i < kIds; ++i)
                now[i] = s.lab.worker().rule_counters().read(first + i).packets;
            return now;
        };
        const Counts5 before = read();
        s.lab.receive(port, frame);
        Counts5 after = read();
        for (std::uint32_t i = 0; i < kIds; ++i) after[i] -= before[i];
        return after;
    };
    const Frame in = flow("10.1.0.100", 53, "10.1.0.1", 5000).from(kPeer);
    const Frame out = flow("10.1.0.1", 5000, "10.1.0.100", 53);
    for (const IpvlanMode mode : {IpvlanMode::l3, IpvlanMode::l3s}) {
        Slaves s(mode);
        s.rules(kNoSlave, one_in_each_hook(10));
        s.rules(0, one_in_each_hook(20));
        s.lab.receive(s.up, from_peer("10.1.0.77"));  // starts the worker
        const bool l3s = mode == IpvlanMode::l3s;
        const Counts5 inward{1, 1, 0, 0, 0}, outward{0, 0, 0, 1, 1}, none{};
        EXPECT_EQ(met(s, 10, s.up, in), l3s ? inward : none);
        EXPECT_EQ(met(s, 20, s.up, in), l3s ? none : inward);
        EXPECT_EQ(met(s, 10, s.red, out), outward);
        EXPECT_EQ(met(s, 20, s.red, out), outward);
    }
}

TEST(IpvlanNat, RP52_what_a_rule_makes_of_the_destination_is_what_is_routed) {
    Slaves s(IpvlanMode::l3);
    s.track();
    HookRule rule = dnat("198.51.100.1", "10.1.0.100", kNoSlave);
    rule.hook = Hook::output;
    s.rules(kNoSlave, {rule});
    Golden(s.lab, s.red, flow("10.1.0.1", 5000, "198.51.100.1", 53))
        .out(s.up, flow("10.1.0.1", 5000, "10.1.0.100", 53).to(kPeer))
        .uncut()
        .check();
}

TEST(IpvlanNat, RP54_rejected_packets_go_to_control) {
    Slaves s(IpvlanMode::l3);
    s.rules(kNoSlave, {filter(Hook::output, RuleVerdict::reject)});
    Golden(s.lab, s.red, datagram("10.1.0.1", "10.1.0.100")).punts(Punt::reject).uncut().check();
    LabWords words;
    words.punt_rate = 1;
    Slaves full(IpvlanMode::l3, IpvlanFlag::bridge, words);
    full.rules(kNoSlave, {filter(Hook::output, RuleVerdict::reject)});
    Golden(full.lab, full.red, datagram("10.1.0.1", "10.1.0.100"))
        .drops(DropReason::hook_reject)
        .uncut()
        .check();
}

TEST(IpvlanNat, RP54_what_is_rejected_behind_a_translation_is_as_its_sender_made_it) {
    for (const int priority : {table::hook_priority::kFilter, 200}) {
        Tenants s;
        s.own(0 | table::kPublicAddress, "10.1.0.20");
        s.own(1 | table::kPublicAddress, "10.1.0.21");
        HookRule closed = filter(Hook::input, RuleVerdict::reject);
        closed.priority = priority;
        s.rules(0, {dnat("10.1.0.20", "10.9.0.1", 0)});
        s.rules(1, {dnat("10.1.0.21", "10.9.0.1", 1), closed});
        s.rules(kNoSlave, {snat("10.9.0.1", "10.1.0.20", 0), snat("10.9.0.1", "10.1.0.21", 1)});
        const Frame from_wire = flow("198.51.100.7", 40000, "10.1.0.21", 80).from(kGateway);
        const Frame from_sibling = flow("10.9.0.1", 7000, "10.1.0.21", 80);
        for (const auto& [port, frame] : {std::pair{s.up, from_wire}, {s.red, from_sibling}}) {
            const Seen seen = s.lab.receive(port, frame);
            ASSERT_EQ(seen.punted.size(), 1U);
            EXPECT_EQ(seen.punted[0].why, Punt::reject);
            EXPECT_EQ(seen.punted[0].bytes, frame.bytes());
        }
    }
}

TEST(IpvlanNat, a_full_table_of_connections_is_told) {
    Tenants s;
    s.track(1);
    s.rules(kNoSlave, {masquerade()});
    // An answered stream is not given up for a new one.
    s.lab.receive(s.red, flow("10.9.0.1", 5000, "198.51.100.1", 53));
    s.lab.receive(s.up, flow("198.51.100.1", 53, kHost, 5000));
    s.lab.pass_time(3000);
    s.lab.receive(s.red, flow("10.9.0.1", 5000, "198.51.100.1", 53));
    s.lab.receive(s.up, flow("198.51.100.1", 53, kHost, 5000));
    Golden(s.lab, s.red, flow("10.9.0.1", 5001, "198.51.100.1", 53))
        .drops(DropReason::ct_table_full)
        .uncut()
        .check();
}

TEST(IpvlanNat, IV53_what_begins_no_connection_does_not_leave_a_tenant) {
    Tenants s;
    s.rules(kNoSlave, {masquerade()});
    Golden(s.lab, s.red,
           a_frame()
               .to(kMaster)
               .from(kMaster)
               .ipv4({.source = "10.9.0.1", .destination = "198.51.100.1"})
               .tcp(5000, 80, {.flags = 0x04}))
        .drops(DropReason::ct_invalid)
        .uncut()
        .check();
}

TEST(IpvlanNat, ports_of_a_masquerade_can_be_used_up) {
    Tenants s;
    s.rules(kNoSlave, {masquerade(2000, 2000)});
    s.lab.receive(s.red, flow("10.9.0.1", 5000, "198.51.100.1", 53));
    Golden(s.lab, s.red, flow("10.9.0.1", 5001, "198.51.100.1", 53))
        .drops(DropReason::nat_ports_exhausted)
        .uncut()
        .check();
}

TEST(IpvlanNat, a_masquerade_leaves_the_ports_of_tunnels_alone) {
    Tenants s;
    s.rules(kNoSlave, {masquerade()});
    s.conntrack->reserve_udp_ports(std::array<std::uint16_t, 1>{4789});
    const Seen seen = s.lab.receive(s.red, flow("10.9.0.1", 4789, "198.51.100.1", 53));
    ASSERT_EQ(seen.sent.size(), 1U);
    const Bytes& out = seen.sent[0].bytes;
    EXPECT_NE(out[34] << 8 | out[35], 4789);
}

TEST(IpvlanNat, a_masquerade_without_an_address_is_told) {
    Tenants s;
    s.master().address4 = {};
    s.rules(kNoSlave, {masquerade()});
    Golden(s.lab, s.red, flow("10.9.0.1", 5000, "198.51.100.1", 53))
        .drops(DropReason::nat_no_address)
        .uncut()
        .check();
}

TEST(IpvlanNat, later_fragments_follow_the_first) {
    Tenants s;
    s.rules(kNoSlave, {masquerade()});
    const auto piece = [](const char* from, std::uint16_t fragment, std::uint16_t id) {
        return a_frame().to(kMaster).from(kMaster).ipv4({.source = from,
                                                         .destination = "198.51.100.1",
                                                         .id = id,
                                                         .fragment = fragment,
                                                         .protocol = std::uint8_t{17}});
    };
    const Bytes ports{0x13, 0x88, 0, 53, 0, 32, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8};
    const Seen first = s.lab.receive(s.red, piece("10.9.0.1", 0x2000, 7).payload(ports));
    ASSERT_EQ(first.sent.size(), 1U);
    const Frame second = piece("10.9.0.1", 2, 7).payload(16);
    Golden(s.lab, s.red, second)
        .out(s.up, piece(kHost, 2, 7).payload(16).to(kGateway))
        .uncut()
        .as_received()
        .check();
    Golden(s.lab, s.red, piece("10.9.0.1", 2, 8).payload(16))
        .drops(DropReason::ct_fragment_no_first)
        .uncut()
        .check();
}

}  // namespace
}  // namespace vxplane::support
