// What routers say of paths, and what tenants are told: the bytes, apart from who believes them.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <vector>

#include "control/resolve/icmp.hpp"
#include "control/resolve/path_mtu.hpp"
#include "dataplane/net/checksum.hpp"
#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/headers.hpp"
#include "dataplane/net/icmpv6.hpp"

namespace vxplane::control {
namespace {

using Bytes = std::vector<std::byte>;
constexpr std::size_t kIp = 14;

template <class T>
void put(Bytes& bytes, std::size_t at, const T& value) {
    if (bytes.size() < at + sizeof value) bytes.resize(at + sizeof value);
    std::memcpy(bytes.data() + at, &value, sizeof value);
}
net::Ipv4Header ip_header(std::uint32_t from, std::uint32_t to, std::uint8_t protocol,
                          std::size_t total, bool dont_fragment) {
    net::Ipv4Header ip{};
    ip.version_ihl = 0x45;
    ip.total_length = net::Be16::of(static_cast<std::uint16_t>(total));
    ip.fragment = net::Be16::of(dont_fragment ? net::Ipv4Header::kDontFragment : 0);
    ip.ttl = 60;
    ip.protocol = protocol;
    ip.source = net::Ipv4Address::of(from);
    ip.destination = net::Ipv4Address::of(to);
    ip.checksum = net::ipv4_checksum(ip);
    return ip;
}
constexpr std::uint32_t kUs = 0x0A0A0A0C, kRemote = 0x0A0A0B0D, kRouter = 0x0A0A0A01;

/// From a router, about 1500 bytes from us to the remote.
Bytes message(std::uint16_t mtu = 1300) {
    Bytes frame(kIp);
    put(frame, 12, net::ether_type::kIpv4);
    constexpr std::size_t kQuote = 28;
    put(frame, kIp, ip_header(kRouter, kUs, 1, 20 + 8 + kQuote, false));
    net::IcmpHeader icmp{};
    icmp.type = net::IcmpHeader::kUnreachable;
    icmp.code = net::IcmpHeader::kFragmentationNeeded;
    icmp.rest = net::Be32::of(mtu);
    put(frame, kIp + 20, icmp);
    put(frame, kIp + 28, ip_header(kUs, kRemote, 17, 1500, true));
    net::UdpHeader udp{};
    udp.source = net::Be16::of(40000);
    udp.destination = net::Be16::of(4789);
    put(frame, kIp + 48, udp);
    icmp.checksum = net::finish(net::add_bytes(0, frame.data() + kIp + 20, 8 + kQuote));
    put(frame, kIp + 20, icmp);
    return frame;
}

TEST(PathMtu, VX28_a_routers_message_is_read) {
    const PathMtuNews news = read_path_mtu(message());
    ASSERT_TRUE(news.is_whole);
    EXPECT_EQ(news.local, net::IpAddress(net::Ipv4Address::of(kUs)));
    EXPECT_EQ(news.remote, net::IpAddress(net::Ipv4Address::of(kRemote)));
    EXPECT_EQ(news.source_port, 40000);
    EXPECT_EQ(news.dstport, 4789);
    EXPECT_EQ(news.length, 1500);
    EXPECT_TRUE(news.dont_fragment);
    EXPECT_EQ(news.mtu, 1300U);
    EXPECT_FALSE(news.vni) << "not quoted";
}

net::Ipv6Header ip6_header(std::uint8_t from, std::uint8_t to, std::uint8_t next,
                           std::size_t payload) {
    net::Ipv6Header ip{};
    ip.version_class_label = net::Be32::of(net::Ipv6Header::kVersion);
    ip.payload_length = net::Be16::of(static_cast<std::uint16_t>(payload));
    ip.next_header = next;
    ip.hop_limit = 60;
    ip.source = {0xFD, 0x10};
    ip.source[15] = from;
    ip.destination = {0xFD, 0x10};
    ip.destination[15] = to;
    return ip;
}

/// From router fd10::1, about 1500 bytes of VNI 7 from fd10::12 to fd10::13.
Bytes message6(std::uint32_t mtu = 1400, std::size_t quoted_udp = 16) {
    Bytes frame(kIp);
    put(frame, 12, net::ether_type::kIpv6);
    const std::size_t size = 8 + 40 + quoted_udp;
    const net::Ipv6Header outer = ip6_header(1, 12, 58, size);
    put(frame, kIp, outer);
    put(frame, kIp + 48, ip6_header(12, 13, 17, 1460));
    net::UdpHeader udp{};
    udp.source = net::Be16::of(40000);
    udp.destination = net::Be16::of(4789);
    put(frame, kIp + 88, udp);
    put(frame, kIp + 96, net::VxlanHeader::of(net::Vni{7}));
    frame.resize(kIp + 40 + size);
    net::Icmpv6Header icmp{};
    icmp.type = net::Icmpv6Header::kPacketTooBig;
    icmp.rest = net::Be32::of(mtu);
    put(frame, kIp + 40, icmp);
    const net::Sum pseudo = net::pseudo_header(outer, 58, static_cast<std::uint16_t>(size));
    icmp.checksum = net::finish(net::add_bytes(pseudo, frame.data() + kIp + 40, size));
    put(frame, kIp + 40, icmp);
    return frame;
}

TEST(PathMtu, VX28_a_routers_message_over_ipv6_is_read) {
    const PathMtuNews news = read_path_mtu(message6());
    ASSERT_TRUE(news.is_whole);
    EXPECT_EQ(news.local, net::IpAddress(ip6_header(12, 13, 17, 0).source));
    EXPECT_EQ(news.remote, net::IpAddress(ip6_header(12, 13, 17, 0).destination));
    EXPECT_EQ(news.source_port, 40000);
    EXPECT_EQ(news.dstport, 4789);
    EXPECT_EQ(news.vni, 7U);
    EXPECT_EQ(news.length, 1500U);
    EXPECT_TRUE(news.dont_fragment);
    EXPECT_EQ(news.mtu, 1400U);
    EXPECT_FALSE(read_path_mtu(message6(1400, 15)).vni);
    EXPECT_FALSE(read_path_mtu(message6(1400, 3)).is_whole);
}

TEST(PathMtu, VX28_what_is_cut_or_changed_is_no_message_over_ipv6) {
    const Bytes whole = message6();
    for (std::size_t size = 0; size < whole.size(); ++size) {
        EXPECT_FALSE(read_path_mtu(std::span(whole).first(size)).is_whole) << size;
    }
    for (std::size_t at = kIp + 40; at < whole.size(); ++at) {
        Bytes changed = whole;
        changed[at] ^= std::byte{0x10};
        EXPECT_FALSE(read_path_mtu(changed).is_whole) << at;
    }
}

TEST(PathMtu, VX28_what_is_cut_or_changed_is_no_message) {
    const Bytes whole = message();
    for (std::size_t size = 0; size < whole.size(); ++size) {
        EXPECT_FALSE(read_path_mtu(std::span(whole).first(size)).is_whole) << size;
    }
    // Every bit behind the outer header counts: the checksum covers it.
    for (std::size_t at = kIp + 20; at < whole.size(); ++at) {
        Bytes changed = whole;
        changed[at] ^= std::byte{0x10};
        EXPECT_FALSE(read_path_mtu(changed).is_whole) << at;
    }
}

/// A tenant's datagram of so many bytes.
Bytes tenants(std::size_t total, std::uint8_t ttl = 7) {
    Bytes frame(kIp + total);
    frame[5] = std::byte{2};
    frame[11] = std::byte{1};
    put(frame, 12, net::ether_type::kIpv4);
    net::Ipv4Header ip = ip_header(0x0A000001, 0x0A000002, 17, total, true);
    ip.ttl = ttl;
    ip.tos = 0xBA;
    ip.checksum = {};
    ip.checksum = net::ipv4_checksum(ip);
    put(frame, kIp, ip);
    return frame;
}

TEST(TooBig, VX23_the_sender_is_told_in_the_name_of_the_destination) {
    const Bytes frame = tenants(1451);
    std::array<std::byte, kIcmpErrorFrame> out{};
    const IcmpMade made = make_too_big(frame, 1450, out);
    ASSERT_TRUE(made);
    EXPECT_EQ(made.size, kIp + 576U);
    const auto ip = net::load<net::Ipv4Header>(out.data() + kIp);
    EXPECT_EQ(ip.source, net::Ipv4Address::of(0x0A000002));
    EXPECT_EQ(ip.destination, net::Ipv4Address::of(0x0A000001));
    EXPECT_EQ(ip.tos, 0);
    EXPECT_EQ(ip.ttl, 7);
    EXPECT_TRUE(net::ipv4_checksum_is_right(ip));
    EXPECT_EQ(net::fold(net::add_bytes(0, out.data() + kIp + 20, 556)), 0xFFFF);
    const auto icmp = net::load<net::IcmpHeader>(out.data() + kIp + 20);
    EXPECT_EQ(icmp.type, 3);
    EXPECT_EQ(icmp.code, 4);
    EXPECT_EQ(icmp.rest.value(), 1450U);
    EXPECT_EQ(std::memcmp(out.data() + kIp + 28, frame.data() + kIp, 548), 0);
}

TEST(TooBig, VX24_not_for_less_than_576_nor_in_the_name_of_nobody) {
    std::array<std::byte, kIcmpErrorFrame> out{};
    EXPECT_EQ(make_too_big(tenants(1451), 575, out).why, NoIcmp::mtu_too_low);
    Bytes group = tenants(1451);
    put(group, kIp, ip_header(0x0A000001, 0xE0000001, 17, 1451, true));
    EXPECT_EQ(make_too_big(group, 1450, out).why, NoIcmp::bad_destination);
    Bytes piece = tenants(1451);
    net::Ipv4Header ip = ip_header(0x0A000001, 0x0A000002, 17, 1451, true);
    ip.fragment = net::Be16::of(0x6000);
    ip.checksum = {};
    ip.checksum = net::ipv4_checksum(ip);
    put(piece, kIp, ip);
    EXPECT_EQ(make_too_big(piece, 1450, out).why, NoIcmp::fragment);
}

TEST(TooBig, VX25_ipv6_is_told_by_packet_too_big) {
    Bytes frame(kIp + 1451);
    frame[5] = std::byte{2};
    put(frame, 12, net::ether_type::kIpv6);
    net::Ipv6Header ip{};
    ip.version_class_label = net::Be32::of(6U << 28);
    ip.payload_length = net::Be16::of(1411);
    ip.next_header = 17;
    ip.hop_limit = 9;
    ip.source = {0xFD, 1};
    ip.source[15] = 1;
    ip.destination = {0xFD, 1};
    ip.destination[15] = 2;
    put(frame, kIp, ip);
    std::array<std::byte, kIcmpErrorFrame> out{};
    const IcmpMade made = make_too_big(frame, 1450, out);
    ASSERT_TRUE(made);
    EXPECT_EQ(made.size, kIp + 1280U);
    const auto answer = net::load<net::Ipv6Header>(out.data() + kIp);
    EXPECT_EQ(answer.source, ip.destination);
    EXPECT_EQ(answer.hop_limit, 9);
    EXPECT_EQ(static_cast<int>(out[kIp + 40]), 2);
    EXPECT_EQ(make_too_big(frame, 1279, out).why, NoIcmp::mtu_too_low);
}

}  // namespace
}  // namespace vxplane::control
