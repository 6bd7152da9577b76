// Longest-prefix match for both families: the longest prefix wins, before, during and after every
// change.
#include "dataplane/table/lpm.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <map>
#include <random>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

namespace vxplane::table {
namespace {

template <unsigned Bytes>
using BitsOf = typename Lpm<Bytes>::Bits;

/// Begins with these bytes; the rest is zero.
template <unsigned Bytes>
BitsOf<Bytes> bits(std::initializer_list<int> first) {
    BitsOf<Bytes> all{};
    std::size_t at = 0;
    for (const int byte : first) {
        all[at++] = static_cast<std::uint8_t>(byte);
    }
    return all;
}

template <class Table>
class LpmTest : public testing::Test {
  protected:
    static constexpr unsigned kBytes = std::tuple_size_v<typename Table::Bits>;
    static constexpr std::uint8_t kHost = Table::kLongest;
    using Bits = typename Table::Bits;

    bool add(std::initializer_list<int> prefix, unsigned length, std::uint32_t value) {
        return table.add(bits<kBytes>(prefix).data(), static_cast<std::uint8_t>(length), value);
    }
    bool remove(std::initializer_list<int> prefix, unsigned length) {
        return table.remove(bits<kBytes>(prefix).data(), static_cast<std::uint8_t>(length));
    }
    std::uint32_t lookup(std::initializer_list<int> address) const {
        return table.lookup(bits<kBytes>(address).data());
    }
    void pass_grace() {
        table.begin_grace();
        table.end_grace();
    }

