#include "control/apply/interface_id.hpp"

#include <algorithm>
#include <unordered_set>

namespace vxplane::control {

std::vector<std::uint16_t> interface_numbers(const std::vector<std::string>& names) {
    constexpr std::uint32_t kLast = 0xFFFD;
    std::vector<std::uint16_t> all;
    std::unordered_set<std::uint32_t> taken;
    for (const std::string& name : names) {
        std::uint32_t hash = 2166136261U;  // FNV-1a
        for (const char c : name) {
            hash = (hash ^ static_cast<std::uint8_t>(c)) * 16777619U;
        }
        std::uint32_t number = hash % kLast + 1;
        while (taken.size() < kLast && !taken.insert(number).second) {
            number = number % kLast + 1;
        }
        all.push_back(static_cast<std::uint16_t>(number));
    }
    return all;
}

InterfaceId interface_id(net::MacAddress mac, std::uint16_t number) noexcept {
    const auto& m = mac.bytes;
    return {
        m[0], m[1], m[2], static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number),
        m[3], m[4], m[5]};
}

InterfaceId plain_interface_id(net::MacAddress mac) noexcept {
    InterfaceId id = interface_id(mac, 0xFFFE);
    id[0] ^= 0x02;
    return id;
}

net::IpAddress link_local(const InterfaceId& id) noexcept {
    net::IpAddress address;
    address.bytes = {0xFE, 0x80};
    std::copy(id.begin(), id.end(), address.bytes.begin() + 8);
    return address;
}

}  // namespace vxplane::control
