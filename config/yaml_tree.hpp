// YAML text as a tree with a position for every value and key. The only place that meets libyaml:
// what a tree of nodes usually hides (duplicate keys, order, whether a word was quoted) is kept
// here, and what a topology has no use for (aliases, tags) is refused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/problem.hpp"

namespace vxplane::config {

/// One value of the file. A map keeps key, value, key, value, ... in `items`, duplicates included.
struct YamlNode {
    enum class Kind : std::uint8_t { null, scalar, list, map };
    Kind kind = Kind::null;
    Position where;
    std::string text{};             ///< of a scalar
    std::vector<YamlNode> items{};  ///< of a list or map
};

/// The root of a document, or the first thing that is wrong with its syntax.
struct YamlTree {
    YamlNode root;
    std::optional<Problem> problem;
};

/// Reads one document. Never throws; any bytes are allowed in `text`.
[[nodiscard]] YamlTree parse_yaml(std::string_view text, const std::string& file);

}  // namespace vxplane::config
