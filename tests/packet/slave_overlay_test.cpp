// Slaves and segments: routes into a tunnel, and a segment whose router is an ipvlan.
#include <gtest/gtest.h>

#include "tests/support/slave_scene.hpp"

namespace vxplane::support {
namespace {

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

/// TCP that opens a connection, with the MSS at the end of the frame.
Frame syn(const char* source, const char* destination, unsigned mss, std::uint8_t ttl = 64) {
    const Bytes option{2, 4, static_cast<std::uint8_t>(mss >> 8), static_cast<std::uint8_t>(mss)};
    return a_frame()
        .to(kMaster)
        .from(kMaster)
        .ipv4({.source = source, .destination = destination, .ttl = ttl})
        .tcp(40'000, 80, {.flags = 0x02, .options = option});
}

TEST(Ipvlan, VX29_connections_of_slaves_through_a_segment_are_told_what_fits) {
    Pods s;
    table::TunnelSpec spec;
    spec.local = ip(kHost);
    spec.remote = ip("10.1.0.100");
    spec.out_port = s.up;
    spec.source_mac = kMaster;
    spec.next_hop = kPeer;
    spec.clamp_mss = true;
    s.lab.replace_tunnel(s.tunnel, spec);
    s.lab.segment_entry(s.pods).watch = table::watch::kClampMss;
    s.lab.publish();
    const Seen out = s.lab.receive(s.red, syn("10.1.0.1", "10.244.3.4", 1460));
    ASSERT_EQ(out.sent_by(s.up).size(), 1U);
    EXPECT_EQ(take_apart(out.sent_by(s.up)[0]).inner,
              syn("10.1.0.1", "10.244.3.4", 1410, 63).to(s.node_mac).from(s.own_mac).bytes());
    const Seen in = s.lab.receive(
        s.up, s.from_node(syn("10.244.3.4", "10.1.0.2", 1460).to(s.own_mac).from(s.node_mac)));
    const std::vector<Bytes> arrived = in.sent_by(s.blue);
    ASSERT_EQ(arrived.size(), 1U);
    const Bytes lowered = syn("10.244.3.4", "10.1.0.2", 1410, 63).bytes();
    EXPECT_EQ(Bytes(arrived[0].begin() + 14, arrived[0].end()),
              Bytes(lowered.begin() + 14, lowered.end()));
    expect_law(out);
    expect_law(in);
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

}  // namespace
}  // namespace vxplane::support
