// Start and end of DPDK's environment (EAL): which lcore runs on which CPU, where packet memory
// comes from, where DPDK's own log goes. Control meets this once, at the beginning and at the end
// of the process.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/port/expected.hpp"

namespace vxplane::port {

/// Receives one line of DPDK's log, without its newline. `level` is DPDK's: 1 emergency to 8 debug
/// (rte_log.h). Called on whichever thread logs, several at once: it must not call back into DPDK.
using LogLine = void (*)(int level, std::string_view line);

struct EalOptions {
    enum class Hugepages : std::uint8_t { automatic, require, off };

    std::string program = "vxplane";
    /// CPU of worker i, which runs on lcore i + 1. A CPU may be named several times.
    std::vector<unsigned> worker_cpus{};
    /// CPU of the calling thread, which becomes the main lcore, 0.
    unsigned control_cpu = 0;
    std::uint64_t memory_bytes = 512ULL << 20;
    Hugepages hugepages = Hugepages::automatic;
    /// Names the runtime folder that holds the telemetry socket; one per daemon. Empty = DPDK's
    /// own.
    std::string file_prefix{};
    /// Raw EAL arguments, appended last.
    std::vector<std::string> extra{};
    /// Whether a PCI device is going to be opened. Without one the PCI bus is not looked at.
    bool pci = false;
    /// null = DPDK's log goes to stderr.
    LogLine log_line = nullptr;
    /// Root in place of `/` for what is read below /sys and /proc; for tests.
    std::string system_root{};
};

/// What was chosen.
struct EalInfo {
    bool hugepages = false;
    std::uint64_t page_bytes = 0;    ///< size of the pages behind packet memory
    std::uint64_t memory_bytes = 0;  ///< as given to DPDK: whole megabytes
    std::vector<std::string> arguments{};
    std::string text{};                ///< the arguments, joined by blanks
    std::vector<std::string> notes{};  ///< what the operator should know, such as "no hugepages"
};

/// Works out the argument list without starting anything. Fails for CPUs that the process may not
/// use and for hugepages that are required and too few; the text says what to do.
[[nodiscard]] Expected<EalInfo> plan_eal(const EalOptions& options) noexcept;

/// Plans and calls `rte_eal_init`. The calling thread becomes lcore 0 and is bound to
/// `control_cpu`. Works once in the life of a process, as DPDK does.
[[nodiscard]] Expected<EalInfo> start_eal(const EalOptions& options) noexcept;

/// Calls `rte_eal_cleanup`. Every port and pool must be gone, no worker may run. Harmless when EAL
/// was not started.
void stop_eal() noexcept;

}  // namespace vxplane::port
