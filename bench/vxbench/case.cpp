// Names a case in words.
#include "bench/vxbench/case.hpp"

namespace vxplane::bench {

std::string Case::text() const {
    return std::string{direction == Direction::encap ? "encap" : "decap"} + " learning " +
           (learning ? "on" : "off") + ", " + std::to_string(macs) + " MACs, " +
           std::to_string(vnis) + " VNIs, " + std::to_string(size) + " bytes";
}

}  // namespace vxplane::bench
