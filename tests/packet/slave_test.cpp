// ipvlan in the data plane: what the kernel's driver does with each frame, and the routing tables
// that it does not have.
#include <gtest/gtest.h>

#include "tests/support/golden.hpp"

namespace vxplane::support {
namespace {

using packet::Punt;
using table::IpvlanFlag;
using table::IpvlanMode;

const net::MacAddress kMaster = mac("02:00:00:00:00:10");
const net::MacAddress kGateway = mac("02:00:00:00:00:99");
const net::MacAddress kPeer = mac("02:00:00:00:00:aa");
const net::MacAddress kBroadcast = net::MacAddress::broadcast();
constexpr const char* kHost = "10.1.0.254";

net::IpAddress any_ip(const char* text) {
    return ip(text);
}

/// A master with a twin (10.1.0.254) and three slaves: red 10.1.0.1, blue 10.1.0.2, far 10.2.0.3.
/// The peer 10.1.0.100 and the gateway 10.1.0.99 are resolved.
struct Slaves {
    explicit Slaves(IpvlanMode mode, IpvlanFlag flag = IpvlanFlag::bridge) {
        PortWords words;
        words.mac = kMaster;
        up = lab.underlay("up", words);
        host_twin = lab.twin("host", up, words);
        red = slave_port("red");
        blue = slave_port("blue");
        far = slave_port("far");
        lab.port_entry(up).master = 0;
        lab.own(ip(kHost), up);
        lab.no_host(ip("10.1.0.255"));

        masters.resize(1);
        master().port = up;
        master().mode = mode;
        master().flag = flag;
        master().mac = kMaster.number();
        master().slave_count = 3;
        master().routes = 1;
        own(0, "10.1.0.1");
        own(1, "10.1.0.2");
        own(2, "10.2.0.3");
        hops.resize(1);
        table::NextHop link;
        link.kind = table::NextHopKind::link;
        link.port = up;
        link.max_frame = 1514;
        on_link = hop(link);
        table::NextHop gateway = link;
        gateway.kind = table::NextHopKind::gateway;
        gateway.via = any_ip("10.1.0.99");
        gateway.neighbour = neighbour("10.1.0.99", kGateway);
        by_gateway = hop(gateway);
        neighbour("10.1.0.100", kPeer);
        route(main, "10.1.0.0", 24, {table::RouteType::unicast, on_link});
        route(main, "0.0.0.0", 0, {table::RouteType::unicast, by_gateway});
        route(main, kHost, 32, {table::RouteType::local, 0});
        lab.complete = [this](table::Tables& t) { complete(t); };
    }

    table::Master& master() { return masters[0]; }
    void own(std::uint16_t slave, const char* address, std::uint16_t vrf = 0) {
        addresses.push_back({{any_ip(address), table::slave_scope(0, vrf)}, slave});
    }
    std::uint32_t hop(const table::NextHop& next) {
        hops.push_back(next);
        return static_cast<std::uint32_t>(hops.size() - 1);
    }
    std::uint32_t neighbour(const char* address, net::MacAddress station, bool usable = true) {
        neighbours.push_back({station, up, usable});
        const auto at = static_cast<std::uint32_t>(neighbours.size() - 1);
        neighbour_addresses.push_back({{any_ip(address), up}, at});
        return at;
    }
    static void route(table::RouteTable& routes, const char* prefix, unsigned length,
                      table::RouteValue value) {
        const net::IpAddress address = any_ip(prefix);
        ASSERT_TRUE(routes.v4.add(address.bytes.data() + 12, static_cast<std::uint8_t>(length),
                                  value.raw()));
    }
    PortId slave_port(const char* name) {
        PortWords words;
        words.mac = kMaster;
        const PortId id = lab.access(name, table::kNoSegment, words);
        lab.port_entry(id).role = table::PortRole::slave;
        lab.port_entry(id).slave = static_cast<std::uint16_t>(slaves.size());
        table::Slave slave;
        slave.port = id;
        slave.master = 0;
        slave.routes = 0;
        slave.answers_gateway = false;
        slaves.push_back(slave);
        return id;
    }
    void complete(table::Tables& t) {
        t.masters = table::Shared{masters};
        t.slaves = table::Shared{slaves};
        t.slave_list = table::Shared{std::vector<std::uint16_t>{0, 1, 2}};
        t.slave_addresses = std::make_shared<const table::AddressMap>(addresses);
        t.route_tables =
            table::Shared{std::vector<const table::RouteTable*>{&empty, &main, &own_table}};
        t.next_hops = table::Shared{hops};
        t.next_hop_slots = table::Shared{slots};
        t.neighbours = table::Shared{neighbours};
        t.neighbour_addresses = std::make_shared<const table::AddressMap>(neighbour_addresses);
        t.hook_sets = table::Shared{std::vector<table::HookSet>(1)};
    }

    Lab lab{};
    PortId up = 0, host_twin = 0, red = 0, blue = 0, far = 0;
    table::RouteTable empty{16}, main{1024}, own_table{1024};
    std::vector<table::Master> masters{};
    std::vector<table::Slave> slaves{};
    std::vector<std::pair<table::ScopedAddress, std::uint32_t>> addresses{};
    std::vector<table::NextHop> hops{};
    std::vector<std::uint32_t> slots{0};
    std::vector<table::Neighbour> neighbours{};
    std::vector<std::pair<table::ScopedAddress, std::uint32_t>> neighbour_addresses{};
    std::uint32_t on_link = 0, by_gateway = 0;
};

Frame datagram(const char* from, const char* to, std::uint8_t ttl = 64) {
    return a_frame()
        .to(kMaster)
        .from(kMaster)
        .ipv4({.source = from, .destination = to, .ttl = ttl})
        .udp(4000, 9)
        .payload(18);
}
Frame from_peer(const char* to) {
    return datagram("10.1.0.100", to).from(kPeer);
}
Frame request(const char* sender, const char* target) {
    return a_frame().to(kBroadcast).from(kPeer).arp({.sender = sender, .target = target});
}

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

TEST(Ipvlan, IV45_what_does_not_fit_the_way_out_is_told_to_the_slave) {
    Slaves s(IpvlanMode::l3);
    s.hops[s.by_gateway].max_frame = 50;
    Golden(s.lab, s.red, datagram("10.1.0.1", "198.51.100.1")).punts(Punt::too_big).uncut().check();
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
