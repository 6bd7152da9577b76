// What is wrong with a topology file, said so that a person can mend it. Made by load and
// validate, printed by `vxplane --check` and by the daemon at start.
#pragma once

#include <string>
#include <vector>

namespace vxplane::config {

/// Where in the file a value stands. Lines and columns count from 1; 0 means "not known".
struct Position {
    int line = 0;
    int column = 0;
};

/// One thing that is wrong.
struct Problem {
    std::string file;     ///< as given by the user
    Position where;       ///< of the key or value that is wrong
    std::string path;     ///< e.g. `vxlans.flannel.1.fdb[2].dst`
    std::string message;  ///< what is wrong; ends with `(what is allowed)` where that helps

    /// `file:line:column: path: message`
    [[nodiscard]] std::string text() const;
};

using Problems = std::vector<Problem>;

}  // namespace vxplane::config
