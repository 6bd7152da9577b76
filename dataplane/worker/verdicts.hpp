// What a device says of checksums, beside what they are: a device is believed only after that.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/packet/rx_sums.hpp"

namespace vxplane::worker {

/// Verdicts "good" of the outermost headers of frames as they were received.
struct VerdictTally {
    std::array<std::uint32_t, packet::kRxSums> right{};  ///< by packet::RxSum
    std::uint32_t wrong = 0;
};

/// Compares with the sums of all that the verdicts speak of. Nobody but the device can make one
/// wrong: frames that are not what they claim, fragments, messages without a checksum or with
/// another length than their datagram, and large packets are left out.
[[nodiscard]] VerdictTally compare_verdicts(std::span<rte_mbuf* const> frames) noexcept;

}  // namespace vxplane::worker
