// The internet checksum against examples of the RFCs and against the plainest sum there is.
#include "dataplane/net/checksum.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace vxplane::net {
namespace {

/// RFC 1071 as one would write it on paper: big-endian words, carry added at once.
std::uint16_t plain_sum(const std::vector<std::uint8_t>& bytes) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < bytes.size(); i += 2) {
        const std::uint32_t low = i + 1 < bytes.size() ? bytes[i + 1] : 0;
        sum += std::uint32_t{bytes[i]} << 8 | low;
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    return static_cast<std::uint16_t>(sum);
}

std::vector<std::uint8_t> random_bytes(std::mt19937& random, std::size_t size) {
    std::vector<std::uint8_t> bytes(size);
    for (auto& byte : bytes) {
        byte = static_cast<std::uint8_t>(random());
    }
    return bytes;
}

TEST(Checksum, sums_the_example_of_rfc1071) {
    const std::uint8_t bytes[] = {0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7};
    EXPECT_EQ(Be16::from_wire(fold(add_bytes(0, bytes, sizeof bytes))).value(), 0xDDF2);
    EXPECT_EQ(finish(add_bytes(0, bytes, sizeof bytes)).value(), 0x220D);
}

TEST(Checksum, agrees_with_the_plain_sum_at_every_length_and_alignment) {
    std::mt19937 random{1};
    for (std::size_t size = 0; size <= 200; ++size) {
        const auto bytes = random_bytes(random, size);
        for (std::size_t shift = 0; shift < 4; ++shift) {
            std::vector<std::uint8_t> moved(shift, 0xEE);
            moved.insert(moved.end(), bytes.begin(), bytes.end());
            const Sum sum = add_bytes(0, moved.data() + shift, size);
            EXPECT_EQ(Be16::from_wire(fold(sum)).value(), plain_sum(bytes)) << size;
        }
    }
}

TEST(Checksum, may_be_made_in_even_pieces) {
    std::mt19937 random{2};
    const auto bytes = random_bytes(random, 1499);
    for (std::size_t cut = 0; cut < bytes.size(); cut += 2) {
        const Sum sum =
            add_bytes(add_bytes(0, bytes.data(), cut), bytes.data() + cut, bytes.size() - cut);
        ASSERT_EQ(fold(sum), fold(add_bytes(0, bytes.data(), bytes.size()))) << cut;
    }
}

TEST(Checksum, loses_no_carry_of_all_ones) {
    const std::vector<std::uint8_t> ones(65535, 0xFF);
    EXPECT_EQ(Be16::from_wire(fold(add_bytes(0, ones.data(), ones.size()))).value(),
              plain_sum(ones));
    EXPECT_EQ(fold(0xFFFFFFFFFFFFFFFFULL), 0xFFFF);
}

TEST(Checksum, of_an_ipv4_header_with_and_without_options) {
    // The header of the well-known example: 45 00 00 73 00 00 40 00 40 11 b8 61 c0 a8 00 01 ...
    const unsigned char bytes[] = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                                   0xB8, 0x61, 0xC0, 0xA8, 0x00, 0x01, 0xC0, 0xA8, 0x00, 0xC7};
    Ipv4Header header;
    std::memcpy(&header, bytes, sizeof header);
    EXPECT_TRUE(ipv4_checksum_is_right(header));
    EXPECT_EQ(ipv4_checksum(header).value(), 0xB861) << "what stands in the field is left out";
    header.ttl = 63;
    EXPECT_FALSE(ipv4_checksum_is_right(header));

    struct {
        Ipv4Header fixed;
        unsigned char options[4];
    } with_options{header, {0x94, 0x04, 0x00, 0x00}};
    with_options.fixed.version_ihl = 0x46;
    with_options.fixed.checksum = ipv4_checksum(with_options.fixed);
    EXPECT_TRUE(ipv4_checksum_is_right(with_options.fixed));
    with_options.options[3] = 1;
    EXPECT_FALSE(ipv4_checksum_is_right(with_options.fixed));
}

TEST(Checksum, of_a_udp_message_with_its_pseudo_header) {
    const std::vector<std::uint8_t> words{10, 0, 0, 1, 10, 0, 0, 2, 0, 17, 0, 11};
    const Sum pseudo =
        pseudo_header(Ipv4Address::of(10, 0, 0, 1), Ipv4Address::of(10, 0, 0, 2), 17, 11);
    EXPECT_EQ(Be16::from_wire(fold(pseudo)).value(), plain_sum(words));
}

TEST(Checksum, VX14_a_udp_checksum_of_zero_is_sent_as_all_ones) {
    const std::uint8_t all_ones[] = {0xFF, 0xFF};
    EXPECT_EQ(finish(add_bytes(0, all_ones, 2)).value(), 0x0000);
    EXPECT_EQ(udp_finish(add_bytes(0, all_ones, 2)).value(), 0xFFFF);
    // 0x1234 + 0xEDCB is all ones, too.
    const std::uint8_t complement[] = {0x12, 0x34, 0xED, 0xCB};
    EXPECT_EQ(udp_finish(add_bytes(0, complement, 4)).value(), 0xFFFF);
    const std::uint8_t other[] = {0x12, 0x34, 0xED, 0xCC};
    EXPECT_EQ(udp_finish(add_bytes(0, other, 4)).value(), 0xFFFE);
    EXPECT_EQ(udp_finish(0).value(), 0xFFFF);
}

TEST(Checksum, VX14_no_two_words_give_a_udp_checksum_of_zero) {
    for (std::uint32_t first = 0; first <= 0xFFFF; first += 5) {
        for (const std::uint32_t second : {0U, 1U, 0x7FFFU, 0xFFFEU, 0xFFFFU, 0xFFFFU - first}) {
            ASSERT_NE(udp_finish(Sum{first} + second).value(), 0);
        }
    }
}

TEST(Checksum, update_equals_a_new_sum_for_every_new_word) {
    std::mt19937 random{3};
    auto bytes = random_bytes(random, 20);
    for (std::uint32_t word = 0; word <= 0xFFFF; word += 3) {
        const Be16 checksum = finish(add_bytes(0, bytes.data(), bytes.size()));
        const auto before = Be16::of(static_cast<std::uint16_t>(bytes[8] << 8 | bytes[9]));
        const auto after = Be16::of(static_cast<std::uint16_t>(word));
        bytes[8] = static_cast<std::uint8_t>(word >> 8);
        bytes[9] = static_cast<std::uint8_t>(word);
        ASSERT_EQ(update_checksum(checksum, before, after),
                  finish(add_bytes(0, bytes.data(), bytes.size())))
            << word;
    }
}

TEST(Checksum, update_keeps_a_header_right_that_becomes_all_ones) {
    // The corner in which RFC 1141 was wrong and RFC 1624 section 4 is right.
    EXPECT_EQ(update_checksum(Be16::of(0xDD2F), Be16::of(0x5555), Be16::of(0x3285)).value(),
              0x0000);
}

}  // namespace
}  // namespace vxplane::net
