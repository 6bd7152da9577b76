// What on an underlay port is not VXLAN: ARP and ICMP for control, the rest for the host.
#include <gtest/gtest.h>
#include <rte_cycles.h>

#include "dataplane/net/icmpv6.hpp"
#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

const net::MacAddress kToAll = net::MacAddress::broadcast();

Frame arp_request() {
    return a_frame()
        .to(kToAll)
        .from(Scene::remote_mac(2))
        .arp({.sender = "10.0.0.2", .target = Scene::kLocal});
}

Frame to_us(const Scene& s, const char* destination = Scene::kLocal) {
    return a_frame()
        .to(s.local_mac)
        .from(Scene::remote_mac(2))
        .ipv4({.source = "10.0.0.2", .destination = destination});
}

SceneWords with_twin() {
    SceneWords words;
    words.twin = true;
    return words;
}

TEST(Underlay, RP07_frames_that_are_not_for_us_are_dropped) {
    Scene s;
    Golden(s.lab, s.up, to_us(s).to(host(99)).tcp(1, 2)).drops(DropReason::eth_not_for_us).check();
    Golden(s.lab, s.up, a_frame().to(s.local_mac).payload(1501))
        .drops(DropReason::eth_too_long)
        .uncut()
        .check();
    s.lab.port_entry(s.up).promiscuous = true;
    s.lab.publish();
    Golden(s.lab, s.up, to_us(s).to(host(99)).tcp(1, 2)).drops(DropReason::host_unclaimed).check();
}

TEST(Underlay, RP65_arp_goes_to_control) {
    Scene s;
    Golden(s.lab, s.up, arp_request())
        .punts(packet::Punt::arp)
        .cut_may({DropReason::host_unclaimed, DropReason::eth_not_for_us})
        .check();
    Golden(s.lab, s.up, arp_request().to(s.local_mac)).punts(packet::Punt::arp).check();
}

TEST(Underlay, echo_requests_for_us_go_to_control_and_other_icmp_to_the_host) {
    Scene s;
    Golden(s.lab, s.up, to_us(s).icmp_echo(8).payload(40)).punts(packet::Punt::icmp).check();
    Golden(s.lab, s.up, to_us(s).icmp_echo(0).payload(40))
        .drops(DropReason::host_unclaimed)
        .check();
    Golden(s.lab, s.up, to_us(s, "10.0.0.77").icmp_echo(8))
        .drops(DropReason::host_unclaimed)
        .check();
}

/// A scene in which 2001:db8::1 is ours.
struct Scene6 : Scene {
    explicit Scene6(SceneWords scene = {}) : Scene(scene) {
        lab.complete = [this](table::Tables& t) {
            t.addresses6 = std::make_shared<const table::AddressMap>(
                std::vector<std::pair<table::ScopedAddress, std::uint32_t>>{{{own, 0}, up}});
        };
        lab.publish();
    }
    static net::IpAddress six(std::uint8_t last) {
        net::IpAddress address;
        address.bytes[0] = 0x20;
        address.bytes[1] = 0x01;
        address.bytes[2] = 0x0D;
        address.bytes[3] = 0xB8;
        address.bytes[15] = last;
        return address;
    }
    [[nodiscard]] Frame nd(std::uint8_t type, const net::IpAddress& target,
                           const net::IpAddress& destination) const {
        const auto to = destination.is_multicast() ? net::group_mac(destination) : local_mac;
        const auto frame = net::make_nd({to, remote_mac(2), six(2), destination, type, 0, target});
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(frame.data());
        return raw_frame(Bytes(bytes, bytes + frame.size()));
    }
    [[nodiscard]] Frame solicitation(std::uint8_t last) const {
        return nd(net::Icmpv6Header::kSolicitation, six(last), net::solicited_node(six(last)));
    }
    [[nodiscard]] Frame echo(const char* destination, std::uint8_t type = 128) const {
        return a_frame()
            .to(local_mac)
            .from(remote_mac(2))
            .ipv6({.source = "2001:db8::2", .destination = destination, .next_header = 58})
            .payload({type, 0, 0, 0, 0, 1, 0, 1});
    }
    net::IpAddress own = six(1);
};

TEST(Underlay, RP65_neighbour_discovery_for_us_goes_to_control) {
    Scene6 s;
    using Icmp6 = net::Icmpv6Header;
    for (const Frame& frame : {s.solicitation(1), s.nd(Icmp6::kSolicitation, s.own, s.own),
                               s.nd(Icmp6::kAdvertisement, Scene6::six(2), s.own),
                               s.nd(Icmp6::kAdvertisement, Scene6::six(9), net::all_nodes())}) {
        Golden(s.lab, s.up, frame)
            .punts(packet::Punt::arp)
            .cut_may({DropReason::host_unclaimed, DropReason::eth_not_for_us})
            .check();
    }
    Golden(s.lab, s.up, s.solicitation(77)).drops(DropReason::host_unclaimed).check();
    Golden(s.lab, s.up, s.nd(134, s.own, s.own)).drops(DropReason::host_unclaimed).check();
}

