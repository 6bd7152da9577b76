// What bridge(8) says of the forwarding database, and shows of it.
#include <algorithm>

#include "control/apply/words.hpp"
#include "live_commands.hpp"

namespace vxplane::oracle {
namespace {

using control::FdbFilter;
using control::FdbRequest;
using table::FdbState;

Done refuse_entry(std::string why) {
    return {true, std::move(why), {}};
}

std::string state_word(FdbState state) {
    return std::string(control::text(state));
}

}  // namespace

std::string in_our_words(const std::string& line) {
    Words words{words_of(line)};
    const std::string mac = words.next();
    std::string place, numbers, state = "dynamic";
    bool extern_learn = false, sticky = false, ours = false;
    while (!words.empty()) {
        const std::string word = words.next();
        if (word == "dst" || word == "nhid") {
            place = " " + word + " " + words.next();
        } else if (word == "vni" || word == "port" || word == "src_vni") {
            numbers += " " + word + " " + words.next();
        } else if (word == "via" || word == "dev" || word == "master") {
            words.next();
        } else if (word == "permanent" || word == "static") {
            state = word;
        } else if (word == "extern_learn") {
            extern_learn = true;
        } else if (word == "sticky") {
            sticky = true;
        } else if (word == "self") {
            ours = true;
        }
    }
    if (!ours) return {};
    // Entries that learning does not move are `static` here, and those of a controller its own.
    if (extern_learn)
        state = "controller";
    else if (sticky && state == "dynamic")
        state = "static";
    return mac + place + numbers + " " + state;
}

std::optional<std::uint16_t> LiveCommands::segment_of(const std::string& device,
                                                      std::uint32_t vni) const {
    return live_.bridge().find_segment(vni == 0 ? device : device + ":" + std::to_string(vni));
}

Done LiveCommands::fdb_command(Words words) {
    const std::string verb = words.next();
    if (verb == "flush") return fdb_flush(words);
    if (verb == "show") {
        words.skip("dev");
        return {false, {}, fdb(words.next())};
    }
    FdbRequest request;
    const auto mac = control::parse_mac(words.next());
    if (!mac) throw Unsupported{"fdb address"};
    request.mac = *mac;
    std::string device = "vx0";
    std::uint32_t src_vni = 0;
    while (!words.empty()) {
        const std::string word = words.next();
        if (word == "dev") {
            device = words.next();
        } else if (word == "via") {
            words.next();
        } else if (word == "dst") {
            request.place.remote = control::parse_ip(words.next());
        } else if (word == "nhid") {
            request.place.nhid = static_cast<std::uint32_t>(number(words.next(), 10));
        } else if (word == "vni") {
            request.place.own.vni = static_cast<std::uint32_t>(number(words.next(), 10));
        } else if (word == "src_vni") {
            src_vni = static_cast<std::uint32_t>(number(words.next(), 10));
        } else if (word == "port") {
            request.place.own.dstport = static_cast<std::uint16_t>(number(words.next(), 10));
        } else if (word == "static" || word == "sticky") {
            request.state =
                request.state == FdbState::controller ? FdbState::controller : FdbState::static_;
        } else if (word == "extern_learn") {
            request.state = FdbState::controller;
        } else if (word == "dynamic") {
            if (request.state == FdbState::permanent) request.state = FdbState::dynamic;
        } else if (word != "self" && word != "permanent") {
            throw Unsupported{"fdb " + word};
        }
    }
    const auto segment = segment_of(device, src_vni);
    if (!segment) return refuse_entry("no such segment, or of many VNIs");
    request.segment = *segment;
    control::Bridge& bridge = live_.bridge();
    control::Bridge::Problem problem;
    if (verb == "del" || verb == "delete")
        problem = bridge.remove(*segment, request.mac, request.place.remote, request.place.own);
    else if (verb == "replace")
        problem = bridge.replace(request, live_.now());
    else if (verb == "add" || verb == "append")
        problem = bridge.add(request, live_.now());
    else
        throw Unsupported{"bridge fdb " + verb};
    return problem ? refuse_entry(*problem) : Done{};
}

Done LiveCommands::fdb_flush(Words words) {
    static const std::map<std::string, FdbState> kStates{{"dynamic", FdbState::dynamic},
                                                         {"static", FdbState::static_},
                                                         {"permanent", FdbState::permanent},
                                                         {"extern_learn", FdbState::controller}};
    if (!words.skip("dev")) throw Unsupported{"bridge fdb flush"};
    FdbFilter filter;
    filter.segment = segment_of(words.next(), 0);
    std::vector<std::string> chosen;
    while (!words.empty())
        if (const std::string word = words.next(); word != "self") chosen.push_back(word);
    if (chosen.size() > 1) throw Unsupported{"bridge fdb flush by several words"};
    if (chosen.empty()) {
        live_.bridge().flush(filter);
        return {};
    }
    const bool others = chosen[0].starts_with("no");
    const auto named = kStates.find(others ? chosen[0].substr(2) : chosen[0]);
    if (named == kStates.end()) return refuse_entry("no such state of entries");
    for (const auto& [word, state] : kStates) {
        if ((state == named->second) == others) continue;
        filter.state = state;
        live_.bridge().flush(filter);
    }
    return {};
}

std::vector<std::string> LiveCommands::fdb(const std::string& device) const {
    std::vector<std::string> all;
    live_.bridge().show({}, live_.now(), [&](const control::FdbView& view) {
        const control::SegmentSpec& segment = live_.bridge().segment(view.segment);
        const bool part = segment.part_of == device;
        if (segment.name != device && !part) return true;
        const std::string src = part ? " src_vni " + std::to_string(segment.vni.number) : "";
        const std::string end = src + " " + state_word(view.state);
        const std::string mac = control::text(view.mac);
        if (view.nhid) all.push_back(mac + " nhid " + std::to_string(*view.nhid) + end);
        if (view.port) all.push_back(mac + " port" + end);
        for (std::size_t i = 0; !view.nhid && i < view.remotes.size(); ++i) {
            const control::OwnNumbers own =
                i < view.own.size() ? view.own[i] : control::OwnNumbers{};
            // As the kernel, which says the VNI to send with of every entry of many VNIs.
            const std::uint32_t vni = own.vni == 0 && part ? segment.vni.number : own.vni;
            all.push_back(mac + " dst " + control::text(view.remotes[i]) +
                          (own.dstport == 0 ? "" : " port " + std::to_string(own.dstport)) +
                          (vni == 0 ? "" : " vni " + std::to_string(vni)) + end);
        }
        return true;
    });
    std::sort(all.begin(), all.end());
    return all;
}

}  // namespace vxplane::oracle
