// What a step may look at and use besides its packet: the published tables as one poll sees them,
// and the small things that belong to the worker alone.
#pragma once

#include <rte_config.h>
#include <rte_cycles.h>

#include <array>
#include <cstdint>
#include <type_traits>

#include "dataplane/net/ip_address.hpp"
#include "dataplane/packet/packet.hpp"
#include "dataplane/port/pool.hpp"
#include "dataplane/step/refused_peers.hpp"
#include "dataplane/step/seen_groups.hpp"
#include "dataplane/step/unknown_vnis.hpp"
#include "dataplane/table/tables.hpp"

namespace vxplane::step {

/// A source address seen at a new place. Passed to control by value.
struct LearnEvent {
    std::uint64_t key = 0;   ///< FdbKey::raw
    net::IpAddress remote;   ///< the VTEP behind which it was seen; `::` = local
    std::uint16_t port = 0;  ///< DPDK port id, when local
    std::array<std::uint16_t, 3> reserved{};
};
static_assert(sizeof(LearnEvent) == 32);

/// Learn events of one poll, and a memory of what was told lately so that a burst of frames from
/// one new address makes one event. Owned by one worker.
class LearnBuffer {
  public:
    static constexpr std::uint32_t kRoom = 2 * packet::kBurstSize;

    /// True when the event is new and was noted. `corrections`: Fdb::corrections() of now; what was
    /// told before the last correction may have to be told again.
    bool note(const LearnEvent& event, std::uint32_t corrections) noexcept {
        Told& told = told_[event.key * 0x9E3779B97F4A7C15ULL >> (64 - kToldBits)];
        if (told.key == event.key && told.remote == event.remote && told.port == event.port &&
            told.corrections == static_cast<std::uint16_t>(corrections) &&
            now_ - told.when < kRepeatAfter) {
            return false;
        }
        if (count_ == kRoom) {
            return false;
        }
        told = {event.key, event.remote, event.port, static_cast<std::uint16_t>(corrections), now_};
        events_[count_++] = event;
        return true;
    }
    /// Milliseconds of the shared clock; control answers an event long before kRepeatAfter is over.
    void set_now(std::uint32_t milliseconds) noexcept { now_ = milliseconds; }

    [[nodiscard]] const LearnEvent* begin() const noexcept { return events_.data(); }
    [[nodiscard]] std::uint32_t size() const noexcept { return count_; }
    void clear() noexcept { count_ = 0; }
    /// An event that found no room is told again by the next frame from the address.
    void forget(const LearnEvent& event) noexcept {
        told_[event.key * 0x9E3779B97F4A7C15ULL >> (64 - kToldBits)] = {};
    }

  private:
    static constexpr unsigned kToldBits = 10;
    static constexpr std::uint32_t kRepeatAfter = 100;  // milliseconds
    struct Told {
        std::uint64_t key = 0;
        net::IpAddress remote;
        std::uint16_t port = 0;
        std::uint16_t corrections = 0;  ///< the low half: nobody makes 65,536 in 100 ms
        std::uint32_t when = 0;
    };
    std::uint32_t now_ = kRepeatAfter;
    std::uint32_t count_ = 0;
    std::array<LearnEvent, kRoom> events_{};
    std::array<Told, 1U << kToldBits> told_{};
};

/// The tunnel of the peer that was asked for last: most bursts come from few peers.
struct PeerMemo {
    std::uint64_t key = ~0ULL;
    std::uint32_t tunnel = table::FlatMap::kNone;
};

/// The first bytes of the packet that was judged last and let in; good for one port and one
/// generation of tables.
struct OuterMemo {
    /// Compared as vectors, by whatever instructions the processor has.
    struct Header {
        std::uint64_t first __attribute__((vector_size(32)));
        std::uint64_t second __attribute__((vector_size(32)));
    };
    Header header{};
    std::uint16_t in_port = table::kNoPort;
};

class SlaveHooks;
struct FlowKey;
struct Context;

/// For the rare step that has to tell of a frame which goes its way: takes copies for control, and
/// counts.
class Listener {
  public:
    /// Twice with the same `key` within a second: the second one is only counted.
    virtual void copy_to_control(packet::Packet p, const packet::PacketMeta& meta, packet::Punt why,
                                 std::uint64_t key, Context& ctx) noexcept = 0;
    /// ECT outside of a packet that does not speak ECN, which is none the worse for it.
    virtual void count_odd_ecn(std::uint16_t segment) noexcept = 0;

  protected:
    ~Listener() = default;
};

/// One per worker; `tables` and `epoch` are set anew by every poll.
struct Context {
    const table::Tables* tables = nullptr;
    std::uint64_t generation = 0;
    std::uint8_t epoch = 0;        ///< of Fdb::refresh
    bool reassembled = false;      ///< of the burst: each of its packets arrived as fragments
    std::uint16_t next_ip_id = 0;  ///< identification of outer IPv4 headers that may be fragmented
    port::WorkerPools* pools = nullptr;
    PeerMemo peer;
    OuterMemo outer;   ///< over IPv4, as without UDP checksum and with a plain VXLAN header
    OuterMemo outer6;  ///< over IPv6
    /// Made for slaves in this poll, by the port of their master.
    std::array<std::uint32_t, RTE_MAX_ETHPORTS> group_copies{};
    std::uint32_t now = 0;  ///< milliseconds of the shared clock
    table::RuleCounters* rule_counters = nullptr;
    table::RateShare* rates = nullptr;  ///< of slaves, by DPDK port id
    /// Of the packets of a burst that go through hooks; room for a burst.
    SlaveHooks* journeys = nullptr;
    FlowKey* flow_keys = nullptr;     ///< by the same numbers
    std::uint16_t journey_count = 0;  ///< begun in this burst
    bool slaves_left = false;         ///< some packets of slaves did not leave at once
    bool tunnels_ahead = false;       ///< some packets of slaves are for tunnels
    UnknownVnis unknown;
    SeenGroups groups;
    RefusedPeers refused{rte_rdtsc()};
    Listener* listener = nullptr;
    LearnBuffer learn;

    /// Counts against the rate of a slave that has one.
    [[gnu::noinline]] bool may_send(const table::Slave& slave, std::uint32_t bytes) noexcept {
        return rates[slave.port].take(*slave.limit, bytes, slave.policer, now);
    }

    /// At the start of every poll.
    void begin(const table::Tables* published, std::uint8_t now_epoch,
               std::uint32_t now_milliseconds) noexcept {
        // The generation too: a new value may stand where a freed one stood.
        if (published != tables || published->generation != generation) {
            tables = published;
            generation = published->generation;
            peer = {};
            outer = {};
            outer6 = {};
        }
        epoch = now_epoch;
        group_copies.fill(0);
        now = now_milliseconds;
        learn.set_now(now_milliseconds);
    }
};

/// A step for the packets of one burst. A step that can be made from the context and the port keeps
/// what is the same for all of them.
template <class Step>
Step step_for(const Context& ctx, std::uint16_t in_port) noexcept {
    if constexpr (std::is_constructible_v<Step, const Context&, std::uint16_t>) {
        return Step(ctx, in_port);
    } else {
        return Step{};
    }
}

}  // namespace vxplane::step
