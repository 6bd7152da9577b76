// The writer's side of the forwarding database. Run by control.
#include "dataplane/table/fdb.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <random>

#include "dataplane/table/memory.hpp"

namespace vxplane::table {
namespace {

template <class T>
void publish(T& place, T value) noexcept {
    std::atomic_ref<T>{place}.store(value, std::memory_order_release);
}

std::uint32_t buckets_for(std::uint32_t capacity) {
    // 2.5 entries in 5 lanes at most: one entry in 25 then lies beyond its home bucket.
    const std::uint64_t wanted = (std::uint64_t{capacity} * 2 + 4) / 5;
    // 64 buckets at least: a small table then hardly ever looks beyond a home bucket.
    const std::uint64_t buckets = std::bit_ceil(std::max<std::uint64_t>(wanted, 64));
    if (buckets > (std::uint64_t{1} << 29)) {  // slot numbers have 32 bits
        throw std::bad_alloc{};
    }
    return static_cast<std::uint32_t>(buckets);
}

}  // namespace

Fdb::Fdb(std::uint32_t capacity) : capacity_{capacity} {
    std::random_device random;
    const auto random64 = [&random] { return (std::uint64_t{random()} << 32) | random(); };
    seed_ = random64();
    multiplier_ = random64() | 1;

    const std::uint32_t buckets = buckets_for(capacity);
    mask_ = buckets - 1;
    shift_ = 64 - static_cast<std::uint32_t>(std::countr_zero(buckets));
    probe_limit_ = std::min(max_probe, buckets);
    // Untouched until used, so its size is address space rather than memory.
    waiting_ =
        std::make_unique_for_overwrite<std::uint32_t[]>(std::size_t{buckets} * FdbBucket::lanes);
    mapped_bytes_ = std::size_t{buckets} * sizeof(FdbBucket);
    buckets_ = static_cast<FdbBucket*>(take_memory(mapped_bytes_));
    for (std::uint32_t bucket = 0; bucket < buckets; ++bucket) {
        buckets_[bucket].passed_by() = FdbBucket::none_passed_by;
    }
}

Fdb::~Fdb() {
    give_memory(buckets_, mapped_bytes_);
}

Fdb::Put Fdb::put(FdbKey key, FdbValue value) noexcept {
    if (!key.is_storable() || value.kind() == FdbKind::none) {
        ++refused_;
        return Put::full;
    }
    const std::uint32_t home = bucket_of(key);
    if (const Hit old = find(key, home)) {
        publish(value_at(old.slot), value.raw());
        return Put::replaced;
    }
    std::uint32_t distance = 0;
    unsigned free_lanes = 0;
    if (used_ < capacity_) {
        for (; distance < probe_limit_; ++distance) {
            free_lanes = match<IsaOfBuild>(buckets_[(home + distance) & mask_], empty);
            if (free_lanes != 0) {
                break;
            }
        }
    }
    if (free_lanes == 0) {
        ++refused_;
        return Put::full;
    }
    // A reader that sees the key must also see the value and every sign on the way to it.
    for (std::uint32_t step = 0; step < distance; ++step) {
        std::uint32_t& passed_by = buckets_[(home + step) & mask_].passed_by();
        const std::uint32_t count = passed_by & ~FdbBucket::none_passed_by;
        publish(passed_by, count + FdbBucket::one_passed_by);
    }
    FdbBucket& bucket = buckets_[(home + distance) & mask_];
    const auto lane = static_cast<unsigned>(std::countr_zero(free_lanes));
    publish(bucket.words[lane], value.raw());
    publish(bucket.keys[lane], key.raw);
    high_water_ = std::max(high_water_, ++used_);
    return Put::inserted;
}

bool Fdb::erase(FdbKey key) noexcept {
    const std::uint32_t home = bucket_of(key);
    const Hit old = find(key, home);
    if (!old) {
        return false;
    }
    const std::uint32_t at = old.slot / 8;
    publish(buckets_[at].keys[old.slot % 8], tombstone);
    // A reader that matched the old key before may read this value after: it is a miss then.
    publish(value_at(old.slot), std::uint32_t{0});
    for (std::uint32_t bucket = home; bucket != at; bucket = (bucket + 1) & mask_) {
        std::uint32_t& passed_by = buckets_[bucket].passed_by();
        const std::uint32_t count = passed_by - FdbBucket::one_passed_by;
        publish(passed_by, count == 0 ? FdbBucket::none_passed_by : count);
    }
    waiting_[given_up_++] = old.slot;
    --used_;
    return true;
}

void Fdb::begin_grace() noexcept {
    if (in_grace_ == 0) {
        in_grace_ = given_up_;
    }
}

void Fdb::end_grace() noexcept {
    for (std::uint32_t i = 0; i < in_grace_; ++i) {
        const std::uint32_t slot = waiting_[i];
        publish(value_at(slot), std::uint32_t{0});  // a late refresh may have left an epoch here
        publish(buckets_[slot / 8].keys[slot % 8], empty);
    }
    std::copy(&waiting_[in_grace_], &waiting_[given_up_], &waiting_[0]);
    given_up_ -= in_grace_;
    in_grace_ = 0;
}

}  // namespace vxplane::table
