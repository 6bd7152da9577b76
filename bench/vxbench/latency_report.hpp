// The pieces that both ways to measure latency share: the command line, and the rows of the report.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/vxbench/tester.hpp"

namespace vxplane::bench {

struct LatencyOptions {
    std::string direction = "both";
    std::uint32_t macs = 1'000;
    std::uint16_t size = 64;
    bool learning = false;
    std::vector<double> loads{10, 50, 90};
    double seconds = 0.5;
    std::uint32_t rounds = 5;
    unsigned cpu = 1;
    unsigned tester_cpu = 0;
    bool no_huge = false;
    std::string json;
    std::vector<std::string> through;
    std::string frames;
    std::string label = "through";
    double most = 0;
};

/// Ends the process with a message for a command line that is wrong (2) or asks for help (0).
[[nodiscard]] LatencyOptions read_latency_options(int argc, char** argv);

/// All rounds of one row.
struct Row {
    std::string what;  ///< encap, decap
    std::string who;
    double load = 0;
    double offered = 0;  ///< packets per second
    std::uint64_t sent = 0;
    std::uint64_t lost = 0;
    std::uint64_t reordered = 0;
    // Microseconds, a value per round.
    std::vector<double> p50, p99, p999, largest, tester_late;

    void add(const Passage& passage, double hz);
};

void print_rows(const std::vector<Row>& rows, const LatencyOptions& options);
/// False when the file cannot be written.
[[nodiscard]] bool write_rows(const std::string& file, const std::vector<Row>& rows);

/// The rates of a flood, the middle one counts.
[[nodiscard]] double middle_of(std::vector<double> values);

/// `--through`: frames of a file, through two vdevs behind which another process forwards.
[[nodiscard]] std::vector<Row> measure_through(const LatencyOptions& options, double hz);

}  // namespace vxplane::bench
