"""Paths that take less than our uplink: routers of the underlay are believed when they may be, and tenants
are told what fits."""
import pytest
from scapy.layers.inet6 import ICMPv6PacketTooBig

from frames import ICMP, IP, UDP, VXLAN, Ether, IPv6, Raw
from lab import wait_until
from scene import VTEP, Scene
from streams import Echo
from test_underlay6 import VTEP6, six_scene, started


def behind_a_narrow_link(lab, mtu=1300):
    """A peer behind a router whose other link takes `mtu` bytes."""
    scene = Scene(lab)
    tenant, peer = scene.tenant(), scene.peers[0]
    router = lab.namespace("router")
    router.run("sysctl -qw net.ipv4.ip_forward=1")
    lab.veth(router, "near", scene.fabric, "router0")
    scene.fabric.ip("link set router0 master br0")
    lab.veth(router, "far", peer.namespace, "eth1")
    router.up("near", "192.0.2.254/24")
    router.up("far", "198.51.100.254/24", mtu=mtu)
    peer.namespace.ip("link set eth0 down")
    peer.namespace.up("eth1", "198.51.100.1/24", mtu=mtu)
    peer.namespace.ip("route add 192.0.2.0/24 via 198.51.100.254")
    peer.underlay = "198.51.100.1"
    peer.vxlan()
    peer.namespace.ip("link set vx0 mtu 1450")
    # What it sends itself is short; what it is sent is as long as the tenant likes.
    peer.namespace.ip("route replace 10.0.0.0/24 dev vx0 src 10.0.0.11 mtu lock 1100 advmss 1410")
    scene.segment(df="set")
    scene.topology["routes"] = [{"to": "198.51.100.0/24", "via": "192.0.2.254"}]
    scene.start()
    return scene, tenant, peer, router


def test_VX23_VX28_tcp_keeps_flowing_through_a_smaller_underlay(lab):
    scene, tenant, peer, _ = behind_a_narrow_link(lab)
    assert tenant.ping(peer.inner4) == 3
    with Echo(peer.namespace, peer.inner4) as echo:
        assert echo.round_trip(tenant, megabytes=1) == 1 << 20
    health = scene.daemon.rpc("health")
    assert health["path_mtus"] == 1 and health["path_mtu_forged"] == 0
    assert "path to 198.51.100.1 takes packets of 1300 bytes" in scene.daemon.log()
    assert scene.daemon.drops()["tunnel_oversize"] > 0
    assert "mtu 1250" in tenant.ip(f"route get {peer.inner4}"), "the tenant knows what fits"
    # One byte more than the path takes is told at once, without a packet on the wire.
    assert tenant.ping(peer.inner4, options="-s 1222 -M do") == 3
    assert health["packets_unaccounted"] == 0


@pytest.mark.parametrize("lie", ["port", "dstport", "remote", "fits"])
def test_VX28_what_we_cannot_have_sent_is_not_believed(lab, lie):
    scene, tenant, peer, router = behind_a_narrow_link(lab, mtu=1500)
    assert tenant.ping(peer.inner4) == 3
    words = {"sport": 40000, "dport": 4789, "dst": "198.51.100.1", "len": 1500}
    words |= {"port": {"sport": 1}, "dstport": {"dport": 8472}, "remote": {"dst": "198.51.100.77"},
              "fits": {"len": 800}}[lie]

    def tell(sport, dport, dst, **ip):
        quoted = IP(src=VTEP, dst=dst, flags="DF", **ip) / UDP(sport=sport, dport=dport, len=ip["len"] - 20)
        message = IP(src="192.0.2.254", dst=VTEP) / ICMP(type=3, code=4, nexthopmtu=900) / Raw(bytes(quoted))
        lab.wire(router, "near").send(Ether(src=router.mac("near"), dst=scene.daemon.port("uplink0")["mac"]) / message)
    tell(**words)
    if lie == "dstport":  # not about VXLAN: the kernel's
        wait_until(lambda: scene.daemon.drops().get("host_unclaimed", 0) > 0, 3, "it is not for us")
    else:
        wait_until(lambda: scene.daemon.rpc("health")["path_mtu_forged"] == 1, 3, "it is counted")
    assert scene.daemon.rpc("health")["path_mtus"] == 0
    assert tenant.ping(peer.inner4, options="-s 1422 -M do") == 3
    tell(40000, 4789, "198.51.100.1", len=1500)
    wait_until(lambda: scene.daemon.rpc("health")["path_mtus"] == 1, 3, "the truth is believed")


