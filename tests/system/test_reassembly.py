"""Tunnel packets that a Linux kernel VTEP cuts into fragments, as its tenants' frames are longer than its uplink
takes (VX-39). Ours are cut, too: what is asked for comes back in fragments."""
import copy
import random


from scapy.layers.inet import fragment
from scapy.layers.inet6 import IPv6ExtHdrFragment, fragment6

from frames import IP, UDP, VXLAN, Ether, IPv6, Raw
from lab import wait_until
from scene import VTEP, Scene
from streams import Echo
from test_reload import reload
from test_underlay6 import VTEP6, six, six_scene


def long_frames(lab, **system):
    """Tenants on both sides send frames of 1,514 bytes without DF; the underlay takes as much."""
    scene = Scene(lab)
    tenant = scene.tenant()
    peer = scene.peers[0].vxlan()
    scene.segment(fragment="outer", mtu=1500)
    scene.start(**system)
    peer.namespace.ip("link set vx0 mtu 1500")
    # Else both learn what the underlay takes. What is not told this is sent without DF, TCP too.
    peer.namespace.ip(f"route replace 10.0.0.0/24 dev vx0 src {peer.inner4} mtu lock 1500")
    tenant.ip("route replace 10.0.0.0/24 dev acc0 src 10.0.0.1 mtu lock 1500")
    return scene, tenant, peer


def switched(scene, on):
    topology = copy.deepcopy(scene.daemon.topology)
    topology["ports"]["uplink0"]["reassembly"] = on
    assert any("ports.uplink0.reassembly" in line for line in reload(scene.daemon, topology))


def test_VX39_fragments_of_a_kernel_vtep_are_put_together_where_asked_for(lab):
    scene, tenant, peer = long_frames(lab)
    assert tenant.ping(peer.inner4) == 3
    assert peer.namespace.ping("10.0.0.1", options="-s 1472 -M dont", wait=0.3) == 0, "off unless said"
    assert scene.daemon.drops()["outer_fragment"] == 6
    switched(scene, True)
    before = scene.daemon.drops()
    for size in (1400, 1422, 1423, 1436, 1472, 4000):
        assert peer.namespace.ping("10.0.0.1", options=f"-s {size} -M dont", wait=1) == 3, size
        assert tenant.ping(peer.inner4, options=f"-s {size} -M dont", wait=1) == 3, size
    assert scene.daemon.drops() == before
    workers = scene.daemon.rpc("workers")
    assert sum(worker["reassembled"] for worker in workers) >= 2 * 3 * 4
    assert sum(worker["held_fragments"] for worker in workers) == 0
    with Echo(peer.namespace, peer.inner4) as echo:
        assert echo.round_trip(tenant, megabytes=2) == 2 << 20
    assert sum(worker["reassembled"] for worker in scene.daemon.rpc("workers")) > 500
    assert scene.daemon.rpc("health")["packets_unaccounted"] == 0
    switched(scene, False)
    assert peer.namespace.ping("10.0.0.1", options="-s 1472 -M dont", wait=0.3) == 0


def test_VX39_fragments_over_ipv6_are_put_together(lab):
    """The kernel's device sends none: they are made here."""
    scene = six_scene(lab)
    peer, tenant = six(scene, scene.peers[0], options="udpcsum"), scene.members["acc0"][0]
    scene.topology["ports"]["uplink0"]["reassembly"] = True
    scene.segment(local=VTEP6)
    scene.start()
    assert tenant.ping(peer.inner4) == 3
    wire, heard = lab.wire(scene.fabric, "und0"), lab.wire(tenant, "acc0")
    ends = {"dst": scene.daemon.port("uplink0")["mac"], "src": peer.namespace.mac("eth0")}
    chance, sent = random.Random(39), []
    for number in range(100):
        inner = (Ether(dst=tenant.mac("acc0"), src=peer.mac()) / IP(src=peer.inner4, dst="10.0.0.1", id=number) /
                 UDP(sport=1000, dport=9) / Raw(chance.randbytes(chance.randint(600, 1300))))
        packet = (IPv6(src=peer.underlay, dst=VTEP6) / IPv6ExtHdrFragment(id=number) / UDP(sport=40000, dport=4789) /
                  VXLAN(vni=100, flags="Instance") / inner)
        fragments = fragment6(packet, chance.choice((400, 700, 1100)))
        chance.shuffle(fragments)
        sent.append(bytes(inner))
        for one in fragments:
            wire.send(Ether(**ends) / one)
    seen = heard.frames(3, lambda frame: frame in sent, enough=len(sent))
    assert sorted(seen) == sorted(sent)
    assert scene.daemon.rpc("workers")[0]["reassembled"] == len(sent)
    assert scene.daemon.rpc("health")["packets_unaccounted"] == 0


