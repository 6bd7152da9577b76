// Which group policies tunnels brought, and how many packets of each: the metadata of frames as an
// operator can see it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "dataplane/net/headers.hpp"

namespace vxplane::step {

/// The first 256 different ones (VNI and id) are counted, others together. Written by one worker,
/// read by control at any time.
class SeenGroups {
  public:
    struct Seen {
        net::Vni vni;
        std::uint16_t id = 0;
        std::uint64_t packets = 0;
        std::uint64_t applied = 0;     ///< with the A bit
        std::uint64_t dont_learn = 0;  ///< with the D bit
    };

    void note(net::Vni vni, net::GroupPolicy policy) noexcept {
        const std::uint64_t key = kUsed | std::uint64_t{vni.number} << 16 | policy.id();
        auto at = static_cast<std::size_t>(key * 0x9E3779B97F4A7C15ULL >> (64 - kBits));
        for (unsigned tries = 0; tries < kTries; ++tries, at = (at + 1) % slots_.size()) {
            Slot& slot = slots_[at];
            std::uint64_t here = slot.key.load(std::memory_order_relaxed);
            if (here == 0) {
                slot.key.store(key, std::memory_order_release);
                here = key;
            }
            if (here == key) {
                add(slot.packets, 1);
                add(slot.applied, policy.has(net::GroupPolicy::kApplied) ? 1 : 0);
                add(slot.dont_learn, policy.has(net::GroupPolicy::kDontLearn) ? 1 : 0);
                return;
            }
        }
        add(others_, 1);
    }

    template <class F>
    void for_each(F&& each) const {
        for (const Slot& slot : slots_) {
            const std::uint64_t key = slot.key.load(std::memory_order_acquire);
            if (key != 0) {
                each(Seen{{static_cast<std::uint32_t>(key >> 16) & net::Vni::kMax},
                          static_cast<std::uint16_t>(key & 0xFFFFU),
                          slot.packets.load(std::memory_order_relaxed),
                          slot.applied.load(std::memory_order_relaxed),
                          slot.dont_learn.load(std::memory_order_relaxed)});
            }
        }
    }
    /// Packets of policies that found no place of their own.
    [[nodiscard]] std::uint64_t others() const noexcept {
        return others_.load(std::memory_order_relaxed);
    }

  private:
    static constexpr unsigned kBits = 8;
    static constexpr unsigned kTries = 16;
    static constexpr std::uint64_t kUsed = 1ULL << 63;
    using Count = std::atomic<std::uint64_t>;
    struct Slot {
        Count key{0};
        Count packets{0};
        Count applied{0};
        Count dont_learn{0};
    };
    static void add(Count& count, std::uint64_t more) noexcept {
        count.store(count.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
    }
    std::array<Slot, 1U << kBits> slots_{};
    Count others_{0};
};

}  // namespace vxplane::step
