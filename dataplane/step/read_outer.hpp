// The outer headers of a packet from the underlay, all at once. Nearly every packet looks like one
// that was accepted before it, but for the fields that tell packets apart; such a packet is
// compared as a whole. Any other one, and every one that is going to be refused, is judged step by
// step.
#pragma once

#include <array>

#include "dataplane/net/checksum.hpp"
#include "dataplane/step/check_udp.hpp"
#include "dataplane/step/classify_underlay.hpp"
#include "dataplane/step/find_segment.hpp"
#include "dataplane/step/read_outer6.hpp"
#include "dataplane/step/underlay_group.hpp"

namespace vxplane::step {

/// The same verdicts and the same metadata as ClassifyUnderlay, CheckUdp and FindSegment; over IPv6
/// as read_outer6().
class ReadOuter {
  public:
    ReadOuter(const Context& ctx, std::uint16_t in_port) noexcept
        : port_(ctx.tables->ports[in_port]),
          addresses_(*ctx.tables->addresses),
          vnis_(*ctx.tables->vnis),
          known_(ctx.outer.in_port == in_port) {}

    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta,
                               Context& ctx) const noexcept {
        return known_ && is_plain(p, meta, ctx) ? packet::Verdict::go_on() : judge(p, meta, ctx);
    }

  private:
    static constexpr std::uint32_t kIp = sizeof(net::EthernetHeader);
    static constexpr std::uint32_t kUdp = kIp + sizeof(net::Ipv4Header);
    static constexpr std::uint32_t kVxlan = kUdp + sizeof(net::UdpHeader);
    static constexpr std::uint32_t kInner = kVxlan + sizeof(net::VxlanHeader);
    static constexpr std::uint32_t kLeast = kInner + sizeof(net::EthernetHeader);
    static_assert(kLeast == sizeof(OuterMemo::header));

    /// Set where two accepted packets have the same bits: destination MAC address, EtherType,
    /// version and header length, no fragment, protocol, destination address and port, no UDP
    /// checksum, VXLAN flags and reserved bits. Lengths, IPv4 checksum, source and VNI are looked
    /// at in each packet.
    alignas(64) static constexpr std::array<std::uint8_t, sizeof(OuterMemo::header)> kFixed = [] {
        std::array<std::uint8_t, sizeof(OuterMemo::header)> bytes{};
        const auto fix = [&bytes](std::uint32_t from, std::uint32_t size) {
            for (std::uint32_t i = from; i < from + size; ++i) {
                bytes[i] = 0xFF;
            }
        };
        fix(0, 6);
        fix(12, 2);
        fix(kIp, 1);
        bytes[kIp + 6] = net::Ipv4Header::kFragmentMask >> 8;
        bytes[kIp + 7] = net::Ipv4Header::kFragmentMask & 0xFF;
        fix(kIp + 9, 1);
        fix(kIp + 16, 4);
        fix(kUdp + 2, 2);
        fix(kUdp + 6, 2);
        fix(kVxlan, 4);
        fix(kVxlan + 7, 1);
        return bytes;
    }();

    /// True, and the metadata is complete, for a packet that judge() would let go on.
    bool is_plain(packet::Packet& p, packet::PacketMeta& meta, const Context& ctx) const noexcept {
        if (p.contiguous() < kLeast || p.length() > port_.max_frame) {
            return false;
        }
        const std::byte* frame = p.data();
        const auto here = net::load<OuterMemo::Header>(frame);
        const auto fixed = net::load<OuterMemo::Header>(kFixed.data());
        const auto differs = ((here.first ^ ctx.outer.header.first) & fixed.first) |
                             ((here.second ^ ctx.outer.header.second) & fixed.second);
        const auto* ip = p.at<net::Ipv4Header>(kIp);
        const auto* udp = p.at<net::UdpHeader>(kUdp);
        const std::uint32_t total = ip->total_length.value();
        const std::uint32_t length = udp->length.value();
        if ((differs[0] | differs[1] | differs[2] | differs[3]) != 0 || p.length() < kIp + total ||
            length + sizeof(net::Ipv4Header) > total || length < kLeast - kUdp ||
            !net::plain_ipv4_checksum_is_right(*ip) || !ip->source.is_unicast() ||
            ip->source.is_loopback() || addresses_.contains(ip->source.be.wire())) {
            return false;
        }
        const std::uint32_t segment = vnis_.find(
            table::vni_key(udp->destination.value(), p.at<net::VxlanHeader>(kVxlan)->vni()));
        if (segment > table::kNoSegment) {
            return false;  // nobody's, or of a segment that looks at each packet
        }
        meta.outer_source = ip->source;
        meta.outer_tos = ip->tos;
        meta.outer_size = kInner;
        meta.segment = static_cast<std::uint16_t>(segment);
        meta.from_tunnel = true;
        if (p.length() != kUdp + length) {
            p.cut_to(kUdp + length);
        }
        __builtin_prefetch(&ctx.tables->segments[segment]);
        return true;
    }

    [[gnu::noinline]] static packet::Verdict judge(packet::Packet& p, packet::PacketMeta& meta,
                                                   Context& ctx) noexcept {
        packet::Verdict verdict = ClassifyUnderlay{}(p, meta, ctx);
        if (!verdict.goes_on()) {
            if (verdict != packet::Verdict::divert(packet::Lane::tunnel6)) {
                return verdict;
            }
            return p.at<net::EthernetHeader>(0)->destination.is_group() ? read_group(p, meta, ctx)
                                                                        : read_outer6(p, meta, ctx);
        }
        verdict = CheckUdp{}(p, meta, ctx);
        if (verdict.goes_on()) {
            verdict = FindSegment{}(p, meta, ctx);
        }
        // What one segment lets pass, another one may refuse: odd headers are judged each.
        if (verdict.goes_on() && meta.outer_size == kInner &&
            p.at<net::UdpHeader>(kUdp)->checksum.wire() == 0 &&
            p.at<net::VxlanHeader>(kVxlan)->is_plain()) {
            ctx.outer = {net::load<OuterMemo::Header>(p.data()), meta.in_port};
        }
        return verdict;
    }

    const table::PortEntry& port_;
    const table::FlatMap& addresses_;
    const table::FlatMap& vnis_;
    bool known_;
};

}  // namespace vxplane::step
