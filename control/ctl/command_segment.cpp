// Words about segments as a whole.
#include "control/ctl/line.hpp"

namespace vxplane::control::ctl {

Command parse_segment(Line& line) {
    const std::string verb = line.empty() ? "show" : line.choose("verb", {"show", "list", "set"});
    if (verb == "set") {
        Command command{.method = "segment.set", .view = View::changes, .writes = true};
        Json& params = command.calls[0];
        params["name"] = line.take("name of a segment");
        while (!line.empty()) {
            std::string key = line.take("up, down or a key of a vxlan");
            const bool state = key == "up" || key == "down";
            std::string value = state ? key : line.take("value of " + key);
            if (state) key = "state";
            if (params.contains(key)) throw Refused{key + " is given twice"};
            params[key] = std::move(value);
        }
        if (params.size() == 1)
            throw Refused{"missing up, down, or a key of a vxlan and its value"};
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
