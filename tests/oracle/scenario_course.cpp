// Steps and events to passages.
#include "scenario_course.hpp"

#include <algorithm>
#include <limits>

#include "json_file.hpp"
#include "words.hpp"

namespace vxplane::oracle {
namespace {

using Json = nlohmann::json;

constexpr double kBlur = 0.02;  ///< seconds in which order says nothing

struct Timed {
    double time;
    Injected what;
};

class Cutter {
  public:
    explicit Cutter(const Scenario& scenario) : scenario_{scenario} {}

    std::vector<Passage> cut() {
        for (const Step& step : scenario_.steps) take(step);
        close(std::numeric_limits<double>::infinity());
        return std::move(all_);
    }

  private:
    void take(const Step& step) {
        const auto verb = step.words.at(0).get<std::string>();
        if (waits_ > 0 && verb != "wait") close(step.time);
        if (verb == "inject") {
            const auto hex = step.words.at(2).get<std::string>();
            stimuli_.push_back({step.time, {step.words.at(1).get<std::string>(), from_hex(hex)}});
        } else if (verb == "udp" || verb == "icmp") {
            const Json& words = step.words.at(1);
            const bool fields = words.is_object();
            const Json& from = fields ? words.at("n") : words;
            const Json& to = fields ? words.at("dst") : step.words.at(2);
            next_.speakers.insert(from.get<std::string>());
            if (from == "host") next_.told.push_back(ip_address(to.get<std::string>()));
        } else if (verb == "wait") {
            waited_ += step.words.at(1).get<double>();
            if (waited_ >= kBlur) waits_ = waited_;
        } else {
            if (waits_ == 0 && (!stimuli_.empty() || !next_.told.empty())) close(step.time);
            if (!step.failed) next_.commands.push_back(step.words);
        }
    }

    /// Ends the passage; what was seen before `end` is of it.
    void close(double end) {
        for (; at_ < scenario_.events.size(); ++at_) {
            const Event& event = scenario_.events[at_];
            if (event.time >= end) break;
            if (event.kind == Event::Kind::accepted) {
                next_.accepted[event.port].push_back(event.bytes);
            } else if (event.kind == Event::Kind::seen) {
                next_.seen[event.port].push_back(event.bytes);
            } else if (!event.port.starts_with("host_")) {
                stimuli_.push_back({event.time, {event.port, event.bytes}});
                next_.sent_by_stacks.push_back(event.bytes);
            }
        }
        std::stable_sort(stimuli_.begin(), stimuli_.end(),
                         [](const Timed& a, const Timed& b) { return a.time < b.time; });
        for (Timed& one : stimuli_) next_.stimuli.push_back(std::move(one.what));
        all_.push_back(std::move(next_));
        next_ = {};
        next_.waited = static_cast<std::uint32_t>(waited_ * 1000);
        stimuli_.clear();
        waited_ = waits_ = 0;
    }

    const Scenario& scenario_;
    std::vector<Passage> all_{};
    Passage next_{};
    std::vector<Timed> stimuli_{};
    std::size_t at_ = 0;
    double waited_ = 0;
    double waits_ = 0;  ///< the same, once it is long enough
};

}  // namespace

std::vector<Passage> course_of(const Scenario& scenario) {
    return Cutter{scenario}.cut();
}

}  // namespace vxplane::oracle
