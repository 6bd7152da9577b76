// Copies of frames on their way from one worker to the control thread: a bounded ring with one
// writer and one reader. A copy that finds no place is counted and forgotten; the frame goes its
// way.
#pragma once

#include <rte_cycles.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

namespace vxplane::control::capture {

/// What a place of the ring begins with; the bytes of the frame follow.
struct Copy {
    std::uint64_t tsc = 0;
    std::uint32_t wire_bytes = 0;  ///< of the whole frame
    std::uint32_t bytes = 0;       ///< of it that are here
};

/// One for each queue that is listened to. Memory is taken once.
class Ring {
  public:
    /// `snaplen`: most bytes of a frame; `places`: a power of two.
    Ring(std::uint32_t snaplen, std::uint32_t places)
        : snaplen_(snaplen),
          stride_((sizeof(Copy) + snaplen + 63U) / 64U * 64U),
          mask_(places - 1),
          room_(std::make_unique<std::byte[]>(std::size_t{stride_} * places)) {}

    /// The worker's. Copies what fits.
    void put(rte_mbuf* const* frames, std::uint16_t count) noexcept {
        const std::uint64_t now = rte_rdtsc();
        std::uint32_t head = head_.load(std::memory_order_relaxed);
        const std::uint32_t free = mask_ + 1 - (head - tail_.load(std::memory_order_acquire));
        const std::uint32_t fits = std::min<std::uint32_t>(free, count);
        for (std::uint32_t i = 0; i < fits; ++i) {
            copy(*frames[i], now, place(head++));
        }
        head_.store(head, std::memory_order_release);
        if (fits != count) {
            lost_.store(lost_.load(std::memory_order_relaxed) + (count - fits),
                        std::memory_order_relaxed);
        }
    }

    /// Control's: the oldest copy, or null. Valid until drop_oldest().
    [[nodiscard]] const Copy* oldest() const noexcept {
        const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
        return tail == head_.load(std::memory_order_acquire)
                   ? nullptr
                   : reinterpret_cast<const Copy*>(place(tail));
    }
    [[nodiscard]] static std::span<const std::byte> bytes_of(const Copy& copy) noexcept {
        return {reinterpret_cast<const std::byte*>(&copy) + sizeof(Copy), copy.bytes};
    }
    void drop_oldest() noexcept {
        tail_.store(tail_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    }
    /// Frames that found no place.
    [[nodiscard]] std::uint64_t lost() const noexcept {
        return lost_.load(std::memory_order_relaxed);
    }

  private:
    [[nodiscard]] std::byte* place(std::uint32_t number) const noexcept {
        return room_.get() + std::size_t{number & mask_} * stride_;
    }
    void copy(const rte_mbuf& frame, std::uint64_t now, std::byte* to) const noexcept {
        Copy head{now, frame.pkt_len, 0};
        for (const rte_mbuf* part = &frame; part != nullptr && head.bytes < snaplen_;
             part = part->next) {
            const std::uint32_t n = std::min<std::uint32_t>(part->data_len, snaplen_ - head.bytes);
            std::memcpy(to + sizeof(Copy) + head.bytes, rte_pktmbuf_mtod(part, const char*), n);
            head.bytes += n;
        }
        std::memcpy(to, &head, sizeof head);
    }

    std::uint32_t snaplen_;
    std::uint32_t stride_;
    std::uint32_t mask_;
    std::unique_ptr<std::byte[]> room_;
    alignas(64) std::atomic<std::uint32_t> head_{0};
    std::atomic<std::uint64_t> lost_{0};
    alignas(64) std::atomic<std::uint32_t> tail_{0};
};

}  // namespace vxplane::control::capture
