// A limit in bits per second that several workers keep together: a slave may send by any of its
// port's queues, and has one rate. Met by the paths of slaves that have one.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace vxplane::table {

/// What all workers share; control's, and longer there than any worker looks at it. It holds what
/// comes together in 50 ms, and at least the largest packet.
class RateLimit {
  public:
    /// Takes from what may still go. `rate`: bits per millisecond, not 0. `now`: milliseconds of
    /// the shared clock. Any worker; a locked instruction.
    bool take(std::uint64_t bits, std::uint32_t rate, std::uint32_t now) noexcept {
        const std::uint64_t depth =
            std::uint64_t{rate} * kDepth >= kLeast ? kDepth << 32 : (kLeast << 32) / rate;
        const std::uint64_t cost = (bits << 32) / rate;
        const std::uint64_t at = std::uint64_t{now} << 32;
        std::uint64_t paid = paid_until_.load(std::memory_order_relaxed);
        for (;;) {
            // The clock of milliseconds goes round in 49 days: what seems to lie ahead is old.
            const auto ahead = static_cast<std::int64_t>(paid - at);
            const bool old = ahead < -static_cast<std::int64_t>(depth) || ahead > kSkew;
            const std::uint64_t then = (old ? at - depth : paid) + cost;
            if (static_cast<std::int64_t>(then - at) > 0) {
                return false;
            }
            if (paid_until_.compare_exchange_weak(paid, then, std::memory_order_relaxed)) {
                return true;
            }
        }
    }

  private:
    static constexpr std::uint64_t kDepth = 50;                      // milliseconds
    static constexpr std::uint64_t kLeast = 65'600 * 8;              // 65,535 of IP, and Ethernet
    static constexpr std::int64_t kSkew = std::int64_t{1000} << 32;  // between workers

    /// In 2^-32 milliseconds of the shared clock.
    alignas(64) std::atomic<std::uint64_t> paid_until_{0};
};

/// What one worker has taken and not used yet: at most what comes in a millisecond.
struct RateShare {
    std::uint64_t bits = 0;

    /// `length` in bytes; the rest as RateLimit::take().
    bool take(RateLimit& limit, std::uint32_t length, std::uint32_t rate,
              std::uint32_t now) noexcept {
        const std::uint64_t wanted = std::uint64_t{length} * 8;
        if (bits < wanted) {
            constexpr std::uint64_t kMost = 8192 * 8;
            const std::uint64_t least = wanted - bits;
            std::uint64_t some = std::max(least, std::min<std::uint64_t>(rate, kMost));
            if (!limit.take(some, rate, now)) {
                some = least;
                if (!limit.take(some, rate, now)) {
                    return false;
                }
            }
            bits += some;
        }
        bits -= wanted;
        return true;
    }
};

}  // namespace vxplane::table
