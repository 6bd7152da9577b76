// Next-hop groups of FDB entries: which member serves which flow, and how few flows a change of the
// members moves.
#include <map>
#include <string>
#include <vector>

#include "control/apply/words.hpp"
#include "stack.hpp"

namespace vxplane::control {
namespace {

class FdbGroups : public Stack {
  protected:
    static constexpr std::uint16_t kFlows = 2000;
    using Members = std::vector<Bridge::Member>;

    FdbGroups() : Stack(4096, 64) {}
    static Members remotes(const std::vector<int>& last) {
        Members all;
        for (const int one : last) all.emplace_back(ip("10.0.0." + std::to_string(one)));
        return all;
    }
    void begin_with(const Members& members) {
        bridge.set_nexthops({{5, members}});
        begin();
        FdbRequest request;
        request.mac = host(20);
        request.place.nhid = 5;
        ASSERT_FALSE(bridge.add(request, now));
        for (int last = 2; last < 20; ++last) known(last);
    }
    /// Its MAC address is known as soon as a tunnel leads to it.
    void known(int last) {
        neighbours.add_permanent({world.up, ip("10.0.0." + std::to_string(last))},
                                 mac("02:00:00:00:00:99"), now);
    }
    void change(const Members& members) {
        ASSERT_FALSE(bridge.change_nexthops({{5, members}}, now));
        bridge.commit();
    }
    /// By source port of the inner flow: who gets it.
    std::map<std::uint16_t, std::string> serve() {
        bridge.commit();
        tick();  // what is asked on the link
        std::map<std::uint16_t, std::string> served;
        for (std::uint16_t port = 0; port < kFlows; ++port) {
            forget_sent();
            receive(world.vm1,
                    a_frame().to(host(20)).from(host(1)).ipv4().udp(port, 9).payload(18));
            const auto sent = sent_by(world.up);
            EXPECT_EQ(sent.size(), 1U);
            if (!sent.empty()) served[port] = text(net::IpAddress(take_apart(sent[0]).destination));
        }
        return served;
    }
    static double moved(const std::map<std::uint16_t, std::string>& before,
                        const std::map<std::uint16_t, std::string>& after) {
        unsigned count = 0;
        for (const auto& [port, who] : before) count += after.at(port) != who ? 1U : 0U;
        return static_cast<double>(count) / kFlows;
    }
    static std::map<std::string, unsigned> shares(const std::map<std::uint16_t, std::string>& all) {
        std::map<std::string, unsigned> count;
        for (const auto& [port, who] : all) ++count[who];
        return count;
    }
};

TEST_F(FdbGroups, RP73_each_member_serves_its_share_of_the_flows) {
    begin_with(remotes({2, 3, 4, 5, 6}));
    const auto count = shares(serve());
    ASSERT_EQ(count.size(), 5U);
    for (const auto& [who, flows] : count) {
        EXPECT_NEAR(flows, kFlows / 5.0, kFlows * 0.04) << who;
    }
    EXPECT_EQ(serve(), serve()) << "a flow stays where it is";
    expect_law();
}

TEST_F(FdbGroups, RP73_a_member_who_leaves_moves_the_flows_that_it_served_and_no_other) {
    begin_with(remotes({2, 3, 4, 5, 6, 7, 8, 9}));
    const auto before = serve();
    change(remotes({2, 3, 4, 6, 7, 8, 9}));
    const auto after = serve();
    for (const auto& [port, who] : before) {
        if (who != "10.0.0.5") {
            EXPECT_EQ(after.at(port), who) << "flow " << port;
        }
    }
    EXPECT_LE(moved(before, after), 1.0 / 8 + 0.02);
    EXPECT_EQ(shares(after).size(), 7U);
    EXPECT_FALSE(shares(after).contains("10.0.0.5"));
    change(remotes({2, 3, 4, 5, 6, 7, 8, 9}));
    EXPECT_LE(moved(after, serve()), 1.0 / 8 + 0.02) << "and who comes back takes no more";
}

TEST_F(FdbGroups, RP73_who_takes_the_place_of_another_takes_its_flows) {
    begin_with(remotes({2, 3, 4, 5}));
    const auto before = serve();
    change(remotes({2, 11, 4, 5}));
    for (const auto& [port, who] : serve()) {
        EXPECT_EQ(who, before.at(port) == "10.0.0.3" ? "10.0.0.11" : before.at(port));
    }
}

TEST_F(FdbGroups, RP73_the_order_of_members_and_options_of_the_segment_move_no_flow) {
    begin_with(remotes({2, 3, 4}));
    const auto before = serve();
    change(remotes({4, 2, 3}));
    EXPECT_EQ(serve(), before);
    SegmentSpec spec = red();
    spec.profile.ttl = 33;
    ASSERT_FALSE(bridge.change_segment(0, spec, now));
    EXPECT_EQ(serve(), before);
}

TEST_F(FdbGroups, RP73_one_member_serves_all_and_many_changes_leave_no_tunnel_behind) {
    begin_with(remotes({2}));
    EXPECT_EQ(shares(serve()).size(), 1U);
    for (int last = 3; last < 19; ++last) change(remotes({last, last + 1}));
    EXPECT_EQ(tunnels.used(), 2U);
    const auto count = shares(serve());
    EXPECT_TRUE(count.contains("10.0.0.18") && count.contains("10.0.0.19")) << count.size();
}

}  // namespace
}  // namespace vxplane::control
