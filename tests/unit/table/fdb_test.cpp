// The forwarding database seen by one thread: a map with a capacity, graces, and no lost entries.
#include "dataplane/table/fdb.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace vxplane::table {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool is_sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool is_sanitized = true;
#else
constexpr bool is_sanitized = false;
#endif
#else
constexpr bool is_sanitized = false;
#endif

constexpr std::uint64_t mac = 0x0242'ac11'0002ULL;

FdbValue tunnel(std::uint32_t index, std::uint8_t epoch = 0) {
    return FdbValue::make(FdbKind::tunnel, index, FdbState::dynamic, epoch);
}

void pass_a_grace(Fdb& fdb) {
    fdb.begin_grace();
    fdb.end_grace();
}

/// `count` keys whose search starts in one and the same bucket.
std::vector<FdbKey> keys_of_one_bucket(const Fdb& fdb, std::size_t count) {
    std::vector<FdbKey> keys;
    const auto wanted = fdb.bucket_of(FdbKey::make(mac, 1));
    for (std::uint64_t i = 0; keys.size() < count; ++i) {
        const auto key = FdbKey::make(mac + i, 1);
        if (fdb.bucket_of(key) == wanted) {
            keys.push_back(key);
        }
    }
    return keys;
}

TEST(Fdb, VX64_same_mac_in_two_segments_is_two_entries) {
    Fdb fdb{16};
    const auto red = FdbKey::make(mac, 1);
    const auto blue = FdbKey::make(mac, 2);
    ASSERT_EQ(fdb.put(red, tunnel(10)), Fdb::Put::inserted);
    EXPECT_FALSE(fdb.find(blue));
    ASSERT_EQ(fdb.put(blue, tunnel(20)), Fdb::Put::inserted);
    EXPECT_EQ(fdb.find(red).value.index(), 10U);
    EXPECT_EQ(fdb.find(blue).value.index(), 20U);
    EXPECT_TRUE(fdb.erase(red));
    EXPECT_FALSE(fdb.find(red));
    EXPECT_EQ(fdb.find(blue).value.index(), 20U);
}

/// Keys as a network has them: many hosts of several vendors, in a few segments.
FdbKey key_of_million(std::uint32_t i) {
    return FdbKey::make(mac + (std::uint64_t{i % 7} << 24) + i / 7,
                        static_cast<std::uint16_t>(i % 5));
}

TEST(Fdb, VX65_a_million_entries_go_in_at_a_million_a_second_and_are_found) {
    constexpr std::uint32_t count = 1'000'000;
    double best = 0;
    for (int tries = 0; tries < 3 && best < 1e6; ++tries) {
        Fdb fdb{count};
        std::uint32_t inserted = 0;
        const auto began = std::chrono::steady_clock::now();
        for (std::uint32_t i = 0; i < count; ++i)
            inserted += fdb.put(key_of_million(i), tunnel(i)) == Fdb::Put::inserted ? 1U : 0U;
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
        best = std::max(best, count / took.count());
        ASSERT_EQ(inserted, count);
        EXPECT_EQ(fdb.used(), count);
        EXPECT_EQ(fdb.refused(), 0U);
        for (std::uint32_t i = 0; i < count; ++i) {
            const auto hit = fdb.find(key_of_million(i));
            ASSERT_TRUE(hit) << i;
            ASSERT_EQ(hit.value, tunnel(i)) << i;
        }
        // Addresses that are not there, and those of others in segments of their own.
        for (std::uint32_t i = 0; i < 1000; ++i) {
            EXPECT_FALSE(fdb.find(FdbKey::make(mac + (1ULL << 40) + i * 977ULL, 1)));
            EXPECT_FALSE(
                fdb.find(FdbKey::make(mac + (std::uint64_t{i % 7} << 24) + i / 7, 5 + i % 3)));
        }
    }
    RecordProperty("inserts_per_second", std::to_string(best));
    EXPECT_TRUE(is_sanitized || best >= 1e6) << best;
}

TEST(Fdb, put_replaces_and_erase_tells_whether_there_was_one) {
    Fdb fdb{16};
    const auto key = FdbKey::make(mac, 1);
    EXPECT_FALSE(fdb.erase(key));
    EXPECT_EQ(fdb.put(key, tunnel(1)), Fdb::Put::inserted);
    EXPECT_EQ(fdb.put(key, tunnel(2)), Fdb::Put::replaced);
    EXPECT_EQ(fdb.find(key).value, tunnel(2));
    EXPECT_EQ(fdb.used(), 1U);
    EXPECT_TRUE(fdb.erase(key));
    EXPECT_FALSE(fdb.erase(key));
    EXPECT_EQ(fdb.used(), 0U);
}

