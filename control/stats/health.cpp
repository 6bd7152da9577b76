// What needs an operator: workers that do not poll, tables that fill up, links that are gone,
// packets that are nowhere.
#include <algorithm>
#include <map>

#include "config/resolve.hpp"
#include "control/stats/stats.hpp"

namespace vxplane::control::stats {

namespace {

/// A worker that takes longer than this over one poll is reported.
constexpr std::chrono::milliseconds kStuckAfter{1000};
/// Segments that one alarm each names; the rest is told as a number.
constexpr std::size_t kMostNamed = 16;

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
        if (neighbours_ != nullptr && std::uint64_t{neighbours_->learned(index)} * 10 >=
                                          std::uint64_t{spec.neigh_maxaddr} * 8) {
            out.push_back("segment " + spec.name + " knows at least 80 % of its neigh-maxaddr " +
                          std::to_string(spec.neigh_maxaddr));
        }
    }
    for (const OpenPort& open : machine_.ports()) {
        // One alarm about the link of an ipvlan is enough.
        if (open.port->carrier() && !open.port->link().up) {
            out.push_back("port " + open.port->name() + " has no link");
        }
    }
    for (const OpenPort& open : machine_.ports()) {
        if (bridge_.rx_belief(open.port->id()) == RxBelief::refuted) {
            out.push_back("port " + open.port->name() + ": the device (" + open.port->driver() +
                          ") called wrong checksums good, workers verify in its place");
        }
    }
    add_mtu_alarms(out);
    return out;
}

void Reader::add_mtu_alarms(std::vector<std::string>& out) const {
    std::map<std::string_view, std::uint16_t> lowered;
    for (const OpenPort& open : machine_.ports()) {
        const std::uint16_t mtu = open.port->mtu();
        if (open.is_twin || mtu >= open.config->mtu) {
            continue;
        }
        out.push_back("port " + open.port->name() + " carries MTU " + std::to_string(mtu) +
                      ", not the " + std::to_string(open.config->mtu) + " of its configuration");
        lowered.emplace(open.config->name, mtu);
    }
    if (lowered.empty()) {
        return;
    }
    std::size_t named = 0;
    for (const config::Vxlan& vxlan : topology_.vxlans) {
        const config::Port* const uplink = config::uplink_of(topology_, vxlan);
        const auto at = uplink == nullptr ? lowered.end() : lowered.find(uplink->name);
        if (at == lowered.end()) {
            continue;
        }
        const std::uint16_t overhead = config::overhead_of(topology_, vxlan);
        const int room = int{at->second} - overhead;
        const int intended = config::effective_mtu(topology_, vxlan);
        // A port that is larger than its segment by default was so before, too.
        const auto too_large = std::ranges::find_if(vxlan.ports, [&](const std::string& name) {
            const config::Port* const port = config::find_port(topology_, name);
            const int offered = port == nullptr ? 0 : offered_mtu(topology_, *port);
            return offered <= intended && offered > room;
        });
        if (vxlan.mtu <= room && too_large == vxlan.ports.end()) {
            continue;
        }
        if (++named > kMostNamed) {
            continue;
        }
        out.push_back("segment " + vxlan.name + ": " +
                      (too_large == vxlan.ports.end()
                           ? "its mtu " + std::to_string(vxlan.mtu)
                           : "mtu " +
                                 std::to_string(offered_mtu(
                                     topology_, *config::find_port(topology_, *too_large))) +
                                 " of port " + *too_large) +
                      " exceeds the " + std::to_string(std::max(room, 0)) + " that uplink " +
                      uplink->name + " leaves");
    }
    if (named > kMostNamed) {
        out.push_back(std::to_string(named - kMostNamed) +
                      " more segments have a larger mtu than their uplink leaves");
    }
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
            {"adds_refused", bridge_.counters().adds_refused},
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
