// Multicast groups of the underlay that we have joined, and how routers and switches hear of it:
// the host's side of IGMP (RFC 3376) and MLD (RFC 3810) for any number of ports, also where the
// router speaks an older version.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "control/resolve/group_report.hpp"
#include "control/resolve/own_address.hpp"
#include "dataplane/net/query_reader.hpp"

namespace vxplane::control {

/// Defaults of RFC 3376 section 8, RFC 2236 section 8 and RFC 3810 section 9.
struct JoinOptions {
    std::uint8_t robustness = 2;  ///< messages of one change, unless the querier says
    std::chrono::milliseconds interval{125'000};        ///< of queries, unless the querier says
    std::chrono::milliseconds unsolicited{1'000};       ///< between messages of one change
    std::chrono::milliseconds unsolicited_old{10'000};  ///< the same where the router is older
};

/// Control thread only; time and output are handed in and out.
class JoinedGroups {
  public:
    using Clock = std::chrono::steady_clock;
    using Time = Clock::time_point;

    explicit JoinedGroups(std::uint64_t seed, JoinOptions options = {})
        : options_(options), random_(seed) {}

    /// Who speaks at a port; also when that changes.
    void set_port(std::uint16_t port, const net::MacAddress& mac, std::span<const OwnAddress> own);
    /// Told at once, and again.
    void join(std::uint16_t port, const net::IpAddress& group, Time now);
    void leave(std::uint16_t port, const net::IpAddress& group, Time now);
    /// The port has a link again: who is at its other end has heard of nothing.
    void link_is_back(std::uint16_t port, Time now);
    /// A query that arrived at the port; `packet` begins with its IP header.
    void hear(std::uint16_t port, std::span<const std::byte> packet, Time now);
    void tick(Time now);

    struct Frame {
        std::uint16_t port = 0;
        std::vector<std::byte> bytes;
    };
    /// To be sent, since the last call.
    [[nodiscard]] std::vector<Frame> take_frames() { return std::exchange(frames_, {}); }

    struct View {
        std::uint16_t port = 0;
        net::IpAddress group;
        bool leaving = false;
        std::uint8_t version = 0;  ///< of the messages, as in net::GroupQuery
        std::uint64_t reports = 0;
        std::uint64_t leaves = 0;
        std::uint64_t queries = 0;  ///< heard, that were about this group
    };
    [[nodiscard]] std::vector<View> views(Time now) const;
    struct Counters {
        std::uint64_t queries = 0;
        std::uint64_t malformed = 0;
        std::uint64_t reports = 0;
        std::uint64_t leaves = 0;
    };
    [[nodiscard]] const Counters& counters() const noexcept { return counters_; }

  private:
    static constexpr Time kNever = Time::max();

    struct Group {
        std::uint8_t to_send = 0;  ///< messages of the last change
        bool leaving = false;
        Time again = kNever;   ///< the next of them
        Time answer = kNever;  ///< to a query about this group
        std::uint64_t reports = 0;
        std::uint64_t leaves = 0;
        std::uint64_t queries = 0;
    };
    /// What is known of the routers of a port, of one family.
    struct Querier {
        Time version1_until{};
        Time version2_until{};  ///< of IGMP
        std::uint8_t robustness = 0;
        std::chrono::milliseconds interval{0};
        Time answer = kNever;  ///< to a general query of the newest version
    };
    using Side = std::pair<std::uint16_t, bool>;  ///< port, whether IPv4
    using Key = std::pair<std::uint16_t, net::IpAddress>;

    [[nodiscard]] static std::uint8_t newest(bool ipv4) noexcept { return ipv4 ? 3 : 2; }
    [[nodiscard]] std::uint8_t version_of(const Side& side, Time now) const;
    [[nodiscard]] std::chrono::milliseconds random_up_to(std::chrono::milliseconds most);
    void change(const Key& key, Group& group, bool leaving, Time now);
    void tell_change(const Key& key, Group& group, Time now);
    void answer_for(const Key& key, Group& group, Time now);
    void answer_all(const Side& side, Time now);
    void note_version(Querier& querier, const net::GroupQuery& query, Time now) const;
    void send(std::uint16_t port, std::vector<std::byte> bytes);
    void plan(Time when) noexcept { due_ = std::min(due_, when); }

    JoinOptions options_;
    std::mt19937_64 random_;
    std::map<std::uint16_t, GroupSpeaker> speakers_;
    std::map<Key, Group> groups_;
    std::map<Side, Querier> queriers_;
    std::vector<Frame> frames_;
    Counters counters_;
    Time due_ = kNever;
};

}  // namespace vxplane::control
