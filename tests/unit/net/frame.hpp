// Frames in words for the tests of the flow hash.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "dataplane/net/flow_hash.hpp"

namespace vxplane::net {

/// A frame that grows header by header.
class Frame {
  public:
    template <class Header>
    Frame& put(const Header& header) {
        const auto* bytes = reinterpret_cast<const std::byte*>(&header);
        bytes_.insert(bytes_.end(), bytes, bytes + sizeof header);
        return *this;
    }
    Frame& ethernet(std::uint64_t destination, std::uint64_t source, Be16 type) {
        return put(EthernetHeader{MacAddress::from_number(destination),
                                  MacAddress::from_number(source), type});
    }
    Frame& vlan(std::uint16_t id, Be16 type) { return put(VlanHeader{Be16::of(id), type}); }
    Frame& ipv4(Ipv4Address source, Ipv4Address destination, std::uint8_t protocol,
                std::uint16_t fragment = 0, std::uint8_t tos = 0) {
        Ipv4Header ip{};
        ip.version_ihl = 0x45;
        ip.tos = tos;
        ip.fragment = Be16::of(fragment);
        ip.ttl = 64;
        ip.protocol = protocol;
        ip.source = source;
        ip.destination = destination;
        return put(ip);
    }
    Frame& ipv6(std::uint8_t source, std::uint8_t destination, std::uint8_t next_header,
                std::uint32_t label = 0, std::uint8_t traffic_class = 0) {
        Ipv6Header ip{};
        ip.version_class_label = Be32::of(0x60000000U | std::uint32_t{traffic_class} << 20 | label);
        ip.next_header = next_header;
        ip.source = {0x20, 0x01, 0x0D, 0xB8};
        ip.destination = ip.source;
        ip.source[15] = source;
        ip.destination[15] = destination;
        return put(ip);
    }
    Frame& ports(std::uint16_t source, std::uint16_t destination) {
        return put(Be16::of(source)).put(Be16::of(destination));
    }
    Frame& zeros(std::size_t count) {
        bytes_.resize(bytes_.size() + count);
        return *this;
    }
    [[nodiscard]] FrameFacts facts() const { return facts_of(bytes_.data(), bytes_.size()); }
    [[nodiscard]] std::uint32_t hash() const { return facts().hash; }
    [[nodiscard]] const std::vector<std::byte>& bytes() const { return bytes_; }

  private:
    std::vector<std::byte> bytes_;
};

constexpr std::uint64_t kMacA = 0x02000000000AULL;
constexpr std::uint64_t kMacB = 0x02000000000BULL;
constexpr Ipv4Address kAddressA = Ipv4Address::of(10, 0, 0, 1);
constexpr Ipv4Address kAddressB = Ipv4Address::of(10, 0, 0, 2);

}  // namespace vxplane::net
