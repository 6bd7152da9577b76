// Which peers were refused, why, and how often: an operator sees at a glance whether a peer is
// configured wrong or somebody tries doors.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>

#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/ip_address.hpp"
#include "dataplane/packet/drop_reason.hpp"

namespace vxplane::step {

/// False for reasons that are found before the source in the outer header can be believed, and for
/// want of room, which is nobody's fault.
constexpr bool blames_peer(packet::DropReason reason) noexcept {
    using packet::DropReason;
    switch (reason) {
        case DropReason::none:
        case DropReason::eth_runt:
        case DropReason::eth_too_long:
        case DropReason::eth_not_for_us:
        case DropReason::ip4_truncated:
        case DropReason::ip4_bad_version:
        case DropReason::ip4_bad_header_length:
        case DropReason::ip4_bad_total_length:
        case DropReason::ip4_bad_checksum:
        case DropReason::port_gone:
            return false;
        case DropReason::flood_limit:
            return true;
        default:
            return packet::info(reason).severity != packet::Severity::overload;
    }
}

/// Exact counts of 1,024 pairs of peer and reason. A new pair that finds no room takes that of the
/// one with the least, which goes on counting among the others: the rows and the others together
/// are what was dropped, and a storm of made-up sources takes one place of all. Written by one
/// worker, read by control at any time.
class RefusedPeers {
  public:
    static constexpr std::uint16_t kRoom = 1024;

    struct Sample {
        net::IpAddress peer;
        packet::DropReason reason = packet::DropReason::none;
        std::uint64_t count = 0;
    };

    /// `seed`: keeps it from senders which of their addresses share a home.
    explicit RefusedPeers(std::uint64_t seed) noexcept : seed_(seed) { heads_.fill(kNobody); }

    void note(const net::IpAddress& peer, packet::DropReason reason) noexcept {
        std::uint16_t& head = heads_[home(peer.low(), peer.high(), reason)];
        for (std::uint16_t i = head; i != kNobody; i = places_[i].next) {
            Place& place = places_[i];
            if (get(place.low) == peer.low() && get(place.high) == peer.high() &&
                get(place.reason) == reason) {
                set(place.count, get(place.count) + 1);
                return;
            }
        }
        const std::uint16_t at = used_ < kRoom ? used_++ : free_weakest();
        Place& place = places_[at];
        const std::uint32_t turn = get(place.turn);
        set(place.turn, turn + 1);
        std::atomic_thread_fence(std::memory_order_release);
        set(place.low, peer.low());
        set(place.high, peer.high());
        set(place.reason, reason);
        set(place.count, std::uint64_t{1});
        place.turn.store(turn + 2, std::memory_order_release);
        place.next = head;
        head = at;
    }

    /// Calls `each` with every pair that is not being replaced at the moment.
    template <class F>
    void for_each(F&& each) const {
        for (const Place& place : places_) {
            const std::uint32_t before = place.turn.load(std::memory_order_acquire);
            Sample sample;
            const std::array<std::uint64_t, 2> words{get(place.low), get(place.high)};
            std::memcpy(sample.peer.bytes.data(), words.data(), sizeof words);
            sample.reason = get(place.reason);
            sample.count = get(place.count);
            std::atomic_thread_fence(std::memory_order_acquire);
            if (sample.count != 0 && before % 2 == 0 && get(place.turn) == before) {
                each(sample);
            }
        }
    }
    /// Packets of pairs that had to make room.
    [[nodiscard]] std::uint64_t others(packet::DropReason reason) const noexcept {
        return get(others_[static_cast<std::size_t>(reason)]);
    }

  private:
    static constexpr std::uint16_t kNobody = 0xFFFF;
    static constexpr std::size_t kHomes = 2UL * kRoom;

    struct Place {
        std::atomic<std::uint64_t> low{0};
        std::atomic<std::uint64_t> high{0};
        std::atomic<std::uint64_t> count{0};
        std::atomic<std::uint32_t> turn{0};  ///< odd while it is replaced
        std::uint16_t next = kNobody;        ///< of the same home; the writer's alone
        std::atomic<packet::DropReason> reason{packet::DropReason::none};
    };
    static_assert(sizeof(Place) == 32);

    template <class T>
    static T get(const std::atomic<T>& word) noexcept {
        return word.load(std::memory_order_relaxed);
    }
    template <class T>
    static void set(std::atomic<T>& word, T value) noexcept {
        word.store(value, std::memory_order_relaxed);
    }
    [[nodiscard]] std::size_t home(std::uint64_t low, std::uint64_t high,
                                   packet::DropReason reason) const noexcept {
        return net::mix(net::mix(low, seed_) ^ static_cast<std::uint64_t>(reason), high) % kHomes;
    }

    std::uint16_t free_weakest() noexcept {
        // Counts only grow: while it has no more than any other one had, it is still the weakest.
        if (get(places_[weakest_].count) > least_of_others_) {
            find_weakest();
        }
        Place& place = places_[weakest_];
        const packet::DropReason reason = get(place.reason);
        std::uint16_t* link = &heads_[home(get(place.low), get(place.high), reason)];
        while (*link != weakest_) {
            link = &places_[*link].next;
        }
        *link = place.next;
        std::atomic<std::uint64_t>& others = others_[static_cast<std::size_t>(reason)];
        set(others, get(others) + get(place.count));
        return weakest_;
    }
    void find_weakest() noexcept {
        std::uint64_t least = ~0ULL;
        least_of_others_ = ~0ULL;
        for (std::uint16_t i = 0; i < kRoom; ++i) {
            const std::uint64_t count = get(places_[i].count);
            if (count < least) {
                least_of_others_ = least;
                least = count;
                weakest_ = i;
            } else if (count < least_of_others_) {
                least_of_others_ = count;
            }
        }
    }

    std::array<Place, kRoom> places_{};
    std::array<std::atomic<std::uint64_t>, packet::kDropReasons> others_{};
    std::array<std::uint16_t, kHomes> heads_;
    std::uint64_t seed_;
    std::uint16_t used_ = 0;  ///< places that were ever taken
    std::uint16_t weakest_ = 0;
    std::uint64_t least_of_others_ = 0;
};

}  // namespace vxplane::step
