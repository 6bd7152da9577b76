// When a learned FDB entry has been unused for too long. The FDB keeps one byte per entry, the
// epoch in which a worker last saw it; this wheel turns those bytes into times and finds, at a cost
// of one visit per entry and minute, those that are due.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

namespace vxplane::control {

/// Milliseconds on a clock that never goes back and that the stamps are made from; any origin.
using AgeingTime = std::uint64_t;

/// Length of an epoch.
constexpr AgeingTime kEpochMs = 250;
/// The byte that a worker stamps at `now`: the epoch modulo 256, so it repeats after 64 s.
constexpr std::uint8_t epoch_byte(AgeingTime now) noexcept {
    return static_cast<std::uint8_t>(now / kEpochMs);
}

/// What the FDB says of a key.
struct AgeingLook {
    bool ages = false;         ///< the entry exists and is dynamic
    std::uint8_t epoch = 0;    ///< its stamp, before it was exchanged
    AgeingTime ageing_ms = 0;  ///< of its segment; 0 = never
};

/// What the wheel needs of the FDB.
template <class T>
concept AgeingTable = requires(T& table, std::uint64_t key, std::uint8_t mark) {
    /// Finds the entry and, if it ages, exchanges its stamp for `mark` in one atomic step (a worker
    /// may stamp at the same moment, and that stamp must not be lost).
    { table.look(key, mark) } -> std::same_as<AgeingLook>;
    /// Removes the entry: its time is over. Must not call track() or forget().
    { table.expire(key) } -> std::same_as<void>;
};

/// The wheel. One thread. Each key is in it at most once, so an entry that is deleted and added
/// again starts anew, with no trace of the old one.
///
/// Why stamps are exchanged at a visit: a worker does not write a stamp that is already there, so
/// an entry last seen in epoch e and seen again exactly 256 epochs later would look unused. The
/// mark that is left at a visit is 16 epochs in the past: no worker stamps it during the next 240,
/// and the next visit is after at most 224.
///
/// With exact calls of advance() every P ms, an entry with age A goes between A and
/// A + 500 ms + P after it was last seen, if stamps are at most 250 ms old when they are written.
/// When advance() was not called for 4 s or more, an unused entry may live one age longer, never
/// shorter.
class AgeingWheel {
  public:
    /// `capacity`: keys held at most; memory for all (36 to 40 bytes each) is taken here.
    AgeingWheel(std::size_t capacity, AgeingTime now);

    /// A dynamic entry was put into the FDB, new or again, with the stamp epoch_byte(now). False
    /// when the wheel is full: the entry would never age.
    bool track(std::uint64_t key, AgeingTime now) noexcept;
    /// The entry was deleted or is no longer dynamic. Not needed for correctness: a visit finds
    /// out.
    void forget(std::uint64_t key) noexcept;

    /// Visits what is due, at most about `budget` entries. True when all that is due was visited;
    /// else call again soon.
    template <AgeingTable Table>
    bool advance(AgeingTime now, Table& table,
                 std::size_t budget = std::numeric_limits<std::size_t>::max());

    /// The ageing of some segment got shorter: `is_affected(key)` are visited within the next
    /// second (otherwise within 56 s). Spread over four epochs.
    template <class Predicate>
    void rescan(AgeingTime now, Predicate&& is_affected);

    /// When the entry was last seen, to the end of an epoch and never in the future, `stamp` being
    /// its present stamp; none if the key is not tracked.
    [[nodiscard]] std::optional<AgeingTime> last_seen(std::uint64_t key, std::uint8_t stamp,
                                                      AgeingTime now) const noexcept;

    [[nodiscard]] std::size_t size() const noexcept { return used_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return records_.size(); }
    [[nodiscard]] std::uint64_t visits() const noexcept { return visits_; }
    [[nodiscard]] std::uint64_t expired() const noexcept { return expired_; }
    [[nodiscard]] std::uint64_t refused() const noexcept { return refused_; }

