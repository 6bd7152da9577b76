#include "control/resolve/leases.hpp"

#include <algorithm>

namespace vxplane::control {

using net::DhcpMessage;
using net::DhcpType;

namespace {

constexpr std::uint32_t kForEver = 0xFFFFFFFF;  // RFC 2131 section 3.3

}  // namespace

Leases::Question Leases::key_of(Link link, const DhcpMessage& message) {
    return {link, message.transaction, message.hardware};
}

void Leases::ask(Link link, Client client, const DhcpMessage& message, Time now) {
    if (message.type == DhcpType::release || message.type == DhcpType::decline) {
        const net::Ipv4Address address =
            message.type == DhcpType::release ? message.client : message.requested;
        if (owner(link, address) == client) {
            remove(link, address);
        }
        return;
    }
    while (!old_.empty() && old_.begin()->first <= now) {
        drop_question(questions_.find(old_.begin()->second));
    }
    const Question key = key_of(link, message);
    auto at = questions_.find(key);
    if (at != questions_.end() && at->second.client != client) {
        ++refused_;
        return;
    }
    if (at != questions_.end()) {
        drop_question(at);
    }
    Member& member = members_[client];
    if (member.questions.size() >= options_.questions) {
        drop_question(questions_.find(member.questions.begin()->second));
    }
    Asked asked;
    asked.client = client;
    asked.until = now + options_.question;
    asked.order = ++order_;
    asked.wanted = message.requested.is_zero() ? message.client : message.requested;
    member.questions[asked.order] = key;
    old_.insert({asked.until, key});
    questions_[key] = asked;
}

void Leases::drop_question(std::map<Question, Asked>::iterator at) {
    members_[at->second.client].questions.erase(at->second.order);
    old_.erase({at->second.until, at->first});
    questions_.erase(at);
}

std::optional<Leases::Client> Leases::who_asked(Link link, const DhcpMessage& answer, Time now) {
    const auto at = questions_.find(key_of(link, answer));
    return at == questions_.end() || at->second.until <= now ? std::nullopt
                                                             : std::optional(at->second.client);
}

Leases::Granted Leases::grant(Link link, Client client, const DhcpMessage& answer, Time now) {
    const Key key{link, answer.yours.number()};
    const std::uint32_t seconds = answer.lease_seconds.value_or(0);
    const Time until = seconds == kForEver ? Time::max() : now + std::chrono::seconds(seconds);
    const auto at = leases_.find(key);
    if (at != leases_.end() && at->second.client == client) {
        due_.erase({at->second.until, key});
        at->second.until = until;
        due_.insert({until, key});
        return Granted::renewed;
    }
    Member& member = members_[client];
    if (at != leases_.end() || member.leases.size() >= options_.per_client ||
        leases_.size() >= options_.total) {
        ++refused_;
        return Granted::no_room;
    }
    leases_[key] = {client, until};
    due_.insert({until, key});
    member.leases.insert(key);
    changed_ = true;
    return Granted::added;
}

void Leases::deny(Link link, Client client, const DhcpMessage& answer) {
    const auto at = questions_.find(key_of(link, answer));
    if (at != questions_.end() && at->second.client == client &&
        owner(link, at->second.wanted) == client) {
        remove(link, at->second.wanted);
    }
}

std::optional<Leases::Client> Leases::owner(Link link, net::Ipv4Address address) const {
    const auto at = leases_.find({link, address.number()});
    return at == leases_.end() ? std::nullopt : std::optional(at->second.client);
}

void Leases::remove(Link link, net::Ipv4Address address) {
    const auto at = leases_.find({link, address.number()});
    if (at != leases_.end()) {
        drop_lease(at);
    }
}

void Leases::drop_lease(std::map<Key, Lease>::iterator at) {
    due_.erase({at->second.until, at->first});
    members_[at->second.client].leases.erase(at->first);
    leases_.erase(at);
    changed_ = true;
}

void Leases::forget(Client client) {
    const auto at = members_.find(client);
    if (at == members_.end()) {
        return;
    }
    while (!at->second.questions.empty()) {
        drop_question(questions_.find(at->second.questions.begin()->second));
    }
    while (!at->second.leases.empty()) {
        drop_lease(leases_.find(*at->second.leases.begin()));
    }
    members_.erase(at);
}

void Leases::tick(Time now) {
    while (!due_.empty() && due_.begin()->first <= now) {
        drop_lease(leases_.find(due_.begin()->second));
    }
}

Leases::View Leases::view_of(const Key& key, const Lease& lease, Time now) {
    View view{key.first, lease.client, net::Ipv4Address::of(key.second), std::nullopt};
    if (lease.until != Time::max()) {
        view.left =
            std::chrono::duration_cast<std::chrono::milliseconds>(std::max(lease.until, now) - now);
    }
    return view;
}

std::vector<Leases::View> Leases::all(Time now) const {
    std::vector<View> out;
    for (const auto& [key, lease] : leases_) {
        out.push_back(view_of(key, lease, now));
    }
    return out;
}

std::vector<Leases::View> Leases::of(Client client, Time now) const {
    std::vector<View> out;
    const auto at = members_.find(client);
    if (at != members_.end()) {
        for (const Key& key : at->second.leases) {
            out.push_back(view_of(key, leases_.at(key), now));
        }
    }
    return out;
}

}  // namespace vxplane::control
