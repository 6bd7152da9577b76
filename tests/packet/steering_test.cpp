// Software steering: which worker gets a flow, how much may wait for it, and the order of each
// flow.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <random>
#include <thread>

#include "dataplane/net/flow_hash.hpp"
#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

constexpr std::size_t kOuter = 50;
constexpr std::size_t kSourcePort = 34;
constexpr std::size_t kNumber = 42;

SceneWords steered(unsigned workers, std::uint32_t backlog = 1000) {
    SceneWords words;
    words.lab.workers = workers;
    words.lab.backlog = backlog;
    words.lab.handoff_slots = 1024;
    words.underlay.slots = 2048;
    words.access.slots = 2048;
    return words;
}

/// From host 12 behind 10.0.0.2 to host 1 behind vm1; 18 bytes of payload.
Frame inner_of(std::uint16_t flow) {
    return a_frame().to(host(1)).from(host(12)).ipv4().udp(flow, 2000).payload(18);
}

std::uint32_t hash_of(const Bytes& frame) {
    return net::facts_of(reinterpret_cast<const std::byte*>(frame.data()), frame.size()).hash;
}

/// Worker of an inner flow, and a flow of a worker.
unsigned worker_of(std::uint16_t flow, unsigned workers) {
    return net::scale(hash_of(inner_of(flow).bytes()), workers);
}
std::uint16_t flow_of(unsigned worker, unsigned workers, std::uint16_t after = 0) {
    for (std::uint16_t flow = after + 1;; ++flow)
        if (worker_of(flow, workers) == worker) return flow;
}

/// Frames of many flows, made from one pattern without building each in words.
class Source {
  public:
    Source(Lab& lab, PortId port, Bytes pattern, std::size_t inner)
        : lab_{lab}, port_{port}, pattern_{std::move(pattern)}, inner_{inner} {}

    bool push(std::uint16_t flow, std::uint8_t number, std::uint16_t queue = 0) {
        rte_mbuf* mbuf = rte_pktmbuf_alloc(lab_.packet_pool());
        if (mbuf == nullptr) return false;
        auto* to = reinterpret_cast<std::uint8_t*>(
            rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(pattern_.size())));
        std::copy(pattern_.begin(), pattern_.end(), to);
        to[inner_ + kSourcePort] = static_cast<std::uint8_t>(flow >> 8);
        to[inner_ + kSourcePort + 1] = static_cast<std::uint8_t>(flow);
        to[inner_ + kNumber] = number;
        if (lab_.memory(port_).push({&mbuf, 1}, queue) == 1) return true;
        rte_pktmbuf_free(mbuf);
        return false;
    }

  private:
    Lab& lab_;
    PortId port_;
    Bytes pattern_;
    std::size_t inner_;
};

/// Notes what left by a port: which number each flow is at.
class Outlet {
  public:
    Outlet(port::MemoryPort& port, std::size_t flows) : port_{port}, next_(flows, 0) {}

    void take() {
        rte_mbuf* mbuf = nullptr;
        while (port_.pop({&mbuf, 1}, 0) == 1) {
            const auto* inner = rte_pktmbuf_mtod(mbuf, const std::uint8_t*);
            const auto flow =
                static_cast<std::uint16_t>(inner[kSourcePort] << 8 | inner[kSourcePort + 1]);
            if (inner[kNumber] != next_.at(flow)) ++out_of_order;
            next_[flow] = static_cast<std::uint8_t>(inner[kNumber] + 1);
            ++taken;
            rte_pktmbuf_free(mbuf);
        }
    }

    std::uint64_t taken = 0;
    std::uint64_t out_of_order = 0;

  private:
    port::MemoryPort& port_;
    std::vector<std::uint8_t> next_;
};