@pytest.mark.parametrize("family", [4, 6])
def test_VX23_VX25_the_sender_of_what_is_flooded_is_told_what_fits(lab, family):
    """Nothing is learned from tunnels: all that the tenant sends goes to both peers."""
    scene = Scene(lab, peers=2)
    tenant, peer = scene.tenant(), scene.peers[0]
    for one in scene.peers:
        one.vxlan()
    scene.segment(learning=False)
    scene.start()
    tenant.ip("link set acc0 mtu 1500")
    address = peer.inner4 if family == 4 else peer.inner6
    assert tenant.ping(address) == 3
    assert not scene.daemon.fdb(peer.mac()), "nobody knows where the peer is"
    assert "mtu" not in tenant.ip(f"route get {address}")
    tenant.ping(address, count=1, options=f"-s {1472 if family == 4 else 1452} -M do")
    assert "mtu 1450" in tenant.ip(f"route get {address}"), "the tenant knows what fits"
    with Echo(peer.namespace, address) as echo:
        assert echo.round_trip(tenant, megabytes=1) == 1 << 20
    health = scene.daemon.rpc("health")
    assert health["control"]["made"] >= 1 and health["packets_unaccounted"] == 0
    # One copy of each frame is for control, the other is not, and both are drops in the end.
    assert scene.daemon.drops()["tunnel_oversize"] % 2 == 0


def behind_a_narrow_link6(lab, mtu=1400, **words):
    """The same over IPv6."""
    scene = six_scene(lab)
    peer, tenant = scene.peers[0], scene.members["acc0"][0]
    router = lab.namespace("router", ipv6=True)
    router.run("sysctl -qw net.ipv6.conf.all.forwarding=1")
    lab.veth(router, "near", scene.fabric, "router0")
    scene.fabric.ip("link set router0 master br0")
    lab.veth(router, "far", peer.namespace, "eth1")
    peer.underlay = "2001:db8:1::11"
    for namespace, device, address in ((router, "near", "2001:db8::fe"), (router, "far", "2001:db8:1::fe"),
                                       (peer.namespace, "eth1", peer.underlay)):
        namespace.ip(f"address add {address}/64 dev {device} nodad")
        namespace.ip(f"link set {device} up" + ("" if device == "near" else f" mtu {mtu}"))
    peer.namespace.ip("route add 2001:db8::/64 via 2001:db8:1::fe")
    peer.vxlan(remote=VTEP6)
    peer.namespace.ip("link set vx0 mtu 1430")
    peer.namespace.ip("route replace 10.0.0.0/24 dev vx0 src 10.0.0.11 mtu lock 1100 advmss 1390")
    scene.topology["routes"] = [{"to": "2001:db8:1::/64", "via": "2001:db8::fe"}]
    started(scene, local=VTEP6, **words)
    return scene, tenant, peer, router


