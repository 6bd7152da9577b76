"""The underlay side: ARP, ICMP echo, neighbours, routes, and the kernel twin of an uplink."""
import socket
import time

from frames import ARP, BROADCAST, Ether, is_tagged, numbers, tagged
from lab import wait_until
from scene import VTEP, Scene, vtep_pair
from streams import Echo


def arp(frame):
    return ARP(frame[14:]) if frame[12:14] == b"\x08\x06" else None


def test_RP65_answers_arp_and_ping_for_its_own_address_only(lab):
    scene = vtep_pair(lab)
    peer = scene.peers[0].namespace
    assert peer.ping(VTEP, count=5) == 5
    assert peer.ping(VTEP, count=2, options="-s 1472 -M do") == 2
    assert peer.ping("192.0.2.200", count=1) == 0
    entries = peer.ip("neighbour show dev eth0")
    assert scene.daemon.port("uplink0")["mac"] in entries
    assert "192.0.2.200" not in [line.split()[0] for line in entries.splitlines() if "lladdr" in line]


def test_gratuitous_arp_on_start_is_seen_on_the_wire(lab):
    scene = Scene(lab, underlay="veth")
    ear = lab.wire(scene.fabric, "und0")
    scene.tenant()
    scene.peers[0].vxlan()
    scene.segment()
    daemon = scene.start()
    seen = ear.frames(2, lambda frame: (packet := arp(frame)) and packet.psrc == packet.pdst == VTEP, enough=1)
    assert seen, "no gratuitous ARP within 2 s"
    assert seen[0][:6] == b"\xff" * 6 and arp(seen[0]).hwsrc == daemon.port("uplink0")["mac"]


def test_RP61_neighbour_resolves_and_a_dead_one_fails(lab):
    scene = vtep_pair(lab, remotes=["192.0.2.11", "192.0.2.99"])
    tenant, peer = scene.members["acc0"][0], scene.peers[0]
    assert tenant.ping(peer.inner4) == 3
    alive = wait_until(lambda: scene.daemon.neighbour(peer.underlay), 1, "the peer is a neighbour")
    assert alive["state"] in ("reachable", "stale", "delay", "probe") and alive["lladdr"] == peer.mac("eth0")
    wait_until(lambda: scene.daemon.neighbour("192.0.2.99")["state"] == "failed", 6, "three probes fail")
    wait_until(lambda: scene.daemon.drops().get("neigh_failed", 0) > 0, 1, "what waited is counted")
    assert tenant.ping(peer.inner4, count=70, interval=0.1) == 70, "a dead remote must not hurt the others"
    assert scene.daemon.neighbour(peer.underlay)["state"] == "reachable", "traffic did not confirm it"


def test_RP62_packets_wait_for_the_answer_and_leave_in_order(lab):
    scene = vtep_pair(lab, start=False)
    tenant, peer = scene.members["acc0"][0], scene.peers[0]
    peer.namespace.ip("link set eth0 arp off")
    scene.start(settle=False)
    time.sleep(0.3)
    ear = lab.wire(peer.namespace, "vx0")
    mouth = lab.wire(tenant, "acc0")
    for number in range(30):
        mouth.send(tagged("02:00:00:00:0a:01", BROADCAST, number))
    assert ear.frames(0.3, is_tagged) == []
    assert scene.daemon.neighbour(peer.underlay)["state"] == "incomplete"
    peer.namespace.ip("link set eth0 arp on")
    assert numbers(ear.frames(3, is_tagged, enough=30)) == list(range(30))


def test_RP66_changed_mac_of_a_peer_is_picked_up_from_its_gratuitous_arp(lab):
    scene = vtep_pair(lab)
    tenant, peer = scene.members["acc0"][0], scene.peers[0]
    assert tenant.ping(peer.inner4) == 3
    fresh = "02:00:00:00:ee:01"
    peer.namespace.ip(f"link set eth0 address {fresh}")
    lab.wire(peer.namespace, "eth0").send(Ether(src=fresh, dst=BROADCAST) / ARP(
        op=1, hwsrc=fresh, psrc=peer.underlay, hwdst="00:00:00:00:00:00", pdst=peer.underlay))
    wait_until(lambda: scene.daemon.neighbour(peer.underlay)["lladdr"] == fresh, 1, "the new MAC is taken")
    assert tenant.ping(peer.inner4) == 3


