// Every way to compare a bucket with a key that this CPU can run gives the same answer.
#include <gtest/gtest.h>

#include <random>

#include "dataplane/table/fdb_bucket.hpp"

namespace vxplane::table {
namespace {

unsigned expected_match(const FdbBucket& bucket, std::uint64_t key) {
    unsigned found = 0;
    for (unsigned lane = 0; lane < FdbBucket::lanes; ++lane) {
        found |= (bucket.keys[lane] == key ? 1U : 0U) << lane;
    }
    return found;
}

template <class Isa>
void compare_on_random_buckets() {
    std::mt19937_64 random{4711};
    unsigned found_any = 0;
    for (int round = 0; round < 100'000; ++round) {
        FdbBucket bucket{};
        auto* words = reinterpret_cast<std::uint64_t*>(&bucket);
        for (int i = 0; i < 8; ++i) {
            words[i] = random();
        }
        // Few different keys, so that a key matches in one lane, in several, or in none; some
        // differ in one half only; and the words behind the keys hold the key too.
        const std::uint64_t key = round % 3 == 0 ? 0 : random();
        for (unsigned lane = 0; lane < 8; ++lane) {
            switch (random() % 5) {
                case 0:
                    words[lane] = key;
                    break;
                case 1:
                    words[lane] = key ^ 1;
                    break;
                case 2:
                    words[lane] = key ^ (std::uint64_t{1} << 63);
                    break;
                default:
                    break;
            }
        }
        const unsigned expected = expected_match(bucket, key);
        found_any |= expected;
        ASSERT_EQ(match<Isa>(bucket, key), expected) << "round " << round;
    }
    EXPECT_EQ(found_any, 0x1fU);
}

TEST(FdbMatch, scalar_finds_what_a_plain_loop_finds) {
    compare_on_random_buckets<IsaScalar>();
}

TEST(FdbMatch, sse41_finds_what_a_plain_loop_finds) {
    if (!__builtin_cpu_supports("sse4.1")) {
        GTEST_SKIP() << "this CPU has no SSE4.1";
    }
    compare_on_random_buckets<IsaSse41>();
}

TEST(FdbMatch, avx2_finds_what_a_plain_loop_finds) {
    if (!__builtin_cpu_supports("avx2")) {
        GTEST_SKIP() << "this CPU has no AVX2";
    }
    compare_on_random_buckets<IsaAvx2>();
}

TEST(FdbMatch, avx512_finds_what_a_plain_loop_finds) {
    if (!__builtin_cpu_supports("avx512f")) {
        GTEST_SKIP() << "this CPU has no AVX-512";
    }
    compare_on_random_buckets<IsaAvx512>();
}

}  // namespace
}  // namespace vxplane::table
