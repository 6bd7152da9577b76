// Reading of nft tables.
#include "nft_rules.hpp"

#include <algorithm>
#include <map>
#include <optional>

#include "ipvlan_setup.hpp"
#include "words.hpp"

namespace vxplane::oracle {
namespace {

using table::Hook;
using table::RuleVerdict;

/// Words of the language; ';', '{', '}' and the end of a line are words, a quoted text is one.
std::vector<std::string> nft_words(const std::string& text) {
    std::vector<std::string> all;
    std::string word;
    const auto end_word = [&] {
        if (!word.empty()) all.push_back(word);
        word.clear();
    };
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '"') {
            const std::size_t end = text.find('"', i + 1);
            if (end == std::string::npos) throw Unsupported{"nft: quote without its end"};
            word += text.substr(i + 1, end - i - 1);
            i = end;
        } else if (c == ';' || c == '{' || c == '}' || c == '\n') {
            end_word();
            all.emplace_back(c == '\n' ? ";" : std::string(1, c));
        } else if (c == ' ' || c == '\t') {
            end_word();
        } else {
            word += c;
        }
    }
    end_word();
    return all;
}

template <class Value>
Value word_among(const std::map<std::string, Value>& known, const std::string& word) {
    const auto found = known.find(word);
    if (found == known.end()) throw Unsupported{"nft " + word};
    return found->second;
}

Hook hook_of(const std::string& word) {
    return word_among<Hook>({{"prerouting", Hook::prerouting},
                             {"input", Hook::input},
                             {"forward", Hook::forward},
                             {"output", Hook::output},
                             {"postrouting", Hook::postrouting}},
                            word);
}

int priority_of(const std::string& word) {
    static const std::map<std::string, int> kNames{{"raw", -300},    {"mangle", -150},
                                                   {"dstnat", -100}, {"filter", 0},
                                                   {"security", 50}, {"srcnat", 100}};
    const auto named = kNames.find(word);
    return named != kNames.end() ? named->second : std::stoi(word);
}

std::uint8_t states_of(const std::string& words) {
    using table::CtState;
    static const std::map<std::string, CtState> kStates{{"new", CtState::fresh},
                                                        {"established", CtState::established},
                                                        {"related", CtState::related},
                                                        {"invalid", CtState::invalid},
                                                        {"untracked", CtState::untracked}};
    std::uint8_t states = 0;
    for (std::size_t at = 0; at <= words.size();) {
        const std::size_t end = std::min(words.find(',', at), words.size());
        states |= static_cast<std::uint8_t>(word_among(kStates, words.substr(at, end - at)));
        at = end + 1;
    }
    return states;
}

table::PortRange ports_of(const std::string& text) {
    const std::size_t dash = text.find('-');
    const auto low = static_cast<std::uint16_t>(number(text.substr(0, dash), 10));
    return {low, dash == std::string::npos
                     ? low
                     : static_cast<std::uint16_t>(number(text.substr(dash + 1), 10))};
}

table::RulePrefix prefix_of(const std::string& text) {
    const std::size_t slash = text.find('/');
    const net::IpAddress address = ip_address(text.substr(0, slash));
    const unsigned whole = address.is_v4() ? 32 : 128;
    return {address, slash == std::string::npos
                         ? whole
                         : static_cast<unsigned>(number(text.substr(slash + 1), 10))};
}

/// "10.1.0.1:9", "10.1.0.1", ":8080", "[fd00::1]:9"
void read_target(const std::string& text, table::HookRule& rule) {
    std::string address = text;
    std::string ports;
    if (text.starts_with('[')) {
        const std::size_t end = text.find(']');
        address = text.substr(1, end - 1);
        if (end + 1 < text.size()) ports = text.substr(end + 2);
    } else if (const std::size_t colon = text.find(':');
               colon != std::string::npos && text.find(':', colon + 1) == std::string::npos) {
        address = text.substr(0, colon);
        ports = text.substr(colon + 1);
    }
    if (!address.empty()) rule.to = ip_address(address);
    if (!ports.empty()) rule.to_ports = ports_of(ports);
}

/// One rule, from its first word to its end.
class RuleReader {
  public:
    RuleReader(const std::string& device, NftRule start) : device_{device}, made_{start} {}

    /// False: it says nothing, not even that it counts.
    bool read(Words words, bool& has_verdict) {
        while (!words.empty()) {
            const std::string word = words.next();
            if (word == "counter") {
                made_.counts = true;
            } else if (word == "comment") {
                words.next();
            } else if (word == "iifname" || word == "oifname") {
                const bool other = words.skip("!=");
                if ((words.next() == device_) == other) made_.never = true;
            } else if (word == "meta") {
                words.next();
                words.next();
                made_.unknown = true;
            } else if (!match(word, words)) {
                verdict(word, words);
                has_verdict = true;
            }
        }
        if (has_verdict && made_.unknown) throw Unsupported{"nft meta"};
        return has_verdict || made_.counts;
    }
    [[nodiscard]] const NftRule& made() const { return made_; }

