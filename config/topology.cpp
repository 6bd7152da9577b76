// Addresses as people write them.
#include "config/topology.hpp"

#include <arpa/inet.h>

#include <cstdio>

namespace vxplane::config {

std::string MacAddress::text() const {
    std::array<char, 18> out{};
    std::snprintf(out.data(), out.size(), "%02x:%02x:%02x:%02x:%02x:%02x", bytes[0], bytes[1],
                  bytes[2], bytes[3], bytes[4], bytes[5]);
    return out.data();
}

std::string IpAddress::text() const {
    std::array<char, INET6_ADDRSTRLEN> out{};
    ::inet_ntop(is_ipv4() ? AF_INET : AF_INET6, bytes.data(), out.data(), out.size());
    return out.data();
}

std::string IpPrefix::text() const {
    return address.text() + "/" + std::to_string(length);
}

void KeyPositions::add(std::string_view key, Position where) {
    entries_.push_back({key, where});
}

bool KeyPositions::has(std::string_view key) const {
    for (const Entry& entry : entries_) {
        if (entry.key == key) return true;
    }
    return false;
}

Position KeyPositions::of(std::string_view key, Position otherwise) const {
    for (const Entry& entry : entries_) {
        if (entry.key == key) return entry.where;
    }
    return otherwise;
}

}  // namespace vxplane::config
