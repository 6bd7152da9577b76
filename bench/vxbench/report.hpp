// The figures of all cases: minimum and median, as a table for people and as JSON for programs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bench/vxbench/rig.hpp"
#include "bench/vxbench/start.hpp"

namespace vxplane::bench {

/// What was measured of one case.
struct Result {
    Case subject;
    std::uint32_t entries = 0;  ///< in the FDB
    std::vector<std::string_view> stage_names;
    std::vector<Sample> samples;
    std::vector<double> drivers;  ///< cycles per packet of rings alone
};

struct Summary {
    Sample best;
    double cycles_median = 0;
    Probe probe_median;
    double drivers = 0;  ///< least
    double others = 0;   ///< of the best batch: drivers, first touch, flush, the loop itself

    explicit Summary(const Result& result);
    [[nodiscard]] double own() const noexcept { return best.cycles - drivers; }
    [[nodiscard]] double own_median() const noexcept { return cycles_median - drivers; }
};

/// A figure whose probe is worse is marked: it says more about the machine than about the code.
constexpr double kCrowded = 1.05;

/// The best moment of the run.
[[nodiscard]] Probe best_probe(const std::vector<Result>& results);

void print_table(const std::vector<Result>& results, const Setting& setting, bool list_stages);
/// False when the file cannot be written.
[[nodiscard]] bool write_json(const std::vector<Result>& results, const Setting& setting,
                              const Options& options);

}  // namespace vxplane::bench
