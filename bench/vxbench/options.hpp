// What vxbench is asked to measure: its command line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/vxbench/case.hpp"

namespace vxplane::bench {

struct Options {
    std::vector<Case> cases;
    std::uint32_t batch = 2048;        ///< frames made, then timed, then checked
    std::uint32_t batches = 32;        ///< timed per visit to a case
    std::uint32_t rounds = 5;          ///< visits to each case
    double seconds = 0;                ///< when not 0: rounds go on for so long
    std::uint32_t remotes = 16;        ///< VTEPs that the remote addresses are behind
    std::uint32_t vnis_per_burst = 8;  ///< decap: segments that one burst falls into
    unsigned cpu = 0;
    bool huge = true;
    bool list_stages = true;
    std::string json;  ///< file to write, "-" for stdout, empty for none
};

/// Ends the process with a message for a command line that is wrong (2) or asks for help (0).
[[nodiscard]] Options read_options(int argc, char** argv);

}  // namespace vxplane::bench
