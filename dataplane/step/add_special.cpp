#include "dataplane/step/add_special.hpp"

#include "dataplane/step/add_tunnel.hpp"

namespace vxplane::step {

Written6 add_special(rte_mbuf* mbuf, const table::Tunnel& tunnel, packet::PacketMeta& meta,
                     Context& ctx) noexcept {
    using table::Tunnel;
    const bool ipv6 = (tunnel.special & Tunnel::kOverIpv6) != 0;
    if ((tunnel.special & Tunnel::kOwnVni) != 0) {
        const net::VxlanHeader& header =
            ipv6 ? ctx.tables->tunnels6[tunnel.line6()].vxlan : tunnel.vxlan;
        meta.vni_word = header.vni_reserved.wire();
    }
    if (ipv6) {
        return add_tunnel6(mbuf, tunnel, meta, ctx);
    }
    packet::Packet p(mbuf);
    const packet::Verdict verdict = AddTunnel::put_header(p, tunnel, meta, p.length(), ctx);
    return {p.mbuf(), verdict};
}

}  // namespace vxplane::step
