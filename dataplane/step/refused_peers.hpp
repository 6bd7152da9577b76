// Which peers were refused lately, and how often: an operator sees at a glance whether a peer is
// configured wrong or somebody tries doors.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/ip_address.hpp"
#include "dataplane/packet/drop_reason.hpp"

namespace vxplane::step {

/// 256 pairs of peer and reason. Written by one worker, read by control at any time. A pair whose
/// place is taken wears the other's count down, and gets the place when nothing is left of it: who
/// sends much stays visible, and a storm of made-up sources takes no memory.
class RefusedPeers {
  public:
    struct Sample {
        net::IpAddress peer;
        packet::DropReason reason = packet::DropReason::none;
        std::uint64_t count = 0;
    };

    void note(const net::IpAddress& peer, packet::DropReason reason) noexcept {
        Place& place =
            places_[net::mix(peer.low() ^ static_cast<std::uint64_t>(reason), peer.high()) %
                    places_.size()];
        const std::uint64_t count = place.count.load(std::memory_order_relaxed);
        const bool same = place.low.load(std::memory_order_relaxed) == peer.low() &&
                          place.high.load(std::memory_order_relaxed) == peer.high() &&
                          place.reason.load(std::memory_order_relaxed) == reason;
        if (same && count != 0) {
            place.count.store(count + 1, std::memory_order_relaxed);
            return;
        }
        if (count > 1) {
            place.count.store(count - 1, std::memory_order_relaxed);
            return;
        }
        const std::uint32_t turn = place.turn.load(std::memory_order_relaxed);
        place.turn.store(turn + 1, std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_release);
        place.low.store(peer.low(), std::memory_order_relaxed);
        place.high.store(peer.high(), std::memory_order_relaxed);
        place.reason.store(reason, std::memory_order_relaxed);
        place.count.store(1, std::memory_order_relaxed);
        place.turn.store(turn + 2, std::memory_order_release);
    }

    /// Calls `each` with every pair that is not being replaced at the moment.
    template <class F>
    void for_each(F&& each) const {
        for (const Place& place : places_) {
            const std::uint32_t before = place.turn.load(std::memory_order_acquire);
            Sample sample;
            const std::array<std::uint64_t, 2> words{place.low.load(std::memory_order_relaxed),
                                                     place.high.load(std::memory_order_relaxed)};
            std::memcpy(sample.peer.bytes.data(), words.data(), sizeof words);
            sample.reason = place.reason.load(std::memory_order_relaxed);
            sample.count = place.count.load(std::memory_order_relaxed);
            std::atomic_thread_fence(std::memory_order_acquire);
            if (sample.count != 0 && before % 2 == 0 &&
                place.turn.load(std::memory_order_relaxed) == before) {
                each(sample);
            }
        }
    }

  private:
    struct Place {
        std::atomic<std::uint32_t> turn{0};  ///< odd while it is replaced
        std::atomic<packet::DropReason> reason{packet::DropReason::none};
        std::atomic<std::uint64_t> low{0};
        std::atomic<std::uint64_t> high{0};
        std::atomic<std::uint64_t> count{0};
    };
    std::array<Place, 256> places_{};
};

}  // namespace vxplane::step