TEST(Underlay, echo_requests_for_our_ipv6_addresses_go_to_control) {
    Scene6 s;
    Golden(s.lab, s.up, s.echo("2001:db8::1"))
        .punts(packet::Punt::icmp)
        .cut_may({DropReason::host_unclaimed})
        .check();
    Golden(s.lab, s.up, s.echo("2001:db8::7")).drops(DropReason::host_unclaimed).check();
    Golden(s.lab, s.up, s.echo("2001:db8::1", 129)).drops(DropReason::host_unclaimed).check();
}

TEST(Underlay, without_an_ipv6_address_of_ours_all_ipv6_is_for_the_host) {
    Scene6 s(with_twin());
    s.lab.complete = {};
    s.lab.publish();
    for (const Frame& frame : {s.solicitation(1), s.echo("2001:db8::1")})
        Golden(s.lab, s.up, frame)
            .out(s.host_twin, frame)
            .cut_may({DropReason::eth_not_for_us})
            .check();
}

TEST(Underlay, everything_else_passes_to_the_twin) {
    Scene s(with_twin());
    const auto later =
        a_frame()
            .to(s.local_mac)
            .ipv4({.source = "10.0.0.2", .destination = Scene::kLocal, .fragment = 0x0003})
            .udp(1, 4789)
            .payload(64);
    for (const Frame& frame :
         {to_us(s).tcp(1, 2).payload(9), to_us(s, "10.0.0.77").udp(1, 4789).payload(60),
          a_frame().to(s.local_mac).ipv6().udp(1, 2), a_frame().to(kToAll).ipv4().udp(68, 67),
          a_frame().to(s.local_mac).vlan(3).ipv4(), a_frame().to(mac("01:00:5e:00:00:01")).ipv4(),
          a_frame().to(s.local_mac).type(0x88CC).payload(46), later})
        Golden(s.lab, s.up, frame)
            .out(s.host_twin, frame)
            .cut_may({DropReason::eth_not_for_us})
            .check();
}

TEST(Underlay, the_twins_frames_leave_by_its_port_unchanged) {
    Scene s(with_twin());
    for (const Frame& frame : {a_frame().tcp(1, 2), a_frame().vlan(7).payload(1500), arp_request()})
        Golden(s.lab, s.host_twin, frame).out(s.up, frame).check();
    Golden(s.lab, s.host_twin, a_frame().payload(1501))
        .drops(DropReason::port_oversize)
        .uncut()
        .check();
    s.lab.port_entry(s.host_twin).partner = table::kNoPort;
    s.lab.publish();
    Golden(s.lab, s.host_twin, a_frame()).drops(DropReason::port_gone).check();
}

TEST(Control, the_ring_that_is_full_is_counted) {
    SceneWords words;
    words.lab.punt_slots = 8;
    Scene s(words);
    const std::vector<Bytes> many(10, arp_request().bytes());
    expect_counts(s.lab.receive(s.up, many), {{"received", 10},
                                              {"port.up.rx_packets", 10},
                                              {"port.up.rx_bytes", 420},
                                              {"diverted", 7},
                                              {"drop.control_ring_full", 3}});
}

TEST(Control, more_than_the_rate_allows_is_counted) {
    SceneWords words;
    words.lab.punt_rate = 1;
    Scene s(words);
    // A fresh worker has no credit, and the next packet's comes after a second.
    const std::vector<Bytes> many(3, arp_request().bytes());
    expect_counts(s.lab.receive(s.up, many), {{"received", 3},
                                              {"port.up.rx_packets", 3},
                                              {"port.up.rx_bytes", 126},
                                              {"drop.control_rate", 3}});
}

TEST(Control, a_rate_limit_lets_through_what_it_allows) {
    SceneWords words;
    words.lab.punt_rate = 1'000'000'000;
    Scene s(words);
    s.lab.poll();
    rte_delay_us_block(2);
    EXPECT_EQ(s.lab.receive(s.up, arp_request()).moved.count("diverted"), 1U);
}

TEST(Control, what_it_injects_leaves_by_the_port_it_names) {
    Scene s;
    const Frame reply = arp_request().to(Scene::remote_mac(2));
    ASSERT_TRUE(s.lab.inject(s.up, reply.bytes()));
    s.lab.poll();
    const Seen seen = s.lab.collect();
    expect_counts(
        seen, {{"injected", 1}, {"sent", 1}, {"port.up.tx_packets", 1}, {"port.up.tx_bytes", 42}});
    EXPECT_EQ(seen.sent_by(s.up), std::vector<Bytes>{reply.bytes()});
    ASSERT_TRUE(s.lab.inject(31, reply.bytes()));
    s.lab.poll();
    expect_counts(s.lab.collect(), {{"injected", 1}, {"drop.port_gone", 1}});
}

}  // namespace
}  // namespace vxplane::support
