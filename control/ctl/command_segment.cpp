// Words about segments as a whole.
#include "control/ctl/line.hpp"

namespace vxplane::control::ctl {

Command parse_segment(Line& line) {
    const std::string verb = line.empty() ? "show" : line.choose("verb", {"show", "list", "set"});
    if (verb == "set") {
        Command command{.method = "segment.set", .view = View::changes, .writes = true};
        command.calls[0]["name"] = line.take("name of a segment");
        command.calls[0]["state"] = line.choose("state", {"up", "down"});
        return command;
    }
    Command command{.method = "segments", .view = View::segments};
    if (!line.empty()) {
        if (line.peek() == "dev" || line.peek() == "name") line.take("key");
        command.calls[0]["name"] = line.take("name");
        command.view = View::segment;
    }
    return command;
}

}  // namespace vxplane::control::ctl
