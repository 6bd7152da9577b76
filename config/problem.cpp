// The line that a person reads about one problem.
#include "config/problem.hpp"

namespace vxplane::config {

std::string Problem::text() const {
    std::string line =
        file + ":" + std::to_string(where.line) + ":" + std::to_string(where.column) + ": ";
    if (!path.empty()) line += path + ": ";
    return line + message;
}

}  // namespace vxplane::config
