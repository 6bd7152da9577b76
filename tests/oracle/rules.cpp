// Reading of differences.yaml.
#include "rules.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

#include "config/yaml_tree.hpp"

namespace vxplane::oracle {
namespace {

using config::YamlNode;

std::runtime_error problem_at(const YamlNode& node, const std::string& what) {
    return std::runtime_error(std::to_string(node.where.line) + ": " + what);
}

const std::string& text_of(const YamlNode& node) {
    if (node.kind != YamlNode::Kind::scalar) throw problem_at(node, "a word or text is missing");
    return node.text;
}

bool flag_of(const YamlNode& node) {
    const std::string& text = text_of(node);
    if (text != "true" && text != "false") throw problem_at(node, text + " is not true or false");
    return text == "true";
}

/// `VX-24, VX-25`
std::vector<std::string> statements_of(const YamlNode& node) {
    std::vector<std::string> all;
    std::istringstream text(text_of(node));
    for (std::string one; std::getline(text >> std::ws, one, ',');) {
        const bool known =
            one.starts_with("VX-") || one.starts_with("IV-") || one.starts_with("RP-");
        if (!known || one.size() != 5 || one.find_first_not_of("0123456789", 3) != one.npos) {
            throw problem_at(node, one + " is no statement (such as VX-24)");
        }
        all.push_back(one);
    }
    return all;
}

Rule rule_of(const YamlNode& node) {
    if (node.kind != YamlNode::Kind::map) throw problem_at(node, "a rule is a map");
    Rule rule;
    for (std::size_t i = 0; i + 1 < node.items.size(); i += 2) {
        const std::string& key = text_of(node.items[i]);
        const YamlNode& value = node.items[i + 1];
        if (key == "rule") {
            rule.name = text_of(value);
        } else if (key == "reason") {
            rule.reason = text_of(value);
            while (rule.reason.ends_with('\n')) rule.reason.pop_back();
        } else if (key == "statement") {
            rule.statements = statements_of(value);
        } else if (key == "when") {
            if (value.kind != YamlNode::Kind::list) throw problem_at(value, "when is a list");
            for (const YamlNode& word : value.items) rule.when.push_back(text_of(word));
        } else if (key == "unsupported") {
            rule.unsupported = flag_of(value);
        } else if (key == "not_ours") {
            rule.not_ours = flag_of(value);
        } else if (key == "even_if_equal") {
            rule.even_if_equal = flag_of(value);
        } else {
            throw problem_at(value, "unknown key " + key);
        }
    }
    if (rule.name.empty() || rule.reason.empty() || rule.when.empty() || rule.statements.empty()) {
        throw problem_at(node, "rule '" + rule.name + "' lacks rule, statement, reason or when");
    }
    return rule;
}

}  // namespace

bool Rule::fits(const Facts& facts) const {
    return std::all_of(when.begin(), when.end(), [&](const std::string& word) {
        return word.starts_with("not ") ? !facts.contains(word.substr(4)) : facts.contains(word);
    });
}

std::vector<Rule> load_rules(const std::string& path) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error(path + ": cannot be read");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const config::YamlTree tree = config::parse_yaml(text, path);
    if (tree.problem) throw std::runtime_error(tree.problem->text());
    if (tree.root.kind != YamlNode::Kind::list) throw std::runtime_error(path + ": not a list");
    std::vector<Rule> rules;
    try {
        for (const YamlNode& node : tree.root.items) rules.push_back(rule_of(node));
    } catch (const std::runtime_error& problem) {
        throw std::runtime_error(path + ":" + problem.what());
    }
    return rules;
}

}  // namespace vxplane::oracle
