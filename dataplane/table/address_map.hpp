// Addresses of both families to numbers, in one map that control builds and workers read: which
// slave has an address, and who is behind a next hop.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/ip_address.hpp"
#include "dataplane/table/fdb_bucket.hpp"

namespace vxplane::table {

/// An address within a scope: the same address may stand for different things at different masters,
/// ports or tenants.
struct ScopedAddress {
    net::IpAddress address;
    std::uint32_t scope = 0;
    bool operator==(const ScopedAddress&) const noexcept = default;
};

/// Built once, then only read. Any number of readers. IPv4 addresses stand in lines like those of
/// the FDB, so that a search, mostly one for what is not there, reads one line and guesses nothing;
/// IPv6 addresses in open addressing, at most half full.
class AddressMap {
  public:
    static constexpr std::uint32_t kNone = ~0U;

    AddressMap() : AddressMap(std::vector<std::pair<ScopedAddress, std::uint32_t>>{}) {}
    /// Later pairs win over earlier ones with the same key. Values below kNone; the scope ~0 is
    /// nobody's. May throw std::bad_alloc: control only.
    explicit AddressMap(const std::vector<std::pair<ScopedAddress, std::uint32_t>>& pairs);

    /// kNone when the address is not there. Any thread.
    [[nodiscard]] std::uint32_t find(std::uint32_t scope,
                                     const net::IpAddress& address) const noexcept {
        return address.is_v4() ? find_v4(v4_key(scope, address.high() >> 32))
                               : find_v6(scope, address.low(), address.high());
    }
    [[nodiscard]] std::uint32_t find(std::uint32_t scope, net::Ipv4Address address) const noexcept {
        return find_v4(v4_key(scope, address.be.wire()));
    }
    void prefetch(std::uint32_t scope, net::Ipv4Address address) const noexcept {
        __builtin_prefetch(&lines_[v4_home(v4_key(scope, address.be.wire()))]);
    }
    void prefetch(std::uint32_t scope, const net::IpAddress& address) const noexcept {
        if (address.is_v4()) {
            __builtin_prefetch(&lines_[v4_home(v4_key(scope, address.high() >> 32))]);
        } else {
            __builtin_prefetch(&cells_[v6_home(scope, address.low(), address.high()) & mask_]);
        }
    }
    [[nodiscard]] std::size_t memory_bytes() const noexcept {
        return cells_.size() * sizeof(Cell) + lines_.size() * sizeof(FdbBucket);
    }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

  private:
    struct alignas(32) Cell {
        std::uint64_t low = 0;
        std::uint64_t high = 0;
        std::uint32_t scope = 0;
        std::uint32_t value = kNone;
    };
    static constexpr std::uint64_t kFree = ~0ULL;

    static std::uint64_t v4_key(std::uint32_t scope, std::uint64_t wire) noexcept {
        return std::uint64_t{scope} << 32 | wire;
    }
    // Fibonacci hashing: the high bits of the product are the well mixed ones.
    [[nodiscard]] std::uint32_t v4_home(std::uint64_t key) const noexcept {
        return static_cast<std::uint32_t>((key * 0x9E3779B97F4A7C15ULL) >> line_shift_);
    }
    [[nodiscard]] std::uint64_t v6_home(std::uint32_t scope, std::uint64_t low,
                                        std::uint64_t high) const noexcept {
        return net::mix(low ^ scope, high) >> shift_;
    }
    [[nodiscard]] std::uint32_t find_v4(std::uint64_t key) const noexcept {
        // Any search ends: there are more lanes than addresses.
        for (std::uint32_t at = v4_home(key);; at = (at + 1) & line_mask_) {
            // Nothing is written: what match() is written for has a writer elsewhere.
            auto& line = const_cast<FdbBucket&>(lines_[at]);
            const auto lane = static_cast<unsigned>(
                __builtin_ctz(match<IsaOfBuild>(line, key) | line.words[FdbBucket::last_lane]));
            if (lane <= FdbBucket::last_lane) [[likely]] {
                return lane == FdbBucket::last_lane ? kNone : line.words[lane];
            }
        }
    }
    [[nodiscard]] std::uint32_t find_v6(std::uint32_t scope, std::uint64_t low,
                                        std::uint64_t high) const noexcept {
        for (std::uint64_t at = v6_home(scope, low, high);; ++at) {
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
    void put_v4(std::uint64_t key, std::uint32_t value) noexcept;
    void put_v6(const ScopedAddress& key, std::uint32_t value) noexcept;

    std::vector<FdbBucket> lines_;
    std::vector<Cell> cells_;
    std::uint64_t mask_ = 0;
    std::uint32_t line_mask_ = 0;
    unsigned line_shift_ = 63;
    unsigned shift_ = 60;
    std::size_t size_ = 0;
};

}  // namespace vxplane::table
