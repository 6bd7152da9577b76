// The VXLAN header: valid, and of a segment that we have on this UDP port?
#pragma once

#include "dataplane/net/headers.hpp"
#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

/// Order of the checks as in the Linux kernel's vxlan_rcv. `outer_size` moves on to the inner
/// frame.
struct FindSegment {
    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta,
                               Context& ctx) const noexcept {
        using packet::DropReason;
        using packet::Verdict;
        const std::uint32_t at = meta.outer_size;
        const auto* udp = p.at<net::UdpHeader>(at);
        constexpr std::uint32_t kLeast =
            sizeof(net::UdpHeader) + sizeof(net::VxlanHeader) + sizeof(net::EthernetHeader);
        if (udp->length.value() < kLeast || p.contiguous() < at + kLeast) {
            return Verdict::drop(DropReason::vxlan_too_short);
        }
        const auto* vxlan = p.at<net::VxlanHeader>(at + sizeof(net::UdpHeader));
        const std::uint32_t flags = vxlan->flags.value();
        constexpr std::uint32_t kVniFlag = net::VxlanHeader::kVniFlag.value();
        if (flags != kVniFlag || (vxlan->vni_reserved.value() & 0xFFU) != 0) [[unlikely]] {
            return Verdict::drop((flags & kVniFlag) == 0 ? DropReason::vxlan_no_vni_flag
                                                         : DropReason::vxlan_reserved_bits);
        }
        const std::uint32_t index =
            ctx.tables->vnis->find(table::vni_key(udp->destination.value(), vxlan->vni()));
        if (index == table::FlatMap::kNone) {
            ctx.unknown.note(vxlan->vni(), meta.outer_source);
            return Verdict::drop(DropReason::vxlan_unknown_vni);
        }
        meta.segment = static_cast<std::uint16_t>(index);
        meta.from_tunnel = true;
        // What lies behind the UDP message is not part of the inner frame.
        p.cut_to(at + udp->length.value());
        meta.outer_size =
            static_cast<std::uint16_t>(at + sizeof(net::UdpHeader) + sizeof(net::VxlanHeader));
        __builtin_prefetch(&ctx.tables->segments[index]);
        return Verdict::go_on();
    }
};

}  // namespace vxplane::step
