// First look at a frame from a tenant: is it a frame, may it be here, and which segment is it in?
#pragma once

#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/headers.hpp"
#include "dataplane/packet/large.hpp"
#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

class CheckAccessFrame {
  public:
    CheckAccessFrame(const Context& ctx, std::uint16_t in_port) noexcept {
        const table::PortEntry& port = ctx.tables->ports[in_port];
        max_frame_ = port.max_frame;
        segment_ = port.segment;
        if (segment_ != table::kNoSegment) {
            vni_word_ = ctx.tables->segments[segment_].vni_word;
            inner_vlan_ = ctx.tables->segments[segment_].inner_vlan;
        }
    }

    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta,
                               Context& /*ctx*/) const noexcept {
        using packet::DropReason;
        using packet::Verdict;
        if (p.contiguous() < sizeof(net::EthernetHeader)) {
            return Verdict::drop(DropReason::eth_runt);
        }
        // Tags are looked for only where they make the difference.
        if (p.length() > max_frame_ &&
            p.length() > max_frame_ + net::tag_bytes(p.data(), p.contiguous()) &&
            !packet::is_large(p.mbuf())) [[unlikely]] {
            return Verdict::drop(DropReason::eth_too_long);
        }
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

  private:
    std::uint32_t vni_word_ = 0;
    std::uint16_t max_frame_ = 0;
    std::uint16_t segment_ = table::kNoSegment;
    bool inner_vlan_ = false;
};

}  // namespace vxplane::step
