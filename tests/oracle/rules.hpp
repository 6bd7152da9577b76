// The differences that are meant: rules about behaviour, read from differences.yaml.
#pragma once

#include <string>
#include <vector>

#include "facts.hpp"

namespace vxplane::oracle {

struct Rule {
    std::string name;
    std::string reason;
    std::vector<std::string> statements{};  ///< VX-82 and the like: what is said of this behaviour
    std::vector<std::string> when{};        ///< all of these facts; "not X": the fact X is missing
    bool unsupported = false;               ///< not a choice: vxplane cannot do it yet
    bool not_ours = false;                  ///< the recording says nothing about vxplane
    bool even_if_equal = false;             ///< the configuration itself is refused
    [[nodiscard]] bool fits(const Facts& facts) const;
};

/// Throws std::runtime_error: a rule without a reason, statement or condition, an unknown key.
std::vector<Rule> load_rules(const std::string& path);

}  // namespace vxplane::oracle
