// The words of one vxctl command, taken from the front. Met by the parsers of its objects.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "control/ctl/command.hpp"

namespace vxplane::control::ctl {

using Words = std::vector<std::string>;

/// Ends the parse.
struct Refused {
    std::string problem;
};

inline std::string join(const Words& words) {
    std::string text;
    for (const auto& word : words) {
        if (!text.empty()) text += ", ";
        text += word;
    }
    return text;
}

// The full word, when `word` is it or begins exactly one; else nothing, with those that it begins.
inline std::string complete(const std::string& word, const Words& known,
                            Words* candidates = nullptr) {
    Words found;
    for (const auto& one : known) {
        if (one == word) return one;
        if (!word.empty() && one.starts_with(word)) found.push_back(one);
    }
    if (candidates != nullptr) *candidates = found;
    if (found.empty()) return {};
    // `port` and `ports` are the same word.
    for (const auto& one : found) {
        if (!one.starts_with(found[0])) return {};
    }
    return found[0];
}

class Line {
  public:
    explicit Line(Words words) : words_(std::move(words)) {}

    [[nodiscard]] bool empty() const { return next_ == words_.size(); }
    [[nodiscard]] const std::string& peek() const { return words_[next_]; }
    std::string take(const std::string& what) {
        if (empty()) throw Refused{"missing " + what};
        return words_[next_++];
    }
    std::string choose(const std::string& what, const Words& known) {
        const std::string word = take(what + " (" + join(known) + ")");
        Words candidates;
        std::string full = complete(word, known, &candidates);
        if (!full.empty()) return full;
        if (candidates.size() > 1) {
            throw Refused{"'" + word + "' may mean " + join(candidates)};
        }
        throw Refused{"'" + word + "' is not a known " + what + " (" + join(known) + ")"};
    }
    void end() const {
        if (!empty()) throw Refused{"'" + peek() + "' is one word too many"};
    }

  private:
    Words words_;
    std::size_t next_ = 0;
};

inline std::int64_t number(const std::string& word, const std::string& what) {
    std::int64_t value = 0;
    const char* end = word.data() + word.size();
    const auto [stop, error] = std::from_chars(word.data(), end, value);
    if (error != std::errc{} || stop != end)
        throw Refused{what + ": '" + word + "' is not a number"};
    return value;
}

/// The parsers of what ipvlans have; the object's own word is taken already.
Command parse_port_set(Line& line);
Command parse_segment(Line& line);
Command parse_slave(Line& line);
Command parse_ipvlan(Line& line);
Command parse_route(Line& line);
Command parse_conntrack(Line& line);
Command parse_mdb(Line& line);

}  // namespace vxplane::control::ctl
