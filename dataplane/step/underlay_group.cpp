#include "dataplane/step/underlay_group.hpp"

#include <rte_cycles.h>

#include <optional>

#include "dataplane/net/membership.hpp"
#include "dataplane/step/check_udp.hpp"
#include "dataplane/step/classify_underlay.hpp"
#include "dataplane/step/find_segment.hpp"
#include "dataplane/step/read_outer6.hpp"

namespace vxplane::step {
namespace {

using packet::Verdict;

constexpr std::uint32_t kIp = sizeof(net::EthernetHeader);

/// The destination of an untagged frame; `::` when it is not IP.
net::IpAddress destination_of(const packet::Packet& p) noexcept {
    const net::Be16 type = p.at<net::EthernetHeader>(0)->type;
    if (type == net::ether_type::kIpv4 && p.contiguous() >= kIp + sizeof(net::Ipv4Header)) {
        return p.at<net::Ipv4Header>(kIp)->destination;
    }
    if (type == net::ether_type::kIpv6 && p.contiguous() >= kIp + sizeof(net::Ipv6Header)) {
        return net::IpAddress(p.at<net::Ipv6Header>(kIp)->destination);
    }
    return {};
}

/// What ClassifyUnderlay asks of an IPv4 header besides its destination.
Verdict read_ipv4(const packet::Packet& p, const packet::PacketMeta& meta,
                  const Context& ctx) noexcept {
    using packet::DropReason;
    const auto* ip = p.at<net::Ipv4Header>(kIp);
    const std::uint32_t header = ip->header_length();
    const std::uint32_t total = ip->total_length.value();
    if (ip->version() != 4) {
        return Verdict::drop(DropReason::ip4_bad_version);
    }
    if (header < sizeof(net::Ipv4Header) || p.contiguous() < kIp + header) {
        return Verdict::drop(DropReason::ip4_bad_header_length);
    }
    if (total < header || p.length() < kIp + total) {
        return Verdict::drop(DropReason::ip4_bad_total_length);
    }
    const bool verified =
        (ctx.tables->ports[meta.in_port].trusted_sums & packet::set_of(packet::RxSum::ipv4)) != 0 &&
        packet::header_is_called_good(p.mbuf());
    if (!verified && !net::ipv4_checksum_is_right(*ip)) {
        return Verdict::drop(DropReason::ip4_bad_checksum);
    }
    return ip->source.is_unicast() && !ip->source.is_loopback()
               ? Verdict::go_on()
               : Verdict::drop(DropReason::ip4_bad_source);
}

/// What stands behind the IP headers; a fragment but the first has nothing of it at `at`.
struct Payload {
    std::uint8_t protocol = 0;
    std::uint32_t at = 0;
    bool is_later = false;
};
Payload payload_of(const packet::Packet& p, const net::IpAddress& destination) noexcept {
    if (destination.is_v4()) {
        const auto* ip = p.at<net::Ipv4Header>(kIp);
        const bool is_later = (ip->fragment.value() & net::Ipv4Header::kOffsetMask) != 0;
        return {ip->protocol, kIp + ip->header_length(), is_later};
    }
    const net::Ipv6Upper upper = net::upper_of(p.data() + kIp, p.contiguous() - kIp);
    return upper.is_whole ? Payload{upper.protocol, kIp + upper.offset, upper.is_later} : Payload{};
}

/// Nothing else is read of the packet here: control judges it.
void tell_of_query(const packet::Packet& p, const packet::PacketMeta& meta, const Payload& payload,
                   bool ipv4, Context& ctx) noexcept {
    const std::uint8_t protocol = ipv4 ? net::kIgmp : net::ip_protocol::kIcmpv6;
    const std::uint8_t type = ipv4 ? net::igmp_type::kQuery : net::mld_type::kQuery;
    if (payload.protocol == protocol && !payload.is_later && p.contiguous() > payload.at &&
        static_cast<std::uint8_t>(p.data()[payload.at]) == type && ctx.listener != nullptr) {
        // Two within a second may ask for different groups: none is left out.
        ctx.listener->copy_to_control(p, meta, packet::Punt::group_query, rte_rdtsc() | 1, ctx);
    }
}

}  // namespace

/// What ReadOuter does with frames to us.
class GroupFrame {
  public:
    /// None: it is no tunnel packet to a group of this port.
    static std::optional<Verdict> read(packet::Packet& p, packet::PacketMeta& meta,
                                       Context& ctx) noexcept {
        const net::IpAddress destination = destination_of(p);
        if (!destination.is_multicast()) {
            return std::nullopt;
        }
        const Payload payload = payload_of(p, destination);
        if (payload.protocol != net::ip_protocol::kUdp) {
            tell_of_query(p, meta, payload, destination.is_v4(), ctx);
            return std::nullopt;
        }
        const std::uint32_t joined = ctx.tables->joined->find(meta.in_port, destination);
        if (joined == table::AddressMap::kNone) {
            return std::nullopt;
        }
        const Verdict verdict =
            destination.is_v4() ? over_ipv4(p, meta, ctx) : over_ipv6(p, meta, ctx);
        if (!verdict.goes_on() ||
            ctx.tables->group_segments->contains(table::group_segment_key(joined, meta.segment))) {
            return verdict;
        }
        return Verdict::drop(packet::DropReason::vxlan_other_group);
    }
    static Verdict other(packet::Packet& p, packet::PacketMeta& meta, Context& ctx) noexcept {
        return ClassifyUnderlay::not_ipv4(p, *p.at<net::EthernetHeader>(0), meta, ctx);
    }

