// The carried recordings as far as they go through control, and proof that the comparison sees.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "json_file.hpp"
#include "live_replay.hpp"

using namespace vxplane::oracle;

namespace {

const std::string kCarried = VXPLANE_ORACLE_FOLDER;

const std::vector<Rule>& meant() {
    static const std::vector<Rule> all = load_rules(kCarried + "/differences.yaml");
    return all;
}

bool goes_through_control(const Recording& recording, const Case& one) {
    const auto config = recording.configs.find(one.config);
    return config != recording.configs.end() && is_live(config->second);
}

/// Read once.
const Recording& carried(const std::string& path) {
    static std::map<std::string, Recording> all;
    const auto [at, is_new] = all.try_emplace(path);
    if (is_new) at->second = load_recording(path);
    return at->second;
}

std::vector<std::string> live_recordings() {
    std::vector<std::string> paths = recordings_in(kCarried + "/vxlan");
    std::erase_if(paths, [](const std::string& path) {
        const Recording& recording = carried(path);
        return recording.scenarios.empty() &&
               std::none_of(recording.cases.begin(), recording.cases.end(),
                            [&](const Case& one) { return goes_through_control(recording, one); });
    });
    return paths;
}

class OracleLive : public testing::TestWithParam<std::string> {
  protected:
    Recording recording = carried(GetParam());

    std::vector<Result> scenarios() { return replay_live_scenarios(recording, meant()); }
    /// Those of the recording as it is. Played once.
    const std::vector<Result>& unchanged() {
        static std::map<std::string, std::vector<Result>> all;
        const auto [at, is_new] = all.try_emplace(GetParam());
        if (is_new) at->second = replay_live_scenarios(carried(GetParam()), meant());
        return at->second;
    }

    /// Changes every step, and each scenario that `change` changed must be seen to differ, those
    /// that were equal at each changed step.
    template <class Change>
    void expect_noticed(Change change) {
        const std::vector<Result>& before = unchanged();
        std::vector<unsigned> changed;
        for (LiveScenario& scenario : recording.scenarios) {
            changed.push_back(0);
            for (LiveStep& step : scenario.steps)
                if (step.seen.not_comparable.empty() && change(step)) ++changed.back();
        }
        const std::vector<Result> after = scenarios();
        ASSERT_EQ(after.size(), before.size());
        for (std::size_t i = 0; i < after.size(); ++i) {
            if (changed[i] == 0) {
                EXPECT_EQ(after[i].verdict, before[i].verdict) << after[i].line();
                continue;
            }
            EXPECT_EQ(after[i].verdict, Verdict::differs) << after[i].line();
            if (before[i].verdict != Verdict::match) continue;
            unsigned told = 0;
            for (std::size_t at = 0; (at = after[i].what.find("step ", at)) != std::string::npos;
                 ++at)
                ++told;
            EXPECT_GE(told, changed[i]) << after[i].line();
        }
    }
};

TEST_P(OracleLive, cases_and_scenarios_are_those_of_the_kernel) {
    Totals cases, courses;
    for (const Result& result : replay_live_cases(recording, meant())) {
        cases.add(result);
        EXPECT_NE(result.verdict, Verdict::differs) << result.line();
    }
    for (const Result& result : unchanged()) {
        courses.add(result);
        EXPECT_NE(result.verdict, Verdict::differs) << result.line();
    }
    std::printf("%s\n%s\n", cases.line().c_str(), courses.line("scenarios").c_str());
    EXPECT_GT(cases.of[0] + courses.of[0] + courses.of[2], 0U);
}

TEST_P(OracleLive, a_changed_byte_of_a_case_is_noticed) {
    std::erase_if(recording.cases,
                  [this](const Case& one) { return !goes_through_control(recording, one); });
    const std::vector<Result> before = replay_live_cases(recording, meant());
    for (std::size_t i = 0; i < recording.cases.size(); ++i) {
        auto& expect = recording.cases[i].expect;
        if (before[i].verdict == Verdict::match && !expect.empty())
            expect.begin()->second.front().back() ^= 1;
    }
    const std::vector<Result> after = replay_live_cases(recording, meant());
    for (std::size_t i = 0; i < recording.cases.size(); ++i) {
        const bool changed =
            before[i].verdict == Verdict::match && !recording.cases[i].expect.empty();
        EXPECT_EQ(after[i].verdict, changed ? Verdict::differs : before[i].verdict)
            << after[i].line();
    }
}

TEST_P(OracleLive, a_changed_byte_of_a_step_is_noticed) {
    expect_noticed([](LiveStep& step) {
        if (step.seen.expect.empty()) return false;
        step.seen.expect.begin()->second.front().back() ^= 1;
        return true;
    });
}

TEST_P(OracleLive, an_entry_that_is_elsewhere_is_noticed) {
    // Each step shows another one, so that it is no difference of the step before.
    unsigned number = 0;
    expect_noticed([&number](LiveStep& step) {
        if (!step.fdb) return false;
        step.fdb->push_back("02:00:00:00:77:" + std::to_string(10 + ++number % 90) +
                            " dst 10.10.10.15 self static");
        return true;
    });
}

TEST_P(OracleLive, a_command_that_the_kernel_answers_otherwise_is_noticed) {
    expect_noticed([](LiveStep& step) {
        if (step.commands.empty()) return false;
        // Some of ours are no question to anybody, and cannot be refused.
        LiveStep::Command& first = step.commands.front();
        if (!first.text.starts_with("bridge fdb")) return false;
        first.refused = !first.refused;
        return true;
    });
}

INSTANTIATE_TEST_SUITE_P(recorded, OracleLive, testing::ValuesIn(live_recordings()),
                         [](const testing::TestParamInfo<std::string>& one) {
                             const std::string name = std::filesystem::path(one.param).filename();
                             return name.substr(0, name.find('.'));
                         });

}  // namespace
