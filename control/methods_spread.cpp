// RPC methods about how packets are spread over workers.
#include <charconv>

#include "control/daemon.hpp"
#include "control/methods.hpp"

namespace vxplane::control {

using rpc::Json;
using rpc::Reply;
using rpc::Type;

namespace {

/// "0,2,1"; nothing when it is not a list of numbers.
std::optional<std::vector<std::uint16_t>> numbers_of(const std::string& text) {
    std::vector<std::uint16_t> numbers;
    const char* at = text.data();
    const char* end = text.data() + text.size();
    for (;;) {
        std::uint16_t number = 0;
        const auto [stop, error] = std::from_chars(at, end, number);
        if (error != std::errc{}) {
            return std::nullopt;
        }
        numbers.push_back(number);
        if (stop == end) {
            return numbers;
        }
        if (*stop != ',') {
            return std::nullopt;
        }
        at = stop + 1;
    }
}

Reply set_steering(Daemon& daemon, const Json& params) {
    worker::SteeringTable* table = daemon.machine().steering();
    if (table == nullptr) {
        return rpc::refuse("steering is off (system: steering: software, and two workers)");
    }
    const std::string text = params.at("workers").get<std::string>();
    const auto ids = numbers_of(text);
    if (!ids) {
        return rpc::invalid("workers: '" + text + "' is not a list of worker ids such as 0,1");
    }
    std::uint64_t targets = 0;
    for (const std::uint16_t id : *ids) {
        if (id >= table->workers()) {
            return rpc::refuse("there is no worker " + std::to_string(id) + " (0 to " +
                               std::to_string(table->workers() - 1) + ")");
        }
        targets |= 1ULL << id;
    }
    table->set_targets(targets);
    for (const auto& worker : daemon.machine().workers()) {
        worker->wake();
    }
    return daemon.stats().steering();
}

Reply set_reta(Daemon& daemon, const Json& params) {
    const std::string name = params.at("name").get<std::string>();
    const OpenPort* open = daemon.machine().by_name(name);
    if (open == nullptr) {
        return rpc::refuse("no port '" + name + "'");
    }
    const std::string text = params.at("queues").get<std::string>();
    const auto queues = numbers_of(text);
    if (!queues) {
        return rpc::invalid("queues: '" + text + "' is not a list of receive queues such as 0,1");
    }
    if (const auto done = open->port->set_reta(*queues); !done) {
        return rpc::refuse("port " + name + ": " + done.failure().text);
    }
    return Json{{"reta", open->port->rss_state().reta}};
}

}  // namespace

void add_spread_methods(Daemon& daemon) {
    rpc::MethodTable& table = daemon.server().methods();
    table.add({"steering",
               "software steering: workers that flows are spread over, what waits",
               {},
               false,
               [&daemon](const Json&) { return Reply(daemon.stats().steering()); }});
    table.add({"steering.set",
               "spreads flows over other workers; no flow is reordered",
               {{"workers", Type::string, true, "ids of workers, such as 0,1"}},
               true,
               [&daemon](const Json& params) { return set_steering(daemon, params); }});
    table.add({"ports.reta",
               "fills the indirection table of a port",
               {{"name", Type::string, true, "name of a port"},
                {"queues", Type::string, true, "receive queues, repeated until the table is full"}},
               true,
               [&daemon](const Json& params) { return set_reta(daemon, params); }});
}

}  // namespace vxplane::control
