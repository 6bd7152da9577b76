// The host's frames leave unchanged by the port that the twin belongs to.
#pragma once

#include "dataplane/net/flow_hash.hpp"
#include "dataplane/packet/large.hpp"
#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"
#include "dataplane/step/select_slave.hpp"

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
        const std::uint16_t number = ctx.tables->ports[meta.out_port].master;
        if (number != table::kNoMaster && ctx.tables->masters[number].host_access) [[unlikely]] {
            return to_slaves(p, meta, ctx, number);
        }
        return leave(p, meta, ctx);
    }

  private:
    /// Where slaves and their host hear each other: with `host_access`, unlike the kernel.
    [[gnu::noinline]] static packet::Verdict to_slaves(packet::Packet& p, packet::PacketMeta& meta,
                                                       Context& ctx,
                                                       std::uint16_t number) noexcept {
        meta.slaves = packet::SlaveWay::at(number);
        if (p.at<net::EthernetHeader>(0)->destination.is_group()) {
            return packet::Verdict::divert(packet::Lane::group);
        }
        net::IpAddress wanted;
        if (read_address(p, End::destination, wanted) != Spoken::nothing) {
            const std::uint32_t found =
                ctx.tables->slave_addresses->find(table::slave_scope(number, 0), wanted);
            if (found < table::kNoSlave) {
                return SelectSlave::deliver(p, meta, static_cast<std::uint16_t>(found),
                                            ctx.tables->slave_exits[found]);
            }
        }
        return leave(p, meta, ctx);
    }
    static packet::Verdict leave(packet::Packet& p, packet::PacketMeta& meta,
                                 Context& ctx) noexcept {
        using packet::DropReason;
        using packet::Verdict;
        const std::uint32_t longest =
            ctx.tables->ports[meta.out_port].max_frame + net::tag_bytes(p.data(), p.contiguous());
        return p.length() > longest && packet::longest_arrived(p.mbuf()) > longest
                   ? Verdict::drop(DropReason::port_oversize)
                   : Verdict::go_on();
    }
};

}  // namespace vxplane::step
