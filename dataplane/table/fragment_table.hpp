// Which connection the first fragment of a datagram belonged to: later fragments have no ports and
// follow it. Part of the tracker.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/ip_address.hpp"

namespace vxplane::table {

/// What fragments of one datagram have in common (RFC 791, RFC 8200 section 4.5), as they arrive.
struct FragmentKey {
    net::IpAddress source;
    net::IpAddress destination;
    std::uint32_t id = 0;  ///< as it stands on the wire
    std::uint16_t zone = 0;
    std::uint8_t protocol = 0;  ///< 0 for IPv6, whose fragments may name different ones

    bool operator==(const FragmentKey&) const noexcept = default;
};

/// Sets of four places; when all four are taken the one that ends first goes. One writer.
class FragmentTable {
  public:
    static constexpr std::uint32_t kPlaces = 8192;
    struct Value {
        std::uint32_t ref = ~0U;    ///< ConnRef::bits
        std::uint32_t version = 0;  ///< of the connection's place, lest it belongs to another now
    };

    /// Throws std::bad_alloc.
    FragmentTable() : sets_(std::make_unique<Set[]>(kSets)) {}

    void put(const FragmentKey& key, Value value, std::uint32_t now,
             std::uint32_t expires) noexcept {
        Set& set = sets_[set_of(key)];
        Place* place = &set[0];
        for (Place& candidate : set) {
            if (candidate.is_live(now) && candidate.key == key) {
                candidate.value = value;
                candidate.expires = expires;
                return;
            }
            if (!candidate.is_live(now)) {
                if (place->is_live(now)) {
                    place = &candidate;
                }
            } else if (place->is_live(now) &&
                       static_cast<std::int32_t>(candidate.expires - place->expires) < 0) {
                place = &candidate;
            }
        }
        if (place->is_live(now)) {
            add(replaced_, std::uint64_t{1});
        } else if (!place->in_use) {
            add(used_, 1U);
            if (used() > high_water()) {
                high_water_.store(used(), std::memory_order_relaxed);
            }
        }
        *place = {key, value, expires, true};
    }
    /// `ref` is ~0 when no first fragment was seen.
    [[nodiscard]] Value find(const FragmentKey& key, std::uint32_t now) const noexcept {
        for (const Place& place : sets_[set_of(key)]) {
            if (place.is_live(now) && place.key == key) {
                return place.value;
            }
        }
        return {};
    }
    /// Frees what is over in a few sets; called again and again.
    void sweep(std::uint32_t now) noexcept {
        for (Place& place : sets_[sweep_at_]) {
            if (place.in_use && !place.is_live(now)) {
                place.in_use = false;
                add(used_, ~0U);
            }
        }
        sweep_at_ = (sweep_at_ + 1) % kSets;
    }
    // Any thread.
    [[nodiscard]] std::uint32_t used() const noexcept {
        return used_.load(std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint32_t high_water() const noexcept {
        return high_water_.load(std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t replaced() const noexcept {
        return replaced_.load(std::memory_order_relaxed);
    }

  private:
    static constexpr std::uint32_t kSets = kPlaces / 4;
    struct Place {
        FragmentKey key;
        Value value;
        std::uint32_t expires = 0;
        bool in_use = false;
        [[nodiscard]] bool is_live(std::uint32_t now) const noexcept {
            return in_use && static_cast<std::int32_t>(expires - now) > 0;
        }
    };
    using Set = std::array<Place, 4>;

    template <class T>
    static void add(std::atomic<T>& counter, T what) noexcept {
        counter.store(counter.load(std::memory_order_relaxed) + what, std::memory_order_relaxed);
    }
    static std::uint32_t set_of(const FragmentKey& key) noexcept {
        const std::uint64_t ends = net::mix(key.source.low() ^ key.source.high() << 1,
                                            key.destination.low() ^ key.destination.high() << 1);
        const std::uint64_t h = net::mix(
            ends, std::uint64_t{key.id} << 32 | std::uint64_t{key.zone} << 8 | key.protocol);
        return static_cast<std::uint32_t>(h >> 32) % kSets;
    }

    std::unique_ptr<Set[]> sets_;
    std::uint32_t sweep_at_ = 0;
    std::atomic<std::uint32_t> used_{0};
    std::atomic<std::uint32_t> high_water_{0};
    std::atomic<std::uint64_t> replaced_{0};
};

}  // namespace vxplane::table
