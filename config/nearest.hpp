// Which known word a person may have meant, and how foreign text is quoted in a message.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace vxplane::config {

/// The candidate with the fewest edits from `word` (insert, remove, replace, swap of neighbours);
/// the first of equals. Empty when there is no candidate or the word is longer than 64 bytes.
[[nodiscard]] std::string_view nearest(std::string_view word,
                                       std::span<const std::string_view> candidates);

/// `word` in quotes, without control characters and cut at 64 bytes.
[[nodiscard]] std::string quoted(std::string_view word);

/// What to write instead of a word of other tools, as the end of a sentence; empty for most words.
/// `names` are the keys that are allowed there.
[[nodiscard]] std::string instead_of(std::string_view word,
                                     std::span<const std::string_view> names);

}  // namespace vxplane::config
