// The scene of the frame targets.
#include "fuzz.hpp"

namespace vxplane::fuzz {

support::Scene& scene() {
    static support::Scene* const one = [] {
        support::SceneWords words;
        words.twin = true;
        words.red.inner_vlan = words.red.ipv6 = words.red.udp6_zero_rx = true;
        auto* s = new support::Scene(words);
        s->lab.own(support::address("2001:db8::1"), s->up);
        table::TunnelSpec six = s->spec(2);
        six.local = support::address("2001:db8::1");
        six.remote = support::address("2001:db8::2");
        s->lab.fdb(s->red, support::host(16), table::FdbKind::tunnel, s->lab.tunnel(six));
        s->lab.count_by_name = false;
        // One tunnel with a checksum, one that waits for its next hop.
        table::TunnelSpec checked = s->spec(3);
        checked.udp_checksum = true;
        s->lab.replace_tunnel(s->t3, checked);
        table::TunnelSpec waiting = s->spec(4);
        waiting.state = table::TunnelState::waiting;
        s->lab.replace_tunnel(s->t4, waiting);
        s->lab.fdb(s->red, support::host(13), table::FdbKind::tunnel, s->t3);
        s->lab.fdb(s->red, support::host(14), table::FdbKind::tunnel, s->t4);
        s->lab.fdb(s->red, support::host(15), table::FdbKind::nexthop_group,
                   s->lab.group({s->t2, s->t3}));
        return s;
    }();
    return *one;
}

support::Seen run(support::PortId port, const std::uint8_t* data, std::size_t size, Bytes& frame) {
    support::Scene& s = scene();
    frame.assign(data + 1, data + std::min(size, kLongest));
    if ((data[0] & kRepair) != 0) repair(frame);
    if ((data[0] & kAge) != 0) {
        s.lab.pass_time(150);
        s.lab.next_epoch();
    }
    const auto memory = static_cast<support::Memory>((data[0] & kMemory) % 3);
    support::Seen seen = s.lab.receive(port, {frame}, memory);
    require(seen.broken_law.empty(), seen.broken_law.c_str(), frame);
    return seen;
}

}  // namespace vxplane::fuzz
