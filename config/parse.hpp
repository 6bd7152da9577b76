// Words into values: the scalars of a topology file, which are also the arguments of vxctl. Pure;
// none of these throws, and "no value" means that the word is not of the kind asked for.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "config/topology.hpp"

namespace vxplane::config {

/// Six pairs of hex digits, `16:1d:36:f4:ab:26`.
[[nodiscard]] std::optional<MacAddress> parse_mac(std::string_view word);

/// `10.0.0.1` or `2001:db8::1`.
[[nodiscard]] std::optional<IpAddress> parse_ip(std::string_view word);

/// `10.0.0.1/24`; host bits are kept.
[[nodiscard]] std::optional<IpPrefix> parse_prefix(std::string_view word);

/// Decimal without leading zeros, or hexadecimal after `0x`.
[[nodiscard]] std::optional<std::uint64_t> parse_number(std::string_view word);

/// A prefix, or an address alone, which is a prefix of all its bits.
[[nodiscard]] std::optional<IpPrefix> parse_network(std::string_view word);

/// Bytes: a number with `K`, `M` or `G` (powers of 1024) or without.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view word);

/// `lo hi` with lo <= hi <= 65536, as `[lo, hi)`. `N N` means "no range": the default is returned.
/// The word `dynamic` is 49152 to 65535, which RFC 7348 section 5 recommends.
[[nodiscard]] std::optional<PortRange> parse_port_range(std::string_view word);
[[nodiscard]] std::optional<PortRange> make_port_range(std::uint64_t lo, std::uint64_t hi);

/// Bits of the 64-bit VXLAN header that must be zero: `strict`, `ignore`, or a number without the
/// I flag and the VNI, as `reserved_bits` of ip-link(8).
[[nodiscard]] std::optional<std::uint64_t> parse_reserved_bits(std::string_view word);

/// Bits per second: a number alone, or with `bit`, `kbit`, `mbit` or `gbit` (powers of 1000).
[[nodiscard]] std::optional<std::uint64_t> parse_rate(std::string_view word);

/// `80` or `1024-2047`, at most 65535, the low end first.
[[nodiscard]] std::optional<Ports> parse_ports(std::string_view word);

/// Decimal, `-` before it for less than zero; within 32 bits.
[[nodiscard]] std::optional<std::int64_t> parse_signed(std::string_view word);

/// CPU numbers as the kernel lists them: `1-3,6`. At most 1024 numbers, each below 1024.
[[nodiscard]] std::optional<std::vector<unsigned>> parse_cpu_list(std::string_view word);

/// Numbers and ranges of them, `100-200,300`: ends included, in the order given. At most 65536
/// ranges.
struct NumberRange {
    std::uint32_t lo = 0;
    std::uint32_t hi = 0;
};
[[nodiscard]] std::optional<std::vector<NumberRange>> parse_ranges(std::string_view word);

/// Legal as the name of a kernel interface: 1 to 15 bytes, no space, `/` or `:`; not `.` or `..`.
[[nodiscard]] bool is_interface_name(std::string_view word);

/// Legal as the name of a port or segment: 1 to 63 letters, digits, `.`, `_` and `-`.
[[nodiscard]] bool is_object_name(std::string_view word);

/// Bytes of a hash key as `ethtool -X hkey` takes them: pairs of hexadecimal digits, with or
/// without colons between them. Nothing when it is not that, or has no byte or more than
/// rss_key_max.
[[nodiscard]] std::optional<std::vector<std::uint8_t>> parse_hex_key(std::string_view text);

}  // namespace vxplane::config
