// EAL with plain memory, no PCI and no shared configuration, so that several test programs can run
// side by side.
#include "tests/support/environment.hpp"

#include <sched.h>

#include <cstdio>
#include <cstdlib>

#include "dataplane/port/eal.hpp"

namespace vxplane::support {
namespace {

unsigned first_cpu() {
    cpu_set_t set;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    unsigned cpu = 0;
    while (cpu + 1 < CPU_SETSIZE && !CPU_ISSET(cpu, &set)) ++cpu;
    return cpu;
}

[[noreturn]] void give_up(const std::string& text) {
    std::fprintf(stderr, "%s\n", text.c_str());
    std::exit(1);
}

port::PoolSet* start() {
    port::EalOptions options;
    options.program = "vxplane-test";
    options.control_cpu = first_cpu();
    options.memory_bytes = 256ULL << 20;
    options.hugepages = port::EalOptions::Hugepages::off;
    // No socket of telemetry, no file that two programs would share.
    options.extra = {"--no-telemetry"};
    options.log_line = [](int, std::string_view) {};
    if (const auto started = port::start_eal(options); !started) {
        give_up(started.failure().text);
    }
    port::PoolSizes sizes;
    sizes.packets = 8191;
    sizes.headers = 16383;  // a flood to 4,096 remotes takes two for each
    auto made = port::PoolSet::make(sizes, {0});
    if (!made) {
        give_up(made.failure().text);
    }
    return (*made).release();
}

}  // namespace

port::PoolSet& pools() {
    static port::PoolSet* const set = start();
    return *set;
}

}  // namespace vxplane::support