def test_RP64_unsolicited_answers_create_no_neighbours(lab):
    scene = vtep_pair(lab, remotes=[])
    daemon, peer = scene.daemon, scene.peers[0]
    stranger = "02:00:00:00:ee:02"
    lab.wire(peer.namespace, "eth0").send(Ether(src=stranger, dst=daemon.port("uplink0")["mac"]) / ARP(
        op=2, hwsrc=stranger, psrc="192.0.2.77", hwdst=daemon.port("uplink0")["mac"], pdst=VTEP))
    time.sleep(0.3)
    assert daemon.neighbour("192.0.2.77") is None


def test_RP71_remote_behind_a_gateway_is_reached_by_the_longest_prefix(lab):
    """The peer's VTEP address is on its loopback: only the route tells the way."""
    scene = Scene(lab)
    tenant = scene.tenant()
    peer = scene.peers[0]
    peer.namespace.ip("address add 198.51.100.1/32 dev lo")
    gateway, peer.underlay = peer.underlay, "198.51.100.1"
    peer.vxlan()
    scene.segment()
    scene.topology["routes"] = [{"to": "default", "type": "blackhole"}, {"to": "198.51.100.0/24", "via": gateway},
                                {"to": "198.51.100.128/25", "type": "unreachable"}]
    scene.start()
    assert tenant.ping(peer.inner4) == 3
    assert scene.daemon.neighbour(gateway)["lladdr"] == peer.mac("eth0")


def test_RP71_blackhole_and_unreachable_routes_drop_with_their_own_reasons(lab):
    scene = Scene(lab)
    tenant = scene.tenant()
    scene.segment(remotes=["203.0.113.1", "203.0.113.2", "203.0.113.3", "198.51.100.9"])
    scene.topology["routes"] = [{"to": "203.0.113.1/32", "type": "blackhole"},
                                {"to": "203.0.113.2/32", "type": "unreachable"},
                                {"to": "203.0.113.3/32", "type": "prohibit"}]
    scene.start()
    lab.wire(tenant, "acc0").send(tagged("02:00:00:00:0a:01", BROADCAST))
    wanted = {"tunnel_blackhole", "tunnel_unreachable", "tunnel_prohibited", "tunnel_no_route"}
    wait_until(lambda: wanted <= scene.daemon.drops().keys(), 1, f"all of {wanted} are counted")


def test_host_twin_gives_the_kernel_what_is_not_vxlan(lab):
    """The uplink's address is the kernel's too: ping and TCP of the host pass through the twin."""
    scene = Scene(lab)
    tenant, peer = scene.tenant(), scene.peers[0].vxlan()
    scene.segment()
    scene.topology["ports"]["uplink0"]["host"] = "twin0"
    scene.start()
    wait_until(lambda: scene.host.has("twin0"), 2, "the twin exists")
    scene.host.up("twin0", f"{VTEP}/24")
    assert scene.host.ping(peer.underlay, count=5) == 5
    assert peer.namespace.ping(VTEP, count=5) == 5
    with Echo(peer.namespace, peer.underlay) as echo:
        assert echo.round_trip(scene.host, megabytes=2) == 2 << 20
    with Echo(scene.host, VTEP) as echo:
        assert echo.round_trip(peer.namespace, megabytes=2) == 2 << 20
    assert tenant.ping(peer.inner4) == 3, "VXLAN is not for the kernel"


def test_without_a_twin_foreign_packets_are_counted(lab):
    scene = vtep_pair(lab)
    peer = scene.peers[0].namespace
    assert peer.ping(VTEP, count=1) == 1
    before = scene.daemon.drops().get("host_unclaimed", 0)
    with peer.entered(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as link:
        for _ in range(5):
            link.sendto(b"hello", (VTEP, 9))
    wait_until(lambda: scene.daemon.drops().get("host_unclaimed", 0) >= before + 5, 1, "five are counted")
