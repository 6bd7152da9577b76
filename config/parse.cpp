// Scalars. Numbers go through std::from_chars: no locale, no leading blanks, no silent overflow.
#include "config/parse.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>
#include <system_error>

#include "config/limits.hpp"

namespace vxplane::config {
namespace {

constexpr std::uint64_t cpu_limit = 1024;  // CPU_SETSIZE of the C library
constexpr PortRange dynamic_ports{49152, 65536};

std::optional<std::uint64_t> digits(std::string_view word, int base) {
    std::uint64_t value = 0;
    const char* const end = word.data() + word.size();
    const auto [stop, error] = std::from_chars(word.data(), end, value, base);
    if (word.empty() || error != std::errc{} || stop != end) return std::nullopt;
    return value;
}

bool is_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

}  // namespace

std::optional<MacAddress> parse_mac(std::string_view word) {
    constexpr std::size_t length = 17;
    if (word.size() != length) return std::nullopt;
    MacAddress mac;
    for (std::size_t i = 0; i < mac.bytes.size(); ++i) {
        if (i > 0 && word[3 * i - 1] != ':') return std::nullopt;
        const auto value = digits(word.substr(3 * i, 2), 16);
        if (!value) return std::nullopt;
        mac.bytes[i] = static_cast<std::uint8_t>(*value);
    }
    return mac;
}

std::optional<IpAddress> parse_ip(std::string_view word) {
    if (word.size() >= INET6_ADDRSTRLEN || word.find('\0') != word.npos) return std::nullopt;
    const std::string text(word);
    IpAddress ip;
    if (::inet_pton(AF_INET, text.c_str(), ip.bytes.data()) == 1) return ip;
    ip.bytes = {};
    ip.family = IpAddress::Family::ipv6;
    if (::inet_pton(AF_INET6, text.c_str(), ip.bytes.data()) == 1) return ip;
    return std::nullopt;
}

std::optional<IpPrefix> parse_prefix(std::string_view word) {
    const auto slash = word.find('/');
    if (slash == word.npos) return std::nullopt;
    const auto address = parse_ip(word.substr(0, slash));
    const auto length = parse_number(word.substr(slash + 1));
    if (!address || !length || *length > (address->is_ipv4() ? 32U : 128U)) return std::nullopt;
    return IpPrefix{*address, static_cast<std::uint8_t>(*length)};
}

std::optional<IpPrefix> parse_network(std::string_view word) {
    if (const auto address = parse_ip(word)) {
        return IpPrefix{*address, static_cast<std::uint8_t>(address->is_ipv4() ? 32 : 128)};
    }
    return parse_prefix(word);
}

std::optional<std::uint64_t> parse_number(std::string_view word) {
    if (word.starts_with("0x") || word.starts_with("0X")) return digits(word.substr(2), 16);
    // 010 is eight to one reader of YAML and ten to the next.
    if (word.size() > 1 && word.front() == '0') return std::nullopt;
    return digits(word, 10);
}

std::optional<std::uint64_t> parse_size(std::string_view word) {
    unsigned shift = 0;
    if (!word.empty()) {
        switch (word.back()) {
            case 'K':
                shift = 10;
                break;
            case 'M':
                shift = 20;
                break;
            case 'G':
                shift = 30;
                break;
            default:
                break;
        }
    }
    if (shift != 0) word.remove_suffix(1);
    const auto value = digits(word, 10);
    if (!value || (*value << shift) >> shift != *value) return std::nullopt;
    return *value << shift;
}

std::optional<PortRange> make_port_range(std::uint64_t lo, std::uint64_t hi) {
    if (lo > 65535 || hi > 65536 || lo > hi) return std::nullopt;
    if (lo == hi) return PortRange{};
    return PortRange{static_cast<std::uint16_t>(lo), static_cast<std::uint32_t>(hi)};
}

std::optional<PortRange> parse_port_range(std::string_view word) {
    if (word == "dynamic") return dynamic_ports;
    const auto blank = word.find(' ');
    if (blank == word.npos) return std::nullopt;
    const auto lo = parse_number(word.substr(0, blank));
    const auto hi = parse_number(word.substr(blank + 1));
    if (!lo || !hi) return std::nullopt;
    return make_port_range(*lo, *hi);
}

std::optional<std::uint64_t> parse_reserved_bits(std::string_view word) {
    constexpr std::uint64_t all = 0xF7FF'FFFF'0000'00FF;  // RFC 7348 section 5
    if (word == "strict") return all;
    if (word == "ignore") return 0;
    const auto bits = parse_number(word);
    return bits && (*bits & ~all) == 0 ? bits : std::nullopt;
}

std::optional<std::uint64_t> parse_rate(std::string_view word) {
    std::uint64_t unit = 1;
    constexpr std::string_view bit = "bit";
    if (word.ends_with(bit)) {
        word.remove_suffix(bit.size());
        constexpr std::string_view prefixes = "kmg";
        const auto power = word.empty() ? prefixes.npos : prefixes.find(word.back());
        if (power != prefixes.npos) {
            word.remove_suffix(1);
            for (std::size_t i = 0; i <= power; ++i) unit *= 1000;
        }
    }
    const auto value = parse_number(word);
    if (!value || *value > UINT64_MAX / unit) return std::nullopt;
    return *value * unit;
}

std::optional<Ports> parse_ports(std::string_view word) {
    const auto dash = word.find('-');
    const auto lo = parse_number(word.substr(0, dash));
    const auto hi = dash == word.npos ? lo : parse_number(word.substr(dash + 1));
    if (!lo || !hi || *lo > *hi || *hi > 65535) return std::nullopt;
    return Ports{static_cast<std::uint16_t>(*lo), static_cast<std::uint16_t>(*hi)};
}

std::optional<std::int64_t> parse_signed(std::string_view word) {
    const bool negative = word.starts_with('-');
    if (negative) word.remove_prefix(1);
    const auto value = parse_number(word);
    if (!value || *value > INT32_MAX) return std::nullopt;
    return negative ? -static_cast<std::int64_t>(*value) : static_cast<std::int64_t>(*value);
}

std::optional<std::vector<unsigned>> parse_cpu_list(std::string_view word) {
    std::vector<unsigned> cpus;
    while (true) {
        const auto comma = word.find(',');
        const std::string_view part = word.substr(0, comma);
        const auto dash = part.find('-');
        const auto first = parse_number(part.substr(0, dash));
        const auto last = dash == part.npos ? first : parse_number(part.substr(dash + 1));
        if (!first || !last || *first > *last || *last >= cpu_limit) return std::nullopt;
        for (std::uint64_t cpu = *first; cpu <= *last; ++cpu) {
            cpus.push_back(static_cast<unsigned>(cpu));
        }
        if (cpus.size() > cpu_limit) return std::nullopt;
        if (comma == word.npos) return cpus;
        word.remove_prefix(comma + 1);
    }
}

std::optional<std::vector<NumberRange>> parse_ranges(std::string_view word) {
    constexpr std::size_t most = 65536;
    std::vector<NumberRange> ranges;
    while (true) {
        const auto comma = word.find(',');
        const std::string_view part = word.substr(0, comma);
        const auto dash = part.find('-');
        const auto lo = parse_number(part.substr(0, dash));
        const auto hi = dash == part.npos ? lo : parse_number(part.substr(dash + 1));
        if (!lo || !hi || *lo > *hi || *hi > 0xFFFF'FFFF || ranges.size() == most) {
            return std::nullopt;
        }
        ranges.push_back({static_cast<std::uint32_t>(*lo), static_cast<std::uint32_t>(*hi)});
        if (comma == word.npos) return ranges;
        word.remove_prefix(comma + 1);
        while (!word.empty() && word.front() == ' ') word.remove_prefix(1);
    }
}

bool is_interface_name(std::string_view word) {
    constexpr std::size_t longest = 15;  // IFNAMSIZ without its NUL
    if (word.empty() || word.size() > longest || word == "." || word == "..") return false;
    return std::ranges::all_of(
        word, [](char c) { return c > ' ' && c < 0x7F && c != '/' && c != ':' && c != '%'; });
}

bool is_object_name(std::string_view word) {
    constexpr std::size_t longest = 63;
    if (word.empty() || word.size() > longest || word == "." || word == "..") return false;
    return std::ranges::all_of(
        word, [](char c) { return is_alphanumeric(c) || c == '.' || c == '_' || c == '-'; });
}

std::optional<std::vector<std::uint8_t>> parse_hex_key(std::string_view text) {
    std::vector<std::uint8_t> bytes;
    while (!text.empty()) {
        if (!bytes.empty() && text.front() == ':') text.remove_prefix(1);
        std::uint8_t byte = 0;
        const std::string_view pair = text.substr(0, 2);
        const auto [end, error] = std::from_chars(pair.data(), pair.data() + pair.size(), byte, 16);
        if (pair.size() != 2 || error != std::errc{} || end != pair.data() + 2) return std::nullopt;
        bytes.push_back(byte);
        text.remove_prefix(2);
    }
    if (bytes.empty() || bytes.size() > limits::rss_key_max) return std::nullopt;
    return bytes;
}

}  // namespace vxplane::config
