// Threads that do a piece of work at the same time, one a CPU, and the time from the first that
// began to the last that ended.
#pragma once

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_pause.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "bench/vxbench/rig.hpp"

namespace vxplane::bench {

/// Lcore 0 is the caller, 1 and on are EAL's workers.
class Crew {
  public:
    /// Each member, an lcore, does `prepare(member)`, `work(member)` and `finish(member)` `turns`
    /// times. Returns the TSC cycles that `work` took, all members together, a value per turn.
    template <class Prepare, class Work, class Finish>
    std::vector<double> time(const std::vector<unsigned>& members, std::uint32_t turns,
                             Prepare&& prepare, Work&& work, Finish&& finish) {
        std::vector<std::vector<Lap>> laps(members.size(), std::vector<Lap>(turns));
        const auto go = [&](std::size_t i) {
            for (Lap& lap : laps[i]) {
                prepare(members[i]);
                wait(members.size());
                lap.begin = rte_rdtsc_precise();
                work(members[i]);
                lap.end = rte_rdtsc_precise();
                // Nobody prepares, with its own traffic of cache lines, while another works.
                wait(members.size());
                finish(members[i]);
            }
        };
        struct Order {
            const decltype(go)& what;
            std::size_t member;
        };
        std::vector<Order> orders;
        for (std::size_t i = 0; i < members.size(); ++i) {
            orders.push_back({go, i});
        }
        const auto obey = [](void* order) {
            auto* one = static_cast<Order*>(order);
            one->what(one->member);
            return 0;
        };
        for (std::size_t i = 0; i < members.size(); ++i) {
            if (members[i] != 0 && rte_eal_remote_launch(obey, &orders[i], members[i]) != 0) {
                give_up("a CPU does not start");
            }
        }
        for (std::size_t i = 0; i < members.size(); ++i) {
            if (members[i] == 0) {
                go(i);
            }
        }
        rte_eal_mp_wait_lcore();
        std::vector<double> times;
        for (std::uint32_t turn = 0; turn < turns; ++turn) {
            Lap all = laps[0][turn];
            for (const auto& of_member : laps) {
                all.begin = std::min(all.begin, of_member[turn].begin);
                all.end = std::max(all.end, of_member[turn].end);
            }
            times.push_back(static_cast<double>(all.end - all.begin));
        }
        return times;
    }

  private:
    struct Lap {
        std::uint64_t begin = 0;
        std::uint64_t end = 0;
    };

    void wait(std::size_t members) noexcept {
        const std::uint32_t turn = turn_.load(std::memory_order_acquire);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == members) {
            arrived_.store(0, std::memory_order_relaxed);
            turn_.fetch_add(1, std::memory_order_release);
            return;
        }
        while (turn_.load(std::memory_order_acquire) == turn) {
            rte_pause();
        }
    }

    alignas(64) std::atomic<std::uint32_t> turn_{0};
    alignas(64) std::atomic<std::size_t> arrived_{0};
};

}  // namespace vxplane::bench
