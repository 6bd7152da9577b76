// The lookup that the forwarding database does not use: it jumps on whether the key is in its home
// bucket. Kept beside the one in use so that the choice can be measured again.
#pragma once

#include <sys/mman.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "dataplane/table/fdb.hpp"

namespace vxplane::bench {

/// A copy of a table's buckets, on huge pages as the original is.
class BranchingFdb {
  public:
    explicit BranchingFdb(const table::Fdb& original)
        : original_{original}, mask_{original.bucket_count() - 1} {
        constexpr std::size_t huge_page = std::size_t{2} << 20;
        const std::size_t bytes = original.memory_bytes();
        buckets_.reset(static_cast<Bucket*>(
            std::aligned_alloc(huge_page, (bytes + huge_page - 1) & ~(huge_page - 1))));
        madvise(buckets_.get(), bytes, MADV_HUGEPAGE);
        for (std::uint32_t bucket = 0; bucket <= mask_; ++bucket) {
            buckets_[bucket] = Bucket{};
        }
        original.for_each([this](table::FdbKey key, table::FdbValue value, std::uint32_t slot) {
            Bucket& held = buckets_[slot / 8];
            held.keys[slot % 8] = key.raw;
            held.words[slot % 8] = value.raw();
            for (auto bucket = bucket_of(key); bucket != slot / 8; bucket = (bucket + 1) & mask_) {
                ++buckets_[bucket].passed_by();
            }
        });
    }

    std::uint32_t bucket_of(table::FdbKey key) const noexcept { return original_.bucket_of(key); }
    void prefetch(std::uint32_t bucket) const noexcept { __builtin_prefetch(&buckets_[bucket]); }
    table::Fdb::Hit find(table::FdbKey key, std::uint32_t bucket) const noexcept {
        for (;; bucket = (bucket + 1) & mask_) {
            Bucket& held = buckets_[bucket];
            if (const auto found = table::match<table::IsaOfBuild>(held, key.raw); found != 0) {
                const auto lane = static_cast<unsigned>(std::countr_zero(found));
                return {bucket * 8 + lane, table::FdbValue::from_raw(held.words[lane])};
            }
            if (held.passed_by() == 0) {
                return {};
            }
        }
    }

  private:
    using Bucket = table::FdbBucket;
    struct Free {
        void operator()(Bucket* buckets) const noexcept { std::free(buckets); }
    };
    const table::Fdb& original_;
    std::uint32_t mask_;
    std::unique_ptr<Bucket[], Free> buckets_;
};

}  // namespace vxplane::bench
