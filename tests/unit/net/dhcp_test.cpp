// DHCP messages from their bytes.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "dataplane/net/dhcp_message.hpp"

namespace vxplane::net {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t kUdp = 20, kFixed = 28, kOptions = kFixed + sizeof(DhcpHeader);
constexpr std::size_t kServerName = kFixed + 44, kFile = kFixed + 108;

Bytes bytes_of(const std::string& hex) {
    Bytes bytes;
    for (std::size_t i = 0; i < hex.size(); i += 2) {
        bytes.push_back(static_cast<std::byte>(std::stoul(hex.substr(i, 2), nullptr, 16)));
    }
    return bytes;
}

// As scapy makes them: an offer of 10.1.0.9 for an hour by 10.1.0.1, and the request for it.
const std::string kHardware = "020000aa0001" + std::string(20, '0');
const std::string kNames(2 * 192, '0');
const Bytes kOffer = bytes_of(
    "4500011c00010000401165c50a0100010a010009004300440108588002010600"
    "1234567800000000000000000a0100090a01000100000000" +
    kHardware + kNames + "63825363" + "350102330400000e1036040a010001ff");
const Bytes kRequest = bytes_of(
    "4500011c00010000401179d100000000ffffffff004400430108869d01010600"
    "1234567800000000000000000000000000000000" +
    std::string(8, '0') + kHardware + kNames + "63825363" + "350103" +
    "32040a01000936040a010001ff");

/// With other options, and lengths and checksums that go with them.
Bytes with_options(const Bytes& message, const std::string& hex) {
    Bytes out(message.begin(), message.begin() + kOptions);
    const Bytes options = bytes_of(hex);
    out.insert(out.end(), options.begin(), options.end());
    const auto put = [&out](std::size_t at, Be16 value) {
        std::memcpy(out.data() + at, &value, sizeof value);
    };
    put(2, Be16::of(static_cast<std::uint16_t>(out.size())));
    put(kUdp + 4, Be16::of(static_cast<std::uint16_t>(out.size() - kUdp)));
    put(kUdp + 6, Be16{});
    put(10, Be16{});
    put(10, ipv4_checksum(load<Ipv4Header>(out.data())));
    out.shrink_to_fit();
    return out;
}

TEST(Dhcp, IV19_an_offer_says_for_whom_it_is_and_how_long_it_counts) {
    const auto read = read_dhcp(kOffer);
    ASSERT_TRUE(read);
    EXPECT_TRUE(read->from_server);
    EXPECT_EQ(read->type, DhcpType::offer);
    EXPECT_EQ(read->transaction, 0x12345678U);
    EXPECT_EQ(read->yours, Ipv4Address::of(10, 1, 0, 9));
    EXPECT_EQ(read->lease_seconds, 3600U);
    EXPECT_EQ(read->hardware[0], 0x02);
    EXPECT_EQ(read->hardware[5], 0x01);
}

TEST(Dhcp, IV19_a_request_names_the_address_that_it_wants) {
    const auto read = read_dhcp(kRequest);
    ASSERT_TRUE(read);
    EXPECT_FALSE(read->from_server);
    EXPECT_EQ(read->type, DhcpType::request);
    EXPECT_EQ(read->requested, Ipv4Address::of(10, 1, 0, 9));
    EXPECT_FALSE(read->lease_seconds);
}

TEST(Dhcp, cut_anywhere_it_is_no_message) {
    for (const Bytes& one : {kOffer, kRequest}) {
        for (std::size_t size = 0; size < one.size(); ++size) {
            Bytes cut(one.begin(), one.begin() + static_cast<std::ptrdiff_t>(size));
            cut.shrink_to_fit();
            EXPECT_FALSE(read_dhcp(cut)) << size;
        }
    }
}

TEST(Dhcp, options_must_end_within_the_message) {
    EXPECT_TRUE(read_dhcp(with_options(kRequest, "350103")));  // without an end mark
    EXPECT_TRUE(read_dhcp(with_options(kRequest, "000000350103ff33")));
    for (const char* wrong :
         {"3501", "35", "350103 ", "35020303ff", "350103320a0a010009ff", "35010333ff",
          "350103320100ff", "3501033205 0a01000901ff", "350103330100ff", "3501033400ff",
          "3501030cff", "", "ff", "32040a010009ff", "350100ff", "350109ff", "3501ffff"}) {
        std::string hex = wrong;
        std::erase(hex, ' ');
        if (hex == "350103") {
            continue;
        }
        EXPECT_FALSE(read_dhcp(with_options(kRequest, hex))) << wrong;
    }
}

TEST(Dhcp, the_first_of_two_options_counts_and_nothing_behind_the_end) {
    const auto read = read_dhcp(with_options(kRequest, "350103350104ff350107"));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->type, DhcpType::request);
}

