// What control may free or use again, and when: grace periods, stuck workers, tunnel numbers.
#include <rte_launch.h>

#include <atomic>
#include <thread>

#include "stack.hpp"

namespace vxplane::control {
namespace {

class ApplyGrace : public Stack {
  protected:
    /// How often tables have been freed can be seen by the number that waits.
    void publish_something() {
        bridge.set_port(world.vm3, table::PortEntry{});
        bridge.commit();
    }
};

TEST_F(ApplyGrace, RP92_old_tables_are_freed_only_after_every_worker_has_passed) {
    begin();
    bridge.reclaim();
    ASSERT_EQ(publisher.waiting(), 0U);
    rte_rcu_qsbr_thread_online(publisher.rcu(), 0);
    rte_rcu_qsbr_thread_online(publisher.rcu(), 1);
    bool freed = false;
    publish_something();
    publisher.after_grace([&] { freed = true; });
    EXPECT_EQ(publisher.waiting(), 2U);
    bridge.reclaim();
    EXPECT_EQ(publisher.waiting(), 2U);
    rte_rcu_qsbr_quiescent(publisher.rcu(), 0);
    bridge.reclaim();
    EXPECT_FALSE(freed);
    rte_rcu_qsbr_quiescent(publisher.rcu(), 1);
    bridge.reclaim();
    EXPECT_TRUE(freed);
    EXPECT_EQ(publisher.waiting(), 0U);
    EXPECT_EQ(publisher.oldest_wait(), 0ms);
    // A worker that sleeps looks at nothing.
    rte_rcu_qsbr_thread_offline(publisher.rcu(), 0);
    rte_rcu_qsbr_thread_offline(publisher.rcu(), 1);
    publish_something();
    bridge.reclaim();
    EXPECT_EQ(publisher.waiting(), 0U);
}

TEST_F(ApplyGrace, RP92_waiting_for_readers_ends_at_its_limit) {
    begin();
    EXPECT_TRUE(publisher.wait_for_readers(1ms));
    {
        const Stuck stuck(1);
        EXPECT_TRUE(publisher.wait_for_readers(1ms));  // it has seen what there is
        publish_something();
        const auto began = std::chrono::steady_clock::now();
        EXPECT_FALSE(publisher.wait_for_readers(20ms));
        const auto took = std::chrono::steady_clock::now() - began;
        EXPECT_GE(took, 20ms);
        EXPECT_LT(took, 500ms);
        rte_rcu_qsbr_quiescent(publisher.rcu(), 1);
        EXPECT_TRUE(publisher.wait_for_readers(1ms));
    }
}

TEST_F(ApplyGrace, RP92_a_stuck_worker_raises_an_alarm_that_reads_the_same_until_it_goes) {
    begin();
    const stats::Reader reader(world.machine, punts, bridge, publisher, world.topology);
    const auto stuck_alarms = [&] {
        std::vector<std::string> found;
        for (const std::string& alarm : reader.alarms()) {
            if (alarm.find("has not finished its poll") != std::string::npos) {
                found.push_back(alarm);
            }
        }
        return found;
    };
    {
        const Stuck stuck(1);
        publish_something();
        std::this_thread::sleep_for(1100ms);
        bridge.reclaim();
        const auto first = stuck_alarms();
        ASSERT_EQ(first.size(), 1U);
        EXPECT_GE(reader.health()["grace_oldest_ms"], 1000);
        EXPECT_EQ(reader.health()["ok"], false);
        std::this_thread::sleep_for(20ms);
        EXPECT_EQ(stuck_alarms(), first);
    }
    bridge.reclaim();
    EXPECT_TRUE(stuck_alarms().empty());
    EXPECT_EQ(reader.health()["grace_waiting"], 0);
}

TEST_F(ApplyGrace, RP92_with_a_stuck_worker_new_remotes_are_refused_and_nothing_leaks) {
    begin();
    {
        const Stuck stuck(1);
        for (int i = 0; i < 20; ++i) {
            const auto problem = bridge.add(to_remote(host(20), "10.0.0.2"), now);
            ASSERT_TRUE(problem);
            EXPECT_NE(problem->find("a worker does not answer"), std::string::npos);
            bridge.commit();
        }
        EXPECT_FALSE(entry(host(20)));
        EXPECT_EQ(tunnels.used(), 0U);
        EXPECT_EQ(bridge.used(0), 0U);
        // Only the first try published: what nobody can free does not pile up.
        EXPECT_LE(publisher.waiting(), 10U);
        const auto list = bridge.add(to_remote(mac("01:00:5e:00:00:05"), "10.0.0.2"), now);
        ASSERT_TRUE(list);
        EXPECT_NE(list->find("a worker does not answer"), std::string::npos);
    }
    bridge.reclaim();
    EXPECT_EQ(publisher.waiting(), 0U);
    ASSERT_FALSE(bridge.add(to_remote(host(20), "10.0.0.2"), now));
    EXPECT_EQ(tunnels.used(), 1U);
}

TEST_F(ApplyGrace, RP92_a_worker_whose_cpu_was_taken_away_is_waited_for_when_somebody_asked) {
    begin();
    rte_rcu_qsbr_thread_online(publisher.rcu(), 1);
    publish_something();
    std::this_thread::sleep_for(60ms);
    EXPECT_TRUE(bridge.worker_lags());
    std::thread worker([&] {
        std::this_thread::sleep_for(60ms);
        rte_rcu_qsbr_thread_offline(publisher.rcu(), 1);
    });
    EXPECT_FALSE(bridge.add(to_remote(host(20), "10.0.0.2"), now));
    worker.join();
    EXPECT_TRUE(entry(host(20)));
}

TEST_F(ApplyGrace, RP92_with_a_stuck_worker_learning_is_put_off_without_a_wait_each_time) {
    begin();
    const auto event = [&](std::uint32_t i) {
        step::LearnEvent one;
        one.key = table::FdbKey::make(host(1).number() + i, 0).raw;
        one.remote = net::Ipv4Address::of(ip("10.0.0.2").number() + i);
        return one;
    };
    {
        const Stuck stuck(1);
        auto first = event(0);
        bridge.learn({&first, 1}, now);
        std::this_thread::sleep_for(60ms);
        const auto began = std::chrono::steady_clock::now();
        for (std::uint32_t i = 1; i < 100; ++i) {
            auto more = event(i);
            bridge.learn({&more, 1}, now);
            bridge.commit();
        }
        EXPECT_LT(std::chrono::steady_clock::now() - began, 1s);
        EXPECT_EQ(bridge.counters().learn_deferred, 100U);
        EXPECT_EQ(bridge.fdb().used(), 0U);
        EXPECT_LE(publisher.waiting(), 5U);
        EXPECT_EQ(tunnels.used(), 0U);
        // An address at a port needs no tunnel.
        step::LearnEvent local;
        local.key = table::FdbKey::make(host(200).number(), 0).raw;
        local.port = world.vm1;
        bridge.learn({&local, 1}, now);
        EXPECT_TRUE(entry(host(200)));
    }
    auto again = event(0);
    bridge.learn({&again, 1}, now);
    EXPECT_TRUE(entry(host(1)));
}

TEST_F(ApplyGrace, RP92_an_entry_never_leads_to_a_tunnel_that_a_worker_does_not_know) {
    begin();
    {
        const Stuck stuck(1);
        // Goes into a list, and is published, though one worker has not seen it.
        ASSERT_FALSE(bridge.add(to_remote({}, "10.0.0.2"), now));
        step::LearnEvent event;
        event.key = table::FdbKey::make(host(20).number(), 0).raw;
        event.remote = ip("10.0.0.2");
        bridge.learn({&event, 1}, now);
        EXPECT_FALSE(entry(host(20)));
        EXPECT_EQ(bridge.counters().learn_deferred, 1U);
    }
    step::LearnEvent event;
    event.key = table::FdbKey::make(host(20).number(), 0).raw;
    event.remote = ip("10.0.0.2");
    bridge.learn({&event, 1}, now);
    EXPECT_EQ(dst(host(20)), "10.0.0.2");
}

TEST_F(ApplyGrace, a_tunnel_number_is_used_again_only_after_the_grace_period_and_the_rings) {
    begin();
    const auto id_of = [&](const char* remote) {
        return tunnels.find(tunnels.profile_id(red().profile), ip(remote)).value();
    };
    ASSERT_FALSE(bridge.add(to_remote(host(20), "10.0.0.2"), now));
    const std::uint32_t old = id_of("10.0.0.2");
    ASSERT_FALSE(bridge.remove(0, host(20), std::nullopt));
    // The grace period has not been seen to end.
    ASSERT_FALSE(bridge.add(to_remote(host(21), "10.0.0.3"), now));
    EXPECT_NE(id_of("10.0.0.3"), old);
    bridge.reclaim();
    // It has, but a packet in a ring may still name the tunnel.
    ASSERT_FALSE(bridge.add(to_remote(host(22), "10.0.0.4"), now));
    EXPECT_NE(id_of("10.0.0.4"), old);
    tick();
    ASSERT_FALSE(bridge.add(to_remote(host(23), "10.0.0.5"), now));
    EXPECT_EQ(id_of("10.0.0.5"), old);
    EXPECT_EQ(dst(host(21)), "10.0.0.3");
    EXPECT_EQ(dst(host(23)), "10.0.0.5");
}

TEST_F(ApplyGrace, an_erased_slot_is_used_again_only_after_the_grace_period) {
    begin();
    ASSERT_FALSE(bridge.add(to_remote(host(20), "10.0.0.2"), now));
    const Stuck stuck(0);
    ASSERT_FALSE(bridge.remove(0, host(20), std::nullopt));
    bridge.reclaim();
    bridge.reclaim();
    EXPECT_EQ(bridge.fdb().given_up(), 1U);
    rte_rcu_qsbr_thread_offline(publisher.rcu(), 0);
    bridge.reclaim();
    EXPECT_EQ(bridge.fdb().given_up(), 0U);
}

class FewTunnels : public Stack {
  protected:
    FewTunnels() : Stack(4096, 4) {}
};

TEST_F(FewTunnels, a_full_tunnel_table_refuses_and_counts) {
    begin();
    for (std::uint8_t i = 0; i < 4; ++i) {
        ASSERT_FALSE(bridge.add(to_remote(host(20 + i), "10.0.0." + std::to_string(2 + i)), now));
    }
    EXPECT_EQ(bridge.add(to_remote(host(30), "10.0.0.9"), now),
              "the tunnel table is full (system: tunnel-capacity)");
    EXPECT_EQ(bridge.add(to_remote({}, "10.0.0.9"), now),
              "the tunnel table is full (system: tunnel-capacity)");
    EXPECT_EQ(bridge.add(to_remote(mac("01:00:5e:00:00:05"), "10.0.0.9"), now),
              "the tunnel table is full (system: tunnel-capacity)");
    EXPECT_EQ(tunnels.refused(), 3U);
    EXPECT_EQ(bridge.used(0), 4U);
    from_remote("10.0.0.9", unicast(40, 1));
    EXPECT_EQ(sent_by(world.vm1).size(), 1U);
    tick();
    EXPECT_FALSE(entry(host(40)));
    EXPECT_EQ(bridge.counters().learn_refused, 1U);
    from_remote("10.0.0.2", unicast(41, 1));  // a known peer
    tick();
    EXPECT_EQ(dst(host(41)), "10.0.0.2");
    EXPECT_EQ(bridge.flush({}), 5U);
    EXPECT_EQ(tunnels.used(), 0U);
    tick();
    ASSERT_FALSE(bridge.add(to_remote(host(30), "10.0.0.9"), now));
}

TEST_F(FewTunnels, numbers_do_not_run_away_while_a_worker_is_stuck) {
    begin();
    const std::uint32_t profile = tunnels.profile_id(red().profile);
    const Stuck stuck(0);
    std::uint32_t largest = 0;
    unsigned refused = 0;
    for (std::uint32_t i = 0; i < 100; ++i) {
        const auto id =
            tunnels.acquire(profile, net::Ipv4Address::of(ip("10.0.0.2").number() + i % 200), now);
        if (id) {
            largest = std::max(largest, *id);
            tunnels.release(*id);
        } else {
            ++refused;
        }
    }
    EXPECT_LT(largest, 8U);
    EXPECT_EQ(refused, 92U);
    EXPECT_EQ(tunnels.used(), 0U);
}

class Threaded : public Stack {
  protected:
    Threaded() : Stack(32768, 4096) {}
};

/// A worker on its own CPU, as in the daemon, that is given new source addresses all the time.
struct Load {
    std::atomic<bool> stop{false};
    std::atomic<bool> done{false};
    unsigned addresses = 0;
    unsigned remotes = 1;

