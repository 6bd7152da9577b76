"""Copies of broadcasts have a limit in each poll; what is beyond it is counted, and nothing else suffers."""
import os
import signal

from frames import BROADCAST, UDP, Raw
from ipvlan import Ipvlan, datagram, reaches
from lab import wait_until

SLAVES, EACH, LIMIT = 7, 60, 1000


def test_IV13_more_copies_than_the_limit_are_counted_and_unicast_goes_on(lab):
    """The daemon is asleep while everybody shouts: it finds all in one poll."""
    scene = Ipvlan(lab, "l2")
    for number in range(1, SLAVES + 1):
        scene.slave(f"s{number}", f"192.0.2.{100 + number}/24")
    scene.start(memory="192M")
    peer = scene.peers[0].namespace
    for number in range(1, SLAVES + 1):
        reaches(peer, f"192.0.2.{100 + number}")
    ear = lab.wire(peer, "eth0")
    mouths = {number: lab.wire(scene.netns(f"s{number}"), f"s{number}") for number in range(1, SLAVES + 1)}
    mac = scene.daemon.port("uplink0")["mac"]

    def heard_copies():
        return sum(row["rx"]["multicast"] for row in scene.daemon.rpc("slaves"))
    copies, before = heard_copies(), scene.daemon.drops()
    os.kill(scene.daemon.process.pid, signal.SIGSTOP)
    try:
        for number, mouth in mouths.items():
            own = f"192.0.2.{100 + number}"
            shout = datagram(mac, BROADCAST, own, "192.0.2.255", UDP(sport=9, dport=9) / Raw(b"shout"))
            for _ in range(EACH):
                mouth.send(shout)
            mouth.send(datagram(mac, peer.mac("eth0"), own, "192.0.2.11", UDP(sport=9, dport=9) / Raw(b"unicast")))
    finally:
        os.kill(scene.daemon.process.pid, signal.SIGCONT)
    wanted = SLAVES * EACH * (SLAVES - 1)

    def refused():
        return scene.drops("slave_copies_full") - before.get("slave_copies_full", 0)
    wait_until(lambda: heard_copies() - copies + refused() == wanted, 10, "each copy is made or counted")
    assert refused() >= wanted - 2 * LIMIT, "a second poll at most"
    assert refused() > 0 and heard_copies() - copies >= LIMIT
    # The originals, and what is for one alone, have all left.
    kinds = [frame[-7:] for frame in ear.frames(5, lambda frame: frame.endswith((b"shout", b"unicast")),
                                                enough=SLAVES * (EACH + 1))]
    assert kinds.count(b"unicast") == SLAVES and len(kinds) == SLAVES * (EACH + 1)
    assert {reason for reason, count in scene.daemon.drops().items() if count != before.get(reason)} == {
        "slave_copies_full"}
