// First look at a frame from a tenant: is it a frame, may it be here, and which segment is it in?
#pragma once

#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/headers.hpp"
#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

struct CheckAccessFrame {
    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta,
                               Context& ctx) const noexcept {
        using packet::DropReason;
        using packet::Verdict;
        const auto& port = ctx.tables->ports[meta.in_port];
        if (p.contiguous() < sizeof(net::EthernetHeader)) {
            return Verdict::drop(DropReason::eth_runt);
        }
        const auto* ethernet = p.at<net::EthernetHeader>(0);
        // Tags are looked for only where they make the difference.
        if (p.length() > port.max_frame &&
            p.length() > port.max_frame + net::tag_bytes(p.data(), p.contiguous())) [[unlikely]] {
            return Verdict::drop(DropReason::eth_too_long);
        }
        const std::uint64_t source = ethernet->source.number();
        if (source == 0 || (source & net::kMacGroupBit) != 0) {
            return Verdict::drop(DropReason::eth_bad_source);
        }
        const std::uint64_t destination = ethernet->destination.number();
        if ((destination & net::kLinkLocalMacMask) == net::kLinkLocalMacs) {
            return Verdict::drop(DropReason::eth_link_local);
        }
        if (port.segment == table::kNoSegment) {
            return Verdict::drop(DropReason::access_no_segment);
        }
        meta.segment = port.segment;
        const auto& segment = ctx.tables->segments[port.segment];
        if (ethernet->is_vlan() && !segment.inner_vlan) {
            return Verdict::drop(DropReason::access_vlan);
        }
        meta.vni_word = segment.vni_word;
        meta.destination_key = table::FdbKey::make(destination, port.segment).raw;
        meta.source_key = table::FdbKey::make(source, port.segment).raw;
        return Verdict::go_on();
    }
};

}  // namespace vxplane::step
