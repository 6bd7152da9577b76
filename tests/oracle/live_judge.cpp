// Differences of steps, and their facts.
#include "live_judge.hpp"

#include <algorithm>

#include "control/apply/words.hpp"

namespace vxplane::oracle {

Setup live_setup(const Topology& topology, const LiveDevice& device) {
    Setup setup = setup_of(topology, {}, {});
    const auto key = [&device](const char* name) {
        const auto at = device.keys.find(name);
        return at == device.keys.end() ? std::string{} : at->second;
    };
    setup.vni = key("id").empty() ? 1 : static_cast<std::uint32_t>(std::stoul(key("id")));
    setup.dstport = static_cast<std::uint16_t>(std::stoul("0" + key("dstport")));
    setup.ipv6 = device.over_ipv6();
    setup.mtu = setup.most();
    setup.options.fragments = !setup.ipv6;
    setup.options.group_policy = !key("gbp").empty();
    setup.local_foreign = false;
    return setup;
}

std::map<std::string, std::string> fdb_differences(const std::vector<std::string>& ours,
                                                   const std::vector<std::string>& theirs) {
    std::map<std::string, std::string> all;
    const auto note = [&all](const std::vector<std::string>& from,
                             const std::vector<std::string>& other, const char* who) {
        for (const std::string& line : from)
            if (std::find(other.begin(), other.end(), line) == other.end()) {
                std::string& text = all[line.substr(0, line.find(' '))];
                text += (text.empty() ? "" : ", ") + std::string(who) + ": " + line;
            }
    };
    note(ours, theirs, "ours");
    note(theirs, ours, "kernel");
    return all;
}

Facts facts_of_command(const LiveStep::Command& command, const Done& done,
                       const Topology& topology) {
    Facts facts{"vxlan", "scenario", "command"};
    std::string verb, before;
    for (const std::string& word : words_of(command.text)) {
        facts.insert("word:" + word);
        const bool is_name = word.find_first_of(".:0123456789") != std::string::npos;
        if (!is_name && words_of(verb).size() < 3) verb += (verb.empty() ? "" : " ") + word;
        const auto address = control::parse_ip(word);
        if (address) facts.insert(address->is_v4() ? "speaks_of_ipv4" : "speaks_of_ipv6");
        if (address && address->is_link_local()) facts.insert("link_local");
        const Setup own = setup_of(topology, {}, {});
        const bool is_own = address && std::find(own.addresses.begin(), own.addresses.end(),
                                                 *address) != own.addresses.end();
        if (before == "local" && address && !is_own) facts.insert("local_foreign");
        if (before == "dst" && is_own) facts.insert("remote_is_ours");
        const bool is_number = word.find_first_not_of("0123456789") == std::string::npos;
        if ((before == "id" || before == "vni") && is_number) {
            if (std::stoul(word) == 0) facts.insert("vni_zero");
            if (std::stoul(word) > 0xFFFFFF) facts.insert("vni_too_large");
        }
        if (word.starts_with("no") && word != "nolearning") facts.insert("flush_of_others");
        before = word;
    }
    facts.insert("command:" + verb);
    if (command.refused) facts.insert("kernel_refuses");
    if (done.refused) facts.insert("we_refuse");
    return facts;
}

std::vector<std::string> shown_in_our_words(const LiveStep::Command& command) {
    std::vector<std::string> all;
    std::string rest = command.said + "\n";
    for (std::size_t end = 0; (end = rest.find('\n')) != std::string::npos;
         rest.erase(0, end + 1)) {
        const std::vector<std::string> words = words_of(rest.substr(0, end));
        if (words.empty()) continue;
        if (command.text.find(" fdb ") != std::string::npos) {
            all.push_back(in_our_words(rest.substr(0, end)));
            continue;
        }
        // "vx0 100", and "101 GROUP" in the lines that follow, between lines of counters.
        const std::string& vni = words[0] == "vx0" ? words.at(1) : words[0];
        if (vni.find_first_not_of("0123456789") == std::string::npos) all.push_back(vni + " vni");
    }
    std::erase(all, "");
    return all;
}

bool is_from_link_local(const Injected& injected) {
    const Bytes& frame = injected.frame;
    return injected.port == "wire" && frame.size() > 54 && frame[12] == 0x86 && frame[22] == 0xFE &&
           (frame[23] & 0xC0U) == 0x80;
}

bool tells_of_a_path(const Injected& injected) {
    constexpr std::size_t kIcmp = 14 + 20;
    const Bytes& frame = injected.frame;
    return injected.port == "wire" && frame.size() > kIcmp + 8 && frame[12] == 0x08 &&
           frame[13] == 0x00 && frame[23] == 1 && frame[kIcmp] == 3 && frame[kIcmp + 1] == 4;
}

std::set<std::string> addresses_in(const Bytes& frame) {
    std::set<std::string> all;
    const auto at = [&](std::size_t place) {
        if (frame.size() < place + 6) return;
        net::MacAddress mac;
        std::copy_n(frame.begin() + static_cast<std::ptrdiff_t>(place), 6, mac.bytes.begin());
        all.insert(control::text(mac));
    };
    at(0);
    at(6);
    if (frame.size() > 14 && (frame[12] == 0x08 || frame[12] == 0x86)) {
        const std::size_t inner = frame[12] == 0x08 ? 14 + 20 + 16 : 14 + 40 + 16;
        at(inner);
        at(inner + 6);
    }
    return all;
}

std::uint32_t vni_of(const Injected& injected) {
    const Bytes& frame = injected.frame;
    if (injected.port != "wire" || frame.size() < 14) return 0;
    const std::size_t at = (frame[12] == 0x08 ? 14 + 20 : 14 + 40) + 8 + 4;
    if (frame.size() < at + 3) return 0;
    return static_cast<std::uint32_t>(frame[at] << 16 | frame[at + 1] << 8 | frame[at + 2]);
}

}  // namespace vxplane::oracle
