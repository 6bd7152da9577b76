// DPDK's log as lines. Start of EAL and opening of ports meet it here: lines go to control's hook,
// and those that a call logged as errors become part of that call's failure text.
#pragma once

#include <string>

#include "dataplane/port/eal.hpp"

namespace vxplane::port {

/// Sends DPDK's log to `line`, or to stderr when it is null. Before `rte_eal_init`; once.
void open_log_stream(LogLine line) noexcept;

/// Collects the error lines that DPDK logs on the calling thread while the object lives. Not
/// nested.
class LogCapture {
  public:
    LogCapture() noexcept;
    ~LogCapture();
    LogCapture(const LogCapture&) = delete;
    LogCapture& operator=(const LogCapture&) = delete;

    /// The last few error lines, joined by "; ", or nothing.
    [[nodiscard]] std::string text() const noexcept;
};

}  // namespace vxplane::port
