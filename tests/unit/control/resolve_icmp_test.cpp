// Echo replies and ICMP errors, checked byte by byte.
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "control/resolve/icmp.hpp"
#include "dataplane/net/checksum.hpp"
#include "dataplane/net/flow_hash.hpp"

namespace vxplane::control {
namespace {

using namespace std::chrono_literals;
using net::Be16;
using net::EthernetHeader;
using net::IcmpHeader;
using net::Ipv4Address;
using net::Ipv4Header;
using net::MacAddress;

constexpr auto kUs = Ipv4Address::of(10, 0, 0, 1);
constexpr auto kThem = Ipv4Address::of(10, 0, 0, 2);
constexpr auto kOurMac = MacAddress::from_number(0x020000000001ULL);
constexpr auto kTheirMac = MacAddress::from_number(0x020000000002ULL);
const OwnAddress kOwnAddresses[] = {{kUs, 24}};

struct Request {
    MacAddress to = kOurMac;
    MacAddress from = kTheirMac;
    Ipv4Address source = kThem;
    Ipv4Address destination = kUs;
    std::uint8_t protocol = net::ip_protocol::kIcmp;
    std::uint8_t type = 8;
    std::uint8_t tos = 0;
    std::uint16_t fragment = 0;
    std::size_t payload = 56;
    std::size_t options = 0;
    std::vector<std::uint16_t> tags = {};
    std::size_t padding = 0;
};

void append(std::vector<std::byte>& frame, const void* data, std::size_t size) {
    const auto* bytes = static_cast<const std::byte*>(data);
    frame.insert(frame.end(), bytes, bytes + size);
}

std::vector<std::byte> build(const Request& r) {
    std::vector<std::byte> frame;
    append(frame, &r.to, 6);
    append(frame, &r.from, 6);
    for (const std::uint16_t tag : r.tags) {
        const net::VlanHeader vlan{net::ether_type::kVlan, Be16::of(tag)};
        append(frame, &vlan, sizeof vlan);
    }
    append(frame, &net::ether_type::kIpv4, 2);
    std::vector<std::byte> packet(20 + r.options, std::byte{1});  // options: no operation
    Ipv4Header ip{};
    ip.version_ihl = static_cast<std::uint8_t>(0x40 | ((20 + r.options) / 4));
    ip.tos = r.tos;
    ip.total_length = Be16::of(static_cast<std::uint16_t>(28 + r.options + r.payload));
    ip.fragment = Be16::of(r.fragment);
    ip.ttl = 3;
    ip.protocol = r.protocol;
    ip.source = r.source;
    ip.destination = r.destination;
    std::memcpy(packet.data(), &ip, sizeof ip);
    const Be16 sum = net::finish(net::add_bytes(0, packet.data(), packet.size()));
    std::memcpy(packet.data() + 10, &sum, 2);
    append(frame, packet.data(), packet.size());
    std::vector<std::byte> message(8 + r.payload);
    message[0] = static_cast<std::byte>(r.type);
    message[4] = std::byte{0xBE};
    message[7] = std::byte{0x2A};
    for (std::size_t i = 0; i < r.payload; ++i) {
        message[8 + i] = static_cast<std::byte>(i * 7);
    }
    const Be16 icmp_sum = net::finish(net::add_bytes(0, message.data(), message.size()));
    std::memcpy(message.data() + 2, &icmp_sum, 2);
    append(frame, message.data(), message.size());
    frame.resize(frame.size() + r.padding);
    return frame;
}

struct Answer {
    IcmpMade made;
    std::vector<std::byte> bytes;
    EthernetHeader ethernet;
    Ipv4Header ip;
    IcmpHeader icmp;

