// What needs an operator: workers that do not poll, tables that fill up, links that are gone,
// packets that are nowhere.
#include "control/stats/stats.hpp"

namespace vxplane::control::stats {

namespace {

/// A worker that takes longer than this over one poll is reported.
constexpr std::chrono::milliseconds kStuckAfter{1000};

}  // namespace

void Reader::watch(std::chrono::steady_clock::time_point now) {
    for (const auto& worker : machine_.workers()) {
        Pulse& pulse = pulses_[worker->options().id];
        const std::uint64_t polls = worker->counters().polls.get();
        if (polls != pulse.polls || pulse.moved == std::chrono::steady_clock::time_point{}) {
            pulse = {polls, now, false};
        } else {
            pulse.stuck = now - pulse.moved > kStuckAfter;
        }
    }
}

std::uint64_t Reader::unaccounted() const {
    // Two's complement: what is missing at one worker cannot hide what another has too much of.
    std::uint64_t sum = 0;
    for (const auto& worker : machine_.workers()) {
        const auto difference = static_cast<std::int64_t>(worker->counters().unaccounted.get());
        sum += static_cast<std::uint64_t>(difference < 0 ? -difference : difference);
    }
    const auto control = static_cast<std::int64_t>(punts_.difference());
    return sum + static_cast<std::uint64_t>(control < 0 ? -control : control);
}

// No figure that goes on changing: an alarm that stays must read the same at every look.
std::vector<std::string> Reader::alarms() const {
    std::vector<std::string> out;
    for (std::size_t id = 0; id < pulses_.size(); ++id) {
        if (pulses_[id].stuck) {
            out.push_back("worker " + std::to_string(id) + " does not poll");
        }
    }
    if (publisher_.oldest_wait() > kStuckAfter) {
        out.push_back("a worker has not finished its poll for more than " +
                      std::to_string(kStuckAfter.count()) + " ms");
    }
    if (unaccounted() != 0) {
        out.push_back("packets are unaccounted for");
    }
    // The threshold at which an operator still has time to act.
    const auto watch_table = [&out](std::string_view what, std::uint64_t used,
                                    std::uint64_t capacity) {
        if (used * 10 >= capacity * 8) {
            out.push_back(std::string(what) + ", capacity " + std::to_string(capacity) +
                          ", is at least 80 % full");
        }
    };
    watch_table("the forwarding database (system: fdb-capacity)", bridge_.fdb().used(),
                bridge_.fdb().capacity());
    watch_table("the table of tunnels (system: tunnel-capacity)", bridge_.tunnels().used(),
                bridge_.tunnels().capacity());
    if (const Neighbours* neighbours = punts_.neighbours()) {
        watch_table("the table of neighbours", neighbours->size(), neighbours->capacity());
    }
    for (std::size_t i = 0; i < bridge_.segment_count(); ++i) {
        const auto index = static_cast<std::uint16_t>(i);
        const SegmentSpec& spec = bridge_.segment(index);
        if (spec.maxaddr != 0 &&
            std::uint64_t{bridge_.used(index)} * 10 >= std::uint64_t{spec.maxaddr} * 8) {
            out.push_back("segment " + spec.name + " holds at least 80 % of its maxaddr " +
                          std::to_string(spec.maxaddr));
        }
    }
    for (const OpenPort& open : machine_.ports()) {
        // One alarm about the link of an ipvlan is enough.
        if (open.port->carrier() && !open.port->link().up) {
            out.push_back("port " + open.port->name() + " has no link");
        }
    }
    return out;
}

Json Reader::health() const {
    const std::vector<std::string> list = alarms();
    const PuntCounters& punts = punts_.counters();
    return {{"ok", list.empty()},
            {"alarms", list},
            {"packets_unaccounted", unaccounted()},
            {"generation", publisher_.generation()},
            {"grace_waiting", publisher_.waiting()},
            {"grace_oldest_ms", publisher_.oldest_wait().count()},
            {"buffers_in_use", machine_.pools().in_use()},
            {"learned", bridge_.counters().learned},
            {"moved", bridge_.counters().moved},
            {"aged", bridge_.counters().aged},
            {"duplicates", bridge_.counters().duplicates},
            {"duplicates_now", bridge_.moves().duplicates()},
            {"moves_unwatched", bridge_.moves().unwatched()},
            {"learn_refused", bridge_.counters().learn_refused},
            {"learn_deferred", bridge_.counters().learn_deferred},
            {"icmp_suppressed", punts_.icmp_suppressed()},
            {"path_mtus", punts_.path_mtus()},
            {"path_mtu_forged", punts_.path_mtu_forged()},
            {"neigh_over_quota", punts_.over_quota()},
            {"control",
             {{"taken", punts.taken},
              {"made", punts.made},
              {"consumed", punts.consumed},
              {"forwarded", punts.forwarded},
              {"dropped", punts.dropped},
              {"no_buffer", punts.no_buffer},
              {"held", punts_.held()}}}};
}

}  // namespace vxplane::control::stats
