// The VXLAN header: valid, and of a segment that we have on this UDP port?
#pragma once

#include "dataplane/net/headers.hpp"
#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"
#include "dataplane/step/watch_segment.hpp"

namespace vxplane::step {

/// Order of the checks as in the Linux kernel's vxlan_rcv. `outer_size` moves on to the inner
/// frame.
struct FindSegment {
    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta,
                               Context& ctx) const noexcept {
        return find<false>(p, meta, ctx);
    }

    template <bool kIpv6>
    static packet::Verdict find(packet::Packet& p, packet::PacketMeta& meta,
                                Context& ctx) noexcept {
        using packet::DropReason;
        using packet::Verdict;
        const std::uint32_t at = meta.outer_size;
        const auto* udp = p.at<net::UdpHeader>(at);
        constexpr std::uint32_t kLeast =
            sizeof(net::UdpHeader) + sizeof(net::VxlanHeader) + sizeof(net::EthernetHeader);
        const std::uint32_t length = udp->length.value();
        if (length < kLeast || p.contiguous() < at + kLeast) {
            return Verdict::drop(DropReason::vxlan_too_short);
        }
        const auto* vxlan = p.at<net::VxlanHeader>(at + sizeof(net::UdpHeader));
        if (!vxlan->is_plain()) [[unlikely]] {
            if (const Verdict verdict = judge_odd<kIpv6>(*udp, *vxlan, ctx); !verdict.goes_on()) {
                return verdict;
            }
        }
        const std::uint32_t index =
            ctx.tables->vnis->find(table::vni_key(udp->destination.value(), vxlan->vni(), kIpv6));
        if (index > table::kNoSegment) [[unlikely]] {
            if (const Verdict verdict = judge_rare<kIpv6>(p, meta, index, ctx);
                !verdict.goes_on()) {
                return verdict;
            }
        }
        meta.segment = static_cast<std::uint16_t>(index);
        meta.from_tunnel = true;
        // What lies behind the UDP message is not part of the inner frame. An Ethernet header that
        // was made for it moved `outer_size`, and stands on the end of the UDP header.
        p.cut_to(at + length);
        meta.outer_size = static_cast<std::uint16_t>(meta.outer_size + sizeof(net::UdpHeader) +
                                                     sizeof(net::VxlanHeader));
        __builtin_prefetch(&ctx.tables->segments[meta.segment]);
        return Verdict::go_on();
    }

  private:
    /// A header with other bits than the I flag: the segment says which of them must be zero.
    template <bool kIpv6>
    [[gnu::noinline]] static packet::Verdict judge_odd(const net::UdpHeader& udp,
                                                       const net::VxlanHeader& vxlan,
                                                       Context& ctx) noexcept {
        using packet::DropReason;
        using packet::Verdict;
        const std::uint32_t flags = vxlan.flags.value();
        if ((flags & net::VxlanHeader::kVniFlag.value()) == 0) {
            return Verdict::drop(DropReason::vxlan_no_vni_flag);
        }
        const std::uint32_t index =
            ctx.tables->vnis->find(table::vni_key(udp.destination.value(), vxlan.vni(), kIpv6));
        if (index == table::FlatMap::kNone) {
            return Verdict::go_on();  // and is dropped as any header of an unknown VNI
        }
        const table::Segment& segment = ctx.tables->segments[static_cast<std::uint16_t>(index)];
        if ((segment.watch & table::watch::kGpe) != 0) {
            return Verdict::go_on();  // and is judged by read_gpe()
        }
        const bool policy = (segment.watch & table::watch::kGroupPolicy) != 0 &&
                            (flags & net::VxlanHeader::kPolicyFlag) != 0;
        const bool remote_sum = (segment.watch & table::watch::kRemoteSum) != 0;
        const std::uint32_t meant =
            (policy ? net::VxlanHeader::kPolicyFlag | net::VxlanHeader::kPolicyBits : 0) |
            (remote_sum ? net::VxlanHeader::kRemoteSumFlag : 0);
        // As in the kernel, the low byte is not reserved where it may mean something.
        const std::uint32_t set =
            (flags & segment.reserved_flags & ~meant) |
            (remote_sum ? 0 : vxlan.vni_reserved.value() & segment.reserved_vni);
        return set == 0 ? Verdict::go_on() : Verdict::drop(DropReason::vxlan_reserved_bits);
    }

    /// A VNI of nobody, or of a segment that looks at each packet.
    template <bool kIpv6>
    [[gnu::noinline]] static packet::Verdict judge_rare(packet::Packet& p, packet::PacketMeta& meta,
                                                        std::uint32_t index,
                                                        Context& ctx) noexcept {
        if (index == table::FlatMap::kNone) {
            const auto* udp = p.at<net::UdpHeader>(meta.outer_size);
            if (is_closed(udp->destination.value(), kIpv6, ctx)) {
                return ask_to_answer(meta, packet::DropReason::vxlan_unknown_vni);
            }
            const auto* vxlan = p.at<net::VxlanHeader>(meta.outer_size + sizeof(net::UdpHeader));
            ctx.unknown.note(vxlan->vni(), kIpv6 ? outer_sender_of(p.data()) : meta.outer_source);
            return packet::Verdict::drop(packet::DropReason::vxlan_unknown_vni);
        }
        return watch_tunnel(p, meta, static_cast<std::uint16_t>(index), ctx);
    }
};

}  // namespace vxplane::step
