"""The main job: tenants behind vxplane and behind Linux kernel VTEPs reach each other."""
import pytest

from lab import inner_frame, wait_until
from scene import Scene, TENANT4, TENANT6, VTEP, vtep_pair


def test_ping_ipv4_and_ipv6_both_ways(lab):
    scene = vtep_pair(lab)
    tenant, peer = scene.members["acc0"][0], scene.peers[0]
    assert tenant.ping(peer.inner4) == 3
    assert tenant.ping(peer.inner6) == 3
    assert peer.namespace.ping(TENANT4) == 3
    assert peer.namespace.ping(TENANT6) == 3
    uplink = scene.daemon.port("uplink0")
    assert uplink["rx"]["packets"] >= 12 and uplink["tx"]["packets"] >= 12


def test_static_fdb_entry_carries_unicast_without_flood_list(lab):
    peer_mac, tenant_mac = "02:00:00:00:0b:01", "02:00:00:00:0a:01"
    scene = Scene(lab)
    scene.tenant()
    peer = scene.peers[0].vxlan(mac=peer_mac, options="nolearning", remote=None)
    scene.segment(remotes=[], learning=False, fdb=[{"mac": peer_mac, "dst": peer.underlay}])
    scene.start()
    tenant = scene.members["acc0"][0]
    tenant.ip(f"link set acc0 address {tenant_mac}")
    tenant.ip(f"neighbour replace {peer.inner4} lladdr {peer_mac} dev acc0")
    peer.namespace.ip(f"neighbour replace {TENANT4} lladdr {tenant_mac} dev vx0")
    peer.namespace.run(f"bridge fdb append {tenant_mac} dev vx0 dst {VTEP}")
    # `learning` is about VTEPs; what the port itself taught is replaced by a permanent entry.
    scene.daemon.ctl("fdb", "replace", tenant_mac, "dev", "vx100", "port", "acc0", "permanent")
    assert tenant.ping(peer.inner4) == 3
    assert scene.daemon.fdb(peer_mac)["dst"] == peer.underlay
    assert scene.daemon.fdb(peer_mac)["state"] == "permanent"


def test_VX64_two_segments_do_not_leak_and_may_share_macs(lab):
    """Same MACs, same IP addresses in two segments: each tenant reaches its own twin only."""
    scene = Scene(lab, peers=2)
    mac, peer_mac = "02:00:00:00:0a:01", "02:00:00:00:0b:01"
    for index, (vni, port) in enumerate(((100, "red"), (200, "blue"))):
        scene.tenant(port)
        scene.peers[index].vxlan(vni=vni, mac=peer_mac, addresses=("10.0.0.11/24",))
        # Both peers are in both flood lists: only the VNI keeps the segments apart.
        scene.segment(f"vx{vni}", vni, ports=[port])
    scene.start()
    red, blue = scene.members["red"][0], scene.members["blue"][0]
    for tenant, port in ((red, "red"), (blue, "blue")):
        tenant.ip(f"link set {port} address {mac}")
    for tenant in (red, blue):
        assert tenant.ping("10.0.0.11") == 3
    rows = {(row["mac"], row["vni"]): row.get("dst") for row in scene.daemon.fdb()}
    assert rows[(peer_mac, 100)] == scene.peers[0].underlay
    assert rows[(peer_mac, 200)] == scene.peers[1].underlay
    assert (mac, 100) in rows and (mac, 200) in rows
    # With one peer gone, its tenant is alone: no answer comes from the other segment.
    scene.peers[0].namespace.ip("link set vx0 down")
    assert red.ping("10.0.0.11", count=2, wait=1) == 0
    assert blue.ping("10.0.0.11") == 3


