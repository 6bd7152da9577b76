// One scene with all rules; one more for each namespace with rules, without them; and one for each
// other way in which frames can lie in memory.
#include "scenario_replay.hpp"

#include <algorithm>

#include "ip_commands.hpp"
#include "ipvlan_facts.hpp"
#include "scenario_compare.hpp"
#include "scenario_query.hpp"
#include "stack_frames.hpp"

namespace vxplane::oracle {
namespace {

using support::Memory;

/// The frames of a passage in another scene.
Outcomes play_all(IpvlanScene& scene, const std::vector<Injected>& stimuli, Memory memory) {
    Outcomes all;
    for (const Injected& one : stimuli) all.push_back(scene.play({one}, memory));
    return all;
}

class Player {
  public:
    Player(const IpvlanSetup& setup, const std::vector<Rule>& rules)
        : setup_{setup}, rules_{rules}, scene_{setup}, exact_{setup}, split_{setup} {
        for (const auto& [name, list] : setup.rules)
            bare_.emplace(name, std::make_unique<IpvlanScene>(without_rules(name)));
    }

    /// The verdict on one passage.
    Result play(const std::string& id, Passage passage) {
        for (const nlohmann::json& command : passage.commands) apply_action(setup_, command);
        if (!passage.commands.empty()) change();
        each_scene([&](IpvlanScene& scene) { scene.pass_time(passage.waited); });
        host_.time_passes();
        ours_ = play_all(scene_, passage.stimuli, Memory::pool);
        std::string what = judge(passage);
        Facts facts = facts_of(passage);
        for (IpvlanScene* scene : {&exact_, &split_}) {
            const Memory memory = scene == &exact_ ? Memory::exact : Memory::split;
            if (!same_as(play_all(*scene, passage.stimuli, memory)))
                return {id, Verdict::differs, "depends on how the frame lies in memory"};
        }
        Result result = verdict_of(id, what, facts, rules_);
        if (result.verdict == Verdict::decided) decided_.insert(result.what);
        return result;
    }

    /// The verdict on what was asked for in the end.
    Result ask(const Scenario& scenario) {
        Facts facts = facts_of({});
        facts.insert("queried");
        return verdict_of(scenario.id, query_difference(scenario, scene_, setup_), facts, rules_);
    }

  private:
    [[nodiscard]] IpvlanSetup without_rules(const std::string& name) const {
        IpvlanSetup bare = setup_;
        bare.rules.erase(name);
        return bare;
    }
    template <class Do>
    void each_scene(const Do& what) {
        for (IpvlanScene* scene : {&scene_, &exact_, &split_}) what(*scene);
        for (auto& [name, scene] : bare_) what(*scene);
    }
    void change() {
        for (IpvlanScene* scene : {&scene_, &exact_, &split_}) scene->change(setup_);
        for (auto& [name, scene] : bare_) scene->change(without_rules(name));
    }

    /// Plays what the host sent, too; it joins the stimuli of the passage.
    std::string judge(Passage& passage) {
        for (const Outcome& outcome : ours_)
            if (const auto up = outcome.frames.find("host"); up != outcome.frames.end())
                for (const Bytes& frame : up->second) host_.give(frame);
        for (const net::IpAddress& to : passage.told) host_.tell(to);
        std::vector<Bytes> wire = passage.seen["ext"];
        if (std::string text = take_out("ext", ours_, wire); !text.empty()) return text;
        std::set<net::IpAddress> asked;
        for (const Outcome& outcome : ours_)
            asked.insert(outcome.asked.begin(), outcome.asked.end());
        for (const Bytes& frame : wire) {
            if (asked.erase(asked_for(frame)) != 0) continue;
            if (!host_.may_have_sent(frame))
                return "ext: ours does not send, and the host has no cause to send " +
                       one_line(frame);
            passage.stimuli.push_back({"host", frame});
            ours_.push_back(scene_.play({passage.stimuli.back()}, Memory::pool));
            if (ours_.back().frames != Frames{{"ext", {frame}}})
                return "the host's frame does not leave as it is";
        }
        if (!asked.empty())
            return "asks for " + std::to_string(asked.size()) + " neighbours more than the kernel";
        if (std::string text = refusal_difference(passage); !text.empty()) return text;
        for (const std::string& name : names()) {
            const auto bare = bare_.find(name);
            const Outcomes there = bare == bare_.end()
                                       ? ours_
                                       : play_all(*bare->second, passage.stimuli, Memory::pool);
            if (std::string text = device_difference(name, passage, there, setup_); !text.empty())
                return text;
        }
        return datagram_difference(passage, ours_, setup_);
    }

    /// What control is asked to refuse, somebody must have refused.
    std::string refusal_difference(const Passage& passage) const {
        std::vector<Bytes> told = passage.sent_by_stacks;
        if (const auto wire = passage.seen.find("ext"); wire != passage.seen.end())
            told.insert(told.end(), wire->second.begin(), wire->second.end());
        for (const Outcome& outcome : ours_)
            for (const Bytes& refused : outcome.refused) {
                const Bytes packet(refused.begin() + 14, refused.end());
                if (std::none_of(told.begin(), told.end(),
                                 [&](const Bytes& frame) { return tells_of(frame, packet); }))
                    return "refuses what the kernel does not";
            }
        return {};
    }

