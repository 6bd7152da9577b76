// The host's frames leave unchanged by the port that the twin belongs to.
#pragma once

#include "dataplane/net/flow_hash.hpp"
#include "dataplane/packet/large.hpp"
#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

struct PassThrough {
    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta,
                               Context& ctx) const noexcept {
        using packet::DropReason;
        using packet::Verdict;
        if (p.contiguous() < sizeof(net::EthernetHeader)) {
            return Verdict::drop(DropReason::eth_runt);
        }
        meta.out_port = ctx.tables->ports[meta.in_port].partner;
        if (meta.out_port == table::kNoPort) {
            return Verdict::drop(DropReason::port_gone);
        }
        const std::uint32_t longest =
            ctx.tables->ports[meta.out_port].max_frame + net::tag_bytes(p.data(), p.contiguous());
        return p.length() > longest && packet::longest_arrived(p.mbuf()) > longest
                   ? Verdict::drop(DropReason::port_oversize)
                   : Verdict::go_on();
    }
};

}  // namespace vxplane::step
