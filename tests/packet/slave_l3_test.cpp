// Routed slaves: the table that a packet goes by, and what becomes of it that does not fit.
#include <gtest/gtest.h>

#include "tests/support/slave_scene.hpp"

namespace vxplane::support {
namespace {

TEST(Ipvlan, IV43_IV46_l3_routes_by_the_table_of_the_host_and_keeps_the_ttl) {
    Slaves s(IpvlanMode::l3);
    Golden(s.lab, s.red, datagram("10.1.0.1", "10.1.0.100"))
        .out(s.up, datagram("10.1.0.1", "10.1.0.100").to(kPeer))
        .uncut()
        .check();
    Golden(s.lab, s.red, datagram("10.1.0.1", "198.51.100.1", 1))
        .out(s.up, datagram("10.1.0.1", "198.51.100.1", 1).to(kGateway))
        .uncut()
        .check();
    Golden(s.lab, s.red, datagram("10.1.0.1", kHost).to(kPeer))
        .out(s.host_twin, datagram("10.1.0.1", kHost))
        .uncut()
        .check();
}

TEST(Ipvlan, IV43_an_ipv6_group_in_a_unicast_frame_goes_onto_the_masters_link) {
    Slaves s(IpvlanMode::l3);
    const auto to_group = [](const char* group) {
        return a_frame()
            .to(kMaster)
            .from(kMaster)
            .ipv6({.destination = group})
            .udp(1, 2)
            .payload(20);
    };
    Golden(s.lab, s.red, to_group("ff02::1:ff00:2"))
        .out(s.up, to_group("ff02::1:ff00:2").to(mac("33:33:ff:00:00:02")))
        .uncut()
        .check();
}

TEST(Ipvlan, RP74_a_hop_is_counted_where_it_is_asked_for) {
    Slaves s(IpvlanMode::l3);
    s.master().decrement_ttl = true;
    Golden(s.lab, s.red, datagram("10.1.0.1", "198.51.100.1"))
        .out(s.up, datagram("10.1.0.1", "198.51.100.1", 63).to(kGateway))
        .uncut()
        .check();
    Golden(s.lab, s.red, datagram("10.1.0.1", "198.51.100.1", 1))
        .punts(Punt::ttl_exceeded)
        .uncut()
        .check();
}

TEST(Ipvlan, an_unknown_neighbour_is_asked_for_by_control) {
    Slaves s(IpvlanMode::l3);
    Golden(s.lab, s.red, datagram("10.1.0.1", "10.1.0.50")).punts(Punt::next_hop).uncut().check();
}

TEST(Ipvlan, IV45_what_may_not_be_fragmented_and_does_not_fit_is_told_to_the_slave) {
    Slaves s(IpvlanMode::l3);
    s.hops[s.by_gateway].max_frame = 50;
    Golden(s.lab, s.red,
           a_frame()
               .to(kMaster)
               .from(kMaster)
               .ipv4({.source = "10.1.0.1", .destination = "198.51.100.1", .fragment = 0x4000})
               .udp(4000, 9)
               .payload(18))
        .punts(Punt::too_big)
        .uncut()
        .check();
}

TEST(Ipvlan, RP33_a_datagram_is_fragmented_when_its_sender_allows_it) {
    Slaves s(IpvlanMode::l3);
    s.hops[s.by_gateway].max_frame = 14 + 68;
    // Record route is for the first fragment alone, the security option for all of them.
    const Bytes options{7, 3, 4, 0x82, 4, 1, 2, 0};
    const auto words = [&](std::uint16_t fragment, const Bytes& list) {
        return a_frame().to(kMaster).from(kMaster).ipv4({.source = "10.1.0.1",
                                                         .destination = "198.51.100.1",
                                                         .id = 7,
                                                         .fragment = fragment,
                                                         .options = list,
                                                         .protocol = std::uint8_t{17}});
    };
    Bytes payload(100);
    for (std::size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<std::uint8_t>(i);
    const auto part = [&payload](std::size_t from, std::size_t size) {
        return Bytes(payload.begin() + static_cast<std::ptrdiff_t>(from),
                     payload.begin() + static_cast<std::ptrdiff_t>(from + size));
    };
    const Bytes later{0x82, 4, 1, 2};
    Golden(s.lab, s.red, words(0, options).payload(payload))
        .out(s.up, words(0x2000, options).payload(part(0, 40)).to(kGateway))
        .out(s.up, words(0x2000 | 5, later).payload(part(40, 40)).to(kGateway))
        .out(s.up, words(10, later).payload(part(80, 20)).to(kGateway))
        .counts("cut_frames", 2)
        .uncut()
        .check();
    // A fragment in fragments.
    Golden(s.lab, s.red, words(0x2000 | 100, {}).payload(part(0, 64)))
        .out(s.up, words(0x2000 | 100, {}).payload(part(0, 48)).to(kGateway))
        .out(s.up, words(0x2000 | 106, {}).payload(part(48, 16)).to(kGateway))
        .counts("cut_frames", 1)
        .uncut()
        .check();
    s.lab.push(s.red, {words(0, {}).payload(payload).bytes()});
    const auto famine = s.lab.starve(s.lab.packet_pool());
    s.lab.poll();
    const Seen lost = s.lab.collect();
    note_reasons(lost);
    EXPECT_EQ(lost.only_reason(), DropReason::route_no_fragment);
}

TEST(Ipvlan, RP71_types_of_routes) {
    Slaves s(IpvlanMode::l3);
    s.slaves[0].routes = 2;
    Slaves::route(s.own_table, "10.10.0.0", 16, {table::RouteType::blackhole, 0});
    Slaves::route(s.own_table, "10.11.0.0", 16, {table::RouteType::unreachable, 0});
    Slaves::route(s.own_table, "10.12.0.0", 16, {table::RouteType::prohibit, 0});
    Slaves::route(s.own_table, "10.13.0.0", 16, {table::RouteType::throw_, 0});
    table::NextHop next;
    next.kind = table::NextHopKind::slave;
    next.index = 2;
    Slaves::route(s.own_table, "10.14.0.0", 16, {table::RouteType::unicast, s.hop(next)});
    const auto to = [](const char* address) { return datagram("10.1.0.1", address); };
    Golden(s.lab, s.red, to("10.10.0.1"))
        .drops(DropReason::route_blackhole)

        .uncut()
        .check();
    Golden(s.lab, s.red, to("10.11.0.1")).punts(Punt::route_unreachable).uncut().check();
    Golden(s.lab, s.red, to("10.12.0.1")).punts(Punt::route_prohibited).uncut().check();
    Golden(s.lab, s.red, to("10.13.0.1")).out(s.up, to("10.13.0.1").to(kGateway)).uncut().check();
    // A sibling that is reached by a route is a hop away.
    Golden(s.lab, s.red, to("10.14.0.1"))
        .out(s.far, datagram("10.1.0.1", "10.14.0.1", 63))
        .uncut()
        .check();
    // Another slave knows nothing of these.
    const Frame other = datagram("10.1.0.2", "10.10.0.1");
    Golden(s.lab, s.blue, other)
        .out(s.up, datagram("10.1.0.2", "10.10.0.1").to(kGateway))
        .uncut()
        .check();
}

TEST(Ipvlan, RP75_reverse_path_filter) {
    Slaves s(IpvlanMode::l3);
    const Frame spoofed = datagram("10.1.0.2", "10.1.0.100");
    Golden(s.lab, s.red, spoofed)
        .out(s.up, datagram("10.1.0.2", "10.1.0.100").to(kPeer))
        .uncut()
        .check();
    s.slaves[0].urpf = table::UrpfMode::strict;
    s.lab.publish();
    Golden(s.lab, s.red, spoofed)
        .drops(DropReason::route_reverse)

        .uncut()
        .check();
    s.slaves[0].urpf = table::UrpfMode::loose;
    s.lab.publish();
    Golden(s.lab, s.red, spoofed)
        .out(s.up, datagram("10.1.0.2", "10.1.0.100").to(kPeer))
        .uncut()
        .check();
    s.slaves[0].check_source = true;
    s.lab.publish();
    Golden(s.lab, s.red, spoofed)
        .drops(DropReason::slave_spoofed)

        .uncut()
        .check();
}

TEST(Ipvlan, a_route_that_is_not_there_is_told_to_the_slave) {
    Slaves s(IpvlanMode::l3);
    s.master().routes = 2;
    Golden(s.lab, s.red, datagram("10.1.0.1", "198.51.100.1"))
        .punts(Punt::route_unreachable)
        .uncut()
        .check();
}

}  // namespace
}  // namespace vxplane::support
