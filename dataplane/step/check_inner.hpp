// The inner frame of a tunnel packet: may it come in?
#pragma once

#include "dataplane/net/flow_hash.hpp"
#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

/// Nothing is changed yet. Makes the FDB keys.
class CheckInner {
  public:
    explicit CheckInner(const Context& ctx, std::uint16_t /*in_port*/ = 0) noexcept
        : segments_(ctx.tables->segments.data()) {}

    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta,
                               Context& /*ctx*/) const noexcept {
        using packet::DropReason;
        using packet::Verdict;
        const table::Segment& segment = segments_[meta.segment];
        const std::byte* frame = p.data() + meta.outer_size;
        const auto words = net::EthernetWords::of(frame);
        if (words.source >> 16 == segment.own_mac) {
            return Verdict::drop(DropReason::vxlan_own_mac);
        }
        if (words.source_is_bad()) {
            return Verdict::drop(DropReason::vxlan_bad_source_mac);
        }
        if (words.destination_is_link_local()) {
            return Verdict::drop(DropReason::eth_link_local);
        }
        meta.destination_key = table::FdbKey::of_word(words.destination, meta.segment).raw;
        meta.source_key = table::FdbKey::of_word(words.source, meta.segment).raw;
        if (words.type() == net::ether_type::kIpv4.value() &&
            p.contiguous() >= meta.outer_size + kIp + sizeof(net::Ipv4Header) &&
            net::view<net::Ipv4Header>(frame + kIp).version() == 4) [[likely]] {
            meta.inner_is_ip = true;
            meta.inner_tos = net::view<net::Ipv4Header>(frame + kIp).tos;
            meta.l3_offset = kIp;
            return Verdict::go_on();
        }
        return any_other(p, segment, meta);
    }

  private:
    static constexpr std::uint32_t kIp = sizeof(net::EthernetHeader);

    [[gnu::noinline]] static packet::Verdict any_other(packet::Packet p,
                                                       const table::Segment& segment,
                                                       packet::PacketMeta& meta) noexcept {
        using packet::DropReason;
        using packet::Verdict;
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
        return Verdict::go_on();
    }

    const table::Segment* segments_;
};

}  // namespace vxplane::step