    Table table{2000};
};
using Families = testing::Types<Lpm<4>, Lpm<16>>;
TYPED_TEST_SUITE(LpmTest, Families);

TYPED_TEST(LpmTest, RP71_an_empty_table_has_nothing_and_costs_nothing) {
    EXPECT_EQ(this->lookup({}), 0U);
    EXPECT_EQ(this->lookup({255, 255, 255, 255}), 0U);
    EXPECT_EQ(this->table.memory_bytes(), 0U);
}

TYPED_TEST(LpmTest, RP71_a_default_route_answers_for_everything_else_and_costs_nothing) {
    ASSERT_TRUE(this->add({}, 0, 7));
    EXPECT_EQ(this->table.memory_bytes(), 0U);
    ASSERT_TRUE(this->add({10, 1, 2, 0}, 24, 8));
    EXPECT_EQ(this->lookup({}), 7U);
    EXPECT_EQ(this->lookup({10, 1, 3, 0}), 7U);
    EXPECT_EQ(this->lookup({10, 1, 2, 200}), 8U);
    EXPECT_EQ(this->lookup({11, 1, 2, 200}), 7U);
    ASSERT_TRUE(this->remove({}, 0));
    EXPECT_EQ(this->lookup({10, 1, 3, 0}), 0U);
    EXPECT_EQ(this->lookup({11, 1, 2, 0}), 0U);
    EXPECT_EQ(this->lookup({10, 1, 2, 200}), 8U);
}

TYPED_TEST(LpmTest, RP71_longest_prefix_wins_in_any_order_of_arrival) {
    ASSERT_TRUE(this->add({10, 1, 2}, 24, 3));
    ASSERT_TRUE(this->add({10}, 8, 1));
    ASSERT_TRUE(this->add({10, 1, 2, 128}, 25, 4));
    ASSERT_TRUE(this->add({10, 1}, 16, 2));
    EXPECT_EQ(this->lookup({10, 9, 9, 9}), 1U);
    EXPECT_EQ(this->lookup({10, 1, 9, 9}), 2U);
    EXPECT_EQ(this->lookup({10, 1, 2, 127}), 3U);
    EXPECT_EQ(this->lookup({10, 1, 2, 128}), 4U);
    EXPECT_EQ(this->lookup({11}), 0U);
    EXPECT_EQ(this->lookup({9, 255, 255, 255}), 0U);
}

TYPED_TEST(LpmTest, RP71_removal_uncovers_the_shorter_prefix) {
    this->add({}, 0, 1);
    this->add({10, 1}, 16, 2);
    this->add({10, 1, 2}, 23, 3);
    this->add({10, 1, 2, 3}, 32, 4);
    EXPECT_EQ(this->lookup({10, 1, 2, 3}), 4U);
    EXPECT_TRUE(this->remove({10, 1, 2, 3}, 32));
    EXPECT_EQ(this->lookup({10, 1, 2, 3}), 3U);
    EXPECT_TRUE(this->remove({10, 1}, 16));
    EXPECT_EQ(this->lookup({10, 1, 2, 3}), 3U);
    EXPECT_EQ(this->lookup({10, 1, 9, 9}), 1U);
    EXPECT_TRUE(this->remove({10, 1, 2}, 23));
    EXPECT_EQ(this->lookup({10, 1, 2, 3}), 1U);
    EXPECT_FALSE(this->remove({10, 1, 2}, 23));
    EXPECT_EQ(this->lookup({10, 1, 2, 3}), 1U);
}

TYPED_TEST(LpmTest, a_prefix_that_longer_ones_hide_comes_back_and_goes) {
    this->add({10, 1}, 16, 1);
    this->add({10, 1, 0}, 17, 2);
    this->add({10, 1, 128}, 17, 3);
    EXPECT_TRUE(this->remove({10, 1, 0}, 17));
    EXPECT_EQ(this->lookup({10, 1, 0}), 1U);
    EXPECT_EQ(this->lookup({10, 1, 128}), 3U);
    EXPECT_TRUE(this->remove({10, 1, 128}, 17));
    EXPECT_EQ(this->lookup({10, 1, 128}), 1U);
    EXPECT_TRUE(this->remove({10, 1}, 16));
    EXPECT_EQ(this->lookup({10, 1, 128}), 0U);
    this->pass_grace();
    EXPECT_EQ(this->table.memory_bytes(), 0U);
}

TYPED_TEST(LpmTest, two_equal_neighbours_are_removed_one_by_one) {
    this->add({10, 1, 0}, 17, 1);
    this->add({10, 1, 128}, 17, 1);
    this->add({10, 1, 0, 9}, 32, 2);
    this->remove({10, 1, 0, 9}, 32);
    EXPECT_TRUE(this->remove({10, 1, 0}, 17));
    EXPECT_EQ(this->lookup({10, 1, 0, 1}), 0U);
    EXPECT_EQ(this->lookup({10, 1, 128, 1}), 1U);
}

TYPED_TEST(LpmTest, adding_a_prefix_again_replaces_its_value) {
    this->add({10}, 9, 1);
    this->add({10}, 24, 2);
    EXPECT_TRUE(this->add({10}, 9, 0xFFFFFFFFU));
    EXPECT_EQ(this->table.used(), 2U);
    EXPECT_EQ(this->lookup({10, 0, 0, 1}), 2U);
    EXPECT_EQ(this->lookup({10, 127, 0, 1}), 0xFFFFFFFFU);
    EXPECT_EQ(this->table.find(bits<TestFixture::kBytes>({10}).data(), 9), 0xFFFFFFFFU);
    EXPECT_EQ(this->table.find(bits<TestFixture::kBytes>({10}).data(), 10), 0U);
}

TYPED_TEST(LpmTest, RP71_host_routes_answer_for_one_address) {
    typename TestFixture::Bits last;
    last.fill(0xFF);
    ASSERT_TRUE(this->table.add(last.data(), TestFixture::kHost, 5));
    EXPECT_EQ(this->table.lookup(last.data()), 5U);
    last.back() = 0xFE;
    EXPECT_EQ(this->table.lookup(last.data()), 0U);
}

TYPED_TEST(LpmTest, malformed_prefixes_are_refused_uncounted) {
    EXPECT_FALSE(this->add({}, TestFixture::kHost + 1U, 1));
    EXPECT_FALSE(this->add({10, 0, 0, 1}, 24, 1));
    EXPECT_FALSE(this->add({1}, 0, 1));
    EXPECT_FALSE(this->add({10, 0, 128}, 16, 1));
    EXPECT_FALSE(this->add({10}, 8, 0));
    EXPECT_FALSE(this->remove({}, TestFixture::kHost + 1U));
    EXPECT_EQ(this->table.used(), 0U);
    EXPECT_EQ(this->table.refused(), 0U);
}

TYPED_TEST(LpmTest, a_full_table_refuses_and_counts) {
    TypeParam two{2};
    const auto add = [&](int first, std::uint32_t value) {
        return two.add(bits<TestFixture::kBytes>({first, 0, 0, 1}).data(), 32, value);
    };
    EXPECT_TRUE(add(10, 1));
    EXPECT_TRUE(add(11, 1));
    EXPECT_FALSE(add(12, 1));
    EXPECT_TRUE(add(11, 2));
    EXPECT_EQ(two.refused(), 1U);
    EXPECT_EQ(two.high_water(), 2U);
    EXPECT_EQ(two.used(), 2U);
}

TYPED_TEST(LpmTest, a_table_can_be_filled_without_a_grace) {
    // Side by side and all different: each replaces a node that is larger than the one before.
    TypeParam dense{2048};
    for (int i = 0; i < 2048; ++i) {
        const auto prefix = bits<TestFixture::kBytes>({10, i / 256, i % 256});
        ASSERT_TRUE(dense.add(prefix.data(), 24, static_cast<std::uint32_t>(i + 1))) << i;
    }
    EXPECT_EQ(dense.lookup(bits<TestFixture::kBytes>({10, 7, 255, 1}).data()), 2048U);
    const std::size_t before = dense.memory_bytes();
    dense.begin_grace();
    dense.end_grace();
    EXPECT_LT(dense.memory_bytes() * 20, before);
}

TYPED_TEST(LpmTest, nodes_are_freed_after_a_grace_and_only_then) {
    this->add({}, 0, 1);
    std::size_t most = 0;
    unsigned refused_at = 0;
    for (unsigned n = 0; n < 100'000 && refused_at == 0; ++n) {
        const auto first = static_cast<int>(n % 200);
        refused_at = this->add({first, 1, 1, 1}, 32, 2) ? 0 : n;
        this->remove({first, 1, 1, 1}, 32);
        most = this->table.memory_bytes();
    }
    EXPECT_GT(refused_at, 2000U) << "what waits is bounded, though not tightly";
    EXPECT_EQ(this->table.refused(), 1U);
    EXPECT_GT(most, 1U << 20);
    ASSERT_TRUE(this->table.needs_grace());
    this->table.begin_grace();
    EXPECT_FALSE(this->table.needs_grace());
    this->table.end_grace();
    EXPECT_FALSE(this->table.needs_grace());
    EXPECT_EQ(this->table.memory_bytes(), 0U);
    EXPECT_EQ(this->lookup({10, 1, 1, 1}), 1U);
}

TYPED_TEST(LpmTest, what_a_slave_needs_is_small) {
    this->add({}, 0, 1);
    this->add({10, 1, 7}, 24, 2);
    this->add({10, 1, 7, 5}, TestFixture::kHost, 3);
    this->pass_grace();
    EXPECT_LE(this->table.memory_bytes(), 512U);
    EXPECT_LE(sizeof this->table, 1024U);
}

TYPED_TEST(LpmTest, for_each_shows_all_in_order) {
    this->add({10, 1}, 16, 2);
    this->add({10, 0}, 16, 3);
    this->add({10}, 8, 1);
    std::vector<std::tuple<int, int, unsigned, std::uint32_t>> shown;
    this->table.for_each([&](const auto& prefix, std::uint8_t length, std::uint32_t value) {
        shown.emplace_back(prefix[0], prefix[1], length, value);
    });
    const decltype(shown) expected{{10, 0, 8, 1}, {10, 0, 16, 3}, {10, 1, 16, 2}};
    EXPECT_EQ(shown, expected);
}

/// The obvious: look through all lengths, longest first.
template <class Bits>
struct Naive {
    std::map<std::pair<unsigned, Bits>, std::uint32_t> values;

