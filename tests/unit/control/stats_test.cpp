// Figures and alarms as they are shown.
#include "control/offloads.hpp"
#include "control/rx_verdicts.hpp"
#include "stack.hpp"

namespace vxplane::control {
namespace {

class ControlStats : public Stack {
  protected:
    explicit ControlStats(std::uint32_t capacity = 4096) : Stack(capacity) {}
    bool alarmed(const stats::Reader& reader, const std::string& words) {
        for (const std::string& alarm : reader.alarms()) {
            if (alarm.find(words) != std::string::npos) {
                return true;
            }
        }
        return false;
    }
};

class SmallTable : public ControlStats {
  protected:
    SmallTable() : ControlStats(10) {}
};

TEST_F(SmallTable, VX59_alarm_at_80_percent_of_the_table) {
    begin();
    const stats::Reader reader(world.machine, punts, bridge, publisher, world.topology);
    for (std::uint8_t i = 0; i < 7; ++i) {
        ASSERT_FALSE(bridge.add(to_remote(host(20 + i), "10.0.0.2"), now));
    }
    EXPECT_FALSE(alarmed(reader, "forwarding database"));
    ASSERT_FALSE(bridge.add(to_remote(host(40), "10.0.0.2"), now));
    EXPECT_TRUE(alarmed(reader,
                        "the forwarding database (system: fdb-capacity), capacity 10, is at "
                        "least 80 % full"));
    ASSERT_FALSE(bridge.remove(0, host(40), std::nullopt));
    EXPECT_FALSE(alarmed(reader, "forwarding database"));
}

TEST_F(ControlStats, VX59_alarm_at_80_percent_of_maxaddr) {
    SegmentSpec spec = red();
    spec.maxaddr = 5;
    segment(spec);
    begin();
    const stats::Reader reader(world.machine, punts, bridge, publisher, world.topology);
    for (std::uint8_t i = 0; i < 3; ++i) {
        ASSERT_FALSE(bridge.add(to_remote(host(20 + i), "10.0.0.2"), now));
        ASSERT_FALSE(bridge.add(to_remote({}, "10.0.0." + std::to_string(2 + i)), now));
    }
    EXPECT_FALSE(alarmed(reader, "segment red"));  // the flood list does not count
    ASSERT_FALSE(bridge.add(to_remote(host(40), "10.0.0.2"), now));
    EXPECT_TRUE(alarmed(reader, "segment red holds at least 80 % of its maxaddr 5"));
}

TEST_F(ControlStats,
       VX38_a_device_is_believed_after_enough_right_verdicts_and_never_after_a_wrong_one) {
    begin();
    const stats::Reader reader(world.machine, punts, bridge, publisher, world.topology);
    const auto state = [&](std::uint16_t port) {
        return std::string(name(rx_verdicts(world.machine, bridge, port).belief));
    };
    const auto try_devices = [&] {
        follow_rx_verdicts(world.machine, bridge);
        tick();
        poll(0);
    };
    using packet::RxSum;
    const auto trusts = [&](std::uint16_t port) { return bridge.port(port).trusted_sums; };
    EXPECT_EQ(state(world.vm1), "none");
    rx_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    for (const std::uint16_t port : {world.vm1, world.vm2}) {
        bridge.set_rx_belief(port, RxBelief::trying);
        EXPECT_EQ(state(port), "trying");
    }
    tick();
    poll(0);
    const Bytes right = unicast(1, 2).bytes();
    Bytes wrong = unicast(2, 1).bytes();
    wrong.back() ^= 1;
    receive(world.vm1, std::vector<Bytes>(RxVerdicts::kEnough - 1, right));
    try_devices();
    EXPECT_EQ(state(world.vm1), "trying");
    EXPECT_EQ(trusts(world.vm1), 0);
    receive(world.vm1, {right});
    receive(world.vm2, std::vector<Bytes>(RxVerdicts::kEnough, unicast(2, 1).bytes()));
    receive(world.vm2, {wrong});
    try_devices();
    EXPECT_EQ(state(world.vm1), "believed");
    EXPECT_EQ(trusts(world.vm1), packet::set_of(RxSum::udp4));
    EXPECT_EQ(state(world.vm2), "refuted");
    EXPECT_EQ(trusts(world.vm2), 0);
    EXPECT_FALSE(bridge.port(world.vm2).watches_sums);
    EXPECT_TRUE(alarmed(reader, "called wrong checksums good, workers verify in its place"));
    const auto shown = reader.ports("vm2").at(0)["rx_verdicts"];
    EXPECT_EQ(shown["state"], "refuted");
    EXPECT_EQ(shown["believed"], stats::Json::array());
    EXPECT_EQ(shown["right"]["udp4"], RxVerdicts::kEnough);
    EXPECT_EQ(shown["right"]["tcp4"], 0);
    EXPECT_EQ(shown["wrong"], 1);
    // For good: nothing is compared any more, and nothing that is right helps.
    receive(world.vm2, std::vector<Bytes>(RxVerdicts::kEnough, right));
    try_devices();
    EXPECT_EQ(state(world.vm2), "refuted");
    EXPECT_EQ(reader.ports("vm2").at(0)["rx_verdicts"]["right"]["udp4"], RxVerdicts::kEnough);
}

TEST_F(ControlStats, VX38_a_device_is_believed_about_what_it_was_right_about_until_it_lies) {
    begin();
    const stats::Reader reader(world.machine, punts, bridge, publisher, world.topology);
    const auto shown = [&] { return reader.ports("vm1").at(0)["rx_verdicts"]; };
    const auto try_device = [&] {
        follow_rx_verdicts(world.machine, bridge);
        tick();
        poll(0);
    };
    const auto tenant = [] { return support::a_frame().from(host(1)).to(host(2)); };
    rx_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    bridge.set_rx_belief(world.vm1, RxBelief::trying);
    try_device();
    receive(world.vm1, std::vector<Bytes>(RxVerdicts::kEnough, tenant().ipv4().udp(1, 2).bytes()));
    receive(world.vm1,
            std::vector<Bytes>(RxVerdicts::kEnough - 1, tenant().ipv6().udp(1, 2).bytes()));
    try_device();
    EXPECT_EQ(shown()["state"], "believed");
    EXPECT_EQ(shown()["believed"], (stats::Json{"ipv4", "udp4"}))
        << "UDP over IPv6 has not been enough";
    receive(world.vm1, {tenant().ipv6().udp(1, 2).bytes()});
    receive(world.vm1, std::vector<Bytes>(RxVerdicts::kEnough, tenant().ipv6().tcp(1, 2).bytes()));
    try_device();
    EXPECT_EQ(shown()["believed"], (stats::Json{"ipv4", "udp4", "udp6", "tcp6"}));
    // It goes on being watched, and one lie ends all.
    receive(world.vm1, {tenant().ipv4().tcp(1, 2, {.checksum = 7}).bytes()});
    try_device();
    EXPECT_EQ(shown()["state"], "refuted");
    EXPECT_EQ(bridge.port(world.vm1).trusted_sums, 0);
}

TEST(Offloads, the_log_says_who_makes_the_sums_of_what_is_sent) {
    port::TsoAbility tso;
    const auto says = [&](const std::string& words) {
        return offloads_in_words(false, tso).find(words) != std::string::npos;
    };
    EXPECT_TRUE(says("cut by the workers, who make all checksums"));
    tso.plain = true;
    EXPECT_TRUE(
        says("leave whole and the device makes their checksums, but those in tunnels are "
             "cut by the workers; these make all others"));
    tso.tunnel6 = true;
    EXPECT_TRUE(
        says("the device makes their checksums, in tunnels over IPv6, too, unless these "
             "have an outer UDP checksum; workers make all others"));
    tso.tunnel4 = true;
    EXPECT_TRUE(says("in tunnels, too, unless"));
    tso.tunnel6 = false;
    EXPECT_TRUE(says("in tunnels over IPv4, too, unless"));
    EXPECT_TRUE(says("received packets are verified by the workers"));
    EXPECT_EQ(offloads_in_words(true, tso).find("verified by the device once it is found"), 34U);
}

TEST_F(ControlStats, RP96_what_control_does_is_part_of_the_account) {
    begin();
    ASSERT_FALSE(bridge.add(to_remote(host(20), "10.0.0.2"), now));
    receive(world.vm1, unicast(1, 20));
    tick();
    const stats::Reader reader(world.machine, punts, bridge, publisher, world.topology);
    EXPECT_EQ(reader.unaccounted(), 0U);
    const auto control = reader.health()["control"];
    EXPECT_EQ(control["held"], 1);
    EXPECT_EQ(control["taken"].get<int>() + control["made"].get<int>(),
              control["consumed"].get<int>() + control["forwarded"].get<int>() +
                  control["dropped"].get<int>() + control["held"].get<int>());
}

TEST_F(ControlStats, a_reset_starts_all_counters_at_zero_and_writes_none) {
    begin();
    ASSERT_FALSE(bridge.add(to_remote(host(20), "10.6.0.2"), now));  // no route
    stats::Reader reader(world.machine, punts, bridge, publisher, world.topology);
    reader.reset();
    const std::uint64_t raw = world.machine.workers()[0]->counters().received.get();
    receive(world.vm1, unicast(1, 20));
    from_remote("10.0.0.3", unicast(30, 1));
    tick();
    const auto drops = reader.drops(false);
    ASSERT_EQ(drops.size(), 1U);
    EXPECT_EQ(drops[0]["reason"], "tunnel_no_route");
    EXPECT_EQ(drops[0]["packets"], 1);
    EXPECT_EQ(reader.drops(true).size(), packet::kDropReasons - 1);
    EXPECT_EQ(reader.workers()[0]["received"], 2);
    const auto vm1 = reader.ports("vm1");
    ASSERT_EQ(vm1.size(), 1U);
    EXPECT_EQ(vm1[0]["rx"]["packets"], 1);
    EXPECT_EQ(reader.segments("red")[0]["rx"]["packets"], 1);
    EXPECT_EQ(reader.segments("red")[0]["fdb_used"], bridge.used(0));
    EXPECT_TRUE(reader.segments("blue").empty());
    reader.reset();
    EXPECT_TRUE(reader.drops(false).empty());
    EXPECT_EQ(reader.workers()[0]["received"], 0);
    EXPECT_EQ(reader.ports("vm1")[0]["rx"]["packets"], 0);
    EXPECT_EQ(reader.segments("red")[0]["rx"]["packets"], 0);
    EXPECT_EQ(world.machine.workers()[0]->counters().received.get(), raw + 2);
    for (const auto& stage : reader.stages()) {
        EXPECT_EQ(stage["packets"], 0);
    }
}

}  // namespace
}  // namespace vxplane::control
