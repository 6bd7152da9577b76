// The scene of the tests of ipvlan: a master with a kernel twin, and three slaves.
#pragma once

#include <arpa/inet.h>

#include <memory>

#include "dataplane/table/conntrack.hpp"
#include "tests/support/golden.hpp"

namespace vxplane::support {

using packet::Punt;
using table::IpvlanFlag;
using table::IpvlanMode;

inline const net::MacAddress kMaster = mac("02:00:00:00:00:10");
inline const net::MacAddress kGateway = mac("02:00:00:00:00:99");
inline const net::MacAddress kPeer = mac("02:00:00:00:00:aa");
inline const net::MacAddress kBroadcast = net::MacAddress::broadcast();
constexpr const char* kHost = "10.1.0.254";

/// Of either family.
inline net::IpAddress any_ip(const char* text) {
    net::IpAddress v6;
    return inet_pton(AF_INET6, text, v6.bytes.data()) == 1 ? v6 : net::IpAddress(ip(text));
}

/// A master with a twin (10.1.0.254) and three slaves: red 10.1.0.1, blue 10.1.0.2, far 10.2.0.3.
/// The peer 10.1.0.100 and the gateway 10.1.0.99 are resolved.
struct Slaves {
    explicit Slaves(IpvlanMode mode, IpvlanFlag flag = IpvlanFlag::bridge, LabWords lab_words = {})
        : lab(lab_words) {
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

    /// Connections are tracked from now on.
    void track(std::uint32_t capacity = 1024) {
        conntrack = std::make_unique<table::Conntrack>(capacity);
        master().conntrack = conntrack.get();
        master().hooked = true;
        master().address4 = ip(kHost);
    }
    /// Rules of the host's side (kNoSlave) or of a slave.
    void rules(std::uint16_t slave, std::vector<table::HookRule> list) {
        hook_sets.emplace_back(std::move(list));
        const auto at = static_cast<std::uint32_t>(hook_sets.size() - 1);
        (slave == table::kNoSlave ? master().hooks : slaves[slave].hooks) = at;
        master().hooked = true;
    }
    table::Master& master() { return masters[0]; }
    /// Number of a slave, with kPublicAddress when rules translate the address.
    void own(std::uint32_t slave, const char* address, std::uint16_t vrf = 0) {
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
        table::set_slaves(t, slaves);
        t.slave_list = table::Shared{std::vector<std::uint16_t>{0, 1, 2}};
        t.slave_addresses = std::make_shared<const table::AddressMap>(addresses);
        t.route_tables =
            table::Shared{std::vector<const table::RouteTable*>{&empty, &main, &own_table}};
        t.next_hops = table::Shared{hops};
        t.next_hop_slots = table::Shared{slots};
        t.neighbours = table::Shared{neighbours};
        t.neighbour_addresses = std::make_shared<const table::AddressMap>(neighbour_addresses);
        t.hook_sets = table::Shared{hook_sets};
    }

    Lab lab;
    PortId up = 0, host_twin = 0, red = 0, blue = 0, far = 0;
    table::RouteTable empty{16}, main{1024}, own_table{1024};
    std::vector<table::Master> masters{};
    std::vector<table::Slave> slaves{};
    std::vector<std::pair<table::ScopedAddress, std::uint32_t>> addresses{};
    std::vector<table::NextHop> hops{};
    std::vector<std::uint32_t> slots{0};
    std::vector<table::Neighbour> neighbours{};
    std::vector<std::pair<table::ScopedAddress, std::uint32_t>> neighbour_addresses{};
    std::vector<table::HookSet> hook_sets{1};
    std::unique_ptr<table::Conntrack> conntrack{};
    table::RateLimit limit{};
    std::uint32_t on_link = 0, by_gateway = 0;
};

inline Frame datagram(const char* from, const char* to, std::uint8_t ttl = 64) {
    return a_frame()
        .to(kMaster)
        .from(kMaster)
        .ipv4({.source = from, .destination = to, .ttl = ttl})
        .udp(4000, 9)
        .payload(18);
}
inline Frame from_peer(const char* to) {
    return datagram("10.1.0.100", to).from(kPeer);
}
inline Frame request(const char* sender, const char* target) {
    return a_frame().to(kBroadcast).from(kPeer).arp({.sender = sender, .target = target});
}

}  // namespace vxplane::support
