// Segments with tunnels over IPv6, alone and beside IPv4: next hops are found on the wire, peers
// are learned, and what cannot be a remote is refused.
#include "control/apply/words.hpp"
#include "stack.hpp"

namespace vxplane::control {
namespace {

constexpr const char* kOwn = "2001:db8::1";
const net::MacAddress kPeerMac = mac("02:aa:00:00:00:06");

class Underlay6 : public Stack {
  protected:
    Underlay6() {
        const std::vector<OwnAddress> own{{ip("10.0.0.1"), 24}, {support::address(kOwn), 64}};
        neighbours.set_port(world.up, world.mac_of(world.up), own);
        punts.set_addresses(own);
        tunnels.set_uplink(world.up, {world.mac_of(world.up), 1500, own});
        routes.v6.add(support::address("2001:db8::"), 64,
                      {table::RouteType::unicast, world.up, {}});
        routes.v6.add(support::address(kOwn), 128, {table::RouteType::local, world.up, {}});
        bridge.set_addresses({{own[0], world.up}, {own[1], world.up}});
    }
    static SegmentSpec mixed() {
        SegmentSpec spec = red();
        spec.ipv6 = true;
        spec.mtu = 1430;
        return spec;
    }
    void begin_mixed() {
        segment(mixed());
        begin();
    }
    void from_remote6(const std::string& remote, const Frame& inner) {
        receive(world.up, a_frame()
                              .to(world.mac_of(world.up))
                              .from(kPeerMac)
                              .ipv6({.source = remote, .destination = kOwn})
                              .udp(50000, 4789)
                              .vxlan({.vni = 7}, inner));
    }
    /// Solicited, with the link-layer address.
    [[nodiscard]] Bytes advertisement(const std::string& target) const {
        Bytes message{136, 0, 0, 0, 0x60, 0, 0, 0};
        const net::IpAddress address = support::address(target);
        message.insert(message.end(), address.bytes.begin(), address.bytes.end());
        message.insert(message.end(), {2, 1});
        message.insert(message.end(), kPeerMac.bytes.begin(), kPeerMac.bytes.end());
        Bytes covered(address.bytes.begin(), address.bytes.end());
        const net::IpAddress own = support::address(kOwn);
        covered.insert(covered.end(), own.bytes.begin(), own.bytes.end());
        covered.insert(covered.end(), message.begin(), message.end());
        const std::uint16_t sum =
            support::rfc1071(covered, 58 + static_cast<std::uint32_t>(message.size()));
        message[2] = static_cast<std::uint8_t>(sum >> 8);
        message[3] = static_cast<std::uint8_t>(sum);
        return a_frame()
            .to(world.mac_of(world.up))
            .from(kPeerMac)
            .ipv6({.source = target, .destination = kOwn, .hop_limit = 255, .next_header = 58})
            .payload(message)
            .bytes();
    }
    static bool is_solicitation(const Bytes& frame) {
        return frame.size() > 54 && frame[12] == 0x86 && frame[13] == 0xDD && frame[20] == 58 &&
               frame[54] == 135;
    }
    [[nodiscard]] net::IpAddress source_to(const char* remote) {
        const auto id =
            tunnels.find(tunnels.profile_id(bridge.segment(0).profile), support::address(remote));
        return id ? net::IpAddress(tunnels.line6(*id).ip.source) : net::IpAddress{};
    }
};

TEST_F(Underlay6, VX01_a_frame_waits_for_neighbour_discovery_and_leaves) {
    begin_mixed();
    ASSERT_FALSE(bridge.add(to_remote(host(20), "2001:db8::2"), now));
    forget_sent();
    const Frame inner = unicast(1, 20);
    receive(world.vm1, inner);
    tick();
    const std::vector<Bytes> asked = sent_by(world.up);
    ASSERT_FALSE(asked.empty());
    EXPECT_TRUE(is_solicitation(asked.front()));
    receive(world.up, {advertisement("2001:db8::2")});
    tick();
    tick();
    std::vector<Bytes> sent = sent_by(world.up);
    std::erase_if(sent, is_solicitation);
    ASSERT_EQ(sent.size(), 1U);
    const Frame outer = a_frame()
                            .to(kPeerMac)
                            .from(world.mac_of(world.up))
                            .ipv6({.source = kOwn, .destination = "2001:db8::2"})
                            .udp(0, 4789)
                            .vxlan({.vni = 7}, inner)
                            .any_source_port();
    EXPECT_EQ(sent[0], outer.bytes_like(sent[0]));
    // The next one needs nobody.
    receive(world.vm1, inner);
    sent = sent_by(world.up);
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0], outer.bytes_like(sent[0]));
    expect_law();
}

