"""Remotes with a VNI and a UDP port of their own: vxplane and Linux kernel VTEPs that each have
their own number for one segment."""
from frames import IP, UDP, Ether, Raw
from lab import wait_until
from scene import TENANT4, VTEP, Scene
from test_reload import reload

FLOOD = "00:00:00:00:00:00"


def numbers(scene, mac):
    """What `vxctl fdb` says of an entry's way."""
    return [(entry.get("dst"), entry.get("dst_vni"), entry.get("dstport")) for entry in scene.daemon.fdb()
            if entry["mac"] == mac]


def test_VX98_two_vteps_number_a_segment_differently(lab):
    """Ours is 100 on port 4789; the first peer's is 500, the second one's 600 on port 8472."""
    scene = Scene(lab, peers=2)
    scene.tenant()
    for peer, (vni, port) in zip(scene.peers, ((500, 4789), (600, 8472))):
        peer.vxlan(vni=vni, port=port, remote=None)
        peer.namespace.run(f"bridge fdb append {FLOOD} dev vx0 dst {VTEP} vni 100 port 4789")
    one, two = scene.peers
    scene.segment(remotes=[], fdb=[
        {"mac": FLOOD, "dst": one.underlay, "vni": 500},
        {"mac": FLOOD, "dst": two.underlay, "vni": 600, "dstport": 8472},
        {"mac": one.mac(), "dst": one.underlay, "vni": 500}])
    scene.start()
    tenant = scene.members["acc0"][0]
    # What the kernel VTEPs learn has their own number: they are told, as we are.
    for peer in scene.peers:
        peer.namespace.run(f"bridge fdb replace {tenant.mac('acc0')} dev vx0 dst {VTEP} vni 100 port 4789")
    scene.daemon.ctl("fdb", "replace", two.mac(), "dev", "vx100", "dst", two.underlay, "vni", "600",
                     "dstport", "8472", "static")
    assert tenant.ping(one.inner4) == 3
    assert tenant.ping(two.inner4) == 3
    assert two.namespace.ping(TENANT4) == 3
    assert numbers(scene, one.mac()) == [(one.underlay, 500, None)]
    assert numbers(scene, two.mac()) == [(two.underlay, 600, 8472)]
    shown = scene.daemon.ctl("fdb", "show", "vni", "600").stdout
    assert f"dst {two.underlay} vni 600 dstport 8472" in shown and one.mac() not in shown
    drops = scene.daemon.drops()
    assert not drops.get("fdb_conflict") and not drops.get("vxlan_unknown_vni")


def test_VX97_VX98_a_reload_changes_the_number_of_a_remote(lab):
    scene = Scene(lab)
    scene.tenant()
    peer = scene.peers[0].vxlan(vni=500, remote=None)
    peer.namespace.run(f"bridge fdb append {FLOOD} dev vx0 dst {VTEP} vni 100")
    scene.segment(remotes=[], fdb=[{"mac": FLOOD, "dst": peer.underlay, "vni": 400},
                                   {"mac": peer.mac(), "nhid": 1}])
    scene.topology["nexthops"] = {1: {"members": [{"dst": peer.underlay, "vni": 400}]}}
    scene.start()
    tenant = scene.members["acc0"][0]
    peer.namespace.run(f"bridge fdb replace {tenant.mac('acc0')} dev vx0 dst {VTEP} vni 100")
    assert tenant.ping(peer.inner4, count=1, wait=1) == 0
    topology = scene.daemon.topology
    topology["vxlans"]["vx100"]["fdb"][0]["vni"] = 500
    topology["nexthops"][1]["members"][0]["vni"] = 500
    changes = reload(scene.daemon, topology)
    assert any("nexthops.1.members" in line for line in changes), changes
    wait_until(lambda: tenant.ping(peer.inner4, count=1, wait=0.5), 5, "the new number holds")
    assert numbers(scene, FLOOD) == [(peer.underlay, 500, None)]


def test_VX74_VX98_members_of_groups_have_numbers_of_their_own(lab):
    """Ours is 100 on port 4789; the first peer's is 500, the second one's 600 on port 8472."""
    scene = Scene(lab, peers=2)
    scene.tenant()
    for peer, (vni, port) in zip(scene.peers, ((500, 4789), (600, 8472))):
        peer.vxlan(vni=vni, port=port, remote=None)
    one, two = scene.peers
    scene.segment(remotes=[], mdb=[{"group": "239.7.7.7", "dst": one.underlay, "vni": 500}])
    scene.start()
    tenant = scene.members["acc0"][0]
    ears = [lab.wire(peer.namespace, "vx0") for peer in scene.peers]
    mouth = lab.wire(tenant, "acc0")
    frame = bytes(Ether(src=tenant.mac("acc0"), dst="01:00:5e:07:07:07") / IP(src=TENANT4, dst="239.7.7.7") / UDP() /
                  Raw(b"m" * 30))

    def heard(expected):
        """A frame that must come is given time; one that must not come has half a second to be seen."""
        mouth.send(frame)
        counts = [len(ear.frames(5 if count else 0.5, lambda seen: seen == frame, enough=1))
                  for ear, count in zip(ears, expected)]
        assert counts == expected

    heard([1, 0])
    member = ("dev", "vx100", "port", "vx100", "grp", "239.7.7.7", "dst", two.underlay, "dst_port", "8472", "vni")
    scene.daemon.ctl("mdb", "add", *member, "600")
    heard([1, 1])
    assert f"dst {two.underlay} vni 600 dstport 8472" in scene.daemon.ctl("mdb", "show", "dev", "vx100").stdout
    assert scene.daemon.ctl("mdb", "del", *member, "601", check=False).returncode == 1, "another number is another member"
    scene.daemon.ctl("mdb", "del", *member, "600")
    heard([1, 0])
    topology = scene.daemon.topology
    topology["vxlans"]["vx100"]["mdb"][0] |= {"dst": two.underlay, "vni": 600, "dstport": 8472}
    changes = reload(scene.daemon, topology)
    assert any(f"mdb[239.7.7.7 dst {two.underlay} vni 600 dstport 8472]" in line for line in changes), changes
    heard([0, 1])
