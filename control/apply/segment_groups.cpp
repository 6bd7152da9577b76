#include "control/apply/segment_groups.hpp"

#include <algorithm>
#include <array>

#include "control/apply/words.hpp"
#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/group_query.hpp"
#include "dataplane/net/query_reader.hpp"

namespace vxplane::control {

SegmentGroups::SegmentGroups(Bridge& bridge)
    : bridge_(bridge), memberships_([] {
          MembershipOptions options;
          options.per_listener = kMostReported;
          return options;
      }()) {}

bool SegmentGroups::is_member(std::uint16_t segment, std::uint16_t port) const {
    const auto& ports = bridge_.segment(segment).ports;
    return std::find(ports.begin(), ports.end(), port) != ports.end();
}

SegmentGroups::Problem SegmentGroups::add(std::uint16_t segment, const MdbSpec& member, Time now) {
    std::size_t all = 0;
    for (const auto& [index, members] : told_) {
        all += members.size();
    }
    if (all >= kMostTold) {
        return "there is no room for another member of a group";
    }
    if (member.remote.is_unset() ? !is_member(segment, member.port) : false) {
        return "the port is not a member of segment " + bridge_.segment(segment).name;
    }
    if (!member.remote.is_unset()) {
        if (auto problem = bridge_.refuse_remote(segment, member.remote, member.own)) {
            return problem;
        }
    }
    const auto same = [&member](const MdbSpec& one) {
        return one.group == member.group && one.source == member.source &&
               one.remote == member.remote && one.own == member.own && one.port == member.port;
    };
    const auto& permanent = bridge_.segment(segment).mdb;
    auto& told = told_[segment];
    if (std::any_of(permanent.begin(), permanent.end(), same) ||
        std::any_of(told.begin(), told.end(), same)) {
        return "group " + text(member.group) + " has this member already";
    }
    told.insert(member);
    dirty_ = true;
    published_ = {};
    compile(now);
    return std::nullopt;
}

SegmentGroups::Problem SegmentGroups::remove(std::uint16_t segment, const MdbSpec& member,
                                             Time now) {
    auto& told = told_[segment];
    const auto gone = std::erase_if(told, [&member](const MdbSpec& one) {
        return one.group == member.group && one.source == member.source &&
               one.remote == member.remote && one.own == member.own && one.port == member.port;
    });
    if (gone == 0) {
        return "group " + text(member.group) +
               " has no such member that was told by hand (those of the topology stay)";
    }
    dirty_ = true;
    published_ = {};
    compile(now);
    return std::nullopt;
}

void SegmentGroups::hear(std::uint16_t segment, std::uint16_t port, bool from_tunnel,
                         std::span<const std::byte> frame, Time now) {
    if (segment >= bridge_.segment_count() || !bridge_.is_used(segment) ||
        !bridge_.segment(segment).mcast_snooping) {
        return;
    }
    const auto shape = net::shape_of(frame.data(), frame.size());
    if (!shape.is_ip || frame.size() <= shape.l3_offset) {
        return;
    }
    const auto packet = frame.subspan(shape.l3_offset);
    const net::GroupQuery query = net::read_group_query(packet);
    if (query.kind == net::GroupQuery::Kind::query) {
        // RFC 4541 section 2.1.1: 0.0.0.0 is a switch that asks, and no router.
        if (query.source == net::IpAddress(net::Ipv4Address{})) {
            return;
        }
        dirty_ = dirty_ || !queriers_.contains(segment);
        queriers_[segment] = now + kQuerierLife;
        if (!from_tunnel) {
            dirty_ = dirty_ || !routers_.contains({segment, port});
            routers_[{segment, port}] = now + kQuerierLife;
        }
        return;
    }
    if (!from_tunnel &&
        memberships_.hear(listener_of(segment, port), packet, now) == net::ReportKind::report) {
        dirty_ = true;
    }
}

void SegmentGroups::follow_segments() {
    shape_ = bridge_.shape_version();
    reshaped_ = true;
    std::set<Port> wanted;
    for (std::size_t i = 0; i < bridge_.segment_count(); ++i) {
        const auto index = static_cast<std::uint16_t>(i);
        if (bridge_.is_up(index) && bridge_.segment(index).mcast_snooping) {
            for (const std::uint16_t port : bridge_.segment(index).ports) {
                wanted.insert({index, port});
            }
        }
    }
    for (const Port& one : listened_) {
        if (!wanted.contains(one)) {
            memberships_.forget(listener_of(one.first, one.second));
        }
    }
    for (const Port& one : wanted) {
        memberships_.listen(listener_of(one.first, one.second), {});
    }
    listened_ = std::move(wanted);
    std::erase_if(routers_, [this](const auto& one) { return !listened_.contains(one.first); });
    std::erase_if(queriers_, [this](const auto& one) {
        return !bridge_.is_used(one.first) || !bridge_.segment(one.first).mcast_snooping;
    });
    std::erase_if(told_, [this](const auto& one) { return !bridge_.is_used(one.first); });
    for (auto& [segment, members] : told_) {
        const std::uint16_t index = segment;
        std::erase_if(members, [this, index](const MdbSpec& one) {
            return one.remote.is_unset() && !is_member(index, one.port);
        });
    }
    dirty_ = true;
}

void SegmentGroups::tick(Time now, const Send& send) {
    if (shape_ != bridge_.shape_version()) {
        follow_segments();
    }
    if (const auto due = memberships_.next_due(); due && *due <= now) {
        memberships_.tick(now);
    }
    for (const Memberships::Question& one : memberships_.take_questions()) {
        const auto segment = static_cast<std::uint16_t>(one.listener >> 16);
        std::array<std::byte, net::kGroupQueryFrame> frame{};
        const std::size_t size =
            net::make_group_query(bridge_.segment(segment).own_mac, one.group, one.response, frame);
        send(static_cast<std::uint16_t>(one.listener), std::span(frame).first(size));
    }
    const auto is_over = [now](const auto& one) { return one.second <= now; };
    dirty_ = (std::erase_if(routers_, is_over) + std::erase_if(queriers_, is_over)) != 0 || dirty_;
    dirty_ = memberships_.take_changed() || dirty_;
    if (dirty_ && (reshaped_ || now - published_ >= kNewsEvery)) {
        compile(now);
    }
}

void SegmentGroups::for_each(std::optional<std::uint16_t> segment, Time now,
                             const std::function<void(const View&)>& each) const {
    for (std::size_t i = 0; i < bridge_.segment_count(); ++i) {
        const auto index = static_cast<std::uint16_t>(i);
        if (!bridge_.is_used(index) || (segment && *segment != index)) {
            continue;
        }
        for (const MdbSpec& one : bridge_.segment(index).mdb) {
            each({index, one, State::permanent, {}});
        }
        if (const auto told = told_.find(index); told != told_.end()) {
            for (const MdbSpec& one : told->second) {
                each({index, one, State::told, {}});
            }
        }
        if (!bridge_.segment(index).mcast_snooping) {
            continue;
        }
        for (const std::uint16_t port : bridge_.segment(index).ports) {
            for (const Memberships::View& one :
                 memberships_.groups(listener_of(index, port), now)) {
                MdbSpec member;
                member.group = one.group;
                member.include = !one.any;
                member.sources = one.sources;
                member.port = port;
                each({index, member, State::reported, one.left});
            }
        }
    }
}

std::vector<std::uint16_t> SegmentGroups::routers(std::uint16_t segment) const {
    std::vector<std::uint16_t> ports;
    for (const auto& [port, until] : routers_) {
        if (port.first == segment) {
            ports.push_back(port.second);
        }
    }
    return ports;
}

SegmentGroups::Compiled::Group SegmentGroups::compile_group(
    const std::vector<const View*>& members) {
    Compiled::Group group;
    const auto put = [](Compiled::Entry& entry, const MdbSpec& member, bool gets) {
        if (member.remote.is_unset()) {
            entry.has_ports = true;
            if (gets) {
                entry.ports.insert(member.port);
            }
            return;
        }
        entry.has_tunnels = true;
        if (gets) {
            entry.remotes.insert({member.remote, member.own});
        }
    };
    std::set<net::IpAddress> sources;
    for (const View* one : members) {
        if (one->member.source.is_unset()) {
            put(group.any, one->member, !one->member.include);
            sources.insert(one->member.sources.begin(), one->member.sources.end());
        } else {
            sources.insert(one->member.source);
        }
    }
    for (const net::IpAddress& source : sources) {
        Compiled::Entry& entry = group.sources[source];
        bool ports_named = false;
        bool tunnels_named = false;
        for (const View* one : members) {
            if (one->member.source == source) {
                put(entry, one->member, true);
                (one->member.remote.is_unset() ? ports_named : tunnels_named) = true;
            }
        }
        // A side that an entry of this source is about has the members of that entry; of the
        // others those that ask for the source by name, and ports that have reported.
        for (const View* one : members) {
            const MdbSpec& member = one->member;
            if (!member.source.is_unset()) {
                continue;
            }
            const bool listed =
                std::binary_search(member.sources.begin(), member.sources.end(), source);
            const bool named = member.remote.is_unset() ? ports_named : tunnels_named;
            const bool weaker = named && !member.include && one->state != State::reported;
            put(entry, member, listed == member.include && !weaker);
        }
    }
    return group;
}

void SegmentGroups::compile(Time now) {
    std::map<std::pair<std::uint16_t, net::IpAddress>, std::vector<const View*>> by_group;
    std::vector<View> all;
    for_each(std::nullopt, now, [&all](const View& one) { all.push_back(one); });
    for (const View& one : all) {
        by_group[{one.segment, one.member.group}].push_back(&one);
    }
    Compiled next;
    for (const auto& [key, members] : by_group) {
        next.groups[key] = compile_group(members);
    }
    // Multicast routers get all groups.
    for (const auto& [port, until] : routers_) {
        for (auto at = next.groups.lower_bound({port.first, {}});
             at != next.groups.end() && at->first.first == port.first; ++at) {
            at->second.any.ports.insert(port.second);
            for (auto& [source, entry] : at->second.sources) {
                entry.ports.insert(port.second);
            }
        }
    }
    for (const Port& one : listened_) {
        Compiled::Entry& entry = next.groups[{one.first, net::IpAddress{}}].any;
        entry.has_ports = queriers_.contains(one.first);
        if (routers_.contains(one)) {
            entry.ports.insert(one.second);
        }
    }
    dirty_ = false;
    published_ = now;
    if (next == compiled_ && !reshaped_) {
        return;
    }
    reshaped_ = false;
    compiled_ = std::move(next);
    lead(now);
    changed_ = true;
    for (std::size_t i = 0; i < bridge_.segment_count(); ++i) {
        const auto index = static_cast<std::uint16_t>(i);
        const auto at = compiled_.groups.lower_bound({index, net::IpAddress{}});
        if (bridge_.is_used(index)) {
            bridge_.set_multicast(index, at != compiled_.groups.end() && at->first.first == index);
        }
    }
}

void SegmentGroups::lead(Time now) {
    std::map<std::pair<std::uint16_t, Remote>, std::uint32_t> next;
    const auto want = [&](std::uint16_t segment, const Compiled::Entry& entry) {
        for (const Remote& remote : entry.remotes) {
            if (next.contains({segment, remote})) {
                continue;
            }
            if (const auto tunnel =
                    bridge_.acquire_tunnel(segment, remote.first, remote.second, now)) {
                next[{segment, remote}] = *tunnel;
            }
        }
    };
    for (const auto& [key, group] : compiled_.groups) {
        want(key.first, group.any);
        for (const auto& [source, entry] : group.sources) {
            want(key.first, entry);
        }
    }
    tunnels_.swap(next);
    for (const auto& [key, tunnel] : next) {
        bridge_.release_tunnel(tunnel);
    }
}

void SegmentGroups::fill(table::Tables& next) {
    std::vector<std::pair<table::ScopedAddress, std::uint32_t>> groups;
    std::vector<std::pair<table::ScopedAddress, std::uint32_t>> sources;
    std::vector<table::MdbEntry> entries;
    std::vector<std::uint32_t> tunnels;
    std::vector<std::uint16_t> ports;
    const auto put = [&](std::uint16_t segment, const Compiled::Entry& entry) {
        table::MdbEntry made;
        made.has_tunnels = entry.has_tunnels;
        made.has_ports = entry.has_ports;
        made.tunnels.begin = static_cast<std::uint32_t>(tunnels.size());
        for (const Remote& remote : entry.remotes) {
            if (const auto at = tunnels_.find({segment, remote}); at != tunnels_.end()) {
                tunnels.push_back(at->second);
            }
        }
        made.tunnels.count = static_cast<std::uint32_t>(tunnels.size()) - made.tunnels.begin;
        made.ports.begin = static_cast<std::uint32_t>(ports.size());
        ports.insert(ports.end(), entry.ports.begin(), entry.ports.end());
        made.ports.count = static_cast<std::uint32_t>(ports.size()) - made.ports.begin;
        entries.push_back(made);
        return static_cast<std::uint32_t>(entries.size() - 1);
    };
    for (const auto& [key, group] : compiled_.groups) {
        const std::uint32_t number = put(key.first, group.any);
        groups.emplace_back(table::ScopedAddress{key.second, key.first}, number);
        for (const auto& [source, entry] : group.sources) {
            sources.emplace_back(table::ScopedAddress{source, number}, put(key.first, entry));
        }
    }
    next.mdb_groups = groups.empty() ? nullptr : std::make_shared<const table::AddressMap>(groups);
    next.mdb_sources =
        sources.empty() ? nullptr : std::make_shared<const table::AddressMap>(sources);
    next.mdb = table::Shared<table::MdbEntry>(std::move(entries));
    next.mdb_tunnels = table::Shared<std::uint32_t>(std::move(tunnels));
    next.mdb_ports = table::Shared<std::uint16_t>(std::move(ports));
    changed_ = false;
}

std::string_view name(SegmentGroups::State state) noexcept {
    constexpr std::array<std::string_view, 3> kNames{"permanent", "controller", "temp"};
    return kNames[static_cast<std::size_t>(state)];
}

}  // namespace vxplane::control
