// ipvlan in the data plane: what the kernel's driver does with each frame, and the routing tables
// that it does not have.
#include <gtest/gtest.h>

#include "dataplane/net/icmpv6.hpp"
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

TEST(Ipvlan, IV13_one_master_leaves_another_one_its_copies) {
    Slaves s(IpvlanMode::l2);
    PortWords words;
    words.mac = kMaster;
    const PortId other = s.lab.underlay("other", words);
    s.lab.port_entry(other).master = 1;
    s.masters.push_back(s.master());
    s.masters[1].port = other;
    s.masters[1].slave_begin = 2;
    s.masters[1].slave_count = 1;
    s.masters[0].slave_count = 2;
    s.slaves[2].master = 1;
    for (table::Master& master : s.masters) {
        master.copies_per_poll = 2;
    }
    const Bytes all = from_peer("10.1.0.255").to(kBroadcast).bytes();
    s.lab.push(s.up, {all, all});
    s.lab.push(other, {all, all});
    s.lab.poll();
    const Seen seen = s.lab.collect();
    EXPECT_EQ(seen.broken_law, "");
    EXPECT_EQ(seen.moved.at("drop.slave_copies_full"), 2U);
    EXPECT_EQ(seen.sent_by(s.red).size(), 1U);
    EXPECT_EQ(seen.sent_by(s.blue).size(), 1U);
    EXPECT_EQ(seen.sent_by(s.far).size(), 2U);
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

TEST(Ipvlan, IV28_who_solicits_a_slave_or_a_public_address_is_answered_by_control) {
    const auto solicitation = [](const char* target, const net::IpAddress& to) {
        const net::MacAddress station = to.is_multicast() ? net::group_mac(to) : kMaster;
        const auto frame = net::make_nd({station, kPeer, any_ip("2001:db8::64"), to,
                                         net::Icmpv6Header::kSolicitation, 0, any_ip(target)});
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(frame.data());
        return raw_frame(Bytes(bytes, bytes + frame.size()));
    };
    for (const IpvlanMode mode : {IpvlanMode::l3, IpvlanMode::l3s, IpvlanMode::l2}) {
        for (const bool hooked : {false, true}) {
            Slaves s(mode);
            s.lab.own(any_ip("2001:db8::fe"), s.up);
            s.own(0, "2001:db8::1");
            s.own(1 | table::kPublicAddress, "2001:db8::2");
            if (hooked) {
                s.track();
            }
            for (const char* target : {"2001:db8::1", "2001:db8::2", "2001:db8::3"}) {
                const net::IpAddress address = any_ip(target);
                for (const net::IpAddress& to : {net::solicited_node(address), address}) {
                    const Seen seen = s.lab.receive(s.up, solicitation(target, to));
                    const bool own = address.bytes[15] == 1;
                    const bool answered = address.bytes[15] == 2 || (own && mode != IpvlanMode::l2);
                    const bool heard = own && mode == IpvlanMode::l2 && !to.is_multicast();
                    EXPECT_EQ(seen.punted.size(), answered ? 1U : 0U) << target;
                    EXPECT_EQ(seen.sent_by(s.red).size(), heard ? 1U : 0U) << target;
                    EXPECT_EQ(seen.sent_by(s.host_twin).size(), answered || heard ? 0U : 1U);
                    EXPECT_EQ(seen.sent.size(), answered ? 0U : 1U) << target;
                    EXPECT_EQ(seen.broken_law, "");
                }
            }
        }
    }
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