  private:
    using Epoch = std::uint32_t;  ///< since the origin of the clock; lasts 34 years
    static constexpr std::uint32_t kNone = ~std::uint32_t{0};
    static constexpr std::size_t kSlots = 256;
    /// The list that is being visited. What a visit files anew can never get into it.
    static constexpr std::size_t kVisiting = kSlots;
    static constexpr Epoch kMarkAge = 16;
    static constexpr Epoch kLongestGap = 224;
    /// A stamp may be this far ahead of the wheel's time: workers read the clock later.
    static constexpr Epoch kAhead = 4;
    /// Age of a stamp when it is written, at most.
    static constexpr AgeingTime kStampLag = kEpochMs;

    struct Record {
        std::uint64_t key;
        Epoch last;     ///< seen
        Epoch visited;  ///< when the mark was left; equal to `last` while there is none
        std::uint32_t next;
        std::uint32_t previous;  ///< kNone: first of its slot
        std::uint32_t chain;     ///< next of the same hash; next free one in the free list
        std::uint16_t slot;      ///< true for the first of a slot only
        bool marked;
    };

    static Epoch epoch_of(AgeingTime now) noexcept { return static_cast<Epoch>(now / kEpochMs); }
    [[nodiscard]] static Epoch seen_in(const Record& record, std::uint8_t stamp,
                                       Epoch now) noexcept;
    [[nodiscard]] std::uint32_t& bucket_of(std::uint64_t key) noexcept;
    [[nodiscard]] std::uint32_t find(std::uint64_t key) const noexcept;
    void link(std::uint32_t index, Epoch due) noexcept;
    void unlink(std::uint32_t index) noexcept;
    void release(std::uint32_t index) noexcept;
    /// Takes the visited record's new stamp in and files it again; true if it is due.
    bool settle(std::uint32_t index, const AgeingLook& look, AgeingTime now) noexcept;

    std::vector<Record> records_;
    std::vector<std::uint32_t> buckets_;
    std::vector<std::uint32_t> slots_;
    std::uint32_t free_ = kNone;
    std::size_t used_ = 0;
    Epoch done_;  ///< slots up to this epoch have been visited
    std::uint64_t visits_ = 0;
    std::uint64_t expired_ = 0;
    std::uint64_t refused_ = 0;
};

template <AgeingTable Table>
bool AgeingWheel::advance(AgeingTime now, Table& table, std::size_t budget) {
    const Epoch present = epoch_of(now);
    // After a long pause each slot is due once, not once per turn of the wheel.
    if (present > done_ && present - done_ > kSlots) {
        done_ = present - static_cast<Epoch>(kSlots);
    }
    std::uint32_t& first = slots_[kVisiting];
    for (;;) {
        while (first != kNone) {
            if (budget == 0) {
                return false;
            }
            --budget;
            ++visits_;
            const std::uint32_t index = first;
            const std::uint64_t key = records_[index].key;
            unlink(index);
            if (settle(index, table.look(key, static_cast<std::uint8_t>(present - kMarkAge)),
                       now)) {
                table.expire(key);
            }
        }
        if (done_ >= present) {
            return true;
        }
        ++done_;
        first = std::exchange(slots_[done_ % kSlots], kNone);
        if (first != kNone) {
            records_[first].slot = kVisiting;
        }
    }
}

template <class Predicate>
void AgeingWheel::rescan(AgeingTime now, Predicate&& is_affected) {
    const Epoch base = std::max(epoch_of(now), done_);
    Epoch spread = 0;
    for (const std::uint32_t head : buckets_) {
        for (std::uint32_t index = head; index != kNone; index = records_[index].chain) {
            if (is_affected(records_[index].key)) {
                unlink(index);
                link(index, base + 1 + spread++ % 4);
            }
        }
    }
}

}  // namespace vxplane::control
