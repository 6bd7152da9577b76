#include "dataplane/step/add_special.hpp"

#include "dataplane/step/add_tunnel.hpp"
#include "dataplane/step/gpe.hpp"

namespace vxplane::step {

namespace {

Written6 add_line(rte_mbuf* mbuf, const table::Tunnel& tunnel, packet::PacketMeta& meta,
                  Context& ctx) noexcept {
    if ((tunnel.special & table::Tunnel::kOverIpv6) != 0) {
        return add_tunnel6(mbuf, tunnel, meta, ctx);
    }
    packet::Packet p(mbuf);
    const packet::Verdict verdict = AddTunnel::put_header(p, tunnel, meta, p.length(), ctx);
    return {p.mbuf(), verdict};
}

}  // namespace

Written6 add_special(rte_mbuf* mbuf, const table::Tunnel& tunnel, packet::PacketMeta& meta,
                     Context& ctx) noexcept {
    using table::Tunnel;
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