  private:
    static Verdict over_ipv4(packet::Packet& p, packet::PacketMeta& meta, Context& ctx) noexcept {
        Verdict verdict = read_ipv4(p, meta, ctx);
        if (verdict.goes_on()) {
            verdict = ClassifyUnderlay::udp(p, *p.at<net::Ipv4Header>(kIp),
                                            ctx.tables->ports[meta.in_port], meta, ctx);
        }
        if (verdict.goes_on()) {
            verdict = CheckUdp{}(p, meta, ctx);
        }
        return verdict.goes_on() ? FindSegment{}(p, meta, ctx) : verdict;
    }
    static Verdict over_ipv6(packet::Packet& p, packet::PacketMeta& meta, Context& ctx) noexcept {
        if (ctx.tables->addresses6 == nullptr) {
            return Verdict::divert(packet::Lane::host);
        }
        const auto* ip = p.at<net::Ipv6Header>(kIp);
        const net::Ipv6Upper upper = net::upper_of(p.data() + kIp, p.contiguous() - kIp);
        const Verdict verdict = ClassifyUnderlay::udp6(p, *ip, upper, meta, ctx);
        return verdict == Verdict::divert(packet::Lane::tunnel6) ? read_outer6(p, meta, ctx)
                                                                 : verdict;
    }
};

Verdict read_group(packet::Packet& p, packet::PacketMeta& meta, Context& ctx) noexcept {
    const std::optional<Verdict> verdict = GroupFrame::read(p, meta, ctx);
    return verdict ? *verdict : GroupFrame::other(p, meta, ctx);
}

bool is_group_tunnel(const packet::Packet& p, packet::PacketMeta& meta, Context& ctx) noexcept {
    if (p.contiguous() < kIp || !p.at<net::EthernetHeader>(0)->destination.is_group()) {
        return false;
    }
    const net::IpAddress destination = destination_of(p);
    if (!destination.is_multicast()) {
        return false;
    }
    const bool ipv4 = destination.is_v4();
    const Payload payload = payload_of(p, destination);
    if (payload.protocol != net::ip_protocol::kUdp) {
        tell_of_query(p, meta, payload, ipv4, ctx);
        return false;
    }
    return !payload.is_later && p.contiguous() >= payload.at + sizeof(net::UdpHeader) &&
           ctx.tables->joined->find(meta.in_port, destination) != table::AddressMap::kNone &&
           ctx.tables->dstports->contains(
               table::dstport_key(p.at<net::UdpHeader>(payload.at)->destination.value(), !ipv4));
}

}  // namespace vxplane::step
