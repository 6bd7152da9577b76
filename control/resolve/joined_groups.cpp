#include "control/resolve/joined_groups.hpp"

#include <algorithm>

namespace vxplane::control {

using std::chrono::milliseconds;

void JoinedGroups::set_port(std::uint16_t port, const net::MacAddress& mac,
                            std::span<const OwnAddress> own) {
    GroupSpeaker speaker{mac, {}, link_local_of(mac)};
    bool has_v4 = false;
    bool has_link_local = false;
    for (const OwnAddress& one : own) {
        if (one.address.is_v4() && !has_v4) {
            speaker.address = one.address.v4();
            has_v4 = true;
        } else if (one.address.is_link_local() && !has_link_local) {
            speaker.link_local = one.address;
            has_link_local = true;
        }
    }
    speakers_[port] = speaker;
}

milliseconds JoinedGroups::random_up_to(milliseconds most) {
    return milliseconds(std::uniform_int_distribution<std::int64_t>(0, most.count())(random_));
}

std::uint8_t JoinedGroups::version_of(const Side& side, Time now) const {
    const auto at = queriers_.find(side);
    if (at == queriers_.end()) {
        return newest(side.second);
    }
    return now < at->second.version1_until                  ? 1
           : side.second && now < at->second.version2_until ? 2
                                                            : newest(side.second);
}

void JoinedGroups::join(std::uint16_t port, const net::IpAddress& group, Time now) {
    const Key key{port, group};
    const auto [at, fresh] = groups_.try_emplace(key);
    if (fresh || at->second.leaving) {
        change(key, at->second, false, now);
    }
}

void JoinedGroups::leave(std::uint16_t port, const net::IpAddress& group, Time now) {
    const auto at = groups_.find({port, group});
    if (at != groups_.end() && !at->second.leaving) {
        change(at->first, at->second, true, now);
    }
}

void JoinedGroups::change(const Key& key, Group& group, bool leaving, Time now) {
    const auto querier = queriers_.find({key.first, key.second.is_v4()});
    const std::uint8_t said = querier == queriers_.end() ? 0 : querier->second.robustness;
    group.leaving = leaving;
    group.to_send = said == 0 ? options_.robustness : said;
    group.again = now;
    group.answer = leaving ? kNever : group.answer;
    plan(now);
}

void JoinedGroups::link_is_back(std::uint16_t port, Time now) {
    for (auto& [key, group] : groups_) {
        if (key.first == port && !group.leaving) {
            change(key, group, false, now);
        }
    }
    queriers_.erase({port, true});
    queriers_.erase({port, false});
}

void JoinedGroups::send(std::uint16_t port, std::vector<std::byte> bytes) {
    frames_.push_back({port, std::move(bytes)});
}

void JoinedGroups::tell_change(const Key& key, Group& group, Time now) {
    const auto& [port, address] = key;
    const std::uint8_t version = version_of({port, address.is_v4()}, now);
    const bool is_new = version == newest(address.is_v4());
    const GroupSpeaker& from = speakers_[port];
    if (is_new) {
        const auto what = group.leaving ? net::GroupChange::to_include  // of no source
                                        : net::GroupChange::to_exclude;
        send(port, make_report(from, what, {&address, 1}));
    } else if (!group.leaving) {
        send(port, make_old_report(from, address, version));
    } else if (!address.is_v4() || version > 1) {
        send(port, make_leave(from, address));
    }
    ++(group.leaving ? group.leaves : group.reports);
    ++(group.leaving ? counters_.leaves : counters_.reports);
    --group.to_send;
    if (group.leaving && !is_new) {
        group.to_send = 0;  // RFC 2236 section 3: once
    }
    group.again = group.to_send == 0 ? kNever
                                     : now + random_up_to(is_new ? options_.unsolicited
                                                                 : options_.unsolicited_old);
    plan(group.again);
}

void JoinedGroups::answer_for(const Key& key, Group& group, Time now) {
    const auto& [port, address] = key;
    const std::uint8_t version = version_of({port, address.is_v4()}, now);
    group.answer = kNever;
    ++group.reports;
    ++counters_.reports;
    send(port, version == newest(address.is_v4())
                   ? make_report(speakers_[port], net::GroupChange::is_exclude, {&address, 1})
                   : make_old_report(speakers_[port], address, version));
}

void JoinedGroups::answer_all(const Side& side, Time now) {
    std::vector<net::IpAddress> some;
    const auto flush = [&] {
        if (!some.empty()) {
            ++counters_.reports;
            send(side.first,
                 make_report(speakers_[side.first], net::GroupChange::is_exclude, some));
        }
        some.clear();
    };
    // The router may have been replaced by an older one since it asked.
    const bool is_new = version_of(side, now) == newest(side.second);
    for (auto& [key, group] : groups_) {
        if (key.first != side.first || key.second.is_v4() != side.second || group.leaving) {
            continue;
        }
        if (!is_new) {
            answer_for(key, group, now);
            continue;
        }
        ++group.reports;
        group.answer = kNever;
        some.push_back(key.second);
        if (some.size() == kMostRecords) {
            flush();
        }
    }
    flush();
}

void JoinedGroups::note_version(Querier& querier, const net::GroupQuery& query, Time now) const {
    querier.robustness = query.robustness != 0 ? query.robustness : querier.robustness;
    if (query.interval.count() != 0) {
        querier.interval = query.interval;
    }
    // RFC 3376 section 8.12, RFC 3810 section 9.12.
    const milliseconds interval =
        querier.interval.count() == 0 ? options_.interval : querier.interval;
    const unsigned robustness =
        querier.robustness == 0 ? options_.robustness : unsigned{querier.robustness};
    const Time until = now + robustness * interval + query.response;
    if (query.version == 1) {
        querier.version1_until = until;
    } else if (query.ipv4 && query.version == 2) {
        querier.version2_until = until;
    }
}

void JoinedGroups::hear(std::uint16_t port, std::span<const std::byte> packet, Time now) {
    const net::GroupQuery query = net::read_group_query(packet);
    if (query.kind != net::GroupQuery::Kind::query || !speakers_.contains(port)) {
        counters_.malformed += query.kind == net::GroupQuery::Kind::malformed ? 1U : 0U;
        return;
    }
    ++counters_.queries;
    const Side side{port, query.ipv4};
    Querier& querier = queriers_[side];
    note_version(querier, query, now);
    // RFC 3376 section 5.2: one answer within the time, the sooner the better of two.
    const Time when = now + random_up_to(query.response);
    const bool is_new = version_of(side, now) == newest(query.ipv4);
    if (query.general && is_new) {
        querier.answer = std::min(querier.answer, when);
        plan(querier.answer);
    }
    for (auto& [key, group] : groups_) {
        if (key.first != port || key.second.is_v4() != query.ipv4 ||
            (!query.general && key.second != query.group)) {
            continue;
        }
        ++group.queries;
        if (group.leaving || (query.general && is_new) || querier.answer <= when) {
            continue;
        }
        group.answer = std::min(group.answer, now + random_up_to(query.response));
        plan(group.answer);
    }
}

void JoinedGroups::tick(Time now) {
    if (now < due_) {
        return;
    }
    due_ = kNever;
    for (auto& [side, querier] : queriers_) {
        if (querier.answer <= now) {
            querier.answer = kNever;
            answer_all(side, now);
        }
        plan(querier.answer);
    }
    for (auto at = groups_.begin(); at != groups_.end();) {
        auto& [key, group] = *at;
        if (group.again <= now) {
            tell_change(key, group, now);
        }
        if (group.answer <= now) {
            answer_for(key, group, now);
        }
        if (group.leaving && group.to_send == 0) {
            at = groups_.erase(at);
            continue;
        }
        plan(std::min(group.again, group.answer));
        ++at;
    }
}

std::vector<JoinedGroups::View> JoinedGroups::views(Time now) const {
    std::vector<View> all;
    for (const auto& [key, group] : groups_) {
        all.push_back({key.first, key.second, group.leaving,
                       version_of({key.first, key.second.is_v4()}, now), group.reports,
                       group.leaves, group.queries});
    }
    return all;
}

}  // namespace vxplane::control
