// Words about the multicast database, as those of `bridge mdb`.
#include <algorithm>

#include "control/ctl/line.hpp"

namespace vxplane::control::ctl {

Command parse_mdb(Line& line) {
    const std::string verb =
        line.empty() ? "show" : line.choose("verb", {"show", "list", "add", "del", "delete"});
    Command command{.method = "mdb.show", .view = View::mdb};
    Json& params = command.calls[0];
    const bool shows = verb == "show" || verb == "list";
    if (!shows) {
        command.method = verb == "add" ? "mdb.add" : "mdb.del";
        command.view = View::silent;
        command.writes = true;
    }
    while (!line.empty()) {
        Words keys{"dev", "segment"};
        if (!shows) {
            keys.insert(keys.end(), {"port", "grp", "src", "filter_mode", "source_list", "dst",
                                     "vni", "dst_port", "dstport", "src_vni", "permanent"});
        }
        std::string key = line.choose("word", keys);
        if (key == "permanent") continue;  // as all of them are
        std::string value = line.take("value of " + key);
        if (key == "dev") key = "segment";
        if (key == "grp") key = "group";
        if (key == "src") key = "source";
        if (key == "dst_port") key = "dstport";
        if (params.contains(key)) throw Refused{key + " is given twice"};
        if (key == "vni" || key == "dstport" || key == "src_vni") {
            params[key] = number(value, key);
            continue;
        }
        if (key != "source_list") {
            params[key] = std::move(value);
            continue;
        }
        Json list = Json::array();
        for (std::size_t at = 0; at <= value.size();) {
            const std::size_t end = std::min(value.find(',', at), value.size());
            list.push_back(value.substr(at, end - at));
            at = end + 1;
        }
        params[key] = std::move(list);
    }
    if (shows) return command;
    if (!params.contains("segment")) throw Refused{"missing dev SEGMENT"};
    if (!params.contains("group")) throw Refused{"missing grp GROUP"};
    // A part of an external vxlan.
    const std::string name = params["segment"];
    if (params.contains("src_vni")) {
        params["segment"] = name + ":" + params["src_vni"].dump();
        params.erase("src_vni");
    }
    // As bridge(8) has it, the port of a remote member is the segment itself.
    if (params.contains("dst") && params.value("port", "") == name) params.erase("port");
    if (params.contains("dst") == params.contains("port"))
        throw Refused{"give one of port NAME, dst IP"};
    return command;
}

}  // namespace vxplane::control::ctl