TEST(Fdb, does_what_a_map_does) {
    constexpr std::uint32_t capacity = 5000;
    Fdb fdb{capacity};
    std::unordered_map<std::uint64_t, std::uint32_t> model;
    std::mt19937_64 random{20};
    std::uint64_t refused = 0;
    for (int i = 0; i < 400'000; ++i) {
        // 8000 keys, 5000 places: often full, many repeats.
        const auto key =
            FdbKey::make(mac + random() % 2000, static_cast<std::uint16_t>(random() % 4));
        const auto known = model.find(key.raw);
        switch (random() % 4) {
            case 0:
                ASSERT_EQ(fdb.erase(key), known != model.end());
                model.erase(key.raw);
                break;
            case 1: {
                const auto hit = fdb.find(key);
                ASSERT_EQ(static_cast<bool>(hit), known != model.end());
                if (hit) {
                    ASSERT_EQ(hit.value.index(), known->second);
                }
                break;
            }
            default: {
                const auto index = static_cast<std::uint32_t>(random() % FdbValue::max_index);
                const auto did = fdb.put(key, tunnel(index));
                if (known != model.end()) {
                    ASSERT_EQ(did, Fdb::Put::replaced);
                    known->second = index;
                } else if (model.size() == capacity) {
                    ASSERT_EQ(did, Fdb::Put::full);
                    ++refused;
                } else {
                    ASSERT_EQ(did, Fdb::Put::inserted);
                    model.emplace(key.raw, index);
                }
            }
        }
        if (random() % 500 == 0) {
            pass_a_grace(fdb);
        }
        ASSERT_EQ(fdb.used(), model.size());
    }
    EXPECT_GT(refused, 0U);
    EXPECT_EQ(fdb.refused(), refused);
    EXPECT_EQ(fdb.high_water(), capacity);

    std::set<std::uint32_t> slots;
    fdb.for_each([&](FdbKey key, FdbValue value, std::uint32_t slot) {
        ASSERT_TRUE(model.contains(key.raw));
        EXPECT_EQ(model[key.raw], value.index());
        EXPECT_EQ(fdb.find(key).slot, slot);
        EXPECT_TRUE(slots.insert(slot).second);
    });
    EXPECT_EQ(slots.size(), model.size());
}

TEST(Fdb, keys_of_one_bucket_spill_over_and_are_all_found) {
    Fdb fdb{1000};
    const auto keys = keys_of_one_bucket(fdb, 23);
    for (std::uint32_t i = 0; i < keys.size(); ++i) {
        ASSERT_EQ(fdb.put(keys[i], tunnel(i)), Fdb::Put::inserted);
    }
    std::set<std::uint32_t> buckets;
    for (std::uint32_t i = 0; i < keys.size(); ++i) {
        const auto hit = fdb.find(keys[i]);
        ASSERT_TRUE(hit);
        EXPECT_EQ(hit.value.index(), i);
        buckets.insert(hit.slot / 8);
    }
    EXPECT_EQ(buckets.size(), 5U);
    // Those that went away from the middle of the chain hide none behind them.
    for (std::size_t i = 0; i < keys.size(); i += 2) {
        ASSERT_TRUE(fdb.erase(keys[i]));
    }
    pass_a_grace(fdb);
    for (std::uint32_t i = 0; i < keys.size(); ++i) {
        EXPECT_EQ(static_cast<bool>(fdb.find(keys[i])), i % 2 == 1) << i;
    }
    for (std::size_t i = 1; i < keys.size(); i += 2) {
        ASSERT_TRUE(fdb.erase(keys[i]));
    }
    pass_a_grace(fdb);
    // Nothing is left of the chain: a new key lies at home, and a stranger costs one bucket.
    ASSERT_EQ(fdb.put(keys.back(), tunnel(1)), Fdb::Put::inserted);
    EXPECT_EQ(fdb.find(keys.back()).slot / 8, fdb.bucket_of(keys.back()));
}

TEST(Fdb, a_chain_that_is_too_long_is_refused_and_counted) {
    Fdb fdb{1000};
    const auto keys = keys_of_one_bucket(fdb, Fdb::max_probe * FdbBucket::lanes + 1);
    for (std::size_t i = 0; i + 1 < keys.size(); ++i) {
        ASSERT_EQ(fdb.put(keys[i], tunnel(1)), Fdb::Put::inserted);
    }
    EXPECT_EQ(fdb.put(keys.back(), tunnel(1)), Fdb::Put::full);
    EXPECT_EQ(fdb.refused(), 1U);
    EXPECT_FALSE(fdb.find(keys.back()));
    EXPECT_TRUE(fdb.find(keys[keys.size() - 2]));
}

