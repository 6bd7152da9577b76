// Reading of recorded files.
#include "ipvlan_recording.hpp"

#include <stdexcept>

#include "ip_commands.hpp"
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

IpvlanCase ipvlan_case_from(const Json& json) {
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

/// With an IPv6 header made of the fields that the recording kept.
Bytes packet6_from(const Json& json) {
    const Bytes payload = from_hex(json.at("payload_hex").get<std::string>());
    const unsigned traffic_class = json.at("tclass");
    const auto byte = [](unsigned value) { return static_cast<std::uint8_t>(value); };
    Bytes packet{byte(0x60U | traffic_class >> 4), byte(traffic_class << 4), 0, 0};
    packet.push_back(byte(static_cast<unsigned>(payload.size() >> 8)));
    packet.push_back(byte(static_cast<unsigned>(payload.size())));
    packet.push_back(byte(json.at("proto")));
    packet.push_back(byte(json.at("hlim")));
    for (const char* end : {"src", "dst"}) {
        const net::IpAddress address = ip_address(json.at(end).get<std::string>());
        packet.insert(packet.end(), address.bytes.begin(), address.bytes.end());
    }
    packet.insert(packet.end(), payload.begin(), payload.end());
    return packet;
}

Event event_from(const Json& json) {
    Event event;
    event.time = json.at("t");
    event.port = json.at("port");
    event.checksum_open = json.value("csum_not_ready", false);
    const std::string kind = json.at("dir");
    if (kind == "ip_local_delivery") {
        event.kind = Event::Kind::accepted;
        event.port = event.port.substr(0, event.port.find('.'));
        event.bytes = json.at("v") == 4 ? from_hex(json.at("packet_hex").get<std::string>())
                                        : packet6_from(json);
        return event;
    }
    if (kind == "tx_by_stack")
        event.kind = Event::Kind::sent;
    else if (kind != "rx" && kind != "rx_on_wire")
        throw std::runtime_error("unknown event " + kind);
    event.bytes = from_hex(json.at("frame_hex").get<std::string>());
    return event;
}

Scenario scenario_from(const Json& json) {
    Scenario one;
    one.id = json.at("id");
    for (const Json& action : json.value("setup", Json::array())) one.setup.push_back(action);
    for (const Json& step : json.at("steps"))
        one.steps.push_back({step.at("t"), step.at("do"), step.value("rc", 0) != 0});
    for (const Json& event : json.value("events", Json::array()))
        one.events.push_back(event_from(event));
    one.hooks = json.value("hooks", decltype(one.hooks){});
    if (const auto queries = json.find("query_after"); queries != json.end())
        one.queries = queries->get<decltype(one.queries)>();
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
        for (const Json& one : json.at("cases")) all.cases.push_back(ipvlan_case_from(one));
        if (const auto scenarios = json.find("scenarios"); scenarios != json.end())
            for (const Json& one : *scenarios) all.scenarios.push_back(scenario_from(one));
        return all;
    } catch (const std::exception& problem) {
        throw std::runtime_error(path + ": " + problem.what());
    }
}

}  // namespace vxplane::oracle
