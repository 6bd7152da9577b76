#include "bench/vxbench/visit.hpp"

#include <algorithm>

namespace vxplane::bench {
namespace {

/// As many batches as bring the case's tables back into the caches that can hold them.
std::uint32_t warm_ups(const Stand& stand, const Options& options) {
    return std::clamp(2 * stand.network().entries() / options.batch, 8U, 512U);
}

}  // namespace

void visit(Stand& stand, Result& result, const Options& options) {
    for (std::uint32_t i = warm_ups(stand, options); i > 0; --i) {
        static_cast<void>(stand.time_batch());
    }
    for (std::uint32_t i = 0; i < options.batches; ++i) {
        result.samples.push_back(stand.time_batch());
        if (i % 4 == 0) {
            result.drivers.push_back(stand.time_drivers());
        }
    }
}

}  // namespace vxplane::bench