    static int run(void* self) {
        auto& load = *static_cast<Load*>(self);
        World& world = World::get();
        worker::Worker& worker = *world.machine.workers()[1];
        rte_rcu_qsbr* rcu = world.publisher->rcu();
        port::WorkerPools pools(world.machine.pools(), 0);
        rte_rcu_qsbr_thread_online(rcu, 1);
        rte_rcu_qsbr_thread_online(rcu, World::kReader);
        unsigned next = 0;
        while (!load.stop) {
            rte_rcu_qsbr_quiescent(rcu, World::kReader);
            worker.poll();
            std::array<rte_mbuf*, packet::kBurstSize> burst{};
            std::uint16_t n = 0;
            for (; n < burst.size() && next < load.addresses; ++n, ++next) {
                Frame inner = a_frame();
                inner.from(net::MacAddress::from_number(0x020000300000ULL + next)).payload(46);
                const std::uint32_t remote = ip("10.0.0.2").number() + next % load.remotes;
                const Bytes bytes =
                    a_frame()
                        .to(world.mac_of(world.up))
                        .from(mac("02:aa:00:00:00:01"))
                        .ipv4({.source = "10.0." + std::to_string(remote >> 8 & 255) + "." +
                                         std::to_string(remote & 255),
                               .destination = "10.0.0.1"})
                        .udp(50000, 4789)
                        .vxlan({.vni = 7}, inner)
                        .bytes();
                burst[n] = pools.packet();
                if (burst[n] == nullptr) {
                    break;
                }
                std::memcpy(rte_pktmbuf_append(burst[n], static_cast<std::uint16_t>(bytes.size())),
                            bytes.data(), bytes.size());
            }
            if (n != 0) {
                worker.receive(world.up, burst.data(), n);
            }
            load.done = next == load.addresses;
            if (load.done) {
                rte_rcu_qsbr_thread_offline(rcu, 1);
                rte_rcu_qsbr_thread_offline(rcu, World::kReader);
                std::this_thread::sleep_for(100us);
                rte_rcu_qsbr_thread_online(rcu, World::kReader);
                rte_rcu_qsbr_thread_online(rcu, 1);
            }
        }
        worker.poll();
        rte_rcu_qsbr_thread_offline(rcu, 1);
        rte_rcu_qsbr_thread_offline(rcu, World::kReader);
        return 0;
    }
};

TEST_F(Threaded, VX66_a_burst_over_the_ring_is_learned_within_a_second_by_a_running_worker) {
    begin();
    world.records = false;
    Load load;
    load.addresses = 8000;
    load.remotes = 200;
    const auto lost = world.machine.workers()[1]->counters().learn_lost.get();
    ASSERT_EQ(rte_eal_remote_launch(Load::run, &load, 2), 0);
    const auto began = std::chrono::steady_clock::now();
    const auto turn = [&] {
        now = Neighbours::Clock::now();
        std::array<step::LearnEvent, 512> events;
        const unsigned n =
            rte_ring_sc_dequeue_burst_elem(world.machine.rings()[1].rings.learn, events.data(),
                                           sizeof(step::LearnEvent), events.size(), nullptr);
        bridge.learn(std::span(events).first(n), now);
        punts.take(now);
        bridge.commit();
        punts.send_released();
        bridge.reclaim();
        poll(0);
        std::this_thread::sleep_for(1ms);
    };
    std::optional<std::chrono::steady_clock::time_point> told;
    while (bridge.fdb().used() < load.addresses && std::chrono::steady_clock::now() - began < 20s) {
        if (!told && load.done) {
            told = std::chrono::steady_clock::now();
        }
        turn();
    }
    const auto took = std::chrono::steady_clock::now() - told.value_or(began);
    load.stop = true;
    rte_eal_wait_lcore(2);
    EXPECT_EQ(bridge.fdb().used(), load.addresses);
    EXPECT_EQ(world.machine.workers()[1]->counters().learn_lost.get(), lost);
    EXPECT_EQ(bridge.counters().learn_deferred, 0U);
    EXPECT_LT(took, 1s);
    EXPECT_EQ(tunnels.used(), load.remotes);
    expect_law();
    bridge.flush({});
    EXPECT_EQ(tunnels.used(), 0U);
}

TEST_F(Threaded, tables_change_under_a_running_worker_without_harm) {
    begin();
    world.records = false;
    Load load;
    load.addresses = 1U << 30;  // never ends
    load.remotes = 50;
    ASSERT_EQ(rte_eal_remote_launch(Load::run, &load, 2), 0);
    for (int i = 0; i < 300; ++i) {
        now = Neighbours::Clock::now();
        std::array<step::LearnEvent, 512> events;
        const unsigned n =
            rte_ring_sc_dequeue_burst_elem(world.machine.rings()[1].rings.learn, events.data(),
                                           sizeof(step::LearnEvent), events.size(), nullptr);
        bridge.learn(std::span(events).first(n), now);
        punts.take(now);
        bridge.flush({});
        bridge.commit();
        bridge.reclaim();
        poll(0);
    }
    load.stop = true;
    rte_eal_wait_lcore(2);
    tick();
    bridge.flush({});
    EXPECT_EQ(tunnels.used(), 0U);
    EXPECT_EQ(bridge.used(0), 0U);
    expect_law();
}

}  // namespace
}  // namespace vxplane::control
