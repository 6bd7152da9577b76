// How packets are spread over workers: hashing by the NIC, the plan of queues, software steering.
#include <rte_lcore.h>

#include "control/stats/stats.hpp"

namespace vxplane::control::stats {

namespace {

std::string hex(const std::vector<std::uint8_t>& bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    for (const std::uint8_t byte : bytes) {
        text += text.empty() ? "" : ":";
        text += kDigits[byte >> 4U];
        text += kDigits[byte & 15U];
    }
    return text;
}

}  // namespace

Json Reader::rss_json(const port::Port& port) {
    const port::RssState& state = port.rss_state();
    return {{"on", port.rss()},
            {"types", state.types},
            {"possible", state.possible},
            {"key", hex(state.key)},
            {"symmetric", state.symmetric},
            {"level", state.inner ? "inner" : "outer"},
            {"can_inner", state.can_inner},
            {"reta", state.reta}};
}

void Reader::add_plan(Json& row, unsigned worker) const {
    const worker::WorkerOptions& options = machine_.workers()[worker]->options();
    const auto queue_text = [this](std::uint16_t port, std::uint16_t queue) {
        const OpenPort* open = machine_.by_id(port);
        return (open == nullptr ? "?" : open->port->name()) + "/" + std::to_string(queue);
    };
    row["numa_node"] = rte_lcore_to_socket_id(options.lcore);
    Json queues = Json::array();
    for (const worker::RxQueue& rx : options.rx) {
        queues.push_back(queue_text(rx.port, rx.queue));
    }
    row["queues"] = queues;
    Json tx = Json::array();
    for (const path::TxLane& lane : options.lanes) {
        if (lane.port == table::kNoPort) {
            continue;
        }
        Json one{{"queue", queue_text(lane.port, lane.queue)}};
        const path::PortCounters& sent = machine_.workers()[worker]->counters().ports[lane.port];
        one["packets"] = sent.tx_packets.get();
        one["full"] = sent.tx_full.get();
        if (lane.handoff != nullptr) {
            for (const auto& other : machine_.workers()) {
                for (const worker::SharedQueue& shared : other->options().shared) {
                    if (shared.handoff == lane.handoff) {
                        one["through_worker"] = other->options().id;
                    }
                }
            }
            one["waiting"] = rte_ring_count(lane.handoff);
        }
        tx.push_back(std::move(one));
    }
    row["tx"] = tx;
    const worker::SteeringTable* table = machine_.steering();
    row["queued"] = table == nullptr ? 0U : table->queued(worker);
    row["steered_to"] = table != nullptr && (table->targets() >> worker & 1U) != 0;
}

Json Reader::steering() const {
    const worker::SteeringTable* table = machine_.steering();
    Json workers = Json::array();
    Json queued = Json::array();
    for (unsigned id = 0; table != nullptr && id < table->workers(); ++id) {
        queued.push_back(table->queued(id));
        if ((table->targets() >> id & 1U) != 0) {
            workers.push_back(id);
        }
    }
    return {{"mode", table == nullptr ? "none" : "software"},
            {"backlog", table == nullptr ? 0U : table->limit()},
            {"flow_limit", table != nullptr && machine_.workers().front()->options().flow_limit},
            {"workers", workers},
            {"queued", queued}};
}

}  // namespace vxplane::control::stats