TEST_F(Underlay6, VX51_VX53_peers_of_both_families_are_learned_and_move) {
    begin_mixed();
    from_remote6("2001:db8::9", unicast(30, 1));
    tick();
    EXPECT_EQ(dst(host(30)), "2001:db8::9");
    from_remote("10.0.0.9", unicast(30, 1));
    tick();
    EXPECT_EQ(dst(host(30)), "10.0.0.9");
    from_remote6("2001:db8::9", unicast(30, 1));
    tick();
    EXPECT_EQ(dst(host(30)), "2001:db8::9");
    EXPECT_EQ(text(*entry(host(30))->previous), "10.0.0.9");
    // Known by now: no event, no move.
    const std::size_t news_before = news.size();
    from_remote6("2001:db8::9", unicast(30, 1));
    tick();
    EXPECT_EQ(news.size(), news_before);
    EXPECT_EQ(tunnels.used(), 1U);
    expect_law();
}

TEST_F(Underlay6, VX44_no_entry_leads_to_an_address_that_no_vtep_has) {
    begin_mixed();
    for (const char* wrong : {kOwn, "::", "::1", "ff02::1", "fe80::2"}) {
        EXPECT_TRUE(bridge.add(to_remote(host(20), wrong), now)) << wrong;
        EXPECT_TRUE(bridge.add(to_remote({}, wrong), now)) << wrong;
    }
    EXPECT_EQ(tunnels.used(), 0U);
    ASSERT_FALSE(bridge.add(to_remote({}, "2001:db8::2"), now));
    EXPECT_TRUE(bridge.add(to_remote({}, "2001:db8::2"), now)) << "twice";
    EXPECT_EQ(dst({}), "2001:db8::2");
    ASSERT_FALSE(bridge.remove(0, {}, support::address("2001:db8::2")));
    EXPECT_EQ(tunnels.used(), 0U);
}

TEST_F(Underlay6, VX08_VX44_a_segment_of_one_link_has_remotes_there_and_no_others) {
    const net::IpAddress own = support::address("fe80::1");
    const std::vector<OwnAddress> all{
        {ip("10.0.0.1"), 24}, {support::address(kOwn), 64}, {own, 64}};
    neighbours.set_port(world.up, world.mac_of(world.up), all);
    tunnels.set_uplink(world.up, {world.mac_of(world.up), 1500, all});
    bridge.set_addresses({{all[0], world.up}, {all[1], world.up}, {all[2], world.up}});
    // It leads nowhere, and is not asked.
    ASSERT_TRUE(
        routes.v6.add(support::address("fe80::"), 10, {table::RouteType::blackhole, world.up, {}}));
    SegmentSpec spec = mixed();
    spec.profile.local6 = own;
    spec.profile.dev = world.up;
    spec.guard.link = world.up;
    segment(spec);
    begin();
    for (const char* wrong : {"2001:db8::2", "fe80::1", "::"}) {
        EXPECT_TRUE(bridge.add(to_remote(host(20), wrong), now)) << wrong;
    }
    ASSERT_FALSE(bridge.add(to_remote(host(20), "fe80::2"), now));
    ASSERT_FALSE(bridge.add(to_remote(host(21), "10.0.0.2"), now)) << "over IPv4 as ever";
    EXPECT_EQ(text(source_to("fe80::2")), "fe80::1");
    forget_sent();
    receive(world.vm1, unicast(1, 20));
    tick();
    const std::vector<Bytes> asked = sent_by(world.up);
    ASSERT_FALSE(asked.empty());
    EXPECT_TRUE(is_solicitation(asked.front()));
    EXPECT_TRUE(std::equal(own.bytes.begin(), own.bytes.end(), asked.front().begin() + 22))
        << "asked from the address of the link";
    from_remote6("2001:db8::9", unicast(30, 1));
    tick();
    EXPECT_EQ(dst(host(30)), "none");
    from_remote6("fe80::9", unicast(30, 1));
    tick();
    EXPECT_EQ(dst(host(30)), "fe80::9");
}

TEST_F(Underlay6, a_segment_refuses_remotes_of_a_family_that_it_does_not_speak) {
    begin();
    const auto problem = bridge.add(to_remote(host(20), "2001:db8::2"), now);
    ASSERT_TRUE(problem);
    EXPECT_EQ(*problem,
              "dst 2001:db8::2 is IPv6, and segment red has no tunnels over IPv6 (local "
              "or local6)");
    from_remote6("2001:db8::9", unicast(30, 1));
    EXPECT_EQ(
        worker_drops(DropReason::vxlan_unknown_vni) + worker_drops(DropReason::host_unclaimed), 1U);
    tick();
    EXPECT_EQ(dst(host(30)), "none");
}

TEST_F(Underlay6, VX08_VX18_routes_choose_source_and_next_hop_and_refuse) {
    begin_mixed();
    const auto to = [&](const char* network, table::RouteType type, const char* via) {
        ASSERT_TRUE(
            routes.v6.add(support::address(network), 32, {type, world.up, support::address(via)}));
    };
    to("2001:db9::", table::RouteType::unicast, "2001:db8::fe");
    to("2001:dba::", table::RouteType::unicast, "fe80::fe");
    to("2001:dbb::", table::RouteType::blackhole, "::");
    for (const char* remote : {"2001:db9::2", "2001:dba::2", "2001:dbb::2", "2001:dbc::2"}) {
        ASSERT_FALSE(bridge.replace(to_remote(host(20), remote), now)) << remote;
        const auto id =
            tunnels.find(tunnels.profile_id(bridge.segment(0).profile), support::address(remote));
        ASSERT_TRUE(id) << remote;
        const auto next_hop = tunnels.next_hop(*id);
        const std::string where = next_hop ? text(next_hop->address) : "nowhere";
        const bool leads = remote[7] == '9' || remote[7] == 'a';
        EXPECT_EQ(where, remote[7] == '9' ? "2001:db8::fe" : leads ? "fe80::fe" : "nowhere");
        EXPECT_EQ(text(source_to(remote)), leads ? kOwn : "::") << remote;
        EXPECT_EQ(tunnels.line(*id).refusal == DropReason::none, leads) << remote;
    }
}

