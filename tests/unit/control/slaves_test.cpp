// ipvlans from a topology to what workers see, their packets' needs of control, and changes.
#include "dataplane/net/icmpv6.hpp"
#include "dataplane/net/membership.hpp"
#include "slaves_fixture.hpp"

namespace vxplane::control {
namespace {

TEST_F(ControlSlaves, IV03_slaves_have_the_links_mac_and_their_addresses_lead_to_them) {
    begin_ipvlan();
    EXPECT_EQ(world.mac_of(world.vm1), world.mac_of(world.up));
    ASSERT_EQ(tables().masters.size(), 1U);
    EXPECT_EQ(tables().masters[0].slave_count, 2U);
    EXPECT_EQ(tables().ports[world.vm1].role, table::PortRole::slave);
    EXPECT_EQ(tables().ports[world.up].master, 0U);
    EXPECT_EQ(tables().slaves[owner("10.1.0.6")].port, world.vm2);
    EXPECT_EQ(owner("10.1.0.7"), table::AddressMap::kNone);
}

TEST_F(ControlSlaves, IV08_a_slave_that_is_down_has_no_addresses) {
    begin_ipvlan();
    topology.ipvlans[0].slaves[1].up = false;
    apply();
    tick();
    EXPECT_EQ(owner("10.1.0.6"), table::AddressMap::kNone);
    topology.ipvlans[0].slaves[1].up = true;
    apply();
    tick();
    EXPECT_NE(owner("10.1.0.6"), table::AddressMap::kNone);
}

TEST_F(ControlSlaves, IV02_the_mode_changes_for_all_in_one_generation) {
    begin_ipvlan();
    const std::uint64_t generation = tables().generation;
    topology.ipvlans[0].mode = config::IpvlanMode::l2;
    topology.ipvlans[0].flag = config::IpvlanFlag::private_;
    apply();
    tick();
    EXPECT_EQ(tables().generation, generation + 1);
    EXPECT_EQ(tables().masters[0].mode, table::IpvlanMode::l2);
    EXPECT_EQ(tables().masters[0].flag, table::IpvlanFlag::private_);
}

TEST_F(ControlSlaves, IV24_RP72_a_route_of_the_topology_leads_to_what_is_behind_a_slave) {
    config::Route behind;
    behind.to = {address("10.9.0.0"), 16};
    behind.slave = "red";
    topology.routes = {behind};
    topology.ipvlans[0].slaves[0].forwarding = false;
    begin_ipvlan();
    EXPECT_TRUE(tables().masters[0].routes_to_slaves);
    const table::RouteValue value = lookup("main", "10.9.1.2");
    EXPECT_EQ(value.type(), table::RouteType::unicast);
    EXPECT_EQ(tables().next_hops[value.next_hop()].kind, table::NextHopKind::slave);
    EXPECT_EQ(tables().next_hops[value.next_hop()].index, *slaves.find_slave("ipv/red"));
    EXPECT_FALSE(tables().slaves[0].forwards);
    EXPECT_TRUE(tables().slaves[1].forwards);
    topology.routes.clear();
    apply();
    tick();
    EXPECT_FALSE(tables().masters[0].routes_to_slaves);
}

TEST_F(ControlSlaves, IV54_a_rate_is_kept_by_all_workers_together_and_over_reloads) {
    topology.ipvlans[0].slaves[0].rate = 8'000'000;
    begin_ipvlan();
    EXPECT_EQ(tables().slaves[0].policer, 8000U);
    table::RateLimit* limit = tables().slaves[0].limit;
    ASSERT_NE(limit, nullptr);
    EXPECT_EQ(tables().slaves[1].limit, nullptr);
    topology.ipvlans[0].slaves[0].rate = 4'000'000;
    apply();
    tick();
    EXPECT_EQ(tables().slaves[0].limit, limit);
}

TEST(VrfNumbers, a_name_too_many_is_refused_and_no_tenant_gets_the_number_of_another) {
    VrfNumbers numbers;
    EXPECT_EQ(numbers.number_of("a", ""), 0U);
    for (unsigned i = 1; i <= 0xFFFF; ++i) {
        ASSERT_EQ(numbers.number_of("a", "vrf" + std::to_string(i)), i);
    }
    EXPECT_EQ(numbers.number_of("a", "more"), std::nullopt);
    EXPECT_EQ(numbers.number_of("a", "vrf7"), 7U) << "those that are there stay";
    EXPECT_EQ(numbers.number_of("b", "more"), 1U) << "each ipvlan has its own";
    EXPECT_EQ(numbers.name("a", 0xFFFF), "vrf65535");
    EXPECT_EQ(numbers.name("b", 2), "");
    EXPECT_EQ(numbers.find("b", "vrf7"), std::nullopt);
}

TEST_F(ControlSlaves, what_was_prepared_and_discarded_is_never_seen) {
    begin_ipvlan();
    const std::uint32_t hops = routing.hops_used();
    config::Topology other = topology;
    other.ipvlans[0].slaves[0].routes = {via("0.0.0.0", 0, {"10.0.0.8", "10.0.0.9"})};
    other.ipvlans[0].slaves[1].addresses = {{address("10.1.0.9"), 32}};
    ASSERT_FALSE(slaves.prepare(other, now));
    slaves.discard();
    tick();
    EXPECT_EQ(routing.hops_used(), hops);
    EXPECT_NE(owner("10.1.0.6"), table::AddressMap::kNone);
    EXPECT_EQ(routing.hop(lookup("ipv/red", "8.8.8.8").next_hop()).via,
              net::IpAddress(ip("10.0.0.2")));
}

TEST_F(ControlSlaves, RP62_packets_wait_for_the_gateway_of_a_slaves_own_route) {
    begin_ipvlan();
    receive(world.vm1, from_red("8.8.8.8"));
    tick();
    EXPECT_TRUE(sent_by(world.up).empty());
    receive(world.up, {arp_reply("10.0.0.2", kGateway)});
    tick();
    const auto sent = sent_by(world.up);
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0], from_red("8.8.8.8").to(kGateway).bytes());
    // From now on workers send by themselves.
    receive(world.vm1, from_red("8.8.8.8"));
    EXPECT_EQ(sent_by(world.up).size(), 1U);
    expect_law();
}

