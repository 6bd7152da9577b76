// Headers laid over bytes that were written by hand.
#include <gtest/gtest.h>

#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/headers.hpp"

namespace vxplane::net {
namespace {

TEST(Headers, arp_request_reads_from_bytes) {
    const unsigned char bytes[] = {0,  1, 8, 0, 6, 4, 0, 1, 2, 0, 0,  0, 0, 1,
                                   10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2};
    static_assert(sizeof bytes == sizeof(ArpHeader));
    const auto arp = load<ArpHeader>(bytes);
    EXPECT_TRUE(arp.is_ethernet_ipv4());
    EXPECT_EQ(arp.operation, ArpHeader::kRequest);
    EXPECT_EQ(arp.sender_mac.number(), 0x020000000001ULL);
    EXPECT_EQ(arp.sender, Ipv4Address::of(10, 0, 0, 1));
    EXPECT_EQ(arp.target, Ipv4Address::of(10, 0, 0, 2));
}

TEST(Headers, arp_of_other_networks_is_told_apart) {
    const ArpHeader good{Be16::of(1), ether_type::kIpv4, 6, 4, ArpHeader::kReply, {}, {}, {}, {}};
    EXPECT_TRUE(good.is_ethernet_ipv4());
    ArpHeader arp = good;
    arp.hardware = Be16::of(6);
    EXPECT_FALSE(arp.is_ethernet_ipv4());
    arp = good;
    arp.protocol = ether_type::kIpv6;
    EXPECT_FALSE(arp.is_ethernet_ipv4());
    arp = good;
    arp.hardware_length = 8;
    EXPECT_FALSE(arp.is_ethernet_ipv4());
    arp = good;
    arp.protocol_length = 16;
    EXPECT_FALSE(arp.is_ethernet_ipv4());
}

TEST(Headers, ipv4_length_and_fragments) {
    Ipv4Header ip{};
    ip.version_ihl = 0x46;
    EXPECT_EQ(ip.version(), 4U);
    EXPECT_EQ(ip.header_length(), 24U);
    ip.fragment = Be16::of(Ipv4Header::kDontFragment);
    EXPECT_FALSE(ip.is_fragment());
    ip.fragment = Be16::of(Ipv4Header::kMoreFragments);
    EXPECT_TRUE(ip.is_fragment());
    ip.fragment = Be16::of(1);
    EXPECT_TRUE(ip.is_fragment());
    ip.fragment = Be16::of(0x8000);  // the reserved bit
    EXPECT_FALSE(ip.is_fragment());
}

TEST(Headers, ipv6_first_word_splits_into_its_fields) {
    Ipv6Header ip{};
    ip.version_class_label = Be32::of(0x6B912345);
    EXPECT_EQ(ip.version(), 6U);
    EXPECT_EQ(ip.traffic_class(), 0xB9);
    EXPECT_EQ(ip.flow_label(), 0x12345U);
}

TEST(Headers, VX02_vxlan_header_is_the_flag_and_24_bits_of_vni) {
    const VxlanHeader header = VxlanHeader::of(Vni{0xABCDEF});
    const unsigned char want[] = {0x08, 0, 0, 0, 0xAB, 0xCD, 0xEF, 0};
    EXPECT_EQ(std::memcmp(&header, want, sizeof want), 0);
    EXPECT_EQ(header.vni(), Vni{0xABCDEF});
    EXPECT_EQ(VxlanHeader::of(Vni{Vni::kMax}).vni(), Vni{Vni::kMax});
}

}  // namespace
}  // namespace vxplane::net
