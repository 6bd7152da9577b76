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

RxVerdicts rx_verdicts(const Machine& machine, const Bridge& bridge, std::uint16_t port) {
    RxVerdicts all;
    for (const auto& worker : machine.workers()) {
        const path::VerdictCounters& counters = worker->counters().verdicts[port];
        all.right += counters.right.get();
        all.wrong += counters.wrong.get();
    }
    all.belief = bridge.rx_belief(port);
    return all;
}

void follow_rx_verdicts(const Machine& machine, Bridge& bridge) {
    for (const OpenPort& open : machine.ports()) {
        const port::Port& port = *open.port;
        if (bridge.rx_belief(port.id()) != RxBelief::trying) {
            continue;
        }
        const RxVerdicts seen = rx_verdicts(machine, bridge, port.id());
        if (seen.wrong != 0) {
            bridge.set_rx_belief(port.id(), RxBelief::refuted);
            spdlog::warn(
                "port {}: {} called checksums good {} times that are wrong, and {} times "
                "that are right: workers go on verifying by themselves",
                port.name(), port.driver(), seen.wrong, seen.right);
        } else if (seen.right >= RxVerdicts::kEnough) {
            bridge.set_rx_belief(port.id(), RxBelief::believed);
            spdlog::info(
                "port {}: the first {} verdicts of {} about checksums are right: it is "
                "believed from now on",
                port.name(), seen.right, port.driver());
        }
    }
}

}  // namespace vxplane::control
