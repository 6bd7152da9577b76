// Routes that are for one TOS alone: tunnels with a fixed TOS, and those that take it from inside.
#include <set>

#include "stack.hpp"

namespace vxplane::control {
namespace {

const net::MacAddress kPlain = mac("02:00:00:00:00:a0");
const net::MacAddress kFast = mac("02:00:00:00:00:a1");

class TosRoutes : public Stack {
  protected:
    explicit TosRoutes(std::uint32_t tunnel_capacity = 64) : Stack(4096, tunnel_capacity) {
        lead(routes.v4, "10.0.0.250");
    }
    void lead(table::Fib4& fib, const char* gateway, std::uint8_t tos = 0,
              table::RouteType type = table::RouteType::unicast) {
        ASSERT_TRUE(fib.add(ip("192.0.2.0").number(), 24,
                            {type, world.up, ip(gateway).number(), 0, 0, tos}));
    }
    /// What set_routes() makes of a second route with that TOS.
    table::Fib4& route_for(std::uint8_t tos, const char* gateway,
                           table::RouteType type = table::RouteType::unicast) {
        table::Fib4& fib = routes.by_tos.try_emplace(tos, 1024).first->second;
        fib.add(ip("10.0.0.0").number(), 24, {table::RouteType::unicast, world.up, 0});
        lead(fib, gateway, tos, type);
        return fib;
    }
    std::uint16_t segment_with(std::uint8_t tos, bool inherit) {
        SegmentSpec spec = red();
        spec.profile.tos = tos;
        spec.profile.inherit.tos = inherit;
        const std::uint16_t index = segment(spec);
        begin();
        EXPECT_FALSE(bridge.add(to_remote(host(20), "192.0.2.9"), now));
        return index;
    }
    void resolve() {
        tick();
        receive(world.up, {arp_reply("10.0.0.250", kPlain)});
        receive(world.up, {arp_reply("10.0.0.251", kFast)});
        tick();
        forget_sent();
    }
    static Frame with_tos(std::uint8_t tos) {
        Frame frame = a_frame();
        frame.to(host(20)).from(host(1)).ipv4({.tos = tos}).udp(1000, 2000).payload(64);
        return frame;
    }
    /// The next hop of what leaves; "none" when nothing does.
    std::string next_hop_of(const Frame& frame) {
        forget_sent();
        receive(world.vm1, frame);
        const auto sent = sent_by(world.up);
        if (sent.size() != 1) return "none";
        const net::MacAddress to = take_apart(sent[0]).to;
        return to == kPlain ? "plain" : to == kFast ? "fast" : "another";
    }
};

TEST_F(TosRoutes, VX18_a_fixed_tos_chooses_by_four_of_its_bits) {
    route_for(0x10, "10.0.0.251");
    segment_with(0xF3, false);  // 0xf3 & 0x1c is 0x10
    resolve();
    EXPECT_EQ(next_hop_of(with_tos(0)), "fast");
    EXPECT_EQ(next_hop_of(with_tos(0xFF)), "fast") << "the outer TOS chooses";
    EXPECT_EQ(tunnels.used(), 1U);
    expect_law();
}

TEST_F(TosRoutes, VX18_a_tos_without_a_route_of_its_own_takes_that_of_all_others) {
    route_for(0x10, "10.0.0.251");
    segment_with(0x08, false);
    resolve();
    EXPECT_EQ(next_hop_of(with_tos(0x10)), "plain");
}

TEST_F(TosRoutes, VX18_an_inherited_tos_chooses_for_each_packet) {
    route_for(0x10, "10.0.0.251");
    segment_with(0, true);
    resolve();
    for (unsigned tos = 0; tos < 256; ++tos) {
        EXPECT_EQ(next_hop_of(with_tos(static_cast<std::uint8_t>(tos))),
                  (tos & 0x1C) == 0x10 ? "fast" : "plain")
            << tos;
    }
    Frame six = a_frame();
    six.to(host(20)).from(host(1)).ipv6({.traffic_class = 0x10}).udp(1000, 2000).payload(64);
    EXPECT_EQ(next_hop_of(six), "fast");
    Frame neither = a_frame();
    neither.to(host(20)).from(host(1)).type(0x88B5).payload(64);
    EXPECT_EQ(next_hop_of(neither), "plain");
    EXPECT_EQ(tunnels.used(), 3U) << "the one that chooses, and one for each way";
    expect_law();
}

TEST_F(TosRoutes, VX18_each_way_waits_is_refused_and_told_by_itself) {
    route_for(0x10, "10.0.0.251");
    route_for(0x08, "0.0.0.0", table::RouteType::blackhole);
    segment_with(0, true);
    tick();
    receive(world.up, {arp_reply("10.0.0.250", kPlain)});
    tick();
    EXPECT_EQ(next_hop_of(with_tos(0)), "plain");
    EXPECT_EQ(next_hop_of(with_tos(0x08)), "none");
    EXPECT_EQ(worker_drops(DropReason::tunnel_blackhole), 1U);
    EXPECT_EQ(next_hop_of(with_tos(0x10)), "none");
    tick();
    forget_sent();
    receive(world.up, {arp_reply("10.0.0.251", kFast)});
    tick();
    std::set<std::uint64_t> hops;
    for (const Bytes& frame : sent_by(world.up)) hops.insert(take_apart(frame).to.number());
    EXPECT_TRUE(hops.contains(kFast.number()))
        << "what waited leaves by the way that it waited for";
    EXPECT_EQ(next_hop_of(with_tos(0x10)), "fast");
    expect_law();
}

TEST_F(TosRoutes, VX18_routes_that_change_lead_tunnels_anew) {
    segment_with(0, true);
    resolve();
    EXPECT_EQ(tunnels.used(), 1U);
    EXPECT_EQ(next_hop_of(with_tos(0x10)), "plain");
    table::Fib4& fib = route_for(0x10, "10.0.0.251");
    tunnels.reroute(now);
    bridge.commit();
    resolve();
    EXPECT_EQ(next_hop_of(with_tos(0x10)), "fast");
    EXPECT_EQ(tunnels.used(), 3U);
    lead(fib, "10.0.0.250", 0x10);  // the same way for all: nothing to choose
    tunnels.reroute(now);
    bridge.commit();
    tick();
    EXPECT_EQ(next_hop_of(with_tos(0x10)), "plain");
    EXPECT_EQ(tunnels.used(), 1U);
    lead(fib, "10.0.0.251", 0x10);
    tunnels.reroute(now);
    bridge.commit();
    resolve();
    EXPECT_EQ(next_hop_of(with_tos(0x10)), "fast");
    routes.by_tos.clear();
    tunnels.reroute(now);
    bridge.commit();
    tick();
    EXPECT_EQ(next_hop_of(with_tos(0x10)), "plain");
    EXPECT_EQ(tunnels.used(), 1U);
    ASSERT_FALSE(bridge.remove(0, host(20), ip("192.0.2.9")));
    EXPECT_EQ(tunnels.used(), 0U);
    expect_law();
}

TEST_F(TosRoutes, VX18_a_peer_that_is_reached_by_several_ways_is_one_peer) {
    route_for(0x10, "10.0.0.251");
    segment_with(0, true);
    resolve();
    from_remote("192.0.2.9", unicast(30, 1));
    tick();
    EXPECT_EQ(dst(host(30)), "192.0.2.9");
    const auto news_before = news.size();
    for (int i = 0; i < 3; ++i) {
        from_remote("192.0.2.9", unicast(30, 1));
        tick();
    }
    EXPECT_EQ(news.size(), news_before) << "no move";
}

class FewTosRoutes : public TosRoutes {
  protected:
    FewTosRoutes() : TosRoutes(2) {}
};

TEST_F(FewTosRoutes, VX18_without_room_for_all_ways_nothing_leaves_and_it_is_counted) {
    route_for(0x10, "10.0.0.251");
    segment_with(0, true);
    resolve();
    EXPECT_EQ(next_hop_of(with_tos(0)), "none");
    EXPECT_GT(tunnels.refused(), 0U);
    EXPECT_EQ(tunnels.used(), 1U) << "none is left behind";
    routes.by_tos.clear();
    tunnels.reroute(now);
    bridge.commit();
    resolve();
    EXPECT_EQ(next_hop_of(with_tos(0)), "plain");
}

}  // namespace
}  // namespace vxplane::control
