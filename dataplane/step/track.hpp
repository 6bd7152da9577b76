// What the tracker does to a packet between the rules. Met by the hooks alone.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "dataplane/step/hooks.hpp"
#include "dataplane/step/translate.hpp"

namespace vxplane::step {

/// Which NAT of a connection changes this half of packets of a direction.
constexpr std::uint8_t nat_of(table::Direction d, Half half) noexcept {
    return (half == Half::source) == (d == table::Direction::original)
               ? table::Connection::kSourceNat
               : table::Connection::kDestinationNat;
}

/// The last eight bytes of a tuple as a word. Ports in wire order, the source's in the lower half.
constexpr std::uint64_t last_word(std::uint32_t ports, std::uint8_t protocol,
                                  std::uint16_t zone) noexcept {
    using table::ConnTuple;
    static_assert(std::endian::native == std::endian::little);
    static_assert(offsetof(ConnTuple, source_port) == 32 && offsetof(ConnTuple, zone) == 38);
    return ports | std::uint64_t{protocol} << 32 | std::uint64_t{zone} << 48;
}

/// The packet is of this connection, and goes its way.
inline void set_connection(HookContext& ctx, table::ConnRef ref) noexcept {
    const table::Connection& c = ctx.conntrack->at(ref);
    ctx.connection = ref;
    ctx.direction = ref.direction();
    ctx.is_new = false;
    ctx.state =
        c.has(table::Connection::kSeenReply) ? table::CtState::established : table::CtState::fresh;
    ctx.to_slave = c.slave_towards(ref.direction());
    ctx.knows_way = true;
}

/// For what track() does not do at once.
packet::Verdict track_further(const L3Packet& packet, HookContext& ctx, table::ConnRef found,
                              table::Conntrack::Seen seen) noexcept;
packet::Verdict track_first(const L3Packet& packet, HookContext& ctx) noexcept;

/// Finds the packet's connection, or what could become one. Once a packet.
inline packet::Verdict track(const L3Packet& packet, HookContext& ctx) noexcept {
    if (ctx.looked || ctx.conntrack == nullptr) {
        return packet::Verdict::go_on();
    }
    if (!ctx.trackable || ctx.notrack) [[unlikely]] {
        return track_first(packet, ctx);
    }
    ctx.looked = true;
    table::Conntrack& conntrack = *ctx.conntrack;
    const table::ConnRef ref = conntrack.find(ctx.pending().original, ctx.hash, ctx.now);
    auto seen = table::Conntrack::Seen::reopens;
    if (ref) [[likely]] {
        seen = conntrack.note(ref, ctx.facts, ctx.now);
    }
    if (seen != table::Conntrack::Seen::fine || packet.fragment) [[unlikely]] {
        return track_further(packet, ctx, ref, seen);
    }
    set_connection(ctx, ref);
    return packet::Verdict::go_on();
}

/// For what translate_tracked() does not do at once.
void translate_further(const L3Packet& packet, HookContext& ctx, Half half) noexcept;

/// Changes one half of the packet to what its connection says.
inline void translate_tracked(const L3Packet& packet, HookContext& ctx, Half half) noexcept {
    bool& done = half == Half::source ? ctx.source_done : ctx.destination_done;
    if (done) {
        return;
    }
    const std::uint8_t nat = nat_of(ctx.direction, half);
    if (ctx.connection) [[likely]] {
        done = true;
        const table::Connection& c = ctx.conntrack->at(ctx.connection);
        if (!c.has(nat)) {
            return;
        }
        if (!packet.v6 && packet.has_l4 && ctx.state != table::CtState::related &&
            (packet.protocol == net::ip_protocol::kUdp ||
             packet.protocol == net::ip_protocol::kTcp)) [[likely]] {
            const table::ConnTuple& there = c.side(opposite(ctx.direction)).tuple;
            translate_plain(packet, half, half == Half::source ? there.destination : there.source,
                            half == Half::source ? there.destination_port : there.source_port);
            return;
        }
        translate_further(packet, ctx, half);
    } else if (ctx.is_new && (ctx.pending().flags & nat) != 0) {
        done = true;
        translate_further(packet, ctx, half);
    }
}

/// Gives the packet back the ends that its sender gave it, for an answer to that one.
void translate_back(const L3Packet& packet, const HookContext& ctx) noexcept;

/// True when another packet of the connection was entered since this one was looked up, and this
/// one goes on as part of it, unless it `clashes`.
bool join(HookContext& ctx) noexcept;
/// Gives a new connection a tuple for its answers that no other has.
packet::Verdict make_unique(HookContext& ctx) noexcept;
/// Makes the entry of a new connection.
packet::Verdict enter(const L3Packet& packet, HookContext& ctx) noexcept;

}  // namespace vxplane::step
