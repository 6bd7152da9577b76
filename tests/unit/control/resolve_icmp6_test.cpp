// ICMPv6 echo replies and errors, checked byte by byte.
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "control/resolve/icmp.hpp"
#include "dataplane/net/checksum.hpp"
#include "dataplane/net/icmpv6.hpp"

namespace vxplane::control {
namespace {

using net::Be16;
using net::Be32;
using net::EthernetHeader;
using net::Icmpv6Header;
using net::IpAddress;
using net::Ipv6Header;
using net::MacAddress;
using Bytes = std::vector<std::byte>;

IpAddress ip6(std::uint8_t first, std::uint8_t last) {
    std::array<std::uint8_t, 16> bytes{first, 0x01};
    bytes[15] = last;
    return IpAddress(bytes);
}
const IpAddress kUs = ip6(0x20, 1);
const IpAddress kThem = ip6(0x20, 2);
const IpAddress kRouter = ip6(0x20, 99);
constexpr auto kOurMac = MacAddress::from_number(0x020000000001ULL);
constexpr auto kTheirMac = MacAddress::from_number(0x020000000002ULL);

struct Request {
    MacAddress to = kOurMac;
    MacAddress from = kTheirMac;
    IpAddress source = kThem;
    IpAddress destination = kUs;
    std::uint8_t traffic_class = 0;
    std::uint8_t next = net::ip_protocol::kIcmpv6;
    Bytes extensions = {};
    std::uint8_t type = Icmpv6Header::kEchoRequest;
    std::size_t payload = 56;
    bool tagged = false;
    std::size_t padding = 0;
};

template <class T>
void append(Bytes& frame, const T& value) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    frame.insert(frame.end(), bytes, bytes + sizeof value);
}

Bytes build(const Request& r) {
    Bytes frame;
    append(frame, r.to);
    append(frame, r.from);
    if (r.tagged) {
        append(frame, net::VlanHeader{net::ether_type::kVlan, Be16::of(7)});
    }
    append(frame, net::ether_type::kIpv6);
    Ipv6Header ip{};
    ip.version_class_label = Be32::of(6U << 28 | std::uint32_t{r.traffic_class} << 20 | 0xABCDE);
    ip.payload_length = Be16::of(static_cast<std::uint16_t>(r.extensions.size() + 8 + r.payload));
    ip.next_header = r.next;
    ip.hop_limit = 3;
    ip.source = r.source.bytes;
    ip.destination = r.destination.bytes;
    append(frame, ip);
    frame.insert(frame.end(), r.extensions.begin(), r.extensions.end());
    Bytes message(8 + r.payload);
    message[0] = static_cast<std::byte>(r.type);
    message[5] = std::byte{0xBE};
    for (std::size_t i = 0; i < r.payload; ++i) {
        message[8 + i] = static_cast<std::byte>(i * 7);
    }
    const Be16 sum =
        net::finish(net::add_bytes(net::pseudo_header(ip, net::ip_protocol::kIcmpv6,
                                                      static_cast<std::uint16_t>(message.size())),
                                   message.data(), message.size()));
    std::memcpy(message.data() + 2, &sum, 2);
    frame.insert(frame.end(), message.begin(), message.end());
    frame.resize(frame.size() + r.padding);
    frame.shrink_to_fit();
    return frame;
}

struct Answer {
    IcmpMade made;
    Bytes bytes;
    EthernetHeader ethernet{};
    Ipv6Header ip{};
    Icmpv6Header icmp{};