TEST_F(Underlay6, VX28_packet_too_big_about_our_packets_is_believed_and_forgotten) {
    begin_mixed();
    ASSERT_FALSE(bridge.add(to_remote(host(20), "2001:db8::2"), now));
    receive(world.vm1, unicast(1, 20));
    tick();
    receive(world.up, {advertisement("2001:db8::2")});
    tick();
    const auto id = tunnels.find(tunnels.profile_id(bridge.segment(0).profile),
                                 support::address("2001:db8::2"));
    ASSERT_TRUE(id);
    const auto inner_mtu = [&] { return tunnels.line(*id).max_frame - 14U; };
    const auto tell = [&](std::uint32_t mtu, const Frame& about, std::size_t quoted = 1200) {
        Bytes quote = about.bytes();
        quote.erase(quote.begin(), quote.begin() + 14);
        quote.resize(std::min(quote.size(), quoted));
        Bytes message{
            2, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(mtu >> 8), static_cast<std::uint8_t>(mtu)};
        message.insert(message.end(), quote.begin(), quote.end());
        Bytes covered;
        for (const char* one : {"2001:db8::fe", kOwn}) {
            const net::IpAddress address = support::address(one);
            covered.insert(covered.end(), address.bytes.begin(), address.bytes.end());
        }
        covered.insert(covered.end(), message.begin(), message.end());
        const std::uint16_t sum =
            support::rfc1071(covered, 58 + static_cast<std::uint32_t>(message.size()));
        message[2] = static_cast<std::uint8_t>(sum >> 8);
        message[3] = static_cast<std::uint8_t>(sum);
        receive(world.up,
                {a_frame()
                     .to(world.mac_of(world.up))
                     .from(kPeerMac)
                     .ipv6({.source = "2001:db8::fe", .destination = kOwn, .next_header = 58})
                     .payload(message)
                     .bytes()});
        tick();
    };
    const auto sent = [&](const char* from, const char* to, std::uint16_t port,
                          std::uint32_t vni = 7) {
        return a_frame()
            .ipv6({.source = from, .destination = to})
            .udp(port, 4789)
            .vxlan({.vni = vni}, a_frame().ipv4().udp(1, 2).payload(1402));
    };
    const Frame ours = sent(kOwn, "2001:db8::2", 40'000);
    EXPECT_EQ(inner_mtu(), 1430U);
    // Not ours: another sender, another remote, a port that we do not choose, a VNI of nobody.
    tell(1400, sent("2001:db8::7", "2001:db8::2", 40'000));
    tell(1400, sent(kOwn, "2001:db8::7", 40'000));
    tell(1400, sent(kOwn, "2001:db8::2", 1000));
    tell(1400, sent(kOwn, "2001:db8::2", 40'000, 9));
    EXPECT_EQ(punts.path_mtu_forged(), 4U);
    // Less than every link takes (RFC 8201 section 4), and no less than the packet was long.
    tell(1279, ours);
    tell(1500, ours);
    EXPECT_EQ(punts.path_mtu_forged(), 6U);
    EXPECT_EQ(inner_mtu(), 1430U);
    tell(1400, ours);
    EXPECT_EQ(inner_mtu(), 1330U);
    EXPECT_EQ(tunnels.line(*id).state, table::TunnelState::ipv6);
    EXPECT_EQ(tunnels.path_mtu(support::address("2001:db8::2")), 1400);
    tell(1280, ours, 52);
    EXPECT_EQ(inner_mtu(), 1210U);
    EXPECT_EQ(punts.path_mtu_forged(), 6U);
    EXPECT_EQ(tunnels.flush_path_mtus(support::address("2001:db8::7"), now), 0U);
    EXPECT_EQ(tunnels.flush_path_mtus(std::nullopt, now), 1U);
    EXPECT_EQ(inner_mtu(), 1430U);
    expect_law();
}

TEST_F(Underlay6, unanswered_neighbour_discovery_is_told_to_the_sender) {
    begin_mixed();
    ASSERT_FALSE(bridge.add(to_remote(host(20), "2001:db8::2"), now));
    receive(world.vm1, unicast(1, 20));
    forget_sent();
    pass(std::chrono::seconds(10), std::chrono::milliseconds(100));
    EXPECT_EQ(control_drops(DropReason::neigh_failed), 1U);
    EXPECT_EQ(sent_by(world.vm1).size(), 1U) << "ICMP host unreachable";
    expect_law();
}

}  // namespace
}  // namespace vxplane::control
