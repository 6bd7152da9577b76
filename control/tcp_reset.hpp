// The TCP segment that ends a connection which a rule rejects. Pure; met by Punts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/net/headers.hpp"

namespace vxplane::control {

/// Longest frame that make_reset() writes.
constexpr std::size_t kResetFrame = sizeof(net::EthernetHeader) + sizeof(net::Ipv6Header) + 20;

struct Reset {
    bool is_tcp = false;   ///< the frame was TCP: no ICMP either
    std::size_t size = 0;  ///< of the answer; 0 = none is due
};

/// Answers an untagged frame in the name of its destination (RFC 9293 section 3.10.7.1). None to a
/// reset, to a fragment that is not the first, or to what is truncated.
Reset make_reset(std::span<const std::byte> frame, std::span<std::byte, kResetFrame> out) noexcept;

}  // namespace vxplane::control
