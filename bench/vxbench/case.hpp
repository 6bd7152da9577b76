// What one row of figures is about. Met by all of vxbench, and by the gate on instruction counts.
#pragma once

#include <cstdint>
#include <string>

namespace vxplane::bench {

enum class Direction : std::uint8_t { encap, decap };

/// One row of the report.
struct Case {
    Direction direction = Direction::encap;
    bool learning = false;
    std::uint32_t macs = 1;   ///< entries in the FDB
    std::uint32_t vnis = 1;   ///< segments that the entries are spread over
    std::uint16_t size = 64;  ///< inner frame, bytes without FCS
    [[nodiscard]] std::string text() const;
    [[nodiscard]] bool operator==(const Case&) const = default;
};

}  // namespace vxplane::bench
