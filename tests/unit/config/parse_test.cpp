// Words into values and back.
#include "config/parse.hpp"

#include <gtest/gtest.h>

#include <string>

namespace vxplane::config {
namespace {

TEST(ConfigParse, reads_and_writes_mac_addresses) {
    const auto mac = parse_mac("16:1D:36:f4:ab:26");
    ASSERT_TRUE(mac);
    EXPECT_EQ(mac->bytes, (std::array<std::uint8_t, 6>{0x16, 0x1d, 0x36, 0xf4, 0xab, 0x26}));
    EXPECT_EQ(mac->text(), "16:1d:36:f4:ab:26");
    for (const char* word : {"", "16:1d:36:f4:ab", "16:1d:36:f4:ab:2", "16:1d:36:f4:ab:26:00",
                             "16-1d-36-f4-ab-26", "16:1d:36:f4:ab:+6", "16:1d:36:f4:ab:2g"}) {
        EXPECT_FALSE(parse_mac(word)) << word;
    }
}

TEST(ConfigParse, reads_and_writes_ip_addresses) {
    const auto four = parse_ip("10.0.0.1");
    ASSERT_TRUE(four);
    EXPECT_EQ(four->ipv4_number(), 0x0A000001U);
    EXPECT_EQ(four->text(), "10.0.0.1");
    const auto six = parse_ip("2001:db8:0::1");
    ASSERT_TRUE(six);
    EXPECT_FALSE(six->is_ipv4());
    EXPECT_EQ(six->text(), "2001:db8::1");
    EXPECT_FALSE(parse_ip("10.0.0"));
    EXPECT_FALSE(parse_ip("10.0.0.256"));
    EXPECT_FALSE(parse_ip(std::string_view("10.0.0.1\0", 9)));
    EXPECT_FALSE(parse_ip(std::string(1000, '1')));
}

TEST(ConfigParse, keeps_the_host_bits_of_a_prefix) {
    const auto prefix = parse_prefix("10.0.0.1/24");
    ASSERT_TRUE(prefix);
    EXPECT_EQ(prefix->text(), "10.0.0.1/24");
    EXPECT_TRUE(parse_prefix("::/0"));
    EXPECT_TRUE(parse_prefix("::1/128"));
    for (const char* word : {"10.0.0.1", "10.0.0.1/33", "10.0.0.1/", "::1/129", "10.0.0.1/-1"}) {
        EXPECT_FALSE(parse_prefix(word)) << word;
    }
}

TEST(ConfigParse, reads_numbers_without_overflow_or_doubt) {
    EXPECT_EQ(parse_number("0"), 0U);
    EXPECT_EQ(parse_number("18446744073709551615"), ~std::uint64_t{0});
    EXPECT_EQ(parse_number("0x1F"), 31U);
    for (const char* word :
         {"", "-1", "+1", " 1", "1 ", "010", "0x", "1e3", "1.0", "18446744073709551616"}) {
        EXPECT_FALSE(parse_number(word)) << word;
    }
}

TEST(ConfigParse, reads_sizes_in_powers_of_1024) {
    EXPECT_EQ(parse_size("512M"), 512ULL << 20);
    EXPECT_EQ(parse_size("2G"), 2ULL << 30);
    EXPECT_EQ(parse_size("64K"), 64ULL << 10);
    EXPECT_EQ(parse_size("4096"), 4096U);
    for (const char* word : {"", "M", "512m", "512MB", "1.5G", "18446744073709551615G"}) {
        EXPECT_FALSE(parse_size(word)) << word;
    }
}

TEST(ConfigParse, VX05_reads_source_port_ranges) {
    EXPECT_EQ(PortRange{}, (PortRange{32768, 60999}));
    EXPECT_EQ(parse_port_range("1000 2000"), (PortRange{1000, 2000}));
    EXPECT_EQ(parse_port_range("1 65536"), (PortRange{1, 65536}));
    EXPECT_EQ(parse_port_range("dynamic"), (PortRange{49152, 65536}));
    EXPECT_EQ(parse_port_range("0 0"), PortRange{}) << "N N is no range";
    EXPECT_EQ(parse_port_range("4789 4789"), PortRange{}) << "N N is no range";
    for (const char* word : {"", "1000", "2 1", "1 65537", "65536 65536", "1-2", "1 2 3"}) {
        EXPECT_FALSE(parse_port_range(word)) << word;
    }
}

TEST(ConfigParse, reads_cpu_lists_as_the_kernel_writes_them) {
    EXPECT_EQ(parse_cpu_list("1-3,6"), (std::vector<unsigned>{1, 2, 3, 6}));
    EXPECT_EQ(parse_cpu_list("0"), (std::vector<unsigned>{0}));
    for (const char* word : {"", ",", "1,", "3-1", "1024", "0-18446744073709551615", "a"}) {
        EXPECT_FALSE(parse_cpu_list(word)) << word;
    }
    std::string repeated = "0-1023";
    for (int i = 0; i < 1000; ++i) repeated += ",0-1023";
    EXPECT_FALSE(parse_cpu_list(repeated)) << "more CPUs than there can be";
}

TEST(ConfigParse, tells_names_that_a_kernel_interface_can_have) {
    EXPECT_TRUE(is_interface_name("fifteen-letters"));
    EXPECT_FALSE(is_interface_name("sixteen-letters-"));
    EXPECT_FALSE(is_interface_name(""));
    EXPECT_FALSE(is_interface_name("a b"));
    EXPECT_FALSE(is_interface_name("a/b"));
    EXPECT_FALSE(is_interface_name(".."));
}

TEST(ConfigParse, writes_a_problem_as_compilers_do) {
    EXPECT_EQ((Problem{"a.yaml", {3, 7}, "ports.x", "wrong (right)"}.text()),
              "a.yaml:3:7: ports.x: wrong (right)");
    EXPECT_EQ((Problem{"a.yaml", {0, 0}, "", "wrong"}.text()), "a.yaml:0:0: wrong");
}

}  // namespace
}  // namespace vxplane::config
