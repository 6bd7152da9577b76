// The forwarding database: one table for all segments, looked up for nearly every frame by the
// workers and written by control alone. A bucket is one cache line; a hit usually costs that line.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "dataplane/table/fdb_bucket.hpp"
#include "dataplane/table/fdb_entry.hpp"

namespace vxplane::table {

/// What readers see of a table: where its buckets are, and how keys find theirs. Never changes
/// while the table exists. A small value, to be copied: a loop that keeps its own copy does not
/// read it again after every store.
class FdbReader {
  public:
    FdbReader() = default;

    /// Where the search for `key` starts. A burst computes and prefetches all, then finds all.
    std::uint32_t bucket_of(FdbKey key) const noexcept {
        // A keyed 64 x 64 -> 128 bit product, folded. With some keys of the hash its low bits are
        // far from even for addresses numbered in steps; the second product makes all 64 count.
        __extension__ using Wide = unsigned __int128;
        const Wide product = static_cast<Wide>(key.raw ^ seed_) * multiplier_;
        const auto folded =
            static_cast<std::uint64_t>(product >> 64) ^ static_cast<std::uint64_t>(product);
        return static_cast<std::uint32_t>((folded * golden_ratio) >> shift_);
    }
    void prefetch(std::uint32_t bucket) const noexcept { __builtin_prefetch(&buckets_[bucket]); }

    struct Hit {
        std::uint32_t slot =
            0;           ///< of a hit: for refresh(), until the reader's next quiescent point
        FdbValue value;  ///< kind none on a miss
        explicit operator bool() const noexcept { return value.kind() != FdbKind::none; }
    };
    /// `bucket` must be bucket_of(key).
    Hit find(FdbKey key, std::uint32_t bucket) const noexcept {
        return find_by<IsaOfBuild>(key, bucket);
    }
    /// The same by a named instruction set, for tests and benches.
    template <class Isa>
    Hit find_by(FdbKey key, std::uint32_t bucket) const noexcept {
        const unsigned lane = look_into<Isa>(bucket, key);
        if (lane > FdbBucket::last_lane) [[unlikely]] {
            return find_beyond<Isa>(*this, key, bucket);
        }
        return answer(bucket, lane);
    }
    /// Notes that the entry was seen in `epoch`. Writes only the epoch byte and only when it
    /// differs, so it loses no replacement that the writer makes at the same time.
    void refresh(std::uint32_t slot, std::uint8_t epoch) const noexcept {
        auto* bytes = reinterpret_cast<std::uint8_t*>(&value_at(slot));
        const std::atomic_ref<std::uint8_t> last_seen{bytes[3]};
        if (last_seen.load(std::memory_order_relaxed) != epoch) {
            last_seen.store(epoch, std::memory_order_relaxed);
        }
    }

  protected:
    static constexpr std::uint64_t golden_ratio = 0x9e37'79b9'7f4a'7c15;  // 2^64 / phi, odd
    static constexpr std::uint64_t empty = 0;
    static constexpr std::uint64_t tombstone = ~std::uint64_t{0};

    /// A slot is numbered 8 * bucket + lane, which makes its address a matter of shifts.
    static constexpr std::uint32_t slot_of(std::uint32_t bucket, unsigned lane) noexcept {
        return bucket * 8 + lane;
    }
    std::uint32_t& value_at(std::uint32_t slot) const noexcept {
        return buckets_[slot / 8].words[slot % 8];
    }
    static std::uint32_t load(std::uint32_t& place) noexcept {
        return std::atomic_ref<std::uint32_t>{place}.load(std::memory_order_relaxed);
    }
    template <class Isa>
    unsigned look_into(std::uint32_t bucket, FdbKey key) const noexcept {
        FdbBucket& line = buckets_[bucket];
        const std::uint32_t bits = match<Isa>(line, key.raw) | load(line.passed_by());
        return static_cast<unsigned>(__builtin_ctz(bits));  // never 0: one flag or the count is set
    }
    // The address of the value comes from the lane, so it is read after the key that gave the lane.
    Hit answer(std::uint32_t bucket, unsigned lane) const noexcept {
        return {slot_of(bucket, lane), FdbValue::from_raw(load(buckets_[bucket].words[lane]))};
    }
    // By value: a reader whose address is known elsewhere could not stay in registers.
    template <class Isa>
    [[gnu::noinline]] static Hit find_beyond(FdbReader table, FdbKey key,
                                             std::uint32_t bucket) noexcept {
        for (std::uint32_t step = 1; step < table.probe_limit_; ++step) {
            bucket = (bucket + 1) & table.mask_;
            if (const unsigned lane = table.look_into<Isa>(bucket, key);
                lane <= FdbBucket::last_lane) {
                return table.answer(bucket, lane);
            }
        }
        return {};
    }

