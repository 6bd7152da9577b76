// The forwarding database under readers and the writer at once: what a reader gets was put for the
// key it asked for, and no refresh undoes a replacement.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <random>
#include <thread>
#include <vector>

#include "dataplane/table/fdb.hpp"

namespace vxplane::table {
namespace {

constexpr std::uint64_t mac = 0x0242'ac11'0000ULL;
constexpr std::uint32_t key_count = 400;

FdbKey key_of(std::uint32_t n) {
    return FdbKey::make(mac + n, static_cast<std::uint16_t>(n % 3));
}

/// Values of key n are n * 8 .. n * 8 + 7: any other value was never put for it.
FdbValue value_of(std::uint32_t n, std::uint64_t version) {
    return FdbValue::make(FdbKind::tunnel, n * 8 + static_cast<std::uint32_t>(version % 8),
                          FdbState::dynamic, 0);
}

/// A reader's sign of life: it holds nothing it found before the last change of `rounds`.
struct alignas(64) Reader {
    std::atomic<std::uint64_t> rounds{0};
    std::atomic<std::uint64_t> hits{0};
    std::atomic<std::uint64_t> wrong{0};
};

TEST(FdbReaders, get_only_values_that_were_put_for_their_key) {
    Fdb fdb{key_count};  // crowded, so that slots change hands all the time
    std::atomic<bool> stop{false};
    std::array<Reader, 2> readers;

    std::vector<std::thread> threads;
    for (auto& reader : readers) {
        threads.emplace_back([&fdb, &stop, &reader] {
            std::mt19937 random{static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(&reader))};
            std::uint64_t hits = 0;
            while (!stop.load(std::memory_order_relaxed)) {
                for (int i = 0; i < 64; ++i) {
                    const auto n = static_cast<std::uint32_t>(random() % key_count);
                    const auto key = key_of(n);
                    const auto hit = fdb.find(key, fdb.bucket_of(key));
                    if (hit) {
                        ++hits;
                        if (hit.value.index() / 8 != n || hit.value.kind() != FdbKind::tunnel) {
                            reader.wrong.fetch_add(1);
                        }
                        fdb.refresh(hit.slot, static_cast<std::uint8_t>(i));
                    }
                }
                reader.rounds.fetch_add(1, std::memory_order_seq_cst);
            }
            reader.hits = hits;
        });
    }

    std::mt19937 random{99};
    std::array<std::uint64_t, 2> seen{};
    std::uint64_t graces = 0;
    std::uint64_t version = 0;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{2};
    while (std::chrono::steady_clock::now() < end) {
        for (int i = 0; i < 100; ++i) {
            const auto n = static_cast<std::uint32_t>(random() % key_count);
            if (random() % 3 == 0) {
                fdb.erase(key_of(n));
            } else {
                fdb.put(key_of(n), value_of(n, ++version));
            }
        }
        if (fdb.needs_grace()) {
            fdb.begin_grace();
            for (std::size_t r = 0; r < readers.size(); ++r) {
                seen[r] = readers[r].rounds.load(std::memory_order_seq_cst);
            }
        } else if (readers[0].rounds.load() > seen[0] && readers[1].rounds.load() > seen[1]) {
            fdb.end_grace();
            ++graces;
        } else {
            std::this_thread::yield();
        }
    }
    stop = true;
    for (auto& thread : threads) {
        thread.join();
    }
    for (auto& reader : readers) {
        EXPECT_EQ(reader.wrong.load(), 0U);
        EXPECT_GT(reader.hits.load(), 1000U);
    }
    EXPECT_GT(graces, 10U);
}

TEST(FdbReaders, an_entry_that_stays_is_never_missed_while_others_come_and_go) {
    Fdb fdb{200};
    // One that lies beyond its full home bucket, whose neighbours the writer changes all the time.
    std::vector<FdbKey> keys;
    for (std::uint32_t n = 0; keys.size() < 12; ++n) {
        if (fdb.bucket_of(key_of(n)) == fdb.bucket_of(key_of(0))) {
            keys.push_back(key_of(n));
        }
    }
    for (const auto key : keys) {
        ASSERT_EQ(fdb.put(key, value_of(1, 0)), Fdb::Put::inserted);
    }
    const auto staying = keys[6];
    ASSERT_NE(fdb.find(staying).slot / 8, fdb.bucket_of(staying));

    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> rounds{0};
    std::atomic<std::uint64_t> missed{0};
    std::thread reader{[&] {
        while (!stop.load(std::memory_order_relaxed)) {
            if (!fdb.find(staying, fdb.bucket_of(staying))) {
                missed.fetch_add(1);
            }
            rounds.fetch_add(1);
        }
    }};
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds{500};
    for (std::size_t i = 0; std::chrono::steady_clock::now() < end; ++i) {
        const auto key = keys[i % keys.size()];
        if (key == staying) {
            continue;
        }
        fdb.erase(key);
        fdb.begin_grace();
        const auto before = rounds.load();
        while (rounds.load() < before + 2) {
            std::this_thread::yield();
        }
        fdb.end_grace();
        EXPECT_EQ(fdb.put(key, value_of(1, 0)), Fdb::Put::inserted);
    }
    stop = true;
    reader.join();
    EXPECT_EQ(missed.load(), 0U);
    EXPECT_GT(rounds.load(), 1000U);
}

TEST(FdbReaders, refresh_never_loses_a_replacement) {
    Fdb fdb{16};
    const auto key = key_of(1);
    fdb.put(key, value_of(1, 0));
    const auto slot = fdb.find(key).slot;
    std::atomic<bool> stop{false};
    std::thread worker{[&] {
        for (std::uint8_t epoch = 0; !stop.load(std::memory_order_relaxed); ++epoch) {
            fdb.refresh(slot, epoch);
        }
    }};
    std::uint64_t lost = 0;
    for (std::uint64_t version = 1; version < 2'000'000; ++version) {
        const auto value = value_of(1, version);
        fdb.put(key, value);
        lost += fdb.find(key).value.location() != value.location() ? 1 : 0;
    }
    stop = true;
    worker.join();
    EXPECT_EQ(lost, 0U);
}

}  // namespace
}  // namespace vxplane::table
