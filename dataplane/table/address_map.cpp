#include "dataplane/table/address_map.hpp"

#include <algorithm>
#include <bit>

namespace vxplane::table {

AddressMap::AddressMap(const std::vector<std::pair<ScopedAddress, std::uint32_t>>& pairs) {
    std::uint64_t v4 = 0;
    for (const auto& pair : pairs) {
        v4 += pair.first.address.is_v4() ? 1U : 0U;
    }
    // One or two in a line of five: few find theirs full.
    const std::uint64_t lines = std::bit_ceil(v4 / 2 + 2);
    FdbBucket empty{};
    std::fill(std::begin(empty.keys), std::end(empty.keys), kFree);
    empty.words[FdbBucket::last_lane] = FdbBucket::none_passed_by;
    lines_.assign(lines, empty);
    line_mask_ = static_cast<std::uint32_t>(lines - 1);
    line_shift_ = static_cast<unsigned>(64 - std::countr_zero(lines));

    const std::uint64_t cells = std::bit_ceil((pairs.size() - v4) * 2 + 16);
    cells_.assign(cells, Cell{});
    mask_ = cells - 1;
    shift_ = static_cast<unsigned>(64 - std::countr_zero(cells));
    for (const auto& [key, value] : pairs) {
        if (key.address.is_v4()) {
            put_v4(v4_key(key.scope, key.address.v4().be.wire()), value);
        } else {
            put_v6(key, value);
        }
    }
}

void AddressMap::put_v4(std::uint64_t key, std::uint32_t value) noexcept {
    std::uint32_t at = v4_home(key);
    for (;; at = (at + 1) & line_mask_) {
        FdbBucket& line = lines_[at];
        for (unsigned lane = 0; lane < FdbBucket::lanes; ++lane) {
            if (line.keys[lane] == kFree || line.keys[lane] == key) {
                size_ += line.keys[lane] == kFree ? 1U : 0U;
                line.keys[lane] = key;
                line.words[lane] = value;
                return;
            }
        }
        line.words[FdbBucket::last_lane] = FdbBucket::one_passed_by;
    }
}

void AddressMap::put_v6(const ScopedAddress& key, std::uint32_t value) noexcept {
    const std::uint64_t low = key.address.low();
    const std::uint64_t high = key.address.high();
    for (std::uint64_t at = v6_home(key.scope, low, high);; ++at) {
        Cell& cell = cells_[at & mask_];
        const bool free = cell.value == kNone;
        if (free || (cell.low == low && cell.high == high && cell.scope == key.scope)) {
            size_ += free ? 1U : 0U;
            cell = {low, high, key.scope, value};
            return;
        }
    }
}

}  // namespace vxplane::table
