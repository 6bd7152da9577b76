// The journey of one packet through the hooks: rules in the order of their priorities, and between
// them what the tracker does.
#include "dataplane/step/hooks.hpp"

#include <cstring>

#include "dataplane/step/translate.hpp"

namespace vxplane::step {
namespace {

using packet::DropReason;
using packet::Verdict;
using table::ConnTuple;
using table::CtState;
using table::Direction;
using table::Hook;
using table::HookRule;
using table::HookSet;
using table::RuleVerdict;

// --- tuples -------------------------------------------------------------------------------------

constexpr bool has_ports(std::uint8_t protocol) noexcept {
    return net::has_ports(protocol);
}
constexpr bool is_icmp(std::uint8_t protocol) noexcept {
    return protocol == net::ip_protocol::kIcmp || protocol == net::ip_protocol::kIcmpv6;
}

/// ::ffff:a.b.c.d
void put_v4(net::IpAddress& to, const net::Ipv4Address& from) noexcept {
    const std::array<std::uint32_t, 4> words{0, 0, net::Be32::of(0xFFFF).wire(), from.be.wire()};
    std::memcpy(to.bytes.data(), words.data(), sizeof words);
}

/// Ports or what stands for them, of a transport header of which eight bytes can be read. False
/// when the packet is none that a connection is made of.
bool put_ports(ConnTuple& tuple, const std::byte* l4) noexcept {
    if (has_ports(tuple.protocol)) [[likely]] {
        std::memcpy(&tuple.source_port, l4, 2);
        std::memcpy(&tuple.destination_port, l4 + 2, 2);
        return true;
    }
    if (is_icmp(tuple.protocol)) {
        if (table::icmp_answer(tuple.protocol, static_cast<std::uint8_t>(l4[0])) == 0xFF) {
            return false;
        }
        std::memcpy(&tuple.source_port, l4 + 4, 2);
        std::memcpy(&tuple.destination_port, l4, 2);
    }
    return true;
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

// --- rules --------------------------------------------------------------------------------------

/// What rules look at, as it is now.
struct View {
    net::IpAddress source;
    net::IpAddress destination;
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;
    bool ports = false;
};

View view_of(const L3Packet& packet) noexcept {
    View view{packet.source(), packet.destination()};
    if (packet.has_l4 && has_ports(packet.protocol)) {
        const auto& l4 = *packet.p->at<net::UdpHeader>(packet.l4_offset);
        view.source_port = l4.source.value();
        view.destination_port = l4.destination.value();
        view.ports = true;
    }
    return view;
}

bool matches(const HookRule& rule, const View& view, const L3Packet& packet,
             const HookContext& ctx) noexcept {
    if (!rule.any_protocol && rule.protocol != packet.protocol) {
        return false;
    }
    if (rule.states != 0 && (rule.states & static_cast<std::uint8_t>(ctx.state)) == 0) {
        return false;
    }
    if (rule.zone >= 0 && rule.zone != ctx.zone) {
        return false;
    }
    if (rule.slave != table::kNoSlave && rule.slave != ctx.slave) {
        return false;
    }
    if (!rule.source.has(view.source) || !rule.destination.has(view.destination)) {
        return false;
    }
    if (rule.source_ports.is_any() && rule.destination_ports.is_any()) {
        return true;
    }
    return view.ports && rule.source_ports.has(view.source_port) &&
           rule.destination_ports.has(view.destination_port);
}

bool is_of_family(const net::IpAddress& address, bool v6) noexcept {
    return address.is_unset() || address.is_v4() != v6;
}

/// What a rule that matches does to a connection; goes on.
Verdict translate_new(const HookRule& rule, const L3Packet& packet, HookContext& ctx) noexcept {
    using Nat = table::Conntrack::Nat;
    net::IpAddress to = rule.to;
    if (rule.verdict == RuleVerdict::masquerade) {
        to = packet.v6                   ? ctx.masquerade6
             : ctx.masquerade4.is_zero() ? net::IpAddress{}
                                         : net::IpAddress(ctx.masquerade4);
        if (to.is_unset()) {
            // Leaving under an address that the other side cannot answer helps nobody.
            return Verdict::drop(DropReason::nat_no_address);
        }
    }
    if (!is_of_family(to, packet.v6)) {
        return Verdict::go_on();
    }
    if (rule.verdict == RuleVerdict::dnat) {
        ctx.conntrack->translate_destination(ctx.pending, to, rule.to_ports);
        if (rule.to_slave != table::kNoSlave) {
            ctx.to_slave = rule.to_slave;
            ctx.knows_way = true;
        }
        ctx.destination_chosen = true;
        return Verdict::go_on();
    }
    ctx.source_chosen = true;
    return ctx.conntrack->translate_source(ctx.pending, to, rule.to_ports, ctx.now) == Nat::done
               ? Verdict::go_on()
               : Verdict::drop(DropReason::nat_ports_exhausted);
}

Verdict ask(const HookSet::Chain& chain, const L3Packet& packet, HookContext& ctx,
            packet::PacketMeta& meta) noexcept {
    const View view = view_of(packet);
    for (std::uint32_t at = chain.begin; at < chain.end; ++at) {
        const HookRule& rule = ctx.hooks->rule(at);
        if (!matches(rule, view, packet, ctx)) {
            continue;
        }
        if (ctx.counters != nullptr) {
            ctx.counters->add(rule.id, packet.l3_length);
        }
        switch (rule.verdict) {
            case RuleVerdict::accept:
            case RuleVerdict::return_:
                return Verdict::go_on();
            case RuleVerdict::drop:
                return Verdict::drop(DropReason::hook_drop);
            case RuleVerdict::reject:
                meta.punt = packet::Punt::reject;
                meta.tunnel = 0;
                meta.if_refused = DropReason::hook_reject;
                return Verdict::divert(packet::Lane::control);
            case RuleVerdict::notrack:
                ctx.notrack = true;
                break;
            case RuleVerdict::dnat:
            case RuleVerdict::snat:
            case RuleVerdict::masquerade:
                return translate_new(rule, packet, ctx);
        }
    }
    return Verdict::go_on();
}

/// The chains of one hook, asked in pieces.
class Asker {
  public:
    Asker(L3Packet& packet, HookContext& ctx, packet::PacketMeta& meta, Hook hook) noexcept
        : packet_(packet), ctx_(ctx), meta_(meta) {
        if (ctx.hooks != nullptr && !ctx.hooks->empty()) {
            const auto chains = ctx.hooks->chains(hook);
            at_ = chains.begin();
            end_ = chains.end();
        }
    }
    /// All that do not translate and come before `priority`.
    Verdict before(int priority) noexcept {
        for (; at_ != end_ && at_->priority < priority; ++at_) {
            if (!ctx_.nat_only && !at_->translates) {
                const Verdict verdict = ask(*at_, packet_, ctx_, meta_);
                if (!verdict.goes_on()) {
                    return verdict;
                }
            }
        }
        return Verdict::go_on();
    }
    /// Those that translate, until one has `chosen`; they stand first at their priority.
    Verdict translating(const bool& chosen) noexcept {
        for (; at_ != end_ && at_->translates; ++at_) {
            if (ctx_.is_new && !chosen) {
                const Verdict verdict = ask(*at_, packet_, ctx_, meta_);
                if (!verdict.goes_on()) {
                    return verdict;
                }
            }
        }
        return Verdict::go_on();
    }
    Verdict rest() noexcept { return at_ == end_ ? Verdict::go_on() : before(1 << 30); }

  private:
    L3Packet& packet_;
    HookContext& ctx_;
    packet::PacketMeta& meta_;
    const HookSet::Chain* at_ = nullptr;
    const HookSet::Chain* end_ = nullptr;
};

// --- the tracker --------------------------------------------------------------------------------

void know_way(HookContext& ctx, const table::Connection& c, Direction d) noexcept {
    ctx.to_slave = c.slave_towards(d);
    ctx.knows_way = true;
}

void set_connection(HookContext& ctx, table::ConnRef ref) noexcept {
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
    know_way(ctx, c, ref.direction());
    return Verdict::go_on();
}

[[gnu::noinline]] Verdict track_error(const L3Packet& packet, HookContext& ctx) noexcept {
    const Quoted quoted = read_quoted(packet);
    ctx.state = CtState::invalid;
    if (!quoted.found) {
        return Verdict::go_on();
    }
    ConnTuple sent;
    sent.protocol = quoted.protocol;
    sent.zone = ctx.zone;
    if (packet.v6) {
        const auto& ip = *packet.p->at<net::Ipv6Header>(quoted.l3_offset);
        sent.source = net::IpAddress(ip.source);
        sent.destination = net::IpAddress(ip.destination);
    } else {
        const auto& ip = *packet.p->at<net::Ipv4Header>(quoted.l3_offset);
        put_v4(sent.source, ip.source);
        put_v4(sent.destination, ip.destination);
    }
    if (!put_ports(sent, packet.p->data() + quoted.l4_offset)) {
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
    know_way(ctx, c, ref.direction());
    return Verdict::go_on();
}

void start(HookContext& ctx) noexcept {
    ctx.is_new = true;
    ctx.state = CtState::fresh;
    ctx.pending.reply = inverse(ctx.pending.original, ctx.exit_zone);
    ctx.pending.original_slave = ctx.slave;
}

Verdict track(const L3Packet& packet, HookContext& ctx) noexcept {
    if (ctx.looked || ctx.conntrack == nullptr) {
        return Verdict::go_on();
    }
    ctx.looked = true;
    if (ctx.notrack) {
        return Verdict::go_on();
    }
    if (!ctx.begun) {
        begin(packet, ctx);
    }
    if (!ctx.trackable) [[unlikely]] {
        if (packet.later_fragment) {
            return track_fragment(packet, ctx);
        }
        if (is_icmp_error(packet)) {
            return track_error(packet, ctx);
        }
        ctx.state = is_untracked_kind(packet) ? CtState::untracked : CtState::invalid;
        return Verdict::go_on();
    }
    table::Conntrack& conntrack = *ctx.conntrack;
    const table::ConnRef ref = conntrack.find(ctx.pending.original, ctx.hash, ctx.now);
    if (ref) [[likely]] {
        const auto seen = conntrack.note(ref, ctx.facts, ctx.now);
        if (seen == table::Conntrack::Seen::fine) [[likely]] {
            table::Connection& c = conntrack.at(ref);
            set_connection(ctx, ref);
            ctx.state =
                c.has(table::Connection::kSeenReply) ? CtState::established : CtState::fresh;
            know_way(ctx, c, ref.direction());
            if (packet.fragment) [[unlikely]] {
                const ConnTuple& tuple = ctx.pending.original;
                conntrack.note_fragment(
                    fragment_key(packet, tuple.source, tuple.destination, ctx.zone), ref, ctx.now);
            }
            return Verdict::go_on();
        }
        if (seen == table::Conntrack::Seen::invalid) {
            ctx.state = CtState::invalid;
            return Verdict::go_on();
        }
    }
    if (table::Conntrack::begins(ctx.pending.original, ctx.facts)) {
        start(ctx);
    } else {
        ctx.state = CtState::invalid;
    }
    return Verdict::go_on();
}

/// Which NAT of a connection changes this half of packets of a direction.
constexpr std::uint8_t nat_of(Direction d, Half half) noexcept {
    return (half == Half::source) == (d == Direction::original)
               ? table::Connection::kSourceNat
               : table::Connection::kDestinationNat;
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

void apply(const L3Packet& packet, HookContext& ctx, Half half, bool& done) noexcept {
    if (done) {
        return;
    }
    const std::uint8_t nat = nat_of(ctx.direction, half);
    if (ctx.connection) [[likely]] {
        const table::Connection& c = ctx.conntrack->at(ctx.connection);
        done = true;
        if (c.has(nat)) {
            translate_half(packet, ctx, half, c.side(ctx.direction).tuple,
                           c.side(opposite(ctx.direction)).tuple);
        }
    } else if (ctx.is_new && (ctx.pending.flags & nat) != 0) {
        done = true;
        translate_half(packet, ctx, half, ctx.pending.original, ctx.pending.reply);
    }
}

/// True when another packet of the connection was entered since this one was looked up, and this
/// one goes on as part of it.
bool join(HookContext& ctx) noexcept {
    table::Conntrack& conntrack = *ctx.conntrack;
    const table::ConnRef other = conntrack.find(ctx.pending.original, ctx.hash, ctx.now);
    if (!other) [[likely]] {
        return false;
    }
    const table::Connection& c = conntrack.at(other);
    ctx.clashes = other.direction() != Direction::original ||
                  c.reply.tuple.source != ctx.pending.reply.source ||
                  c.reply.tuple.source_port != ctx.pending.reply.source_port ||
                  conntrack.note(other, ctx.facts, ctx.now) != table::Conntrack::Seen::fine;
    set_connection(ctx, other);
    return true;
}

/// Gives a new connection a tuple for its answers that no other has.
Verdict make_unique(HookContext& ctx) noexcept {
    table::Conntrack& conntrack = *ctx.conntrack;
    table::NewConnection& c = ctx.pending;
    return conntrack.is_taken(c.reply, ctx.now) &&
                   conntrack.translate_source(c, c.reply.destination, {}, ctx.now) !=
                       table::Conntrack::Nat::done
               ? Verdict::drop(DropReason::nat_ports_exhausted)
               : Verdict::go_on();
}

Verdict enter(const L3Packet& packet, HookContext& ctx) noexcept {
    table::NewConnection& c = ctx.pending;
    c.reply_slave = ctx.exit_slave;
    const table::ConnRef ref = ctx.conntrack->add(c, ctx.facts, ctx.now);
    if (!ref) {
        return Verdict::drop(DropReason::ct_table_full);
    }
    set_connection(ctx, ref);
    if (packet.fragment) [[unlikely]] {
        ctx.conntrack->note_fragment(
            fragment_key(packet, c.original.source, c.original.destination, c.original.zone), ref,
            ctx.now);
    }
    return Verdict::go_on();
}

Verdict first_hook(L3Packet& packet, HookContext& ctx, packet::PacketMeta& meta,
                   Hook hook) noexcept {
    Asker rules(packet, ctx, meta, hook);
    Verdict verdict = rules.before(table::hook_priority::kConntrack);
    if (verdict.goes_on()) {
        verdict = track(packet, ctx);
    }
    if (verdict.goes_on()) {
        verdict = rules.before(table::hook_priority::kDestinationNat);
    }
    if (verdict.goes_on()) {
        verdict = rules.translating(ctx.destination_chosen);
    }
    if (!verdict.goes_on()) {
        return verdict;
    }
    apply(packet, ctx, Half::destination, ctx.destination_done);
    return rules.rest();
}

Verdict last_hook(L3Packet& packet, HookContext& ctx, packet::PacketMeta& meta,
                  Hook hook) noexcept {
    if (ctx.is_new && join(ctx) && ctx.clashes) [[unlikely]] {
        return Verdict::drop(DropReason::ct_clash);
    }
    Asker rules(packet, ctx, meta, hook);
    Verdict verdict = rules.before(table::hook_priority::kSourceNat);
    if (!verdict.goes_on()) {
        return verdict;
    }
    ctx.pending.reply.zone = ctx.exit_zone;
    verdict = rules.translating(ctx.source_chosen);
    if (!verdict.goes_on()) {
        return verdict;
    }
    if (ctx.more_hooks) {
        return rules.rest();
    }
    if (ctx.is_new) {
        verdict = make_unique(ctx);
        if (!verdict.goes_on()) {
            return verdict;
        }
    }
    apply(packet, ctx, Half::source, ctx.source_done);
    verdict = rules.rest();
    if (!verdict.goes_on()) {
        return verdict;
    }
    if (ctx.is_new) {
        return enter(packet, ctx);
    }
    // An address of a tenant means nothing to anybody else, and may mean somebody else.
    return ctx.state == CtState::invalid && ctx.zone != 0 && ctx.exit_zone == 0
               ? Verdict::drop(DropReason::ct_invalid)
               : Verdict::go_on();
}

}  // namespace

void begin(const L3Packet& packet, HookContext& ctx) noexcept {
    ctx.begun = true;
    ctx.trackable = false;
    ctx.facts.bytes = packet.l3_length;
    if (packet.later_fragment || (!packet.has_l4 && needs_l4(packet.protocol))) [[unlikely]] {
        return;
    }
    ConnTuple& tuple = ctx.pending.original;
    if (packet.v6) {
        tuple.source = net::IpAddress(packet.ip6().source);
        tuple.destination = net::IpAddress(packet.ip6().destination);
    } else {
        put_v4(tuple.source, packet.ip4().source);
        put_v4(tuple.destination, packet.ip4().destination);
    }
    tuple.protocol = packet.protocol;
    tuple.zone = ctx.zone;
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
    if (needs_l4(packet.protocol) && !put_ports(tuple, packet.p->data() + packet.l4_offset))
        [[unlikely]] {
        return;
    }
    ctx.trackable = true;
    ctx.hash = ctx.conntrack->hash(tuple);
    ctx.conntrack->prefetch(ctx.hash);
}

Verdict prerouting(L3Packet& packet, HookContext& ctx, packet::PacketMeta& meta) noexcept {
    return first_hook(packet, ctx, meta, Hook::prerouting);
}
Verdict output(L3Packet& packet, HookContext& ctx, packet::PacketMeta& meta) noexcept {
    return first_hook(packet, ctx, meta, Hook::output);
}
Verdict forward(L3Packet& packet, HookContext& ctx, packet::PacketMeta& meta) noexcept {
    return Asker(packet, ctx, meta, Hook::forward).rest();
}
Verdict input(L3Packet& packet, HookContext& ctx, packet::PacketMeta& meta) noexcept {
    return last_hook(packet, ctx, meta, Hook::input);
}
Verdict postrouting(L3Packet& packet, HookContext& ctx, packet::PacketMeta& meta) noexcept {
    return last_hook(packet, ctx, meta, Hook::postrouting);
}

}  // namespace vxplane::step