    Answer(IcmpMade result, std::vector<std::byte> out, std::size_t l3)
        : made(result), bytes(std::move(out)) {
        if (made) {
            ethernet = net::load<EthernetHeader>(bytes.data());
            ip = net::load<Ipv4Header>(bytes.data() + l3);
            icmp = net::load<IcmpHeader>(bytes.data() + l3 + 20);
            EXPECT_TRUE(net::ipv4_checksum_is_right(ip));
            EXPECT_EQ(net::fold(net::add_bytes(0, bytes.data() + l3 + 20,
                                               ip.total_length.value() - std::size_t{20})),
                      0xFFFF);
            EXPECT_EQ(ip.ttl, 64);
            EXPECT_EQ(ip.protocol, net::ip_protocol::kIcmp);
            EXPECT_EQ(made.size, std::max<std::size_t>(60, l3 + ip.total_length.value()));
        } else {
            EXPECT_EQ(made.size, 0U);
        }
    }
};

Answer reply(const std::vector<std::byte>& request) {
    std::vector<std::byte> out(echo_reply_room(request.size()));
    const IcmpMade made = make_echo_reply(request, kOwnAddresses, out);
    return {made, out, 14};
}

Answer error(const std::vector<std::byte>& frame, IcmpError kind = IcmpError::host_unreachable,
             std::uint16_t mtu = 0, std::size_t l3 = 14) {
    std::vector<std::byte> out(kIcmpErrorFrame);
    const IcmpMade made = make_icmp_error(frame, kind, mtu, out);
    return {made, out, l3};
}

Request tenant() {
    return {.protocol = net::ip_protocol::kUdp};
}

// --- echo ------------------------------------------------------------------------------------

TEST(IcmpEcho, swaps_both_addresses_and_keeps_identifier_and_payload) {
    const auto request = build({});
    const Answer a = reply(request);
    ASSERT_TRUE(a.made) << name(a.made.why);
    EXPECT_EQ(a.ethernet.destination, kTheirMac);
    EXPECT_EQ(a.ethernet.source, kOurMac);
    EXPECT_EQ(a.ip.source, kUs);
    EXPECT_EQ(a.ip.destination, kThem);
    EXPECT_EQ(a.icmp.type, 0);
    EXPECT_EQ(a.made.size, request.size());
    EXPECT_EQ(std::memcmp(a.bytes.data() + 38, request.data() + 38, request.size() - 38), 0);
}

TEST(IcmpEcho, leaves_options_out_even_in_place) {
    const auto request = build({.options = 40});
    const Answer apart = reply(request);
    ASSERT_TRUE(apart.made);
    auto memory = request;
    const IcmpMade made = make_echo_reply(memory, kOwnAddresses, memory);
    EXPECT_EQ(made.size, request.size() - 40);
    EXPECT_EQ(std::memcmp(memory.data(), apart.bytes.data(), made.size), 0);
}

TEST(IcmpEcho, drops_the_padding_of_the_request_and_pads_with_zeros) {
    auto request = build({.payload = 1, .padding = 17});
    ASSERT_EQ(request.size(), 60U);
    std::fill(request.begin() + 43, request.end(), std::byte{0xEE});
    const Answer a = reply(request);
    ASSERT_EQ(a.made.size, 60U);
    EXPECT_EQ(a.ip.total_length.value(), 29);
    EXPECT_EQ(a.bytes[43], std::byte{0});
    EXPECT_EQ(a.bytes[59], std::byte{0});
}

TEST(IcmpEcho, keeps_dscp_without_ecn) {
    EXPECT_EQ(reply(build({.tos = 0xBB})).ip.tos, 0xB8);
}

TEST(IcmpEcho, refusals) {
    const auto why = [](const Request& r) { return reply(build(r)).made.why; };
    using enum NoIcmp;
    EXPECT_EQ(why({.destination = Ipv4Address::of(10, 0, 0, 255)}), bad_destination);
    EXPECT_EQ(why({.destination = Ipv4Address::of(255, 255, 255, 255)}), bad_destination);
    EXPECT_EQ(why({.destination = Ipv4Address::of(224, 0, 0, 1)}), bad_destination);
    EXPECT_EQ(why({.to = MacAddress::broadcast()}), bad_destination);
    EXPECT_EQ(why({.destination = Ipv4Address::of(10, 0, 0, 3)}), not_for_us);
    EXPECT_EQ(why({.source = Ipv4Address::of(10, 0, 0, 255)}), bad_source);
    EXPECT_EQ(why({.source = Ipv4Address::of(0, 0, 0, 0)}), bad_source);
    EXPECT_EQ(why({.source = Ipv4Address::of(127, 0, 0, 1)}), bad_source);
    EXPECT_EQ(why({.fragment = Ipv4Header::kMoreFragments}), fragment);
    EXPECT_EQ(why({.fragment = 5}), fragment);
    EXPECT_EQ(why({.type = 0}), not_echo_request);
    EXPECT_EQ(why({.type = 3}), not_echo_request);
    EXPECT_EQ(why({.protocol = net::ip_protocol::kUdp}), not_echo_request);
}

TEST(IcmpEcho, wrong_checksums_are_not_answered) {
    auto frame = build({});
    frame[50] ^= std::byte{1};
    EXPECT_EQ(reply(frame).made.why, NoIcmp::bad_icmp_checksum);
    frame = build({});
    frame[22] ^= std::byte{1};  // TTL
    EXPECT_EQ(reply(frame).made.why, NoIcmp::bad_header);
}

TEST(IcmpEcho, is_safe_when_cut_at_any_length) {
    const auto whole = build({.options = 8});
    for (std::size_t size = 0; size < whole.size(); ++size) {
        std::vector<std::byte> cut(whole.begin(),
                                   whole.begin() + static_cast<std::ptrdiff_t>(size));
        cut.shrink_to_fit();
        EXPECT_EQ(reply(cut).made.why, NoIcmp::truncated) << size;
        EXPECT_EQ(error(cut).made.why, NoIcmp::truncated) << size;
    }
}

TEST(IcmpEcho, says_when_the_output_is_too_short) {
    const auto request = build({});
    std::vector<std::byte> out(request.size() - 1);
    EXPECT_EQ(make_echo_reply(request, kOwnAddresses, out).why, NoIcmp::no_room);
    const auto small = build({.payload = 0});
    out.resize(59);
    EXPECT_EQ(make_echo_reply(small, kOwnAddresses, out).why, NoIcmp::no_room);
}

// --- errors ----------------------------------------------------------------------------------

TEST(IcmpErrors, RP62_host_unreachable_comes_from_the_destination_and_quotes_the_packet) {
    const auto frame = build(tenant());
    const Answer a = error(frame);
    ASSERT_TRUE(a.made) << name(a.made.why);
    EXPECT_EQ(a.ethernet.destination, kTheirMac);
    EXPECT_EQ(a.ethernet.source, kOurMac);
    EXPECT_EQ(a.ip.source, kUs);
    EXPECT_EQ(a.ip.destination, kThem);
    EXPECT_EQ(a.icmp.type, 3);
    EXPECT_EQ(a.icmp.code, 1);
    EXPECT_EQ(a.icmp.rest.value(), 0U);
    EXPECT_EQ(a.ip.tos, 0xC0);
    EXPECT_EQ(std::memcmp(a.bytes.data() + 42, frame.data() + 14, frame.size() - 14), 0);
}

TEST(IcmpErrors, codes_of_the_other_kinds) {
    EXPECT_EQ(error(build(tenant()), IcmpError::net_unreachable).icmp.code, 0);
    EXPECT_EQ(error(build(tenant()), IcmpError::admin_prohibited).icmp.code, 13);
    const Answer a = error(build(tenant()), IcmpError::fragmentation_needed, 1450);
    EXPECT_EQ(a.icmp.code, 4);
    EXPECT_EQ(a.icmp.rest.value(), 1450U);
}

TEST(IcmpErrors, VX23_are_never_longer_than_576_bytes) {
    for (const std::size_t payload : {500U, 519U, 520U, 521U, 1400U, 8000U}) {
        Request r = tenant();
        r.payload = payload;
        const Answer a = error(build(r));
        ASSERT_TRUE(a.made);
        EXPECT_EQ(a.ip.total_length.value(), std::min<std::size_t>(576, 56 + payload));
    }
}

TEST(IcmpErrors, do_not_quote_padding) {
    Request r = tenant();
    r.payload = 2;
    r.padding = 16;
    EXPECT_EQ(error(build(r)).ip.total_length.value(), 28 + 30);
}

TEST(IcmpErrors, keep_the_tags_of_the_frame) {
    Request r = tenant();
    r.tags = {7, 8};
    const auto frame = build(r);
    const Answer a = error(frame, IcmpError::host_unreachable, 0, 22);
    ASSERT_TRUE(a.made);
    EXPECT_EQ(std::memcmp(a.bytes.data() + 12, frame.data() + 12, 10), 0);
    EXPECT_EQ(a.ip.destination, kThem);
}

TEST(IcmpErrors, VX24_refusals) {
    const auto why = [](auto change, IcmpError kind = IcmpError::host_unreachable,
                        std::uint16_t mtu = 0) {
        Request r = tenant();
        change(r);
        return error(build(r), kind, mtu).made.why;
    };
    using enum NoIcmp;
    for (const auto address :
         {Ipv4Address::of(0, 0, 0, 0), Ipv4Address::of(127, 0, 0, 1), Ipv4Address::of(224, 0, 0, 9),
          Ipv4Address::of(255, 255, 255, 255)}) {
        EXPECT_EQ(why([&](Request& r) { r.source = address; }), bad_source);
        EXPECT_EQ(why([&](Request& r) { r.destination = address; }), bad_destination);
    }
    EXPECT_EQ(why([](Request& r) { r.to = MacAddress::broadcast(); }), bad_destination);
    EXPECT_EQ(why([](Request& r) { r.fragment = 1; }), fragment);
    EXPECT_EQ(why([](Request& r) { r.fragment = Ipv4Header::kMoreFragments; }), made)
        << "the first fragment is answered";
    EXPECT_EQ(why([](Request& r) { r.fragment = Ipv4Header::kMoreFragments; },
                  IcmpError::fragmentation_needed, 1450),
              fragment);
    EXPECT_EQ(why([](Request&) {}, IcmpError::fragmentation_needed, 575), mtu_too_low);
    EXPECT_EQ(why([](Request&) {}, IcmpError::fragmentation_needed, 576), made);
}

TEST(IcmpErrors, VX24_icmp_queries_are_answered_and_icmp_errors_are_not) {
    for (const int type : {0, 8, 13, 14, 17, 18}) {
        EXPECT_TRUE(error(build({.type = static_cast<std::uint8_t>(type)})).made) << type;
    }
    for (const int type : {3, 4, 5, 11, 12, 42, 255}) {
        EXPECT_EQ(error(build({.type = static_cast<std::uint8_t>(type)})).made.why,
                  NoIcmp::about_icmp_error)
            << type;
    }
}

TEST(IcmpErrors, other_protocols_are_not_ipv4) {
    auto frame = build(tenant());
    frame[12] = std::byte{0x86};
    frame[13] = std::byte{0xDD};
    EXPECT_EQ(error(frame).made.why, NoIcmp::not_ipv4);
    frame = build(tenant());
    frame[14] = std::byte{0x65};
    EXPECT_EQ(error(frame).made.why, NoIcmp::not_ipv4);
    frame[14] = std::byte{0x44};
    EXPECT_EQ(error(frame).made.why, NoIcmp::bad_header);
}

// --- errors of a router ----------------------------------------------------------------------

Answer routed(const std::vector<std::byte>& frame, IcmpError kind, std::uint16_t mtu = 0) {
    std::vector<std::byte> out(kIcmpErrorFrame);
    const auto gateway = Ipv4Address::of(10, 9, 9, 1);
    const IcmpMade made = make_router_error(frame, gateway, kind, mtu, out);
    Answer answer{made, out, 14};
    if (made) {
        EXPECT_EQ(answer.ip.source, gateway);
        EXPECT_EQ(answer.ip.destination, kThem);
        EXPECT_EQ(answer.ethernet.destination, kTheirMac);
        EXPECT_EQ(answer.ethernet.source, kOurMac);
        EXPECT_EQ(std::memcmp(answer.bytes.data() + 42, frame.data() + 14, 40), 0) << "the quote";
    }
    return answer;
}

TEST(IcmpRouter, RP74_time_exceeded_comes_from_the_router) {
    const Answer a = routed(build(tenant()), IcmpError::time_exceeded);
    ASSERT_TRUE(a.made) << name(a.made.why);
    EXPECT_EQ(a.icmp.type, 11);
    EXPECT_EQ(a.icmp.code, 0);
    EXPECT_EQ(a.icmp.rest.value(), 0U);
}

TEST(IcmpRouter, RP71_each_error_has_its_code) {
    const std::vector<std::pair<IcmpError, int>> codes{{IcmpError::net_unreachable, 0},
                                                       {IcmpError::host_unreachable, 1},
                                                       {IcmpError::port_unreachable, 3},
                                                       {IcmpError::admin_prohibited, 13}};
    for (const auto& [kind, code] : codes) {
        const Answer a = routed(build(tenant()), kind, 1400);
        ASSERT_TRUE(a.made);
        EXPECT_EQ(a.icmp.type, 3);
        EXPECT_EQ(a.icmp.code, code);
        EXPECT_EQ(a.icmp.rest.value(), 0U);
    }
}

TEST(IcmpRouter, fragmentation_needed_says_any_lawful_mtu_and_answers_first_fragments) {
    Request r = tenant();
    r.fragment = Ipv4Header::kMoreFragments;
    const Answer a = routed(build(r), IcmpError::fragmentation_needed, 68);
    ASSERT_TRUE(a.made) << name(a.made.why);
    EXPECT_EQ(a.icmp.type, 3);
    EXPECT_EQ(a.icmp.code, 4);
    EXPECT_EQ(a.icmp.rest.value(), 68U);
    EXPECT_EQ(routed(build(r), IcmpError::fragmentation_needed, 67).made.why, NoIcmp::mtu_too_low);
    r.fragment = 1;
    EXPECT_EQ(routed(build(r), IcmpError::fragmentation_needed, 1400).made.why, NoIcmp::fragment);
}

TEST(IcmpRouter, RP74_what_must_not_be_answered_is_not) {
    Request r = tenant();
    r.source = Ipv4Address::of(127, 0, 0, 1);
    EXPECT_EQ(routed(build(r), IcmpError::time_exceeded).made.why, NoIcmp::bad_source);
    r = tenant();
    r.destination = Ipv4Address::of(224, 0, 0, 5);
    EXPECT_EQ(routed(build(r), IcmpError::time_exceeded).made.why, NoIcmp::bad_destination);
    r = tenant();
    r.to = MacAddress::broadcast();
    EXPECT_EQ(routed(build(r), IcmpError::time_exceeded).made.why, NoIcmp::bad_destination);
    EXPECT_EQ(routed(build({.type = 11}), IcmpError::time_exceeded).made.why,
              NoIcmp::about_icmp_error);
    EXPECT_EQ(routed(build({.type = 8}), IcmpError::time_exceeded).made.why, NoIcmp::made);
}

TEST(IcmpRouter, an_address_of_the_other_family_answers_nothing) {
    net::IpAddress six;
    six.bytes[0] = 0x20;
    std::vector<std::byte> out(kIcmpErrorFrame);
    EXPECT_EQ(make_router_error(build(tenant()), six, IcmpError::time_exceeded, 0, out).why,
              NoIcmp::not_ipv4);
}

}  // namespace
}  // namespace vxplane::control