    [[nodiscard]] std::vector<std::string> names() const {
        std::vector<std::string> all{"host"};
        for (const auto& [name, slave] : setup_.slaves) all.push_back(name);
        return all;
    }

    [[nodiscard]] Facts facts_of(const Passage& passage) const {
        IpvlanCase one;
        one.inject = passage.stimuli;
        one.expect = passage.seen;
        std::erase_if(one.expect, [](const auto& port) { return port.second.empty(); });
        for (const auto& [name, packets] : passage.accepted)
            for (const Bytes& packet : packets)
                if (const auto slave = setup_.slaves.find(name);
                    slave == setup_.slaves.end() || !slave->second.owns(packet_sender(packet)))
                    one.accepted[name].push_back(datagram_text(packet));
        Facts facts = ipvlan_facts_of(one, setup_);
        facts.insert("scenario");
        for (const std::string& rule : decided_) facts.insert("after " + rule);
        if (wire_but_for_addresses(passage)) facts.insert("only_translation_differs");
        if (slaves_get_what_kernel_gives_host(passage))
            facts.insert("slaves_get_what_kernel_gives_host");
        bool silent = true;
        for (const Outcome& outcome : ours_) {
            silent = silent && outcome.frames.empty();
            facts.insert(outcome.facts.begin(), outcome.facts.end());
        }
        if (!silent) facts.erase("we_are_silent");
        for (const auto& [name, list] : setup_.rules) {
            const std::string place = name == "host" ? "host" : "slave";
            facts.insert("rules_at_" + place);
            if (std::any_of(list.begin(), list.end(),
                            [](const NftRule& rule) { return rule.translates(); }))
                facts.insert("nat_at_" + place);
        }
        return facts;
    }

    using Anonymous = std::multiset<Bytes>;  ///< frames without addresses and ports
    static void add_to(Anonymous& all, const Frames& frames, const std::string& port) {
        if (const auto found = frames.find(port); found != frames.end())
            for (const Bytes& frame : found->second) all.insert(without_addresses(frame));
    }
    [[nodiscard]] bool wire_but_for_addresses(const Passage& passage) const {
        Anonymous mine, theirs;
        for (const Outcome& outcome : ours_) add_to(mine, outcome.frames, "ext");
        add_to(theirs, passage.seen, "ext");
        return mine == theirs;
    }
    [[nodiscard]] bool slaves_get_what_kernel_gives_host(const Passage& passage) const {
        Anonymous mine, theirs;
        for (const Outcome& outcome : ours_)
            for (const auto& [name, slave] : setup_.slaves) add_to(mine, outcome.frames, name);
        add_to(theirs, passage.seen, "host");
        return !mine.empty() && mine == theirs;
    }

    [[nodiscard]] bool same_as(const Outcomes& others) const {
        return std::equal(ours_.begin(), ours_.end(), others.begin(), others.end(),
                          [](const Outcome& a, const Outcome& b) {
                              return a.frames == b.frames && a.asked == b.asked;
                          });
    }

    IpvlanSetup setup_;
    const std::vector<Rule>& rules_;
    IpvlanScene scene_, exact_, split_;
    std::map<std::string, std::unique_ptr<IpvlanScene>> bare_{};  ///< without one's rules
    HostStack host_{setup_.host};
    Outcomes ours_{};
    std::set<std::string> decided_{};  ///< names of rules
};

/// Nothing was sent that a data plane could see.
Result nothing_to_play(const Scenario& scenario, const std::vector<Rule>& rules) {
    Facts facts{"scenario", "nothing_sent"};
    if (!scenario.events.empty()) facts.insert("talks_to_itself");
    for (const Step& step : scenario.steps)
        facts.insert("step_" + step.words.at(0).get<std::string>());
    return verdict_of(scenario.id, "nothing to play", facts, rules);
}

/// `worst` becomes the worse one of both; rules that decided are named together.
void join(Result& worst, const Result& next) {
    constexpr std::array<int, 5> kRank{0, 4, 1, 3, 2};
    const int a = kRank[static_cast<std::size_t>(worst.verdict)];
    const int b = kRank[static_cast<std::size_t>(next.verdict)];
    if (b > a)
        worst = next;
    else if (a == b && worst.what.find(next.what) == std::string::npos)
        worst.what += ", " + next.what;
}

}  // namespace

Result replay(const IpvlanRecording& recording, const Scenario& scenario,
              const std::vector<Rule>& rules) {
    try {
        const std::vector<Passage> course = course_of(scenario);
        if (std::all_of(course.begin(), course.end(),
                        [](const Passage& passage) { return passage.is_quiet(); }))
            return nothing_to_play(scenario, rules);
        const IpvlanSetup setup = ipvlan_setup_of(recording, scenario.setup);
        if (!setup.unsupported.empty())
            return {scenario.id, Verdict::unsupported, setup.unsupported};
        Player player{setup, rules};
        Result all{scenario.id, Verdict::match, {}};
        for (const Passage& passage : course) join(all, player.play(scenario.id, passage));
        // After a difference that is meant, what is remembered must differ as well.
        if (all.verdict == Verdict::match) join(all, player.ask(scenario));
        return all;
    } catch (const Unsupported& problem) {
        return {scenario.id, Verdict::unsupported, problem.what};
    }
}

}  // namespace vxplane::oracle