TEST_F(ControlSlaves, RP66_who_is_on_the_link_is_followed_until_it_is_silent) {
    begin_ipvlan();
    topology.ipvlans[0].slaves[0].routes.clear();
    apply();
    tick();
    forget_sent();
    receive(world.vm1, from_red("10.0.0.9"));
    tick();
    EXPECT_EQ(sent_by(world.up).size(), 1U);  // asks
    receive(world.up, {arp_reply("10.0.0.9", kGateway)});
    tick();
    EXPECT_EQ(sent_by(world.up).size(), 1U);
    pass(20ms, 1ms);
    EXPECT_NE(tables().neighbour_addresses->find(world.up, ip("10.0.0.9")),
              table::AddressMap::kNone);
    pass(60s, 500ms);
    EXPECT_EQ(tables().neighbour_addresses->find(world.up, ip("10.0.0.9")),
              table::AddressMap::kNone);
    expect_law();
}

TEST_F(ControlSlaves, RP62_the_slave_is_told_when_nobody_answers) {
    begin_ipvlan();
    receive(world.vm1, from_red("8.8.8.8"));
    pass(4s);
    const auto told = sent_by(world.vm1);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0][34], 3U);  // ICMP host unreachable
    EXPECT_EQ(told[0][35], 1U);
    EXPECT_EQ(control_drops(DropReason::neigh_failed), 1U);
    expect_law();
}

TEST_F(ControlSlaves, arp_of_a_slave_is_answered_for_any_address_but_its_own) {
    begin_ipvlan();
    receive(world.vm1, {arp_of_red("10.1.0.5", "10.1.0.1")});
    tick();
    const auto answer = sent_by(world.vm1);
    ASSERT_EQ(answer.size(), 1U);
    const auto link = world.mac_of(world.up);
    EXPECT_EQ(answer[0], a_frame()
                             .to(link)
                             .from(link)
                             .arp({.operation = 2,
                                   .sender_mac = link,
                                   .sender = "10.1.0.1",
                                   .target_mac = link,
                                   .target = "10.1.0.5"})
                             .padded()
                             .bytes());
    receive(world.vm1, {arp_of_red("10.1.0.5", "10.1.0.5"), arp_of_red("0.0.0.0", "10.1.0.5")});
    tick();
    EXPECT_TRUE(sent_by(world.vm1).empty());
    expect_law();
}