def test_flannel_node(lab):
    """As flannel sets a node up: VNI 1, port 8472, no learning, per peer one permanent FDB entry, one
    neighbour and one route; the tenant side is routed through the VTEP's MAC."""
    scene = Scene(lab)
    node = scene.tenant("acc0", "10.244.1.0/32")
    peer_mac, node_mac = "02:00:00:24:02:00", "02:00:00:24:01:00"
    peer = scene.peers[0].vxlan(vni=1, name="flannel.1", remote=None, port=8472, mac=peer_mac,
                                options="nolearning", addresses=("10.244.2.0/32",))
    scene.segment("flannel.1", 1, remotes=[], dstport=8472, learning=False, fdb=[
        {"mac": peer_mac, "dst": peer.underlay}, {"mac": node_mac, "port": "acc0"}])
    scene.start()
    node.ip(f"link set acc0 address {node_mac}")
    node.ip("address add 10.244.1.1/24 dev lo")
    node.ip(f"neighbour replace 10.244.2.0 lladdr {peer_mac} dev acc0 nud permanent")
    node.ip("route replace 10.244.2.0/24 via 10.244.2.0 dev acc0 onlink")
    peer.namespace.run(f"bridge fdb append {node_mac} dev flannel.1 dst {VTEP}")
    peer.namespace.ip(f"neighbour replace 10.244.1.0 lladdr {node_mac} dev flannel.1 nud permanent")
    peer.namespace.ip("route replace 10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink")
    peer.namespace.ip("address add 10.244.2.1/24 dev lo")
    assert node.ping("10.244.2.1", options="-I 10.244.1.1") == 3
    assert peer.namespace.ping("10.244.1.1", options="-I 10.244.2.1") == 3
    assert [row for row in scene.daemon.fdb() if "dst" in row and row["state"] != "permanent"] == []


def test_VX23_mtu_1450_passes_and_one_byte_more_is_dropped_counted_and_told(lab):
    scene = vtep_pair(lab)
    tenant, peer = scene.members["acc0"][0], scene.peers[0]
    assert tenant.ping(peer.inner4, options="-M do -s 1422") == 3
    # The tenant believes in a larger MTU than the underlay can carry.
    tenant.ip("link set acc0 mtu 1500")
    before = scene.daemon.drops()
    # The first one brings word of it (VX-23): the tenant does not try again.
    assert tenant.ping(peer.inner4, count=2, options="-M do -s 1423") == 0
    assert "mtu 1450" in tenant.run(f"ip route get {peer.inner4}")
    after = scene.daemon.drops()
    moved = {reason: after[reason] - before.get(reason, 0) for reason in after
             if after[reason] != before.get(reason, 0)}
    assert moved == {"tunnel_oversize": 1}
    assert tenant.ping(peer.inner4, options="-M do -s 1422") == 3


def test_local_ports_of_a_segment_are_switched_without_the_underlay(lab):
    scene = Scene(lab)
    one = scene.tenant("one", "10.0.0.1/24", "fd00::1/64")
    other = scene.tenant("other", "10.0.0.2/24", "fd00::2/64")
    scene.peers[0].vxlan()
    scene.segment(ports=["one", "other"])
    scene.start()
    assert one.ping("10.0.0.2") == 3
    assert one.ping("fd00::2") == 3
    wait_until(lambda: scene.daemon.fdb(other.mac("other")), 2, "the second port's MAC is learned")
    listening = lab.wire(scene.peers[0].namespace, "eth0")
    assert one.ping("10.0.0.2", count=10) == 10
    # Multicast (neighbour discovery) does go out; unicast between the two ports must not.
    assert listening.frames(0.2, lambda frame: (inner := inner_frame(frame)) and not inner[0] & 1) == []
    assert other.ping(scene.peers[0].inner4) == 3
    entry = scene.daemon.fdb(one.mac("one"))
    assert entry["port"] == "one" and "dst" not in entry


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_tcp_carries_a_megabyte_unharmed_both_ways(lab, family):
    from streams import Echo
    scene = vtep_pair(lab)
    tenant, peer = scene.members["acc0"][0], scene.peers[0]
    address = peer.inner4 if family == "ipv4" else peer.inner6
    with Echo(peer.namespace, address) as echo:
        assert echo.round_trip(tenant, megabytes=8) == 8 << 20
