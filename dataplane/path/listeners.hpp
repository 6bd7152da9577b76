// Who of a segment gets a frame to a multicast group: met by floods of segments that have a
// multicast database or listen to IGMP and MLD, and by nobody else.
#pragma once

#include <cstdint>

#include "dataplane/packet/packet.hpp"
#include "dataplane/path/exit.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::path {

/// Where copies of a flooded frame go.
struct FloodTo {
    const std::uint16_t* ports = nullptr;  ///< DPDK port ids
    std::uint32_t port_count = 0;
    const std::uint32_t* tunnels = nullptr;  ///< tunnel ids
    std::uint32_t tunnel_count = 0;
    bool listeners = false;  ///< those of a group, not all members
};

/// Takes members out of `to` that do not want the frame, which begins with its own Ethernet header.
/// Groups of the link (224.0.0.0/24, ff02::1) go to all. Reports go to multicast routers and into
/// tunnels, as hosts that hear one may keep their own to themselves (RFC 4541 section 2.1.1).
/// Control gets copies of IGMP and MLD.
void choose_listeners(const packet::Packet& p, const packet::PacketMeta& meta, step::Context& ctx,
                      Exit& exit, FloodTo& to) noexcept;

}  // namespace vxplane::path
