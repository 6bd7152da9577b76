// What slaves have from the port that they share.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "control/apply/slaves.hpp"

namespace vxplane::control {

void Slaves::follow_links() {
    bool differs = false;
    dark_.resize(masters_.size(), false);
    for (std::size_t i = 0; i < masters_.size(); ++i) {
        const OpenPort* link = machine_.by_id(masters_[i].port);
        const bool dark = link != nullptr && !link->port->link().up;
        if (dark == dark_[i]) {
            continue;
        }
        dark_[i] = dark;
        differs = true;
        spdlog::log(dark ? spdlog::level::warn : spdlog::level::info,
                    "port {}: the link is {}, and so is the carrier of {} slaves",
                    link == nullptr ? "?" : link->port->name(), dark ? "down" : "up",
                    of_master_[i].size());
    }
    if (differs) {
        changed_ = true;
        tell_carrier();
    }
}

void Slaves::tell_carrier() {
    for (OpenPort& open : machine_.ports()) {
        const table::Slave* slave = open.is_twin ? nullptr : slave_of_port(open.port->id());
        const bool carrier = slave == nullptr || has_carrier(*slave);
        if (open.port->carrier() == carrier || (!carrier && slave == nullptr)) {
            continue;
        }
        if (!open.port->set_carrier(carrier) && !carrier) {
            spdlog::info("port {}: {} cannot tell the host behind it that there is no carrier",
                         open.port->name(), open.port->driver());
        }
    }
}

std::vector<table::Slave> Slaves::visible() const {
    std::vector<table::Slave> all = slaves_;
    for (table::Slave& slave : all) {
        slave.up = slave.up && has_carrier(slave);
    }
    return all;
}

}  // namespace vxplane::control
