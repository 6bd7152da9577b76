#include "control/apply/segment_neighbours.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "control/apply/words.hpp"

namespace vxplane::control {

bool SegmentNeighbours::is_permanent(const Key& key) const {
    const auto& all = bridge_.segment(key.first).neighbours;
    return std::any_of(all.begin(), all.end(),
                       [&](const NeighbourSpec& one) { return one.address == key.second; });
}

SegmentNeighbours::View SegmentNeighbours::view(const Key& key, const Entry& entry,
                                                Time now) const {
    View out{key.first, key.second, entry.mac, entry.state, entry.router, {}};
    if (entry.state == State::learned) {
        out.age = std::chrono::duration_cast<std::chrono::milliseconds>(now - entry.heard);
    }
    return out;
}

std::map<SegmentNeighbours::Key, SegmentNeighbours::Entry>::iterator SegmentNeighbours::take_out(
    std::map<Key, Entry>::iterator at) {
    if (at->second.state == State::learned) {
        --learned_[at->first.first];
    } else {
        --told_;
    }
    dirty_ = true;
    return entries_.erase(at);
}

SegmentNeighbours::Problem SegmentNeighbours::add(std::uint16_t segment,
                                                  const net::IpAddress& address,
                                                  net::MacAddress mac, bool router,
                                                  bool replacing) {
    const Key key{segment, address};
    if (!net::is_host(address)) {
        return text(address) + " is not the address of one host";
    }
    if (!is_station(mac)) {
        return text(mac) + " is not the address of one station";
    }
    if (is_permanent(key)) {
        return text(address) + " is in the topology";
    }
    const auto at = entries_.find(key);
    const bool is_told = at != entries_.end() && at->second.state == State::controller;
    if (is_told && !replacing) {
        return text(address) + " is there already, at " + text(at->second.mac);
    }
    if (!is_told && told_ >= kMostTold) {
        return "there is no room for another neighbour";
    }
    if (at != entries_.end()) {
        take_out(at);
    }
    entries_[key] = {mac, State::controller, router, {}};
    ++told_;
    dirty_ = due_ = true;
    return std::nullopt;
}

SegmentNeighbours::Problem SegmentNeighbours::remove(std::uint16_t segment,
                                                     const net::IpAddress& address) {
    const auto at = entries_.find({segment, address});
    if (at == entries_.end()) {
        return text(address) +
               (is_permanent({segment, address}) ? " is in the topology" : " is not known");
    }
    take_out(at);
    due_ = true;
    return std::nullopt;
}

std::uint32_t SegmentNeighbours::flush(std::optional<std::uint16_t> segment) {
    std::uint32_t removed = 0;
    for (auto at = entries_.begin(); at != entries_.end();) {
        if (segment && at->first.first != *segment) {
            ++at;
            continue;
        }
        at = take_out(at);
        ++removed;
    }
    due_ = due_ || removed != 0;
    return removed;
}

void SegmentNeighbours::hear(std::uint16_t segment, std::span<const std::byte> frame, Time now) {
    if (segment >= bridge_.segment_count() || !bridge_.is_used(segment)) {
        return;
    }
    const auto speaker = speaker_in(frame);
    if (!speaker || speaker->mac == bridge_.segment(segment).own_mac) {
        ++counters_.foreign;
        return;
    }
    const Key key{segment, speaker->address};
    const auto at = entries_.find(key);
    if (at == entries_.end()) {
        if (is_permanent(key)) {
            return;
        }
        if (learned_[segment] >= bridge_.segment(segment).neigh_maxaddr) {
            ++counters_.refused;
            ++refused_[segment];
            return;
        }
        ++learned_[segment];
        ++counters_.learned;
        dirty_ = true;
        const Entry& made = entries_[key] = {speaker->mac, State::learned, false, now};
        if (news_) {
            news_(What::learned, view(key, made, now));
        }
        return;
    }
    Entry& entry = at->second;
    if (entry.state != State::learned) {
        return;
    }
    entry.heard = now;
    if (entry.mac != speaker->mac) {
        entry.mac = speaker->mac;
        ++counters_.moved;
        dirty_ = true;
        if (news_) {
            news_(What::moved, view(key, entry, now));
        }
    }
}

std::uint32_t SegmentNeighbours::learned(std::uint16_t segment) const {
    const auto at = learned_.find(segment);
    return at == learned_.end() ? 0 : at->second;
}

std::uint64_t SegmentNeighbours::refused(std::uint16_t segment) const {
    const auto at = refused_.find(segment);
    return at == refused_.end() ? 0 : at->second;
}

void SegmentNeighbours::tick(Time now) {
    constexpr std::chrono::seconds kLook{1};
    if (now - aged_ >= kLook) {
        aged_ = now;
        for (auto at = entries_.begin(); at != entries_.end();) {
            const std::uint16_t segment = at->first.first;
            const bool gone = !bridge_.is_used(segment);
            const std::chrono::seconds ageing{bridge_.segment(segment).ageing};
            const bool old = at->second.state == State::learned && ageing.count() != 0 &&
                             now - at->second.heard > ageing;
            if (!gone && !old) {
                ++at;
                continue;
            }
            if (old && !gone) {
                ++counters_.aged;
                if (news_) {
                    news_(What::aged, view(at->first, at->second, now));
                }
            }
            at = take_out(at);
        }
    }
    if (dirty_ && now - published_ >= kNewsEvery) {
        published_ = now;
        due_ = true;
    }
}

void SegmentNeighbours::for_each(std::optional<std::uint16_t> segment, Time now,
                                 const std::function<void(const View&)>& each) const {
    for (const auto& [key, entry] : entries_) {
        if (!segment || *segment == key.first) {
            each(view(key, entry, now));
        }
    }
    for (std::size_t i = 0; i < bridge_.segment_count(); ++i) {
        const auto index = static_cast<std::uint16_t>(i);
        if (!bridge_.is_used(index) || (segment && *segment != index)) {
            continue;
        }
        for (const NeighbourSpec& one : bridge_.segment(index).neighbours) {
            each({index, one.address, one.mac, State::permanent, one.router, {}});
        }
    }
}

void SegmentNeighbours::fill(table::Tables& next) {
    std::vector<table::SegmentNeighbour> list;
    std::vector<std::pair<table::ScopedAddress, std::uint32_t>> pairs;
    for_each(std::nullopt, {}, [&](const View& one) {
        // Permanent ones come last and win.
        pairs.emplace_back(table::ScopedAddress{one.address, one.segment},
                           static_cast<std::uint32_t>(list.size()));
        list.push_back({one.mac, one.router});
    });
    next.segment_neighbours =
        pairs.empty() ? nullptr : std::make_shared<const table::AddressMap>(pairs);
    next.known_neighbours = table::Shared<table::SegmentNeighbour>(std::move(list));
    dirty_ = due_ = false;
    shape_ = bridge_.shape_version();
}

std::string_view name(SegmentNeighbours::State state) noexcept {
    constexpr std::array<std::string_view, 3> kNames{"learned", "controller", "permanent"};
    return kNames[static_cast<std::size_t>(state)];
}

std::string_view name(SegmentNeighbours::What what) noexcept {
    constexpr std::array<std::string_view, 3> kNames{"learned", "moved", "aged"};
    return kNames[static_cast<std::size_t>(what)];
}

bool MissLimiter::may_tell(std::uint16_t segment, std::uint64_t low, std::uint64_t high, Time now) {
    static constexpr std::chrono::seconds kOnceIn{1};
    const auto key = std::tuple(segment, low, high);
    auto at = told_.find(key);
    if (at == told_.end() && told_.size() >= kMostKeys) {
        std::erase_if(told_, [now](const auto& one) { return now - one.second >= kOnceIn; });
    }
    if (at != told_.end() ? now - at->second < kOnceIn : told_.size() >= kMostKeys) {
        ++suppressed_;
        return false;
    }
    told_[key] = now;
    return true;
}

}  // namespace vxplane::control
