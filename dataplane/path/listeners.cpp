#include "dataplane/path/listeners.hpp"

#include <rte_cycles.h>

#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/membership.hpp"

namespace vxplane::path {
namespace {

using table::AddressMap;

/// What is read of a frame to a group.
struct Sent {
    enum class Kind : std::uint8_t {
        to_all,  ///< broadcast, not IP, to a group of the link, or too short to be read
        data,
        query,
        report
    };
    Kind kind = Kind::to_all;
    bool of_link = false;  ///< scope 2 of IPv6: flooded unless somebody is known to want it
    net::IpAddress group;
    net::IpAddress source;
};

Sent read_igmp(const std::byte* ip, std::size_t size) noexcept {
    const auto& header = net::view<net::Ipv4Header>(ip);
    const std::size_t at = header.header_length();
    if (size <= at || (header.fragment.value() & net::Ipv4Header::kOffsetMask) != 0) {
        return {};
    }
    const auto type = static_cast<std::uint8_t>(ip[at]);
    switch (type) {
        case net::igmp_type::kQuery:
            return {Sent::Kind::query, false, {}, {}};
        case net::igmp_type::kReportV1:
        case net::igmp_type::kReportV2:
        case net::igmp_type::kReportV3:
        case net::igmp_type::kLeave:
            return {Sent::Kind::report, false, {}, {}};
        default:
            return {};  // of routing protocols
    }
}

Sent read_ipv4(const std::byte* ip, std::size_t size) noexcept {
    if (size < sizeof(net::Ipv4Header)) {
        return {};
    }
    const auto& header = net::view<net::Ipv4Header>(ip);
    if (header.version() != 4) {
        return {};
    }
    if (header.protocol == net::kIgmp) {
        return read_igmp(ip, size);
    }
    const net::Ipv4Address group = header.destination;
    const bool of_link = group.number() >> 8 == 0xE00000;  // 224.0.0.0/24, RFC 4541 section 2.1.2
    if (!group.is_multicast() || of_link) {
        return {};
    }
    return {Sent::Kind::data, false, group, header.source};
}

Sent read_ipv6(const std::byte* ip, std::size_t size) noexcept {
    if (size < sizeof(net::Ipv6Header)) {
        return {};
    }
    const auto& header = net::view<net::Ipv6Header>(ip);
    if (header.version() != 6) {
        return {};
    }
    if (header.next_header == net::ipv6_extension::kHopByHop) {
        const net::Ipv6Upper upper = net::upper_of(ip, size);
        if (upper.protocol == net::ip_protocol::kIcmpv6 && upper.is_whole && !upper.is_later &&
            size > upper.offset) {
            const auto type = static_cast<std::uint8_t>(ip[upper.offset]);
            if (type == net::mld_type::kQuery) {
                return {Sent::Kind::query, false, {}, {}};
            }
            if (type == net::mld_type::kReport || type == net::mld_type::kDone ||
                type == net::mld_type::kReportV2) {
                return {Sent::Kind::report, false, {}, {}};
            }
        }
    }
    const net::IpAddress group(header.destination);
    const unsigned scope = group.bytes[1] & 0xFU;
    if (!group.is_multicast() || scope < 2 || group == net::all_nodes()) {
        return {};
    }
    return {Sent::Kind::data, scope == 2, group, net::IpAddress(header.source)};
}

Sent read(const packet::Packet& p) noexcept {
    const auto shape = net::shape_of(p.data(), p.contiguous());
    if (!p.at<net::EthernetHeader>(0)->destination.is_group() || !shape.is_ip ||
        p.contiguous() <= shape.l3_offset) {
        return {};
    }
    const std::byte* ip = p.data() + shape.l3_offset;
    const std::size_t size = p.contiguous() - shape.l3_offset;
    return shape.type == net::ether_type::kIpv4 ? read_ipv4(ip, size) : read_ipv6(ip, size);
}

void only(const table::ListenerList& list, const table::Tables& tables, FloodTo& to) noexcept {
    to.ports = tables.mdb_ports.data() + list.begin;
    to.port_count = list.count;
    to.listeners = true;
}

}  // namespace

void choose_listeners(const packet::Packet& p, const packet::PacketMeta& meta, step::Context& ctx,
                      Exit& exit, FloodTo& to) noexcept {
    const table::Tables& tables = *ctx.tables;
    const Sent sent = read(p);
    if (sent.kind == Sent::Kind::to_all || tables.mdb_groups == nullptr) {
        return;
    }
    const std::uint32_t routers = tables.mdb_groups->find(meta.segment, net::IpAddress{});
    if (sent.kind != Sent::Kind::data) {
        // Without one the segment has entries, and does not listen.
        if (routers == AddressMap::kNone) {
            return;
        }
        // Two within a second may tell different things: none is left out.
        exit.copy_to_control(p, meta, packet::Punt::listeners, rte_rdtsc() | 1, ctx);
        if (sent.kind == Sent::Kind::report) {
            only(tables.mdb[routers].ports, tables, to);
        }
        return;
    }
    const std::uint32_t group = tables.mdb_groups->find(meta.segment, sent.group);
    const table::MdbEntry* entry = nullptr;
    if (group != AddressMap::kNone) {
        const std::uint32_t source = tables.mdb_sources == nullptr
                                         ? AddressMap::kNone
                                         : tables.mdb_sources->find(group, sent.source);
        entry = &tables.mdb[source == AddressMap::kNone ? group : source];
    }
    if (entry != nullptr && entry->has_tunnels) {
        to.tunnels = tables.mdb_tunnels.data() + entry->tunnels.begin;
        to.tunnel_count = entry->tunnels.count;
        to.listeners = true;
    }
    if (entry != nullptr && entry->has_ports) {
        only(entry->ports, tables, to);
    } else if (routers != AddressMap::kNone && tables.mdb[routers].has_ports && !sent.of_link) {
        only(tables.mdb[routers].ports, tables, to);
    }
}

}  // namespace vxplane::path
