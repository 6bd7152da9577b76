#include "dataplane/step/add_special.hpp"

#include "dataplane/step/add_tunnel.hpp"
#include "dataplane/step/gpe.hpp"
#include "dataplane/step/remote_sum.hpp"

namespace vxplane::step {

namespace {

Written6 put_line(rte_mbuf* mbuf, const table::Tunnel& tunnel, packet::PacketMeta& meta,
                  Context& ctx) noexcept {
    if ((tunnel.special & table::Tunnel::kOverIpv6) != 0) {
        return add_tunnel6(mbuf, tunnel, meta, ctx);
    }
    packet::Packet p(mbuf);
    const packet::Verdict verdict = AddTunnel::put_header(p, tunnel, meta, p.length(), ctx);
    return {p.mbuf(), verdict};
}

Written6 add_line(rte_mbuf* mbuf, const table::Tunnel& tunnel, packet::PacketMeta& meta,
                  Context& ctx) noexcept {
    const Written6 done = put_line(mbuf, tunnel, meta, ctx);
    if ((tunnel.special & table::Tunnel::kRemoteSum) != 0 && done.verdict.goes_on()) {
        leave_remote_sum(done.mbuf, meta, ctx);
    }
    return done;
}

/// As the kernel, which looks for the route with the TOS that the outer header is to have.
Written6 add_by_tos(rte_mbuf* mbuf, const table::Tunnel& tunnel, packet::PacketMeta& meta,
                    Context& ctx) noexcept {
    packet::Packet p(mbuf);
    std::uint8_t tos = 0;
    if (meta.inner_is_ip) {
        const auto* v4 = p.at<net::Ipv4Header>(meta.l3_offset);
        tos = v4->version() == 4 ? v4->tos : p.at<net::Ipv6Header>(meta.l3_offset)->traffic_class();
    }
    meta.tunnel =
        ctx.tables
            ->tos_ways[tunnel.tos_ways()][(tos & table::kRouteTosMask) / table::kRouteTosStep];
    const packet::Verdict verdict = AddTunnel(ctx)(p, meta, ctx);
    return {p.mbuf(), verdict};
}

}  // namespace

Written6 add_special(rte_mbuf* mbuf, const table::Tunnel& tunnel, packet::PacketMeta& meta,
                     Context& ctx) noexcept {
    using table::Tunnel;
    if ((tunnel.special & Tunnel::kByTos) != 0) {
        return add_by_tos(mbuf, tunnel, meta, ctx);
    }
    if ((tunnel.special & Tunnel::kOwnVni) != 0) {
        const bool ipv6 = (tunnel.special & Tunnel::kOverIpv6) != 0;
        const net::VxlanHeader& header =
            ipv6 ? ctx.tables->tunnels6[tunnel.line6()].vxlan : tunnel.vxlan;
        meta.vni_word = header.vni_reserved.wire();
    }
    packet::Packet p(mbuf);
    if ((tunnel.special & Tunnel::kGpe) != 0 &&
        is_gpe_peer(p.at<net::EthernetHeader>(0)->destination.number())) {
        Tunnel line = tunnel;
        const packet::Verdict verdict = bare_for_gpe(p, line, meta, ctx);
        return verdict.goes_on() ? add_line(p.mbuf(), line, meta, ctx)
                                 : Written6{p.mbuf(), verdict};
    }
    return add_line(mbuf, tunnel, meta, ctx);
}

}  // namespace vxplane::step
