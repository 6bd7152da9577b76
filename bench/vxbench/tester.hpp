// Sends frames on a fixed schedule and times each that comes back, as an RFC 2544 tester does.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "bench/vxbench/wire.hpp"

namespace vxplane::bench {

/// Counts of times by size, 1.6 % wide at most: no allocation and few cache lines while measuring.
class Histogram {
  public:
    void add(std::uint64_t cycles) noexcept {
        ++counts_[place_of(cycles)];
        ++total_;
        largest_ = cycles > largest_ ? cycles : largest_;
    }
    [[nodiscard]] std::uint64_t total() const noexcept { return total_; }
    [[nodiscard]] std::uint64_t largest() const noexcept { return largest_; }
    /// The upper end of the class that holds the value below which `share` of all lie.
    [[nodiscard]] std::uint64_t percentile(double share) const noexcept;

  private:
    static constexpr unsigned kFineBits = 6;
    static constexpr std::size_t kPlaces = std::size_t{64 - kFineBits} << kFineBits;
    static std::size_t place_of(std::uint64_t cycles) noexcept {
        if (cycles < (1U << (kFineBits + 1))) {
            return cycles;
        }
        const unsigned shift = 63U - static_cast<unsigned>(__builtin_clzll(cycles)) - kFineBits;
        return (std::size_t{shift} << kFineBits) + (cycles >> shift);
    }
    std::array<std::uint32_t, kPlaces + (1U << kFineBits)> counts_{};
    std::uint64_t total_ = 0;
    std::uint64_t largest_ = 0;
};

/// What is sent, again and again: whole frames. Their last eight bytes are the tester's.
using FrameTexts = std::vector<std::string>;

/// One measurement. Times in TSC cycles.
struct Passage {
    std::uint64_t sent = 0;
    std::uint64_t refused = 0;  ///< of these, not taken by a full receive ring
    std::uint64_t received = 0;
    std::uint64_t reordered = 0;  ///< came behind one that was sent later
    std::uint64_t foreign = 0;    ///< came and were none of ours
    std::uint64_t cycles = 0;     ///< from the first to the last frame that was due
    Histogram latency;            ///< from the moment a frame was due until it was back
    Histogram lateness;           ///< of the tester itself, per burst
    [[nodiscard]] std::uint64_t lost() const noexcept { return sent - received; }
};

class Tester {
  public:
    /// `pool` has room for all frames under way.
    Tester(Wire& wire, rte_mempool* pool, FrameTexts frames);

    /// Open loop: a frame is due each `interval` cycles, whatever became of those before. Latency
    /// counts from when it was due, so a stall is felt by all frames that were due in it.
    void run_paced(double interval, std::uint64_t cycles, Passage& result);
    /// Sends as much as is taken; only the counts and `cycles` of the result mean something.
    void run_flood(std::uint64_t cycles, Passage& result);

  private:
    static constexpr unsigned kBurst = 32;
    [[nodiscard]] unsigned send(std::uint64_t first, unsigned count);
    template <class Note>
    unsigned receive(Passage& result, Note&& note);
    template <class Note>
    void drain(Passage& result, Note&& note);

    Wire& wire_;
    rte_mempool* pool_;
    FrameTexts frames_;
    std::uint64_t highest_ = 0;
    std::uint64_t run_ = 0;  ///< stamped on frames besides their number: strays are not counted
};

}  // namespace vxplane::bench
