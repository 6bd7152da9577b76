// The inner frame of a tunnel packet: may it come in?
#pragma once

#include "dataplane/net/flow_hash.hpp"
#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

/// Nothing is changed yet. Makes the FDB keys.
struct CheckInner {
    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta,
                               Context& ctx) const noexcept {
        using packet::DropReason;
        using packet::Verdict;
        const table::Segment& segment = ctx.tables->segments[meta.segment];
        const auto* ethernet = p.at<net::EthernetHeader>(meta.outer_size);
        const std::uint64_t source = ethernet->source.number();
        if (source == segment.own_mac) {
            return Verdict::drop(DropReason::vxlan_own_mac);
        }
        if (source == 0 || (source & net::kMacGroupBit) != 0) {
            return Verdict::drop(DropReason::vxlan_bad_source_mac);
        }
        const std::uint64_t destination = ethernet->destination.number();
        if ((destination & net::kLinkLocalMacMask) == net::kLinkLocalMacs) {
            return Verdict::drop(DropReason::eth_link_local);
        }
        const auto facts =
            net::shape_of(p.data() + meta.outer_size, p.contiguous() - meta.outer_size);
        if (facts.tagged && !segment.inner_vlan) {
            return Verdict::drop(DropReason::vxlan_inner_vlan);
        }
        // A version that does not fit its EtherType passes, as in the kernel; a header that is not
        // there does not.
        const std::uint32_t l3 = p.length() - meta.outer_size - facts.l3_offset;
        if ((facts.type == net::ether_type::kIpv4 && l3 < sizeof(net::Ipv4Header)) ||
            (facts.type == net::ether_type::kIpv6 && l3 < sizeof(net::Ipv6Header))) {
            return Verdict::drop(DropReason::vxlan_inner_truncated);
        }
        meta.inner_is_ip = facts.is_ip;
        meta.inner_tos = facts.tos;
        meta.l3_offset = static_cast<std::uint8_t>(facts.l3_offset);
        meta.destination_key = table::FdbKey::make(destination, meta.segment).raw;
        meta.source_key = table::FdbKey::make(source, meta.segment).raw;
        return Verdict::go_on();
    }
};

}  // namespace vxplane::step
