// Key and value of the forwarding database: which MAC address of which segment is reached where.
// Met by everything that looks up, learns, ages or shows an FDB entry.
#pragma once

#include <cstdint>

namespace vxplane::table {

/// (MAC, segment index) in one 64-bit number: MAC above, segment in the low 16 bits.
/// Two numbers are no key: 0 (an empty slot; all-zero MAC of segment 0) and all ones (a slot given
/// up; broadcast of segment 65535). Looking one up is a miss, storing one is refused.
struct FdbKey {
    std::uint64_t raw = 0;

    /// `mac48`: the MAC as a number, first byte on the wire most significant; upper 16 bits zero.
    static constexpr FdbKey make(std::uint64_t mac48, std::uint16_t segment) noexcept {
        return FdbKey{(mac48 << 16) | segment};
    }
    /// The same from a word whose upper 48 bits are the MAC; the lower ones do not count.
    static constexpr FdbKey of_word(std::uint64_t word, std::uint16_t segment) noexcept {
        return FdbKey{(word & ~std::uint64_t{0xFFFF}) | segment};
    }
    constexpr std::uint64_t mac48() const noexcept { return raw >> 16; }
    constexpr std::uint16_t segment() const noexcept { return static_cast<std::uint16_t>(raw); }
    constexpr bool is_storable() const noexcept { return raw != 0 && raw != ~std::uint64_t{0}; }
    friend constexpr bool operator==(FdbKey, FdbKey) noexcept = default;
};

/// What the index of a value counts.
enum class FdbKind : std::uint8_t {
    none = 0,           ///< no entry
    port = 1,           ///< local port id
    tunnel = 2,         ///< tunnel id
    nexthop_group = 3,  ///< next-hop group id
    flood_list = 4,     ///< flood list id
    router = 5,         ///< the VTEP's own address: routed to slaves
};

/// Who made an entry, which decides whether it ages and whether learning may move it.
enum class FdbState : std::uint8_t { dynamic = 0, static_ = 1, permanent = 2, controller = 3 };

/// The 32-bit answer of a lookup: index in bits 0..18, state 19..20, kind 21..23 and the epoch in
/// which the entry was last seen in 24..31. The epoch is a byte of its own so that a worker can
/// refresh it by a byte store while control replaces the rest.
class FdbValue {
  public:
    static constexpr std::uint32_t max_index = (1U << 19) - 1;

    constexpr FdbValue() noexcept = default;
    /// `index` above max_index is cut: whoever numbers ports and tunnels keeps below it.
    static constexpr FdbValue make(FdbKind kind, std::uint32_t index, FdbState state,
                                   std::uint8_t epoch) noexcept {
        return FdbValue{(index & max_index) | (static_cast<std::uint32_t>(state) << state_shift) |
                        (static_cast<std::uint32_t>(kind) << kind_shift) |
                        (static_cast<std::uint32_t>(epoch) << epoch_shift)};
    }
    static constexpr FdbValue from_raw(std::uint32_t raw) noexcept { return FdbValue{raw}; }

    constexpr std::uint32_t raw() const noexcept { return raw_; }
    constexpr std::uint32_t index() const noexcept { return raw_ & max_index; }
    constexpr FdbState state() const noexcept {
        return static_cast<FdbState>((raw_ >> state_shift) & 3U);
    }
    constexpr FdbKind kind() const noexcept {
        return static_cast<FdbKind>((raw_ >> kind_shift) & 7U);
    }
    constexpr std::uint8_t epoch() const noexcept {
        return static_cast<std::uint8_t>(raw_ >> epoch_shift);
    }
    /// Kind and index alone: equal for two values that lead to the same place.
    constexpr std::uint32_t location() const noexcept { return raw_ & location_bits; }
    /// True for entries that learning neither moves nor ages.
    constexpr bool is_fixed() const noexcept { return state() != FdbState::dynamic; }
    friend constexpr bool operator==(FdbValue, FdbValue) noexcept = default;

  private:
    static constexpr unsigned state_shift = 19;
    static constexpr unsigned kind_shift = 21;
    static constexpr unsigned epoch_shift = 24;
    static constexpr std::uint32_t location_bits = max_index | (7U << kind_shift);

    explicit constexpr FdbValue(std::uint32_t raw) noexcept : raw_{raw} {}
    std::uint32_t raw_ = 0;
};
static_assert(sizeof(FdbValue) == 4);

}  // namespace vxplane::table
