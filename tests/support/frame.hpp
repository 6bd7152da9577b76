// Frames built in words, and taken apart again. Nothing here calls the checksum or hash code of the
// data plane: what these frames say is an independent opinion.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/net/ip_address.hpp"
#include "dataplane/net/ipv4_address.hpp"
#include "dataplane/net/mac_address.hpp"

namespace vxplane::support {

using Bytes = std::vector<std::uint8_t>;

/// "02:00:00:00:00:01"
net::MacAddress mac(std::string_view text);
/// 02:00:00:00:00:nn, a tenant's address.
net::MacAddress host(std::uint8_t number);
/// "10.0.0.1"
net::Ipv4Address ip(std::string_view text);
/// Of either family.
net::IpAddress address(const std::string& text);

/// One's complement sum of RFC 1071, byte pair by byte pair; the checksum field of `data`.
std::uint16_t rfc1071(const Bytes& data, std::uint32_t start = 0);

// Every optional field is right by itself and can be set to be wrong.

struct Ip4 {
    std::string source = "192.0.2.1";
    std::string destination = "192.0.2.2";
    std::uint8_t tos = 0;
    std::uint8_t ttl = 64;
    std::uint16_t id = 0;
    std::uint16_t fragment = 0;  ///< flags and offset: 0x4000 DF, 0x2000 MF
    Bytes options{};             ///< a multiple of four bytes
    std::optional<std::uint8_t> protocol{};
    std::optional<std::uint8_t> version_ihl{};
    std::optional<std::uint16_t> total_length{};
    std::optional<std::uint16_t> checksum{};
};

struct Ip6 {
    std::string source = "2001:db8::1";
    std::string destination = "2001:db8::2";
    std::uint8_t traffic_class = 0;
    std::uint32_t flow_label = 0;
    std::uint8_t hop_limit = 64;
    std::optional<std::uint8_t> next_header{};
};

struct Udp {
    std::optional<std::uint16_t> length{};
    std::optional<std::uint16_t> checksum{};
};

struct Tcp {
    std::uint32_t sequence = 1;
    std::uint32_t acknowledgement = 0;
    std::uint8_t flags = 0x10;  ///< ACK
    std::uint16_t window = 1000;
    std::uint16_t urgent = 0;
    Bytes options{};  ///< a multiple of four bytes
    std::optional<std::uint16_t> checksum{};
};

struct Vxlan {
    std::uint32_t vni = 7;
    std::uint8_t flags = 0x08;
    std::uint32_t reserved = 0;  ///< 24 bits behind the flags
    std::uint8_t last = 0;       ///< 8 bits behind the VNI
};

struct Arp {
    std::uint16_t operation = 1;
    net::MacAddress sender_mac = host(1);
    std::string sender = "192.0.2.1";
    net::MacAddress target_mac{};
    std::string target = "192.0.2.2";
};

class Frame {
  public:
    Frame& to(net::MacAddress address);
    Frame& from(net::MacAddress address);
    Frame& vlan(std::uint16_t tag, std::uint16_t type = 0x8100);  ///< outermost first
    Frame& type(std::uint16_t ether_type);
    Frame& ipv4(Ip4 header = {});
    Frame& ipv6(Ip6 header = {});
    Frame& arp(const Arp& message = {});
    Frame& udp(std::uint16_t source, std::uint16_t destination, Udp header = {});
    Frame& tcp(std::uint16_t source, std::uint16_t destination, Tcp header = {});
    Frame& icmp_echo(std::uint8_t type = 8);
    Frame& payload(std::size_t size);  ///< bytes 0, 1, 2 ...
    Frame& payload(Bytes bytes);
    /// The payload of a UDP message is a VXLAN packet around `inner`.
    Frame& vxlan(Vxlan header, const Frame& inner);
    Frame& vxlan(Vxlan header, const Bytes& inner);
    /// Zeros up to the shortest Ethernet frame.
    Frame& padded(std::size_t size = 60);
    /// Whatever IPv4 id, or UDP source port, is seen is the right one; checksums follow it.
    Frame& any_id();
    Frame& any_source_port();

    Bytes bytes() const;
    std::size_t size() const { return bytes().size(); }
    /// bytes(), with the fields that may be anything taken from `seen`.
    Bytes bytes_like(const Bytes& seen) const;

  private:
    Bytes l4() const;

    net::MacAddress to_ = host(2);
    net::MacAddress from_ = host(1);
    std::vector<std::pair<std::uint16_t, std::uint16_t>> tags_{};
    std::optional<std::uint16_t> type_{};
    std::optional<Ip4> ip4_{};
    std::optional<Ip6> ip6_{};
    struct L4 {
        std::uint8_t protocol = 0;
        std::uint16_t source = 0;
        std::uint16_t destination = 0;
        std::uint8_t icmp_type = 8;
        Udp udp{};
        Tcp tcp{};
    };
    std::optional<L4> l4_{};
    Bytes payload_{};
    std::size_t least_ = 0;
    bool any_id_ = false;
    bool any_source_port_ = false;
};

/// From host 1 to host 2.
inline Frame a_frame() {
    return {};
}
/// The whole of `bytes` as one frame.
Frame raw_frame(const Bytes& bytes);

/// A frame of VXLAN over IPv4 taken apart.
struct Outer {
    bool whole = false;  ///< false: not such a frame, nothing else is set
    net::MacAddress to{}, from{};
    std::uint8_t tos = 0, ttl = 0;
    std::uint16_t total_length = 0, id = 0, fragment = 0;
    bool ip_checksum_right = false;
    net::Ipv4Address source{}, destination{};
    std::uint16_t source_port = 0, destination_port = 0, udp_length = 0, udp_checksum = 0;
    bool udp_checksum_right = false;  ///< or absent
    std::uint32_t flags_word = 0, vni_word = 0;
    Bytes inner{};
};
Outer take_apart(const Bytes& frame);

std::string hex(const Bytes& bytes);

}  // namespace vxplane::support
