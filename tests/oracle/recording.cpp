// Reading of recorded files.
#include "recording.hpp"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <sstream>
#include <stdexcept>

#include "json_file.hpp"

namespace vxplane::oracle {
namespace {

using Json = nlohmann::json;

/// A list of commands, one command, or nothing.
std::vector<std::string> commands_in(const Json& object, const char* key) {
    std::vector<std::string> all;
    if (!object.contains(key) || object[key].is_null()) return all;
    const Json& value = object[key];
    if (!value.is_array()) return {value.is_string() ? value.get<std::string>() : value.dump()};
    for (const Json& one : value)
        all.push_back(one.is_string() ? one.get<std::string>() : one.dump());
    return all;
}

void append(std::vector<std::string>& to, std::vector<std::string> more) {
    to.insert(to.end(), more.begin(), more.end());
}

Config config_from(const Json& json) {
    Config config;
    config.commands = commands_in(json, "config");
    config.environment = commands_in(json, "env");
    config.later = commands_in(json, "after_enslave");
    append(config.later, commands_in(json, "after_up"));
    config.up = json.value("up", true);
    if (const auto results = json.find("config_result");
        results != json.end() && results->is_array())
        for (const Json& result : *results)
            if (result.value("rc", 0) != 0) config.refused.push_back(result.value("cmd", ""));
    // Devices that netlink made without ip(8) show their entries only.
    const bool has_entries =
        std::any_of(config.commands.begin(), config.commands.end(),
                    [](const std::string& command) { return command.starts_with("bridge fdb"); });
    if (!has_entries && config.commands.size() == 1)
        for (const std::string& entry : commands_in(json, "fdb"))
            if (entry.find(" dst ") != std::string::npos)
                config.shown.push_back("bridge fdb append " + entry);
    return config;
}

Case case_from(const Json& json) {
    Case one;
    one.id = json.at("id");
    one.config = json.at("config");
    for (const Json& frame : json.at("inject"))
        one.inject.push_back(
            {frame.at("port"), from_hex(frame.at("frame_hex").get<std::string>())});
    for (const auto& [port, frames] : json.at("expect").items())
        for (const Json& frame : frames)
            one.expect[port].push_back(from_hex(frame.get<std::string>()));
    if (json.contains("masks")) one.masks = json["masks"].get<decltype(one.masks)>();
    one.before = commands_in(json, "before");
    for (const Json& after : json.value("after", Json::array())) {
        if (!after.is_object() || !after.contains("marks_on_vx0_ingress")) continue;
        one.marks.emplace();
        for (const Json& mark : after["marks_on_vx0_ingress"])
            one.marks->push_back(
                static_cast<std::uint32_t>(std::stoul(mark.get<std::string>(), nullptr, 0)));
    }
    if (json.contains("source_ports") && json["source_ports"].contains("pattern"))
        one.source_ports = json["source_ports"]["pattern"].get<std::vector<int>>();
    if (json.contains("volatile")) one.not_comparable = "volatile: " + json["volatile"].dump();
    for (const std::string& field : commands_in(json, "unstable"))
        if (field.starts_with("expect")) one.not_comparable = "unstable: " + field;
    return one;
}

LiveStep step_from(const Json& json, const std::string& config, std::size_t place) {
    LiveStep step;
    Json frames = json;
    frames["id"] = "step " + std::to_string(place) +
                   (json.contains("note") ? " (" + json["note"].get<std::string>() + ")" : "");
    frames["config"] = config;
    if (!frames.contains("inject")) frames["inject"] = Json::array();
    step.seen = case_from(frames);
    for (const std::string& text : commands_in(json, "do")) step.commands.push_back({text});
    const Json results = json.value("action_result", Json::array());
    for (std::size_t i = 0; i < results.size() && i < step.commands.size(); ++i) {
        step.commands[i].refused = results[i].value("rc", 0) != 0;
        step.commands[i].said = results[i].value("stdout", "");
    }
    if (json.contains("fdb")) step.fdb = commands_in(json, "fdb");
    step.wait = json.value("wait_seconds", 0.0);
    return step;
}

LiveScenario scenario_from(const Json& json) {
    LiveScenario scenario{json.at("id"), json.at("config"), {}};
    for (const Json& step : json.at("steps"))
        scenario.steps.push_back(step_from(step, scenario.config, scenario.steps.size() + 1));
    return scenario;
}

}  // namespace

bool is_live(const Config& config) {
    return std::any_of(config.commands.begin(), config.commands.end(), [](const auto& command) {
        const std::vector<std::string> words = words_of(command);
        const auto has = [&](const char* word) {
            return std::find(words.begin(), words.end(), word) != words.end();
        };
        const bool of_group = command.starts_with("bridge fdb ") && words.size() > 3 &&
                              (std::stoul(words[3].substr(0, 2), nullptr, 16) & 1U) != 0;
        return (has("external") && !has("gpe")) || command.starts_with("ip nexthop ") || of_group;
    });
}

Bytes from_hex(std::string_view text) {
    const auto digit = [](char c) {
        if (c >= '0' && c <= '9') return c - '0';
        if (c >= 'a' && c <= 'f') return c - 'a' + 10;
        if (c >= 'A' && c <= 'F') return c - 'A' + 10;
        throw std::runtime_error("a frame is not in hexadecimal");
    };
    if (text.size() % 2 != 0) throw std::runtime_error("half a byte in a frame");
    Bytes bytes;
    bytes.reserve(text.size() / 2);
    for (std::size_t i = 0; i < text.size(); i += 2)
        bytes.push_back(static_cast<std::uint8_t>(digit(text[i]) << 4 | digit(text[i + 1])));
    return bytes;
}

std::vector<std::string> words_of(const std::string& text) {
    std::istringstream stream{text};
    return {std::istream_iterator<std::string>{stream}, {}};
}

Recording load_recording(const std::string& path) {
    try {
        const Json json = read_json(path);
        if (json.at("format") != "vxlan-oracle/1")
            throw std::runtime_error("format is not vxlan-oracle/1");
        Recording all;
        all.group = json.value("group", std::filesystem::path(path).stem().string());
        all.topology.macs = json.at("topology").at("mac").get<decltype(all.topology.macs)>();
        all.topology.underlay = json.at("topology").at("underlay");
        for (const auto& [name, fields] : json.at("masks").items()) {
            Mask& mask = all.masks[name];
            for (const auto& [field, place] : fields.items())
                mask.push_back({field, place.at(0), place.at(1)});
        }
        for (const auto& [name, config] : json.at("configs").items())
            all.configs[name] = config_from(config);
        for (const Json& one : json.at("cases")) all.cases.push_back(case_from(one));
        if (json.contains("scenarios"))
            for (const Json& one : json["scenarios"]) all.scenarios.push_back(scenario_from(one));
        return all;
    } catch (const std::exception& problem) {
        throw std::runtime_error(path + ": " + problem.what());
    }
}

}  // namespace vxplane::oracle
