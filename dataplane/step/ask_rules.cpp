// What a rule looks at, and what it does to a packet.
#include "dataplane/step/ask_rules.hpp"

#include "dataplane/step/track.hpp"

namespace vxplane::step {

using packet::DropReason;
using packet::Verdict;
using table::HookRule;
using table::HookSet;
using table::RuleVerdict;

namespace {

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
    if (packet.has_l4 && net::has_ports(packet.protocol)) {
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
        ctx.conntrack->translate_destination(ctx.pending(), to, rule.to_ports);
        if (rule.to_slave != table::kNoSlave) {
            ctx.to_slave = rule.to_slave;
            ctx.knows_way = true;
        }
        ctx.destination_chosen = true;
        return Verdict::go_on();
    }
    ctx.source_chosen = true;
    return ctx.conntrack->translate_source(ctx.pending(), to, rule.to_ports, ctx.now) == Nat::done
               ? Verdict::go_on()
               : Verdict::drop(DropReason::nat_ports_exhausted);
}

}  // namespace

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
                translate_back(packet, ctx);
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

}  // namespace vxplane::step
