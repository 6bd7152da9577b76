// Packets and their connections: who belongs to what, and what is changed for it.
#include "dataplane/step/track.hpp"

#include <cstddef>
#include <cstring>

#include "dataplane/net/flow_hash.hpp"
#include "dataplane/step/flow_key.hpp"

namespace vxplane::step {

using packet::DropReason;
using packet::Verdict;
using table::ConnTuple;
using table::CtState;
using table::Direction;

namespace {

constexpr bool has_ports(std::uint8_t protocol) noexcept {
    return net::has_ports(protocol);
}
constexpr bool is_icmp(std::uint8_t protocol) noexcept {
    return protocol == net::ip_protocol::kIcmp || protocol == net::ip_protocol::kIcmpv6;
}

/// In one store: they are read as one word at once.
void put_last(ConnTuple& tuple, std::uint16_t source_port, std::uint16_t destination_port,
              std::uint8_t protocol, std::uint16_t zone) noexcept {
    const std::uint64_t word =
        last_word(source_port | std::uint32_t{destination_port} << 16, protocol, zone);
    std::memcpy(reinterpret_cast<std::byte*>(&tuple) + 32, &word, sizeof word);
}

/// What is not addresses, of a transport header of which eight bytes can be read if its protocol
/// needs them. False when the packet is none that a connection is made of.
bool put_transport(ConnTuple& tuple, const std::byte* l4, std::uint8_t protocol,
                   std::uint16_t zone) noexcept {
    const auto word_at = [l4](std::size_t at) { return net::load<std::uint16_t>(l4 + at); };
    if (has_ports(protocol)) [[likely]] {
        put_last(tuple, word_at(0), word_at(2), protocol, zone);
        return true;
    }
    if (!is_icmp(protocol)) {
        put_last(tuple, 0, 0, protocol, zone);
        return true;
    }
    put_last(tuple, word_at(4), word_at(0), protocol, zone);
    return table::icmp_answer(protocol, static_cast<std::uint8_t>(l4[0])) != 0xFF;
}

constexpr bool needs_l4(std::uint8_t protocol) noexcept {
    return has_ports(protocol) || is_icmp(protocol);
}

/// Neighbour discovery and multicast listeners: as with the kernel, nobody's connection.
bool is_untracked_kind(const L3Packet& packet) noexcept {
    if (packet.protocol != net::ip_protocol::kIcmpv6 || !packet.has_l4) {
        return false;
    }
    const std::uint8_t type = packet.p->at<net::IcmpHeader>(packet.l4_offset)->type;
    return (type >= 130 && type <= 136) || type == 143;
}

table::FragmentKey fragment_key(const L3Packet& packet, const net::IpAddress& source,
                                const net::IpAddress& destination, std::uint16_t zone) noexcept {
    return {source, destination, packet.fragment_id, zone,
            packet.v6 ? std::uint8_t{0} : packet.protocol};
}

/// The packet has become the first, or another, of a connection after its way was chosen.
void join_connection(HookContext& ctx, table::ConnRef ref) noexcept {
    ctx.connection = ref;
    ctx.direction = ref.direction();
    ctx.is_new = false;
}

[[gnu::noinline]] Verdict track_fragment(const L3Packet& packet, HookContext& ctx) noexcept {
    const table::ConnRef ref = ctx.conntrack->find_fragment(
        fragment_key(packet, packet.source(), packet.destination(), ctx.zone), ctx.now);
    if (!ref) {
        return Verdict::drop(DropReason::ct_fragment_no_first);
    }
    set_connection(ctx, ref);
    table::Connection& c = ctx.conntrack->at(ref);
    ctx.conntrack->count(ref, packet.l3_length);
    ctx.state = ref.direction() == Direction::reply || c.has(table::Connection::kSeenReply)
                    ? CtState::established
                    : CtState::fresh;
    return Verdict::go_on();
}

[[gnu::noinline]] Verdict track_error(const L3Packet& packet, HookContext& ctx) noexcept {
    const Quoted quoted = read_quoted(packet);
    ctx.state = CtState::invalid;
    if (!quoted.found) {
        return Verdict::go_on();
    }
    ConnTuple sent;
    if (packet.v6) {
        const auto& ip = *packet.p->at<net::Ipv6Header>(quoted.l3_offset);
        sent.source = net::IpAddress(ip.source);
        sent.destination = net::IpAddress(ip.destination);
    } else {
        const auto& ip = *packet.p->at<net::Ipv4Header>(quoted.l3_offset);
        sent.source = ip.source;
        sent.destination = ip.destination;
    }
    if (!put_transport(sent, packet.p->data() + quoted.l4_offset, quoted.protocol, ctx.zone)) {
        return Verdict::go_on();
    }
    // An error goes the way of the answers to what it is about.
    const ConnTuple answer = inverse(sent, ctx.zone);
    const table::ConnRef ref = ctx.conntrack->find(answer, ctx.conntrack->hash(answer), ctx.now);
    if (!ref) {
        return Verdict::go_on();
    }
    const table::Connection& c = ctx.conntrack->at(ref);
    if (is_icmp_redirect(packet) &&
        (c.has(table::Connection::kSourceNat) || c.has(table::Connection::kDestinationNat))) {
        return Verdict::drop(DropReason::ct_invalid);
    }
    set_connection(ctx, ref);
    ctx.state = CtState::related;
    return Verdict::go_on();
}

void start(HookContext& ctx) noexcept {
    ctx.is_new = true;
    ctx.state = CtState::fresh;
    table::NewConnection& c = ctx.pending();
    c.reply = inverse(c.original, ctx.exit_zone);
    c.flags = 0;
    c.original_slave = ctx.slave;
    c.reply_slave = table::kNoSlave;
}

/// Makes one half of the packet what it is to be. `here` is the tuple of packets that arrive as
/// this one did, `there` that of packets that come against it.
void translate_half(const L3Packet& packet, HookContext& ctx, Half half, const ConnTuple& here,
                    const ConnTuple& there) noexcept {
    // What comes against it has its ends the other way round; the identifier of ICMP queries
    // belongs to who asked.
    const bool icmp = here.is_icmp();
    const bool of_asker = (half == Half::source) == (ctx.direction == Direction::original);
    const auto end = [icmp](const ConnTuple& tuple, bool source) {
        return source ? End3{tuple.source, tuple.source_port}
                      : End3{tuple.destination, icmp ? tuple.source_port : tuple.destination_port};
    };
    const bool source = half == Half::source;
    const End3 is = end(here, source);
    const End3 wanted = end(there, !source);
    const bool with_port = (!icmp || of_asker) &&
                           (icmp ? here.source_port != there.source_port : is.port != wanted.port);
    const bool with_address = is.address != wanted.address;
    if (ctx.state == CtState::related) [[unlikely]] {
        if (with_address) {
            translate(packet, half, wanted, false);
        }
        // The quoted packet went the other way.
        translate_quoted(packet, read_quoted(packet), source ? Half::destination : Half::source,
                         wanted, with_port);
        return;
    }
    if (with_address || with_port) {
        translate(packet, half, wanted, with_port);
    }
}

}  // namespace

void begin(const L3Packet& packet, HookContext& ctx) noexcept {
    ctx.begun = true;
    ctx.trackable = false;
    ctx.facts.bytes = packet.l3_length;
    if (packet.later_fragment || (!packet.has_l4 && needs_l4(packet.protocol))) [[unlikely]] {
        return;
    }
    if (packet.protocol == net::ip_protocol::kTcp) {
        const auto& tcp = *packet.p->at<net::TcpHeader>(packet.l4_offset);
        const std::uint32_t size = tcp.header_length();
        if (size < sizeof tcp || (size > packet.l4_length && !packet.fragment)) {
            return;
        }
        ctx.facts.tcp_flags = tcp.flags;
        ctx.facts.tcp_sequence = tcp.sequence.value();
        ctx.facts.tcp_acknowledgement = tcp.acknowledgement.value();
    }
    ConnTuple& tuple = ctx.pending().original;
    const std::byte* l4 = packet.p->data() + packet.l4_offset;
    if (!packet.v6 && has_ports(packet.protocol)) [[likely]] {
        // Hashed from registers, and stored for the comparison only.
        const net::Ipv4Header& ip = packet.ip4();
        const table::Conntrack::TupleWords words{
            0, net::IpAddress::v4_high(ip.source), 0, net::IpAddress::v4_high(ip.destination),
            last_word(net::load<std::uint32_t>(l4), packet.protocol, ctx.zone)};
        std::memcpy(static_cast<void*>(&tuple), words.data(), sizeof words);
        ctx.hash = ctx.conntrack->hash(words);
    } else {
        if (packet.v6) {
            tuple.source = net::IpAddress(packet.ip6().source);
            tuple.destination = net::IpAddress(packet.ip6().destination);
        } else {
            tuple.source = packet.ip4().source;
            tuple.destination = packet.ip4().destination;
        }
        if (!put_transport(tuple, l4, packet.protocol, ctx.zone)) [[unlikely]] {
            return;
        }
        ctx.hash = ctx.conntrack->hash(tuple);
    }
    ctx.trackable = true;
    ctx.conntrack->prefetch(ctx.hash);
}

Verdict track_first(const L3Packet& packet, HookContext& ctx) noexcept {
    if (ctx.notrack) {
        ctx.looked = true;
        return Verdict::go_on();
    }
    if (!ctx.begun) {
        begin(packet, ctx);
        if (ctx.trackable) {
            return track(packet, ctx);
        }
    }
    ctx.looked = true;
    if (packet.later_fragment) {
        return track_fragment(packet, ctx);
    }
    if (is_icmp_error(packet)) {
        return track_error(packet, ctx);
    }
    ctx.state = is_untracked_kind(packet) ? CtState::untracked : CtState::invalid;
    return Verdict::go_on();
}

Verdict track_further(const L3Packet& packet, HookContext& ctx, table::ConnRef found,
                      table::Conntrack::Seen seen) noexcept {
    if (seen == table::Conntrack::Seen::fine) {
        set_connection(ctx, found);
        const ConnTuple& tuple = ctx.pending().original;
        ctx.conntrack->note_fragment(
            fragment_key(packet, tuple.source, tuple.destination, ctx.zone), found, ctx.now);
    } else if (seen == table::Conntrack::Seen::reopens &&
               table::Conntrack::begins(ctx.pending().original, ctx.facts)) {
        start(ctx);
    } else {
        ctx.state = CtState::invalid;
    }
    return Verdict::go_on();
}

void translate_further(const L3Packet& packet, HookContext& ctx, Half half) noexcept {
    if (ctx.connection) {
        const table::Connection& c = ctx.conntrack->at(ctx.connection);
        translate_half(packet, ctx, half, c.side(ctx.direction).tuple,
                       c.side(opposite(ctx.direction)).tuple);
    } else {
        translate_half(packet, ctx, half, ctx.pending().original, ctx.pending().reply);
    }
}

void translate_back(const L3Packet& packet, const HookContext& ctx) noexcept {
    // Errors are about a connection, and answered by nobody.
    if (ctx.state == CtState::related || (!ctx.connection && !ctx.is_new)) {
        return;
    }
    const table::Connection* known = ctx.connection ? &ctx.conntrack->at(ctx.connection) : nullptr;
    const ConnTuple& sent =
        known != nullptr ? known->side(ctx.direction).tuple : ctx.pending().original;
    const auto changed = [&](Half half, bool done) {
        const std::uint8_t nat = nat_of(ctx.direction, half);
        return done && (known != nullptr ? known->has(nat) : (ctx.pending().flags & nat) != 0);
    };
    const bool icmp = sent.is_icmp();
    const bool with_port = icmp || has_ports(sent.protocol);
    if (changed(Half::source, ctx.source_done)) {
        translate(packet, Half::source, {sent.source, sent.source_port},
                  with_port && (!icmp || ctx.direction == Direction::original));
    }
    if (changed(Half::destination, ctx.destination_done)) {
        translate(packet, Half::destination,
                  {sent.destination, icmp ? sent.source_port : sent.destination_port},
                  with_port && (!icmp || ctx.direction == Direction::reply));
    }
}

void translate_known(packet::Packet& p, const table::Connection& c, table::Direction direction,
                     Half half) noexcept {
    if (!c.has(nat_of(direction, half))) {
        return;
    }
    L3Packet packet;
    packet.p = &p;
    packet.l3_offset = sizeof(net::EthernetHeader);
    packet.l4_offset = sizeof(net::EthernetHeader) + sizeof(net::Ipv4Header);
    packet.protocol = packet.ip4().protocol;
    const ConnTuple& there = c.side(opposite(direction)).tuple;
    translate_plain(packet, half, half == Half::source ? there.destination : there.source,
                    half == Half::source ? there.destination_port : there.source_port);
}

bool join(HookContext& ctx) noexcept {
    table::Conntrack& conntrack = *ctx.conntrack;
    const table::ConnRef other = conntrack.find(ctx.pending().original, ctx.hash, ctx.now);
    if (!other) [[likely]] {
        return false;
    }
    const table::Connection& c = conntrack.at(other);
    ctx.clashes = other.direction() != Direction::original ||
                  c.reply.tuple.source != ctx.pending().reply.source ||
                  c.reply.tuple.source_port != ctx.pending().reply.source_port ||
                  conntrack.note(other, ctx.facts, ctx.now) != table::Conntrack::Seen::fine;
    join_connection(ctx, other);
    return true;
}

Verdict make_unique(HookContext& ctx) noexcept {
    table::Conntrack& conntrack = *ctx.conntrack;
    table::NewConnection& c = ctx.pending();
    return conntrack.is_taken(c.reply, ctx.now) &&
                   conntrack.translate_source(c, c.reply.destination, {}, ctx.now) !=
                       table::Conntrack::Nat::done
               ? Verdict::drop(DropReason::nat_ports_exhausted)
               : Verdict::go_on();
}

Verdict enter(const L3Packet& packet, HookContext& ctx) noexcept {
    table::NewConnection& c = ctx.pending();
    c.reply_slave = ctx.exit_slave;
    const table::ConnRef ref = ctx.conntrack->add(c, ctx.facts, ctx.now);
    if (!ref) {
        return Verdict::drop(DropReason::ct_table_full);
    }
    join_connection(ctx, ref);
    if (packet.fragment) [[unlikely]] {
        ctx.conntrack->note_fragment(
            fragment_key(packet, c.original.source, c.original.destination, c.original.zone), ref,
            ctx.now);
    }
    return Verdict::go_on();
}

}  // namespace vxplane::step
