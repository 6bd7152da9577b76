// ipvlan in the data plane: what the kernel's driver does with each frame, and the routing tables
// that it does not have.
#include <gtest/gtest.h>

#include "tests/support/slave_scene.hpp"

namespace vxplane::support {
namespace {

// --- from the wire

TEST(Ipvlan, IV11_l2_tells_slaves_apart_by_address) {
    Slaves s(IpvlanMode::l2);
    Golden(s.lab, s.up, from_peer("10.1.0.2")).out(s.blue, from_peer("10.1.0.2")).uncut().check();
    Golden(s.lab, s.up, from_peer("10.2.0.3")).out(s.far, from_peer("10.2.0.3")).uncut().check();
    const Frame solicited = request("10.1.0.100", "10.1.0.1").to(kMaster);
    Golden(s.lab, s.up, solicited).out(s.red, solicited).uncut().check();
    const Frame other = from_peer("10.1.0.77");
    Golden(s.lab, s.up, other).out(s.host_twin, other).uncut().check();
}

TEST(Ipvlan, IV12_a_broadcast_goes_to_each_slave_and_to_the_host) {
    Slaves s(IpvlanMode::l2);
    const Frame all = from_peer("10.1.0.255").to(kBroadcast);
    Golden(s.lab, s.up, all)
        .out(s.red, all)
        .out(s.blue, all)
        .out(s.far, all)
        .out(s.host_twin, all)
        .counts("copies", 3)
        .counts("port.red.tx_groups", 1)
        .counts("port.blue.tx_groups", 1)
        .counts("port.far.tx_groups", 1)
        .uncut()
        .check();
}

TEST(Ipvlan, IV15_a_group_is_heard_by_those_that_joined_it) {
    Slaves s(IpvlanMode::l2);
    const net::MacAddress group = mac("01:00:5e:00:00:fb");
    s.slaves[1].groups.macs[0] = group.number();
    s.slaves[1].groups.count = 1;
    s.slaves[2].groups.all = true;
    const Frame frame = from_peer("224.0.0.251").to(group);
    Golden(s.lab, s.up, frame)
        .out(s.blue, frame)
        .out(s.far, frame)
        .out(s.host_twin, frame)
        .counts("copies", 2)
        .counts("port.blue.tx_groups", 1)
        .counts("port.far.tx_groups", 1)
        .uncut()
        .check();
}

TEST(Ipvlan, IV14_a_broadcast_of_our_own_that_comes_back_is_not_copied_again) {
    Slaves s(IpvlanMode::l2);
    const Frame back = datagram("10.1.0.1", "10.1.0.255").to(kBroadcast);
    Golden(s.lab, s.up, back).out(s.host_twin, back).uncut().check();
}

TEST(Ipvlan, IV16_pause_frames_are_never_copied) {
    Slaves s(IpvlanMode::l2);
    const Frame pause = a_frame().to(mac("01:80:c2:00:00:01")).from(kPeer).type(0x8808).payload(46);
    Golden(s.lab, s.up, pause).out(s.host_twin, pause).uncut().check();
    Golden(s.lab, s.red, pause)
        .drops(DropReason::slave_pause)

        .uncut()
        .check();
}

TEST(Ipvlan, IV13_copies_of_one_poll_are_limited) {
    Slaves s(IpvlanMode::l2);
    s.master().copies_per_poll = 2;
    const Frame all = from_peer("10.1.0.255").to(kBroadcast);
    Golden(s.lab, s.up, all)
        .out(s.red, all)
        .out(s.blue, all)
        .out(s.host_twin, all)
        .counts("copies", 3)
        .counts("port.red.tx_groups", 1)
        .counts("port.blue.tx_groups", 1)
        .drops(DropReason::slave_copies_full)
        .uncut()
        .as_received()
        .check();
}

TEST(Ipvlan, IV21_l3_selects_by_destination_alone) {
    Slaves s(IpvlanMode::l3);
    const Frame broadcast = from_peer("10.1.0.1").to(kBroadcast);
    Golden(s.lab, s.up, broadcast).out(s.red, broadcast).uncut().check();
    const Frame all = from_peer("10.1.0.255").to(kBroadcast);
    Golden(s.lab, s.up, all).out(s.host_twin, all).uncut().check();
}

TEST(Ipvlan, IV25_l3s_gives_slaves_datagrams_only) {
    Slaves s(IpvlanMode::l3s);
    Golden(s.lab, s.up, from_peer("10.1.0.1")).out(s.red, from_peer("10.1.0.1")).uncut().check();
    Golden(s.lab, s.up, request("10.1.0.100", "10.1.0.1")).punts(Punt::arp).uncut().check();
}

TEST(Ipvlan, IV47_drops_of_a_slave_are_counted_at_its_port) {
    Slaves s(IpvlanMode::l3);
    const auto dropped = [&s] { return s.lab.worker().counters().ports[s.red].dropped.get(); };
    const Seen seen = s.lab.receive(s.red, datagram("10.1.0.1", "224.0.0.5"));
    EXPECT_EQ(seen.only_reason(), DropReason::slave_group);
    EXPECT_EQ(dropped(), 1U);
}

TEST(Ipvlan, IV08_a_slave_that_is_down_gets_and_sends_nothing) {
    Slaves s(IpvlanMode::l3);
    s.slaves[0].up = false;
    Golden(s.lab, s.up, from_peer("10.1.0.1"))
        .drops(DropReason::slave_down)

        .uncut()
        .check();
    Golden(s.lab, s.red, datagram("10.1.0.1", "10.1.0.100"))
        .drops(DropReason::slave_down)

        .uncut()
        .check();
}

TEST(Ipvlan, IV04_what_does_not_fit_a_slave_is_counted) {
    Slaves s(IpvlanMode::l3);
    s.slaves[0].max_frame = 50;
    Golden(s.lab, s.up, from_peer("10.1.0.1"))
        .drops(DropReason::slave_oversize)

        .uncut()
        .check();
}

TEST(Ipvlan, IV17_frames_to_other_stations_are_no_slaves_unless_the_master_is_promiscuous) {
    Slaves s(IpvlanMode::l3);
    const Frame other = from_peer("10.1.0.1").to(kPeer);
    Golden(s.lab, s.up, other).drops(DropReason::eth_not_for_us).uncut().check();
    // Then as the kernel: the slave's own IP layer sees that it is for another station.
    s.lab.port_entry(s.up).promiscuous = true;
    s.lab.publish();
    Golden(s.lab, s.up, other).out(s.red, other).uncut().check();
}

TEST(Ipvlan, IV18_malformed_ipv4_is_for_no_slave) {
    for (const IpvlanMode mode : {IpvlanMode::l2, IpvlanMode::l3, IpvlanMode::l3s}) {
        Slaves s(mode);
        for (const Ip4& header :
             {Ip4{.source = "10.1.0.100", .destination = "10.1.0.1", .version_ihl = 0x44},
              Ip4{.source = "10.1.0.100", .destination = "10.1.0.1", .version_ihl = 0x65},
              Ip4{.source = "10.1.0.100", .destination = "10.1.0.1", .total_length = 19},
              Ip4{.source = "10.1.0.100", .destination = "10.1.0.1", .total_length = 900}}) {
            const Frame bad = a_frame().to(kMaster).from(kPeer).ipv4(header).udp(1, 2).payload(18);
            Golden(s.lab, s.up, bad).out(s.host_twin, bad).uncut().as_received().check();
        }
    }
}

TEST(Ipvlan, IV27_in_l3s_what_no_slave_has_is_the_hosts) {
    Slaves s(IpvlanMode::l3s);
    const Frame other = from_peer("10.1.0.77");
    Golden(s.lab, s.up, other).out(s.host_twin, other).uncut().check();
}

// --- from a slave

TEST(Ipvlan, IV31_l2_sends_as_the_slave_says) {
    Slaves s(IpvlanMode::l2);
    const Frame out = datagram("10.1.0.1", "10.1.0.100").to(kPeer);
    Golden(s.lab, s.red, out).out(s.up, out).uncut().check();
    const Frame all = datagram("10.1.0.1", "10.1.0.255").to(kBroadcast);
    Golden(s.lab, s.red, all)
        .out(s.blue, all)
        .out(s.far, all)
        .out(s.up, all)
        .counts("copies", 2)
        .counts("port.blue.tx_groups", 1)
        .counts("port.far.tx_groups", 1)
        .uncut()
        .check();
}

TEST(Ipvlan, IV32_l2_siblings_by_flag) {
    const Frame frame = datagram("10.1.0.1", "10.1.0.2");
    Slaves bridge(IpvlanMode::l2);
    Golden(bridge.lab, bridge.red, frame).out(bridge.blue, frame).uncut().check();
    Slaves hidden(IpvlanMode::l2, IpvlanFlag::private_);
    Golden(hidden.lab, hidden.red, frame)
        .drops(DropReason::slave_private)

        .uncut()
        .check();
    Slaves vepa(IpvlanMode::l2, IpvlanFlag::vepa);
    Golden(vepa.lab, vepa.red, frame).out(vepa.up, frame).uncut().check();
}

TEST(Ipvlan, IV33_l2_to_the_own_mac_address_is_for_the_host) {
    Slaves s(IpvlanMode::l2);
    const Frame frame = datagram("10.1.0.1", kHost);
    Golden(s.lab, s.red, frame).out(s.host_twin, frame).uncut().check();
}

TEST(Ipvlan, IV41_l3_takes_datagrams_to_one_host_only) {
    Slaves s(IpvlanMode::l3);
    const auto dropped = [&s](const Frame& frame, DropReason reason) {
        Golden(s.lab, s.red, frame).drops(reason).uncut().check();
    };
    dropped(datagram("10.1.0.1", "10.1.0.255").to(kBroadcast), DropReason::slave_group);
    dropped(datagram("10.1.0.1", "10.1.0.255"), DropReason::slave_group);
    dropped(datagram("10.1.0.1", "255.255.255.255"), DropReason::slave_group);
    dropped(datagram("10.1.0.1", "224.0.0.5"), DropReason::slave_group);
    dropped(a_frame().to(kMaster).from(kMaster).type(0x88B5).payload(46), DropReason::slave_not_ip);
    dropped(datagram("127.0.0.1", "10.1.0.100"), DropReason::slave_bad_source);
}

TEST(Ipvlan, IV42_l3_siblings_by_flag) {
    const Frame frame = datagram("10.1.0.1", "10.2.0.3").to(kPeer);
    Slaves bridge(IpvlanMode::l3);
    Golden(bridge.lab, bridge.red, frame).out(bridge.far, frame).uncut().check();
    Slaves hidden(IpvlanMode::l3s, IpvlanFlag::private_);
    Golden(hidden.lab, hidden.red, frame)
        .drops(DropReason::slave_private)

        .uncut()
        .check();
    Slaves vepa(IpvlanMode::l3, IpvlanFlag::vepa);
    Golden(vepa.lab, vepa.red, datagram("10.1.0.1", "10.2.0.3"))
        .out(vepa.up, datagram("10.1.0.1", "10.2.0.3").to(kGateway))
        .uncut()
        .check();
}

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

TEST(Ipvlan, IV34_the_host_is_reached_in_l2_when_asked_for) {
    Slaves s(IpvlanMode::l2);
    const Frame ask = request("10.1.0.1", kHost).from(kMaster);
    Golden(s.lab, s.red, ask)
        .out(s.blue, ask)
        .out(s.far, ask)
        .out(s.up, ask)
        .counts("copies", 2)
        .counts("port.blue.tx_groups", 1)
        .counts("port.far.tx_groups", 1)
        .uncut()
        .check();
    const Frame from_host = datagram(kHost, "10.1.0.1");
    Golden(s.lab, s.host_twin, from_host).out(s.up, from_host).uncut().check();
    s.master().host_access = true;
    s.lab.publish();
    Golden(s.lab, s.red, ask)
        .out(s.blue, ask)
        .out(s.far, ask)
        .out(s.up, ask)
        .out(s.host_twin, ask)
        .counts("copies", 3)
        .counts("port.blue.tx_groups", 1)
        .counts("port.far.tx_groups", 1)
        .uncut()
        .check();
    Golden(s.lab, s.host_twin, from_host).out(s.red, from_host).uncut().check();
}

TEST(Ipvlan, IV54_a_slave_has_a_rate_towards_the_wire) {
    Slaves s(IpvlanMode::l3);
    s.slaves[0].policer = 8000;  // 1 MB/s, and 65,600 bytes at once
    s.slaves[0].limit = &s.limit;
    s.lab.pass_time(1000);
    const Frame frame = a_frame()
                            .to(kMaster)
                            .from(kMaster)
                            .ipv4({.source = "10.1.0.1", .destination = "10.1.0.100"})
                            .udp(1, 2)
                            .payload(1400);
    std::uint64_t passed = 0;
    const auto send_some = [&] {
        const Seen seen = s.lab.receive(s.red, std::vector<Bytes>(100, frame.bytes()));
        note_reasons(seen);
        passed = seen.sent.size();
    };
    send_some();
    EXPECT_EQ(passed, 65600U / frame.size());
    send_some();
    EXPECT_EQ(passed, 0U);
    s.lab.pass_time(10);
    send_some();
    EXPECT_NEAR(static_cast<double>(passed), 10'000.0 / static_cast<double>(frame.size()), 1.0);
    // Siblings are not the wire.
    Golden(s.lab, s.red, datagram("10.1.0.1", "10.1.0.2"))
        .out(s.blue, datagram("10.1.0.1", "10.1.0.2"))
        .uncut()
        .check();
}

// --- segments

/// The master is also the underlay of segment `pods` (VNI 7), whose router is the ipvlan.
struct Pods : Slaves {
    Pods() : Slaves(IpvlanMode::l3) {
        pods = lab.segment("pods");
        lab.segment_entry(pods).router = 0;
        table::TunnelSpec spec;
        spec.local = ip(kHost);
        spec.remote = ip("10.1.0.100");
        spec.out_port = up;
        spec.source_mac = kMaster;
        spec.next_hop = kPeer;
        tunnel = lab.tunnel(spec);
        lab.fdb(pods, own_mac, FdbKind::router, 0, table::FdbState::permanent);
        table::NextHop next;
        next.kind = table::NextHopKind::vxlan;
        next.segment = pods;
        next.index = tunnel;
        next.max_frame = 1464;
        next.inner_destination = node_mac;
        next.inner_source = own_mac;
        slaves[0].routes = 2;
        route(own_table, "10.244.0.0", 16, {table::RouteType::unicast, hop(next)});
    }
    Frame from_node(const Frame& inner, const char* node = "10.1.0.100") const {
        return a_frame()
            .to(kMaster)
            .from(kPeer)
            .ipv4({.source = node, .destination = kHost})
            .udp(40000, 4789, {.checksum = std::uint16_t{0}})
            .vxlan({}, inner);
    }
    using FdbKind = table::FdbKind;
    net::MacAddress own_mac = mac("02:ee:00:00:00:07");
    net::MacAddress node_mac = mac("02:ee:00:00:00:99");
    SegmentId pods = 0;
    TunnelId tunnel = 0;
};

TEST(Ipvlan, IV55_a_route_leads_into_a_segment) {
    Pods s;
    const Frame inner = datagram("10.1.0.1", "10.244.3.4", 63).to(s.node_mac).from(s.own_mac);
    const Frame outer = a_frame()
                            .to(kPeer)
                            .from(kMaster)
                            .ipv4({.source = kHost, .destination = "10.1.0.100"})
                            .udp(0, 4789, {.checksum = std::uint16_t{0}})
                            .vxlan({}, inner)
                            .any_id()
                            .any_source_port();
    Golden(s.lab, s.red, datagram("10.1.0.1", "10.244.3.4"))
        .out(s.up, outer)
        .tunnelled(s.pods, 1, inner.size())
        .uncut()
        .check();
}

TEST(Ipvlan, IV55_a_segment_hands_packets_to_its_slaves) {
    Pods s;
    const Frame inner = datagram("10.244.3.4", "10.1.0.2").to(s.own_mac).from(s.node_mac);
    const Seen seen = s.lab.receive(s.up, s.from_node(inner));
    ASSERT_EQ(seen.sent_by(s.blue).size(), 1U);
    EXPECT_EQ(seen.sent_by(s.blue)[0], datagram("10.244.3.4", "10.1.0.2", 63).bytes());
    EXPECT_EQ(seen.moved.at("segment.pods.rx_packets"), 1U);
    EXPECT_EQ(seen.broken_law, "");
    const auto dropped = [&s](Frame frame) {
        const Seen lost = s.lab.receive(s.up, s.from_node(frame.to(s.own_mac).from(s.node_mac)));
        note_reasons(lost);
        return lost.only_reason();
    };
    EXPECT_EQ(dropped(datagram("10.244.3.4", "10.1.0.77")), DropReason::slave_unknown);
    EXPECT_EQ(dropped(a_frame().arp({.sender = "10.244.3.4", .target = "10.1.0.2"})),
              DropReason::slave_not_ip);
}

TEST(Ipvlan, IV55_no_rejection_of_what_came_by_a_tunnel_appears_on_the_wire) {
    Pods s;
    table::HookRule no;
    no.hook = table::Hook::input;
    no.verdict = table::RuleVerdict::reject;
    s.rules(1, {no});
    s.lab.publish();
    const Frame inner = datagram("10.244.3.4", "10.1.0.2").to(s.own_mac).from(s.node_mac);
    // Control sends it back by the tunnel, or not at all.
    const Seen seen = s.lab.receive(s.up, s.from_node(inner));
    ASSERT_EQ(seen.punted.size(), 1U);
    EXPECT_EQ(seen.sent.size(), 0U);
    EXPECT_EQ(seen.broken_law, "");
    EXPECT_EQ(s.lab.receive(s.up, s.from_node(inner, "10.1.0.7")).only_reason(),
              DropReason::hook_reject);
    // Siblings are told.
    EXPECT_EQ(s.lab.receive(s.red, datagram("10.1.0.1", "10.1.0.2")).punted.size(), 1U);
}

TEST(Ipvlan, IV55_RP74_who_sends_too_little_ttl_by_a_tunnel_is_told_by_the_tunnel) {
    Pods s;
    const Frame inner = datagram("10.244.3.4", "10.1.0.2", 1).to(s.own_mac).from(s.node_mac);
    const Seen seen = s.lab.receive(s.up, s.from_node(inner));
    ASSERT_EQ(seen.punted.size(), 1U);
    EXPECT_EQ(seen.punted[0].why, Punt::ttl_exceeded);
    EXPECT_TRUE(seen.punted[0].from_tunnel);
    EXPECT_EQ(seen.punted[0].peer, s.tunnel);
    EXPECT_EQ(seen.punted[0].segment, s.pods);
    EXPECT_EQ(seen.punted[0].bytes, inner.bytes());
    // A VTEP that nothing is known of cannot be answered.
    const Seen lost = s.lab.receive(s.up, s.from_node(inner, "10.1.0.7"));
    EXPECT_EQ(lost.only_reason(), DropReason::route_ttl);
}

TEST(Ipvlan, IV55_RP71_who_sends_too_much_by_a_tunnel_is_told_by_the_tunnel) {
    Pods s;
    s.slaves[1].max_frame = 50;
    const auto of = [&s](std::uint16_t fragment) {
        return a_frame()
            .to(s.own_mac)
            .from(s.node_mac)
            .ipv4({.source = "10.244.3.4", .destination = "10.1.0.2", .fragment = fragment})
            .udp(1, 2)
            .payload(18);
    };
    const Seen seen = s.lab.receive(s.up, s.from_node(of(0x4000)));
    ASSERT_EQ(seen.punted.size(), 1U);
    EXPECT_EQ(seen.punted[0].why, Punt::too_big);
    EXPECT_EQ(seen.punted[0].tunnel, 36U);
    EXPECT_EQ(seen.punted[0].peer, s.tunnel);
    EXPECT_EQ(s.lab.receive(s.up, s.from_node(of(0x4000), "10.1.0.7")).only_reason(),
              DropReason::slave_oversize);
    EXPECT_EQ(s.lab.receive(s.up, s.from_node(of(0))).only_reason(), DropReason::slave_oversize);
}

TEST(Ipvlan, IV55_IV24_a_segment_hands_over_what_is_behind_a_slave) {
    Pods s;
    table::NextHop behind;
    behind.kind = table::NextHopKind::slave;
    behind.index = 1;
    Slaves::route(s.main, "10.9.0.0", 16, {table::RouteType::unicast, s.hop(behind)});
    s.master().routes_to_slaves = true;
    const Frame inner = datagram("10.244.3.4", "10.9.0.7").to(s.own_mac).from(s.node_mac);
    const Seen seen = s.lab.receive(s.up, s.from_node(inner));
    ASSERT_EQ(seen.sent_by(s.blue).size(), 1U);
    EXPECT_EQ(seen.sent_by(s.blue)[0], datagram("10.244.3.4", "10.9.0.7", 63).bytes());
}

// --- what ends otherwise

TEST(Ipvlan, what_control_has_no_room_for_is_dropped_for_its_own_reason) {
    LabWords words;
    words.punt_rate = 1;
    Slaves s(IpvlanMode::l3, IpvlanFlag::bridge, words);
    s.slaves[0].routes = 2;
    s.slaves[1].answers_gateway = true;
    Slaves::route(s.own_table, "10.11.0.0", 16, {table::RouteType::unreachable, 0});
    Slaves::route(s.own_table, "10.12.0.0", 16, {table::RouteType::prohibit, 0});
    table::NextHop leak;
    leak.kind = table::NextHopKind::table;
    leak.index = 2;
    Slaves::route(s.own_table, "10.15.0.0", 16, {table::RouteType::unicast, s.hop(leak)});
    table::NextHop small;
    small.kind = table::NextHopKind::gateway;
    small.port = s.up;
    small.max_frame = 50;
    Slaves::route(s.own_table, "10.16.0.0", 16, {table::RouteType::unicast, s.hop(small)});
    table::NextHop next;
    next.kind = table::NextHopKind::slave;
    next.index = 2;
    Slaves::route(s.own_table, "10.14.0.0", 16, {table::RouteType::unicast, s.hop(next)});
    table::NextHop nowhere;
    Slaves::route(s.own_table, "10.17.0.0", 16, {table::RouteType::unicast, s.hop(nowhere)});
    const auto dropped = [&s](const char* to, DropReason reason, std::uint8_t ttl = 64) {
        Golden(s.lab, s.red, datagram("10.1.0.1", to, ttl)).drops(reason).uncut().check();
    };
    dropped("10.11.0.1", DropReason::route_unreachable);
    dropped("10.12.0.1", DropReason::route_prohibit);
    dropped("10.15.0.1", DropReason::route_loop);
    dropped("10.16.0.1", DropReason::route_too_big);
    dropped("10.14.0.1", DropReason::route_ttl, 1);
    dropped("10.17.0.1", DropReason::route_none);
}

TEST(Ipvlan, no_buffer_for_a_copy) {
    Slaves s(IpvlanMode::l2);
    const Frame all = from_peer("10.1.0.255").to(kBroadcast);
    s.lab.receive(s.up, all);
    const auto famine = s.lab.starve(s.lab.header_pool());
    const Seen seen = s.lab.receive(s.up, all);
    EXPECT_EQ(seen.moved.at("drop.slave_no_copy"), 3U);
    note_reasons(seen);
}

TEST(Ipvlan, malformed_ipv6_of_a_slave_is_dropped) {
    Slaves s(IpvlanMode::l3);
    Bytes frame = a_frame().to(kMaster).from(kMaster).ipv6({}).udp(1, 2).payload(20).bytes();
    frame[14 + 5] += 40;  // payload length
    Golden(s.lab, s.red, raw_frame(frame)).drops(DropReason::ip6_malformed).uncut().check();
    const Frame mapped =
        a_frame().to(kMaster).from(kMaster).ipv6({.destination = "::ffff:10.1.0.2"}).udp(1, 2);
    Golden(s.lab, s.red, mapped).drops(DropReason::ip6_mapped_address).uncut().check();
}

}  // namespace
}  // namespace vxplane::support
