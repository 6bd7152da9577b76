// Reading of recorded files.
#include "ipvlan_recording.hpp"

#include <stdexcept>

#include "ip_layer.hpp"
#include "json_file.hpp"

namespace vxplane::oracle {
namespace {

using Json = nlohmann::json;

std::string datagram_from(const Json& json) {
    if (json.at("v") == 4) return datagram_of(from_hex(json.at("packet_hex").get<std::string>()));
    return datagram6(json.at("src"), json.at("dst"), json.at("proto"), json.at("hlim"),
                     json.at("tclass"), from_hex(json.at("payload_hex").get<std::string>()));
}

IpvlanCase case_from(const Json& json) {
    IpvlanCase one;
    one.id = json.at("id");
    const auto injected = [](const Json& frame) {
        return Injected{frame.at("port"), from_hex(frame.at("frame_hex").get<std::string>())};
    };
    for (const Json& frame : json.at("inject")) one.inject.push_back(injected(frame));
    for (const auto& [port, frames] : json.at("expect").items())
        for (const Json& frame : frames)
            one.expect[port].push_back(from_hex(frame.get<std::string>()));
    if (const auto taken = json.find("expect_l3"); taken != json.end())
        for (const auto& [name, all] : taken->items())
            for (const Json& datagram : all) one.accepted[name].push_back(datagram_from(datagram));
    if (const auto made = json.find("host_stack_emitted"); made != json.end())
        for (const Json& frame : *made) one.by_stack.push_back(injected(frame));
    if (const auto before = json.find("state_before"); before != json.end())
        for (const Json& action : *before) one.before.push_back(action);
    return one;
}

}  // namespace

IpvlanRecording load_ipvlan_recording(const std::string& path) {
    try {
        const Json json = read_json(path);
        if (json.at("format") != "ipvlan-oracle/1")
            throw std::runtime_error("format is not ipvlan-oracle/1");
        IpvlanRecording all;
        all.mode = json.at("mode");
        all.flag = json.at("flag");
        all.group = all.mode + "_" + all.flag;
        all.topology = json.at("topology");
        for (const Json& one : json.at("cases")) all.cases.push_back(case_from(one));
        if (const auto scenarios = json.find("scenarios"); scenarios != json.end())
            for (const Json& one : *scenarios)
                all.scenarios.push_back(one.value("id", std::string("scenario")));
        return all;
    } catch (const std::exception& problem) {
        throw std::runtime_error(path + ": " + problem.what());
    }
}

}  // namespace vxplane::oracle
