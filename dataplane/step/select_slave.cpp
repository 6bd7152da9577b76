// Slaves as routers: what the host's table says is behind one.
#include "dataplane/step/select_slave.hpp"

#include "dataplane/step/find_route.hpp"

namespace vxplane::step {

packet::Verdict SelectSlave::by_route(packet::PacketMeta& meta, const table::Tables& tables,
                                      net::IpAddress wanted) noexcept {
    const table::Master& master = tables.masters[meta.slaves.master];
    const table::RouteValue value = tables.route_tables[master.routes]->lookup(wanted);
    if (!value.found() || value.type() != table::RouteType::unicast) {
        return packet::Verdict::go_on();
    }
    const table::NextHop& hop = tables.next_hops[value.next_hop()];
    if (hop.kind != table::NextHopKind::slave ||
        tables.slaves[hop.index].master != meta.slaves.master) {
        return packet::Verdict::go_on();
    }
    meta.slaves.to = static_cast<std::uint16_t>(hop.index);
    const packet::DropReason reason = unfit(tables, meta.slaves.to, wanted);
    return reason == packet::DropReason::none ? packet::Verdict::go_on()
                                              : packet::Verdict::drop(reason);
}

packet::DropReason SelectSlave::unfit(const table::Tables& tables, std::uint16_t number,
                                      const net::IpAddress& wanted) noexcept {
    using packet::DropReason;
    const table::Slave& slave = tables.slaves[number];
    const bool l3s = tables.masters[slave.master].mode == table::IpvlanMode::l3s;
    if ((!l3s && slave.forwards) || has_itself(tables, number, wanted)) {
        return DropReason::none;
    }
    return l3s ? DropReason::slave_not_local : DropReason::forwarding_off;
}

}  // namespace vxplane::step
