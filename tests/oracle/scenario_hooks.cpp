// The comparison.
#include "scenario_hooks.hpp"

#include <algorithm>

namespace vxplane::oracle {
namespace {

using table::Hook;

constexpr std::array<const char*, table::kHooks> kNames{"prerouting", "input", "forward", "output",
                                                        "postrouting"};

std::vector<std::string> namespaces(const IpvlanSetup& setup) {
    std::vector<std::string> all{"host"};
    for (const auto& [name, slave] : setup.slaves) all.push_back(name);
    return all;
}

/// Namespaces whose programs sent something may have sent it to themselves.
bool speaks(const Scenario& scenario, const std::string& name) {
    const std::vector<Passage> course = course_of(scenario);
    return std::any_of(course.begin(), course.end(),
                       [&](const Passage& passage) { return passage.speakers.contains(name); });
}

bool is_compared(const std::string& name, Hook hook, const IpvlanSetup& setup,
                 const HooksOfOthers& others) {
    const bool inwards = hook == Hook::prerouting || hook == Hook::input;
    if (others.fragments || hook == Hook::forward) return false;
    if (name != "host") return inwards;
    if (setup.mode == table::IpvlanMode::l2) return false;
    return inwards ? setup.mode == table::IpvlanMode::l3s && !others.host_is_given
                   : !others.host_sends;
}

}  // namespace

IpvlanSetup with_counting(IpvlanSetup setup) {
    for (const std::string& name : namespaces(setup)) {
        std::vector<NftRule>& rules = setup.rules[name];
        for (std::size_t hook = 0; hook < table::kHooks; ++hook)
            for (const char* all : {"0.0.0.0", "::"}) {
                NftRule one;
                one.rule.hook = static_cast<Hook>(hook);
                one.rule.priority = table::hook_priority::kRaw - 10;
                one.rule.source = table::RulePrefix(ip_address(all), 0);
                one.rule.id = static_cast<std::uint32_t>(rules.size());
                rules.push_back(one);
            }
    }
    return setup;
}

std::string hook_difference(const Scenario& scenario, IpvlanScene& scene, const IpvlanSetup& setup,
                            const HooksOfOthers& others) {
    for (const std::string& name : namespaces(setup)) {
        if (speaks(scenario, name)) continue;
        const auto rules = setup.rules.find(name);
        const std::size_t first = rules == setup.rules.end() ? 0 : rules->second.size();
        for (std::size_t i = 0; i < 2 * table::kHooks; ++i) {
            if (!is_compared(name, static_cast<Hook>(i / 2), setup, others)) continue;
            const std::string hook = std::string(i % 2 == 0 ? "v4_" : "v6_") + kNames.at(i / 2);
            const auto there = scenario.hooks.find(name);
            std::uint64_t theirs = 0;
            if (there != scenario.hooks.end())
                if (const auto count = there->second.find(hook); count != there->second.end())
                    theirs = count->second;
            const std::uint64_t mine =
                scene.matched(name, static_cast<std::uint32_t>(first + i)).packets;
            if (mine == theirs) continue;
            return name + " passes " + hook + " " + std::to_string(mine) + " times, kernel " +
                   std::to_string(theirs);
        }
    }
    return {};
}

}  // namespace vxplane::oracle