class WorkersAtOnce {
  public:
    WorkersAtOnce(Lab& lab, unsigned count) {
        for (unsigned id = 0; id < count; ++id)
            threads_.emplace_back([&lab, id, this] {
                while (!stop_.load(std::memory_order_relaxed))
                    if (lab.poll(id) == 0) std::this_thread::yield();
            });
    }
    ~WorkersAtOnce() {
        stop_ = true;
        for (std::thread& one : threads_) one.join();
    }
    WorkersAtOnce(const WorkersAtOnce&) = delete;
    WorkersAtOnce& operator=(const WorkersAtOnce&) = delete;

  private:
    std::atomic<bool> stop_{false};
    std::vector<std::thread> threads_{};
};

/// Packets that a worker ran through its path.
std::uint64_t carried_by(Lab& lab, unsigned worker) {
    const path::WorkerCounters& c = lab.worker(worker).counters();
    return c.received.get() + c.steered_in.get() - c.steered_out.get();
}

TEST(Steering, RP11_is_off_by_default) {
    EXPECT_EQ(worker::WorkerOptions{}.steering, nullptr);
    SceneWords words;
    words.lab.workers = 2;
    Scene s(words);
    const Seen seen = s.lab.receive(s.up, s.from_remote(inner_of(flow_of(1, 2)), 2));
    expect_law(seen);
    EXPECT_EQ(seen.sent_by(s.vm1).size(), 1U);
    EXPECT_FALSE(seen.moved.contains("steered_out"));
    EXPECT_FALSE(seen.moved.contains("w1.sent"));
}

TEST(Steering, RP11_worker_is_the_inner_hash_scaled_and_the_same_in_both_directions) {
    constexpr unsigned kWorkers = 3;
    Scene s(steered(kWorkers));
    for (unsigned worker = 0; worker < kWorkers; ++worker) {
        const std::uint16_t flow = flow_of(worker, kWorkers);
        const std::string who = worker == 0 ? "" : "w" + std::to_string(worker) + ".";
        const std::string learned = who + "learn_events";
        const Seen in = s.lab.receive(s.up, s.from_remote(inner_of(flow), 2));
        expect_law(in);
        EXPECT_EQ(in.sent_by(s.vm1), std::vector<Bytes>{inner_of(flow).bytes()});
        // The answer: addresses and ports the other way round.
        const Frame answer = a_frame()
                                 .to(host(12))
                                 .from(host(1))
                                 .ipv4({.source = "192.0.2.2", .destination = "192.0.2.1"})
                                 .udp(2000, flow)
                                 .payload(18);
        const Seen out = s.lab.receive(s.vm1, answer);
        expect_law(out);
        EXPECT_EQ(out.sent_by(s.up).size(), 1U);
        for (const Seen* one : {&in, &out}) {
            EXPECT_EQ(one->moved.at("received"), 1U) << "the poller counts it as received";
            EXPECT_EQ(one->moved.contains("steered_out"), worker != 0);
            EXPECT_EQ(one->moved.contains(who + "steered_in"), worker != 0);
        }
    }
}

TEST(Steering, RP11_frames_that_are_no_tunnel_packets_go_by_their_own_flow) {
    const table::FlatMap vxlan({{4789, 0}});
    const auto hash = [&](const Bytes& frame, table::PortRole role, std::size_t size) {
        return worker::steering_hash(reinterpret_cast<const std::byte*>(frame.data()), size, role,
                                     vxlan);
    };
    Scene s;
    const Bytes inner = inner_of(77).bytes();
    const Bytes tunnel = s.from_remote(inner_of(77)).bytes();
    EXPECT_EQ(hash(tunnel, table::PortRole::underlay, tunnel.size()), hash_of(inner));
    EXPECT_EQ(hash(tunnel, table::PortRole::access, tunnel.size()), hash_of(tunnel))
        << "a tunnel of the tenant's own";
    const Bytes other = a_frame().ipv4().udp(5, 4790).payload(60).bytes();
    EXPECT_EQ(hash(other, table::PortRole::underlay, other.size()), hash_of(other));
    const Bytes arp = a_frame().arp().bytes();
    EXPECT_EQ(hash(arp, table::PortRole::underlay, arp.size()), hash_of(arp));
    // Cut at any length: another hash, but never a byte beyond the end (the sanitizers watch).
    for (std::size_t size = 0; size <= tunnel.size(); ++size) {
        const Bytes exact(tunnel.begin(), tunnel.begin() + static_cast<std::ptrdiff_t>(size));
        const std::uint32_t found = hash(exact, table::PortRole::underlay, size);
        EXPECT_TRUE(size >= 14 || found == 0) << size;
    }
}

