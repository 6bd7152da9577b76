// The outer headers of a packet from the underlay, all at once. Nearly every packet looks like one
// that was accepted before it, but for the fields that tell packets apart; such a packet is
// compared as a whole. Of one that differs from it in what only CheckUdp and FindSegment look at,
// or that is over IPv6, just these are asked. Any other one, and every one that is going to be
// refused, is judged step by step.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <utility>

#include "dataplane/net/checksum.hpp"
#include "dataplane/step/check_udp.hpp"
#include "dataplane/step/classify_underlay.hpp"
#include "dataplane/step/find_segment.hpp"
#include "dataplane/step/read_outer6.hpp"
#include "dataplane/step/underlay_group.hpp"

namespace vxplane::step {

/// Where things stand in the bytes of OuterMemo, and what is compared.
namespace outer_memo {

constexpr std::uint32_t kIp = sizeof(net::EthernetHeader);
constexpr std::uint32_t kUdp = kIp + sizeof(net::Ipv4Header);
constexpr std::uint32_t kUdp6 = kIp + sizeof(net::Ipv6Header);
constexpr std::uint32_t kVxlan = kUdp + sizeof(net::UdpHeader);
constexpr std::uint32_t kInner = kVxlan + sizeof(net::VxlanHeader);
constexpr std::uint32_t kLeast = kInner + sizeof(net::EthernetHeader);
static_assert(kLeast == sizeof(OuterMemo::header));

using Mask = std::array<std::uint8_t, sizeof(OuterMemo::header)>;
using Span = std::pair<std::uint32_t, std::uint32_t>;  ///< offset, bytes

constexpr Mask mask_of(std::initializer_list<Span> spans) noexcept {
    Mask bytes{};
    for (const auto& [from, size] : spans) {
        for (std::uint32_t i = from; i < from + size; ++i) {
            bytes[i] = 0xFF;
        }
    }
    return bytes;
}
/// Set where two packets that ClassifyUnderlay lets go on have the same bits: destination MAC
/// address, EtherType, version and header length, no fragment, protocol, destination address
/// and port. Lengths, IPv4 checksum and source are looked at in each packet.
alignas(64) inline constexpr Mask kKin = [] {
    Mask bytes = mask_of({{0, 6}, {12, 2}, {kIp, 1}, {kIp + 9, 1}, {kIp + 16, 4}, {kUdp + 2, 2}});
    bytes[kIp + 6] = net::Ipv4Header::kFragmentMask >> 8;
    bytes[kIp + 7] = net::Ipv4Header::kFragmentMask & 0xFF;
    return bytes;
}();
/// And no UDP checksum, VXLAN flags and reserved bits. The VNI is looked at in each packet.
alignas(64) inline constexpr Mask kFixed = [] {
    Mask bytes = kKin;
    const Mask more = mask_of({{kUdp + 6, 2}, {kVxlan, 4}, {kVxlan + 7, 1}});
    for (std::uint32_t i = 0; i < bytes.size(); ++i) {
        bytes[i] |= more[i];
    }
    return bytes;
}();
/// The same over IPv6, without extension headers.
alignas(64) inline constexpr Mask kKin6 = [] {
    Mask bytes = mask_of({{0, 6}, {12, 2}, {kIp + 6, 1}, {kIp + 24, 16}, {kUdp6 + 2, 2}});
    bytes[kIp] = 0xF0;
    return bytes;
}();

}  // namespace outer_memo

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
        if (known_ && looks_like(p, ctx.outer, outer_memo::kFixed, port_, addresses_)) [[likely]] {
            const std::uint32_t segment =
                vnis_.find(table::vni_key(p.at<net::UdpHeader>(kUdp)->destination.value(),
                                          p.at<net::VxlanHeader>(kVxlan)->vni()));
            if (segment <= table::kNoSegment) [[likely]] {
                go_into(p, meta, segment, ctx);
                return packet::Verdict::go_on();
            }
            return ask_segment(p, meta, ctx);
        }
        return judge(p, meta, ctx);
    }

  private:
    using Mask = outer_memo::Mask;
    static constexpr std::uint32_t kIp = outer_memo::kIp;
    static constexpr std::uint32_t kUdp = outer_memo::kUdp;
    static constexpr std::uint32_t kUdp6 = outer_memo::kUdp6;
    static constexpr std::uint32_t kVxlan = outer_memo::kVxlan;
    static constexpr std::uint32_t kInner = outer_memo::kInner;
    static constexpr std::uint32_t kLeast = outer_memo::kLeast;

    [[gnu::always_inline]] static bool is_alike(const std::byte* frame, const OuterMemo& memo,
                                                const Mask& mask) noexcept {
        const auto here = net::load<OuterMemo::Header>(frame);
        const auto fixed = net::load<OuterMemo::Header>(mask.data());
        const auto differs = ((here.first ^ memo.header.first) & fixed.first) |
                             ((here.second ^ memo.header.second) & fixed.second);
        return (differs[0] | differs[1] | differs[2] | differs[3]) == 0;
    }

    /// True for a packet that ClassifyUnderlay would let go on, if `mask` is kKin or more.
    [[gnu::always_inline]] static bool looks_like(const packet::Packet& p, const OuterMemo& memo,
                                                  const Mask& mask, const table::PortEntry& port,
                                                  const table::FlatMap& addresses) noexcept {
        if (p.contiguous() < kLeast || p.length() > port.max_frame) {
            return false;
        }
        const auto* ip = p.at<net::Ipv4Header>(kIp);
        const std::uint32_t total = ip->total_length.value();
        const std::uint32_t length = p.at<net::UdpHeader>(kUdp)->length.value();
        return is_alike(p.data(), memo, mask) && p.length() >= kIp + total &&
               length + sizeof(net::Ipv4Header) <= total && length >= kLeast - kUdp &&
               net::plain_ipv4_checksum_is_right(*ip) && ip->source.is_unicast() &&
               !ip->source.is_loopback() && !addresses.contains(ip->source.be.wire());
    }
    /// The same over IPv6.
    static bool looks_like6(const packet::Packet& p, const table::PortEntry& port,
                            const Context& ctx) noexcept {
        if (p.contiguous() < kLeast || p.length() > port.max_frame ||
            !is_alike(p.data(), ctx.outer6, outer_memo::kKin6)) {
            return false;
        }
        const auto* ip = p.at<net::Ipv6Header>(kIp);
        const std::uint32_t payload = ip->payload_length.value();
        const std::uint32_t length = p.at<net::UdpHeader>(kUdp6)->length.value();
        const net::IpAddress source(ip->source);
        return p.length() >= kUdp6 + payload && length <= payload &&
               length >= sizeof(net::UdpHeader) && !source.is_v4() && net::is_host(source) &&
               ctx.tables->addresses6->find(0, source) == table::AddressMap::kNone;
    }

    /// What ClassifyUnderlay says of a packet that looks_like() another.
    static void note_outer(const packet::Packet& p, packet::PacketMeta& meta) noexcept {
        const auto* ip = p.at<net::Ipv4Header>(kIp);
        meta.if_refused = packet::DropReason::none;
        meta.outer_source = ip->source;
        meta.outer_tos = ip->tos;
        meta.outer_size = kUdp;
    }

    /// Of a segment that does not look at each packet.
    void go_into(packet::Packet& p, packet::PacketMeta& meta, std::uint32_t segment,
                 const Context& ctx) const noexcept {
        const auto* ip = p.at<net::Ipv4Header>(kIp);
        const std::uint32_t length = p.at<net::UdpHeader>(kUdp)->length.value();
        meta.outer_source = ip->source;
        meta.outer_tos = ip->tos;
        meta.outer_size = kInner;
        meta.segment = static_cast<std::uint16_t>(segment);
        meta.from_tunnel = true;
        if (p.length() != kUdp + length) {
            p.cut_to(kUdp + length);
        }
        __builtin_prefetch(&ctx.tables->segments[segment]);
    }
    /// Of nobody, or of a segment that looks at each packet.
    [[gnu::noinline]] static packet::Verdict ask_segment(packet::Packet& p,
                                                         packet::PacketMeta& meta,
                                                         Context& ctx) noexcept {
        note_outer(p, meta);
        return FindSegment{}(p, meta, ctx);
    }

    [[gnu::noinline]] static packet::Verdict judge(packet::Packet& p, packet::PacketMeta& meta,
                                                   Context& ctx) noexcept {
        const table::PortEntry& port = ctx.tables->ports[meta.in_port];
        if (ctx.outer.in_port == meta.in_port &&
            looks_like(p, ctx.outer, outer_memo::kKin, port, *ctx.tables->addresses)) {
            note_outer(p, meta);
            const packet::Verdict verdict = CheckUdp{}(p, meta, ctx);
            return verdict.goes_on() ? FindSegment{}(p, meta, ctx) : verdict;
        }
        if (ctx.outer6.in_port == meta.in_port && looks_like6(p, port, ctx)) {
            meta.if_refused = packet::DropReason::none;
            meta.outer_tos = p.at<net::Ipv6Header>(kIp)->traffic_class();
            meta.outer_size = kUdp6;
            return read_outer6(p, meta, ctx);
        }
        return judge_all(p, meta, ctx);
    }

    /// Step by step.
    [[gnu::noinline]] static packet::Verdict judge_all(packet::Packet& p, packet::PacketMeta& meta,
                                                       Context& ctx) noexcept {
        packet::Verdict verdict = ClassifyUnderlay{}(p, meta, ctx);
        if (!verdict.goes_on()) {
            if (verdict != packet::Verdict::divert(packet::Lane::tunnel6)) {
                return verdict;
            }
            return p.at<net::EthernetHeader>(0)->destination.is_group() ? read_group(p, meta, ctx)
                                                                        : read_known6(p, meta, ctx);
        }
        // Before a segment changes it.
        const OuterMemo seen = memo_of(p, meta, kUdp);
        verdict = CheckUdp{}(p, meta, ctx);
        if (verdict.goes_on()) {
            verdict = FindSegment{}(p, meta, ctx);
        }
        if (verdict.goes_on() && seen.in_port != table::kNoPort) {
            ctx.outer = seen;
        }
        return verdict;
    }
    static packet::Verdict read_known6(packet::Packet& p, packet::PacketMeta& meta,
                                       Context& ctx) noexcept {
        const OuterMemo seen = memo_of(p, meta, kUdp6);
        const packet::Verdict verdict = read_outer6(p, meta, ctx);
        if (verdict.goes_on() && seen.in_port != table::kNoPort) {
            ctx.outer6 = seen;
        }
        return verdict;
    }
    /// Of no port for a packet with options or extension headers, or too short to compare with.
    static OuterMemo memo_of(const packet::Packet& p, const packet::PacketMeta& meta,
                             std::uint32_t udp) noexcept {
        if (meta.outer_size != udp || p.contiguous() < kLeast) {
            return {};
        }
        std::array<std::byte, sizeof(OuterMemo::header)> bytes;
        std::memcpy(bytes.data(), p.data(), bytes.size());
        if (udp == kUdp) {
            const net::Be16 none{};
            const net::VxlanHeader plain = net::VxlanHeader::of({});
            std::memcpy(bytes.data() + kUdp + offsetof(net::UdpHeader, checksum), &none,
                        sizeof none);
            std::memcpy(bytes.data() + kVxlan, &plain, sizeof plain);
        }
        return {net::load<OuterMemo::Header>(bytes.data()), meta.in_port};
    }

    const table::PortEntry& port_;
    const table::FlatMap& addresses_;
    const table::FlatMap& vnis_;
    bool known_;
};

}  // namespace vxplane::step
