// Figures and alarms as they are shown.
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
    const auto trusts = [&](std::uint16_t port) { return bridge.port(port).trusts_rx_checksum; };
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
    EXPECT_FALSE(trusts(world.vm1));
    receive(world.vm1, {right});
    receive(world.vm2, std::vector<Bytes>(RxVerdicts::kEnough, unicast(2, 1).bytes()));
    receive(world.vm2, {wrong});
    try_devices();
    EXPECT_EQ(state(world.vm1), "believed");
    EXPECT_TRUE(trusts(world.vm1));
    EXPECT_EQ(state(world.vm2), "refuted");
    EXPECT_FALSE(trusts(world.vm2));
    EXPECT_FALSE(bridge.port(world.vm2).tries_rx_checksum);
    EXPECT_TRUE(alarmed(reader, "called wrong checksums good, workers verify in its place"));
    const auto shown = reader.ports("vm2").at(0)["rx_verdicts"];
    EXPECT_EQ(shown["state"], "refuted");
    EXPECT_EQ(shown["right"], RxVerdicts::kEnough);
    EXPECT_EQ(shown["wrong"], 1);
    // For good: nothing is compared any more, and nothing that is right helps.
    receive(world.vm2, std::vector<Bytes>(RxVerdicts::kEnough, right));
    try_devices();
    EXPECT_EQ(state(world.vm2), "refuted");
    EXPECT_EQ(reader.ports("vm2").at(0)["rx_verdicts"]["right"], RxVerdicts::kEnough);
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
