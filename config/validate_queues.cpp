// How packets come to workers: who polls the queues of a port, and by what a NIC chooses a queue.
#include <algorithm>

#include "config/judge.hpp"
#include "config/limits.hpp"
#include "config/nearest.hpp"
#include "config/parse.hpp"

namespace vxplane::config {
namespace {

std::string numbers(const std::vector<unsigned>& list) {
    std::string text;
    for (const unsigned one : list) text += (text.empty() ? "" : ", ") + std::to_string(one);
    return text;
}

void judge_pollers(Judge& judge, const Port& port, const std::string& path) {
    const std::vector<unsigned>& workers = judge.topology().system.workers;
    const Position fallback = port.keys.of("workers", port.where);
    for (std::size_t i = 0; i < port.workers.size(); ++i) {
        if (std::ranges::find(workers, port.workers[i]) != workers.end()) continue;
        judge.refuse(position_at(port.worker_where, i, fallback), item_path(path + ".workers", i),
                     "CPU " + std::to_string(port.workers[i]) + " has no worker (" +
                         (workers.empty() ? "those of system.workers, which names none"
                                          : "of system.workers: " + numbers(workers)) +
                         ")");
    }
}

void judge_rss(Judge& judge, const Port& port, const std::string& path) {
    const std::string& key = port.rss_key;
    if (!key.empty() && key != "default" && key != "symmetric" && !parse_hex_key(key)) {
        judge.refuse(port.keys.of("rss-key", port.where), path + ".rss-key",
                     quoted(key) +
                         " is no hash key (default, symmetric, or 1 to 64 bytes in hexadecimal, as "
                         "6d:5a:...)");
    }
    // Without a number of queues only the machine knows.
    for (const unsigned queue : port.rss_reta) {
        if (port.rx_queues == 0 || queue < port.rx_queues) continue;
        judge.refuse(port.keys.of("rss-reta", port.where), path + ".rss-reta",
                     "there is no receive queue " + std::to_string(queue) + " (0 to " +
                         std::to_string(port.rx_queues - 1) + ", as rx-queues is " +
                         std::to_string(port.rx_queues) + ")");
        break;
    }
}

}  // namespace

void judge_queues(Judge& judge) {
    const System& system = judge.topology().system;
    judge.range(system.keys.of("backlog", system.where), "system.backlog", system.backlog,
                limits::backlog_min, limits::backlog_max);
    for (const Port& port : judge.topology().ports) {
        const std::string path = "ports." + port.name;
        judge_pollers(judge, port, path);
        judge_rss(judge, port, path);
    }
}

}  // namespace vxplane::config
