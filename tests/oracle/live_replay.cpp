// Scenarios: commands and frames step by step. What differs at a step and did not before must be
// meant by a rule.
#include "live_replay.hpp"

#include <algorithm>

#include "compare.hpp"
#include "live_judge.hpp"

namespace vxplane::oracle {
namespace {

class Course {
  public:
    Course(const Recording& recording, const LiveScenario& scenario, const std::vector<Rule>& rules)
        : recording_{recording},
          scenario_{scenario},
          rules_{rules},
          world_{LiveMachine::get(recording.topology)},
          live_{world_},
          commands_{live_, world_, recording.topology} {}

    Result play() {
        try {
            begin();
            for (const LiveStep& step : scenario_.steps) take(step);
        } catch (const Unsupported& problem) {
            return {scenario_.id, Verdict::unsupported, problem.what};
        }
        if (!undecided_.empty()) return {scenario_.id, Verdict::differs, undecided_};
        std::string names;
        for (const std::string& name : names_) names += (names.empty() ? "" : ", ") + name;
        return {scenario_.id, names.empty() ? Verdict::match : Verdict::decided, names};
    }

  private:
    void begin() {
        const Config& config = recording_.configs.at(scenario_.config);
        for (const auto* commands : {&config.environment, &config.commands, &config.later})
            for (const std::string& command : *commands) {
                if (is_live(config) && command.starts_with("ip link add"))
                    commands_.begin(command, {});
                else
                    run_setup(command);
            }
        if (!config.up) run_setup("ip link set vx0 down");
    }
    void run_setup(const std::string& command) {
        const Config& config = recording_.configs.at(scenario_.config);
        const auto& refused = config.refused;
        LiveStep beginning;
        beginning.seen.id = "beginning";
        Facts facts;
        take({command, std::find(refused.begin(), refused.end(), command) != refused.end(), {}},
             beginning, facts);
        if (!commands_.has_device() && facts.contains("we_refuse"))
            throw Unsupported{"`" + command + "`"};
    }

    void take(const LiveStep& step) {
        Facts happened{"vxlan", "scenario"};
        strays_.clear();
        for (const LiveStep::Command& command : step.commands) take(command, step, happened);
        live_.pass(std::chrono::milliseconds(static_cast<int>(step.wait * 1000)));
        Frames ours = live_.take_sent();
        Facts facts = happened;
        see_vni_of(step);
        if (path_was_told_) facts.insert("path_was_told");
        for (const Injected& injected : step.seen.inject)
            path_was_told_ = path_was_told_ || tells_of_a_path(injected);
        for (const Injected& injected : step.seen.inject)
            if (is_from_link_local(injected)) facts.insert("outer_link_local");
        for (const Injected& injected : step.seen.inject)
            for (auto& [port, frames] : live_.receive(injected.port, injected.frame, facts))
                for (Bytes& frame : frames) ours[port].push_back(std::move(frame));
        const Setup setup = live_setup(recording_.topology, commands_.device());
        note_device(facts);
        facts.merge(facts_of(step.seen, setup, recording_.topology));
        if (ours.empty()) facts.insert("we_are_silent");
        if (ours.contains("host") || ours.contains("host2")) facts.insert("we_deliver");
        if (const std::string law = live_.broken_law(); !law.empty())
            facts.insert("broken_law: " + law);
        compare_frames(step, ours, setup, facts);
        compare_fdb(step, facts);
    }

    /// The recorded bridge knows no VNIs: what comes out of one is looked at where it has no tag.
    void see_vni_of(const LiveStep& step) {
        if (!commands_.device().external) return;
        for (const Injected& injected : step.seen.inject)
            if (const std::uint32_t vni = vni_of(injected)) commands_.untagged(vni);
        commands_.apply(true);
    }

    void take(const LiveStep::Command& command, const LiveStep& step, Facts& happened) {
        const Done done = commands_.run(command.text);
        Facts facts = facts_of_command(command, done, recording_.topology);
        const std::vector<std::string> words = words_of(command.text);
        for (const std::string& word : words) {
            if (done.refused) refused_.insert(word);
            if (const auto at = decided_.find(word); at != decided_.end())
                facts.insert({"entry_differs", "entry_differs:" + at->second});
        }
        note_device(facts);
        for (const std::string& fact : happened)
            if (fact.starts_with("word:")) facts.insert("earlier:" + fact.substr(5));
        happened.insert(facts.begin(), facts.end());
        if (done.refused != command.refused) {
            // What is not there for one of the two cannot be set, shown or removed.
            const bool about_stray = std::any_of(words.begin(), words.end(), [&](const auto& word) {
                return strays_.contains(word);
            });
            if (about_stray) return;
            if (facts.contains("command:ip link add") && words.size() > 3) strays_.insert(words[3]);
            const std::string who = done.refused ? ": refused (" + done.why + "), kernel does it"
                                                 : ": done, kernel refuses";
            decide(step, {"`" + command.text + "`" + who, std::move(facts)});
        } else if (done.shown) {
            for (const auto& [address, what] :
                 fdb_differences(*done.shown, shown_in_our_words(command)))
                if (shown_.insert(what).second)
                    decide(step, {what, facts_of_entry(address, what, facts), address});
        }
    }