TEST(Dhcp, overload_puts_options_into_file_and_server_name) {
    const auto put = [](Bytes& message, std::size_t at, const std::string& hex) {
        const Bytes options = bytes_of(hex);
        std::copy(options.begin(), options.end(),
                  message.begin() + static_cast<std::ptrdiff_t>(at));
    };
    Bytes both = with_options(kRequest, "340103ff");
    put(both, kFile, "350103ff");
    put(both, kServerName, "32040a010007ff");
    const auto read = read_dhcp(both);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->type, DhcpType::request);
    EXPECT_EQ(read->requested, Ipv4Address::of(10, 1, 0, 7));
    Bytes file = with_options(kRequest, "340101ff");
    put(file, kFile, "350103ff");
    put(file, kServerName, "32ff");
    EXPECT_TRUE(read_dhcp(file)) << "the other field is a name";
    // Overload within overload means nothing, and a field is no longer than it is.
    Bytes again = with_options(kRequest, "340101ff");
    put(again, kFile, "350103340103ff");
    put(again, kServerName, "32ff");
    EXPECT_TRUE(read_dhcp(again));
    Bytes beyond = with_options(kRequest, "340101350103ff");
    put(beyond, kFile + 126, "320a");
    EXPECT_FALSE(read_dhcp(beyond));
    EXPECT_FALSE(read_dhcp(with_options(kRequest, "340104350103ff")));
}

TEST(Dhcp, what_is_not_dhcp_is_not_read) {
    const auto changed = [](Bytes message, std::size_t at, int value) {
        message[at] = static_cast<std::byte>(value);
        const Be16 none{};
        std::memcpy(message.data() + 10, &none, sizeof none);
        const Be16 sum = ipv4_checksum(load<Ipv4Header>(message.data()));
        std::memcpy(message.data() + 10, &sum, sizeof sum);
        return message;
    };
    EXPECT_TRUE(read_dhcp(changed(kRequest, 8, 5)));
    EXPECT_FALSE(read_dhcp(changed(kRequest, 9, 6)));             // TCP
    EXPECT_FALSE(read_dhcp(changed(kRequest, 6, 0x20)));          // a fragment
    EXPECT_FALSE(read_dhcp(changed(kRequest, kUdp + 1, 67)));     // of a relay
    EXPECT_FALSE(read_dhcp(changed(kRequest, kUdp + 5, 255)));    // longer than the packet
    EXPECT_FALSE(read_dhcp(changed(kRequest, kFixed, 3)));        // neither way
    EXPECT_FALSE(read_dhcp(changed(kRequest, kFixed, 2)));        // a server's, from a client
    EXPECT_FALSE(read_dhcp(changed(kRequest, kFixed + 2, 17)));   // chaddr has 16 bytes
    EXPECT_FALSE(read_dhcp(changed(kRequest, kFixed + 236, 0)));  // BOOTP
    EXPECT_FALSE(read_dhcp(changed(kOffer, kFixed + 16, 77)));    // its checksum says so
    EXPECT_TRUE(read_dhcp(changed(kRequest, kFixed + 12, 77)));   // that of requests is not asked
}

TEST(Dhcp, workers_tell_the_ways_apart) {
    const auto frame = [](const Bytes& packet) {
        Bytes out(14);
        out[12] = std::byte{8};
        out.insert(out.end(), packet.begin(), packet.end());
        return out;
    };
    const Bytes up = frame(kRequest), down = frame(kOffer);
    EXPECT_TRUE(is_dhcp(up.data(), up.size(), DhcpWay::to_server));
    EXPECT_FALSE(is_dhcp(up.data(), up.size(), DhcpWay::to_client));
    EXPECT_TRUE(is_dhcp(down.data(), down.size(), DhcpWay::to_client));
    EXPECT_FALSE(is_dhcp(down.data(), down.size(), DhcpWay::to_server));
    for (std::size_t size = 0; size < 42; ++size) {
        EXPECT_FALSE(is_dhcp(up.data(), size, DhcpWay::to_server)) << size;
    }
}

}  // namespace
}  // namespace vxplane::net
