// Records, slots and hash chains of the ageing wheel.
#include "control/resolve/ageing.hpp"

#include <bit>

namespace vxplane::control {

AgeingWheel::AgeingWheel(std::size_t capacity, AgeingTime now)
    : records_(capacity),
      buckets_(std::bit_ceil(std::max<std::size_t>(capacity, 1)), kNone),
      slots_(kSlots + 1, kNone),
      done_(epoch_of(now)) {
    for (std::size_t index = capacity; index > 0; --index) {
        records_[index - 1].chain = free_;
        free_ = static_cast<std::uint32_t>(index - 1);
    }
}

std::uint32_t& AgeingWheel::bucket_of(std::uint64_t key) noexcept {
    // Multiplicative hash: the high bits are the mixed ones.
    const std::uint64_t mixed = (key ^ key >> 32) * 0x9E3779B97F4A7C15ULL;
    return buckets_[static_cast<std::size_t>(mixed >> 32) & (buckets_.size() - 1)];
}

std::uint32_t AgeingWheel::find(std::uint64_t key) const noexcept {
    std::uint32_t index = const_cast<AgeingWheel*>(this)->bucket_of(key);
    while (index != kNone && records_[index].key != key) {
        index = records_[index].chain;
    }
    return index;
}

void AgeingWheel::link(std::uint32_t index, Epoch due) noexcept {
    Record& record = records_[index];
    record.slot = static_cast<std::uint16_t>(due % kSlots);
    std::uint32_t& first = slots_[record.slot];
    record.next = first;
    record.previous = kNone;
    if (first != kNone) {
        records_[first].previous = index;
    }
    first = index;
}

void AgeingWheel::unlink(std::uint32_t index) noexcept {
    const Record& record = records_[index];
    if (record.previous == kNone) {
        slots_[record.slot] = record.next;
    } else {
        records_[record.previous].next = record.next;
    }
    if (record.next != kNone) {
        records_[record.next].previous = record.previous;
        records_[record.next].slot = record.slot;
    }
}

void AgeingWheel::release(std::uint32_t index) noexcept {
    std::uint32_t* place = &bucket_of(records_[index].key);
    while (*place != index) {
        place = &records_[*place].chain;
    }
    *place = records_[index].chain;
    records_[index].chain = free_;
    free_ = index;
    --used_;
}

bool AgeingWheel::track(std::uint64_t key, AgeingTime now) noexcept {
    std::uint32_t index = find(key);
    if (index != kNone) {
        unlink(index);
    } else {
        if (free_ == kNone) {
            ++refused_;
            return false;
        }
        index = free_;
        free_ = records_[index].chain;
        std::uint32_t& bucket = bucket_of(key);
        records_[index].key = key;
        records_[index].chain = bucket;
        bucket = index;
        ++used_;
    }
    records_[index].last = records_[index].visited = epoch_of(now);
    records_[index].marked = false;
    // Its ageing is not known here, and no ageing is below a second: look soon, then file it right.
    link(index, std::max(epoch_of(now), done_) + 1);
    return true;
}

void AgeingWheel::forget(std::uint64_t key) noexcept {
    if (const std::uint32_t index = find(key); index != kNone) {
        unlink(index);
        release(index);
    }
}

AgeingWheel::Epoch AgeingWheel::seen_in(const Record& record, std::uint8_t stamp,
                                        Epoch now) noexcept {
    if (record.marked && stamp == static_cast<std::uint8_t>(record.visited - kMarkAge)) {
        // Untouched, unless so much time has passed that a worker could have written the same byte;
        // then the entry gets the benefit of the doubt.
        const Epoch again = record.visited - kMarkAge + 256;
        return now + kAhead < again ? record.last : std::min(again, now);
    }
    // The latest epoch with this byte, at most kAhead in the future.
    const Epoch latest = now + kAhead;
    const Epoch back = static_cast<std::uint8_t>(static_cast<std::uint8_t>(latest) - stamp);
    const Epoch seen = std::min(latest - back, now);
    // A stamp from before the start of the clock is a wrap of the subtraction.
    return latest < back ? record.last : std::max(seen, record.last);
}

bool AgeingWheel::settle(std::uint32_t index, const AgeingLook& look, AgeingTime now) noexcept {
    Record& record = records_[index];
    if (!look.ages) {
        release(index);
        return false;
    }
    const Epoch present = epoch_of(now);
    record.last = seen_in(record, look.epoch, present);
    record.visited = present;
    record.marked = true;
    Epoch due = present + kLongestGap;
    if (look.ageing_ms != 0) {
        const AgeingTime expiry =
            (AgeingTime{record.last} + 1) * kEpochMs + kStampLag + look.ageing_ms;
        if (expiry <= now) {
            release(index);
            ++expired_;
            return true;
        }
        const AgeingTime visit = (expiry + kEpochMs - 1) / kEpochMs;
        due = static_cast<Epoch>(std::min<AgeingTime>(due, visit));
    }
    link(index, due);
    return false;
}

std::optional<AgeingTime> AgeingWheel::last_seen(std::uint64_t key, std::uint8_t stamp,
                                                 AgeingTime now) const noexcept {
    const std::uint32_t index = find(key);
    if (index == kNone) {
        return std::nullopt;
    }
    const Epoch seen = seen_in(records_[index], stamp, epoch_of(now));
    return std::min((AgeingTime{seen} + 1) * kEpochMs, now);
}

}  // namespace vxplane::control
