// A line for sh(1) as the words of its commands. Met where recordings carry such lines.
#pragma once

#include <string>
#include <vector>

namespace vxplane::oracle {

struct ShellCommand {
    std::vector<std::string> words{};
    std::string into{};       ///< after '>'
    bool feeds_next = false;  ///< '|' behind it
};

/// Commands with ';', "&&", '|' or a line's end between them, in their order. Single and double
/// quotes keep a word together; nothing is expanded. Throws Unsupported for a quote without end.
std::vector<ShellCommand> shell_commands(const std::string& text);

/// What printf(1) makes of its only argument.
std::string printed(const std::string& format);

}  // namespace vxplane::oracle
