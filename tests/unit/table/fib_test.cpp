// Routes by prefix: the longest prefix wins, and routes are kept whole.
#include "dataplane/table/fib.hpp"

#include <gtest/gtest.h>

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

TEST(Fib4, routes_come_and_go_without_growth) {
    Fib4 fib{4};
    fib.add(0, 0, through(1));
    const auto at_rest = fib.memory_bytes();
    for (std::uint32_t n = 0; n < 1000; ++n) {
        ASSERT_TRUE(fib.add(ip(10 + n % 200, 1, 1, 1), 32, through(2)));
        ASSERT_TRUE(fib.remove(ip(10 + n % 200, 1, 1, 1), 32));
    }
    EXPECT_EQ(fib.memory_bytes(), at_rest);
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

net::IpAddress ip6(std::uint8_t first, std::uint8_t last = 0) {
    net::IpAddress address;
    address.bytes[0] = 0x20;
    address.bytes[1] = first;
    address.bytes[15] = last;
    return address;
}

TEST(Fib6, RP71_longest_prefix_wins_and_removal_uncovers_the_shorter_one) {
    Fib6 fib;
    const Route6 all{RouteType::unicast, 1, ip6(9, 9)};
    const Route6 net{RouteType::unicast, 2, {}};
    const Route6 one{RouteType::local, 3, {}};
    EXPECT_FALSE(fib.lookup(ip6(1, 1)));
    ASSERT_TRUE(fib.add({}, 0, all));
    ASSERT_TRUE(fib.add(ip6(1), 64, net));
    ASSERT_TRUE(fib.add(ip6(1, 1), 128, one));
    EXPECT_EQ(fib.lookup(ip6(2)), all);
    EXPECT_EQ(fib.lookup(ip6(1, 2)), net);
    EXPECT_EQ(fib.lookup(ip6(1, 1)), one);
    EXPECT_FALSE(fib.add(ip6(1, 1), 64, net)) << "bits beyond the length";
    ASSERT_TRUE(fib.remove(ip6(1, 1), 128));
    EXPECT_FALSE(fib.remove(ip6(1, 1), 128));
    EXPECT_EQ(fib.lookup(ip6(1, 1)), net);
    ASSERT_TRUE(fib.add(ip6(1), 64, one)) << "replaced";
    EXPECT_EQ(fib.find(ip6(1), 64), one);
    EXPECT_EQ(fib.used(), 2U);
}

}  // namespace
}  // namespace vxplane::table
