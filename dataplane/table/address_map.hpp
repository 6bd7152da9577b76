// Addresses of both families to numbers, in one map that control builds and workers read: which
// slave has an address, and who is behind a next hop.
#pragma once

#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/ip_address.hpp"

namespace vxplane::table {

/// An address within a scope: the same address may stand for different things at different masters,
/// ports or tenants.
struct ScopedAddress {
    net::IpAddress address;
    std::uint32_t scope = 0;
    bool operator==(const ScopedAddress&) const noexcept = default;
};

/// Built once, then only read; open addressing, at most half full. Any number of readers.
class AddressMap {
  public:
    static constexpr std::uint32_t kNone = ~0U;

    AddressMap() { rebuild({}); }
    /// Later pairs win over earlier ones with the same key. Values below kNone. May throw
    /// std::bad_alloc: control only.
    explicit AddressMap(const std::vector<std::pair<ScopedAddress, std::uint32_t>>& pairs) {
        rebuild(pairs);
    }

    /// kNone when the address is not there. Any thread.
    [[nodiscard]] std::uint32_t find(std::uint32_t scope,
                                     const net::IpAddress& address) const noexcept {
        return find(scope, address.low(), address.high());
    }
    [[nodiscard]] std::uint32_t find(std::uint32_t scope, net::Ipv4Address address) const noexcept {
        return find(scope, 0, net::IpAddress::v4_high(address));
    }
    void prefetch(std::uint32_t scope, net::Ipv4Address address) const noexcept {
        __builtin_prefetch(&cells_[home(scope, 0, net::IpAddress::v4_high(address)) & mask_]);
    }
    void prefetch(std::uint32_t scope, const net::IpAddress& address) const noexcept {
        __builtin_prefetch(&cells_[home(scope, address.low(), address.high()) & mask_]);
    }
    [[nodiscard]] std::size_t memory_bytes() const noexcept { return cells_.size() * sizeof(Cell); }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

  private:
    [[nodiscard]] std::uint32_t find(std::uint32_t scope, std::uint64_t low,
                                     std::uint64_t high) const noexcept {
        for (std::uint64_t at = home(scope, low, high);; ++at) {
            const Cell& cell = cells_[at & mask_];
            if (cell.low == low && cell.high == high && cell.scope == scope &&
                cell.value != kNone) {
                return cell.value;
            }
            if (cell.value == kNone) {
                return kNone;
            }
        }
    }
    struct alignas(8) Cell {
        std::uint64_t low = 0;
        std::uint64_t high = 0;
        std::uint32_t scope = 0;
        std::uint32_t value = kNone;
    };
    [[nodiscard]] std::uint64_t home(std::uint32_t scope, std::uint64_t low,
                                     std::uint64_t high) const noexcept {
        return net::mix(low ^ scope, high) >> shift_;
    }
    void rebuild(const std::vector<std::pair<ScopedAddress, std::uint32_t>>& pairs) {
        const std::uint64_t size = std::bit_ceil(std::uint64_t{pairs.size()} * 2 + 16);
        cells_.assign(size, Cell{});
        mask_ = size - 1;
        shift_ = static_cast<unsigned>(64 - std::countr_zero(size));
        size_ = 0;
        for (const auto& [key, value] : pairs) {
            const std::uint64_t low = key.address.low();
            const std::uint64_t high = key.address.high();
            std::uint64_t at = home(key.scope, low, high);
            for (;; ++at) {
                Cell& cell = cells_[at & mask_];
                const bool free = cell.value == kNone;
                if (free || (cell.low == low && cell.high == high && cell.scope == key.scope)) {
                    size_ += free ? 1U : 0U;
                    cell = {low, high, key.scope, value};
                    break;
                }
            }
        }
    }

    std::vector<Cell> cells_;
    std::uint64_t mask_ = 0;
    unsigned shift_ = 60;
    std::size_t size_ = 0;
};

}  // namespace vxplane::table
