// Who has which IP address in a segment: what the topology says, what a controller told, and what
// was heard on the wire. Workers answer ARP and neighbour discovery with it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "control/apply/bridge.hpp"
#include "control/resolve/spoken.hpp"

namespace vxplane::control {

/// Control thread only.
class SegmentNeighbours final : public TablePart {
  public:
    using Time = Bridge::Time;
    using Problem = Bridge::Problem;
    /// Later ones are believed more, and take the place of earlier ones.
    enum class State : std::uint8_t { learned, controller, permanent };

    /// Addresses that controllers may tell, over all segments.
    static constexpr std::uint32_t kMostTold = 1U << 20;
    /// What was learned is published once in such a time, however much it is.
    static constexpr std::chrono::milliseconds kNewsEvery{20};

    struct View {
        std::uint16_t segment = 0;
        net::IpAddress address;
        net::MacAddress mac;
        State state = State::learned;
        bool router = false;
        std::chrono::milliseconds age{0};  ///< since last heard; learned only
    };
    enum class What : std::uint8_t { learned, moved, aged };
    using News = std::function<void(What, const View&)>;

    struct Counters {
        std::uint64_t learned = 0;
        std::uint64_t moved = 0;
        std::uint64_t aged = 0;
        std::uint64_t refused = 0;  ///< no room in the segment (neigh-maxaddr)
        std::uint64_t foreign = 0;  ///< malformed, or spoke for another station
    };

    explicit SegmentNeighbours(Bridge& bridge) : bridge_(bridge) {}
    void on_news(News news) { news_ = std::move(news); }

    /// As a controller: `replacing` or not, nothing may be there from the topology.
    Problem add(std::uint16_t segment, const net::IpAddress& address, net::MacAddress mac,
                bool router, bool replacing);
    Problem remove(std::uint16_t segment, const net::IpAddress& address);
    /// Of one segment or of all, but what the topology says. Returns how many.
    std::uint32_t flush(std::optional<std::uint16_t> segment);
    /// A frame that was seen in a segment.
    void hear(std::uint16_t segment, std::span<const std::byte> frame, Time now);
    /// Takes away what was not heard for the segment's ageing time. Called often.
    void tick(Time now);
    void for_each(std::optional<std::uint16_t> segment, Time now,
                  const std::function<void(const View&)>& each) const;
    /// Of one segment: how many there are, and how many of those heard had no room.
    [[nodiscard]] std::uint32_t learned(std::uint16_t segment) const;
    [[nodiscard]] std::uint64_t refused(std::uint16_t segment) const;
    [[nodiscard]] const Counters& counters() const noexcept { return counters_; }

    // --- TablePart
    [[nodiscard]] bool changed() const noexcept override {
        return due_ || shape_ != bridge_.shape_version();
    }
    void fill(table::Tables& next) override;

  private:
    using Key = std::pair<std::uint16_t, net::IpAddress>;
    struct Entry {
        net::MacAddress mac;
        State state = State::learned;
        bool router = false;
        Time heard{};
    };
    [[nodiscard]] bool is_permanent(const Key& key) const;
    [[nodiscard]] View view(const Key& key, const Entry& entry, Time now) const;
    std::map<Key, Entry>::iterator take_out(std::map<Key, Entry>::iterator at);

    Bridge& bridge_;
    News news_;
    std::map<Key, Entry> entries_;
    std::map<std::uint16_t, std::uint32_t> learned_;  ///< by segment
    std::map<std::uint16_t, std::uint64_t> refused_;  ///< the same
    std::uint32_t told_ = 0;
    std::uint64_t shape_ = ~0ULL;
    bool dirty_ = false;
    bool due_ = false;
    Time published_{};
    Time aged_{};
    Counters counters_;
};

std::string_view name(SegmentNeighbours::State state) noexcept;
std::string_view name(SegmentNeighbours::What what) noexcept;

/// Which misses are told: each key once in a second, and a bounded number of keys.
class MissLimiter {
  public:
    using Time = Bridge::Time;
    static constexpr std::size_t kMostKeys = 4096;
    [[nodiscard]] bool may_tell(std::uint16_t segment, std::uint64_t low, std::uint64_t high,
                                Time now);
    [[nodiscard]] std::uint64_t suppressed() const noexcept { return suppressed_; }

  private:
    std::map<std::tuple<std::uint16_t, std::uint64_t, std::uint64_t>, Time> told_;
    std::uint64_t suppressed_ = 0;
};

}  // namespace vxplane::control
