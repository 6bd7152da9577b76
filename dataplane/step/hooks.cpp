// The journey of one packet through the hooks: rules in the order of their priorities, and between
// them what the tracker does.
#include "dataplane/step/hooks.hpp"

#include "dataplane/step/ask_rules.hpp"
#include "dataplane/step/track.hpp"

namespace vxplane::step {
namespace {

using packet::DropReason;
using packet::Verdict;
using table::CtState;
using table::Hook;

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
    translate_tracked(packet, ctx, Half::destination);
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
    if (ctx.is_new) {
        ctx.pending().reply.zone = ctx.exit_zone;
    }
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
    translate_tracked(packet, ctx, Half::source);
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

Verdict hear(L3Packet& packet, HookContext& ctx, packet::PacketMeta& meta, bool ends) noexcept {
    // A later fragment that no entry knows is judged as what it is by itself.
    if (!track(packet, ctx).goes_on()) {
        ctx.state = CtState::untracked;
    }
    const CtState found = ctx.state;
    ctx.notrack = false;
    Asker before(packet, ctx, meta, Hook::prerouting);
    Verdict verdict = before.before(table::hook_priority::kConntrack);
    if (ctx.notrack) {
        ctx.state = CtState::untracked;
    }
    if (verdict.goes_on()) {
        verdict = before.rest();
    }
    if (verdict.goes_on() && ends) {
        verdict = Asker(packet, ctx, meta, Hook::input).rest();
    }
    ctx.state = found;
    return verdict;
}

}  // namespace vxplane::step
