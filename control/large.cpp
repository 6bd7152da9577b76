#include "control/large.hpp"

#include <algorithm>

namespace vxplane::control {

namespace {

port::Wish wish_of(config::Switch word) {
    switch (word) {
        case config::Switch::on:
            return port::Wish::on;
        case config::Switch::off:
            return port::Wish::off;
        case config::Switch::automatic:
            break;
    }
    return port::Wish::automatic;
}

bool merges(const OpenPort& open, const std::vector<OpenPort>& ports) {
    // Frames of a guest must be looked at, whatever the key says.
    if (open.port->large_rx()) {
        return true;
    }
    if (open.is_twin || open.config->gro != config::Switch::automatic) {
        return !open.is_twin && open.config->gro == config::Switch::on;
    }
    return std::any_of(ports.begin(), ports.end(), [&open](const OpenPort& other) {
        return &other != &open && other.port->tso().any();
    });
}

}  // namespace

void set_large(port::PortOptions& options, const config::Port& port) {
    options.tso = wish_of(port.tso);
    options.large_rx = port.gro != config::Switch::off;
}

void plan_large(const std::vector<OpenPort>& ports, std::vector<worker::WorkerOptions>& plans) {
    for (const OpenPort& open : ports) {
        const bool merge = merges(open, ports);
        for (worker::WorkerOptions& plan : plans) {
            plan.lanes[open.port->id()].tso = open.port->tso();
            for (worker::RxQueue& rx : plan.rx) {
                if (rx.port == open.port->id()) {
                    rx.merge = merge;
                }
            }
        }
    }
}

}  // namespace vxplane::control
