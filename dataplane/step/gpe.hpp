// VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe): the header says what is inside. Met by the closer look at
// tunnel packets of segments with `gpe`, and by what is sent into their tunnels.
#pragma once

#include "dataplane/net/ip_address.hpp"
#include "dataplane/net/mac_address.hpp"
#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

/// A peer may send and take IP packets without an Ethernet header. In the segment a MAC address
/// stands for it, so that frames find their way as any others: 06:76 and the last four bytes of its
/// underlay address, which is all of an IPv4 address.
constexpr std::uint64_t kGpePeerPrefix = 0x0676;
constexpr net::MacAddress gpe_peer_mac(const net::IpAddress& peer) noexcept {
    return {{kGpePeerPrefix >> 8, kGpePeerPrefix & 0xFF, peer.bytes[12], peer.bytes[13],
             peer.bytes[14], peer.bytes[15]}};
}
/// `number`: MacAddress::number().
constexpr bool is_gpe_peer(std::uint64_t number) noexcept {
    return number >> 32 == kGpePeerPrefix;
}

/// Judges the whole header but the I flag. `meta.outer_size` is the offset of the UDP header.
///
/// An IP packet gets an Ethernet header, written over the VXLAN header and the end of the UDP
/// header: behind this it is as any other frame, and `meta.outer_size` has moved by its length. Its
/// source is gpe_peer_mac() of the sender. Its destination is the MAC address that belongs to a
/// group, the neighbour of the segment that has the address, the router of the segment, or the host
/// behind its only port.
[[nodiscard]] packet::Verdict read_gpe(packet::Packet& p, packet::PacketMeta& meta,
                                       std::uint16_t segment, const table::Tables& tables) noexcept;

/// For a frame to gpe_peer_mac() of somebody: takes the Ethernet header and any padding off, and
/// makes `line` of the tunnel say so. The frame may become another buffer.
[[nodiscard]] packet::Verdict bare_for_gpe(packet::Packet& p, table::Tunnel& line,
                                           packet::PacketMeta& meta, Context& ctx) noexcept;

}  // namespace vxplane::step
