// Routes into a segment: what the path of their tunnel takes.
#include "stack.hpp"

namespace vxplane::control {
namespace {

class PathOfRoutes : public Stack {
  protected:
    std::uint32_t route_into_red(const char* remote) {
        HopSpec hop;
        hop.kind = table::NextHopKind::vxlan;
        hop.remote = ip(remote);
        hop.inner_destination = host(20);
        const auto problem =
            routing.put(Routing::kMain, {ip("10.244.0.0"), 16},
                        {table::RouteType::unicast, {{hop, 1}}}, Routing::Put::add, now);
        EXPECT_FALSE(problem) << *problem;
        bridge.commit();
        return routing.content(Routing::kMain).lookup(ip("10.244.0.1")).next_hop();
    }
    [[nodiscard]] unsigned longest(std::uint32_t next_hop) {
        bridge.commit();
        return publisher.current()->next_hops[next_hop].max_frame;
    }
    [[nodiscard]] static PathMtuNews told(const char* remote, std::uint32_t mtu) {
        return {.is_whole = true,
                .local = ip("10.0.0.1"),
                .remote = ip(remote),
                .source_port = 40'000,
                .dstport = 4789,
                .vni = {},
                .length = 1500,
                .dont_fragment = true,
                .mtu = mtu};
    }
};

TEST_F(PathOfRoutes, VX28_a_route_takes_what_the_path_of_its_tunnel_takes) {
    SegmentSpec spec = red();
    spec.mtu = 1450;
    spec.profile.dont_fragment = true;
    segment(spec);
    begin();
    const std::uint32_t hop = route_into_red("10.0.0.2");
    ASSERT_NE(hop, 0U);
    EXPECT_EQ(longest(hop), 1464U);
    ASSERT_EQ(tunnels.learn_path_mtu(told("10.0.0.2", 1300), now), PathMtuResult::lowered);
    EXPECT_EQ(longest(hop), 1264U);
    EXPECT_EQ(tunnels.learn_path_mtu(told("10.0.0.3", 1200), now), PathMtuResult::forged);
    EXPECT_EQ(longest(hop), 1264U);
    tunnels.tick(now + Tunnels::kPathMtuLife);
    EXPECT_EQ(longest(hop), 1464U) << "forgotten with the path";
}

TEST_F(PathOfRoutes, VX22_a_route_follows_its_uplink) {
    SegmentSpec spec = red();
    spec.mtu = 1450;
    segment(spec);
    begin();
    const std::uint32_t hop = route_into_red("10.0.0.2");
    tunnels.set_uplink_mtu(world.up, 1200);
    tunnels.reroute(now);
    EXPECT_EQ(longest(hop), 1164U);
    tunnels.set_uplink_mtu(world.up, 9000);
    tunnels.reroute(now);
    EXPECT_EQ(longest(hop), 1464U) << "never more than the segment takes";
}

}  // namespace
}  // namespace vxplane::control
