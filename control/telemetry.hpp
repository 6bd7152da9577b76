// The figures of the RPC, offered to collectors that speak DPDK's telemetry (dpdk-telemetry.py).
#pragma once

#include <memory>

#include "control/stats/stats.hpp"

namespace vxplane::control {

/// Answers come from DPDK's telemetry thread; they are made from a copy that control renews, so
/// that no counter is read by two threads of ours at once. One per process.
class Telemetry {
  public:
    /// Registers /vxplane/ports, /vxplane/workers, /vxplane/segments, /vxplane/drops,
    /// /vxplane/health.
    Telemetry();
    ~Telemetry();
    Telemetry(const Telemetry&) = delete;
    Telemetry& operator=(const Telemetry&) = delete;

    /// Renews the copy. Control thread.
    void renew(const stats::Reader& reader, const Slaves& slaves);

  private:
    struct Copy;
    std::unique_ptr<Copy> copy_;
};

}  // namespace vxplane::control
