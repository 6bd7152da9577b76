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

void print_table(const std::vector<Result>& results, const Setting& setting, bool list_stages);
/// False when the file cannot be written.
[[nodiscard]] bool write_json(const std::vector<Result>& results, const Setting& setting,
                              const Options& options);

}  // namespace vxplane::bench
