// Which neighbours there are: making and removing entries, room for them, and configuration.
#include <algorithm>

#include "control/resolve/neighbours.hpp"

namespace vxplane::control {

using packet::DropReason;

namespace {

/// Least time between two searches for entries to evict, and between two events of a full table.
constexpr std::chrono::seconds kRoomPeriod{1};
/// A full table gives up no entry younger than this (kernel, neigh_forced_gc).
constexpr std::chrono::seconds kRoomAge{5};

}  // namespace

// --- entries ---------------------------------------------------------------------------------

Neighbours::Entry* Neighbours::lookup(NeighbourKey key) {
    const auto found = entries_.find(key);
    return found == entries_.end() ? nullptr : &found->second;
}

Neighbours::Entry* Neighbours::lookup_or_create(NeighbourKey key, Time now) {
    if (Entry* entry = lookup(key); entry != nullptr) {
        return entry;
    }
    if (key.address == net::Ipv4Address{} || key.address.is_unset() ||
        net::is_loopback(key.address)) {
        return nullptr;  // nobody can have it
    }
    if (entries_.size() >= options_.capacity) {
        make_room(now);
    }
    if (entries_.size() >= options_.capacity) {
        ++counters_.refused;
        if (is_wanted(key)) {
            unserved_.insert(key);
        }
        if (now >= next_full_) {
            next_full_ = now + kRoomPeriod;
            sink_.table_full(key);
        }
        return nullptr;
    }
    Entry& entry = entries_[key];
    high_water_ = std::max(high_water_, entries_.size());
    entry.key = key;
    entry.used = entry.confirmed = entry.updated = now;
    if (const auto mac = mac_by_rule(key)) {
        entry.state = NeighbourState::noarp;
        entry.mac = *mac;
        sink_.reachable(key, *mac);
    }
    return &entry;
}

bool Neighbours::is_idle(const Entry& entry) const {
    return entry.state != NeighbourState::permanent && entry.state != NeighbourState::incomplete &&
           entry.queue.empty() && !is_wanted(entry.key);
}

void Neighbours::erase(NeighbourKey key, DropReason reason) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) {
        return;
    }
    schedule(found->second, std::nullopt);
    auto node = entries_.extract(found);
    if (is_usable(node.mapped().state)) {
        sink_.unreachable(key);
    }
    give_up_all(node.mapped(), reason);
}

template <class Predicate>
void Neighbours::erase_if(Predicate&& predicate, DropReason reason) {
    std::vector<NeighbourKey> keys;
    for (const auto& [key, entry] : entries_) {
        if (predicate(entry)) {
            keys.push_back(key);
        }
    }
    for (const NeighbourKey& key : keys) {
        erase(key, reason);
    }
}

void Neighbours::make_room(Time now) {
    if (now < next_room_) {
        return;  // a search costs the whole table, and anybody can provoke one by asking us
    }
    next_room_ = now + kRoomPeriod;
    const std::size_t before = entries_.size();
    erase_if(
        [&](const Entry& entry) {
            return is_idle(entry) &&
                   (entry.state == NeighbourState::failed || now - entry.updated > kRoomAge);
        },
        DropReason::neigh_failed);
    counters_.forgotten += before - entries_.size();
}

void Neighbours::forget_unused(Time now) {
    next_sweep_ = now + options_.forget / 2;
    if (entries_.size() <= options_.keep_always) {
        return;
    }
    const std::size_t before = entries_.size();
    erase_if(
        [&](const Entry& entry) {
            return is_idle(entry) &&
                   (entry.state == NeighbourState::failed ||
                    now - std::max(entry.used, entry.confirmed) > options_.forget);
        },
        DropReason::neigh_failed);
    counters_.forgotten += before - entries_.size();
}

void Neighbours::serve_wanted(Time now) {
    if (entries_.size() >= options_.capacity) {
        make_room(now);
    }
    while (!unserved_.empty() && entries_.size() < options_.capacity) {
        const NeighbourKey key = *unserved_.begin();
        unserved_.erase(unserved_.begin());
        if (Entry* entry = lookup_or_create(key, now); entry != nullptr) {
            use_entry(*entry, now);
        }
    }
}

// --- configuration ---------------------------------------------------------------------------

void Neighbours::remove_port(std::uint16_t port) {
    ports_.erase(port);
    std::erase_if(wanted_, [&](const auto& item) { return item.first.port == port; });
    std::erase_if(conflicts_, [&](const auto& item) { return item.first.port == port; });
    std::erase_if(unserved_, [&](const NeighbourKey& key) { return key.port == port; });
    erase_if([&](const Entry& entry) { return entry.key.port == port; }, DropReason::port_gone);
}

bool Neighbours::add_permanent(NeighbourKey key, net::MacAddress mac, Time now) {
    Entry* entry = lookup_or_create(key, now);
    if (entry == nullptr) {
        return false;
    }
    const bool is_news = !is_usable(entry->state) || entry->mac != mac;
    set_state(*entry, NeighbourState::permanent, now);
    schedule(*entry, std::nullopt);
    entry->mac = mac;
    entry->probes = 0;
    if (is_news) {
        sink_.reachable(key, mac);
    }
    release_all(*entry);
    return true;
}

bool Neighbours::forget(NeighbourKey key, Time now) {
    if (lookup(key) == nullptr) {
        return false;
    }
    erase(key, DropReason::neigh_failed);
    if (is_wanted(key)) {
        use(key, now);
    }
    return true;
}

void Neighbours::clear(Time now, bool permanent_too) {
    erase_if(
        [&](const Entry& entry) {
            return permanent_too || entry.state != NeighbourState::permanent;
        },
        DropReason::neigh_failed);
    for (const auto& [key, count] : wanted_) {
        use(key, now);
    }
}

}  // namespace vxplane::control
