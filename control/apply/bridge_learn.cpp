// The FDB's one writer: what peers teach and what time takes away.
#include "control/apply/bridge.hpp"
#include "dataplane/step/gpe.hpp"

namespace vxplane::control {

using table::FdbKey;
using table::FdbKind;
using table::FdbState;
using table::FdbValue;

/// The FDB as the ageing wheel sees it.
struct AgeingView {
    Bridge& bridge;
    Bridge::Time now;

    AgeingLook look(std::uint64_t key, std::uint8_t mark) {
        const auto hit = bridge.fdb_.find(FdbKey{key});
        if (!hit || hit.value.is_fixed()) {
            return {};
        }
        return {true, bridge.fdb_.exchange_epoch(hit.slot, mark),
                AgeingTime{bridge.specs_[FdbKey{key}.segment()].ageing} * 1000};
    }
    void expire(std::uint64_t key) {
        const auto hit = bridge.fdb_.find(FdbKey{key});
        if (!hit) {
            return;
        }
        ++bridge.counters_.aged;
        bridge.tell(FdbNews::Kind::aged, bridge.view(FdbKey{key}, hit.value, now));
        bridge.take_out(FdbKey{key}, hit.value);
    }
};

namespace {

/// What stands for a peer without Ethernet is learned of that peer alone.
bool is_of_another_peer(const SegmentSpec& spec, const step::LearnEvent& event) {
    const std::uint64_t mac = FdbKey{event.key}.mac48();
    return spec.profile.gpe && step::is_gpe_peer(mac) &&
           (event.remote.is_unset() || step::gpe_peer_mac(event.remote).number() != mac);
}

}  // namespace

void Bridge::learn(std::span<const step::LearnEvent> events, Time now) {
    // Tunnels to new peers come first and together: one publication and one grace period for all.
    std::vector<std::optional<std::uint32_t>> tunnels(events.size());
    const bool lags = worker_lags();
    for (std::size_t i = 0; i < events.size(); ++i) {
        const FdbKey key{events[i].key};
        if (events[i].remote.is_unset() || !has_segment(key.segment())) {
            continue;
        }
        if (lags) {
            ++counters_.learn_deferred;
            continue;
        }
        // No tunnel, no ARP request, no publication for what cannot be kept anyway.
        const auto before = fdb_.find(key);
        if (before && before.value.is_fixed()) {
            continue;
        }
        if (!before && is_full(key.segment())) {
            ++counters_.learn_refused;
            continue;
        }
        if (!may_be_remote(events[i].remote) || !speaks(key.segment(), events[i].remote) ||
            is_of_another_peer(specs_[key.segment()], events[i])) {
            ++counters_.learn_refused;
            continue;
        }
        tunnels[i] = tunnels_.acquire(profile_of(key.segment()), events[i].remote, now, true);
        counters_.learn_refused += tunnels[i] ? 0U : 1U;
    }
    // Also when nothing is new: what an earlier call published may not have been seen by all.
    const bool seen = lags || commit_and_wait_briefly();
    for (std::size_t i = 0; i < events.size(); ++i) {
        const std::uint16_t segment = FdbKey{events[i].key}.segment();
        if (events[i].remote.is_unset() && has_segment(segment) &&
            is_of_another_peer(specs_[segment], events[i])) {
            ++counters_.learn_refused;
        } else if (events[i].remote.is_unset() || (tunnels[i] && seen)) {
            learn_one(events[i], tunnels[i], now);
        } else if (tunnels[i]) {
            ++counters_.learn_deferred;
        }
        if (tunnels[i]) {
            tunnels_.release(*tunnels[i]);
        }
    }
}

void Bridge::learn_one(const step::LearnEvent& event, std::optional<std::uint32_t> tunnel,
                       Time now) {
    const FdbKey key{event.key};
    if (!has_segment(key.segment())) {
        return;
    }
    const FdbValue value =
        tunnel ? FdbValue::make(FdbKind::tunnel, *tunnel, FdbState::dynamic, epoch(now))
               : FdbValue::make(FdbKind::port, event.port, FdbState::dynamic, epoch(now));
    const auto before = fdb_.find(key);
    if (before && (before.value.is_fixed() || before.value.location() == value.location())) {
        return;
    }
    if (!before && is_full(key.segment())) {
        ++counters_.learn_refused;
        return;
    }
    if (before && tunnel && before.value.kind() == FdbKind::tunnel &&
        tunnels_.remote(before.value.index()) == tunnels_.remote(*tunnel)) {
        // Still there: the entry says more of the way to it than the segment does.
        fdb_.put(key, FdbValue::make(FdbKind::tunnel, before.value.index(), before.value.state(),
                                     epoch(now)));
        return;
    }
    if (before && moves_.is_too_many(key.raw, specs_[key.segment()].moves, now)) {
        freeze(key, before.value, now);
        return;
    }
    std::optional<net::IpAddress> previous;
    if (before && before.value.kind() == FdbKind::tunnel) {
        previous = tunnels_.remote(before.value.index());
    }
    if (store(key, value, now)) {
        ++counters_.learn_refused;
        return;
    }
    if (tunnel) {
        tunnels_.add_user(*tunnel);
    }
    if (previous) {
        previous_[key.raw] = *previous;
    }
    ++(before ? counters_.moved : counters_.learned);
    tell(before ? FdbNews::Kind::moved : FdbNews::Kind::learned, view(key, value, now));
}

void Bridge::freeze(FdbKey key, FdbValue value, Time now) {
    const auto frozen = FdbValue::make(value.kind(), value.index(), FdbState::static_, epoch(now));
    if (value.kind() == FdbKind::tunnel) {
        tunnels_.add_user(value.index());
    }
    if (store(key, frozen, now)) {
        return;  // cannot be: there is an entry to replace
    }
    ++counters_.duplicates;
    tell(FdbNews::Kind::duplicate, view(key, frozen, now));
}

void Bridge::thaw(FdbKey key, Time now) {
    const auto hit = fdb_.find(key);
    if (!hit) {
        return;
    }
    const auto value =
        FdbValue::make(hit.value.kind(), hit.value.index(), FdbState::dynamic, epoch(now));
    if (value.kind() == FdbKind::tunnel) {
        tunnels_.add_user(value.index());
    }
    if (!store(key, value, now)) {
        tell(FdbNews::Kind::recovered, view(key, value, now));
    }
}

void Bridge::age(Time now, std::size_t budget) {
    moves_.recover(now, [&](std::uint64_t key) { thaw(FdbKey{key}, now); });
    AgeingView view{*this, now};
    wheel_.advance(millis(now), view, budget);
}

}  // namespace vxplane::control
