// Remotes with a VNI or a UDP port of their own: how entries get them, keep them and show them.
#include <set>

#include "control/apply/words.hpp"
#include "stack.hpp"

namespace vxplane::control {
namespace {

const net::MacAddress kFloodEntry{};

class DownstreamVni : public Stack {
  protected:
    FdbRequest with(net::MacAddress address, const std::string& remote, OwnNumbers own) {
        FdbRequest request = to_remote(address, remote);
        request.place.own = own;
        return request;
    }
    void resolve(const std::string& remote) {
        tick();
        receive(world.up, {arp_reply(remote, mac("02:00:00:00:00:99"))});
        tick();
        forget_sent();
    }
    /// VNI and UDP port of what leaves for `to`.
    std::pair<std::uint32_t, std::uint16_t> sent_to(std::uint8_t to) {
        forget_sent();
        receive(world.vm1, unicast(1, to));
        const auto sent = sent_by(world.up);
        if (sent.size() != 1) return {};
        const Outer outer = take_apart(sent[0]);
        return {outer.vni_word >> 8, outer.destination_port};
    }
    std::string all_of(net::MacAddress address) {
        std::string text;
        const auto found = entry(address);
        for (std::size_t i = 0; found && i < found->remotes.size(); ++i) {
            text += control::text(found->remotes[i]) + "/" + std::to_string(found->own[i].vni) +
                    "/" + std::to_string(found->own[i].dstport) + " ";
        }
        return text;
    }
};

TEST_F(DownstreamVni, VX98_an_entry_says_what_is_sent_to_its_remote) {
    begin();
    ASSERT_FALSE(bridge.add(with(host(20), "10.0.0.2", {500, 0}), now));
    ASSERT_FALSE(bridge.add(with(host(21), "10.0.0.2", {0, 8472}), now));
    ASSERT_FALSE(bridge.add(with(host(22), "10.0.0.2", {501, 8472}), now));
    ASSERT_FALSE(bridge.add(with(host(23), "10.0.0.2", {7, 4789}), now));  // as the segment
    ASSERT_FALSE(bridge.add(to_remote(host(24), "10.0.0.2"), now));
    resolve("10.0.0.2");
    using Pair = std::pair<std::uint32_t, std::uint16_t>;
    EXPECT_EQ(sent_to(20), (Pair{500, 4789}));
    EXPECT_EQ(sent_to(21), (Pair{7, 8472}));
    EXPECT_EQ(sent_to(22), (Pair{501, 8472}));
    EXPECT_EQ(sent_to(23), (Pair{7, 4789}));
    EXPECT_EQ(sent_to(24), (Pair{7, 4789}));
    EXPECT_EQ(tunnels.used(), 4U) << "one for each pair of numbers";
    EXPECT_EQ(all_of(host(22)), "10.0.0.2/501/8472 ");
    EXPECT_EQ(all_of(host(23)), "10.0.0.2/0/0 ");
    // Replaced, it says something else.
    ASSERT_FALSE(bridge.replace(with(host(20), "10.0.0.2", {502, 0}), now));
    EXPECT_EQ(sent_to(20), (Pair{502, 4789}));
    FdbFilter filter;
    filter.place.own.vni = 502;
    EXPECT_EQ(bridge.flush(filter), 1U);
    EXPECT_FALSE(entry(host(20)));
    EXPECT_TRUE(entry(host(22)));
    EXPECT_EQ(tunnels.used(), 3U);
    expect_law();
}

TEST_F(DownstreamVni, VX60_VX62_VX98_a_list_may_have_one_remote_with_several_vnis) {
    begin();
    ASSERT_FALSE(bridge.add(to_remote(kFloodEntry, "10.0.0.2"), now));
    ASSERT_FALSE(bridge.add(with(kFloodEntry, "10.0.0.2", {500, 0}), now));
    ASSERT_FALSE(bridge.add(with(kFloodEntry, "10.0.0.2", {501, 0}), now));
    EXPECT_EQ(bridge.add(with(kFloodEntry, "10.0.0.2", {500, 4789}), now),
              "00:00:00:00:00:00 dst 10.0.0.2 is there already");
    resolve("10.0.0.2");
    receive(world.vm1, unicast(1, 99));
    std::vector<std::uint32_t> vnis;
    for (const Bytes& frame : sent_by(world.up)) vnis.push_back(take_apart(frame).vni_word >> 8);
    EXPECT_EQ(vnis, (std::vector<std::uint32_t>{500, 501, 7}));
    EXPECT_TRUE(bridge.remove(0, kFloodEntry, ip("10.0.0.2"), {502, 0}));
    ASSERT_FALSE(bridge.remove(0, kFloodEntry, ip("10.0.0.2"), {500, 0}));
    EXPECT_EQ(all_of(kFloodEntry), "10.0.0.2/0/0 10.0.0.2/501/0 ");
    ASSERT_FALSE(bridge.remove(0, kFloodEntry, ip("10.0.0.2")));
    EXPECT_EQ(all_of(kFloodEntry), "10.0.0.2/501/0 ");
    expect_law();
}

TEST_F(DownstreamVni, VX97_VX98_other_options_of_the_segment_leave_it) {
    const std::vector<Bridge::Member> members{{ip("10.0.0.2")}, {ip("10.0.0.3"), {501, 0}}};
    bridge.set_nexthops({{5, members}});
    begin();
    ASSERT_FALSE(bridge.add(with(host(20), "10.0.0.2", {500, 8472}), now));
    ASSERT_FALSE(bridge.add(with(kFloodEntry, "10.0.0.2", {500, 0}), now));
    FdbRequest group;
    group.mac = host(21);
    group.place.nhid = 5;
    group.place.own.vni = 600;
    ASSERT_FALSE(bridge.add(group, now));
    resolve("10.0.0.2");
    resolve("10.0.0.3");
    SegmentSpec spec = red();
    spec.profile.ttl = 33;
    ASSERT_FALSE(bridge.change_segment(0, spec, now));
    bridge.commit();
    EXPECT_EQ(sent_to(20), (std::pair<std::uint32_t, std::uint16_t>{500, 8472}));
    EXPECT_EQ(all_of(kFloodEntry), "10.0.0.2/500/0 ");
    EXPECT_EQ(entry(host(21))->own.front().vni, 600U);
    // Of the group, one member says it itself; the entry says it for the other.
    std::set<std::uint32_t> seen;
    for (std::uint16_t port = 0; port < 64; ++port) {
        forget_sent();
        receive(world.vm1, a_frame().to(host(21)).from(host(1)).ipv4().udp(port, 9).payload(18));
        for (const Bytes& frame : sent_by(world.up)) {
            seen.insert(take_apart(frame).vni_word >> 8);
            EXPECT_EQ(take_apart(frame).ttl, 33);
        }
    }
    EXPECT_EQ(seen, (std::set<std::uint32_t>{501, 600}));
    expect_law();
}

TEST_F(DownstreamVni, VX52_VX98_a_dynamic_entry_keeps_it_while_its_remote_speaks) {
    begin();
    FdbRequest request = with(host(20), "10.0.0.2", {500, 0});
    request.state = table::FdbState::dynamic;
    ASSERT_FALSE(bridge.add(request, now));
    resolve("10.0.0.2");
    pass(60s, 1s);
    from_remote("10.0.0.2", unicast(20, 1));
    tick();
    EXPECT_EQ(all_of(host(20)), "10.0.0.2/500/0 ");
    EXPECT_LT(entry(host(20))->age.value(), 2s) << "seen again";
    EXPECT_EQ(count(FdbNews::Kind::moved), 0U);
    // From elsewhere, it moves, and is as any learned one.
    from_remote("10.0.0.3", unicast(20, 1));
    tick();
    EXPECT_EQ(all_of(host(20)), "10.0.0.3/0/0 ");
    expect_law();
}

TEST_F(DownstreamVni, VX28_VX98_routers_may_quote_it) {
    begin();
    ASSERT_FALSE(bridge.add(with(host(20), "10.0.0.2", {500, 0}), now));
    ASSERT_FALSE(bridge.add(with(host(21), "10.0.0.2", {0, 8472}), now));
    EXPECT_TRUE(tunnels.sends(ip("10.0.0.2"), 4789, 500));
    EXPECT_TRUE(tunnels.sends(ip("10.0.0.2"), 8472, 0));
    EXPECT_FALSE(tunnels.sends(ip("10.0.0.2"), 8472, 500));
    EXPECT_FALSE(tunnels.sends(ip("10.0.0.3"), 4789, 500));
    EXPECT_FALSE(tunnels.sends(ip("10.0.0.2"), 4789, 501));
}

TEST_F(DownstreamVni, VX19_an_address_of_our_own_is_a_remote_with_the_vni_of_another_segment) {
    segment(red());
    SegmentSpec blue = red();
    blue.name = "blue";
    blue.vni = {8};
    blue.own_mac = mac("02:ee:00:00:00:08");
    blue.ports = {world.vm3};
    segment(blue);
    begin();
    EXPECT_EQ(bridge.add(with(host(20), "10.0.0.1", {}), now),
              "dst 10.0.0.1 cannot be a remote (ours, or an address that no host has)");
    EXPECT_TRUE(bridge.add(with(host(20), "10.0.0.1", {7, 4789}), now)) << "its own segment";
    ASSERT_FALSE(bridge.add(with(host(20), "10.0.0.1", {8, 0}), now));
    ASSERT_FALSE(bridge.add(with(host(21), "10.0.0.1", {9, 0}), now));
    ASSERT_FALSE(bridge.add(with(kFloodEntry, "10.0.0.1", {8, 0}), now));
    tick();
    receive(world.vm1, unicast(1, 20));
    EXPECT_EQ(sent_by(world.vm3).size(), 1U);
    receive(world.vm1, unicast(1, 99));
    EXPECT_EQ(sent_by(world.vm3).size(), 1U);
    EXPECT_TRUE(sent_by(world.up).empty());
    receive(world.vm1, unicast(1, 21));
    EXPECT_EQ(worker_drops(DropReason::vxlan_unknown_vni), 1U);
    expect_law();
}

TEST_F(DownstreamVni, VX19_without_local_bypass_it_is_sent_to_the_wire) {
    SegmentSpec spec = red();
    spec.profile.local_bypass = false;
    segment(spec);
    begin();
    ASSERT_FALSE(bridge.add(with(host(20), "10.0.0.1", {8, 0}), now));
    ASSERT_FALSE(bridge.add(with(host(21), "10.0.0.1", {}), now));
    tick();
    EXPECT_EQ(sent_to(20).first, 8U);
    EXPECT_EQ(sent_to(21).first, 7U);
}

}  // namespace
}  // namespace vxplane::control
