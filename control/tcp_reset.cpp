#include "control/tcp_reset.hpp"

#include <cstring>

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/icmpv6.hpp"

namespace vxplane::control {

namespace {

constexpr std::size_t kMacHeader = sizeof(net::EthernetHeader);

struct Tcp {
    net::Be16 source;
    net::Be16 destination;
    net::Be32 sequence;
    net::Be32 acknowledgement;
    std::uint8_t offset;
    std::uint8_t flags;
    net::Be16 window;
    net::Be16 checksum;
    net::Be16 urgent;
};
static_assert(sizeof(Tcp) == 20);
constexpr std::uint8_t kFin = 0x01;
constexpr std::uint8_t kSyn = 0x02;
constexpr std::uint8_t kRst = 0x04;
constexpr std::uint8_t kAck = 0x10;

/// The answer's header; nothing to a reset.
bool answer(const Tcp& seen, std::uint32_t payload, Tcp& reset) noexcept {
    if ((seen.flags & kRst) != 0) {
        return false;
    }
    reset = {};
    reset.source = seen.destination;
    reset.destination = seen.source;
    reset.offset = 5 << 4;
    reset.flags = kRst;
    if ((seen.flags & kAck) != 0) {
        reset.sequence = seen.acknowledgement;
    } else {
        const std::uint32_t length =
            payload + ((seen.flags & kSyn) != 0 ? 1U : 0U) + ((seen.flags & kFin) != 0 ? 1U : 0U);
        reset.flags |= kAck;
        reset.acknowledgement = net::Be32::of(seen.sequence.value() + length);
    }
    return true;
}

net::Sum pseudo(const net::Ipv4Header& ip) noexcept {
    return net::pseudo_header(ip.source, ip.destination, ip.protocol, sizeof(Tcp));
}
net::Sum pseudo(const net::Ipv6Header& ip) noexcept {
    return net::pseudo_header(ip, ip.next_header, sizeof(Tcp));
}

template <class Ip>
std::size_t finish_frame(const net::EthernetHeader& ethernet, const Ip& ip, Tcp tcp,
                         std::span<std::byte, kResetFrame> out) noexcept {
    tcp.checksum = net::finish(net::add_bytes(pseudo(ip), &tcp, sizeof tcp));
    std::memcpy(out.data(), &ethernet, sizeof ethernet);
    std::memcpy(out.data() + kMacHeader, &ip, sizeof ip);
    std::memcpy(out.data() + kMacHeader + sizeof ip, &tcp, sizeof tcp);
    return kMacHeader + sizeof ip + sizeof tcp;
}

}  // namespace

Reset make_reset(std::span<const std::byte> frame, std::span<std::byte, kResetFrame> out) noexcept {
    if (frame.size() < kMacHeader + sizeof(net::Ipv4Header)) {
        return {};
    }
    const auto seen = net::load<net::EthernetHeader>(frame.data());
    const net::EthernetHeader ethernet{seen.source, seen.destination, seen.type};
    const std::span<const std::byte> packet = frame.subspan(kMacHeader);
    Tcp reset{};
    if (seen.type == net::ether_type::kIpv4) {
        const auto ip = net::load<net::Ipv4Header>(packet.data());
        if (ip.protocol != net::ip_protocol::kTcp) {
            return {};
        }
        const std::size_t header = ip.header_length();
        const std::size_t total = ip.total_length.value();
        if ((ip.fragment.value() & net::Ipv4Header::kOffsetMask) != 0 ||
            total < header + sizeof(Tcp) || packet.size() < header + sizeof(Tcp)) {
            return {.is_tcp = true, .size = 0};
        }
        const auto tcp = net::load<Tcp>(packet.data() + header);
        const std::size_t data = header + (tcp.offset >> 4) * std::size_t{4};
        if (!answer(tcp, static_cast<std::uint32_t>(total > data ? total - data : 0), reset)) {
            return {.is_tcp = true, .size = 0};
        }
        net::Ipv4Header back{};
        back.version_ihl = net::Ipv4Header::kPlain;
        back.total_length = net::Be16::of(sizeof back + sizeof reset);
        back.ttl = 64;
        back.protocol = net::ip_protocol::kTcp;
        back.source = ip.destination;
        back.destination = ip.source;
        back.checksum = net::ipv4_checksum(back);
        return {.is_tcp = true, .size = finish_frame(ethernet, back, reset, out)};
    }
    if (seen.type != net::ether_type::kIpv6 || packet.size() < sizeof(net::Ipv6Header)) {
        return {};
    }
    const auto ip = net::load<net::Ipv6Header>(packet.data());
    const net::Ipv6Upper upper = net::upper_of(packet.data(), packet.size());
    if (upper.protocol != net::ip_protocol::kTcp) {
        return {};
    }
    if (!upper.is_whole || upper.is_later || packet.size() < upper.offset + sizeof(Tcp)) {
        return {.is_tcp = true, .size = 0};
    }
    const auto tcp = net::load<Tcp>(packet.data() + upper.offset);
    const std::size_t total = sizeof ip + ip.payload_length.value();
    const std::size_t data = upper.offset + (tcp.offset >> 4) * std::size_t{4};
    if (!answer(tcp, static_cast<std::uint32_t>(total > data ? total - data : 0), reset)) {
        return {.is_tcp = true, .size = 0};
    }
    net::Ipv6Header back{};
    back.version_class_label = net::Be32::of(6U << 28);
    back.payload_length = net::Be16::of(sizeof reset);
    back.next_header = net::ip_protocol::kTcp;
    back.hop_limit = 64;
    back.source = ip.destination;
    back.destination = ip.source;
    return {.is_tcp = true, .size = finish_frame(ethernet, back, reset, out)};
}

}  // namespace vxplane::control