TEST(Steering, RP12_exactly_the_limit_may_wait_and_the_next_packet_is_dropped) {
    constexpr std::uint32_t kLimit = 1000;
    Scene s(steered(2, kLimit));
    const Bytes frame = s.from_remote(inner_of(flow_of(1, 2))).bytes();
    s.lab.push(s.up, std::vector<Bytes>(kLimit, frame));
    while (s.lab.poll(0) != 0) {
    }
    EXPECT_EQ(s.lab.steering().queued(1), kLimit);
    EXPECT_EQ(s.lab.worker(0).counters().dropped.get(), 0U);
    s.lab.push(s.up, std::vector<Bytes>(3, frame));
    s.lab.poll(0);
    EXPECT_EQ(s.lab.steering().queued(1), kLimit);
    const Seen full = s.lab.collect();
    expect_counts(full, {{"received", kLimit + 3},
                         {"port.up.rx_packets", kLimit + 3},
                         {"port.up.rx_bytes", (kLimit + 3) * frame.size()},
                         {"steered_out", kLimit},
                         {"drop.backlog_full", 3}});
    while (s.lab.poll(1) + s.lab.poll(0) != 0) {
    }
    const Seen arrived = s.lab.collect();
    expect_law(arrived);
    EXPECT_EQ(arrived.sent_by(s.vm1).size(), kLimit);
    EXPECT_EQ(arrived.moved.at("w1.steered_in"), kLimit);
}

TEST(Steering, RP13_the_flow_limit_acts_from_half_of_the_backlog_on_and_only_if_asked_for) {
    for (const bool on : {false, true}) {
        SceneWords words = steered(2);
        words.lab.flow_limit = on;
        Scene s(words);
        const std::uint16_t heavy = flow_of(1, 2);
        const Bytes frame = s.from_remote(inner_of(heavy)).bytes();
        s.lab.push(s.up, std::vector<Bytes>(500 + 64, frame));
        while (s.lab.poll(0) != 0) {
        }
        EXPECT_EQ(s.lab.steering().queued(1), 564U) << "below half, then half of the history";
        s.lab.push(s.up, std::vector<Bytes>(20, frame));
        const Frame light = s.from_remote(inner_of(flow_of(1, 2, heavy)));
        s.lab.push(s.up, {light.bytes()});
        while (s.lab.poll(0) != 0) {
        }
        const Seen seen = s.lab.collect();
        expect_law(seen);
        note_reasons(seen);
        const auto dropped = seen.moved.find("drop.flow_limit");
        EXPECT_EQ(dropped == seen.moved.end() ? 0 : dropped->second, on ? 20U : 0U);
        EXPECT_EQ(s.lab.steering().queued(1), on ? 565U : 585U) << "the other flow gets through";
        while (s.lab.poll(1) + s.lab.poll(0) != 0) {
        }
        expect_law(s.lab.collect());
    }
}

TEST(Steering, RP96_frames_that_wait_for_a_worker_are_accounted_for) {
    Scene s(steered(2));
    s.lab.push(s.up, std::vector<Bytes>(packet::kBurstSize + 8,
                                        s.from_remote(inner_of(flow_of(1, 2))).bytes()));
    s.lab.poll(0);
    const Seen under_way = s.lab.collect();
    expect_law(under_way);
    EXPECT_EQ(under_way.moved.at("steered_out"), packet::kBurstSize);
    EXPECT_EQ(s.lab.steering().queued(1), packet::kBurstSize);
    while (s.lab.poll(0) + s.lab.poll(1) != 0) {
    }
    const Seen arrived = s.lab.collect();
    expect_law(arrived);
    EXPECT_EQ(arrived.sent_by(s.vm1).size(), packet::kBurstSize + 8U);
    EXPECT_EQ(arrived.moved.at("w1.steered_in"), packet::kBurstSize + 8U);
}