    Answer(IcmpMade result, Bytes out, std::size_t l3) : made(result), bytes(std::move(out)) {
        if (!made) {
            EXPECT_EQ(made.size, 0U);
            return;
        }
        ethernet = net::load<EthernetHeader>(bytes.data());
        ip = net::load<Ipv6Header>(bytes.data() + l3);
        icmp = net::load<Icmpv6Header>(bytes.data() + l3 + 40);
        const std::uint16_t length = ip.payload_length.value();
        EXPECT_EQ(made.size, l3 + 40 + length);
        EXPECT_EQ(ip.version(), 6U);
        EXPECT_EQ(ip.next_header, net::ip_protocol::kIcmpv6);
        EXPECT_EQ(ip.hop_limit, 64);
        EXPECT_EQ(IpAddress(ip.destination), kThem);
        EXPECT_EQ(ethernet.destination, kTheirMac);
        EXPECT_EQ(ethernet.source, kOurMac);
        EXPECT_EQ(net::fold(net::add_bytes(net::pseudo_header(ip, 58, length),
                                           bytes.data() + l3 + 40, length)),
                  0xFFFF);
    }
};

Answer reply(const Bytes& request) {
    const OwnAddress own[] = {{net::Ipv4Address::of(10, 0, 0, 1), 24}, {kUs, 64}};
    Bytes out(echo_reply_room(request.size()));
    const IcmpMade made = make_echo_reply(request, own, out);
    return {made, out, 14};
}

Answer error(const Bytes& frame, IcmpError kind, std::uint16_t mtu = 0, std::size_t l3 = 14) {
    Bytes out(kIcmpErrorFrame);
    const IcmpMade made = make_router_error(frame, kRouter, kind, mtu, out);
    return {made, out, l3};
}

const Bytes kHopByHop{std::byte{58}, std::byte{0}, std::byte{1}, std::byte{4},
                      std::byte{0},  std::byte{0}, std::byte{0}, std::byte{0}};
const Bytes kLaterFragment{std::byte{58}, std::byte{0}, std::byte{1}, std::byte{0},
                           std::byte{0},  std::byte{0}, std::byte{0}, std::byte{9}};

TEST(Icmp6Echo, swaps_both_addresses_and_keeps_identifier_and_payload) {
    const Bytes request = build({.traffic_class = 0xBA});
    const Answer a = reply(request);
    ASSERT_TRUE(a.made) << name(a.made.why);
    EXPECT_EQ(IpAddress(a.ip.source), kUs);
    EXPECT_EQ(a.icmp.type, Icmpv6Header::kEchoReply);
    EXPECT_EQ(a.ip.traffic_class(), 0xB8) << "DSCP without ECN";
    EXPECT_EQ(a.made.size, request.size());
    EXPECT_EQ(std::memcmp(a.bytes.data() + 58, request.data() + 58, request.size() - 58), 0);
}

TEST(Icmp6Echo, extension_headers_are_left_out_and_padding_is_no_payload) {
    const Answer a = reply(build({.next = 0, .extensions = kHopByHop, .padding = 9}));
    ASSERT_TRUE(a.made) << name(a.made.why);
    EXPECT_EQ(a.ip.payload_length.value(), 64);
    EXPECT_EQ(a.bytes[62], std::byte{0}) << "the payload follows";
    EXPECT_EQ(a.bytes[63], std::byte{7});
}

TEST(Icmp6Echo, may_be_made_in_place) {
    Bytes memory = build({.next = 0, .extensions = kHopByHop});
    const Answer apart = reply(memory);
    const OwnAddress own[] = {{kUs, 64}};
    const IcmpMade made = make_echo_reply(memory, own, memory);
    ASSERT_TRUE(made);
    EXPECT_EQ(std::memcmp(memory.data(), apart.bytes.data(), made.size), 0);
}

TEST(Icmp6Echo, what_is_not_an_echo_request_to_one_of_us_is_not_answered) {
    const auto why = [](const Request& r) { return reply(build(r)).made.why; };
    EXPECT_EQ(why({.destination = kRouter}), NoIcmp::not_for_us);
    EXPECT_EQ(why({.destination = net::all_nodes()}), NoIcmp::bad_destination);
    EXPECT_EQ(why({.to = MacAddress::broadcast()}), NoIcmp::bad_destination);
    EXPECT_EQ(why({.source = IpAddress{}}), NoIcmp::bad_source);
    EXPECT_EQ(why({.source = net::all_nodes()}), NoIcmp::bad_source);
    EXPECT_EQ(why({.source = net::Ipv4Address::of(10, 0, 0, 2)}), NoIcmp::bad_source);
    EXPECT_EQ(why({.from = MacAddress::from_number(0x010000000001ULL)}), NoIcmp::bad_source);
    EXPECT_EQ(why({.type = 129}), NoIcmp::not_echo_request);
    EXPECT_EQ(why({.next = 17}), NoIcmp::not_echo_request);
    EXPECT_EQ(why({.next = 44, .extensions = kLaterFragment}), NoIcmp::fragment);
    Bytes wrong = build({});
    wrong.back() ^= std::byte{1};
    EXPECT_EQ(reply(wrong).made.why, NoIcmp::bad_icmp_checksum);
}

TEST(Icmp6Echo, a_request_cut_at_any_length_is_not_answered) {
    const Bytes whole = build({.payload = 8});
    for (std::size_t size = 0; size < whole.size(); ++size) {
        Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
        cut.shrink_to_fit();
        EXPECT_EQ(reply(cut).made.why, NoIcmp::truncated) << size;
    }
}

TEST(Icmp6Error, RP74_each_error_has_its_type_and_code) {
    struct Row {
        IcmpError kind;
        int type;
        int code;
    };
    for (const Row& row :
         {Row{IcmpError::net_unreachable, 1, 0}, Row{IcmpError::host_unreachable, 1, 3},
          Row{IcmpError::port_unreachable, 1, 4}, Row{IcmpError::admin_prohibited, 1, 1},
          Row{IcmpError::fragmentation_needed, 2, 0}, Row{IcmpError::time_exceeded, 3, 0}}) {
        const Bytes frame = build({.next = 17});
        const Answer a = error(frame, row.kind, 1400);
        ASSERT_TRUE(a.made) << name(a.made.why);
        EXPECT_EQ(a.icmp.type, row.type);
        EXPECT_EQ(a.icmp.code, row.code);
        EXPECT_EQ(a.icmp.rest.value(), row.type == 2 ? 1400U : 0U);
        EXPECT_EQ(IpAddress(a.ip.source), kRouter);
        EXPECT_EQ(a.ip.payload_length.value(), 8 + frame.size() - 14);
        EXPECT_EQ(std::memcmp(a.bytes.data() + 62, frame.data() + 14, frame.size() - 14), 0);
    }
}

TEST(Icmp6Error, VX25_is_at_most_1280_bytes_long_and_keeps_tags) {
    const Bytes frame = build({.next = 17, .payload = 1400, .tagged = true});
    const Answer a = error(frame, IcmpError::fragmentation_needed, 1280, 18);
    ASSERT_TRUE(a.made) << name(a.made.why);
    EXPECT_EQ(a.made.size, 18U + 1280U);
    EXPECT_EQ(std::memcmp(a.bytes.data() + 12, frame.data() + 12, 6), 0);
}

TEST(Icmp6Error, VX25_no_answer_to_groups_nobody_fragments_or_errors) {
    const auto why = [](const Request& r, std::uint16_t mtu = 1280) {
        return error(build(r), IcmpError::fragmentation_needed, mtu).made.why;
    };
    IpAddress loopback;
    loopback.bytes[15] = 1;
    EXPECT_EQ(why({.source = IpAddress{}}), NoIcmp::bad_source);
    EXPECT_EQ(why({.source = net::all_nodes()}), NoIcmp::bad_source);
    EXPECT_EQ(why({.source = loopback}), NoIcmp::bad_source);
    EXPECT_EQ(why({.from = MacAddress::broadcast()}), NoIcmp::bad_source);
    EXPECT_EQ(why({.destination = net::all_nodes()}), NoIcmp::bad_destination);
    EXPECT_EQ(why({.destination = loopback}), NoIcmp::bad_destination);
    EXPECT_EQ(why({.to = MacAddress::broadcast()}), NoIcmp::bad_destination);
    EXPECT_EQ(why({.next = 44, .extensions = kLaterFragment}), NoIcmp::fragment);
    for (const int type : {1, 2, 3, 4, 100, 127, 137}) {
        EXPECT_EQ(why({.type = static_cast<std::uint8_t>(type)}), NoIcmp::about_icmp_error);
    }
    EXPECT_EQ(why({.next = 0, .extensions = kHopByHop, .type = 1}), NoIcmp::about_icmp_error);
    EXPECT_EQ(why({.type = 135}), NoIcmp::made);
    EXPECT_EQ(why({}, 1279), NoIcmp::mtu_too_low);
}

TEST(Icmp6Error, an_address_of_the_other_family_answers_nothing) {
    Bytes out(kIcmpErrorFrame);
    EXPECT_EQ(make_router_error(build({}), net::Ipv4Address::of(10, 0, 0, 1),
                                IcmpError::time_exceeded, 0, out)
                  .why,
              NoIcmp::not_ipv4);
    EXPECT_EQ(make_icmp_error(build({}), IcmpError::time_exceeded, 0, out).why, NoIcmp::not_ipv4);
}

TEST(Icmp6Error, a_packet_cut_at_any_length_is_not_answered) {
    const Bytes whole = build({.next = 0, .extensions = kHopByHop, .payload = 8});
    for (std::size_t size = 0; size < whole.size(); ++size) {
        Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
        cut.shrink_to_fit();
        EXPECT_FALSE(error(cut, IcmpError::time_exceeded).made) << size;
    }
    Bytes small(60);
    EXPECT_EQ(make_router_error(whole, kRouter, IcmpError::time_exceeded, 0, small).why,
              NoIcmp::no_room);
}

}  // namespace
}  // namespace vxplane::control
