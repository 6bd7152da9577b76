// Counts how often MAC addresses change their place, and says when one does so too often: then two
// hosts have it, or there is a loop. Met by the bridge, which then leaves the entry where it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <unordered_map>

#include "control/resolve/neighbours.hpp"

namespace vxplane::control {

/// When an address counts as a duplicate. The figures are those of FRRouting's
/// `dup-addr-detection` (RFC 7432 section 15.1 gives the first two).
struct MoveLimits {
    std::uint32_t moves = 5;      ///< as many are let happen; 0 = any number
    std::uint32_t seconds = 180;  ///< within this time from the first of them
    std::uint32_t freeze = 1800;  ///< seconds that a duplicate stays one; 0 = until it is removed
    bool operator==(const MoveLimits&) const = default;
};

/// Control thread only. Keys are FdbKey::raw.
class Moves {
  public:
    using Time = Neighbours::Time;
    /// So many addresses are watched: a storm of moves takes no more memory than that.
    static constexpr std::size_t kMost = 65'536;

    /// An address is about to move. True when it has moved often enough: it is a duplicate from
    /// now on, and must stay.
    bool is_too_many(std::uint64_t key, const MoveLimits& limits, Time now);
    [[nodiscard]] bool is_duplicate(std::uint64_t key) const;
    /// The address has gone, or a person has put it somewhere.
    void forget(std::uint64_t key);
    /// Calls `recovered` with each duplicate whose time is over; it is none any more. Looks at most
    /// once a second.
    void recover(Time now, const std::function<void(std::uint64_t)>& recovered);

    [[nodiscard]] std::size_t duplicates() const noexcept { return duplicates_; }
    [[nodiscard]] std::size_t watched() const noexcept { return records_.size(); }
    /// Moves that were not counted, for as many addresses as kMost were moving.
    [[nodiscard]] std::uint64_t unwatched() const noexcept { return unwatched_; }

  private:
    struct Record {
        Time until;  ///< end of the time in which moves count, or of the freeze
        std::uint32_t moves = 0;
        bool duplicate = false;
    };

    std::unordered_map<std::uint64_t, Record> records_;
    std::size_t duplicates_ = 0;
    std::uint64_t unwatched_ = 0;
    Time looked_{};
};

}  // namespace vxplane::control
