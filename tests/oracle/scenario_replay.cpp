// A scenario is played with all its rules; again for each namespace with rules, without them; with
// rules that count; and for each other way in which frames can lie in memory.
#include "scenario_replay.hpp"

#include <algorithm>

#include "ip_commands.hpp"
#include "ipvlan_facts.hpp"
#include "scenario_compare.hpp"
#include "scenario_hooks.hpp"
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

/// A passage, the state in which it happened, and what ours did.
struct Moment {
    Passage passage{};
    IpvlanSetup setup{};
    Outcomes ours{};
    std::string what{};  ///< differs first
};

/// One scene at a time: the ports of a process are few.
class Player {
  public:
    Player(const Scenario& scenario, const IpvlanSetup& setup, const std::vector<Rule>& rules)
        : scenario_{scenario}, rules_{rules}, start_{setup}, now_{setup} {
        for (Passage& passage : course_of(scenario)) {
            for (const nlohmann::json& command : passage.commands) apply_action(now_, command);
            moments_.push_back({std::move(passage), now_});
        }
    }

    Result play() {
        now_ = start_;
        play_first();
        for (const Memory memory : {Memory::exact, Memory::split})
            play_again([](const IpvlanSetup& setup) { return setup; }, memory,
                       [&](Moment& moment, const Outcomes& again, IpvlanScene&) {
                           if (!are_same(moment.ours, again))
                               moment.what = "depends on how the frame lies in memory";
                       });
        for (const std::string& name : names()) look_at_device(name);
        count_hooks();
        Result all{scenario_.id, Verdict::match, {}};
        for (Moment& moment : moments_) {
            if (moment.what.empty())
                moment.what = datagram_difference(moment.passage, moment.ours, moment.setup);
            join(all, judge(moment.what, facts_of(moment)));
        }
        // After a difference that is meant, what is remembered must differ as well.
        if (all.verdict != Verdict::match) return all;
        Facts facts = facts_of(moments_.back());
        join(all, judge(asked_, facts));
        join(all, judge(hooks_, facts));
        return all;
    }

  private:
    /// With what the host sends, which joins the stimuli of the passage.
    void play_first() {
        IpvlanScene scene{start_};
        HostStack host{now_.host};
        for (Moment& moment : moments_) {
            now_ = moment.setup;
            if (!moment.passage.commands.empty()) scene.change(now_);
            scene.pass_time(moment.passage.waited);
            host.time_passes();
            moment.ours = play_all(scene, moment.passage.stimuli, Memory::pool);
            moment.what = look_at_wire(moment, host, scene);
            if (moment.what.empty()) moment.what = refusal_difference(moment);
        }
        asked_ = query_difference(scenario_, scene, now_);
    }
    template <class Change, class See>
    void play_again(const Change& changed, Memory memory, const See& see) {
        IpvlanScene scene{changed(start_)};
        for (Moment& moment : moments_) {
            if (!moment.passage.commands.empty()) scene.change(changed(moment.setup));
            scene.pass_time(moment.passage.waited);
            see(moment, play_all(scene, moment.passage.stimuli, memory), scene);
        }
    }

    static std::string look_at_wire(Moment& moment, HostStack& host, IpvlanScene& scene) {
        Passage& passage = moment.passage;
        for (const Outcome& outcome : moment.ours)
            if (const auto up = outcome.frames.find("host"); up != outcome.frames.end())
                for (const Bytes& frame : up->second) host.give(frame);
        for (const net::IpAddress& to : passage.told) host.tell(to);
        std::vector<Bytes> wire = passage.seen["ext"];
        if (std::string text = take_out("ext", moment.ours, wire); !text.empty()) return text;
        std::set<net::IpAddress> asked;
        for (const Outcome& outcome : moment.ours)
            asked.insert(outcome.asked.begin(), outcome.asked.end());
        for (const Bytes& frame : wire) {
            if (asked.erase(asked_for(frame)) != 0) continue;
            if (!host.may_have_sent(frame))
                return "ext: ours does not send, and the host has no cause to send " +
                       one_line(frame);
            passage.stimuli.push_back({"host", frame});
            moment.ours.push_back(scene.play({passage.stimuli.back()}, Memory::pool));
            if (moment.ours.back().frames != Frames{{"ext", {frame}}})
                return "the host's frame does not leave as it is";
        }
        return asked.empty() ? std::string{}
                             : "asks for " + std::to_string(asked.size()) +
                                   " neighbours more than the kernel";
    }
    /// In front of the rules of its namespace.
    void look_at_device(const std::string& name) {
        const auto see = [&](Moment& moment, const Outcomes& there) {
            if (moment.what.empty())
                moment.what = device_difference(name, moment.passage, there, moment.setup);
        };
        if (!moments_.back().setup.rules.contains(name)) {
            for (Moment& moment : moments_) see(moment, moment.ours);
            return;
        }
        const auto without = [&](IpvlanSetup setup) {
            setup.rules.erase(name);
            return setup;
        };
        play_again(without, Memory::pool, [&](Moment& moment, const Outcomes& there, IpvlanScene&) {
            see(moment, there);
        });
    }
    /// Rules that only count, and connections, must change nothing.
    void count_hooks() {
        HooksOfOthers others;
        for (const Moment& moment : moments_) {
            for (const Injected& one : moment.passage.stimuli) {
                others.fragments = others.fragments || is_fragment(one.frame);
                others.host_sends = others.host_sends || one.port == "host";
            }
            for (const Outcome& outcome : moment.ours)
                others.host_is_given = others.host_is_given || outcome.frames.contains("host");
        }
        play_again(with_counting, Memory::pool,
                   [&](Moment& moment, const Outcomes& counted, IpvlanScene& scene) {
                       if (!are_same(moment.ours, counted) && hooks_.empty())
                           hooks_ = "rules that only count change what comes out";
                       if (&moment == &moments_.back() && hooks_.empty())
                           hooks_ = hook_difference(scenario_, scene, moment.setup, others);
                   });
    }

