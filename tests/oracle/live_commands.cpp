// Commands, word by word.
#include "live_commands.hpp"

#include <algorithm>

#include "control/apply/words.hpp"

namespace vxplane::oracle {
namespace {

constexpr const char* kNoMac = "00:00:00:00:00:00";

Done refuse(std::string why) {
    return {true, std::move(why), {}};
}

std::string joined_problems(const Live::Problems& problems) {
    std::string all;
    for (const std::string& one : problems) all += (all.empty() ? "" : "; ") + one;
    return all;
}

/// The words of `type vxlan`. Numbers are taken as they stand: the topology judges them.
void read_vxlan(Words& words, LiveDevice& device) {
    static const std::map<std::string, std::string> kNumbers{
        {"id", "id"},          {"vni", "id"},
        {"ageing", "ageing"},  {"maxaddress", "maxaddr"},
        {"mtu", "mtu"},        {"local", "local"},
        {"group", "group"},    {"remote", "remote"},
        {"ttl", "ttl"},        {"hoplimit", "ttl"},
        {"df", "df"},          {"flowlabel", "flowlabel"},
        {"dstport", "dstport"}};
    static const std::map<std::string, std::pair<std::string, std::string>> kFlags{
        {"learning", {"learning", "true"}},
        {"nolearning", {"learning", "false"}},
        {"udpcsum", {"udpcsum", "true"}},
        {"noudpcsum", {"udpcsum", "false"}},
        {"udp6zerocsumtx", {"udp6zerocsumtx", "true"}},
        {"noudp6zerocsumtx", {"udp6zerocsumtx", "false"}},
        {"udp6zerocsumrx", {"udp6zerocsumrx", "true"}},
        {"noudp6zerocsumrx", {"udp6zerocsumrx", "false"}},
        {"nolocalbypass", {"local-bypass", "false"}},
        {"remcsumtx", {"remcsumtx", "true"}},
        {"noremcsumtx", {"remcsumtx", "false"}},
        {"remcsumrx", {"remcsumrx", "true"}},
        {"noremcsumrx", {"remcsumrx", "false"}},
        {"gbp", {"gbp", "true"}},
        {"gpe", {"gpe", "true"}},
        {"proxy", {"proxy", "true"}},
        {"rsc", {"rsc", "true"}},
        {"l2miss", {"l2miss", "true"}},
        {"l3miss", {"l3miss", "true"}}};
    while (!words.empty()) {
        const std::string word = words.next();
        if (const auto number = kNumbers.find(word); number != kNumbers.end()) {
            std::string value = words.next();
            if (word == "dstport" && value == "0") value = "8472";  // the kernel's own default
            if ((word == "ttl" || word == "hoplimit") && value == "0") value = "auto";
            device.keys[number->second] = value;
        } else if (const auto flag = kFlags.find(word); flag != kFlags.end()) {
            device.keys[flag->second.first] = flag->second.second;
        } else if (word == "tos" || word == "dsfield") {
            const std::string value = words.next();  // hexadecimal, and 1 is "inherit"
            const bool inherit = value == "inherit" || value == "1";
            device.keys["tos"] =
                inherit ? "inherit" : (value.starts_with("0x") ? "" : "0x") + value;
        } else if (word == "srcport") {
            const std::string lo = words.next();
            device.keys["srcport"] = "[" + lo + ", " + words.next() + "]";
        } else if (word == "dev") {
            const std::string name = words.next();
            device.keys["dev"] = name == "under" ? "wire" : name;
        } else if (word == "external") {
            device.external = true;
        } else if (word == "vnifilter") {
            device.filtered = true;
        } else {
            throw Unsupported{word};
        }
    }
}

/// In the form of the topology file, with the kernel's defaults.
std::map<std::string, std::string> keys_of(const LiveDevice& device) {
    std::map<std::string, std::string> keys = device.keys;
    keys.emplace("dstport", "8472");
    keys.emplace("udpcsum", "true");
    keys.emplace("inner-vlan", "true");
    keys.emplace("ecn", "rfc3168");
    const bool fixed = keys.contains("df") && keys.at("df") == "set";
    if (!fixed && (device.external || !device.over_ipv6())) keys.emplace("fragment", "outer");
    if (keys.contains("proxy")) keys.emplace("proxy-fallback", "kernel");
    if (device.external) {
        keys["external"] = "true";
        // So ip(8) makes it, and over both families.
        keys.emplace("learning", "false");
        if (!device.over_ipv6()) keys.emplace("local", "10.10.10.12");
        keys.emplace("local6", "fd10::12");
        keys.emplace("mtu", "1450");
    }
    if (device.filtered) keys["vnifilter"] = "true";
    return keys;
}

std::string vxlan_text(const std::string& name, const LiveDevice& device, const std::string& mac) {
    std::string all = "  " + name + ":\n";
    const auto line = [&all](const std::string& key, const std::string& value) {
        all += "    " + key + ": " + value + "\n";
    };
    for (const auto& [key, value] : keys_of(device))
        line(key, value.find_first_of(":#") == std::string::npos ? value : "\"" + value + "\"");
    if (!mac.empty()) line("mac", "\"" + mac + "\"");
    if (!device.port.empty()) line("ports", "[" + device.port + "]");
    if (!device.external) return all;
    std::string vnis, places;
    unsigned vid = 0;
    for (const std::uint32_t vni : device.vnis) {
        const std::string id = std::to_string(vni);
        vnis += (vnis.empty() ? "" : ",") + id;
        places += (places.empty() ? "" : ", ");
        places += "{vid: " + std::to_string(++vid) + ", id: " + id + "}";
    }
    // Without a filter it has all there are.
    line("vni", "\"" + (device.filtered || !vnis.empty() ? vnis : "1-16777215") + "\"");
    if (!vnis.empty() && !device.port.empty()) line("tunnel-info", "[" + places + "]");
    if (device.remotes.empty()) return all;
    all += "    fdb:\n";
    for (const auto& [vni, remotes] : device.remotes) {
        std::string list;
        for (const std::string& one : remotes) list += (list.empty() ? "\"" : ", \"") + one + "\"";
        all += "      - {mac: \"" + std::string(kNoMac) + "\", dst: [" + list +
               "], src-vni: " + std::to_string(vni) + "}\n";
    }
    return all;
}

}  // namespace

bool LiveDevice::over_ipv6() const {
    const auto is6 = [this](const char* key) {
        const auto at = keys.find(key);
        return at != keys.end() && at->second.find(':') != std::string::npos;
    };
    return is6("local") || is6("remote") || is6("group");
}

LiveCommands::LiveCommands(Live& live, LiveMachine& world, const Topology& topology)
    : live_{live}, world_{world}, topology_{topology} {}

std::string LiveCommands::text() const {
    std::map<std::string, std::string> ports;
    if (pvid_ != 0) ports["host"] = "pvid: " + std::to_string(pvid_);
    std::string all = world_.text(ports) + environment_;
    if (!groups_.empty()) all += "nexthops:\n";
    for (const auto& [id, members] : groups_) {
        std::string list;
        for (const std::string& one : members) list += (list.empty() ? "\"" : ", \"") + one + "\"";
        all += "  " + std::to_string(id) + ": {group: [" + list + "]}\n";
    }
    if (!devices_.empty()) all += "vxlans:\n";
    for (const auto& [name, device] : devices_) {
        const auto mac = topology_.macs.find(name);
        all += vxlan_text(name, device, mac == topology_.macs.end() ? "" : mac->second);
    }
    return all;
}

Live::Problems LiveCommands::apply(bool in_place) {
    return live_.change(text(), in_place);
}

Done LiveCommands::change_to(std::map<std::string, LiveDevice> next, bool in_place) {
    std::swap(devices_, next);
    const Live::Problems problems = apply(in_place);
    if (problems.empty()) return {};
    std::swap(devices_, next);
    return refuse(joined_problems(problems));
}

Done LiveCommands::add_link(Words words) {
    std::string name = words.next();
    LiveDevice device;
    if (name == "name") name = words.next();
    if (words.skip("mtu")) device.keys["mtu"] = words.next();
    if (!words.skip("type") || !words.skip("vxlan")) throw Unsupported{"another kind of device"};
    read_vxlan(words, device);
    if (devices_.contains(name)) return refuse("the name is taken");
    device.port = name == "vx0" ? "host" : "";
    auto next = devices_;
    next[name] = device;
    return change_to(std::move(next), false);
}

void LiveCommands::begin(const std::string& command, const std::set<std::uint32_t>& known) {
    Words words{words_of(command)};
    for (const char* word : {"ip", "link", "add", "vx0", "type", "vxlan"})
        if (!words.skip(word)) throw Unsupported{"`" + command + "`"};
    LiveDevice device;
    read_vxlan(words, device);
    device.port = "host";
    if (device.external && !device.filtered) device.vnis = known;
    devices_["vx0"] = device;
}

Done LiveCommands::set_link(Words words) {
    std::string name = words.next();
    if (name == "dev") name = words.next();
    if (!devices_.contains(name)) return refuse("there is no such device");
    auto next = devices_;
    LiveDevice& device = next[name];
    const std::string word = words.next();
    if (word == "up" || word == "down") {
        device.keys["state"] = word;
    } else if (word == "mtu") {
        device.keys["mtu"] = words.next();
    } else if (word == "type" && words.skip("vxlan")) {
        read_vxlan(words, device);
    } else {
        throw Unsupported{"ip link set " + word};
    }
    return change_to(std::move(next), true);
}

void LiveCommands::nexthop(Words words) {
    if (words.next() != "add" || words.next() != "id") throw Unsupported{"ip nexthop"};
    const auto id = static_cast<unsigned>(number(words.next(), 10));
    const std::string kind = words.next();
    const std::string value = words.next();
    if (kind == "via") {
        nexthops_[id] = value;
        return;
    }
    if (kind != "group") throw Unsupported{"ip nexthop " + kind};
    std::string members = value;
    std::replace(members.begin(), members.end(), '/', ' ');
    for (const std::string& one : words_of(members))
        groups_[id].push_back(nexthops_.at(static_cast<unsigned>(number(one, 10))));
}

Done LiveCommands::vni_command(Words words) {
    const std::string verb = words.next();
    if (verb == "show") {
        Done done;
        done.shown.emplace();
        const auto count = static_cast<std::uint16_t>(live_.bridge().segment_count());
        for (std::uint16_t i = 0; i < count; ++i)
            if (live_.bridge().is_used(i))
                done.shown->push_back(std::to_string(live_.bridge().segment(i).vni.number) +
                                      " vni");
        return done;
    }
    if (!words.skip("vni")) throw Unsupported{"bridge vni"};
    const std::string range = words.next();
    const std::string remote = words.skip("remote") ? words.next() : "";
    if (!words.skip("dev")) throw Unsupported{"bridge vni"};
    const std::size_t dash = range.find('-');
    const auto first = static_cast<std::uint32_t>(number(range.substr(0, dash), 10));
    const auto last = dash == std::string::npos
                          ? first
                          : static_cast<std::uint32_t>(number(range.substr(dash + 1), 10));
    auto next = devices_;
    LiveDevice& device = next.at(words.next());
    for (std::uint32_t vni = first; vni <= last; ++vni) {
        if (verb == "add") {
            device.vnis.insert(vni);
            if (!remote.empty()) device.remotes[vni] = {remote};
        } else if (device.vnis.erase(vni) == 0 && first == last) {
            return refuse("there is no such VNI");
        } else {
            device.remotes.erase(vni);
        }
    }
    return change_to(std::move(next), false);
}

void LiveCommands::untagged(std::uint32_t vni) {
    const LiveDevice& device = devices_.at("vx0");
    const auto at = device.vnis.find(vni);
    pvid_ = at == device.vnis.end()
                ? 0
                : 1 + static_cast<std::uint32_t>(std::distance(device.vnis.begin(), at));
}

void LiveCommands::set_tunnel(const std::map<std::string, std::string>& keys, std::uint32_t vni,
                              const std::string& remote) {
    LiveDevice& device = devices_.at("vx0");
    for (const auto& [key, value] : keys) device.keys[key] = value;
    if (device.vnis.contains(vni)) device.remotes[vni] = {remote};
}

Done LiveCommands::run(const std::string& command) {
    std::vector<std::string> said = words_of(command);
    if (said.size() > 1 && said[0] == "ip" &&
        (said[1] == "-6" || said[1] == "-4" || said[1] == "-d"))
        said.erase(said.begin() + 1);
    if (said.size() > 1 && said[0] == "bridge" && said[1] == "-s") said.erase(said.begin() + 1);
    Words words{said};
    const std::string tool = words.next();
    if (tool == "nft" || command == "true") return {};  // about marks, or nothing at all
    if (command.find("in bridge br1") != std::string::npos) {
        auto next = devices_;
        next.at(tool).port = "host2";
        return change_to(std::move(next), false);
    }
    const std::string object = words.next();
    const std::string verb = words.empty() ? "" : words.next();
    if (tool == "ip" && object == "link") {
        if (verb == "add") return add_link(words);
        if (verb == "set") return set_link(words);
        const std::string name = words.has("show") || words.empty() ? "" : words.next();
        if (verb == "show") return devices_.contains(name) ? Done{} : refuse("no such device");
        if (verb != "del") throw Unsupported{"ip link " + verb};
        auto next = devices_;
        return next.erase(name) == 0 ? refuse("no such device") : change_to(std::move(next), false);
    }
    if (tool == "ip" && object == "route" && verb == "get") return {};  // the kernel's own answer
    if (tool == "ip" && object == "nexthop") {
        Words again{said};
        again.next();
        again.next();
        nexthop(again);
        const Live::Problems problems = apply(true);
        return problems.empty() ? Done{} : refuse(joined_problems(problems));
    }
    if (tool == "ip" && object == "neigh" && verb == "add") {
        // ADDRESS lladdr MAC dev under: part of every file from now on.
        const std::string address = words.next();
        words.next();
        environment_ +=
            "  - {address: \"" + address + "\", lladdr: \"" + words.next() + "\", dev: wire}\n";
        return {};
    }
    Words rest{said};
    rest.next();
    rest.next();
    if (tool == "bridge" && object == "fdb") return fdb_command(rest);
    if (tool == "bridge" && object == "vni") return vni_command(rest);
    throw Unsupported{"`" + command.substr(0, 40) + "`"};
}

}  // namespace vxplane::oracle
