#include "config/validate.hpp"

namespace vxplane::config {
Problems validate(const Topology& /*topology*/) {
    return {};
}
}  // namespace vxplane::config
