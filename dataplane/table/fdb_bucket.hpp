// One cache line of the forwarding database and the four ways to compare its keys with one key.
// Met by the FDB itself, and by the test and the bench that run the ways side by side.
#pragma once

#include <immintrin.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#if defined(__SANITIZE_THREAD__)
#define VXPLANE_FDB_SCALAR 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define VXPLANE_FDB_SCALAR 1
#endif
#endif

namespace vxplane::table {

/// Five entries, and in a sixth word how many entries found this bucket full on their way to a
/// later one. That word joins the bits of match() in one number whose lowest set bit is all that a
/// lookup must know, without a jump that depends on whether the key is there: the lane of a hit (0
/// to 4), `last_lane` for a certain miss, or one of the count's bits: the search goes on in the
/// next bucket.
struct alignas(64) FdbBucket {
    static constexpr unsigned lanes = 5;
    /// Also the bit that is set in `words[last_lane]` when none has passed by. Read as a value, the
    /// word is of kind none: counts stay far below bit 21.
    static constexpr unsigned last_lane = 5;
    static constexpr std::uint32_t none_passed_by = 1U << last_lane;
    static constexpr std::uint32_t one_passed_by = 1U << 8;

    std::uint64_t keys[lanes];
    std::uint32_t words[lanes + 1];  ///< the values, and then the count

    std::uint32_t& passed_by() noexcept { return words[last_lane]; }
};
static_assert(sizeof(FdbBucket) == 64);
// The epoch of a value is its most significant byte and is stored alone.
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

/// Names of the instruction sets that match() is written for.
struct IsaScalar {};
struct IsaSse41 {};
struct IsaAvx2 {};
struct IsaAvx512 {};

#if defined(VXPLANE_FDB_SCALAR)
using IsaOfBuild = IsaScalar;  // the thread sanitizer must see each load as an atomic one
#elif defined(__AVX512F__)
using IsaOfBuild = IsaAvx512;
#elif defined(__AVX2__)
using IsaOfBuild = IsaAvx2;
#elif defined(__SSE4_1__)
using IsaOfBuild = IsaSse41;
#else
using IsaOfBuild = IsaScalar;
#endif

/// Bit i of the result is set when keys[i] == key; bits 5 and up are zero. Each 8-byte key is
/// aligned inside a cache line and is therefore read whole by every one of these instructions.
/// The caller must know that the CPU has `Isa`.
template <class Isa>
unsigned match(FdbBucket& bucket, std::uint64_t key) noexcept;

template <>
inline unsigned match<IsaScalar>(FdbBucket& bucket, std::uint64_t key) noexcept {
    unsigned found = 0;
    for (unsigned lane = 0; lane < FdbBucket::lanes; ++lane) {
        const std::atomic_ref<std::uint64_t> held{bucket.keys[lane]};
        found |= static_cast<unsigned>(held.load(std::memory_order_acquire) == key) << lane;
    }
    return found;
}

template <>
[[gnu::target("sse4.1")]] inline unsigned match<IsaSse41>(FdbBucket& bucket,
                                                          std::uint64_t key) noexcept {
    const auto* line = reinterpret_cast<const __m128i*>(&bucket);
    const __m128i wanted = _mm_set1_epi64x(static_cast<long long>(key));
    const __m128i low = _mm_cmpeq_epi64(_mm_load_si128(line), wanted);
    const __m128i middle = _mm_cmpeq_epi64(_mm_load_si128(line + 1), wanted);
    const __m128i high = _mm_cmpeq_epi64(_mm_load_si128(line + 2), wanted);
    const auto found = static_cast<unsigned>(_mm_movemask_pd(_mm_castsi128_pd(low))) |
                       (static_cast<unsigned>(_mm_movemask_pd(_mm_castsi128_pd(middle))) << 2) |
                       (static_cast<unsigned>(_mm_movemask_pd(_mm_castsi128_pd(high))) << 4);
    return found & 0x1fU;
}

template <>
[[gnu::target("avx2")]] inline unsigned match<IsaAvx2>(FdbBucket& bucket,
                                                       std::uint64_t key) noexcept {
    const auto* line = reinterpret_cast<const __m256i*>(&bucket);
    const __m256i wanted = _mm256_set1_epi64x(static_cast<long long>(key));
    const __m256i low = _mm256_cmpeq_epi64(_mm256_load_si256(line), wanted);
    const __m256i high = _mm256_cmpeq_epi64(_mm256_load_si256(line + 1), wanted);
    const auto found = static_cast<unsigned>(_mm256_movemask_pd(_mm256_castsi256_pd(low))) |
                       (static_cast<unsigned>(_mm256_movemask_pd(_mm256_castsi256_pd(high))) << 4);
    return found & 0x1fU;
}

template <>
[[gnu::target("avx512f")]] inline unsigned match<IsaAvx512>(FdbBucket& bucket,
                                                            std::uint64_t key) noexcept {
    const __m512i line = _mm512_load_si512(&bucket);
    const __m512i wanted = _mm512_set1_epi64(static_cast<long long>(key));
    return _mm512_mask_cmpeq_epi64_mask(0x1f, line, wanted);
}

}  // namespace vxplane::table
