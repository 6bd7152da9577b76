// A map that is built once by control and then only read: open addressing, at most a quarter full,
// so a lookup is one multiplication and mostly one cache line. Holds what configuration shapes:
// VNIs, own addresses, known peers.
#pragma once

#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

namespace vxplane::table {

/// 64-bit keys to 32-bit values. The key ~0 cannot be stored.
class FlatMap {
  public:
    static constexpr std::uint32_t kNone = ~0U;

    FlatMap() { rebuild({}); }
    /// Later pairs win over earlier ones with the same key. May throw std::bad_alloc: control only.
    explicit FlatMap(const std::vector<std::pair<std::uint64_t, std::uint32_t>>& pairs) {
        rebuild(pairs);
    }

    /// kNone when the key is not there. Any thread.
    [[nodiscard]] std::uint32_t find(std::uint64_t key) const noexcept {
        for (std::uint64_t at = home(key);; ++at) {
            const Cell& cell = cells_[at & mask_];
            if (cell.key == key) {
                return cell.value;
            }
            if (cell.key == kEmpty) {
                return kNone;
            }
        }
    }
    [[nodiscard]] bool contains(std::uint64_t key) const noexcept { return find(key) != kNone; }
    void prefetch(std::uint64_t key) const noexcept {
        __builtin_prefetch(&cells_[home(key) & mask_]);
    }
    [[nodiscard]] std::size_t memory_bytes() const noexcept { return cells_.size() * sizeof(Cell); }

  private:
    static constexpr std::uint64_t kEmpty = ~0ULL;
    struct Cell {
        std::uint64_t key = kEmpty;
        std::uint32_t value = kNone;
    };
    // Fibonacci hashing: the high bits of the product are the well mixed ones.
    [[nodiscard]] std::uint64_t home(std::uint64_t key) const noexcept {
        return (key * 0x9E3779B97F4A7C15ULL) >> shift_;
    }
    void rebuild(const std::vector<std::pair<std::uint64_t, std::uint32_t>>& pairs) {
        // Room to spare: where a search must step on, the processor has guessed wrong.
        const std::uint64_t size = std::bit_ceil(std::uint64_t{pairs.size()} * 4 + 64);
        cells_.assign(size, Cell{});
        mask_ = size - 1;
        shift_ = static_cast<unsigned>(64 - std::countr_zero(size));
        for (const auto& [key, value] : pairs) {
            std::uint64_t at = home(key);
            while (cells_[at & mask_].key != kEmpty && cells_[at & mask_].key != key) {
                ++at;
            }
            cells_[at & mask_] = {key, value};
        }
    }

    std::vector<Cell> cells_;
    std::uint64_t mask_ = 0;
    unsigned shift_ = 63;
};

}  // namespace vxplane::table
