// Verdicts, and how they are written.
#include <array>

#include "replay.hpp"

namespace vxplane::oracle {

Result verdict_of(const std::string& id, std::string what, const Facts& facts,
                  const std::vector<Rule>& rules) {
    for (const std::string& fact : facts)
        if (fact.starts_with("broken_law")) return {id, Verdict::differs, fact};
    for (const Rule& rule : rules)
        if ((rule.even_if_equal || !what.empty()) && rule.fits(facts))
            return rule.not_ours
                       ? Result{id, Verdict::not_ours, rule.name + ": " + rule.reason}
                       : Result{id, rule.unsupported ? Verdict::unsupported : Verdict::decided,
                                rule.name};
    if (what.empty()) return {id, Verdict::match, {}};
    what += " [";
    for (const std::string& fact : facts) what += " " + fact;
    return {id, Verdict::differs, what + " ]"};
}

std::string Result::line() const {
    constexpr std::array<const char*, 5> kWords{"match", "differs", "decided", "unsupported",
                                                "not ours"};
    std::string text = id + ": " + kWords[static_cast<std::size_t>(verdict)];
    if (!what.empty()) text += (verdict == Verdict::differs ? ": " : " ") + what;
    return text;
}

std::string Totals::line(const std::string& things) const {
    const unsigned all = of[0] + of[1] + of[2] + of[3] + of[4];
    return std::to_string(all) + " " + things + ": " + std::to_string(of[0]) + " match, " +
           std::to_string(of[2]) + " decided, " +
           (of[4] == 0 ? std::string{} : std::to_string(of[4]) + " not ours, ") +
           std::to_string(of[3]) + " unsupported, " + std::to_string(of[1]) + " differ";
}

}  // namespace vxplane::oracle
