// Which multicast groups listeners want, as their own reports say: what a multicast router keeps of
// a link, for one port each. Met by the daemon for slaves of ipvlans.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "dataplane/net/ip_address.hpp"
#include "dataplane/net/membership.hpp"

namespace vxplane::control {

/// Defaults of RFC 3376 section 8 and RFC 3810 section 9.
struct MembershipOptions {
    std::chrono::milliseconds interval{260'000};  ///< that a report counts for
    /// After which others would have asked, and the answer would be there: we ask ourselves.
    std::chrono::milliseconds silence{145'000};
    std::chrono::milliseconds response{10'000};    ///< for the answer to that question
    std::chrono::milliseconds last_member{1'000};  ///< for that to each of two after a leave
    std::size_t per_listener = 28;                 ///< MAC addresses, fixed ones included; groups
    std::size_t total = 65'536;                    ///< groups of all listeners
};

/// Control thread only; time and output are handed in and out. A query of others refreshes nothing:
/// the reports that it causes do. A listener is asked by ourselves when a group of its has not been
/// heard of for longer than the queries of others would let pass, so that groups also live where
/// nobody else asks.
class Memberships {
  public:
    using Time = std::chrono::steady_clock::time_point;
    using Listener = std::uint32_t;

    explicit Memberships(MembershipOptions options = {}) : options_(options) {}

    /// Reports of this listener count from now on. `fixed`: MAC addresses of groups that it hears
    /// anyway. What was heard stays; what has no room any more is refused.
    void listen(Listener listener, std::vector<std::uint64_t> fixed);
    /// Everything about the listener is forgotten.
    void forget(Listener listener);
    [[nodiscard]] bool listens(Listener listener) const { return members_.contains(listener); }

    /// `packet` begins with its IP header.
    net::ReportKind hear(Listener listener, std::span<const std::byte> packet, Time now);
    /// Groups end, and questions become due.
    void tick(Time now);
    [[nodiscard]] std::optional<Time> next_due() const {
        return due_.empty() ? std::nullopt : std::optional(due_.begin()->first);
    }

    struct Question {
        Listener listener = 0;
        net::IpAddress group;
        std::chrono::milliseconds response{0};
    };
    /// Those that became due since the last call.
    [[nodiscard]] std::vector<Question> take_questions() { return std::exchange(questions_, {}); }
    /// The last group that there was no room for since the last call.
    [[nodiscard]] std::optional<std::pair<Listener, net::IpAddress>> take_refused() {
        return std::exchange(last_refused_, std::nullopt);
    }
    /// Whether the groups of a listener have changed since the last call.
    [[nodiscard]] bool take_changed() { return std::exchange(changed_, false); }

    struct View {
        net::IpAddress group;
        std::chrono::milliseconds left{0};
        bool any = true;                        ///< source but these; otherwise
        std::vector<net::IpAddress> sources{};  ///< only these, in order
    };
    [[nodiscard]] std::vector<View> groups(Listener listener, Time now) const;
    /// MAC addresses of its groups, each once; those that are fixed are not among them.
    [[nodiscard]] std::set<std::uint64_t> macs(Listener listener) const;
    /// Groups that there was no room for.
    [[nodiscard]] std::uint64_t refused(Listener listener) const;
    [[nodiscard]] std::uint64_t refused() const noexcept { return refused_; }
    [[nodiscard]] std::uint64_t malformed() const noexcept { return malformed_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t high_water() const noexcept { return high_water_; }

  private:
    /// Sources of one group, wanted and unwanted; who names more is taken to want them all.
    static constexpr std::size_t kSources = 32;

    /// RFC 3376 section 6.4: while `any` lasts the filter mode is EXCLUDE, `sources` are those of
    /// the requested list and `unwanted` those of the exclude list; otherwise it is INCLUDE.
    struct Group {
        Time any{};  ///< until then wanted from all sources but `unwanted`
        std::map<net::IpAddress, Time> sources;
        std::set<net::IpAddress> unwanted;
        Time until{};
        Time next{};             ///< when `any` or a source ends
        Time ask{};              ///< next question
        std::uint8_t asked = 0;  ///< questions since the last report that wants it
        bool leaves = false;     ///< the last report does not want it any more
    };
    struct Member {
        std::set<std::uint64_t> fixed;
        std::map<net::IpAddress, Group> groups;
        std::uint64_t refused = 0;
    };
    using Due = std::pair<Time, std::pair<Listener, net::IpAddress>>;

    using Groups = std::map<net::IpAddress, Group>;

    void apply(Listener listener, Member& member, const net::GroupRecord& record, Time now);
    Groups::iterator make(Listener listener, Member& member, const net::IpAddress& address);
    void want(Group& group, const net::GroupRecord& record, Time now);
    void want_all_but(Group& group, const net::GroupRecord& record, Time now);
    void leave(Group& group, const net::GroupRecord& record, Time now);
    void ask(Listener listener, Member& member, Groups::iterator at, Time now);
    /// After every change: the group ends, or its next due time is noted.
    void settle(Listener listener, Member& member, Groups::iterator at, Time now);
    void unplan(Listener listener, Groups::const_iterator at);
    void refuse(Listener listener, Member& member, const net::IpAddress& address);
    [[nodiscard]] static bool has_room(const Member& member, const net::IpAddress& address,
                                       std::size_t room);
    [[nodiscard]] static Time due_of(const Group& group) { return std::min(group.next, group.ask); }

    MembershipOptions options_;
    std::map<Listener, Member> members_;
    std::set<Due> due_;
    std::vector<Question> questions_;
    std::size_t size_ = 0;
    std::size_t high_water_ = 0;
    std::uint64_t refused_ = 0;
    std::uint64_t malformed_ = 0;
    std::optional<std::pair<Listener, net::IpAddress>> last_refused_;
    bool changed_ = false;
};

}  // namespace vxplane::control
