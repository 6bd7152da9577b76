// oracle-replay: plays recordings of the kernel's vxlan device and of its ipvlan driver to the data
// plane. Started by the script `replay`, or by hand.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <map>
#include <nlohmann/json.hpp>

#include "ipvlan_replay.hpp"
#include "json_file.hpp"
#include "live_replay.hpp"

using namespace vxplane::oracle;

namespace {

struct Played {
    std::string group;
    std::vector<Result> cases;
    std::vector<Result> scenarios{};
};

bool is_ipvlan(const std::string& path) {
    return format_of(path).starts_with("ipvlan-");
}

Played play(const std::string& path, const std::vector<Rule>& rules) {
    if (is_ipvlan(path)) {
        const IpvlanRecording recording = load_ipvlan_recording(path);
        return {recording.group, replay_cases(recording, rules),
                replay_scenarios(recording, rules)};
    }
    const Recording recording = load_recording(path);
    return {recording.group, replay(recording, rules)};
}

nlohmann::json json_of(const std::vector<Result>& results) {
    nlohmann::json all = nlohmann::json::array();
    for (const Result& one : results)
        all.push_back({one.id, static_cast<unsigned>(one.verdict), one.what});
    return all;
}

void append(std::vector<Result>& to, const nlohmann::json& results) {
    for (const auto& one : results)
        to.push_back({one.at(0), static_cast<Verdict>(one.at(1).get<unsigned>()), one.at(2)});
}

/// What goes through control, by path. In a process of its own, as DPDK starts once in each.
std::map<std::string, nlohmann::json> play_live(const std::vector<std::string>& paths,
                                                const std::vector<Rule>& rules) {
    int ends[2];
    if (pipe(ends) != 0) throw std::runtime_error("no pipe");
    const pid_t child = fork();
    if (child < 0) throw std::runtime_error("no second process");
    if (child == 0) {
        close(ends[0]);
        nlohmann::json all = nlohmann::json::object();
        try {
            for (const std::string& path : paths) {
                if (is_ipvlan(path)) continue;
                const Recording recording = load_recording(path);
                all[path] = {json_of(replay_live_cases(recording, rules)),
                             json_of(replay_live_scenarios(recording, rules))};
            }
        } catch (const std::exception& problem) {
            std::fprintf(stderr, "oracle-replay: %s\n", problem.what());
            _exit(2);
        }
        const std::string text = all.dump();
        for (std::size_t at = 0; at < text.size();) {
            const ssize_t n = write(ends[1], text.data() + at, text.size() - at);
            if (n <= 0) _exit(2);
            at += static_cast<std::size_t>(n);
        }
        _exit(0);
    }
    close(ends[1]);
    std::string text;
    char part[4096];
    for (ssize_t n = 0; (n = read(ends[0], part, sizeof part)) > 0;)
        text.append(part, static_cast<std::size_t>(n));
    close(ends[0]);
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0)
        throw std::runtime_error("what goes through control could not be played");
    return nlohmann::json::parse(text).get<std::map<std::string, nlohmann::json>>();
}

/// Totals of cases or of scenarios, and how often each cause decided.
struct Account {
    Totals all;
    std::map<std::string, unsigned> causes;

    /// A line for each, and one for all of them.
    void print(const std::string& group, const std::vector<Result>& results, const char* things) {
        if (results.empty()) return;
        Totals totals;
        for (const Result& result : results) {
            std::printf("%s/%s\n", group.c_str(), result.line().c_str());
            totals.add(result);
            all.add(result);
            if (result.verdict == Verdict::decided) ++causes["decided " + result.what];
            if (result.verdict == Verdict::unsupported) ++causes["unsupported " + result.what];
            if (result.verdict == Verdict::not_ours) ++causes["not ours " + result.what];
        }
        std::printf("%s: %s\n", group.c_str(), totals.line(things).c_str());
    }
    void print_causes() const {
        for (const auto& [cause, times] : causes) std::printf("%6u %s\n", times, cause.c_str());
    }
};

}  // namespace

int main(int count, char** words) try {
    if (count < 3 || words[1][0] == '-') {
        std::fprintf(stderr, "usage: oracle-replay DIFFERENCES_YAML DIR...\n");
        return 2;
    }
    const std::vector<Rule> rules = load_rules(words[1]);
    Account cases, scenarios;
    std::vector<std::string> paths;
    for (int i = 2; i < count; ++i)
        for (const std::string& path : recordings_in(words[i])) paths.push_back(path);
    const auto live = play_live(paths, rules);
    for (const std::string& path : paths) {
        Played played = play(path, rules);
        if (const auto more = live.find(path); more != live.end()) {
            append(played.cases, more->second.at(0));
            append(played.scenarios, more->second.at(1));
        }
        cases.print(played.group, played.cases, "cases");
        scenarios.print(played.group, played.scenarios, "scenarios");
    }
    std::printf("\n");
    cases.print_causes();
    std::printf("%s\n", cases.all.line().c_str());
    if (scenarios.all.of != Totals{}.of) {
        std::printf("\n");
        scenarios.print_causes();
        std::printf("%s\n", scenarios.all.line("scenarios").c_str());
    }
    return cases.all.differs() + scenarios.all.differs() == 0 ? 0 : 1;
} catch (const std::exception& problem) {
    std::fprintf(stderr, "oracle-replay: %s\n", problem.what());
    return 2;
}