    FdbBucket* buckets_ = nullptr;
    std::uint64_t seed_ = 0;
    std::uint64_t multiplier_ = 0;
    std::uint32_t mask_ = 0;
    std::uint32_t shift_ = 0;
    std::uint32_t probe_limit_ = 0;
};

/// Open addressing over cache-line buckets. Any number of readers, one writer.
///
/// What a reader is promised, with neither lock nor retry: a value it gets was put for the key it
/// asked for, and was current at some moment during the lookup. For this a slot that was erased is
/// given up, not free: it matches nothing and is reused only after end_grace(), when no reader can
/// still be looking at its old key. Entries never move.
class Fdb : public FdbReader {
  public:
    /// Buckets an entry may be away from its home; an insert that would need more is refused.
    static constexpr std::uint32_t max_probe = 16;

    /// `capacity`: entries held at most (a hard limit); the memory for all is taken and touched
    /// here. Throws std::bad_alloc.
    explicit Fdb(std::uint32_t capacity);
    Fdb(const Fdb&) = delete;
    Fdb& operator=(const Fdb&) = delete;
    ~Fdb();

    /// For workers.
    const FdbReader& reader() const noexcept { return *this; }
    /// Leaves `mark` as the epoch and returns what was there, in one step: a stamp that a worker
    /// sets at the same moment is not lost. Control's, for ageing.
    std::uint8_t exchange_epoch(std::uint32_t slot, std::uint8_t mark) noexcept {
        auto* bytes = reinterpret_cast<std::uint8_t*>(&value_at(slot));
        return std::atomic_ref<std::uint8_t>{bytes[3]}.exchange(mark, std::memory_order_relaxed);
    }

    // --- the one writer ------------------------------------------------------------------------

    enum class Put : std::uint8_t {
        inserted,
        replaced,
        full,  ///< refused and counted: capacity, probe length, or a key or value that is none
    };
    Put put(FdbKey key, FdbValue value) noexcept;
    /// False when there was no such entry.
    bool erase(FdbKey key) noexcept;
    /// How often somebody corrected the table, as opposed to what frames taught. Any thread. Who
    /// finds an entry gone or changed by a correction finds it counted.
    std::uint32_t corrections() const noexcept {
        std::atomic_thread_fence(std::memory_order_acquire);
        return corrections_.load(std::memory_order_relaxed);
    }
    /// The writer is about to make a correction.
    void count_correction() noexcept {
        corrections_.store(corrections_.load(std::memory_order_relaxed) + 1,
                           std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_release);
    }
    using FdbReader::find;
    Hit find(FdbKey key) const noexcept { return find(key, bucket_of(key)); }

    /// Calls `f(FdbKey, FdbValue, slot)` for each entry. `f` may erase the entry it is shown and
    /// replace any; what it inserts may or may not be shown.
    template <class F>
    void for_each(F&& f) const {
        for_each_in(0, bucket_count(), f);
    }
    /// The same for the buckets [first, last), for work that is spread over time.
    template <class F>
    void for_each_in(std::uint32_t first, std::uint32_t last, F&& f) const {
        for (std::uint32_t bucket = first; bucket < last; ++bucket) {
            for (unsigned lane = 0; lane < FdbBucket::lanes; ++lane) {
                const FdbKey key{buckets_[bucket].keys[lane]};
                if (key.is_storable()) {
                    f(key, FdbValue::from_raw(load(buckets_[bucket].words[lane])),
                      slot_of(bucket, lane));
                }
            }
        }
    }

    /// True when slots wait for a grace period and none is running. The writer then calls
    /// begin_grace(), lets every reader pass a quiescent point, and calls end_grace().
    bool needs_grace() const noexcept { return given_up_ != 0 && in_grace_ == 0; }
    void begin_grace() noexcept;
    void end_grace() noexcept;

    std::uint32_t used() const noexcept { return used_; }
    std::uint32_t high_water() const noexcept { return high_water_; }
    std::uint64_t refused() const noexcept { return refused_; }
    std::uint32_t capacity() const noexcept { return capacity_; }
    std::uint32_t bucket_count() const noexcept { return mask_ + 1; }
    /// Slots that wait for a grace period to begin or to end.
    std::uint32_t given_up() const noexcept { return given_up_; }
    /// Bytes of the buckets. A list of given-up slots costs up to 20 bytes a bucket more, of which
    /// only what was needed at once is ever touched.
    std::size_t memory_bytes() const noexcept { return std::size_t{bucket_count()} * 64; }

  private:
    // The writer's own.
    alignas(64) std::uint32_t capacity_;
    std::uint32_t used_ = 0;
    std::uint32_t high_water_ = 0;
    std::uint32_t given_up_ = 0;  // slots in waiting_; the first in_grace_ of them are in a grace
    std::uint32_t in_grace_ = 0;
    std::atomic<std::uint32_t> corrections_{0};  // read by workers that have news
    std::uint64_t refused_ = 0;
    std::size_t mapped_bytes_ = 0;
    std::unique_ptr<std::uint32_t[]> waiting_;
};

}  // namespace vxplane::table
