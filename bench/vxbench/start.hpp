// Start of DPDK for all kinds of measurement, and what their figures depend on.
#pragma once

#include <string>
#include <vector>

namespace vxplane::bench {

/// What the figures depend on besides the case.
struct Setting {
    double tsc_hz = 0;
    bool hugepages = false;
    std::string isa;
};

struct StartOptions {
    unsigned main_cpu = 0;
    std::vector<unsigned> worker_cpus{};  ///< lcores 1 and on
    bool huge = true;
    std::vector<std::string> extra{};  ///< for EAL
};

/// Ends the process with a message when DPDK does not start.
[[nodiscard]] Setting start_dpdk(const StartOptions& options);

}  // namespace vxplane::bench
