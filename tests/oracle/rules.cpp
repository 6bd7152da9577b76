// Reading of differences.yaml.
#include "rules.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <stdexcept>

namespace vxplane::oracle {

bool Rule::fits(const Facts& facts) const {
    return std::all_of(when.begin(), when.end(), [&](const std::string& word) {
        return word.starts_with("not ") ? !facts.contains(word.substr(4)) : facts.contains(word);
    });
}

std::vector<Rule> load_rules(const std::string& path) {
    std::vector<Rule> rules;
    try {
        for (const YAML::Node& node : YAML::LoadFile(path)) {
            Rule rule;
            for (const auto& entry : node) {
                const auto key = entry.first.as<std::string>();
                if (key == "rule") {
                    rule.name = entry.second.as<std::string>();
                } else if (key == "reason") {
                    rule.reason = entry.second.as<std::string>();
                    while (rule.reason.ends_with('\n')) rule.reason.pop_back();
                } else if (key == "when") {
                    rule.when = entry.second.as<std::vector<std::string>>();
                } else if (key == "unsupported") {
                    rule.unsupported = entry.second.as<bool>();
                } else if (key == "not_ours") {
                    rule.not_ours = entry.second.as<bool>();
                } else if (key == "even_if_equal") {
                    rule.even_if_equal = entry.second.as<bool>();
                } else {
                    throw std::runtime_error("unknown key " + key);
                }
            }
            if (rule.name.empty() || rule.reason.empty() || rule.when.empty())
                throw std::runtime_error("rule '" + rule.name + "' lacks rule, reason or when");
            rules.push_back(std::move(rule));
        }
    } catch (const std::exception& problem) {
        throw std::runtime_error(path + ": " + problem.what());
    }
    return rules;
}

}  // namespace vxplane::oracle
