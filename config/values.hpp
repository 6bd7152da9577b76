// Addresses, and where values stand in a file: what the objects of a topology are made of.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/problem.hpp"

namespace vxplane::config {

/// Six bytes in the order in which they stand on the wire.
struct MacAddress {
    std::array<std::uint8_t, 6> bytes{};
    [[nodiscard]] bool is_zero() const { return bytes == std::array<std::uint8_t, 6>{}; }
    [[nodiscard]] bool is_multicast() const { return (bytes[0] & 1U) != 0; }
    [[nodiscard]] std::string text() const;
    auto operator<=>(const MacAddress&) const = default;
};

/// IPv4 (first four bytes used) or IPv6, bytes in wire order.
struct IpAddress {
    enum class Family : std::uint8_t { ipv4, ipv6 };
    Family family = Family::ipv4;
    std::array<std::uint8_t, 16> bytes{};
    [[nodiscard]] bool is_ipv4() const { return family == Family::ipv4; }
    [[nodiscard]] bool is_unspecified() const { return bytes == std::array<std::uint8_t, 16>{}; }
    [[nodiscard]] bool is_multicast() const {
        return is_ipv4() ? (bytes[0] >> 4) == 0xE : bytes[0] == 0xFF;
    }
    /// An IPv4 address as a number (10.0.0.1 is 0x0A000001). Only for IPv4.
    [[nodiscard]] std::uint32_t ipv4_number() const {
        return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 |
               std::uint32_t{bytes[2]} << 8 | bytes[3];
    }
    [[nodiscard]] std::string text() const;
    auto operator<=>(const IpAddress&) const = default;
};

/// An address with the length of its prefix: the host bits are kept (an interface address).
struct IpPrefix {
    IpAddress address;
    std::uint8_t length = 0;
    [[nodiscard]] std::string text() const;
    auto operator<=>(const IpPrefix&) const = default;
};

/// Where the values of one object stand in the file: of the keys that were given, no others.
class KeyPositions {
  public:
    /// `key` must live as long as the program: the loader's tables do.
    void add(std::string_view key, Position where);
    [[nodiscard]] bool has(std::string_view key) const;
    /// Position of the value of `key`, or `otherwise` when the file does not give it.
    [[nodiscard]] Position of(std::string_view key, Position otherwise) const;

  private:
    struct Entry {
        std::string_view key;
        Position where;
    };
    std::vector<Entry> entries_;
};

}  // namespace vxplane::config
