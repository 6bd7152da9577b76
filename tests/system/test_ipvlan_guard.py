"""Slaves that speak in the name of others, or that want all of control for themselves."""
from frames import ARP, BROADCAST, IP, UDP, Dot1Q, Ether, Raw
from ipvlan import Ipvlan, reaches
from lab import wait_until

ONE, TWO, PEER = "192.0.2.101", "192.0.2.102", "192.0.2.11"


def test_IV44_a_bridged_slave_cannot_take_the_name_of_another(lab):
    scene = Ipvlan(lab, "l2")
    one = scene.slave("s1", f"{ONE}/24", check_source=True)
    scene.slave("s2", f"{TWO}/24")
    scene.start()
    peer = scene.peers[0].namespace
    for address in (ONE, TWO):
        reaches(peer, address)
    mouth, ear = lab.wire(one, "s1"), lab.wire(peer, "eth0")
    own = one.mac("s1")
    forged = ARP(op=2, hwsrc="02:66:66:66:66:66", psrc=TWO, hwdst=peer.mac("eth0"), pdst=PEER)
    mouth.send(Ether(src=own, dst=peer.mac("eth0")) / forged)
    mouth.send(Ether(src=own, dst=BROADCAST) / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=7, dport=9) /
               Raw(b"forged"))
    mouth.send(Ether(src=own, dst=BROADCAST) / Dot1Q(vlan=5) / IP(src=ONE, dst=PEER) / Raw(b"forged"))
    wait_until(lambda: scene.drops("slave_spoofed") >= 2 and scene.drops("slave_vlan") >= 1, 10, "they are counted")
    assert ear.frames(0.2, lambda frame: b"forged" in frame or b"\x02\x66\x66\x66" in frame) == []
    assert "02:66:66" not in peer.ip(f"neighbour show {TWO}")
    mouth.send(Ether(src=own, dst=BROADCAST) / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) /
               Raw(b"discover"))
    assert ear.frames(5, lambda frame: b"discover" in frame, enough=1), "who asks for an address is heard"
    for address in (ONE, TWO):
        assert peer.ping(address, wait=4) == 3


def test_a_storm_of_one_slave_leaves_control_to_the_others(lab):
    scene = Ipvlan(lab, "l3")
    one = scene.slave("s1", "10.1.0.5/24", gateway="10.1.0.1")
    two = scene.slave("s2", "10.2.0.5/24", gateway="10.2.0.1")
    scene.lead("10.0.0.0/8").start()
    reaches(one, PEER)
    mouth = lab.wire(one, "s1")
    ask = bytes(Ether(src=one.mac("s1"), dst=BROADCAST) /
                ARP(op=1, hwsrc=one.mac("s1"), psrc="10.1.0.5", pdst="10.1.0.77"))

    def storm():
        for _ in range(3000):
            mouth.send(ask)
        return scene.drops("control_share") > 0
    wait_until(storm, 20, "one slave has asked for more than its share")
    two.ip("neighbour flush all")
    storm()
    assert two.ping(PEER, count=1, wait=4) == 1, "the other's ARP is answered"
    assert scene.drops("control_rate") == 0
