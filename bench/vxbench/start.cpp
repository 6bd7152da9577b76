// Starts DPDK.
#include "bench/vxbench/start.hpp"

#include <rte_cycles.h>

#include <cstdio>
#include <string_view>

#include "bench/vxbench/rig.hpp"
#include "dataplane/port/eal.hpp"

namespace vxplane::bench {

Setting start_dpdk(const StartOptions& options) {
    port::EalOptions eal;
    eal.program = "vxbench";
    eal.control_cpu = options.main_cpu;
    eal.worker_cpus = options.worker_cpus;
    eal.memory_bytes = 128ULL << 20;
    eal.hugepages =
        options.huge ? port::EalOptions::Hugepages::automatic : port::EalOptions::Hugepages::off;
    eal.extra = {"--no-telemetry", "--log-level=error"};
    eal.extra.insert(eal.extra.end(), options.extra.begin(), options.extra.end());
    eal.log_line = [](int, std::string_view line) {
        std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
    };
    const auto started = port::start_eal(eal);
    if (!started) {
        give_up(started.failure().text);
    }
    for (const std::string& note : started->notes) {
        std::fprintf(stderr, "vxbench: %s\n", note.c_str());
    }
    Setting setting;
    setting.tsc_hz = static_cast<double>(rte_get_tsc_hz());
    setting.hugepages = started->hugepages;
#if defined(__AVX512F__)
    setting.isa = "AVX-512";
#elif defined(__AVX2__)
    setting.isa = "AVX2";
#else
    setting.isa = "generic";
#endif
    return setting;
}

}  // namespace vxplane::bench
