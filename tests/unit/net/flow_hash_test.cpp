// Which fields make a flow, and which do not.
#include <gtest/gtest.h>

#include <memory>
#include <set>

#include "frame.hpp"

namespace vxplane::net {
namespace {

using namespace ip_protocol;

Frame ip4(std::uint8_t protocol, std::uint16_t source_port, std::uint16_t destination_port,
          std::uint16_t fragment = 0) {
    return Frame{}
        .ethernet(kMacB, kMacA, ether_type::kIpv4)
        .ipv4(kAddressA, kAddressB, protocol, fragment)
        .ports(source_port, destination_port)
        .zeros(8);
}

Frame ip4_back(std::uint8_t protocol, std::uint16_t source_port, std::uint16_t destination_port) {
    return Frame{}
        .ethernet(kMacA, kMacB, ether_type::kIpv4)
        .ipv4(kAddressB, kAddressA, protocol)
        .ports(source_port, destination_port)
        .zeros(8);
}

Frame ip6(std::uint8_t from, std::uint8_t to, std::uint8_t protocol, std::uint16_t source_port,
          std::uint16_t destination_port, std::uint32_t label = 0) {
    return Frame{}
        .ethernet(kMacB, kMacA, ether_type::kIpv6)
        .ipv6(from, to, protocol, label)
        .ports(source_port, destination_port)
        .zeros(8);
}

TEST(FlowHash, VX06_is_the_same_in_both_directions) {
    for (const std::uint8_t protocol : {kTcp, kUdp, kSctp}) {
        EXPECT_EQ(ip4(protocol, 1000, 80).hash(), ip4_back(protocol, 80, 1000).hash());
        EXPECT_EQ(ip6(1, 2, protocol, 1000, 80).hash(), ip6(2, 1, protocol, 80, 1000).hash());
    }
}

TEST(FlowHash, VX06_every_part_of_the_5_tuple_counts) {
    std::set<std::uint32_t> hashes{
        ip4(kTcp, 1000, 80).hash(),
        ip4(kUdp, 1000, 80).hash(),
        ip4(kSctp, 1000, 80).hash(),
        ip4(kTcp, 1001, 80).hash(),
        ip4(kTcp, 1000, 81).hash(),
        Frame{}
            .ethernet(kMacB, kMacA, ether_type::kIpv4)
            .ipv4(Ipv4Address::of(10, 0, 0, 3), kAddressB, kTcp)
            .ports(1000, 80)
            .hash(),
        ip6(1, 2, kTcp, 1000, 80).hash(),
        ip6(1, 3, kTcp, 1000, 80).hash(),
        ip6(1, 2, kUdp, 1000, 80).hash(),
        ip6(1, 2, kTcp, 1000, 81).hash(),
    };
    EXPECT_EQ(hashes.size(), 10U);
}

TEST(FlowHash, VX06_payload_ttl_and_tos_do_not_count) {
    const std::uint32_t hash = ip4(kUdp, 5, 6).hash();
    const auto marked = Frame{}
                            .ethernet(kMacB, kMacA, ether_type::kIpv4)
                            .ipv4(kAddressA, kAddressB, kUdp, 0, 0xB9)
                            .ports(5, 6)
                            .zeros(100);
    EXPECT_EQ(marked.hash(), hash);
    EXPECT_EQ(marked.facts().tos, 0xB9);
}

TEST(FlowHash, VX06_fragments_of_a_datagram_have_one_hash_whatever_their_first_bytes_are) {
    const std::uint32_t first = ip4(kUdp, 1000, 80, Ipv4Header::kMoreFragments).hash();
    EXPECT_EQ(ip4(kUdp, 7, 8, Ipv4Header::kMoreFragments | 185).hash(), first);
    EXPECT_EQ(ip4(kUdp, 9, 10, 370).hash(), first);
    EXPECT_EQ(ip4(kUdp, 2000, 80, Ipv4Header::kMoreFragments).hash(), first);
}

TEST(FlowHash, VX06_dont_fragment_is_no_fragment) {
    EXPECT_EQ(ip4(kUdp, 1000, 80, Ipv4Header::kDontFragment).hash(), ip4(kUdp, 1000, 80).hash());
}

TEST(FlowHash, VX06_icmp_identifiers_are_not_hashed) {
    EXPECT_EQ(ip4(kIcmp, 0x0800, 1).hash(), ip4(kIcmp, 0x0000, 999).hash());
    EXPECT_EQ(ip6(1, 2, kIcmpv6, 0x8000, 1).hash(), ip6(1, 2, kIcmpv6, 0x8100, 999).hash());
}

TEST(FlowHash, VX06_ipv6_flow_label_counts) {
    EXPECT_NE(ip6(1, 2, kUdp, 5, 6, 1).hash(), ip6(1, 2, kUdp, 5, 6, 2).hash());
    EXPECT_EQ(ip6(1, 2, kUdp, 5, 6, 0xFFFFF).hash(), ip6(2, 1, kUdp, 6, 5, 0xFFFFF).hash());
}

TEST(FlowHash, VX06_vlan_tags_are_looked_through_and_not_hashed) {
    const std::uint32_t plain = ip4(kTcp, 1000, 80).hash();
    const auto tagged = [&](std::uint16_t id) {
        return Frame{}
            .ethernet(kMacB, kMacA, ether_type::kVlan)
            .vlan(id, ether_type::kIpv4)
            .ipv4(kAddressA, kAddressB, kTcp)
            .ports(1000, 80)
            .zeros(8);
    };
    EXPECT_EQ(tagged(1).hash(), plain);
    EXPECT_EQ(tagged(2).hash(), plain);
    EXPECT_TRUE(tagged(1).facts().tagged);
    EXPECT_EQ(tagged(1).facts().l3_offset, 18);
    const auto twice = Frame{}
                           .ethernet(kMacB, kMacA, ether_type::kServiceVlan)
                           .vlan(7, ether_type::kVlan)
                           .vlan(8, ether_type::kIpv4)
                           .ipv4(kAddressA, kAddressB, kTcp)
                           .ports(1000, 80)
                           .zeros(8);
    EXPECT_EQ(twice.hash(), plain);
    EXPECT_EQ(twice.facts().l3_offset, 22);
    EXPECT_EQ(tag_bytes(twice.bytes().data(), twice.bytes().size()), 8U);
    EXPECT_EQ(twice.facts().type, ether_type::kIpv4);
}

TEST(FlowHash, VX06_other_frames_are_spread_by_their_mac_pair_in_both_directions) {
    const auto arp = [](std::uint64_t to, std::uint64_t from) {
        return Frame{}.ethernet(to, from, ether_type::kArp).zeros(46).hash();
    };
    EXPECT_EQ(arp(kMacA, kMacB), arp(kMacB, kMacA));
    EXPECT_NE(arp(kMacA, kMacB), arp(kMacA, kMacB + 1));
    EXPECT_EQ(Frame{}.ethernet(kMacB, kMacA, Be16::of(0x88CC)).zeros(46).hash(), arp(kMacA, kMacB))
        << "the EtherType is no part of it";
}

TEST(FlowHash, mac_pair_does_not_count_for_ip) {
    const auto routed = Frame{}
                            .ethernet(kMacB + 5, kMacA + 5, ether_type::kIpv4)
                            .ipv4(kAddressA, kAddressB, kTcp)
                            .ports(1000, 80)
                            .zeros(8);
    EXPECT_EQ(routed.hash(), ip4(kTcp, 1000, 80).hash());
}

TEST(FlowHash, ports_stand_behind_ipv4_options) {
    Ipv4Header ip{};
    ip.version_ihl = 0x46;
    ip.protocol = kTcp;
    ip.source = kAddressA;
    ip.destination = kAddressB;
    const auto with_options = [&](std::uint16_t port) {
        return Frame{}
            .ethernet(kMacB, kMacA, ether_type::kIpv4)
            .put(ip)
            .put(Be32::of(0x94040000))
            .ports(port, 80)
            .hash();
    };
    EXPECT_EQ(with_options(1000), ip4(kTcp, 1000, 80).hash());
    EXPECT_NE(with_options(1000), with_options(1001));
}

TEST(FlowHash, a_header_of_the_wrong_version_is_no_ip) {
    auto frame = Frame{}.ethernet(kMacB, kMacA, ether_type::kIpv4).zeros(60);
    EXPECT_FALSE(frame.facts().is_ip);
    EXPECT_EQ(frame.hash(), Frame{}.ethernet(kMacB, kMacA, ether_type::kArp).hash());
    EXPECT_FALSE(Frame{}.ethernet(kMacB, kMacA, ether_type::kIpv6).zeros(60).facts().is_ip);
}

TEST(FlowHash, reads_nothing_beyond_a_frame_cut_at_any_length) {
    const Frame frames[] = {
        ip4(kTcp, 1000, 80),
        ip6(1, 2, kTcp, 1000, 80),
        Frame{}
            .ethernet(kMacB, kMacA, ether_type::kServiceVlan)
            .vlan(7, ether_type::kVlan)
            .vlan(8, ether_type::kVlan)
            .ipv4(kAddressA, kAddressB, kTcp)
            .ports(1000, 80),
    };
    for (const Frame& whole : frames) {
        for (std::size_t size = sizeof(EthernetHeader); size <= whole.bytes().size(); ++size) {
            // Exactly as many bytes, so that an address checker sees the first one too many.
            const auto exact = std::make_unique<std::byte[]>(size);
            std::memcpy(exact.get(), whole.bytes().data(), size);
            const FrameFacts facts = facts_of(exact.get(), size);
            EXPECT_LE(facts.l3_offset, size);
            EXPECT_LE(facts.l3_offset, 22);
            EXPECT_EQ(tag_bytes(exact.get(), size), facts.l3_offset - sizeof(EthernetHeader));
        }
    }
}

}  // namespace
}  // namespace vxplane::net
