// Names of IP protocols, as `nft` and `conntrack` have them.
#pragma once

#include <string>

#include "dataplane/net/headers.hpp"

namespace vxplane::control {

inline std::string protocol_name(std::uint8_t protocol) {
    switch (protocol) {
        case net::ip_protocol::kTcp:
            return "tcp";
        case net::ip_protocol::kUdp:
            return "udp";
        case net::ip_protocol::kIcmp:
            return "icmp";
        case net::ip_protocol::kIcmpv6:
            return "icmpv6";
        case 132:
            return "sctp";
        default:
            return std::to_string(protocol);
    }
}

}  // namespace vxplane::control
