// First look at a frame from a tenant: is it a frame, may it be here, and which segment is it in?
#pragma once

#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/headers.hpp"
#include "dataplane/packet/large.hpp"
#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"
#include "dataplane/step/special_port.hpp"
#include "dataplane/step/watch_segment.hpp"

namespace vxplane::step {

class CheckAccessFrame {
  public:
    CheckAccessFrame(const Context& ctx, std::uint16_t in_port) noexcept {
        const table::PortEntry& port = ctx.tables->ports[in_port];
        plain_frame_ = port.plain_frame;
        be_in(port.segment, ctx);
    }

    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta,
                               Context& ctx) const noexcept {
        using packet::DropReason;
        using packet::Verdict;
        if (p.contiguous() < sizeof(net::EthernetHeader)) {
            return Verdict::drop(DropReason::eth_runt);
        }
        // Longer than usual, or of a segment, port or trunk that looks at each frame.
        if (p.length() > plain_frame_) [[unlikely]] {
            return look_closer(*this, p, meta, ctx);
        }
        return let_in(p, meta);
    }

  private:
    void be_in(std::uint16_t segment, const Context& ctx) noexcept {
        segment_ = segment;
        if (segment_ != table::kNoSegment) {
            vni_word_ = ctx.tables->segments[segment_].vni_word;
            inner_vlan_ = ctx.tables->segments[segment_].inner_vlan;
        }
    }

    /// `step` is a copy: a step whose address is given away is read anew after every store.
    [[gnu::noinline]] static packet::Verdict look_closer(CheckAccessFrame step, packet::Packet& p,
                                                         packet::PacketMeta& meta,
                                                         Context& ctx) noexcept {
        const table::PortEntry& port = ctx.tables->ports[meta.in_port];
        meta.policy = port.policy;
        // Tags are looked for only where they make the difference.
        const std::uint32_t longest = port.max_frame;
        if (p.length() > longest &&
            p.length() > longest + net::tag_bytes(p.data(), p.contiguous()) &&
            !packet::is_large(p.mbuf())) {
            return packet::Verdict::drop(packet::DropReason::eth_too_long);
        }
        if (step.segment_ == table::kNoSegment) {
            const packet::Verdict home = find_home(p, meta, ctx);
            if (!home.goes_on()) {
                return home;
            }
            step.be_in(meta.segment, ctx);
        }
        const packet::Verdict verdict = step.let_in(p, meta);
        return verdict.goes_on() && ctx.tables->segments[step.segment_].watch != 0
                   ? watch_access(p, meta, ctx)
                   : verdict;
    }

    [[gnu::always_inline]] packet::Verdict let_in(packet::Packet& p,
                                                  packet::PacketMeta& meta) const noexcept {
        using packet::DropReason;
        using packet::Verdict;
        const auto words = net::EthernetWords::of(p.data());
        if (words.source_is_bad()) {
            return Verdict::drop(DropReason::eth_bad_source);
        }
        if (words.destination_is_link_local()) {
            return Verdict::drop(DropReason::eth_link_local);
        }
        if (segment_ == table::kNoSegment) {
            return Verdict::drop(DropReason::access_no_segment);
        }
        if (words.type() != net::ether_type::kIpv4.value() &&
            p.at<net::EthernetHeader>(0)->is_vlan() && !inner_vlan_) {
            return Verdict::drop(DropReason::access_vlan);
        }
        meta.segment = segment_;
        meta.vni_word = vni_word_;
        meta.destination_key = table::FdbKey::of_word(words.destination, segment_).raw;
        meta.source_key = table::FdbKey::of_word(words.source, segment_).raw;
        return Verdict::go_on();
    }

    std::uint32_t vni_word_ = 0;
    std::uint16_t plain_frame_ = 0;
    std::uint16_t segment_ = table::kNoSegment;
    bool inner_vlan_ = false;
};

}  // namespace vxplane::step