  private:
    bool match(const std::string& word, Words& words) {
        table::HookRule& rule = made_.rule;
        if (word == "ip" || word == "ip6") {
            const std::string end = words.next();
            if (end != "saddr" && end != "daddr") throw Unsupported{"nft " + word + " " + end};
            (end == "saddr" ? rule.source : rule.destination) = prefix_of(words.next());
        } else if (word == "udp" || word == "tcp") {
            rule.any_protocol = false;
            rule.protocol = word == "udp" ? 17 : 6;
            const std::string end = words.next();
            if (end != "sport" && end != "dport") throw Unsupported{"nft " + word + " " + end};
            (end == "sport" ? rule.source_ports : rule.destination_ports) = ports_of(words.next());
        } else if (word == "ct") {
            if (!words.skip("state")) throw Unsupported{"nft ct " + words.next()};
            rule.states = states_of(words.next());
        } else {
            return false;
        }
        return true;
    }
    void verdict(const std::string& word, Words& words) {
        made_.rule.verdict = word_among<RuleVerdict>({{"accept", RuleVerdict::accept},
                                                      {"drop", RuleVerdict::drop},
                                                      {"reject", RuleVerdict::reject},
                                                      {"return", RuleVerdict::return_},
                                                      {"notrack", RuleVerdict::notrack},
                                                      {"dnat", RuleVerdict::dnat},
                                                      {"snat", RuleVerdict::snat},
                                                      {"masquerade", RuleVerdict::masquerade}},
                                                     word);
        if (word == "reject" && words.skip("with"))
            while (!words.empty()) words.next();  // which error it is, is control's
        if (word != "dnat" && word != "snat") return;
        std::string next = words.next();
        if (next == "ip" || next == "ip6") next = words.next();
        if (next != "to") throw Unsupported{"nft " + word + " " + next};
        read_target(words.next(), made_.rule);
    }

    const std::string& device_;
    NftRule made_;
};

/// One chain; its rules go to the end of `rules`.
class ChainReader {
  public:
    ChainReader(const std::string& device, std::vector<NftRule>& rules)
        : device_{device}, rules_{rules} {}

    /// "type filter hook input priority 0", "policy accept", or a rule.
    void line(const std::vector<std::string>& words) {
        if (words.empty()) return;
        Words rest{words};
        if (rest.skip("type")) {
            rest.next();
            while (!rest.empty()) {
                const std::string word = rest.next();
                if (word == "hook")
                    hook_ = hook_of(rest.next());
                else if (word == "priority")
                    priority_ = priority_of(rest.next());
            }
            return;
        }
        if (rest.skip("policy")) {
            drops_ = rest.next() == "drop";
            return;
        }
        NftRule start;
        start.rule.hook = hook_;
        start.rule.priority = priority_;
        RuleReader reader{device_, start};
        bool has_verdict = false;
        if (!reader.read(Words{words}, has_verdict)) throw Unsupported{"nft " + words.front()};
        add(reader.made(), has_verdict);
    }
    void end() {
        if (!drops_) return;
        NftRule last;
        last.rule.hook = hook_;
        last.rule.priority = priority_;
        last.rule.verdict = RuleVerdict::drop;
        add(last, true);
    }

  private:
    void add(NftRule made, bool has_verdict) {
        if (turn_ > ended_at_) throw Unsupported{"nft: accept before a rule that only counts"};
        made.rule.priority = priority_ + turn_;
        made.rule.id = static_cast<std::uint32_t>(rules_.size());
        rules_.push_back(made);
        // The next rule is of the next priority, so that this one does not end it.
        if (!has_verdict) ++turn_;
        const bool ends =
            made.rule.verdict == RuleVerdict::return_ || made.rule.verdict == RuleVerdict::accept;
        if (has_verdict && ends) ended_at_ = std::min(ended_at_, turn_);
    }

    const std::string& device_;
    std::vector<NftRule>& rules_;
    Hook hook_ = Hook::forward;
    int priority_ = 0;
    int turn_ = 0;
    bool drops_ = false;
    int ended_at_ = 1000;
};

}  // namespace

void read_nft(const std::string& text, const std::string& device, std::vector<NftRule>& rules) {
    const std::vector<std::string> all = nft_words(text);
    std::vector<std::string> line;
    std::optional<ChainReader> chain;
    for (const std::string& word : all) {
        if (word == "{") {
            if (line.empty() || (line[0] != "table" && line[0] != "chain"))
                throw Unsupported{"nft: " + (line.empty() ? "{" : line[0])};
            if (line[0] == "chain") chain.emplace(device, rules);
            line.clear();
        } else if (word == ";" || word == "}") {
            if (chain)
                chain->line(line);
            else if (!line.empty())
                throw Unsupported{"nft " + line[0]};
            line.clear();
            if (word == "}" && chain) {
                chain->end();
                chain.reset();
            }
        } else {
            line.push_back(word);
        }
    }
}

}  // namespace vxplane::oracle
