// The states of a neighbour and how it goes from one to the other (net/core/neighbour.c of the
// kernel).
#include "control/resolve/neighbours.hpp"

#include <algorithm>
#include <array>

namespace vxplane::control {

using packet::DropReason;

std::string_view name(NeighbourState state) noexcept {
    constexpr std::array<std::string_view, 9> kNames{"none",   "incomplete", "reachable",
                                                     "stale",  "delay",      "probe",
                                                     "failed", "permanent",  "noarp"};
    return kNames[static_cast<std::size_t>(state)];
}

Neighbours::Neighbours(NeighbourSink& sink, NeighbourOptions options, std::uint64_t seed)
    : sink_(sink), options_(options), random_(seed) {}

// --- use -------------------------------------------------------------------------------------

std::optional<net::MacAddress> Neighbours::want(NeighbourKey key, Time now) {
    ++wanted_[key];
    return use(key, now);
}

void Neighbours::unwant(NeighbourKey key) {
    const auto found = wanted_.find(key);
    if (found != wanted_.end() && --found->second == 0) {
        wanted_.erase(found);
        unserved_.erase(key);
    }
}

std::optional<net::MacAddress> Neighbours::use(NeighbourKey key, Time now) {
    Entry* entry = lookup_or_create(key, now);
    if (entry == nullptr) {
        return std::nullopt;
    }
    use_entry(*entry, now);
    return is_usable(entry->state) ? std::optional{entry->mac} : std::nullopt;
}

void Neighbours::hold(NeighbourKey key, Held&& held, Time now) {
    ++counters_.held;
    Entry* entry = lookup_or_create(key, now);
    if (entry == nullptr) {
        ++counters_.given_up;
        sink_.give_up(key, std::move(held), DropReason::neigh_failed);
        return;
    }
    use_entry(*entry, now);
    if (is_usable(entry->state)) {
        ++counters_.released;
        sink_.release(key, entry->mac, std::move(held));
        return;
    }
    const auto drop_oldest = [&] {
        Held oldest = std::move(entry->queue.front());
        entry->queue.pop_front();
        entry->queue_bytes -= oldest.bytes;
        --held_packets_;
        ++counters_.given_up;
        sink_.give_up(key, std::move(oldest), DropReason::neigh_queue_full);
    };
    // As in the kernel, a packet above the limit is taken when it is alone.
    while (!entry->queue.empty() && entry->queue_bytes + held.bytes > options_.queue_bytes) {
        drop_oldest();
    }
    if (held_packets_ >= options_.held_packets) {
        if (entry->queue.empty()) {
            ++counters_.given_up;
            sink_.give_up(key, std::move(held), DropReason::neigh_queue_full);
            return;
        }
        drop_oldest();
    }
    entry->queue_bytes += held.bytes;
    ++held_packets_;
    entry->queue.push_back(std::move(held));
}

void Neighbours::use_entry(Entry& entry, Time now) {
    entry.used = now;
    switch (entry.state) {
        case NeighbourState::none:
        case NeighbourState::failed:
            set_state(entry, NeighbourState::incomplete, now);
            entry.probes = 0;
            send_probe(entry, now);
            break;
        case NeighbourState::stale:
            set_state(entry, NeighbourState::delay, now);
            schedule(entry, now + options_.delay);
            break;
        default:
            break;
    }
}

// --- transitions -----------------------------------------------------------------------------

void Neighbours::set_state(Entry& entry, NeighbourState state, Time now) {
    entry.state = state;
    entry.updated = now;
}

void Neighbours::schedule(Entry& entry, std::optional<Time> due) {
    if (entry.due) {
        timers_.erase({*entry.due, entry.key});
    }
    entry.due = due;
    if (due) {
        timers_.insert({*due, entry.key});
    }
}

void Neighbours::confirm(Entry& entry, Time now) {
    const auto base = options_.base_reachable.count();
    std::uniform_int_distribution<std::int64_t> spread{base / 2, base + base / 2};
    entry.confirmed = now;
    entry.reachable_until = now + std::chrono::milliseconds{spread(random_)};
}

void Neighbours::update(Entry& entry, net::MacAddress mac, NeighbourState state, bool override_mac,
                        Time now) {
    const NeighbourState old = entry.state;
    if (old == NeighbourState::permanent || old == NeighbourState::noarp) {
        return;
    }
    const bool was_usable = is_usable(old);
    const bool same = was_usable && entry.mac == mac;
    if (was_usable && !same && !override_mac) {
        return;
    }
    if (same && state == NeighbourState::stale) {
        state = old;  // says nothing new, and confirms nothing
    }
    if (state != old) {
        set_state(entry, state, now);
        schedule(entry, std::nullopt);
    }
    if (state == NeighbourState::reachable) {
        entry.probes = 0;
        confirm(entry, now);
        schedule(entry, entry.reachable_until);
    }
    if (!same) {
        entry.mac = mac;
        entry.probes = 0;
        entry.updated = now;
        ++(was_usable ? counters_.mac_changes : counters_.resolved);
        sink_.reachable(entry.key, mac);
    }
    if (!was_usable) {
        release_all(entry);
    }
    // Workers use a wanted next hop without telling us.
    if (entry.state == NeighbourState::stale && is_wanted(entry.key)) {
        use_entry(entry, now);
    }
}

void Neighbours::on_due(Entry& entry, Time now) {
    switch (entry.state) {
        case NeighbourState::reachable:
            if (now < entry.reachable_until) {
                schedule(entry, entry.reachable_until);
            } else if (is_wanted(entry.key) || now <= entry.used + options_.delay) {
                set_state(entry, NeighbourState::delay, now);
                schedule(entry, now + options_.delay);
            } else {
                set_state(entry, NeighbourState::stale, now);
            }
            break;
        case NeighbourState::delay:
            set_state(entry, NeighbourState::probe, now);
            entry.probes = 0;
            send_probe(entry, now);
            break;
        case NeighbourState::incomplete:
        case NeighbourState::probe:
            if (entry.probes >= (entry.state == NeighbourState::probe
                                     ? options_.unicast_probes
                                     : options_.broadcast_probes)) {
                fail(entry, now);
            } else {
                send_probe(entry, now);
            }
            break;
        case NeighbourState::failed:
            if (is_wanted(entry.key)) {
                use_entry(entry, now);
            }
            break;
        default:
            break;
    }
}

void Neighbours::fail(Entry& entry, Time now) {
    const bool was_usable = is_usable(entry.state);
    set_state(entry, NeighbourState::failed, now);
    entry.mac = {};
    ++counters_.failed;
    sink_.unreachable(entry.key);
    give_up_all(entry, DropReason::neigh_failed);
    if (!is_wanted(entry.key)) {
        return;
    }
    if (was_usable) {
        use_entry(entry, now);  // perhaps somebody else has the address now: ask everybody
    } else {
        schedule(entry, now + options_.retry_wanted);
    }
}

void Neighbours::release_all(Entry& entry) {
    std::deque<Held> queue = std::exchange(entry.queue, {});
    entry.queue_bytes = 0;
    held_packets_ -= queue.size();
    counters_.released += queue.size();
    for (Held& held : queue) {
        sink_.release(entry.key, entry.mac, std::move(held));
    }
}

void Neighbours::give_up_all(Entry& entry, DropReason reason) {
    std::deque<Held> queue = std::exchange(entry.queue, {});
    entry.queue_bytes = 0;
    held_packets_ -= queue.size();
    counters_.given_up += queue.size();
    for (Held& held : queue) {
        sink_.give_up(entry.key, std::move(held), reason);
    }
}

// --- time ------------------------------------------------------------------------------------

void Neighbours::tick(Time now) {
    while (!timers_.empty() && timers_.begin()->first <= now) {
        Entry& entry = entries_.at(timers_.begin()->second);
        schedule(entry, std::nullopt);
        on_due(entry, now);
    }
    if (now >= next_sweep_) {
        forget_unused(now);
    }
    if (!unserved_.empty()) {
        serve_wanted(now);
    }
}

std::optional<Neighbours::Time> Neighbours::next_due() const noexcept {
    std::optional<Time> due;
    const auto consider = [&](Time time) { due = due ? std::min(*due, time) : time; };
    if (!timers_.empty()) {
        consider(timers_.begin()->first);
    }
    if (entries_.size() > options_.keep_always) {
        consider(next_sweep_);
    }
    if (!unserved_.empty()) {
        consider(next_room_);
    }
    return due;
}

}  // namespace vxplane::control
