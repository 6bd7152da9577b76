#include "control/resolve/memberships.hpp"

namespace vxplane::control {

namespace {

constexpr Memberships::Time kNever = Memberships::Time::max();

}  // namespace

void Memberships::listen(Listener listener, std::vector<std::uint64_t> fixed) {
    const auto [at, is_new] = members_.try_emplace(listener);
    Member& member = at->second;
    member.fixed = {fixed.begin(), fixed.end()};
    if (is_new) {
        // It may have joined before anybody listened, and says so once more when it is asked.
        questions_.push_back({listener, net::Ipv4Address{}, options_.response});
        questions_.push_back({listener, net::IpAddress{}, options_.response});
    }
    while (!member.groups.empty() &&
           !has_room(member, member.groups.rbegin()->first, options_.per_listener)) {
        const auto last = std::prev(member.groups.end());
        refuse(listener, member, last->first);
        unplan(listener, last);
        member.groups.erase(last);
        --size_;
        changed_ = true;
    }
}

void Memberships::forget(Listener listener) {
    const auto at = members_.find(listener);
    if (at == members_.end()) {
        return;
    }
    for (auto group = at->second.groups.begin(); group != at->second.groups.end(); ++group) {
        unplan(listener, group);
    }
    changed_ = changed_ || !at->second.groups.empty();
    size_ -= at->second.groups.size();
    members_.erase(at);
    std::erase_if(questions_, [listener](const Question& one) { return one.listener == listener; });
}

net::ReportKind Memberships::hear(Listener listener, std::span<const std::byte> packet, Time now) {
    const auto at = members_.find(listener);
    const net::ReportReader reader(packet);
    malformed_ += reader.kind() == net::ReportKind::malformed ? 1U : 0U;
    if (at != members_.end()) {
        reader.records(
            [&](const net::GroupRecord& record) { apply(listener, at->second, record, now); });
    }
    return reader.kind();
}

void Memberships::apply(Listener listener, Member& member, const net::GroupRecord& record,
                        Time now) {
    using net::GroupChange;
    auto at = member.groups.find(record.group);
    const bool known = at != member.groups.end();
    const bool excludes =
        record.change == GroupChange::is_exclude || record.change == GroupChange::to_exclude;
    const bool wants = excludes || (record.change != GroupChange::block && !record.sources.empty());
    if (!known) {
        if (!wants) {
            return;
        }
        at = make(listener, member, record.group);
        if (at == member.groups.end()) {
            return;
        }
    } else {
        unplan(listener, at);
    }
    if (record.change == GroupChange::to_include || record.change == GroupChange::block) {
        leave(at->second, record, now);
    }
    if (wants) {
        want(at->second, record, now);
    }
    settle(listener, member, at, now);
}

Memberships::Groups::iterator Memberships::make(Listener listener, Member& member,
                                                const net::IpAddress& address) {
    if (size_ >= options_.total || member.groups.size() >= options_.per_listener ||
        !has_room(member, address, options_.per_listener)) {
        refuse(listener, member, address);
        return member.groups.end();
    }
    ++size_;
    high_water_ = std::max(high_water_, size_);
    changed_ = true;
    return member.groups.try_emplace(address).first;
}

bool Memberships::has_room(const Member& member, const net::IpAddress& address, std::size_t room) {
    std::set<std::uint64_t> macs = member.fixed;
    for (const auto& [known, group] : member.groups) {
        macs.insert(net::group_mac(known).number());
    }
    macs.insert(net::group_mac(address).number());
    return macs.size() <= room;
}

void Memberships::refuse(Listener listener, Member& member, const net::IpAddress& address) {
    ++member.refused;
    ++refused_;
    last_refused_ = {listener, address};
}

void Memberships::want(Group& group, const net::GroupRecord& record, Time now) {
    const Time until = now + options_.interval;
    group.leaves = false;
    group.asked = 0;
    group.ask = now + options_.silence;
    if (record.change == net::GroupChange::is_exclude ||
        record.change == net::GroupChange::to_exclude) {
        want_all_but(group, record, now);
        return;
    }
    for (std::size_t i = 0; i < record.source_count(); ++i) {
        const net::IpAddress source = record.source(i);
        group.unwanted.erase(source);
        if (group.sources.size() + group.unwanted.size() >= kSources &&
            !group.sources.contains(source)) {
            group.any = until;
            group.sources.clear();
            group.unwanted.clear();
            return;
        }
        group.sources[source] = until;
    }
}

/// What one host does not want, others of the same port may: a source that was wanted until now
/// stays so until they had time to say it.
void Memberships::want_all_but(Group& group, const net::GroupRecord& record, Time now) {
    const Time until = now + options_.interval;
    const Time soon = now + 2 * options_.last_member;
    const bool to_exclude = record.change == net::GroupChange::to_exclude;
    const bool had_all = group.any > now;
    std::map<net::IpAddress, Time> asked_for;
    std::set<net::IpAddress> unwanted;
    for (std::size_t i = 0; i < record.source_count(); ++i) {
        if (asked_for.size() + unwanted.size() >= kSources) {
            break;
        }
        const net::IpAddress source = record.source(i);
        const auto at = group.sources.find(source);
        const bool wanted = at != group.sources.end() && at->second > now;
        if (!wanted && (!had_all || group.unwanted.contains(source))) {
            unwanted.insert(source);
            continue;
        }
        const Time left = wanted ? at->second : until;
        asked_for[source] = to_exclude ? std::min(left, soon) : left;
    }
    if (to_exclude && !asked_for.empty()) {
        group.leaves = true;
        group.ask = now;
    }
    group.any = until;
    group.sources = std::move(asked_for);
    group.unwanted = std::move(unwanted);
}

void Memberships::leave(Group& group, const net::GroupRecord& record, Time now) {
    const Time soon = now + 2 * options_.last_member;
    const Time before = group.until;
    if (record.change == net::GroupChange::to_include) {
        // Sources that it goes on to want get their time back at once.
        group.any = std::min(group.any, soon);
        for (auto& [source, until] : group.sources) {
            until = std::min(until, soon);
        }
    } else {
        bool is_news = false;
        for (std::size_t i = 0; i < record.source_count(); ++i) {
            const net::IpAddress source = record.source(i);
            auto at = group.sources.find(source);
            if (at == group.sources.end() && group.any > now && !group.unwanted.contains(source) &&
                group.sources.size() + group.unwanted.size() < kSources) {
                at = group.sources.emplace(source, group.any).first;
            }
            if (at != group.sources.end()) {
                at->second = std::min(at->second, soon);
                is_news = true;
            }
        }
        if (!is_news) {
            return;
        }
    }
    // Hosts say it twice; the questions are asked once.
    if (!group.leaves && before > soon) {
        group.leaves = true;
        group.asked = 0;
        group.ask = now;
    }
}

void Memberships::settle(Listener listener, Member& member, Groups::iterator at, Time now) {
    Group& group = at->second;
    bool ended = false;
    if (group.any <= now) {
        ended = group.any != Time{};
        group.any = {};
        group.unwanted.clear();
    }
    for (auto one = group.sources.begin(); one != group.sources.end();) {
        if (one->second > now) {
            ++one;
            continue;
        }
        ended = true;
        if (group.any > now) {
            group.unwanted.insert(one->first);
        }
        one = group.sources.erase(one);
    }
    changed_ = changed_ || ended;
    group.until = group.any;
    group.next = group.any > now ? group.any : kNever;
    for (const auto& [source, until] : group.sources) {
        group.until = std::max(group.until, until);
        group.next = std::min(group.next, until);
    }
    if (group.until <= now) {
        member.groups.erase(at);
        --size_;
        changed_ = true;
        return;
    }
    if (ended && group.ask == kNever) {
        group.leaves = false;
        group.asked = 0;
        group.ask = std::min(now + options_.silence,
                             group.until - options_.response - options_.last_member);
        group.ask = std::max(group.ask, now + options_.last_member);
    }
    due_.insert({due_of(group), {listener, at->first}});
}

void Memberships::unplan(Listener listener, Groups::const_iterator at) {
    due_.erase({due_of(at->second), {listener, at->first}});
}

void Memberships::ask(Listener listener, Member& member, Groups::iterator at, Time now) {
    Group& group = at->second;
    if (group.ask <= now) {
        questions_.push_back(
            {listener, at->first, group.leaves ? options_.last_member : options_.response});
        ++group.asked;
        group.ask = group.asked > 1 ? kNever
                    : group.leaves  ? now + options_.last_member
                                   // Early enough for the answer.
                                   : group.until - options_.response - options_.last_member;
        group.ask = std::max(group.ask, now + options_.last_member);
    }
    settle(listener, member, at, now);
}

void Memberships::tick(Time now) {
    while (!due_.empty() && due_.begin()->first <= now) {
        const auto [listener, address] = due_.begin()->second;
        due_.erase(due_.begin());
        Member& member = members_.at(listener);
        ask(listener, member, member.groups.find(address), now);
    }
}

std::vector<Memberships::View> Memberships::groups(Listener listener, Time now) const {
    std::vector<View> all;
    const auto at = members_.find(listener);
    if (at != members_.end()) {
        for (const auto& [address, group] : at->second.groups) {
            View view{address,
                      std::chrono::duration_cast<std::chrono::milliseconds>(
                          std::max(group.until, now) - now),
                      group.any > now,
                      {}};
            if (view.any) {
                view.sources.assign(group.unwanted.begin(), group.unwanted.end());
            }
            for (const auto& [source, until] : group.sources) {
                if (!view.any && until > now) {
                    view.sources.push_back(source);
                }
            }
            all.push_back(std::move(view));
        }
    }
    return all;
}

std::set<std::uint64_t> Memberships::macs(Listener listener) const {
    std::set<std::uint64_t> all;
    const auto at = members_.find(listener);
    if (at != members_.end()) {
        for (const auto& [address, group] : at->second.groups) {
            const std::uint64_t mac = net::group_mac(address).number();
            if (!at->second.fixed.contains(mac)) {
                all.insert(mac);
            }
        }
    }
    return all;
}

std::uint64_t Memberships::refused(Listener listener) const {
    const auto at = members_.find(listener);
    return at == members_.end() ? 0 : at->second.refused;
}

}  // namespace vxplane::control
