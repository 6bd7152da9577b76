// Longest-prefix match over addresses of any length: a trie of 256-way nodes.
#pragma once

#include <array>
#include <cstdint>

namespace vxplane::table {

/// Placeholder body; keys are `Bytes` bytes in wire order, values are 32 bits and not 0.
template <unsigned Bytes>
class Lpm {
  public:
    explicit Lpm(std::uint32_t /*capacity*/) {}
    [[nodiscard]] std::uint32_t lookup(const std::uint8_t* /*address*/) const noexcept { return 0; }
};

}  // namespace vxplane::table
