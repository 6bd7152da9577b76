// Which VNIs arrived lately that no segment has, and from whom: what an operator asks first when a
// peer and this VTEP do not agree.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "dataplane/net/headers.hpp"

namespace vxplane::step {

/// The last 64 different ones. Written by one worker, read by control at any time: each sample is
/// one word, so none is ever half old.
class UnknownVnis {
  public:
    struct Sample {
        net::Vni vni;
        net::Ipv4Address source;
    };

    void note(net::Vni vni, net::Ipv4Address source) noexcept {
        const std::uint64_t word = kUsed | std::uint64_t{vni.number} << 32 | source.be.wire();
        if (word == last_) {
            return;
        }
        last_ = word;
        samples_[next_++ % samples_.size()].store(word, std::memory_order_relaxed);
    }

    /// Calls `each` with every sample; one that came back stands there more than once.
    template <class F>
    void for_each(F&& each) const {
        for (const auto& sample : samples_) {
            const std::uint64_t word = sample.load(std::memory_order_relaxed);
            if (word != 0) {
                each(Sample{{static_cast<std::uint32_t>(word >> 32) & net::Vni::kMax},
                            {net::Be32::from_wire(static_cast<std::uint32_t>(word))}});
            }
        }
    }

  private:
    static constexpr std::uint64_t kUsed = 1ULL << 63;
    std::array<std::atomic<std::uint64_t>, 64> samples_{};
    std::uint64_t last_ = 0;
    std::size_t next_ = 0;
};

}  // namespace vxplane::step
