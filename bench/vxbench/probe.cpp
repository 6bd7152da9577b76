// The calibration around each timed batch.
#include <rte_cycles.h>

#include <algorithm>

#include "bench/vxbench/rig.hpp"

namespace vxplane::bench {

Probe Probe::measure() noexcept {
    constexpr unsigned kSteps = 2000;
    Probe probe;
    std::uint64_t value = 1;
    std::uint64_t start = rte_rdtsc_precise();
    for (unsigned i = 0; i < kSteps; ++i) {
        value *= 0x9E3779B97F4A7C15ULL;
        asm volatile("" : "+r"(value));
    }
    std::uint64_t stop = rte_rdtsc_precise();
    probe.chain = static_cast<double>(stop - start) / kSteps;
    std::uint64_t a = 1;
    std::uint64_t b = 1;
    std::uint64_t c = 1;
    std::uint64_t d = 1;
    start = stop;
    for (unsigned i = 0; i < kSteps; ++i) {
        a += 3;
        b += 3;
        c += 3;
        d += 3;
        asm volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d));
        a ^= 5;
        b ^= 5;
        c ^= 5;
        d ^= 5;
        asm volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d));
    }
    stop = rte_rdtsc_precise();
    probe.wide = static_cast<double>(stop - start) / kSteps;
    return probe;
}

void Probe::worsen(const Probe& other) noexcept {
    chain = std::max(chain, other.chain);
    wide = std::max(wide, other.wide);
}

void Probe::improve(const Probe& other) noexcept {
    chain = std::min(chain, other.chain);
    wide = std::min(wide, other.wide);
}

double Probe::over(const Probe& unit) const noexcept {
    return std::max(chain / unit.chain, wide / unit.wide);
}

}  // namespace vxplane::bench
