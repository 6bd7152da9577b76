// The comparison.
#include "scenario_query.hpp"

#include <arpa/inet.h>

#include <algorithm>

#include "json_file.hpp"
#include "words.hpp"

namespace vxplane::oracle {
namespace {

/// "ip netns exec NAME ..."; else the host's.
std::string namespace_of(const std::string& command) {
    const std::vector<std::string> words = words_of(command);
    const auto exec = std::find(words.begin(), words.end(), "exec");
    return exec == words.end() || exec + 1 == words.end() ? "host" : *(exec + 1);
}

std::string text_of(const net::IpAddress& address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    const bool v4 = address.is_v4();
    inet_ntop(v4 ? AF_INET : AF_INET6, address.bytes.data() + (v4 ? 12 : 0), text.data(),
              text.size());
    return text.data();
}

std::string text_of(const table::ConnTuple& tuple) {
    std::string text = " " + text_of(tuple.source) + " " + text_of(tuple.destination);
    if (!tuple.is_icmp())
        text += " " + std::to_string(tuple.source_port.value()) + " " +
                std::to_string(tuple.destination_port.value());
    return text;
}

std::string text_of(const table::Connection& one) {
    static const std::map<unsigned, std::string> kNames{
        {1, "icmp"}, {6, "tcp"}, {17, "udp"}, {58, "icmpv6"}};
    const auto name = kNames.find(one.original.tuple.protocol);
    return (name == kNames.end() ? "unknown" : name->second) + text_of(one.original.tuple) +
           text_of(one.reply.tuple) + (one.has(table::Connection::kSeenReply) ? "" : " unreplied");
}

/// The host's own stack has hooks of its own behind the twin.
bool is_judged_here(const std::string& name, table::IpvlanMode mode, table::Hook hook) {
    if (name != "host" || mode == table::IpvlanMode::l3s) return true;
    return mode == table::IpvlanMode::l3 &&
           (hook == table::Hook::output || hook == table::Hook::postrouting);
}

std::string counter_difference(const std::string& name, const std::string& text, IpvlanScene& scene,
                               const IpvlanSetup& setup) {
    const auto found = setup.rules.find(name);
    if (found == setup.rules.end()) return name + " has no rules";
    const std::vector<table::RuleCounters::Count> theirs = counters_in(text);
    std::size_t at = 0;
    for (const NftRule& one : found->second) {
        if (!one.counts) continue;
        if (at == theirs.size()) return name + ": the kernel has fewer counters";
        const table::RuleCounters::Count kernel = theirs[at++];
        if (one.unknown || !is_judged_here(name, setup.mode, one.rule.hook)) continue;
        const table::RuleCounters::Count mine = scene.matched(name, one.rule.id);
        if (mine.packets != kernel.packets || mine.bytes != kernel.bytes)
            return name + ": counter " + std::to_string(at) + " has " +
                   std::to_string(mine.packets) + " packets and " + std::to_string(mine.bytes) +
                   " bytes, kernel " + std::to_string(kernel.packets) + " and " +
                   std::to_string(kernel.bytes);
    }
    return at == theirs.size() ? std::string{} : name + ": the kernel has more counters";
}

std::set<std::string> connections_of(IpvlanScene& scene) {
    std::set<std::string> all;
    if (scene.conntrack() == nullptr) return all;
    for (std::uint32_t place = 0; place < scene.conntrack()->places(); ++place)
        if (table::Connection copy; scene.conntrack()->read(place, copy)) all.insert(text_of(copy));
    return all;
}

}  // namespace

std::set<std::string> connections_in(const std::string& text) {
    std::set<std::string> all;
    std::string line;
    bool answered = true;
    for (const std::string& word : words_of(text + " udp")) {
        const std::size_t equal = word.find('=');
        if (word == "udp" || word == "tcp" || word == "icmp" || word == "icmpv6") {
            if (line.find(' ') != std::string::npos)
                all.insert(line + (answered ? "" : " unreplied"));
            line = word;
            answered = true;
        } else if (word == "[UNREPLIED]") {
            answered = false;
        } else if (word.starts_with("src=") || word.starts_with("dst=") ||
                   word.starts_with("sport=") || word.starts_with("dport=")) {
            line += " " + word.substr(equal + 1);
        }
    }
    return all;
}

std::vector<table::RuleCounters::Count> counters_in(const std::string& text) {
    std::vector<table::RuleCounters::Count> all;
    const std::vector<std::string> words = words_of(text);
    for (std::size_t i = 0; i + 4 < words.size(); ++i)
        if (words[i] == "counter" && words[i + 1] == "packets" && words[i + 3] == "bytes")
            all.push_back({number(words[i + 2], 10), number(words[i + 4], 10)});
    return all;
}

std::string query_difference(const Scenario& scenario, IpvlanScene& scene,
                             const IpvlanSetup& setup) {
    const std::set<std::string> mine = connections_of(scene);
    std::set<std::string> extra = mine;
    bool asked_host = false;
    for (const auto& [command, text] : scenario.queries) {
        const std::string name = namespace_of(command);
        if (command.find("nft list") != std::string::npos) {
            if (std::string what = counter_difference(name, text, scene, setup); !what.empty())
                return what;
        } else if (command.find("conntrack -L") != std::string::npos) {
            if (name == "host" && setup.mode == table::IpvlanMode::l2) continue;
            // The kernel tracks in a namespace only when a rule there needs it.
            asked_host = asked_host || (name == "host" && setup.rules.contains(name));
            for (const std::string& one : connections_in(text)) {
                if (!mine.contains(one)) return name + ": no connection " + one;
                extra.erase(one);
            }
        }
    }
    if (asked_host && setup.mode == table::IpvlanMode::l3s && !extra.empty())
        return "the kernel has no connection " + *extra.begin();
    return {};
}

}  // namespace vxplane::oracle
