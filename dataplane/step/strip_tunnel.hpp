// Decapsulation: what the outer header says of congestion is told to the inner one, then the outer
// header is cut off.
#pragma once

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/ecn.hpp"
#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

struct StripTunnel {
    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta,
                               Context& ctx) const noexcept {
        if (((meta.outer_tos | meta.inner_tos) & net::kEcnMask) != 0 && meta.inner_is_ip) {
            switch (net::ecn_inside(net::ecn_of(meta.inner_tos), net::ecn_of(meta.outer_tos))) {
                case net::EcnAction::keep:
                    break;
                case net::EcnAction::anomaly:
                    count_odd(meta, ctx);
                    break;
                case net::EcnAction::set_ce:
                    set_ecn(p, meta, net::Ecn::ce);
                    break;
                case net::EcnAction::set_ect1:
                    set_ecn(p, meta, net::Ecn::ect1);
                    break;
                case net::EcnAction::drop:
                    return packet::Verdict::drop(packet::DropReason::vxlan_ecn_lost);
            }
        }
        p.cut_front(meta.outer_size);
        meta.tunnel_bytes = 1;
        return packet::Verdict::go_on();
    }

  private:
    [[gnu::noinline]] static void count_odd(const packet::PacketMeta& meta, Context& ctx) noexcept {
        if (ctx.listener != nullptr) {
            ctx.listener->count_odd_ecn(meta.segment);
        }
    }
    static void set_ecn(packet::Packet& p, packet::PacketMeta& meta, net::Ecn ecn) noexcept {
        const std::uint32_t at = meta.outer_size + meta.l3_offset;
        const auto tos = static_cast<std::uint8_t>((meta.inner_tos & ~net::kEcnMask) |
                                                   static_cast<std::uint8_t>(ecn));
        if (p.at<net::Ipv4Header>(at)->version() == 4) {
            auto* ip = p.at<net::Ipv4Header>(at);
            // Version, header length and TOS are one 16-bit word of the checksum.
            const auto word = [ip](std::uint8_t byte) {
                return net::Be16::of(static_cast<std::uint16_t>(ip->version_ihl << 8 | byte));
            };
            ip->checksum = net::update_checksum(ip->checksum, word(ip->tos), word(tos));
            ip->tos = tos;
        } else {
            auto* ip = p.at<net::Ipv6Header>(at);
            const std::uint32_t rest = ip->version_class_label.value() & 0xF00FFFFFU;
            ip->version_class_label = net::Be32::of(rest | std::uint32_t{tos} << 20);
        }
        meta.inner_tos = tos;
    }
};

}  // namespace vxplane::step
