// Builds the scene.
#include "tests/support/scene.hpp"

namespace vxplane::support {

net::MacAddress Scene::remote_mac(unsigned last) {
    return {{2, 0, 0, 0xBB, 0, static_cast<std::uint8_t>(last)}};
}

table::TunnelSpec Scene::spec(unsigned last) const {
    table::TunnelSpec spec = words.tunnel;
    spec.local = ip(kLocal);
    spec.remote = ip("10.0.0." + std::to_string(last));
    spec.out_port = up;
    spec.source_mac = local_mac;
    spec.next_hop = remote_mac(last);
    spec.underlay_mtu = words.underlay.mtu;
    return spec;
}

Scene::Scene(SceneWords w) : words{w}, lab{w.lab} {
    red = lab.segment("red", words.red);
    SegmentWords other = words.red;
    other.vni = 8;
    blue = lab.segment("blue", other);
    words.underlay.mac = local_mac;
    up = lab.underlay("up", words.underlay);
    vm1 = lab.access("vm1", red, words.access);
    vm2 = lab.access("vm2", red, words.access);
    vm9 = lab.access("vm9", blue, words.access);
    if (words.twin) host_twin = lab.twin("host", up, words.underlay);
    lab.own(ip(kLocal), up);
    t2 = lab.tunnel(spec(2));
    t3 = lab.tunnel(spec(3));
    t4 = lab.tunnel(spec(4));
    lab.flood_to(red, {t2, t3, t4});
    lab.fdb(red, host(1), FdbKind::port, vm1, FdbState::dynamic);
    lab.fdb(red, host(2), FdbKind::port, vm2, FdbState::dynamic);
    lab.fdb(red, host(12), FdbKind::tunnel, t2, FdbState::dynamic);
}

Frame Scene::from_remote(const Frame& inner, unsigned last, Vxlan header, Ip4 outer) const {
    outer.source = "10.0.0." + std::to_string(last);
    outer.destination = kLocal;
    return a_frame()
        .to(local_mac)
        .from(remote_mac(last))
        .ipv4(outer)
        .udp(40000, words.red.dstport, {.checksum = 0})
        .vxlan(header, inner);
}

Frame Scene::to_remote(const Frame& inner, unsigned last, std::uint8_t tos,
                       std::uint32_t vni) const {
    Ip4 outer;
    outer.source = kLocal;
    outer.destination = "10.0.0." + std::to_string(last);
    outer.tos = tos;
    outer.ttl = words.tunnel.ttl;
    outer.fragment = words.tunnel.dont_fragment ? 0x4000 : 0;
    Udp udp;
    if (!words.tunnel.udp_checksum) udp.checksum = 0;
    Frame frame = a_frame()
                      .to(remote_mac(last))
                      .from(local_mac)
                      .ipv4(outer)
                      .udp(0, words.tunnel.dstport, udp)
                      .vxlan({.vni = vni}, inner)
                      .any_source_port();
    return words.tunnel.dont_fragment ? frame : frame.any_id();
}

}  // namespace vxplane::support
