"""Tunnels over IPv6: a segment of its own, and one whose remotes are of both families."""
import copy

from lab import wait_until
from scene import Scene, TENANT4, TENANT6, VTEP
from test_reload import reload

VTEP6 = "2001:db8::1"


def six(scene, peer, remote=VTEP6, **words):
    """The peer's device speaks IPv6 on the underlay."""
    peer.namespace.run("sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0")
    peer.underlay = f"2001:db8::1{peer.number}"
    peer.namespace.ip(f"address add {peer.underlay}/64 dev eth0 nodad")
    peer.vxlan(remote=remote, **words)
    peer.namespace.ip("link set vx0 mtu 1430")
    return peer


def six_scene(lab, peers=1):
    scene = Scene(lab, peers)
    scene.tenant()
    scene.topology["ports"]["uplink0"]["addresses"].append(f"{VTEP6}/64")
    return scene


def started(scene, **words):
    scene.segment(**words)
    scene.start()
    scene.members["acc0"][0].ip("link set acc0 mtu 1430")
    return scene


def moved(scene, before):
    return {reason: count - before.get(reason, 0) for reason, count in scene.daemon.drops().items()
            if count != before.get(reason, 0)}


def test_VX01_VX21_pings_of_all_sizes_and_learning_both_ways(lab):
    scene = six_scene(lab)
    peer = six(scene, scene.peers[0], options="udpcsum")
    started(scene, local=VTEP6)
    tenant = scene.members["acc0"][0]
    for address in (peer.inner4, peer.inner6):
        assert tenant.ping(address) == 3
    for address in (TENANT4, TENANT6):
        assert peer.namespace.ping(address) == 3
    for size in (0, 1, 511, 1401, 1402):
        assert tenant.ping(peer.inner4, count=1, options=f"-M do -s {size}") == 1, size
    segment = scene.daemon.rpc("segments")[0]
    assert segment["mtu"] == 1430 and segment["local"] == VTEP6
    entry = scene.daemon.fdb(peer.mac())
    assert entry["dst"] == peer.underlay and entry["state"] == "dynamic"
    shown = peer.namespace.run("bridge fdb show dev vx0")
    assert f"dst {VTEP6}" in str(shown)
    assert scene.daemon.neighbour(peer.underlay)["lladdr"] == peer.namespace.mac("eth0")
    # One byte more than the underlay takes.
    tenant.ip("link set acc0 mtu 1500")
    before = scene.daemon.drops()
    assert tenant.ping(peer.inner4, count=2, options="-M do -s 1403") == 0
    assert moved(scene, before)["tunnel_oversize"] == 1
    for word in ("fdb", "neigh", "segment"):
        assert peer.underlay in scene.daemon.ctl(word).stdout, word
    assert "2001:db8::/64" in scene.daemon.ctl("route").stdout


def test_VX13_VX38_checksums_are_left_out_only_where_both_ends_agree(lab):
    scene = six_scene(lab)
    peer = six(scene, scene.peers[0], options="udp6zerocsumtx udp6zerocsumrx")
    started(scene, local=VTEP6)
    tenant = scene.members["acc0"][0]
    wait_until(lambda: tenant.ping(peer.inner4, count=1, wait=0.2) or "udp_no_checksum" in scene.daemon.drops(), 5,
               "a packet without checksum is refused")
    assert tenant.ping(peer.inner4, count=2, wait=0.2) == 0
    topology = copy.deepcopy(scene.daemon.topology)
    topology["vxlans"]["vx100"].update({"udp6zerocsumrx": True, "udp6zerocsumtx": True, "flowlabel": "entropy"})
    assert reload(scene.daemon, topology)
    assert tenant.ping(peer.inner4) == 3


def test_VX08_VX71_one_segment_with_remotes_of_both_families(lab):
    scene = six_scene(lab, peers=2)
    four, other = scene.peers[0].vxlan(), six(scene, scene.peers[1])
    four.namespace.ip("link set vx0 mtu 1430")
    started(scene, local=VTEP, local6=VTEP6)
    tenant = scene.members["acc0"][0]
    for peer in (four, other):
        assert tenant.ping(peer.inner4) == 3
        assert tenant.ping(peer.inner6) == 3
        assert scene.daemon.fdb(peer.mac())["dst"] == peer.underlay
    assert tenant.ping(other.inner4, count=1, options="-M do -s 1402") == 1
    segment = scene.daemon.rpc("segments")[0]
    assert segment["local"] == f"{VTEP} {VTEP6}" and segment["mtu"] == 1430
    assert segment["remotes"] == [four.underlay, other.underlay]
    # A tenant that moves from one family to the other.
    mac = "02:00:00:00:77:01"
    for peer in (four, other, four):
        peer.namespace.ip(f"link set vx0 address {mac}")
        peer.namespace.ping(TENANT4, count=1)
        wait_until(lambda: scene.daemon.fdb(mac)["dst"] == peer.underlay, 2, "the address has moved")
        peer.namespace.ip(f"link set vx0 address 02:00:00:00:78:0{peer.number}")
    # At run time, too: by hand, and over a family that the segment does not speak.
    scene.daemon.ctl("fdb", "add", "02:00:00:00:99:01", "dev", "vx100", "dst", "2001:db8::99")
    assert scene.daemon.fdb("02:00:00:00:99:01")["dst"] == "2001:db8::99"
    scene.daemon.ctl("fdb", "del", "02:00:00:00:99:01", "dev", "vx100")
