// A TCP or UDP message with a right checksum sums to the complement of its pseudo header, however
// long it is.
#include "dataplane/step/outer_checksum.hpp"

namespace vxplane::step {
namespace {

/// A TCP or UDP message behind `header` bytes of IP header; `header` is 0 when there is none, or
/// none whose checksum covers all that follows.
struct Message {
    std::uint32_t header = 0;
    net::Sum pseudo = 0;
    packet::RxSum sum = packet::RxSum::count;
};

/// TCP always has a checksum. UDP without one is called good by some devices.
bool sums_up(std::uint8_t protocol, const std::byte* message, std::uint32_t length) noexcept {
    if (protocol != net::ip_protocol::kUdp) {
        return protocol == net::ip_protocol::kTcp;
    }
    const auto& udp = net::view<net::UdpHeader>(message);
    return udp.checksum.wire() != 0 && udp.length.value() == length;
}

/// `readable` bytes of `length` can be read at `ip`.
Message find_message(const std::byte* ip, std::uint32_t readable, std::uint32_t length) noexcept {
    constexpr auto kLeast = static_cast<std::uint32_t>(sizeof(net::UdpHeader));
    if (readable < sizeof(net::Ipv4Header) + kLeast) {
        return {};
    }
    const auto& v4 = net::view<net::Ipv4Header>(ip);
    if (v4.version() == 4) {
        const std::uint32_t header = v4.header_length();
        if (header < sizeof v4 || readable < header + kLeast || v4.is_fragment() ||
            v4.total_length.value() != length ||
            !sums_up(v4.protocol, ip + header, length - header)) {
            return {};
        }
        return {header,
                net::pseudo_header(v4.source, v4.destination, v4.protocol,
                                   static_cast<std::uint16_t>(length - header)),
                packet::sum_of(v4.protocol, false)};
    }
    const auto& v6 = net::view<net::Ipv6Header>(ip);
    const std::uint32_t message = length - static_cast<std::uint32_t>(sizeof v6);
    if (v6.version() != 6 || readable < sizeof v6 + kLeast ||
        v6.payload_length.value() != message || !sums_up(v6.next_header, ip + sizeof v6, message)) {
        return {};
    }
    return {sizeof v6, net::pseudo_header(v6, v6.next_header, static_cast<std::uint16_t>(message)),
            packet::sum_of(v6.next_header, true)};
}

}  // namespace

void put_known_checksum(rte_mbuf* mbuf, std::uint32_t udp_at, net::Sum pseudo, std::uint32_t ip_at,
                        packet::RxSums trusted) noexcept {
    auto* udp = rte_pktmbuf_mtod_offset(mbuf, net::UdpHeader*, udp_at);
    const std::uint16_t length = udp->length.value();
    if (mbuf->data_len > ip_at) {
        const std::uint32_t before = ip_at - udp_at;
        const Message message = find_message(rte_pktmbuf_mtod_offset(mbuf, const std::byte*, ip_at),
                                             mbuf->data_len - ip_at, length - before);
        if (message.header != 0 && (trusted & packet::set_of(message.sum)) != 0) {
            udp->checksum = net::udp_finish(net::add_bytes(pseudo, udp, before + message.header) +
                                            static_cast<std::uint16_t>(~net::fold(message.pseudo)));
            return;
        }
    }
    udp->checksum = net::udp_finish(packet::add_chain(pseudo, mbuf, udp_at, length));
}

}  // namespace vxplane::step
