// One visit to a case, of which a run makes many in turn.
#pragma once

#include "bench/vxbench/report.hpp"

namespace vxplane::bench {

/// Warms the caches, and adds the figures of `options.batches` batches to `result`.
void visit(Stand& stand, Result& result, const Options& options);

}  // namespace vxplane::bench
