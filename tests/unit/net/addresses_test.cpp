// Big-endian integers, MAC addresses and IPv4 addresses.
#include <gtest/gtest.h>

#include <cstring>

#include "dataplane/net/big_endian.hpp"
#include "dataplane/net/ipv4_address.hpp"
#include "dataplane/net/mac_address.hpp"

namespace vxplane::net {
namespace {

template <class T>
std::vector<unsigned> wire_bytes(const T& value) {
    unsigned char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof raw);
    return {raw, raw + sizeof raw};
}

TEST(BigEndian, stands_in_memory_most_significant_byte_first) {
    EXPECT_EQ(wire_bytes(Be16::of(0x1234)), (std::vector<unsigned>{0x12, 0x34}));
    EXPECT_EQ(wire_bytes(Be32::of(0x12345678)), (std::vector<unsigned>{0x12, 0x34, 0x56, 0x78}));
    EXPECT_EQ(wire_bytes(BigEndian<std::uint64_t>::of(0x0102030405060708)),
              (std::vector<unsigned>{1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST(BigEndian, gives_back_the_number_that_went_in) {
    for (const std::uint32_t n : {0U, 1U, 0x80U, 0xFF00U, 0x80000000U, 0xFFFFFFFFU}) {
        EXPECT_EQ(Be32::of(n).value(), n);
        EXPECT_EQ(Be16::of(static_cast<std::uint16_t>(n)).value(), static_cast<std::uint16_t>(n));
        EXPECT_EQ(Be32::from_wire(Be32::of(n).wire()), Be32::of(n));
    }
}

TEST(BigEndian, reads_from_an_odd_address) {
    const unsigned char frame[] = {0xEE, 0x08, 0x00};
    Be16 type;
    std::memcpy(&type, frame + 1, sizeof type);
    EXPECT_EQ(type.value(), 0x0800);
}

TEST(MacAddress, is_numbered_with_its_first_byte_most_significant) {
    const MacAddress mac{{0x02, 0x11, 0x22, 0x33, 0x44, 0x55}};
    EXPECT_EQ(mac.number(), 0x021122334455ULL);
    EXPECT_EQ(MacAddress::from_number(mac.number()), mac);
    EXPECT_EQ(MacAddress::from_number(0xFFFF021122334455ULL), mac) << "upper bits are not its own";
}

TEST(MacAddress, knows_group_addresses) {
    EXPECT_TRUE(MacAddress::broadcast().is_group());
    EXPECT_TRUE(MacAddress::from_number(0x01005E000001ULL).is_group());
    EXPECT_TRUE(MacAddress::from_number(0x333300000001ULL).is_group());
    EXPECT_FALSE(MacAddress::from_number(0x020000000001ULL).is_group());
    EXPECT_EQ(MacAddress::from_number(kMacGroupBit).bytes[0], 1);
    EXPECT_TRUE(MacAddress{}.is_zero());
    EXPECT_FALSE(MacAddress::broadcast().is_zero());
}

TEST(MacAddress, link_local_range_is_sixteen_addresses) {
    const auto is_link_local = [](std::uint64_t mac) {
        return (mac & kLinkLocalMacMask) == kLinkLocalMacs;
    };
    EXPECT_TRUE(is_link_local(0x0180C2000000ULL));
    EXPECT_TRUE(is_link_local(0x0180C200000FULL));
    EXPECT_FALSE(is_link_local(0x0180C2000010ULL));
    EXPECT_FALSE(is_link_local(0x0180C1FFFFFFULL));
}

TEST(Ipv4Address, converts_between_words_and_numbers) {
    EXPECT_EQ(Ipv4Address::of(10, 1, 2, 3).number(), 0x0A010203U);
    EXPECT_EQ(Ipv4Address::of(0x0A010203U), Ipv4Address::of(10, 1, 2, 3));
    EXPECT_EQ(wire_bytes(Ipv4Address::of(10, 1, 2, 3)), (std::vector<unsigned>{10, 1, 2, 3}));
}

TEST(Ipv4Address, classifies) {
    struct Case {
        Ipv4Address address;
        bool zero, multicast, loopback, broadcast, unicast;
    };
    const Case cases[] = {
        {Ipv4Address::of(0, 0, 0, 0), true, false, false, false, false},
        {Ipv4Address::of(0, 1, 2, 3), false, false, false, false, false},
        {Ipv4Address::of(1, 0, 0, 0), false, false, false, false, true},
        {Ipv4Address::of(10, 0, 0, 1), false, false, false, false, true},
        {Ipv4Address::of(127, 0, 0, 1), false, false, true, false, true},
        {Ipv4Address::of(128, 0, 0, 1), false, false, false, false, true},
        {Ipv4Address::of(223, 255, 255, 255), false, false, false, false, true},
        {Ipv4Address::of(224, 0, 0, 1), false, true, false, false, false},
        {Ipv4Address::of(239, 255, 255, 255), false, true, false, false, false},
        {Ipv4Address::of(240, 0, 0, 1), false, false, false, false, false},
        {Ipv4Address::of(255, 255, 255, 255), false, false, false, true, false},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.address.number());
        EXPECT_EQ(c.address.is_zero(), c.zero);
        EXPECT_EQ(c.address.is_multicast(), c.multicast);
        EXPECT_EQ(c.address.is_loopback(), c.loopback);
        EXPECT_EQ(c.address.is_broadcast(), c.broadcast);
        EXPECT_EQ(c.address.is_unicast(), c.unicast);
    }
}

TEST(Ipv4Address, prefix_masks_of_every_length) {
    EXPECT_EQ(prefix_mask(0), 0U);
    EXPECT_EQ(prefix_mask(1), 0x80000000U);
    EXPECT_EQ(prefix_mask(24), 0xFFFFFF00U);
    EXPECT_EQ(prefix_mask(31), 0xFFFFFFFEU);
    EXPECT_EQ(prefix_mask(32), 0xFFFFFFFFU);
}

}  // namespace
}  // namespace vxplane::net
