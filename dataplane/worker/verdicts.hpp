// What a device says of checksums, beside what they are: a device is believed only after that.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <span>

namespace vxplane::worker {

/// Verdicts "good" of frames as they were received.
struct VerdictTally {
    std::uint32_t right = 0;  ///< of TCP and UDP
    std::uint32_t wrong = 0;  ///< of these and of IPv4 headers
};

/// Compares with the sums of all that the verdicts speak of. Frames that are not what they claim,
/// fragments, messages without a checksum and large packets are left out.
[[nodiscard]] VerdictTally compare_verdicts(std::span<rte_mbuf* const> frames) noexcept;

}  // namespace vxplane::worker
