// The map of addresses beside std::map: both families, scopes, collisions, and what is not there.
#include "dataplane/table/address_map.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace vxplane::table {
namespace {

using Pairs = std::vector<std::pair<ScopedAddress, std::uint32_t>>;

net::IpAddress v4(std::uint32_t number) {
    return net::Ipv4Address::of(number);
}
net::IpAddress v6(std::uint64_t number) {
    std::array<std::uint8_t, 16> bytes{0x20, 0x01, 0x0d, 0xb8};
    for (unsigned i = 0; i < 8; ++i) {
        bytes[15 - i] = static_cast<std::uint8_t>(number >> (8 * i));
    }
    return net::IpAddress(bytes);
}

TEST(AddressMap, an_empty_one_knows_nobody) {
    const AddressMap map;
    EXPECT_EQ(map.size(), 0U);
    EXPECT_EQ(map.find(0, v4(0)), AddressMap::kNone);
    EXPECT_EQ(map.find(0, v4(0xFFFF'FFFF)), AddressMap::kNone);
    EXPECT_EQ(map.find(7, v6(1)), AddressMap::kNone);
    EXPECT_EQ(map.find(0, net::IpAddress{}), AddressMap::kNone);
}

TEST(AddressMap, IV07_one_address_in_two_scopes_is_two) {
    const AddressMap map(
        Pairs{{{v4(0x0A000001), 1}, 10}, {{v4(0x0A000001), 2}, 20}, {{v6(1), 1}, 30}});
    EXPECT_EQ(map.find(1, v4(0x0A000001)), 10U);
    EXPECT_EQ(map.find(2, net::Ipv4Address::of(0x0A000001)), 20U);
    EXPECT_EQ(map.find(3, v4(0x0A000001)), AddressMap::kNone);
    EXPECT_EQ(map.find(1, v6(1)), 30U);
    EXPECT_EQ(map.find(2, v6(1)), AddressMap::kNone);
}

TEST(AddressMap, the_last_of_two_equal_keys_wins) {
    const AddressMap map(Pairs{{{v4(1), 0}, 1}, {{v6(1), 0}, 2}, {{v4(1), 0}, 3}, {{v6(1), 0}, 4}});
    EXPECT_EQ(map.size(), 2U);
    EXPECT_EQ(map.find(0, v4(1)), 3U);
    EXPECT_EQ(map.find(0, v6(1)), 4U);
}

TEST(AddressMap, answers_as_a_plain_map_does_at_any_size) {
    std::mt19937_64 random{11};
    for (const std::uint32_t count : {1U, 2U, 5U, 6U, 7U, 100U, 1'000U, 50'000U}) {
        std::map<std::pair<std::uint32_t, net::IpAddress>, std::uint32_t> plain;
        Pairs pairs;
        // Dense addresses, as subnets have, and few scopes: keys that look alike.
        const auto draw = [&] {
            const std::uint64_t number = random() % (2 * count);
            const auto scope = static_cast<std::uint32_t>(random() % 3 << 16 | random() % 2);
            const bool is_v4 = random() % 4 != 0;
            return ScopedAddress{
                is_v4 ? v4(0x0A000000 + static_cast<std::uint32_t>(number)) : v6(number), scope};
        };
        for (std::uint32_t i = 0; i < count; ++i) {
            const ScopedAddress key = draw();
            pairs.emplace_back(key, i);
            plain[{key.scope, key.address}] = i;
        }
        const AddressMap map(pairs);
        EXPECT_EQ(map.size(), plain.size());
        for (const auto& [key, value] : plain) {
            ASSERT_EQ(map.find(key.first, key.second), value) << "of " << count;
        }
        std::uint32_t strange = 0;
        for (std::uint32_t i = 0; i < 4 * count + 100; ++i) {
            const ScopedAddress key = draw();
            const auto known = plain.find({key.scope, key.address});
            ASSERT_EQ(map.find(key.scope, key.address),
                      known == plain.end() ? AddressMap::kNone : known->second);
            strange += known == plain.end() ? 1U : 0U;
        }
        EXPECT_GT(strange, count / 2);
    }
}

}  // namespace
}  // namespace vxplane::table
