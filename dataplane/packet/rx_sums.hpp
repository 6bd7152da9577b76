// What a device says of the checksums of a received frame's outermost headers. A device that looks
// into tunnels says of such packets with the usual flags what the inner headers are, and has others
// for the outer ones (RTE_MBUF_F_RX_OUTER_L4_CKSUM_* in rte_mbuf_core.h).
#pragma once

#include <rte_mbuf.h>

#include <cstddef>
#include <cstdint>

#include "dataplane/net/headers.hpp"

namespace vxplane::packet {

/// Checksums that devices verify. Who is right about one may be wrong about another.
enum class RxSum : std::uint8_t { ipv4, udp4, udp6, tcp4, tcp6, count };
constexpr std::size_t kRxSums = static_cast<std::size_t>(RxSum::count);

/// A set of them.
using RxSums = std::uint8_t;
constexpr RxSums set_of(RxSum sum) noexcept {
    return static_cast<RxSums>(1U << static_cast<unsigned>(sum));
}
constexpr RxSums kAllRxSums = (1U << kRxSums) - 1;

/// The sum of a TCP or UDP message; `count` for other protocols.
constexpr RxSum sum_of(std::uint8_t protocol, bool ipv6) noexcept {
    return protocol == net::ip_protocol::kUdp   ? ipv6 ? RxSum::udp6 : RxSum::udp4
           : protocol == net::ip_protocol::kTcp ? ipv6 ? RxSum::tcp6 : RxSum::tcp4
                                                : RxSum::count;
}

/// "Good" of the outermost IPv4 header; of that of a tunnel packet devices only ever say "bad".
inline bool header_is_called_good(const rte_mbuf* mbuf) noexcept {
    return (mbuf->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD &&
           RTE_ETH_IS_TUNNEL_PKT(mbuf->packet_type) == 0;
}

/// "Good" of the outermost TCP or UDP message.
inline bool message_is_called_good(const rte_mbuf* mbuf) noexcept {
    return RTE_ETH_IS_TUNNEL_PKT(mbuf->packet_type) == 0
               ? (mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD
               : (mbuf->ol_flags & RTE_MBUF_F_RX_OUTER_L4_CKSUM_MASK) ==
                     RTE_MBUF_F_RX_OUTER_L4_CKSUM_GOOD;
}

}  // namespace vxplane::packet
