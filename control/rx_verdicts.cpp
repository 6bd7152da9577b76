#include "control/rx_verdicts.hpp"

#include <spdlog/spdlog.h>

namespace vxplane::control {

std::string_view name(RxBelief belief) noexcept {
    switch (belief) {
        case RxBelief::none:
            break;
        case RxBelief::trying:
            return "trying";
        case RxBelief::believed:
            return "believed";
        case RxBelief::refuted:
            return "refuted";
    }
    return "none";
}

std::string_view name(packet::RxSum sum) noexcept {
    constexpr std::array<std::string_view, packet::kRxSums> kNames{"ipv4", "udp4", "udp6", "tcp4",
                                                                   "tcp6"};
    return kNames[static_cast<std::size_t>(sum)];
}

RxVerdicts rx_verdicts(const Machine& machine, const Bridge& bridge, std::uint16_t port) {
    RxVerdicts all;
    for (const auto& worker : machine.workers()) {
        const path::VerdictCounters& counters = worker->counters().verdicts[port];
        for (std::size_t sum = 0; sum < packet::kRxSums; ++sum) {
            all.right[sum] += counters.right[sum].get();
        }
        all.wrong += counters.wrong.get();
    }
    all.belief = bridge.rx_belief(port);
    all.believed = bridge.port(port).trusted_sums;
    return all;
}

void follow_rx_verdicts(const Machine& machine, Bridge& bridge) {
    for (const OpenPort& open : machine.ports()) {
        const port::Port& port = *open.port;
        const RxVerdicts seen = rx_verdicts(machine, bridge, port.id());
        if (seen.belief != RxBelief::trying && seen.belief != RxBelief::believed) {
            continue;
        }
        if (seen.wrong != 0) {
            bridge.set_rx_belief(port.id(), RxBelief::refuted);
            spdlog::warn(
                "port {}: {} called checksums good {} times that are wrong: workers verify all by "
                "themselves from now on",
                port.name(), port.driver(), seen.wrong);
            continue;
        }
        packet::RxSums sums = seen.believed;
        for (std::size_t i = 0; i < packet::kRxSums; ++i) {
            const auto sum = static_cast<packet::RxSum>(i);
            if ((sums & packet::set_of(sum)) == 0 && seen.right[i] >= RxVerdicts::kEnough) {
                sums = static_cast<packet::RxSums>(sums | packet::set_of(sum));
                spdlog::info(
                    "port {}: the first {} verdicts of {} about checksums of {} are right: it is "
                    "believed from now on",
                    port.name(), seen.right[i], port.driver(), name(sum));
            }
        }
        if (sums != seen.believed) {
            bridge.set_rx_belief(port.id(), RxBelief::believed, sums);
        }
    }
}

}  // namespace vxplane::control
