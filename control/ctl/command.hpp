// vxctl's words, in the manner of iproute2: an object, a verb, then keys with values. Turned into
// calls of the daemon's methods; nothing is sent here.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "control/ctl/render.hpp"

namespace vxplane::control::ctl {

struct Command {
    std::string method;
    std::vector<Json> calls{Json::object()};  ///< params of each call; several only for `fdb flush`
    View view = View::raw;
    bool writes = false;    ///< cannot be watched
    bool follows = false;   ///< `events`: subscribe, then print what comes
    std::string only{};     ///< of `methods`: the one to show
    std::size_t limit = 0;  ///< of an answer in pages: entries of all pages together
};

/// Why the words are no command; goes with exit code 2.
struct Usage {
    std::string problem;
};

/// `all` is the flag `--all`. Objects, verbs and keys may be shortened as long as one word is
/// meant.
[[nodiscard]] std::variant<Command, Usage> parse_command(const std::vector<std::string>& words,
                                                         bool all);

/// The grammar, for `vxctl help`.
[[nodiscard]] std::string grammar();

}  // namespace vxplane::control::ctl