TEST_F(ControlSlaves, IV55_RP74_who_asks_by_a_tunnel_is_told_by_the_tunnel) {
    SegmentSpec spec = red();
    spec.ports.clear();
    const std::uint16_t pods = segment(spec);
    config::Vxlan vxlan;
    vxlan.name = spec.name;
    vxlan.router = "ipv";
    topology.vxlans = {vxlan};
    topology.ipvlans[0].slaves[0].mtu = 600;
    begin_ipvlan();
    ASSERT_EQ(tables().segments[pods].router, 0U);
    const net::MacAddress node_mac = host(9);
    const FdbRequest node = to_remote(node_mac, "10.0.0.2", pods);
    ASSERT_FALSE(bridge.add(node, now));
    receive(world.up, {arp_reply("10.0.0.2", kGateway)});
    tick();
    forget_sent();
    const auto inner = [&](std::uint8_t ttl, std::uint16_t payload) {
        Frame frame = a_frame();
        frame.to(spec.own_mac)
            .from(host(9))
            .ipv4(
                {.source = "10.244.3.4", .destination = "10.1.0.5", .ttl = ttl, .fragment = 0x4000})
            .udp(1000, 2000)
            .payload(payload);
        return frame;
    };
    const auto told = [&](std::uint8_t ttl, std::uint16_t payload) {
        from_remote("10.0.0.2", inner(ttl, payload));
        tick();
        const auto out = sent_by(world.up);
        return out.size() == 1 ? take_apart(out[0]).inner : Bytes{};
    };
    Bytes back = told(1, 64);
    ASSERT_GE(back.size(), 42U);
    EXPECT_TRUE(std::equal(back.begin(), back.begin() + 6, node_mac.bytes.begin()));
    EXPECT_EQ(Bytes(back.begin() + 30, back.begin() + 34), (Bytes{10, 244, 3, 4}));
    EXPECT_EQ(Bytes(back.begin() + 26, back.begin() + 30), (Bytes{10, 0, 0, 1})) << "the master's";
    EXPECT_EQ(back[34], 11U) << "ICMP time exceeded";
    back = told(64, 700);
    ASSERT_GE(back.size(), 42U);
    EXPECT_EQ(Bytes(back.begin() + 34, back.begin() + 36), (Bytes{3, 4})) << "too big";
    EXPECT_EQ(back[40] << 8 | back[41], 600);
    expect_law();
}

TEST_F(ControlSlaves, arp_of_a_slave_in_a_foreign_name_is_dropped) {
    begin_ipvlan();
    receive(world.vm1, {arp_of_red("10.1.0.6", "10.1.0.1")});
    tick();
    EXPECT_TRUE(sent_by(world.vm1).empty());
    EXPECT_EQ(control_drops(DropReason::slave_arp_foreign), 1U);
    expect_law();
}

TEST_F(ControlSlaves, RP73_a_next_hop_taken_out_moves_its_own_slots_alone) {
    topology.ipvlans[0].slaves[0].routes = {
        via("0.0.0.0", 0, {"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"})};
    begin_ipvlan();
    const auto slots = [&] {
        const table::NextHop& group = tables().next_hops[lookup("ipv/red", "8.8.8.8").next_hop()];
        EXPECT_EQ(group.kind, table::NextHopKind::group);
        const std::uint32_t* first = tables().next_hop_slots.data() + group.index;
        return std::vector<std::uint32_t>(first, first + group.count);
    };
    const std::vector<std::uint32_t> before = slots();
    topology.ipvlans[0].slaves[0].routes[0].hops.erase(
        topology.ipvlans[0].slaves[0].routes[0].hops.begin() + 1);
    apply();
    tick();
    const std::vector<std::uint32_t> after = slots();
    ASSERT_EQ(after.size(), before.size());
    std::size_t moved = 0;
    for (std::size_t i = 0; i < after.size(); ++i) {
        moved += after[i] != before[i] ? 1U : 0U;
    }
    EXPECT_EQ(moved, before.size() / 4);
}

TEST_F(ControlSlaves, routes_by_hand_stay_over_a_reload_and_give_their_next_hop_back) {
    begin_ipvlan();
    const std::uint32_t red = *routing.find_table("ipv/red");
    const Network to{ip("10.7.0.0"), 16};
    const auto spec = slaves.route_spec("ipv/red", via("10.7.0.0", 16, {"10.0.0.7"}));
    const std::uint32_t before = routing.hops_used();
    ASSERT_FALSE(routing.put(red, to, std::get<RouteSpec>(spec), Routing::Put::add, now));
    EXPECT_TRUE(routing.put(red, to, std::get<RouteSpec>(spec), Routing::Put::add, now));
    EXPECT_EQ(routing.hops_used(), before + 1);
    topology.ipvlans[0].slaves[0].routes.push_back(via("10.8.0.0", 16, {"10.0.0.2"}));
    apply();
    tick();
    EXPECT_EQ(routing.hop(lookup("ipv/red", "10.7.1.1").next_hop()).via,
              net::IpAddress(ip("10.0.0.7")));
    EXPECT_TRUE(lookup("ipv/red", "10.8.1.1").found());
    ASSERT_FALSE(routing.remove(red, to));
    EXPECT_EQ(routing.hops_used(), before);
    EXPECT_TRUE(routing.remove(red, to));
}

}  // namespace
}  // namespace vxplane::control
