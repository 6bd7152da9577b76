// What the IP layer of a Linux namespace takes for itself of the frames that reach its device. In
// mode l3s the recordings show only that: frames are seen at the host's device, datagrams at the
// slave's IP layer. The tests check this against everything recorded in the other modes.
#pragma once

#include <string>
#include <vector>

#include "ipvlan_setup.hpp"

namespace vxplane::oracle {

/// An IPv4 packet as text without its options, checksum and fragment fields.
std::string datagram_of(const Bytes& packet);
/// The counterpart of IPv6; `payload` is what stands behind the extension headers.
std::string datagram6(const std::string& source, const std::string& destination, unsigned protocol,
                      unsigned hop_limit, unsigned traffic_class, const Bytes& payload);

/// The datagrams among `frames`, fragments put together, in the order in which they are whole.
std::vector<std::string> accepted_by(const Network& network, const std::vector<Bytes>& frames);

}  // namespace vxplane::oracle
