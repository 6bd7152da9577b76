// How the programs of this folder measure: whole rounds by the time stamp counter, the least of all
// rounds reported. The least is what the code costs; the rest is what the machine did besides.
#pragma once

#include <benchmark/benchmark.h>
#include <rte_cycles.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace vxplane::bench {

/// Times `work()`, which does `items` things, once per iteration; `prepare()` is not timed. Adds
/// the counters cycles_min and cycles_median, per item. For benchmarks with UseManualTime().
template <class Prepare, class Work>
void count_cycles(benchmark::State& state, double items, Prepare&& prepare, Work&& work) {
    std::vector<double> rounds;
    for (auto _ : state) {
        prepare();
        const std::uint64_t start = rte_rdtsc_precise();
        work();
        benchmark::ClobberMemory();
        const auto spent = static_cast<double>(rte_rdtsc_precise() - start);
        rounds.push_back(spent / items);
        // Only for the library's own choice of iterations: the TSC runs at some GHz.
        state.SetIterationTime(spent / 2.5e9);
    }
    std::sort(rounds.begin(), rounds.end());
    state.counters["cycles_min"] = rounds.front();
    state.counters["cycles_median"] = rounds[rounds.size() / 2];
}

template <class Work>
void count_cycles(benchmark::State& state, double items, Work&& work) {
    count_cycles(
        state, items, [] {}, std::forward<Work>(work));
}

}  // namespace vxplane::bench
