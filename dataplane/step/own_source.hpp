// Does a slave speak in its own name? Asked of every frame where the topology says check-source:
// neighbours are not to learn from one slave what another one has.
#pragma once

#include "dataplane/packet/packet.hpp"
#include "dataplane/table/address_map.hpp"

namespace vxplane::step {

/// Whose name it is to be.
struct Speaker {
    const table::AddressMap& addresses;
    std::uint32_t scope = 0;  ///< table::slave_scope
    std::uint16_t slave = 0;
};

/// Why the frame is not let in; `none` when it is. Judged by the source of IPv4 and IPv6, the
/// sender of ARP, and the target of advertisements. Who asks for an address (DHCP, ARP and ND
/// probes, reports of groups from ::) needs none. Tagged and malformed frames are refused: what is
/// in them cannot be seen. Other EtherTypes have no address and pass.
packet::DropReason judge_source(const packet::Packet& p, const Speaker& speaker) noexcept;

}  // namespace vxplane::step
