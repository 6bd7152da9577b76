// One scene per state; every case is played three times, once for each way in which a frame can lie
// in memory, and must come out the same.
#include "ipvlan_replay.hpp"

#include "ipvlan_compare.hpp"
#include "ipvlan_facts.hpp"
#include "scenario_replay.hpp"

namespace vxplane::oracle {
namespace {

using support::Memory;

Result judge(const IpvlanCase& one, const IpvlanSetup& setup, IpvlanScene& scene,
             const std::vector<Rule>& rules) {
    const Outcome ours = scene.play(one.inject, Memory::pool);
    Facts facts = ipvlan_facts_of(one, setup);
    facts.insert(ours.facts.begin(), ours.facts.end());
    const std::string what = ipvlan_difference(one, ours, ours.frames, setup);
    if (!what.empty()) {
        IpvlanCase cut = one;
        cut.expect = without_padding(one);
        if (ipvlan_difference(one, ours, without_tag_at_host(ours.frames), setup).empty())
            facts.insert("only_tag_at_host_differs");
        else if (ipvlan_difference(cut, ours, ours.frames, setup).empty())
            facts.insert("only_padding_differs");
    }
    for (const Memory memory : {Memory::exact, Memory::split}) {
        const Outcome again = scene.play(one.inject, memory);
        if (again.frames != ours.frames || again.asked != ours.asked)
            return {one.id, Verdict::differs, "depends on how the frame lies in memory"};
        for (const std::string& fact : again.facts)
            if (fact.starts_with("broken_law")) facts.insert(fact);
    }
    return verdict_of(one.id, what, facts, rules);
}

}  // namespace

std::vector<Result> replay_cases(const IpvlanRecording& recording, const std::vector<Rule>& rules) {
    std::vector<Result> results;
    std::map<std::string, std::unique_ptr<IpvlanScene>> scenes;
    for (const IpvlanCase& one : recording.cases) {
        const IpvlanSetup setup = ipvlan_setup_of(recording, one.before);
        if (!setup.unsupported.empty()) {
            results.push_back({one.id, Verdict::unsupported, setup.unsupported});
            continue;
        }
        // The number of ports of a process is limited: besides the state that most cases share,
        // only the one in use is kept.
        const std::string key = nlohmann::json(one.before).dump();
        std::erase_if(scenes,
                      [&](const auto& old) { return old.first != key && old.first != "[]"; });
        auto& scene = scenes[key];
        if (!scene) scene = std::make_unique<IpvlanScene>(setup);
        results.push_back(judge(one, setup, *scene, rules));
    }
    return results;
}

std::vector<Result> replay_scenarios(const IpvlanRecording& recording,
                                     const std::vector<Rule>& rules) {
    std::vector<Result> results;
    for (const Scenario& one : recording.scenarios)
        results.push_back(replay(recording, one, rules));
    return results;
}

}  // namespace vxplane::oracle
