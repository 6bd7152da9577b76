// Addresses and enums as people read and write them; met by RPC, logs and events.
#pragma once

#include <arpa/inet.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "dataplane/net/headers.hpp"
#include "dataplane/net/ip_address.hpp"
#include "dataplane/table/fdb_entry.hpp"

namespace vxplane::control {

inline std::string text(net::MacAddress mac) {
    std::array<char, 18> out{};
    std::snprintf(out.data(), out.size(), "%02x:%02x:%02x:%02x:%02x:%02x", mac.bytes[0],
                  mac.bytes[1], mac.bytes[2], mac.bytes[3], mac.bytes[4], mac.bytes[5]);
    return out.data();
}

inline std::string text(net::Ipv4Address address) {
    std::array<char, INET_ADDRSTRLEN> out{};
    const std::uint32_t wire = address.be.wire();
    inet_ntop(AF_INET, &wire, out.data(), out.size());
    return out.data();
}

inline std::string text(const net::IpAddress& address) {
    if (address.is_v4()) {
        return text(address.v4());
    }
    std::array<char, INET6_ADDRSTRLEN> out{};
    inet_ntop(AF_INET6, address.bytes.data(), out.data(), out.size());
    return out.data();
}

inline std::string_view text(table::FdbState state) {
    constexpr std::array<std::string_view, 4> kNames{"dynamic", "static", "permanent",
                                                     "controller"};
    return kNames[static_cast<std::size_t>(state)];
}

inline std::optional<net::Ipv4Address> parse_ipv4(const std::string& word) {
    std::uint32_t wire = 0;
    if (inet_pton(AF_INET, word.c_str(), &wire) != 1) {
        return std::nullopt;
    }
    return net::Ipv4Address{net::Be32::from_wire(wire)};
}

/// Of either family.
inline std::optional<net::IpAddress> parse_ip(const std::string& word) {
    if (const auto v4 = parse_ipv4(word)) {
        return net::IpAddress(*v4);
    }
    net::IpAddress address;
    return inet_pton(AF_INET6, word.c_str(), address.bytes.data()) == 1 ? std::optional(address)
                                                                        : std::nullopt;
}

/// Six pairs of hexadecimal digits with colons.
inline std::optional<net::MacAddress> parse_mac(const std::string& word) {
    std::array<unsigned, 6> byte{};
    int end = 0;
    // sscanf would also take blanks and signs.
    if (word.find_first_not_of("0123456789abcdefABCDEF:") != std::string::npos ||
        std::sscanf(word.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%n", &byte[0], &byte[1], &byte[2],
                    &byte[3], &byte[4], &byte[5], &end) != 6 ||
        static_cast<std::size_t>(end) != word.size() || word.size() != 17) {
        return std::nullopt;
    }
    net::MacAddress mac;
    for (std::size_t i = 0; i < byte.size(); ++i) {
        mac.bytes[i] = static_cast<std::uint8_t>(byte[i]);
    }
    return mac;
}

}  // namespace vxplane::control
