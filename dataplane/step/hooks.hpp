// The five places where a packet can be judged, tracked and translated. Paths of slaves and masters
// call them in the order of the packet's journey, as the kernel does:
//
//   wire -> slave, l3s   prerouting(master's)  input(master's)
//   wire -> slave, l3    prerouting(master's, nat_only)  prerouting(slave's)  input(slave's)
//   slave -> wire        output(slave's)  postrouting(slave's, more_hooks)
//                        output(master's)  postrouting(master's)
//   slave -> sibling     output(sender's)  postrouting(sender's, more_hooks)
//                        prerouting(receiver's)  input(receiver's)
//   routed by a slave    prerouting, forward, postrouting
//   a group, l2          output(sender's)  postrouting(sender's)  hear(each receiver's)
//
// One HookContext goes with a packet through all of them; the caller changes `hooks` and what else
// differs between two calls. A hook without rules is called all the same where there is a tracker.
//
// Connections: the first prerouting or output that sees a packet looks for its connection, and
// changes the destination to what the connection says. The first postrouting or input without
// `more_hooks` changes the source, and makes the entry of a new connection: a packet that is
// dropped before leaves none. Packets of one tracker should pass all hooks one after the other;
// where a path works in stages, a second packet of a connection that is not yet entered finds it
// entered at its own end and joins it, or is dropped as ct_clash if it was translated otherwise.
//
// A burst:  parse() and begin() for all, fetch() for all, then the hooks for each.
#pragma once

#include <cstdint>
#include <type_traits>

#include "dataplane/step/l3_packet.hpp"
#include "dataplane/table/conntrack.hpp"
#include "dataplane/table/hook_set.hpp"

namespace vxplane::step {

struct HookContext {
    // --- set by the caller
    const table::HookSet* hooks = nullptr;    ///< rules of this call; null = none
    table::Conntrack* conntrack = nullptr;    ///< null = nothing is tracked, no NAT
    table::RuleCounters* counters = nullptr;  ///< the worker's; null = not counted
    std::uint32_t now = 0;                    ///< milliseconds of the shared clock
    std::uint16_t zone = 0;  ///< where the packet comes from: vrf of the slave; wire 0
    std::uint16_t slave = table::kNoSlave;  ///< that sent it; kNoSlave = the wire
    std::uint16_t exit_zone = 0;            ///< before postrouting, input: where it is going
    std::uint16_t exit_slave = table::kNoSlave;
    net::Ipv4Address masquerade4;  ///< before postrouting: address of the exit; zero = none
    net::IpAddress masquerade6;    ///< unset = none
    bool nat_only = false;         ///< of `hooks`, only rules that translate are asked
    bool more_hooks = false;       ///< another postrouting or input follows: no entry is made here

    // --- what the hooks found out
    table::CtState state = table::CtState::untracked;
    /// Of an entry; none for a new connection until it is entered.
    table::ConnRef connection;
    /// Slave that the packet is for, where connection or rule know it; kNoSlave with
    /// `knows_way` = to the wire, without = by address and route.
    std::uint16_t to_slave = table::kNoSlave;
    bool knows_way = false;
    bool is_new = false;  ///< pending() is the connection

    // --- of the hooks alone
    bool looked = false;     ///< the connection was looked for
    bool begun = false;      ///< `pending().original` and `hash` are set
    bool trackable = false;  ///< false: no tuple can be made of it
    bool notrack = false;
    bool source_chosen = false;  ///< a rule has said what the source becomes
    bool destination_chosen = false;
    bool source_done = false;  ///< the source is as the connection wants it
    bool destination_done = false;
    bool clashes = false;
    table::Direction direction = table::Direction::original;
    std::uint64_t hash = 0;
    table::ConnPacket facts;

    [[nodiscard]] table::NewConnection& pending() noexcept { return pending_.value; }
    [[nodiscard]] const table::NewConnection& pending() const noexcept { return pending_.value; }

  private:
    /// As it was in memory until begin() and the first packet of a connection write what they know:
    /// most packets need less than half of it.
    union Pending {
        table::NewConnection value;
        Pending() noexcept {}
    };
    Pending pending_;
};
static_assert(std::is_trivially_copyable_v<HookContext>);

/// First stage of a burst: tuple and hash, bucket prefetched. Optional; there must be a tracker.
void begin(const L3Packet& packet, HookContext& ctx) noexcept;
/// Second stage of a burst: the place prefetched. Optional, after begin().
inline void fetch(const HookContext& ctx) noexcept {
    if (ctx.trackable) {
        ctx.conntrack->prefetch_place(ctx.hash);
    }
}

// Each goes on, drops (hook_drop, ct_table_full, ct_fragment_no_first, ct_invalid, ct_clash,
// nat_ports_exhausted, nat_no_address) or diverts to Lane::control with meta.punt = Punt::reject.

/// ct_fragment_no_first comes from here. Afterwards look at `to_slave` and `knows_way`.
packet::Verdict prerouting(L3Packet& packet, HookContext& ctx, packet::PacketMeta& meta) noexcept;
packet::Verdict output(L3Packet& packet, HookContext& ctx, packet::PacketMeta& meta) noexcept;
packet::Verdict forward(L3Packet& packet, HookContext& ctx, packet::PacketMeta& meta) noexcept;
packet::Verdict input(L3Packet& packet, HookContext& ctx, packet::PacketMeta& meta) noexcept;
packet::Verdict postrouting(L3Packet& packet, HookContext& ctx, packet::PacketMeta& meta) noexcept;

/// Prerouting and, where the packet `ends` there, input of one of many that hear a broadcast or
/// multicast: the payload is shared and nobody answers, so that nothing is translated and no entry
/// is made. May be called for the same packet with the rules of one after the other.
packet::Verdict hear(L3Packet& packet, HookContext& ctx, packet::PacketMeta& meta,
                     bool ends) noexcept;

}  // namespace vxplane::step
