// From the words of a topology to what ports and workers are made with: lcores, queues, hashing,
// steering. What the machine does not have is refused with the place in the file.
#include <rte_lcore.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <stdexcept>

#include "config/parse.hpp"
#include "config/problem.hpp"
#include "control/large.hpp"
#include "control/machine.hpp"
#include "control/resolve/neighbours.hpp"

namespace vxplane::control {

namespace {

std::string list_of(const std::vector<unsigned>& numbers) {
    std::string text;
    for (const unsigned one : numbers) {
        text += (text.empty() ? "" : ", ") + std::to_string(one);
    }
    return text;
}

std::string text_of(const config::Topology& topology, config::Position where, std::string path,
                    std::string message) {
    return config::Problem{topology.file, where, std::move(path), std::move(message)}.text();
}

port::RssOptions rss_of(const config::Port& port) {
    port::RssOptions rss;
    rss.types = port.rss;
    if (port.rss_key == "symmetric") {
        rss.key = port::RssOptions::Key::symmetric;
    } else if (const auto bytes = config::parse_hex_key(port.rss_key)) {
        rss.key = port::RssOptions::Key::given;
        rss.bytes = *bytes;
    }
    rss.inner = port.rss_level == config::RssLevel::inner;
    rss.reta.assign(port.rss_reta.begin(), port.rss_reta.end());
    return rss;
}

}  // namespace

std::string problem_at_key(const config::Topology& topology, const config::Port& port,
                           const port::Failure& failure) {
    if (failure.key.empty()) {
        return failure.text;
    }
    return text_of(topology, port.keys.of(failure.key, port.where),
                   "ports." + port.name + "." + failure.key, failure.text);
}

port::PortOptions options_of(const config::Port& port, unsigned workers) {
    port::PortOptions options;
    options.name = port.name;
    options.device = port.device;
    options.mtu = port.mtu;
    if (port.mac) {
        options.mac = port.mac->bytes;
    }
    options.rx_queues_wanted = port.rx_queues;
    options.workers = static_cast<std::uint16_t>(workers);
    options.rx_descriptors = port.rx_descriptors;
    options.tx_descriptors = port.tx_descriptors;
    options.rss = rss_of(port);
    options.rx_checksum = port.rx_checksum == config::RxChecksum::on
                              ? port::PortOptions::RxChecksum::required
                          : port.rx_checksum == config::RxChecksum::off
                              ? port::PortOptions::RxChecksum::off
                              : port::PortOptions::RxChecksum::where_possible;
    options.promiscuous = port.role == config::PortRole::access || port.promiscuous;
    set_large(options, port);
    return options;
}

std::optional<std::string> refuse_cpus(const config::Topology& topology,
                                       const std::vector<unsigned>& usable) {
    const config::System& system = topology.system;
    const auto missing = [&usable](unsigned cpu) {
        return std::find(usable.begin(), usable.end(), cpu) == usable.end();
    };
    const auto text = [&](config::Position where, const std::string& path, unsigned cpu) {
        return text_of(topology, where, path,
                       "CPU " + std::to_string(cpu) +
                           " does not exist or is not one that this process may use (" +
                           list_of(usable) + ")");
    };
    for (std::size_t i = 0; i < system.workers.size(); ++i) {
        if (missing(system.workers[i])) {
            const config::Position where = i < system.worker_where.size()
                                               ? system.worker_where[i]
                                               : system.keys.of("workers", system.where);
            return text(where, "system.workers[" + std::to_string(i) + "]", system.workers[i]);
        }
    }
    if (system.control && missing(*system.control)) {
        return text(system.keys.of("control", system.where), "system.control", *system.control);
    }
    return std::nullopt;
}

std::optional<std::string> refuse_buffers(const config::Topology& topology,
                                          const port::PoolDemand& demand, std::uint32_t needed) {
    const config::System& system = topology.system;
    // What the device queues and the backlogs alone can hold; `needed` has room to work besides.
    std::uint64_t held = 0;
    std::string parts;
    for (std::size_t i = 0; i < demand.ports.size(); ++i) {
        const port::PortDemand& port = demand.ports[i];
        held += std::uint64_t{port.rx_queues} * port.rx_descriptors +
                std::uint64_t{port.tx_queues} * port.tx_descriptors + port.kept;
    }
    for (const config::Port& port : topology.ports) {
        const port::PortDemand one = port::demand_of(options_of(port, demand.lcores - 1));
        parts += (parts.empty() ? "" : "; ") + port.name + ": " + std::to_string(one.rx_queues) +
                 " x " + std::to_string(one.rx_descriptors) + " rx and " +
                 std::to_string(one.tx_queues) + " x " + std::to_string(one.tx_descriptors) +
                 " tx descriptors" +
                 (one.kept == 0 ? "" : ", and " + std::to_string(one.kept) + " of the driver");
    }
    if (system.mbufs == 0 || system.mbufs >= held) {
        return std::nullopt;
    }
    return text_of(topology, system.keys.of("mbufs", system.where), "system.mbufs",
                   std::to_string(system.mbufs) +
                       " packet buffers do not fill the rings, which hold " + std::to_string(held) +
                       " (" + parts + ") (auto, which is " + std::to_string(needed) +
                       " here, or fewer descriptors)");
}

std::vector<unsigned> Machine::pollers_of(const config::Port& port) const {
    if (const auto pin = pins_.find(port.name); pin != pins_.end()) {
        return {pin->second.worker};
    }
    std::vector<unsigned> workers;
    for (const unsigned cpu : port.workers) {
        const auto at = std::find(worker_cpus_.begin(), worker_cpus_.end(), cpu);
        if (at != worker_cpus_.end()) {
            workers.push_back(static_cast<unsigned>(at - worker_cpus_.begin()));
        }
    }
    return workers;
}

std::vector<int> Machine::worker_nodes() const {
    std::vector<int> nodes;
    for (unsigned id = 0; id < worker_count(); ++id) {
        nodes.push_back(static_cast<int>(rte_lcore_to_socket_id(id + 1)));
    }
    return nodes;
}

void Machine::make_steering(const config::System& system) {
    if (system.steering == config::Steering::none || worker_count() < 2) {
        return;
    }
    steering_ = worker::SteeringTable::make("steering", worker_count(), system.backlog);
    if (steering_ == nullptr) {
        throw std::runtime_error("no memory for the rings of steering");
    }
}

void Machine::plan_transmit(std::vector<worker::WorkerOptions>& plans) {
    const auto count = static_cast<unsigned>(plans.size());
    for (const OpenPort& open : ports_) {
        const port::Port& port = *open.port;
        for (std::uint16_t queue = 0; queue < port.rx_queues(); ++queue) {
            plans[open.pollers[queue]].rx.push_back({port.id(), queue});
        }
        const auto places = worker::place_tx(count, port.tx_queues(), open.pollers);
        std::vector<rte_ring*> handoffs(port.tx_queues());
        for (unsigned id = 0; id < count; ++id) {
            const worker::TxPlace& place = places[id];
            path::TxLane& lane = plans[id].lanes[port.id()];
            lane.port = port.id();
            lane.queue = place.queue;
            lane.multi_segment = port.multi_segment_tx();
            if (place.owner == id) {
                continue;
            }
            rte_ring*& handoff = handoffs[place.queue];
            if (handoff == nullptr) {
                const std::string name =
                    "handoff_" + std::to_string(port.id()) + "_" + std::to_string(place.queue);
                handoff = rte_ring_create(name.c_str(), kHandoffRing, SOCKET_ID_ANY, RING_F_SC_DEQ);
                if (handoff == nullptr) {
                    throw std::bad_alloc();
                }
                handoffs_.push_back(handoff);
                plans[place.owner].shared.push_back({port.id(), handoff});
                if (steering_ != nullptr) {
                    steering_->add_way_out(handoff);
                }
            }
            lane.handoff = handoff;
        }
    }
}

void Machine::note_spreading(OpenPort& open) const {
    if (worker_count() < 2 || steering_wanted_ || open.is_twin ||
        open.config->role != config::PortRole::underlay) {
        return;
    }
    const auto note = [&open](const std::string& text) {
        open.port->note(text);
        spdlog::info("{}", open.port->notes().back());
    };
    if (open.port->rx_queues() < 2) {
        note("one receive queue, so one of " + std::to_string(worker_count()) +
             " workers gets all packets (`system: steering: software` spreads them)");
    } else if (!open.port->rss_state().can_inner) {
        note(
            "the device cannot hash inner headers, so flows within one tunnel are spread by the "
            "outer UDP source port alone (`system: steering: software` goes by the inner flow)");
    }
}

}  // namespace vxplane::control
