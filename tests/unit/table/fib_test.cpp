// Longest-prefix match for IPv4: the longest prefix wins, before and after every change.
#include "dataplane/table/fib.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <map>
#include <random>
#include <thread>
#include <tuple>
#include <vector>

namespace vxplane::table {
namespace {

constexpr std::uint32_t ip(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
    return (a << 24) | (b << 16) | (c << 8) | d;
}

constexpr Route through(std::uint16_t port, std::uint32_t via = 0) {
    return {RouteType::unicast, port, via};
}

TEST(Fib4, RP71_an_empty_table_has_no_route) {
    const Fib4 fib;
    EXPECT_FALSE(fib.lookup(0));
    EXPECT_FALSE(fib.lookup(~0U));
}

TEST(Fib4, RP71_longest_prefix_wins) {
    Fib4 fib;
    ASSERT_TRUE(fib.add(ip(10, 1, 2, 0), 24, through(3)));
    ASSERT_TRUE(fib.add(ip(10, 0, 0, 0), 8, through(1)));
    ASSERT_TRUE(fib.add(ip(10, 1, 2, 128), 25, through(4)));
    ASSERT_TRUE(fib.add(ip(10, 1, 0, 0), 16, through(2)));
    EXPECT_EQ(fib.lookup(ip(10, 9, 9, 9)), through(1));
    EXPECT_EQ(fib.lookup(ip(10, 1, 9, 9)), through(2));
    EXPECT_EQ(fib.lookup(ip(10, 1, 2, 127)), through(3));
    EXPECT_EQ(fib.lookup(ip(10, 1, 2, 128)), through(4));
    EXPECT_FALSE(fib.lookup(ip(11, 0, 0, 0)));
    EXPECT_FALSE(fib.lookup(ip(9, 255, 255, 255)));
}

TEST(Fib4, RP71_every_type_is_returned) {
    Fib4 fib;
    const std::vector<RouteType> types{RouteType::unicast,   RouteType::local,
                                       RouteType::blackhole, RouteType::unreachable,
                                       RouteType::prohibit,  RouteType::throw_};
    for (std::uint32_t i = 0; i < types.size(); ++i) {
        const Route route{types[i], static_cast<std::uint16_t>(0xfff0 + i), ip(255, 254, 0, i)};
        ASSERT_TRUE(fib.add(ip(10, i, 0, 0), 16, route));
        EXPECT_EQ(fib.lookup(ip(10, i, 7, 7)), route);
    }
}

TEST(Fib4, RP71_default_route_answers_for_everything_else) {
    Fib4 fib;
    const auto way_out = through(9, ip(10, 0, 0, 1));
    ASSERT_TRUE(fib.add(ip(10, 0, 0, 7), 32, through(1)));
    ASSERT_TRUE(fib.add(0, 0, way_out));
    EXPECT_EQ(fib.lookup(0), way_out);
    EXPECT_EQ(fib.lookup(~0U), way_out);
    EXPECT_EQ(fib.lookup(ip(10, 0, 0, 6)), way_out);
    EXPECT_EQ(fib.lookup(ip(10, 0, 0, 7)), through(1));
    ASSERT_TRUE(fib.remove(0, 0));
    EXPECT_FALSE(fib.lookup(ip(10, 0, 0, 6)));
    EXPECT_EQ(fib.lookup(ip(10, 0, 0, 7)), through(1));
}

TEST(Fib4, RP71_host_route_answers_for_one_address) {
    Fib4 fib;
    ASSERT_TRUE(fib.add(ip(192, 0, 2, 1), 32, {RouteType::local, 5, 0}));
    EXPECT_EQ(fib.lookup(ip(192, 0, 2, 1))->type, RouteType::local);
    EXPECT_FALSE(fib.lookup(ip(192, 0, 2, 0)));
    EXPECT_FALSE(fib.lookup(ip(192, 0, 2, 2)));
    ASSERT_TRUE(fib.add(~0U, 32, through(1)));
    EXPECT_EQ(fib.lookup(~0U), through(1));
}

TEST(Fib4, RP71_removal_uncovers_the_shorter_prefix) {
    Fib4 fib;
    fib.add(0, 0, through(1));
    fib.add(ip(10, 1, 0, 0), 16, through(2));
    fib.add(ip(10, 1, 2, 0), 23, through(3));
    fib.add(ip(10, 1, 2, 3), 32, through(4));
    const auto address = ip(10, 1, 2, 3);
    EXPECT_EQ(fib.lookup(address), through(4));
    EXPECT_TRUE(fib.remove(address, 32));
    EXPECT_EQ(fib.lookup(address), through(3));
    EXPECT_TRUE(fib.remove(ip(10, 1, 0, 0), 16));
    EXPECT_EQ(fib.lookup(address), through(3));
    EXPECT_EQ(fib.lookup(ip(10, 1, 9, 9)), through(1));
    EXPECT_TRUE(fib.remove(ip(10, 1, 2, 0), 23));
    EXPECT_EQ(fib.lookup(address), through(1));
    EXPECT_FALSE(fib.remove(ip(10, 1, 2, 0), 23));
}

TEST(Fib4, adding_a_prefix_again_replaces_its_route) {
    Fib4 fib;
    fib.add(ip(10, 0, 0, 0), 9, through(1));
    fib.add(ip(10, 0, 0, 0), 24, through(2));
    EXPECT_TRUE(fib.add(ip(10, 0, 0, 0), 9, through(3)));
    EXPECT_EQ(fib.used(), 2U);
    EXPECT_EQ(fib.lookup(ip(10, 0, 0, 1)), through(2));
    EXPECT_EQ(fib.lookup(ip(10, 127, 0, 1)), through(3));
    EXPECT_EQ(fib.find(ip(10, 0, 0, 0), 9), through(3));
    EXPECT_FALSE(fib.find(ip(10, 0, 0, 0), 10));
}

TEST(Fib4, two_equal_neighbours_are_removed_one_by_one) {
    Fib4 fib;
    fib.add(ip(10, 1, 0, 0), 17, through(1));
    fib.add(ip(10, 1, 128, 0), 17, through(1));
    fib.add(ip(10, 1, 0, 9), 32, through(2));
    fib.remove(ip(10, 1, 0, 9), 32);
    EXPECT_TRUE(fib.remove(ip(10, 1, 0, 0), 17));
    EXPECT_FALSE(fib.lookup(ip(10, 1, 0, 1)));
    EXPECT_EQ(fib.lookup(ip(10, 1, 128, 1)), through(1));
}

TEST(Fib4, malformed_prefixes_are_refused) {
    Fib4 fib;
    EXPECT_FALSE(fib.add(0, 33, through(1)));
    EXPECT_FALSE(fib.add(ip(10, 0, 0, 1), 24, through(1)));
    EXPECT_FALSE(fib.add(1, 0, through(1)));
    EXPECT_FALSE(fib.remove(0, 33));
    EXPECT_EQ(fib.used(), 0U);
    EXPECT_EQ(fib.refused(), 0U);
}

TEST(Fib4, a_full_table_refuses_and_counts) {
    Fib4 fib{2};
    EXPECT_TRUE(fib.add(ip(10, 0, 0, 1), 32, through(1)));
    EXPECT_TRUE(fib.add(ip(11, 0, 0, 1), 32, through(1)));
    EXPECT_FALSE(fib.add(ip(12, 0, 0, 1), 32, through(1)));
    EXPECT_TRUE(fib.add(ip(11, 0, 0, 1), 32, through(2)));
    EXPECT_EQ(fib.refused(), 1U);
    EXPECT_EQ(fib.high_water(), 2U);
    EXPECT_FALSE(fib.lookup(ip(12, 0, 0, 1)));
}

TEST(Fib4, nodes_come_back_after_a_grace_and_only_then) {
    Fib4 fib{4};
    fib.add(0, 0, through(1));
    const auto at_rest = fib.memory_bytes();
    const auto come_and_go = [&](std::uint32_t n) {
        const bool added = fib.add(ip(10 + n % 200, 1, 1, 1), 32, through(2));
        return added && fib.remove(ip(10 + n % 200, 1, 1, 1), 32);
    };
    std::uint32_t n = 0;
    while (n < 1000 && come_and_go(n)) {
        ++n;
    }
    EXPECT_EQ(n, 8U);  // 24 nodes below the root, three a time
    EXPECT_EQ(fib.refused(), 1U);
    ASSERT_TRUE(fib.needs_grace());
    fib.begin_grace();
    EXPECT_FALSE(fib.needs_grace());
    fib.end_grace();
    const auto most = fib.memory_bytes();
    for (n = 0; n < 1000; ++n) {
        ASSERT_TRUE(come_and_go(n)) << n;
        fib.begin_grace();
        fib.end_grace();
    }
    EXPECT_EQ(fib.memory_bytes(), most);
    EXPECT_GT(most, at_rest);
    EXPECT_EQ(fib.lookup(ip(10, 1, 1, 1)), through(1));
}

TEST(Fib4, for_each_shows_all_in_order) {
    Fib4 fib;
    fib.add(ip(10, 1, 0, 0), 16, through(2));
    fib.add(ip(10, 0, 0, 0), 16, through(3));
    fib.add(ip(10, 0, 0, 0), 8, through(1));
    std::vector<std::tuple<std::uint32_t, unsigned, std::uint16_t>> shown;
    fib.for_each([&](std::uint32_t prefix, std::uint8_t length, Route route) {
        shown.emplace_back(prefix, length, route.port);
    });
    const decltype(shown) expected{
        {ip(10, 0, 0, 0), 8, 1}, {ip(10, 0, 0, 0), 16, 3}, {ip(10, 1, 0, 0), 16, 2}};
    EXPECT_EQ(shown, expected);
}

/// The obvious: look through all lengths, longest first.
class NaiveFib {
  public:
    static std::uint32_t cut(std::uint32_t address, unsigned length) {
        return length == 0 ? 0 : address & (~0U << (32 - length));
    }
    std::map<std::pair<unsigned, std::uint32_t>, Route> routes;
    std::optional<Route> lookup(std::uint32_t address) const {
        for (unsigned length = 33; length-- > 0;) {
            if (const auto found = routes.find({length, cut(address, length)});
                found != routes.end()) {
                return found->second;
            }
        }
        return std::nullopt;
    }
};

TEST(Fib4, RP71_agrees_with_a_naive_table_on_random_changes) {
    Fib4 fib{2000};
    NaiveFib naive;
    std::mt19937 random{71};
    // Few different bytes, so that prefixes nest, neighbour and repeat.
    const auto address = [&random] {
        const auto byte = [&random] {
            static constexpr std::array<std::uint32_t, 6> bytes{0, 1, 2, 127, 128, 255};
            return random() % 8 == 0 ? random() % 256 : bytes[random() % bytes.size()];
        };
        return ip(byte(), byte(), byte(), byte());
    };
    for (int i = 0; i < 60'000; ++i) {
        const auto length = static_cast<std::uint8_t>(random() % 33);
        const auto prefix = NaiveFib::cut(address(), length);
        // Phases of growth and of decay.
        const bool grows = (i / 5'000) % 2 == 0;
        if (random() % 10 < (grows ? 8U : 2U)) {
            const Route route{static_cast<RouteType>(random() % 6),
                              static_cast<std::uint16_t>(random() % 3), 0};
            const bool fits = naive.routes.contains({length, prefix}) || naive.routes.size() < 2000;
            ASSERT_EQ(fib.add(prefix, length, route), fits);
            if (fits) {
                naive.routes[{length, prefix}] = route;
            }
        } else if (!naive.routes.empty()) {
            auto victim = naive.routes.lower_bound({length, prefix});
            victim = victim == naive.routes.end() ? naive.routes.begin() : victim;
            const auto [victim_length, victim_prefix] = victim->first;
            naive.routes.erase(victim);
            ASSERT_TRUE(fib.remove(victim_prefix, static_cast<std::uint8_t>(victim_length)));
        }
        for (int k = 0; k < 4; ++k) {
            const auto asked = address();
            ASSERT_EQ(fib.lookup(asked), naive.lookup(asked)) << i << ' ' << asked;
        }
        ASSERT_EQ(fib.lookup(prefix), naive.lookup(prefix)) << i;
        if (i % 50 == 0) {
            fib.begin_grace();
            fib.end_grace();
        }
    }
    while (!naive.routes.empty()) {
        const auto [length, prefix] = naive.routes.begin()->first;
        naive.routes.erase(naive.routes.begin());
        ASSERT_TRUE(fib.remove(prefix, static_cast<std::uint8_t>(length)));
    }
    EXPECT_EQ(fib.used(), 0U);
    for (int i = 0; i < 10'000; ++i) {
        ASSERT_FALSE(fib.lookup(address()));
    }
}

TEST(Fib4, readers_always_get_the_old_route_or_the_new) {
    Fib4 fib{16};
    fib.add(0, 0, through(1));
    const auto address = ip(10, 1, 2, 3);
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> rounds{0};
    std::atomic<std::uint64_t> wrong{0};
    std::thread reader{[&] {
        while (!stop.load(std::memory_order_relaxed)) {
            const auto route = fib.lookup(address);
            if (!route || (route->port != 1 && route->port != 2)) {
                wrong.fetch_add(1);
            }
            rounds.fetch_add(1);
        }
    }};
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds{500};
    while (std::chrono::steady_clock::now() < end) {
        fib.add(address, 32, through(2));
        fib.remove(address, 32);
        if (fib.needs_grace()) {
            fib.begin_grace();
            const auto before = rounds.load();
            while (rounds.load() < before + 2) {
                std::this_thread::yield();
            }
            fib.end_grace();
        }
    }
    stop = true;
    reader.join();
    EXPECT_EQ(wrong.load(), 0U);
    EXPECT_GT(rounds.load(), 100U);
}

}  // namespace
}  // namespace vxplane::table
