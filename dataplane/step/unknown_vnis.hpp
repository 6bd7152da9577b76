// Which VNIs arrived lately that no segment has, and from whom: what an operator asks first when a
// peer and this VTEP do not agree.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>

#include "dataplane/net/headers.hpp"
#include "dataplane/net/ip_address.hpp"

namespace vxplane::step {

/// The last 64 different ones. Written by one worker, read by control at any time: a sample whose
/// first word is another one after it was read than before is left out.
class UnknownVnis {
  public:
    struct Sample {
        net::Vni vni;
        net::IpAddress source;
    };

    void note(net::Vni vni, const net::IpAddress& source) noexcept {
        const std::uint64_t mixed = source.low() ^ source.high();
        const std::uint64_t word =
            kUsed | std::uint64_t{vni.number} << 32 | ((mixed >> 32 ^ mixed) & 0xFFFFFFFFU);
        if (word == last_) {
            return;
        }
        last_ = word;
        Slot& slot = slots_[next_++ % slots_.size()];
        slot.word.store(0, std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_release);
        slot.low.store(source.low(), std::memory_order_relaxed);
        slot.high.store(source.high(), std::memory_order_relaxed);
        slot.word.store(word, std::memory_order_release);
    }

    /// Calls `each` with every sample; one that came back stands there more than once.
    template <class F>
    void for_each(F&& each) const {
        for (const Slot& slot : slots_) {
            const std::uint64_t word = slot.word.load(std::memory_order_acquire);
            const std::array<std::uint64_t, 2> halves{slot.low.load(std::memory_order_relaxed),
                                                      slot.high.load(std::memory_order_relaxed)};
            std::atomic_thread_fence(std::memory_order_acquire);
            if (word != 0 && slot.word.load(std::memory_order_relaxed) == word) {
                Sample sample{{static_cast<std::uint32_t>(word >> 32) & net::Vni::kMax}, {}};
                std::memcpy(sample.source.bytes.data(), halves.data(), sizeof halves);
                each(sample);
            }
        }
    }

  private:
    static constexpr std::uint64_t kUsed = 1ULL << 63;
    /// The first word says which VNI, and something of the source.
    struct Slot {
        std::atomic<std::uint64_t> word{0};
        std::atomic<std::uint64_t> low{0};
        std::atomic<std::uint64_t> high{0};
    };
    std::array<Slot, 64> slots_{};
    std::uint64_t last_ = 0;
    std::size_t next_ = 0;
};

}  // namespace vxplane::step
