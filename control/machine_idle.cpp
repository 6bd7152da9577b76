// What workers do when there is nothing to do: from the words of a topology to their options, and
// which of their ports can wake them.
#include <spdlog/spdlog.h>

#include "control/machine.hpp"

namespace vxplane::control {

void Machine::set_idle(worker::WorkerOptions& plan, const config::System& system) {
    switch (system.idle) {
        case config::IdlePolicy::busy:
            plan.idle = worker::Idle::busy;
            break;
        case config::IdlePolicy::adaptive:
            plan.idle = worker::Idle::adaptive;
            break;
        case config::IdlePolicy::interrupt:
            plan.idle = worker::Idle::interrupt;
            break;
    }
    plan.idle_after = system.idle_after;
    plan.idle_sleep = system.idle_sleep;
}

void Machine::watch_queues() {
    if (idle_ != config::IdlePolicy::interrupt) {
        return;
    }
    for (const auto& worker : workers_) {
        for (const worker::RxQueue& deaf : worker->watch_queues()) {
            const OpenPort* open = by_id(deaf.port);
            open->port->note("receive queue " + std::to_string(deaf.queue) + " (" +
                             open->port->driver() + ") has no interrupt: worker " +
                             std::to_string(worker->options().id) +
                             " naps as with `idle: adaptive`");
            spdlog::warn("{}", open->port->notes().back());
        }
    }
}

}  // namespace vxplane::control