TEST(Steering, RP96_frames_left_in_the_rings_are_freed_and_counted) {
    Scene s(steered(2));
    s.lab.push(s.up, std::vector<Bytes>(5, s.from_remote(inner_of(flow_of(1, 2))).bytes()));
    s.lab.poll(0);
    EXPECT_EQ(s.lab.steering().drain(), 5U);
    EXPECT_EQ(s.lab.collect().broken_law, "") << "all buffers are back";
}

TEST(Steering, RP14_ports_wait_until_everything_given_under_the_old_set_has_left) {
    Scene s(steered(2));
    const std::uint16_t flow = flow_of(1, 2);
    Source source(s.lab, s.up, s.from_remote(inner_of(flow)).bytes(), kOuter);
    Outlet outlet(s.lab.memory(s.vm1), 65536);
    s.lab.poll(0);
    for (std::uint8_t i = 0; i < 10; ++i) source.push(flow, i);
    s.lab.poll(0);
    EXPECT_EQ(s.lab.steering().queued(1), 10U);
    s.lab.steering().set_targets(0b01);
    for (std::uint8_t i = 10; i < 20; ++i) source.push(flow, i);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(s.lab.poll(0), 0U) << "worker 1 still has ten of them";
    EXPECT_EQ(s.lab.poll(1), 10U);
    while (s.lab.poll(0) + s.lab.poll(1) != 0) {
    }
    outlet.take();
    EXPECT_EQ(outlet.taken, 20U);
    EXPECT_EQ(outlet.out_of_order, 0U);
    EXPECT_EQ(s.lab.worker(0).counters().steered_out.get(), 10U) << "the rest stayed";
    expect_law(s.lab.collect());
}

