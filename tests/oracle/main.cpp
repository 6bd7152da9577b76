// oracle-replay: plays recordings of the kernel's vxlan device and of its ipvlan driver to the data
// plane. Started by the script `replay`, or by hand.
#include <cstdio>
#include <exception>
#include <map>

#include "ipvlan_replay.hpp"
#include "json_file.hpp"
#include "replay.hpp"

using namespace vxplane::oracle;

namespace {

struct Played {
    std::string group;
    std::vector<Result> cases;
    std::vector<Result> scenarios{};
};

Played play(const std::string& path, const std::vector<Rule>& rules) {
    if (format_of(path).starts_with("ipvlan-")) {
        const IpvlanRecording recording = load_ipvlan_recording(path);
        return {recording.group, replay_cases(recording, rules),
                replay_scenarios(recording, rules)};
    }
    const Recording recording = load_recording(path);
    return {recording.group, replay(recording, rules)};
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
    for (const std::string& path : paths) {
        const Played played = play(path, rules);
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
