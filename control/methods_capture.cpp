// The methods of captures.
#include <limits>

#include "control/daemon.hpp"
#include "control/methods.hpp"

namespace vxplane::control {

using rpc::Json;
using rpc::Reply;
using rpc::Type;

namespace {

constexpr std::int64_t kAny = std::numeric_limits<std::int64_t>::max();

Reply start(Daemon& daemon, const Json& params) {
    const auto name = params.at("port").get<std::string>();
    const OpenPort* open = daemon.machine().by_name(name);
    if (open == nullptr) {
        return rpc::refuse("no port '" + name + "'");
    }
    const std::string direction = params.value("direction", "both");
    capture::Request request;
    request.port = name;
    request.port_id = open->port->id();
    request.rx_queues = open->port->rx_queues();
    request.tx_queues = open->port->tx_queues();
    request.file = params.at("file").get<std::string>();
    request.received = direction != "tx";
    request.sent = direction != "rx";
    request.force = params.value("force", false);
    request.inner = params.value("inner", false);
    request.filter = params.value("filter", "");
    request.snaplen = params.value("snaplen", request.snaplen);
    request.limit_bytes = params.value("limit_size", std::uint64_t{0});
    request.limit_frames = params.value("limit_count", std::uint64_t{0});
    request.rotate = params.value("rotate", 0U);
    if (request.rotate != 0 && request.limit_bytes == 0) {
        return rpc::invalid("rotate: says how many full files are kept, limit_size when one is");
    }
    if (request.inner && request.filter.empty()) {
        return rpc::invalid("inner: goes with a filter");
    }
    for (const config::Vxlan& vxlan : daemon.topology().vxlans) {
        request.dstports.push_back(vxlan.dstport);
    }
    unsigned id = 0;
    if (const auto problem = daemon.captures().start(request, id)) {
        return rpc::refuse(*problem);
    }
    return Json{{"id", id}};
}

Reply stop(Daemon& daemon, const Json& params) {
    const auto id = params.at("id").get<unsigned>();
    if (!daemon.captures().stop(id)) {
        return rpc::refuse("no capture " + std::to_string(id) + " is running");
    }
    for (const Json& one : daemon.captures().list()) {
        if (one.at("id") == id) {
            return one;
        }
    }
    return Json::object();
}

}  // namespace

void add_capture_methods(Daemon& daemon) {
    rpc::MethodTable& table = daemon.server().methods();
    table.add({"capture.start",
               "writes the frames of a port into a pcapng file",
               {{"port", Type::string, true, "name of a port"},
                {"file", Type::string, true, "absolute path; must not be there yet"},
                {"direction", Type::string, false, "both unless given", {"rx", "tx", "both"}},
                {"filter", Type::string, false, "expression as of pcap-filter(7)"},
                {"inner", Type::boolean, false, "ask the filter about the frame inside VXLAN"},
                {"snaplen", Type::integer, false, "bytes of a frame at most", {}, 14, 262'144},
                {"limit_size", Type::integer, false, "bytes of the file, about", {}, 1, kAny},
                {"limit_count", Type::integer, false, "frames, then it ends", {}, 1, kAny},
                {"rotate",
                 Type::integer,
                 false,
                 "full files to keep as FILE.1, FILE.2, ...",
                 {},
                 1,
                 1000},
                {"force", Type::boolean, false, "overwrite the file"}},
               true,
               [&daemon](const Json& params) { return start(daemon, params); }});
    table.add({"capture.stop",
               "ends a capture",
               {{"id", Type::integer, true, "its number", {}, 1, 4'294'967'295}},
               true,
               [&daemon](const Json& params) { return stop(daemon, params); }});
    table.add({"capture.list",
               "captures that run, and the last that ended",
               {},
               false,
               [&daemon](const Json&) { return Reply(daemon.captures().list()); }});
}

}  // namespace vxplane::control
