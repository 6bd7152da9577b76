// Whether devices are believed that say of received packets that their checksums are right. Begins
// with not: workers verify by themselves until they have seen enough of what a device says.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "control/apply/bridge.hpp"
#include "control/machine.hpp"

namespace vxplane::control {

struct RxVerdicts {
    /// Right ones of a kind of sum until a device is believed about it: as many as the smallest
    /// ring has descriptors, so that one of them that always goes wrong has had its turn, and less
    /// than a second of any traffic for whose sake it matters.
    static constexpr std::uint64_t kEnough = 1024;

    RxBelief belief = RxBelief::none;
    packet::RxSums believed = 0;
    std::array<std::uint64_t, packet::kRxSums> right{};  ///< by packet::RxSum
    std::uint64_t wrong = 0;
};

[[nodiscard]] std::string_view name(RxBelief belief) noexcept;
/// `ipv4` is that of the header, `udp4` that of UDP over IPv4.
[[nodiscard]] std::string_view name(packet::RxSum sum) noexcept;
[[nodiscard]] RxVerdicts rx_verdicts(const Machine& machine, const Bridge& bridge,
                                     std::uint16_t port);

/// Begins to believe devices, or gives them up for good, and logs both. A few times a second; what
/// it decides is seen by workers after the next publish.
void follow_rx_verdicts(const Machine& machine, Bridge& bridge);

}  // namespace vxplane::control
