// What the targets that run frames share. The first byte of an input chooses how the frame lies in
// memory and whether the outer checksum is repaired, which lets a fuzzer past the checks of it; the
// rest is the frame.
#pragma once

#include <cstdio>
#include <cstdlib>

#include "tests/support/scene.hpp"

namespace vxplane::fuzz {

using support::Bytes;

constexpr std::uint8_t kMemory = 0x03;  ///< index of support::Memory
constexpr std::uint8_t kRepair = 0x04;  ///< set the right IPv4 header checksum
constexpr std::uint8_t kAge = 0x08;     ///< let time pass before
constexpr std::size_t kLongest = 2000;

inline void require(bool truth, const char* text, const Bytes& frame) {
    if (truth) return;
    std::fprintf(stderr, "%s\n%s\n", text, support::hex(frame).c_str());
    std::abort();
}

inline void repair(Bytes& frame) {
    if (frame.size() < 34) return;
    const std::size_t header = (frame[14] & 0xFU) * 4U;
    if (header < 20 || frame.size() < 14 + header) return;
    frame[24] = frame[25] = 0;
    const std::uint16_t sum = support::rfc1071(
        Bytes(frame.begin() + 14, frame.begin() + 14 + static_cast<std::ptrdiff_t>(header)));
    frame[24] = static_cast<std::uint8_t>(sum >> 8);
    frame[25] = static_cast<std::uint8_t>(sum);
}

/// The scene of all frame targets: tags allowed, a twin, one of each kind of tunnel and entry.
support::Scene& scene();

/// Runs one input into `port`; what leaves is handed back together with the frame.
support::Seen run(support::PortId port, const std::uint8_t* data, std::size_t size, Bytes& frame);

}  // namespace vxplane::fuzz
