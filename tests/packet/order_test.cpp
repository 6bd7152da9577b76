// Order within flows, with workers that run at the same time as in the daemon.
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

constexpr std::uint16_t kFlows = 10'000;
constexpr std::uint8_t kPackets = 100;
/// Fewer than any ring holds, so that a frame that is missing was lost for no reason.
constexpr std::uint64_t kUnderWay = 400;

constexpr std::size_t kOuter = 50;
constexpr std::size_t kSourcePort = 34;
constexpr std::size_t kNumber = 42;

class WorkersAtOnce {
  public:
    explicit WorkersAtOnce(Lab& lab) {
        lab.poll(0);  // the lab starts with the first poll
        for (unsigned id : {0U, 1U})
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

/// Notes what left: which number each flow is at.
class Outlet {
  public:
    explicit Outlet(port::MemoryPort& port) : port_{port} {}

    void take() {
        rte_mbuf* mbuf = nullptr;
        while (port_.pop({&mbuf, 1}, 0) == 1) {
            const auto* inner = rte_pktmbuf_mtod_offset(mbuf, const std::uint8_t*, kOuter);
            const auto flow =
                static_cast<std::uint16_t>(inner[kSourcePort] << 8 | inner[kSourcePort + 1]);
            if (inner[kNumber] != next_.at(flow)) ++out_of_order;
            next_[flow] = static_cast<std::uint8_t>(inner[kNumber] + 1);
            ++taken;
            rte_pktmbuf_free(mbuf);
        }
    }
    [[nodiscard]] bool all_are_at(std::uint8_t number) const {
        return std::all_of(next_.begin(), next_.end(),
                           [number](std::uint8_t one) { return one == number; });
    }

    std::uint64_t taken = 0;
    std::uint64_t out_of_order = 0;

  private:
    port::MemoryPort& port_;
    std::vector<std::uint8_t> next_ = std::vector<std::uint8_t>(kFlows, 0);
};

TEST(Order, RP03_ten_thousand_flows_over_two_workers_and_one_transmit_queue) {
    SceneWords words;
    words.lab.workers = 2;
    words.underlay.owner = 1;  // what worker 0 sends goes through the ring to worker 1
    words.access.queues = 2;
    words.access.spread = true;
    Scene s(words);
    const Bytes pattern = a_frame().to(host(12)).ipv4().udp(0, 2000).payload(18).bytes();
    std::array<std::vector<Bytes>, 2> bursts;
    std::uint64_t handed_over = 0;
    Outlet outlet(s.lab.memory(s.up));
    {
        const WorkersAtOnce workers(s.lab);
        const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(120);
        const auto in_time = [&] { return std::chrono::steady_clock::now() < until; };
        for (std::uint8_t number = 0; number < kPackets && in_time(); ++number) {
            for (std::uint16_t flow = 0; flow < kFlows; ++flow) {
                const std::uint16_t queue = flow & 1U;  // as RSS does: a flow has one
                Bytes frame = pattern;
                frame[kSourcePort] = static_cast<std::uint8_t>(flow >> 8);
                frame[kSourcePort + 1] = static_cast<std::uint8_t>(flow);
                frame[kNumber] = number;
                bursts[queue].push_back(std::move(frame));
                if (bursts[queue].size() < 16) continue;
                s.lab.push(s.vm1, bursts[queue], Memory::pool, queue);
                handed_over += bursts[queue].size();
                bursts[queue].clear();
                for (outlet.take(); handed_over - outlet.taken > kUnderWay && in_time();
                     outlet.take())
                    std::this_thread::yield();
            }
        }
        for (const std::uint16_t queue : {std::uint16_t{0}, std::uint16_t{1}}) {
            s.lab.push(s.vm1, bursts[queue], Memory::pool, queue);
            handed_over += bursts[queue].size();
        }
        for (outlet.take(); outlet.taken < handed_over && in_time(); outlet.take())
            std::this_thread::yield();
    }
    EXPECT_EQ(handed_over, std::uint64_t{kFlows} * kPackets);
    EXPECT_EQ(outlet.taken, handed_over) << "none lost";
    EXPECT_EQ(outlet.out_of_order, 0U);
    EXPECT_TRUE(outlet.all_are_at(kPackets));
    const Seen seen = s.lab.collect();
    expect_law(seen);
    EXPECT_EQ(seen.moved.at("received"), handed_over / 2) << "half of the flows each";
    EXPECT_EQ(seen.moved.at("w1.received"), handed_over / 2);
    EXPECT_EQ(seen.moved.at("handed_off"), handed_over / 2);
    EXPECT_EQ(seen.moved.at("w1.sent"), handed_over);
}

}  // namespace
}  // namespace vxplane::support
