// Recorded cases played to the data plane, and the verdict on each.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "recording.hpp"
#include "rules.hpp"
#include "tests/support/lab.hpp"

namespace vxplane::oracle {

enum class Verdict : std::uint8_t { match, differs, decided, unsupported, not_ours };

struct Result {
    std::string id;
    Verdict verdict = Verdict::match;
    std::string what{};  ///< rule, option, or what differs; empty for a match
    /// "v4.encap.x: differs: ..."
    [[nodiscard]] std::string line() const;
};

/// Number of cases by verdict.
struct Totals {
    std::array<unsigned, 5> of{};
    void add(const Result& result) { ++of[static_cast<std::size_t>(result.verdict)]; }
    [[nodiscard]] unsigned differs() const { return of[1]; }
    /// "12 cases: 10 match, ..."
    [[nodiscard]] std::string line(const std::string& things = "cases") const;
};

/// `what` differs, or nothing does; the rules decide.
Result verdict_of(const std::string& id, std::string what, const Facts& facts,
                  const std::vector<Rule>& rules);

/// The cases of a recording that need no control thread, in order. `reassembly`: of the underlay
/// port; what waits for the rest of it is given up before the next case.
std::vector<Result> replay(const Recording& recording, const std::vector<Rule>& rules,
                           bool reassembly = false);

}  // namespace vxplane::oracle