    Result judge(const std::string& what, const Facts& facts) {
        Result result = verdict_of(scenario_.id, what, facts, rules_);
        if (result.verdict == Verdict::decided) decided_.insert(result.what);
        return result;
    }

    /// What control is asked to refuse, somebody must have refused.
    static std::string refusal_difference(const Moment& moment) {
        const Passage& passage = moment.passage;
        std::vector<Bytes> told = passage.sent_by_stacks;
        for (const auto& [port, frames] : passage.seen)
            told.insert(told.end(), frames.begin(), frames.end());
        for (const Outcome& outcome : moment.ours)
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
        for (const auto& [name, slave] : start_.slaves) all.push_back(name);
        return all;
    }

    [[nodiscard]] Facts facts_of(const Moment& moment) const {
        const IpvlanSetup& setup = moment.setup;
        IpvlanCase one;
        one.inject = moment.passage.stimuli;
        one.expect = moment.passage.seen;
        std::erase_if(one.expect, [](const auto& port) { return port.second.empty(); });
        for (const auto& [name, packets] : moment.passage.accepted)
            for (const Bytes& packet : packets)
                if (const auto slave = setup.slaves.find(name);
                    slave == setup.slaves.end() || !slave->second.owns(packet_sender(packet)))
                    one.accepted[name].push_back(datagram_text(packet));
        Facts facts = ipvlan_facts_of(one, setup);
        facts.insert("scenario");
        for (const std::string& rule : decided_) facts.insert("after " + rule);
        if (wire_but_for_addresses(moment)) facts.insert("only_translation_differs");
        if (slaves_get_what_kernel_gives_host(moment))
            facts.insert("slaves_get_what_kernel_gives_host");
        bool silent = true;
        for (const Outcome& outcome : moment.ours) {
            silent = silent && outcome.frames.empty();
            facts.insert(outcome.facts.begin(), outcome.facts.end());
        }
        if (!silent) facts.erase("we_are_silent");
        for (const auto& [name, list] : setup.rules) {
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
    static bool wire_but_for_addresses(const Moment& moment) {
        Anonymous mine, theirs;
        for (const Outcome& outcome : moment.ours) add_to(mine, outcome.frames, "ext");
        add_to(theirs, moment.passage.seen, "ext");
        return mine == theirs;
    }
    static bool slaves_get_what_kernel_gives_host(const Moment& moment) {
        Anonymous mine, theirs;
        for (const Outcome& outcome : moment.ours)
            for (const auto& [name, slave] : moment.setup.slaves)
                add_to(mine, outcome.frames, name);
        add_to(theirs, moment.passage.seen, "host");
        return !mine.empty() && mine == theirs;
    }
    static bool are_same(const Outcomes& one, const Outcomes& other) {
        return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                          [](const Outcome& a, const Outcome& b) {
                              return a.frames == b.frames && a.asked == b.asked;
                          });
    }

    const Scenario& scenario_;
    const std::vector<Rule>& rules_;
    IpvlanSetup start_, now_;
    std::vector<Moment> moments_{};
    std::string asked_{}, hooks_{};    ///< what differs in the end
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
        return Player{scenario, setup, rules}.play();
    } catch (const Unsupported& problem) {
        return {scenario.id, Verdict::unsupported, problem.what};
    } catch (const std::exception& problem) {
        return {scenario.id, Verdict::unsupported, std::string("unreadable: ") + problem.what()};
    }
}

}  // namespace vxplane::oracle