TEST(Fdb, VX59_a_full_table_refuses_and_counts_and_keeps_what_it_has) {
    constexpr std::uint32_t capacity = 1000;
    Fdb fdb{capacity};
    for (std::uint32_t i = 0; i < capacity; ++i) {
        ASSERT_EQ(fdb.put(FdbKey::make(mac + i, 1), tunnel(i)), Fdb::Put::inserted);
    }
    for (std::uint32_t i = 0; i < 10; ++i) {
        EXPECT_EQ(fdb.put(FdbKey::make(mac + capacity + i, 1), tunnel(i)), Fdb::Put::full);
    }
    EXPECT_EQ(fdb.refused(), 10U);
    EXPECT_EQ(fdb.used(), capacity);
    EXPECT_EQ(fdb.put(FdbKey::make(mac, 1), tunnel(7)), Fdb::Put::replaced);
    for (std::uint32_t i = 1; i < capacity; ++i) {
        ASSERT_EQ(fdb.find(FdbKey::make(mac + i, 1)).value.index(), i);
    }
    EXPECT_TRUE(fdb.erase(FdbKey::make(mac, 1)));
    EXPECT_EQ(fdb.put(FdbKey::make(mac + capacity, 1), tunnel(1)), Fdb::Put::inserted);
    EXPECT_EQ(fdb.high_water(), capacity);
}