TEST(Steering, RP14_order_is_kept_while_the_set_of_workers_changes_again_and_again) {
    constexpr unsigned kWorkers = 4;
    constexpr std::uint16_t kFlows = 64;
    SceneWords words = steered(kWorkers);
    words.access.owner = 2;  // the others reach the port by its ring
    words.underlay.queues = 2;
    words.underlay.spread = true;
    Scene s(words);
    Source source(s.lab, s.up, s.from_remote(inner_of(0)).bytes(), kOuter);
    Outlet outlet(s.lab.memory(s.vm1), kFlows);
    std::mt19937 random(14);
    std::array<std::uint8_t, kFlows> next{};
    s.lab.poll(0);
    std::uint64_t pushed = 0;
    for (int step = 0; step < 20'000; ++step) {
        const auto what = random() % 8;
        if (what == 0 && step % 16 == 0) s.lab.steering().set_targets(random() % 15 + 1);
        if (what < 4 && pushed - outlet.taken < 400) {
            for (unsigned n = random() % 24; n != 0; --n) {
                const auto flow = static_cast<std::uint16_t>(random() % kFlows);
                ASSERT_TRUE(source.push(flow, next[flow]++, flow & 1U));
                ++pushed;
            }
        }
        s.lab.poll(random() % kWorkers);
        outlet.take();
    }
    for (unsigned found = 1, quiet = 0; quiet < 3; quiet = found == 0 ? quiet + 1 : 0) {
        found = 0;
        for (unsigned id = 0; id < kWorkers; ++id) found += s.lab.poll(id);
        outlet.take();
    }
    EXPECT_EQ(outlet.taken, pushed);
    EXPECT_EQ(outlet.out_of_order, 0U);
    EXPECT_GT(pushed, 20'000U);
    expect_law(s.lab.collect());
}

TEST(Steering, RP03_RP15_ten_thousand_flows_from_many_producers_stay_in_order) {
    constexpr unsigned kWorkers = 3;
    constexpr std::uint16_t kFlows = 10'000;
    constexpr std::uint8_t kPackets = 100;
    constexpr std::uint64_t kUnderWay = 900;  // fewer than any ring holds
    SceneWords words = steered(kWorkers);
    words.underlay.queues = kWorkers;  // each worker polls one and gives to all others
    words.underlay.spread = true;
    words.access.owner = 1;
    Scene s(words);
    Source source(s.lab, s.up, s.from_remote(inner_of(0)).bytes(), kOuter);
    Outlet outlet(s.lab.memory(s.vm1), kFlows);
    s.lab.poll(0);
    std::uint64_t pushed = 0;
    {
        const WorkersAtOnce workers(s.lab, kWorkers);
        const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(200);
        const auto in_time = [&] { return std::chrono::steady_clock::now() < until; };
        for (std::uint8_t number = 0; number < kPackets && in_time(); ++number) {
            for (std::uint16_t flow = 0; flow < kFlows; ++flow) {
                while (pushed - outlet.taken >= kUnderWay && in_time()) {
                    outlet.take();
                    if (pushed - outlet.taken >= kUnderWay) std::this_thread::yield();
                }
                // As RSS does: by the outer header a flow has one queue.
                if (source.push(flow, number, flow % kWorkers)) ++pushed;
            }
        }
        for (; outlet.taken < pushed && in_time(); outlet.take()) std::this_thread::yield();
    }
    EXPECT_EQ(pushed, std::uint64_t{kFlows} * kPackets);
    EXPECT_EQ(outlet.taken, pushed) << "none lost";
    EXPECT_EQ(outlet.out_of_order, 0U);
    std::array<std::uint64_t, kWorkers> expected{};
    for (std::uint16_t flow = 0; flow < kFlows; ++flow)
        expected.at(worker_of(flow, kWorkers)) += kPackets;
    for (unsigned id = 0; id < kWorkers; ++id)
        EXPECT_EQ(carried_by(s.lab, id), expected.at(id)) << "each flow at its worker, always";
    const Seen seen = s.lab.collect();
    expect_law(seen);
    for (unsigned id = 0; id < kWorkers; ++id) EXPECT_EQ(s.lab.steering().queued(id), 0U);
}

TEST(Steering, RP04_no_worker_gets_more_than_1_3_times_its_share_of_one_tunnel) {
    constexpr std::uint16_t kFlows = 10'000;
    for (const unsigned workers : {2U, 3U, 4U, 8U}) {
        Scene s(steered(workers));
        Source source(s.lab, s.up, s.from_remote(inner_of(0)).bytes(), kOuter);
        Outlet outlet(s.lab.memory(s.vm1), kFlows);
        s.lab.poll(0);
        for (std::uint16_t flow = 0; flow < kFlows; ++flow) {
            ASSERT_TRUE(source.push(flow, 0));
            if (flow % 100 != 99) continue;
            for (unsigned found = 1; found != 0;) {
                found = 0;
                for (unsigned id = 0; id < workers; ++id) found += s.lab.poll(id);
            }
            outlet.take();
        }
        EXPECT_EQ(outlet.taken, kFlows);
        for (unsigned id = 0; id < workers; ++id) {
            EXPECT_LE(carried_by(s.lab, id) * workers * 10, std::uint64_t{kFlows} * 13)
                << "worker " << id << " of " << workers;
        }
        expect_law(s.lab.collect());
    }
}

TEST(Steering, RP15_nothing_is_allocated_for_a_packet) {
    Scene s(steered(2));
    Source source(s.lab, s.up, s.from_remote(inner_of(0)).bytes(), kOuter);
    s.lab.poll(0);
    for (std::uint16_t flow = 0; flow < 500; ++flow) source.push(flow, 0);
    const auto before = mallinfo2();
    while (s.lab.poll(0) + s.lab.poll(1) != 0) {
    }
    const auto after = mallinfo2();
    EXPECT_EQ(after.uordblks, before.uordblks);
    EXPECT_GT(s.lab.worker(1).counters().steered_in.get(), 100U);
    expect_law(s.lab.collect());
}

}  // namespace
}  // namespace vxplane::support