    static Bits cut(Bits address, unsigned length) {
        for (unsigned i = 0; i < address.size(); ++i) {
            const unsigned kept = length >= 8 * (i + 1) ? 8 : length <= 8 * i ? 0 : length - 8 * i;
            address[i] = static_cast<std::uint8_t>(address[i] & ~(0xFFU >> kept));
        }
        return address;
    }
    std::uint32_t lookup(const Bits& address) const {
        for (unsigned length = address.size() * 8 + 1; length-- > 0;) {
            if (const auto found = values.find({length, cut(address, length)});
                found != values.end()) {
                return found->second;
            }
        }
        return 0;
    }
};

TYPED_TEST(LpmTest, RP71_agrees_with_a_naive_table_on_random_changes) {
    TypeParam& lpm = this->table;
    Naive<typename TestFixture::Bits> naive;
    std::mt19937 random{71};
    // Few different bytes, so that prefixes nest, neighbour and repeat.
    const auto address = [&random] {
        static constexpr std::array<std::uint8_t, 6> kFew{0, 1, 2, 127, 128, 255};
        typename TestFixture::Bits all;
        // Long addresses share most of their bytes, or nothing would ever nest.
        const unsigned shared = random() % (all.size() + 1);
        for (unsigned i = 0; i < all.size(); ++i) {
            all[i] = all.size() > 4 && i < shared ? 0x20
                     : random() % 8 == 0          ? static_cast<std::uint8_t>(random() % 256)
                                                  : kFew[random() % kFew.size()];
        }
        return all;
    };
    for (int i = 0; i < 60'000; ++i) {
        const auto length = static_cast<std::uint8_t>(random() % (TestFixture::kHost + 1U));
        const typename TestFixture::Bits prefix = naive.cut(address(), length);
        // Phases of growth and of decay.
        const bool grows = (i / 5'000) % 2 == 0;
        if (random() % 10 < (grows ? 8U : 2U)) {
            const std::uint32_t value = 1 + random() % 3;
            const bool fits = naive.values.contains({length, prefix}) || naive.values.size() < 2000;
            ASSERT_EQ(lpm.add(prefix.data(), length, value), fits);
            if (fits) {
                naive.values[{length, prefix}] = value;
            }
        } else if (!naive.values.empty()) {
            auto victim = naive.values.lower_bound({length, prefix});
            victim = victim == naive.values.end() ? naive.values.begin() : victim;
            const auto [victim_length, victim_prefix] = victim->first;
            naive.values.erase(victim);
            ASSERT_TRUE(lpm.remove(victim_prefix.data(), static_cast<std::uint8_t>(victim_length)));
        }
        for (int k = 0; k < 4; ++k) {
            const typename TestFixture::Bits asked = address();
            ASSERT_EQ(lpm.lookup(asked.data()), naive.lookup(asked)) << i;
        }
        ASSERT_EQ(lpm.lookup(prefix.data()), naive.lookup(prefix)) << i;
        typename TestFixture::Bits beyond = prefix;
        beyond.back() ^= 1;
        ASSERT_EQ(lpm.lookup(beyond.data()), naive.lookup(beyond)) << i;
        if (i % 50 == 0) {
            this->pass_grace();
        }
    }
    while (!naive.values.empty()) {
        const auto [length, prefix] = naive.values.begin()->first;
        naive.values.erase(naive.values.begin());
        ASSERT_TRUE(lpm.remove(prefix.data(), static_cast<std::uint8_t>(length)));
        ASSERT_EQ(lpm.lookup(prefix.data()), naive.lookup(prefix));
    }
    EXPECT_EQ(lpm.used(), 0U);
    this->pass_grace();
    EXPECT_EQ(lpm.memory_bytes(), 0U) << "nothing is left of what was removed";
}

TYPED_TEST(LpmTest, readers_always_get_the_old_value_or_the_new) {
    this->add({}, 0, 1);
    const auto host = bits<TestFixture::kBytes>({10, 1, 2, 3});
    const auto fork = bits<TestFixture::kBytes>({10, 9, 0, 0});
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> rounds{0};
    std::atomic<std::uint64_t> wrong{0};
    std::thread reader{[&] {
        while (!stop.load(std::memory_order_relaxed)) {
            const auto value = this->table.lookup(host.data());
            if (value != 1 && value != 2) {
                wrong.fetch_add(1);
            }
            rounds.fetch_add(1);
        }
    }};
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds{500};
    while (std::chrono::steady_clock::now() < end) {
        this->table.add(host.data(), TestFixture::kHost, 2);
        this->table.add(fork.data(), 16, 3);  // another way in what the first one's node skips
        this->table.remove(host.data(), TestFixture::kHost);
        this->table.remove(fork.data(), 16);
        if (this->table.needs_grace()) {
            this->table.begin_grace();
            const auto before = rounds.load();
            while (rounds.load() < before + 2) {
                std::this_thread::yield();
            }
            this->table.end_grace();
        }
    }
    stop = true;
    reader.join();
    EXPECT_EQ(wrong.load(), 0U);
    EXPECT_GT(rounds.load(), 100U);
}

}  // namespace
}  // namespace vxplane::table
