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
    std::vector<Result> results;
};

Played play(const std::string& path, const std::vector<Rule>& rules) {
    if (format_of(path).starts_with("ipvlan-")) {
        const IpvlanRecording recording = load_ipvlan_recording(path);
        return {recording.group, replay(recording, rules)};
    }
    const Recording recording = load_recording(path);
    return {recording.group, replay(recording, rules)};
}

}  // namespace

int main(int count, char** words) try {
    if (count < 3 || words[1][0] == '-') {
        std::fprintf(stderr, "usage: oracle-replay DIFFERENCES_YAML DIR...\n");
        return 2;
    }
    const std::vector<Rule> rules = load_rules(words[1]);
    Totals all;
    std::map<std::string, unsigned> causes;
    std::vector<std::string> paths;
    for (int i = 2; i < count; ++i)
        for (const std::string& path : recordings_in(words[i])) paths.push_back(path);
    for (const std::string& path : paths) {
        const Played played = play(path, rules);
        Totals totals;
        for (const Result& result : played.results) {
            std::printf("%s/%s\n", played.group.c_str(), result.line().c_str());
            totals.add(result);
            all.add(result);
            if (result.verdict == Verdict::decided) ++causes["decided " + result.what];
            if (result.verdict == Verdict::unsupported) ++causes["unsupported " + result.what];
        }
        std::printf("%s: %s\n", played.group.c_str(), totals.line().c_str());
    }
    std::printf("\n");
    for (const auto& [cause, times] : causes) std::printf("%6u %s\n", times, cause.c_str());
    std::printf("%s\n", all.line().c_str());
    return all.differs() == 0 ? 0 : 1;
} catch (const std::exception& problem) {
    std::fprintf(stderr, "oracle-replay: %s\n", problem.what());
    return 2;
}