    void compare_frames(const LiveStep& step, const Frames& ours, const Setup& setup, Facts facts) {
        if (step.seen.not_comparable.starts_with("unstable")) return;
        const std::string what = difference(recording_, step.seen, ours, setup);
        if (what.empty()) return;
        for (const Injected& injected : step.seen.inject)
            for (const std::string& address : addresses_in(injected.frame))
                if (const auto at = decided_.find(address); at != decided_.end()) {
                    facts.insert("entry_differs");
                    facts.insert("entry_differs:" + at->second);
                }
        for (const std::string& line : known_)
            for (const Injected& injected : step.seen.inject)
                if (addresses_in(injected.frame).contains(line.substr(0, 17)))
                    for (const std::string& word : words_of(line)) facts.insert("about:" + word);
        if (difference(recording_, without_own(step.seen), ours, setup).empty())
            facts.insert("only_own_stack_differs");
        decide(step, {what, std::move(facts)});
    }

    /// Without what the VTEP's own IP stack sent to the wire.
    static Case without_own(Case one) {
        const auto wire = one.expect.find("wire");
        if (wire == one.expect.end()) return one;
        std::erase_if(wire->second, is_own_stack);
        if (wire->second.empty()) one.expect.erase(wire);
        return one;
    }

    void compare_fdb(const LiveStep& step, const Facts& facts) {
        if (!step.fdb) return;
        std::vector<std::string> theirs;
        for (const std::string& line : *step.fdb) theirs.push_back(in_our_words(line));
        const auto now = fdb_differences(commands_.fdb(), theirs);
        for (const auto& [address, what] : now) {
            if (const auto was = different_.find(address);
                was != different_.end() && was->second == what)
                continue;
            Facts all = facts_of_entry(address, what, facts);
            for (const Injected& injected : step.seen.inject)
                if (addresses_in(injected.frame).contains(address))
                    all.insert("entry_of_this_frame");
            for (const std::string& line : *step.fdb)
                if (line.starts_with(address))
                    for (const std::string& word : words_of(line)) all.insert("entry:" + word);
            if (const auto at = decided_.find(address); at != decided_.end())
                all.insert("after:" + at->second);
            decide(step, {what, std::move(all), address});
        }
        for (const auto& [address, what] : different_)
            if (!now.contains(address)) decided_.erase(address);
        different_ = now;
        known_ = *step.fdb;
    }

    void note_device(Facts& facts) const {
        if (!commands_.has_device()) return;
        for (const char* key : {"maxaddr", "gbp"})
            if (commands_.device().keys.contains(key)) facts.insert(key);
        if (commands_.device().external) facts.insert("external");
        if (!commands_.device().keys.contains("df")) facts.insert("df_unset");
    }

    Facts facts_of_entry(const std::string& address, const std::string& what, Facts facts) const {
        facts.insert("entry");
        if (what.find("kernel: ") == std::string::npos) facts.insert("only_we_have_it");
        if (what.find("ours: ") == std::string::npos) facts.insert("only_kernel_has_it");
        if (address == "00:00:00:00:00:00") facts.insert("flood_list");
        note_device(facts);
        for (const std::string& word : words_of(what)) facts.insert("entry:" + word);
        if (refused_.contains(address)) facts.insert("entry_was_refused");
        for (const char* state : {"dynamic", "static", "permanent", "controller"}) {
            const std::string word = state;
            if (what.find("ours: " + address) != std::string::npos &&
                what.substr(0, what.find(", kernel")).ends_with(word))
                facts.insert("ours:" + word);
            if (what.ends_with(word) && what.find("kernel: ") != std::string::npos)
                facts.insert("kernel:" + word);
        }
        return facts;
    }

    void decide(const LiveStep& step, Difference found) {
        for (const std::string& name : names_) found.facts.insert("after " + name);
        const Result result = verdict_of(step.seen.id, found.what, found.facts, rules_);
        if (result.verdict == Verdict::differs) {
            undecided_ += (undecided_.empty() ? "" : "\n    ") + step.seen.id + ": " + result.what;
            return;
        }
        if (std::find(names_.begin(), names_.end(), result.what) == names_.end())
            names_.push_back(result.what);
        if (!found.address.empty()) decided_[found.address] = result.what;
    }

    const Recording& recording_;
    const LiveScenario& scenario_;
    const std::vector<Rule>& rules_;
    LiveMachine& world_;
    Live live_;
    LiveCommands commands_;
    std::string undecided_{};
    std::vector<std::string> names_{};                ///< of rules, in order
    std::map<std::string, std::string> different_{};  ///< entries that differed at the last step
    std::set<std::string> refused_{};                 ///< words of commands that we refused
    std::set<std::string> strays_{};                  ///< devices that one of the two does not have
    std::set<std::string> shown_{};                   ///< differences of what commands showed
    bool path_was_told_ = false;
    std::vector<std::string> known_{};              ///< entries of the kernel, after a step
    std::map<std::string, std::string> decided_{};  ///< by address: the rule
};

}  // namespace

std::vector<Result> replay_live_scenarios(const Recording& recording,
                                          const std::vector<Rule>& rules) {
    std::vector<Result> results;
    for (const LiveScenario& scenario : recording.scenarios)
        results.push_back(Course(recording, scenario, rules).play());
    return results;
}

}  // namespace vxplane::oracle
