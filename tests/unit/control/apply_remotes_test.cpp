// Remote VTEPs: which addresses can be one, where packets to them come from, how many there may be,
// and when their numbers are used again. And what else an operator relies on: answers to pings, and
// an alarm when a worker stands still.
#include "stack.hpp"

namespace vxplane::control {
namespace {

const net::MacAddress kEveryone{};
const net::MacAddress kListGroup = mac("01:00:5e:00:00:05");
const net::MacAddress kOtherGroup = mac("01:00:5e:00:00:06");

class Remotes : public Stack {
  protected:
    explicit Remotes(std::uint32_t tunnel_capacity = 64) : Stack(4096, tunnel_capacity) {}

    [[nodiscard]] net::Ipv4Address source_to(const char* remote, const TunnelProfile& profile) {
        const auto id = tunnels.find(tunnels.profile_id(profile), ip(remote));
        return id ? tunnels.line(*id).ip.source : net::Ipv4Address{};
    }
    [[nodiscard]] std::uint32_t list_of(net::MacAddress group) const {
        return bridge.fdb().find(table::FdbKey::make(group.number(), 0)).value.index();
    }
    void publish_something() {
        bridge.set_port(world.vm3, table::PortEntry{});
        bridge.commit();
    }
    static bool alarmed(const stats::Reader& reader, const std::string& words) {
        const auto alarms = reader.alarms();
        return std::any_of(alarms.begin(), alarms.end(), [&words](const std::string& alarm) {
            return alarm.find(words) != std::string::npos;
        });
    }
};

TEST_F(Remotes, VX44_no_entry_leads_to_an_address_that_no_vtep_has) {
    begin();
    for (const char* wrong :
         {"10.0.0.0", "10.0.0.255", "10.0.0.1", "127.0.0.1", "0.0.0.1", "255.255.255.255"}) {
        for (const net::MacAddress address : {host(20), kEveryone, kListGroup}) {
            EXPECT_TRUE(bridge.add(to_remote(address, wrong), now)) << wrong;
            EXPECT_TRUE(bridge.replace(to_remote(address, wrong), now)) << wrong;
        }
    }
    EXPECT_TRUE(entries().empty());
    EXPECT_EQ(tunnels.used(), 0U);
    EXPECT_FALSE(bridge.add(to_remote(host(20), "10.0.0.254"), now));
    EXPECT_FALSE(bridge.add(to_remote(host(21), "10.0.1.255"), now));  // of another network
}

TEST_F(Remotes, VX08_without_local_the_source_follows_the_route_of_each_remote) {
    // A second uplink with two networks, in the place of vm3.
    const std::vector<OwnAddress> second{{ip("10.8.0.1"), 24}, {ip("10.9.0.1"), 24}};
    neighbours.set_port(world.vm3, world.mac_of(world.vm3), second);
    tunnels.set_uplink(world.vm3, {world.mac_of(world.vm3), 1500, second});
    using table::RouteType;
    routes.v4.add(ip("10.8.0.0").number(), 24, {RouteType::unicast, world.vm3, 0});
    routes.v4.add(ip("10.9.0.0").number(), 24, {RouteType::unicast, world.vm3, 0});
    const auto by = [&](const char* network, std::uint16_t port, const char* gateway) {
        routes.v4.add(ip(network).number(), 16, {RouteType::unicast, port, ip(gateway).number()});
    };
    by("10.20.0.0", world.up, "10.0.0.254");
    by("10.21.0.0", world.vm3, "10.8.0.254");
    by("10.22.0.0", world.vm3, "10.9.0.254");
    by("10.23.0.0", world.vm3, "10.77.0.254");  // on no network of ours
    SegmentSpec spec = red();
    spec.profile.local = 0;
    segment(spec);
    begin();
    struct Case {
        const char* remote;
        const char* source;
    };
    for (const Case one :
         {Case{"10.0.0.2", "10.0.0.1"}, Case{"10.8.0.2", "10.8.0.1"}, Case{"10.9.0.2", "10.9.0.1"},
          Case{"10.20.0.2", "10.0.0.1"}, Case{"10.21.0.2", "10.8.0.1"},
          Case{"10.22.0.2", "10.9.0.1"}, Case{"10.23.0.2", "10.8.0.1"}}) {
        ASSERT_FALSE(bridge.replace(to_remote(host(20), one.remote), now)) << one.remote;
        EXPECT_EQ(source_to(one.remote, spec.profile), ip(one.source)) << one.remote;
    }
    // What is configured goes before the route.
    ASSERT_NE(tunnels.acquire(tunnels.profile_id(red().profile), ip("10.8.0.3"), now),
              std::nullopt);
    EXPECT_EQ(source_to("10.8.0.3", red().profile), ip("10.0.0.1"));
    neighbours.remove_port(world.vm3);
}

class SixteenTunnels : public Remotes {
  protected:
    SixteenTunnels() : Remotes(16) {}
};

TEST_F(SixteenTunnels, VX59_the_last_eighth_is_for_people_and_80_percent_is_an_alarm) {
    begin();
    const stats::Reader reader(world.machine, punts, bridge, publisher, world.topology);
    const auto is_heard = [&](std::uint8_t i) {
        from_remote("10.0.0." + std::to_string(2 + i), unicast(20 + i, 1));
        tick();
    };
    for (std::uint8_t i = 0; i < 12; ++i) {
        is_heard(i);
    }
    EXPECT_EQ(tunnels.used(), 12U);
    EXPECT_FALSE(alarmed(reader, "tunnel-capacity"));
    is_heard(12);
    EXPECT_TRUE(alarmed(reader, "tunnel-capacity"));
    is_heard(13);
    EXPECT_EQ(tunnels.used(), 14U);
    is_heard(14);
    EXPECT_EQ(tunnels.used(), 14U) << "two of sixteen are kept";
    EXPECT_FALSE(entry(host(34)));
    EXPECT_EQ(bridge.counters().learn_refused, 1U);
    ASSERT_FALSE(bridge.add(to_remote(host(50), "10.0.0.50"), now));
    ASSERT_FALSE(bridge.add(to_remote(kEveryone, "10.0.0.51"), now));
    EXPECT_EQ(tunnels.used(), 16U);
    EXPECT_TRUE(bridge.add(to_remote(host(52), "10.0.0.52"), now));
    // More addresses behind a known peer cost no tunnel.
    from_remote("10.0.0.2", unicast(60, 1));
    tick();
    EXPECT_EQ(dst(host(60)), "10.0.0.2");
    FdbFilter learned;
    learned.state = table::FdbState::dynamic;
    bridge.flush(learned);
    EXPECT_FALSE(alarmed(reader, "tunnel-capacity"));
    expect_law();
}

TEST_F(Remotes, VX63_a_flush_by_remote_takes_it_out_of_flood_lists_too) {
    segment(red());
    SegmentSpec blue = red();
    blue.name = "blue";
    blue.vni = {8};
    blue.ports = {world.vm3};
    segment(blue);
    begin();
    for (const std::uint16_t s : {std::uint16_t{0}, std::uint16_t{1}}) {
        ASSERT_FALSE(bridge.add(to_remote(kEveryone, "10.0.0.2", s), now));
        ASSERT_FALSE(bridge.add(to_remote(kEveryone, "10.0.0.3", s), now));
    }
    FdbFilter filter;
    filter.place.remote = ip("10.0.0.2");
    filter.segment = 1;
    EXPECT_EQ(bridge.flush(filter), 1U);
    EXPECT_EQ(dst(kEveryone, 0), "10.0.0.2 10.0.0.3");
    EXPECT_EQ(dst(kEveryone, 1), "10.0.0.3");
    filter.segment.reset();
    EXPECT_EQ(bridge.flush(filter), 1U);
    EXPECT_EQ(dst(kEveryone, 0), "10.0.0.3");
    EXPECT_EQ(bridge.flush(filter), 0U);
    filter.place.remote = ip("10.0.0.3");
    EXPECT_EQ(bridge.flush(filter), 2U);
    EXPECT_EQ(tunnels.used(), 0U);
    // Workers see it: nobody is left to flood to but the other member.
    forget_sent();
    receive(world.vm1, unicast(1, 99));
    EXPECT_EQ(sent_by(world.vm2).size(), 1U);
    EXPECT_EQ(worker_drops(DropReason::tunnel_no_route), 0U);
    EXPECT_EQ(punts.held(), 0U);
}

TEST_F(Remotes, RP92_the_grace_of_what_is_given_up_begins_with_the_next_publication) {
    begin();
    bool over = false;
    publisher.after_next_publication([&over] { over = true; });
    // No worker looks at anything, but the tables of now still lead there.
    bridge.reclaim();
    EXPECT_FALSE(over);
    {
        const Stuck stuck(0);
        publish_something();
        bridge.reclaim();
        EXPECT_FALSE(over);
    }
    bridge.reclaim();
    EXPECT_TRUE(over);
}

TEST_F(Remotes, RP92_a_tunnel_given_up_without_a_publication_keeps_its_number) {
    begin();
    const std::uint32_t profile = tunnels.profile_id(red().profile);
    const std::uint32_t old = *tunnels.acquire(profile, ip("10.0.0.2"), now);
    bridge.commit();
    tunnels.release(old);
    bridge.reclaim();
    tunnels.allow_reuse();
    EXPECT_NE(*tunnels.acquire(profile, ip("10.0.0.3"), now), old);
    bridge.commit();
    bridge.reclaim();
    tunnels.allow_reuse();
    EXPECT_EQ(*tunnels.acquire(profile, ip("10.0.0.4"), now), old);
}

TEST_F(Remotes, RP92_a_flood_list_is_used_again_only_after_publication_and_grace) {
    begin();
    ASSERT_FALSE(bridge.add(to_remote(kListGroup, "10.0.0.2"), now));
    const std::uint32_t old = list_of(kListGroup);
    const auto lists = [this] { return publisher.current()->flood_lists.size(); };
    const std::size_t before = lists();
    {
        const Stuck stuck(0);
        ASSERT_FALSE(bridge.remove(0, kListGroup, std::nullopt));
        // The worker may still hold the number of the old list: a new one is made.
        EXPECT_TRUE(bridge.add(to_remote(kOtherGroup, "10.0.0.3"), now));
        EXPECT_EQ(lists(), before + 1);
    }
    bridge.commit();
    tick();
    ASSERT_FALSE(bridge.add(to_remote(kListGroup, "10.0.0.4"), now));
    ASSERT_FALSE(bridge.add(to_remote(kOtherGroup, "10.0.0.5"), now));
    EXPECT_EQ(lists(), before + 1) << "both numbers are used again";
    EXPECT_TRUE(list_of(kListGroup) == old || list_of(kOtherGroup) == old);
    EXPECT_EQ(dst(kListGroup), "10.0.0.4");
    EXPECT_EQ(dst(kOtherGroup), "10.0.0.5");
}

TEST_F(Remotes, an_echo_request_to_another_address_of_ours_is_answered_from_that_one) {
    const std::vector<OwnAddress> own{{ip("10.0.0.1"), 24}, {ip("10.9.0.1"), 24}};
    punts.set_addresses(own);
    bridge.set_addresses({{own[0], world.up}, {own[1], world.vm3}});
    begin();
    const net::MacAddress peer = mac("02:aa:00:00:00:01");
    receive(world.up, a_frame()
                          .to(world.mac_of(world.up))
                          .from(peer)
                          .ipv4({.source = "10.0.0.2", .destination = "10.9.0.1"})
                          .icmp_echo()
                          .payload(56));
    tick();
    const auto answers = sent_by(world.up);
    ASSERT_EQ(answers.size(), 1U);
    const Bytes& answer = answers[0];
    EXPECT_EQ(Bytes(answer.begin(), answer.begin() + 6),
              Bytes(peer.bytes.begin(), peer.bytes.end()));
    EXPECT_EQ(Bytes(answer.begin() + 26, answer.begin() + 30), (Bytes{10, 9, 0, 1}));
    EXPECT_EQ(Bytes(answer.begin() + 30, answer.begin() + 34), (Bytes{10, 0, 0, 2}));
    EXPECT_EQ(answer[34], 0) << "an echo reply";
    expect_law();
}

TEST_F(Remotes, RP92_a_worker_that_does_not_poll_is_an_alarm_and_is_called_stuck) {
    begin();
    stats::Reader reader(world.machine, punts, bridge, publisher, world.topology);
    auto at = std::chrono::steady_clock::now();
    const auto looks_later = [&](std::chrono::milliseconds time) {
        at += time;
        reader.watch(at);
    };
    poll(0);
    poll(1);
    reader.watch(at);
    poll(0);
    looks_later(900ms);
    EXPECT_FALSE(alarmed(reader, "does not poll")) << "a busy machine may be that slow";
    poll(0);
    looks_later(200ms);
    EXPECT_TRUE(alarmed(reader, "worker 1 does not poll"));
    EXPECT_FALSE(alarmed(reader, "worker 0 does not poll"));
    EXPECT_EQ(reader.workers()[0]["state"], "running");
    EXPECT_EQ(reader.workers()[1]["state"], "stuck");
    EXPECT_EQ(reader.health()["ok"], false);
    poll(1);
    looks_later(10ms);
    EXPECT_FALSE(alarmed(reader, "does not poll"));
    EXPECT_EQ(reader.workers()[1]["state"], "running");
}

}  // namespace
}  // namespace vxplane::control
