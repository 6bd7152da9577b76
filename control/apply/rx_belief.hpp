// How far a device is trusted that verifies checksums by itself.
#pragma once

#include <cstdint>

namespace vxplane::control {

/// What a device that verifies checksums of received packets is taken for.
enum class RxBelief : std::uint8_t {
    none,      ///< it does not, or is not asked to
    trying,    ///< workers verify by themselves, and compare
    believed,  ///< workers leave to the device what it was right about, and compare a few
    refuted    ///< it called good what is wrong: workers verify by themselves for good
};

}  // namespace vxplane::control