TEST(Fdb, every_capacity_can_be_filled) {
    for (const std::uint32_t capacity : {1U, 2U, 16U, 17U, 100U, 640U, 5'000U}) {
        Fdb fdb{capacity};
        for (std::uint32_t i = 0; i < capacity; ++i) {
            ASSERT_EQ(fdb.put(FdbKey::make(mac + i, 1), tunnel(1)), Fdb::Put::inserted) << capacity;
        }
    }
}

TEST(Fdb, addresses_numbered_in_steps_spread_like_random_ones) {
    constexpr std::uint32_t capacity = 163'840;  // 2.5 a bucket: as crowded as a table can be
    for (int seed = 0; seed < 10; ++seed) {
        // As vendors and hypervisors number: consecutive, in many segments, with steps in high
        // bytes.
        for (const unsigned shift : {0U, 8U, 24U}) {
            Fdb fdb{capacity};
            std::uint32_t beyond_home = 0;
            for (std::uint32_t i = 0; i < capacity; ++i) {
                const auto key = FdbKey::make(mac + ((std::uint64_t{i} / 16) << shift),
                                              static_cast<std::uint16_t>(i % 16));
                ASSERT_EQ(fdb.put(key, tunnel(1)), Fdb::Put::inserted) << i;
                beyond_home += fdb.find(key).slot / 8 != fdb.bucket_of(key) ? 1 : 0;
            }
            EXPECT_LT(beyond_home, capacity / 25);  // evenly random: 2.7 %
        }
    }
}

TEST(Fdb, a_table_without_capacity_refuses_all) {
    Fdb fdb{0};
    EXPECT_EQ(fdb.put(FdbKey::make(mac, 1), tunnel(1)), Fdb::Put::full);
    EXPECT_FALSE(fdb.find(FdbKey::make(mac, 1)));
}

TEST(Fdb, slots_are_reused_only_after_a_grace) {
    Fdb fdb{16};
    ASSERT_FALSE(fdb.needs_grace());
    const auto keys = keys_of_one_bucket(fdb, 4);
    ASSERT_EQ(fdb.put(keys[0], tunnel(1)), Fdb::Put::inserted);
    const auto slot = fdb.find(keys[0]).slot;
    fdb.erase(keys[0]);
    EXPECT_TRUE(fdb.needs_grace());
    fdb.put(keys[1], tunnel(1));
    EXPECT_NE(fdb.find(keys[1]).slot, slot);

    fdb.begin_grace();
    EXPECT_FALSE(fdb.needs_grace());
    fdb.put(keys[2], tunnel(1));
    EXPECT_NE(fdb.find(keys[2]).slot, slot);
    const auto late = fdb.find(keys[2]).slot;
    fdb.erase(keys[2]);  // given up while the grace ran: it waits for the next one
    fdb.end_grace();
    EXPECT_TRUE(fdb.needs_grace());
    EXPECT_EQ(fdb.given_up(), 1U);

    fdb.put(keys[3], tunnel(1));
    EXPECT_EQ(fdb.find(keys[3]).slot, slot);
    pass_a_grace(fdb);
    EXPECT_FALSE(fdb.needs_grace());
    fdb.put(keys[2], tunnel(1));
    EXPECT_EQ(fdb.find(keys[2]).slot, late);
}

TEST(Fdb, a_grace_that_was_not_begun_frees_nothing) {
    Fdb fdb{16};
    fdb.put(FdbKey::make(mac, 1), tunnel(1));
    fdb.erase(FdbKey::make(mac, 1));
    fdb.end_grace();
    EXPECT_EQ(fdb.given_up(), 1U);
}

TEST(Fdb, the_marks_of_empty_and_given_up_slots_are_neither_found_nor_stored) {
    Fdb fdb{16};
    const FdbKey nothing{0};
    const FdbKey gone{~std::uint64_t{0}};
    for (std::uint32_t i = 0; i < 16; ++i) {
        fdb.put(FdbKey::make(mac + i, 1), tunnel(1));
    }
    for (std::uint32_t i = 0; i < 16; ++i) {
        const auto hit = fdb.find(FdbKey::make(mac + i, 1));
        fdb.erase(FdbKey::make(mac + i, 1));
        fdb.refresh(hit.slot, 77);  // by a worker that found the entry just before
    }
    for (std::uint32_t bucket = 0; bucket < fdb.bucket_count(); ++bucket) {
        EXPECT_FALSE(fdb.find(nothing, bucket));
        EXPECT_FALSE(fdb.find(gone, bucket));
    }
    EXPECT_FALSE(fdb.erase(gone));
    EXPECT_EQ(fdb.put(nothing, tunnel(1)), Fdb::Put::full);
    EXPECT_EQ(fdb.put(gone, tunnel(1)), Fdb::Put::full);
    EXPECT_EQ(fdb.put(FdbKey::make(mac, 1), FdbValue{}), Fdb::Put::full);
    EXPECT_EQ(fdb.refused(), 3U);
}

TEST(Fdb, refresh_changes_the_epoch_and_nothing_else) {
    Fdb fdb{16};
    const auto key = FdbKey::make(mac, 3);
    const auto value = FdbValue::make(FdbKind::port, FdbValue::max_index, FdbState::controller, 1);
    fdb.put(key, value);
    fdb.refresh(fdb.find(key).slot, 254);
    const auto seen = fdb.find(key).value;
    EXPECT_EQ(seen.epoch(), 254);
    EXPECT_EQ(seen.location(), value.location());
    EXPECT_EQ(seen.state(), value.state());
}

TEST(Fdb, entries_may_be_erased_while_all_are_visited) {
    Fdb fdb{1000};
    for (std::uint32_t i = 0; i < 1000; ++i) {
        fdb.put(FdbKey::make(mac + i, static_cast<std::uint16_t>(i % 2)), tunnel(i));
    }
    fdb.for_each([&](FdbKey key, FdbValue, std::uint32_t) {
        if (key.segment() == 0) {
            EXPECT_TRUE(fdb.erase(key));
        }
    });
    EXPECT_EQ(fdb.used(), 500U);
    std::uint32_t left = 0;
    fdb.for_each([&](FdbKey key, FdbValue, std::uint32_t) { left += key.segment(); });
    EXPECT_EQ(left, 500U);
}

TEST(Fdb, every_instruction_set_finds_the_same) {
    Fdb fdb{2000};
    for (std::uint32_t i = 0; i < 2000; i += 2) {
        fdb.put(FdbKey::make(mac + i, 1), tunnel(i));
    }
    for (std::uint32_t i = 0; i < 2000; ++i) {
        const auto key = FdbKey::make(mac + i, 1);
        const auto bucket = fdb.bucket_of(key);
        const auto value = fdb.find(key).value;
        EXPECT_EQ(fdb.find_by<IsaScalar>(key, bucket).value, value);
        if (__builtin_cpu_supports("sse4.1")) {
            EXPECT_EQ(fdb.find_by<IsaSse41>(key, bucket).value, value);
        }
        if (__builtin_cpu_supports("avx2")) {
            EXPECT_EQ(fdb.find_by<IsaAvx2>(key, bucket).value, value);
        }
        if (__builtin_cpu_supports("avx512f")) {
            EXPECT_EQ(fdb.find_by<IsaAvx512>(key, bucket).value, value);
        }
        EXPECT_EQ(static_cast<bool>(value.kind() != FdbKind::none), i % 2 == 0);
    }
}

}  // namespace
}  // namespace vxplane::table
