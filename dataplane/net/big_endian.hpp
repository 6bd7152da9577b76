// Integers as they stand on the wire. The only way from wire order to a number is value(), so that
// a byte-swapped number cannot be compared, added or logged by accident.
#pragma once

#include <bit>
#include <cstdint>

namespace vxplane::net {

/// Swaps the bytes of a number on a little-endian machine; one instruction.
constexpr std::uint16_t swap_bytes(std::uint16_t v) noexcept {
    return __builtin_bswap16(v);
}
constexpr std::uint32_t swap_bytes(std::uint32_t v) noexcept {
    return __builtin_bswap32(v);
}
constexpr std::uint64_t swap_bytes(std::uint64_t v) noexcept {
    return __builtin_bswap64(v);
}

/// A big-endian integer. Alignment 1 (packed), so it may stand anywhere in a frame.
template <class T>
class __attribute__((packed)) BigEndian {
  public:
    constexpr BigEndian() noexcept = default;
    /// From a number in host order.
    static constexpr BigEndian of(T host) noexcept { return from_wire(to_wire(host)); }
    /// From the raw memory representation.
    static constexpr BigEndian from_wire(T wire) noexcept {
        BigEndian result;
        result.wire_ = wire;
        return result;
    }
    /// The number in host order.
    [[nodiscard]] constexpr T value() const noexcept { return to_wire(wire_); }
    /// The raw memory representation: good for checksums and equality, for nothing else.
    [[nodiscard]] constexpr T wire() const noexcept { return wire_; }

    friend constexpr bool operator==(BigEndian a, BigEndian b) noexcept {
        return a.wire_ == b.wire_;
    }

  private:
    static constexpr T to_wire(T v) noexcept {
        return std::endian::native == std::endian::little ? swap_bytes(v) : v;
    }
    T wire_ = 0;
};

using Be16 = BigEndian<std::uint16_t>;
using Be32 = BigEndian<std::uint32_t>;

static_assert(sizeof(Be16) == 2 && alignof(Be16) == 1);
static_assert(sizeof(Be32) == 4 && alignof(Be32) == 1);

}  // namespace vxplane::net
