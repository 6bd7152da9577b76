// IPv6 extension headers, neighbour discovery messages and addresses of groups.
#include "dataplane/net/icmpv6.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace vxplane::net {
namespace {

using Bytes = std::vector<std::byte>;

/// A fixed header with these bytes behind it.
Bytes packet(std::uint8_t next, std::initializer_list<int> rest) {
    Bytes bytes(40);
    bytes[0] = std::byte{0x60};
    bytes[5] = static_cast<std::byte>(rest.size());
    bytes[6] = static_cast<std::byte>(next);
    for (const int byte : rest) {
        bytes.push_back(static_cast<std::byte>(byte));
    }
    bytes.shrink_to_fit();
    return bytes;
}

Ipv6Upper upper(const Bytes& bytes) {
    return upper_of(bytes.data(), bytes.size());
}

TEST(Ipv6Upper, no_extension_headers) {
    const auto found = upper(packet(58, {128, 0}));
    EXPECT_EQ(found.protocol, 58);
    EXPECT_EQ(found.offset, 40U);
    EXPECT_TRUE(found.is_whole);
    EXPECT_FALSE(found.is_fragment);
}

TEST(Ipv6Upper, extension_headers_are_passed_by_their_lengths) {
    // hop-by-hop of 8, destination options of 16, authentication of 12 bytes, then UDP
    const auto found = upper(packet(0, {60, 0, 0, 0, 0, 0, 0, 0,                          //
                                        51, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  //
                                        17, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
    EXPECT_EQ(found.protocol, 17);
    EXPECT_EQ(found.offset, 40U + 8 + 16 + 12);
    EXPECT_TRUE(found.is_whole);
}

TEST(Ipv6Upper, a_later_fragment_has_no_upper_header) {
    const auto first = upper(packet(44, {17, 0, 0, 1, 0, 0, 0, 0}));
    EXPECT_TRUE(first.is_fragment);
    EXPECT_FALSE(first.is_later);
    EXPECT_EQ(first.protocol, 17);
    const auto later = upper(packet(44, {0, 0, 0, 9, 0, 0, 0, 0}));
    EXPECT_TRUE(later.is_later);
    EXPECT_EQ(later.offset, 48U);
}

TEST(Ipv6Upper, headers_beyond_the_end_are_not_whole) {
    EXPECT_FALSE(upper(packet(0, {})).is_whole);
    EXPECT_FALSE(upper(packet(0, {58, 0, 0, 0})).is_whole);
    EXPECT_FALSE(upper(packet(0, {58, 200, 0, 0, 0, 0, 0, 0})).is_whole);
}

TEST(Ipv6Upper, endless_chains_end) {
    Bytes chain = packet(60, {});
    for (int i = 0; i < 9 * 8; ++i) {
        chain.push_back(static_cast<std::byte>(i % 8 == 0 ? 60 : 0));
    }
    EXPECT_FALSE(upper(chain).is_whole);
}

TEST(Nd, a_solicitation_stands_on_the_wire_as_in_the_rfc) {
    IpAddress source;
    source.bytes = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    IpAddress target = source;
    target.bytes[15] = 2;
    const auto group = solicited_node(target);
    const auto frame = make_nd({group_mac(group), MacAddress::from_number(0x020000000001ULL),
                                source, group, Icmpv6Header::kSolicitation, 0, target});
    const std::array<int, kNdFrame> expected{
        0x33, 0x33, 0xff, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x86, 0xdd,  //
        0x60, 0x00, 0x00, 0x00, 0x00, 0x20, 0x3a, 0xff,                                      //
        0xfe, 0x80, 0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
        0,    1,    0xff, 0x02, 0,    0,    0,    0,    0,    0,    0,    0,    0,    1,
        0xff, 0,    0,    2,    0x87, 0x00, 0x7a, 0x97, 0,    0,    0,    0,  //
        0xfe, 0x80, 0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
        0,    2,    0x01, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01};
    for (std::size_t i = 0; i < frame.size(); ++i) {
        EXPECT_EQ(std::to_integer<int>(frame[i]), expected[i]) << i;
    }
    const NdMessage nd = read_nd(std::span(frame).subspan(14));
    EXPECT_EQ(nd.kind, NdKind::solicitation);
    EXPECT_EQ(nd.target, target);
    EXPECT_EQ(nd.source, source);
    EXPECT_EQ(nd.mac, MacAddress::from_number(0x020000000001ULL));
}

TEST(Nd, the_first_link_layer_option_counts_and_others_are_passed) {
    IpAddress address;
    address.bytes = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    const auto one = make_nd({{},
                              MacAddress::from_number(0x020000000001ULL),
                              address,
                              all_nodes(),
                              Icmpv6Header::kAdvertisement,
                              NdHeader::kOverride,
                              address});
    Bytes two(one.begin() + 14, one.end());
    two.insert(two.begin() + 64, 8, std::byte{0});
    two[64] = std::byte{14};  // a nonce, RFC 3971
    two[65] = std::byte{1};
    two[5] = std::byte{40};
    two[42] = two[43] = std::byte{0};
    const auto ip = load<Ipv6Header>(two.data());
    const Be16 sum = finish(add_bytes(pseudo_header(ip, 58, 40), two.data() + 40, 40));
    std::memcpy(two.data() + 42, &sum, 2);
    const NdMessage nd = read_nd(two);
    EXPECT_EQ(nd.kind, NdKind::advertisement);
    EXPECT_EQ(nd.mac, MacAddress::from_number(0x020000000001ULL));
    EXPECT_TRUE(nd.overrides);
    EXPECT_FALSE(nd.is_solicited);
}

TEST(IpAddress, groups_have_mac_addresses_of_both_families) {
    EXPECT_EQ(group_mac(Ipv4Address::of(239, 129, 2, 3)),
              MacAddress::from_number(0x01005E010203ULL));
    EXPECT_EQ(group_mac(all_nodes()), MacAddress::from_number(0x333300000001ULL));
}

TEST(IpAddress, hosts_are_neither_groups_nor_loopback_nor_nothing) {
    IpAddress loopback;
    loopback.bytes[15] = 1;
    EXPECT_FALSE(is_host(loopback));
    EXPECT_FALSE(is_host(IpAddress{}));
    EXPECT_FALSE(is_host(all_nodes()));
    EXPECT_FALSE(is_host(Ipv4Address::of(127, 0, 0, 1)));
    EXPECT_FALSE(is_host(Ipv4Address::of(224, 0, 0, 1)));
    EXPECT_TRUE(is_host(Ipv4Address::of(10, 0, 0, 1)));
    loopback.bytes[0] = 0x20;
    EXPECT_TRUE(is_host(loopback));
}

}  // namespace
}  // namespace vxplane::net
