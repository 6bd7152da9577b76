// The rules of one hook, asked in the pieces between which the tracker does its part. Met by the
// hooks alone.
#pragma once

#include "dataplane/step/hooks.hpp"

namespace vxplane::step {

/// Asks the rules of `chain` of ctx.hooks until one decides.
packet::Verdict ask(const table::HookSet::Chain& chain, const L3Packet& packet, HookContext& ctx,
                    packet::PacketMeta& meta) noexcept;

/// The chains of one hook, asked in pieces.
class Asker {
  public:
    Asker(L3Packet& packet, HookContext& ctx, packet::PacketMeta& meta, table::Hook hook) noexcept
        : packet_(packet), ctx_(ctx), meta_(meta) {
        if (ctx.hooks != nullptr && !ctx.hooks->empty()) {
            const auto chains = ctx.hooks->chains(hook);
            at_ = chains.begin();
            end_ = chains.end();
        }
    }
    /// All that do not translate and come before `priority`.
    packet::Verdict before(int priority) noexcept {
        for (; at_ != end_ && at_->priority < priority; ++at_) {
            if (!ctx_.nat_only && !at_->translates) {
                const packet::Verdict verdict = ask(*at_, packet_, ctx_, meta_);
                if (!verdict.goes_on()) {
                    return verdict;
                }
            }
        }
        return packet::Verdict::go_on();
    }
    /// Those that translate, until one has `chosen`; they stand first at their priority.
    packet::Verdict translating(const bool& chosen) noexcept {
        for (; at_ != end_ && at_->translates; ++at_) {
            if (ctx_.is_new && !chosen) {
                const packet::Verdict verdict = ask(*at_, packet_, ctx_, meta_);
                if (!verdict.goes_on()) {
                    return verdict;
                }
            }
        }
        return packet::Verdict::go_on();
    }
    packet::Verdict rest() noexcept {
        return at_ == end_ ? packet::Verdict::go_on() : before(1 << 30);
    }

  private:
    L3Packet& packet_;
    HookContext& ctx_;
    packet::PacketMeta& meta_;
    const table::HookSet::Chain* at_ = nullptr;
    const table::HookSet::Chain* end_ = nullptr;
};

}  // namespace vxplane::step
