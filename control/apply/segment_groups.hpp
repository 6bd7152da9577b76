// Multicast of tenants: who of a segment gets which group, by the topology, by hand, and by what
// access ports report with IGMP and MLD (snooping, RFC 4541).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "control/apply/bridge.hpp"
#include "control/resolve/memberships.hpp"

namespace vxplane::control {

/// Control thread only.
class SegmentGroups final : public TablePart {
  public:
    using Time = Bridge::Time;
    using Problem = Bridge::Problem;
    /// Members told by hand, over all segments.
    static constexpr std::size_t kMostTold = 65'536;
    /// Groups that one access port may report.
    static constexpr std::size_t kMostReported = 256;
    /// Changes are published once in such a time, however many they are.
    static constexpr std::chrono::milliseconds kNewsEvery{20};
    /// RFC 3376 section 8.5: who has asked is a querier for so long.
    static constexpr std::chrono::seconds kQuerierLife{255};

    explicit SegmentGroups(Bridge& bridge);

    // --- by hand; the words are those of `bridge mdb`
    Problem add(std::uint16_t segment, const MdbSpec& member, Time now);
    Problem remove(std::uint16_t segment, const MdbSpec& member, Time now);

    /// A copy of IGMP or MLD of a tenant, with its Ethernet header.
    void hear(std::uint16_t segment, std::uint16_t port, bool from_tunnel,
              std::span<const std::byte> frame, Time now);
    using Send = std::function<void(std::uint16_t, std::span<const std::byte>)>;
    /// Follows segments, ends what is too old, asks listeners. Called often.
    void tick(Time now, const Send& send);

    enum class State : std::uint8_t { permanent, told, reported };
    struct View {
        std::uint16_t segment = 0;
        MdbSpec member;
        State state = State::permanent;
        std::chrono::milliseconds left{0};  ///< reported only
    };
    void for_each(std::optional<std::uint16_t> segment, Time now,
                  const std::function<void(const View&)>& each) const;
    /// Ports with a multicast router behind them.
    [[nodiscard]] std::vector<std::uint16_t> routers(std::uint16_t segment) const;
    [[nodiscard]] bool has_querier(std::uint16_t segment) const {
        return queriers_.contains(segment);
    }
    [[nodiscard]] const Memberships& reported() const noexcept { return memberships_; }

    // --- TablePart
    [[nodiscard]] bool changed() const noexcept override { return changed_; }
    void fill(table::Tables& next) override;

  private:
    using Port = std::pair<std::uint16_t, std::uint16_t>;  ///< segment, DPDK port id
    using Remote = std::pair<net::IpAddress, OwnNumbers>;
    /// What workers see; entries by their group and source.
    struct Compiled {
        struct Entry {
            std::set<Remote> remotes;
            std::set<std::uint16_t> ports;
            bool has_tunnels = false;
            bool has_ports = false;
            bool operator==(const Entry&) const = default;
        };
        struct Group {
            Entry any;
            std::map<net::IpAddress, Entry> sources;
            bool operator==(const Group&) const = default;
        };
        std::map<std::pair<std::uint16_t, net::IpAddress>, Group> groups;
        bool operator==(const Compiled&) const = default;
    };
    static Memberships::Listener listener_of(std::uint16_t segment, std::uint16_t port) {
        return std::uint32_t{segment} << 16 | port;
    }
    [[nodiscard]] bool is_member(std::uint16_t segment, std::uint16_t port) const;
    void follow_segments();
    void compile(Time now);
    static Compiled::Group compile_group(const std::vector<const View*>& members);
    void lead(Time now);

    Bridge& bridge_;
    Memberships memberships_;
    std::map<std::uint16_t, std::set<MdbSpec>> told_;
    std::map<Port, Time> routers_;            ///< until then
    std::map<std::uint16_t, Time> queriers_;  ///< by segment, until then
    std::set<Port> listened_;
    Compiled compiled_;
    /// segment, remote -> tunnel, of which we are a user
    std::map<std::pair<std::uint16_t, Remote>, std::uint32_t> tunnels_;
    std::uint64_t shape_ = ~0ULL;
    Time published_{};
    bool dirty_ = false;
    bool reshaped_ = false;
    bool changed_ = false;
};

std::string_view name(SegmentGroups::State state) noexcept;

}  // namespace vxplane::control
