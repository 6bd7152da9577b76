// Captures: what a port receives, before anything of ours has touched it, and what it sends, as the
// last thing before the driver, into files. Workers copy, control filters and writes.
#pragma once

#include <rte_ethdev.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "control/apply/publisher.hpp"
#include "control/capture/file.hpp"
#include "control/capture/filter.hpp"
#include "control/capture/ring.hpp"

namespace vxplane::control::capture {

struct Request {
    std::string port;  ///< name, for lists and for the file
    std::uint16_t port_id = 0;
    std::uint16_t rx_queues = 1;
    std::uint16_t tx_queues = 1;
    std::string file;
    bool received = true;
    bool sent = true;
    bool force = false;
    bool inner = false;  ///< the filter is asked about the frame inside VXLAN
    std::string filter;
    std::vector<std::uint16_t> dstports;  ///< of VXLAN, for `inner`
    std::uint32_t snaplen = 262'144;
    std::uint64_t limit_bytes = 0;   ///< 0 = none; then the end, or the next file
    std::uint64_t limit_frames = 0;  ///< 0 = none; then the end
    unsigned rotate = 0;             ///< full files that are kept besides
};

/// Control thread only.
class Captures {
  public:
    /// At once, in a process.
    static constexpr std::size_t kMost = 8;

    explicit Captures(Publisher& publisher);
    /// Workers must have ended, or stop_all() was called and a grace period is over.
    ~Captures();
    Captures(const Captures&) = delete;
    Captures& operator=(const Captures&) = delete;

    /// A text when it cannot begin; `id` is its number else.
    std::optional<std::string> start(const Request& request, unsigned& id);
    /// False when there is none of this number.
    bool stop(unsigned id);
    void stop_all();
    /// Filters and writes what was copied, a bounded amount.
    void turn();
    /// Those that run, and the last that ended.
    [[nodiscard]] nlohmann::json list() const;

  private:
    struct Tap;
    struct Capture;

    void listen(Capture& capture, Direction direction, std::uint16_t queue);
    void end(Capture& capture, std::string why);
    bool take(Capture& capture, Tap& tap);
    [[nodiscard]] std::uint64_t nanoseconds(std::uint64_t tsc) const;

    Publisher& publisher_;
    std::uint64_t tsc_origin_;
    std::uint64_t origin_;  ///< nanoseconds since 1970 at tsc_origin_
    double nanoseconds_per_cycle_;
    unsigned last_id_ = 0;
    std::vector<std::unique_ptr<Capture>> captures_;
};

}  // namespace vxplane::control::capture