def test_VX39_VX73_fragments_of_a_kernel_vtep_to_the_group_are_put_together(lab):
    scene = Scene(lab)
    tenant, peer = scene.tenant(), scene.peers[0]
    # A device of a group has no longer frames than its uplink has while it is told.
    peer.namespace.ip("link set eth0 mtu 1600")
    peer.vxlan(remote=None, options="group 239.1.1.1 dev eth0").namespace.ip("link set vx0 mtu 1500")
    peer.namespace.ip("link set eth0 mtu 1500")
    scene.segment(remotes=[], group="239.1.1.1", dev="uplink0", fragment="outer", mtu=1500)
    scene.topology["ports"]["uplink0"]["reassembly"] = True
    scene.start()
    peer.namespace.ip(f"route replace 10.0.0.0/24 dev vx0 src {peer.inner4} mtu lock 1500")
    peer.namespace.ip("neighbour replace 10.0.0.77 lladdr 02:00:00:00:00:77 dev vx0")  # nobody's: goes to the group
    assert peer.namespace.ping("10.0.0.1") == 3
    ear, heard = lab.wire(scene.fabric, "peer1"), lab.wire(tenant, "acc0")
    before = sum(worker["reassembled"] for worker in scene.daemon.rpc("workers"))
    for size in (1450, 1472):
        peer.namespace.ping("10.0.0.77", count=2, options=f"-s {size} -M dont", wait=0.3)
    sent = [frame for frame in ear.frames(0.5) if frame[:6] == bytes.fromhex("01005e010101") and frame[20] & 0x3F]
    assert len(sent) >= 4, "the kernel sends fragments to the group"
    seen = heard.frames(3, lambda frame: frame[:6] == bytes.fromhex("020000000077"), enough=4)
    assert sorted(len(frame) for frame in seen) == [1492, 1492, 1514, 1514]
    assert sum(worker["reassembled"] for worker in scene.daemon.rpc("workers")) >= before + 4
    assert not any("fragment" in reason for reason in scene.daemon.drops()), scene.daemon.drops()


def test_VX39_VX73_fragments_to_a_group_over_ipv6_are_put_together(lab):
    """Made here, as the kernel's device sends none."""
    scene, group = six_scene(lab), "ff05::100"
    peer, tenant = six(scene, scene.peers[0], remote=None, options=f"group {group} dev eth0"), scene.members["acc0"][0]
    scene.topology["ports"]["uplink0"]["reassembly"] = True
    scene.segment(remotes=[], local=VTEP6, group=group, dev="uplink0")
    scene.start()
    wire, heard = lab.wire(scene.fabric, "und0"), lab.wire(tenant, "acc0")
    ends = {"dst": "33:33:00:00:01:00", "src": peer.namespace.mac("eth0")}
    chance, sent = random.Random(73), []
    for number in range(50):
        inner = (Ether(dst=tenant.mac("acc0"), src=peer.mac()) / IP(src=peer.inner4, dst="10.0.0.1", id=number) /
                 UDP(sport=1000, dport=9) / Raw(chance.randbytes(chance.randint(600, 1300))))
        packet = (IPv6(src=peer.underlay, dst=group, hlim=1) / IPv6ExtHdrFragment(id=number) /
                  UDP(sport=40000, dport=4789) / VXLAN(vni=100, flags="Instance") / inner)
        fragments = fragment6(packet, chance.choice((400, 700, 1100)))
        chance.shuffle(fragments)
        sent.append(bytes(inner))
        for one in fragments:
            wire.send(Ether(**ends) / one)
    assert sorted(heard.frames(3, lambda frame: frame in sent, enough=len(sent))) == sorted(sent)
    assert scene.daemon.rpc("workers")[0]["reassembled"] == len(sent)
    assert scene.daemon.rpc("health")["packets_unaccounted"] == 0


def test_VX39_what_waits_in_vain_is_counted_and_gives_its_buffers_back(lab):
    scene, tenant, peer = long_frames(lab, idle="interrupt")  # a worker that sleeps wakes for it
    switched(scene, True)
    uplink = scene.daemon.port("uplink0")["mac"]
    wire = lab.wire(scene.fabric, "und0")
    inner = Ether(dst=tenant.mac("acc0"), src=peer.mac()) / IP(src=peer.inner4, dst="10.0.0.1") / UDP() / Raw(b"x" * 400)
    packet = IP(src=peer.underlay, dst=VTEP) / UDP(sport=40000, dport=4789, chksum=0) / VXLAN(vni=100, flags="Instance") / inner
    for number in range(1500):  # more datagrams than may wait, and the ends of none of them
        packet[IP].id = number
        wire.send(Ether(dst=uplink, src=peer.namespace.mac("eth0")) / fragment(packet, 200)[0])
    held = lambda: sum(worker["held_fragments"] for worker in scene.daemon.rpc("workers"))  # noqa: E731
    wait_until(lambda: held() + scene.daemon.drops().get("outer_fragment_full", 0) == 1500, 5, "all have come")
    assert held() <= 1024
    # A datagram of somebody else finds room.
    assert peer.namespace.ping("10.0.0.1", options="-s 1472 -M dont", wait=1) == 3
    wait_until(lambda: held() == 0, 35, "given up after 30 seconds")
    drops = scene.daemon.drops()
    assert drops["outer_fragment_lost"] + drops["outer_fragment_full"] == 1500 and drops["outer_fragment_lost"] > 0
    assert scene.daemon.rpc("health")["packets_unaccounted"] == 0