def test_VX28_tcp_keeps_flowing_through_a_smaller_underlay_over_ipv6(lab):
    scene, tenant, peer, router = behind_a_narrow_link6(lab)
    assert tenant.ping(peer.inner4) == 3
    with Echo(peer.namespace, peer.inner4) as echo:
        assert echo.round_trip(tenant, megabytes=1) == 1 << 20
    health = scene.daemon.rpc("health")
    assert health["path_mtus"] == 1 and health["path_mtu_forged"] == 0 and health["packets_unaccounted"] == 0
    assert "path to 2001:db8:1::11 takes packets of 1400 bytes" in scene.daemon.log()
    assert "mtu 1330" in tenant.ip(f"route get {peer.inner4}"), "the tenant knows what fits"
    shown = scene.daemon.rpc("path_mtus")
    assert [(one["remote"], one["mtu"]) for one in shown] == [(peer.underlay, 1400)]
    assert 500 < shown[0]["expires_s"] <= 600
    assert peer.underlay in scene.daemon.ctl("mtu").stdout
    assert "removed 1" in scene.daemon.ctl("mtu", "flush", "remote", peer.underlay).stdout
    assert scene.daemon.rpc("path_mtus") == []

    def tell(**lie):
        words = {"sport": 40000, "dport": 4789, "dst": peer.underlay, "vni": 100, "mtu": 1300} | lie
        quoted = IPv6(src=VTEP6, dst=words["dst"], plen=1460) / UDP(
            sport=words["sport"], dport=words["dport"], len=1460, chksum=1) / VXLAN(vni=words["vni"])
        message = IPv6(src="2001:db8::fe", dst=VTEP6) / ICMPv6PacketTooBig(mtu=words["mtu"]) / Raw(bytes(quoted))
        return bytes(Ether(src=router.mac("near"), dst=scene.daemon.port("uplink0")["mac"]) / message)
    wire = lab.wire(router, "near")
    lies = [tell(sport=1), tell(dst="2001:db8:1::77"), tell(vni=101), tell(mtu=1279), tell(mtu=1500)]
    for frame in lies * 200:
        wire.send(frame)
    wait_until(lambda: scene.daemon.rpc("health")["path_mtu_forged"] > 0, 3, "lies are counted")
    assert scene.daemon.rpc("path_mtus") == []
    wait_until(lambda: wire.send(tell()) or scene.daemon.rpc("health")["path_mtus"] == 1, 5, "the truth is believed")
    assert scene.daemon.rpc("health")["packets_unaccounted"] == 0


def test_VX29_tcp_is_told_what_fits_before_anything_is_too_long(lab):
    scene = Scene(lab)
    tenant, peer = scene.tenant(), scene.peers[0]
    peer.vxlan()
    peer.namespace.ip("link set vx0 mtu 1500")
    scene.segment(**{"mss-clamp": True})
    scene.start()
    tenant.ip("link set acc0 mtu 1500")
    assert tenant.ping(peer.inner4) == 3
    for address in (peer.inner4, peer.inner6):
        with Echo(peer.namespace, address) as echo:
            assert echo.round_trip(tenant, megabytes=1) == 1 << 20
    drops = scene.daemon.drops()
    assert "tunnel_oversize" not in drops and "outer_fragment" not in drops


@pytest.mark.parametrize("how", ["outer", "inner"])
def test_VX26_what_is_too_long_arrives_in_fragments(lab, how):
    scene = Scene(lab)
    tenant, peer = scene.tenant(), scene.peers[0]
    peer.vxlan()
    peer.namespace.ip("link set vx0 mtu 1450")  # its answers are fragmented inside
    scene.segment(fragment=how, **({"mtu": 1500} if how == "outer" else {}))
    scene.start()
    tenant.ip("link set acc0 mtu 1500")
    assert tenant.ping(peer.inner4) == 3
    for size in (1422, 1423, 1472):
        assert tenant.ping(peer.inner4, options=f"-s {size} -M dont") == 3, size
    assert tenant.ping(peer.inner4, count=1, options="-s 1472 -M do") == 0, "who forbids it is told what fits"
    assert "mtu 1450" in tenant.ip(f"route get {peer.inner4}")
    health = scene.daemon.rpc("health")
    assert health["packets_unaccounted"] == 0
