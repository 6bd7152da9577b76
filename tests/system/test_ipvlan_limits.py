"""Connections at their limits: port range exhausted, table full, first fragments that never come."""
import socket

import pytest

from frames import IP, TCP, Raw
from ipvlan import datagram
from lab import wait_until
from tenants import INTERNET, MASTER, PUBLIC, Tenants, Who, connect, curl


class Mirror:
    """Answers UDP, so that both sides of a connection have spoken."""

    def __init__(self, namespace, port=7):
        def listen():
            server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            server.bind(("0.0.0.0", port))
            return server
        self.server = namespace.entered(listen)

    def answer(self, at_least=1):
        """Answers until that many have asked and no more come; returns who asked."""
        asked = set()
        try:
            while True:
                self.server.settimeout(10 if len(asked) < at_least else 0.3)
                data, who = self.server.recvfrom(2048)
                self.server.sendto(data, who)
                asked.add(who)
        except TimeoutError:
            return asked


def senders(namespace, count):
    def make():
        links = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
        for link in links:
            link.settimeout(2)
        return links
    return namespace.entered(make)


def test_port_range_exhausted_is_counted_and_over_when_ports_are_free(lab):
    scene = Tenants(lab, masquerade_ports="20000-20015")
    scene.start()
    mirror = Mirror(scene.internet)
    links = senders(scene.netns("red-db"), 24)
    for link in links:
        link.sendto(b"hello", (INTERNET, 7))
    asked = mirror.answer(at_least=16)
    assert len(asked) == 16 and {port for _, port in asked} == set(range(20000, 20016))
    assert {address for address, _ in asked} == {MASTER}
    wait_until(lambda: scene.drops("nat_ports_exhausted") == 8, 10, "the others are refused")
    # Ports are those of one remote end: another one has them all again. The other tenant shares them.
    other = senders(scene.netns("blue-db"), 1)[0]
    other.sendto(b"hello", (INTERNET, 7))
    wait_until(lambda: scene.drops("nat_ports_exhausted") == 9, 10, "blue has the same ports")
    assert curl(scene.netns("red-web"), INTERNET, port=81) is None  # 1:1 needs no port of the range
    assert scene.drops("nat_ports_exhausted") == 9
    scene.daemon.ctl("conntrack", "flush", "vrf", "red")
    wait_until(lambda: not scene.connections(vrf="red", protocol="udp"), 10, "red's are gone")
    other.sendto(b"hello", (INTERNET, 7))
    assert mirror.answer() != set()
    assert other.recv(100) == b"hello"


def test_table_full_is_counted_and_what_is_established_stays(lab):
    scene = Tenants(lab, conntrack={"capacity": 64})
    scene.start()
    scene.daemon.ctl("conntrack", "flush")
    who = Who(scene.internet, "internet")
    links, refused = [], 0
    for _ in range(70):
        try:
            links.append(connect(scene.netns("red-db"), INTERNET, 80, timeout=1 if refused == 0 else 0.05))
        except TimeoutError:
            refused += 1
    assert refused >= 1 and len(links) <= 64
    assert scene.drops("ct_table_full") >= refused
    shown = scene.counted()
    assert shown["used"] <= shown["high_water"] <= shown["capacity"] == 64 and shown["refused"] >= refused, shown
    for link in links[:8]:
        link.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"internet" in link.recv(200)
    for link in links:
        link.close()
    who.close()


def test_connections_without_an_answer_make_room(lab):
    """A flood of SYNs that nobody answers takes the place of nothing but itself."""
    scene = Tenants(lab, conntrack={"capacity": 256})
    scene.start()
    who = Who(scene.internet, "internet")
    link = connect(scene.netns("blue-db"), INTERNET, 80)
    mouth = lab.wire(scene.netns("red-db"), "red-db")
    master = scene.daemon.port("uplink0")["mac"]
    scene.internet.ip("route add blackhole 192.0.2.1/32")
    for number in range(1000):
        mouth.send(datagram(master, master, "10.0.0.6", INTERNET,
                            TCP(sport=10000 + number, dport=81, flags="S", seq=number)))
        if number % 100 == 99:
            wait_until(lambda: scene.counted()["created"] > number, 5, "they are seen")
    scene.internet.ip("route del blackhole 192.0.2.1/32")
    shown = scene.counted()
    assert shown["used"] <= 256 and shown["early_drops"] > 700, shown
    for name in ("red-db", "blue-web"):
        assert curl(scene.netns(name), INTERNET)[0] == "internet", "a new one finds room"
    link.sendall(b"GET / HTTP/1.0\r\n\r\n")
    assert b"internet" in link.recv(200), "an established one was dropped"
    link.close()
    who.close()


def test_fragments_follow_their_first_and_are_counted_without_it(lab):
    scene = Tenants(lab)
    scene.start()
    assert scene.netns("red-db").ping(INTERNET, options="-s 4000", wait=4) == 3
    assert scene.internet.ping(PUBLIC["blue-web"], options="-s 4000", wait=4) == 3
    before = scene.drops("ct_fragment_no_first")
    later = datagram(scene.gateway.mac("eth0"), scene.daemon.port("uplink0")["mac"], INTERNET, PUBLIC["red-web"],
                     Raw(b"later fragment" * 4), id=777, frag=100, proto=17)
    ear = lab.wire(scene.netns("red-web"), "red-web")
    for _ in range(3):
        lab.wire(scene.gateway, "eth0").send(later)
    wait_until(lambda: scene.drops("ct_fragment_no_first") == before + 3, 5, "three are counted")
    assert not ear.frames(0.1, lambda frame: b"later fragment" in frame)


@pytest.mark.parametrize("mode", ["l3", "l3s"])
def test_related_errors_find_their_connection(lab, mode):
    """The wire tells of a closed port and of an MTU; the slave hears it in its own addresses."""
    scene = Tenants(lab, mode)
    scene.start()
    link = senders(scene.netns("red-db"), 1)[0]
    link.connect((INTERNET, 9))
    link.send(b"hello")
    with pytest.raises(ConnectionRefusedError):
        link.recv(100)
    scene.gateway.ip("link set inet0 mtu 1300")
    scene.internet.ip("link set eth0 mtu 1300")
    text = scene.netns("blue-web").run(f"ping -n -c 1 -W 2 -s 1400 -M do {INTERNET}", check=False)
    assert "mtu = 1300" in text or "mtu=1300" in text, text
    ear = lab.wire(scene.internet, "eth0")
    scene.netns("blue-db").ping(INTERNET, count=1, options="-s 1000")
    assert {IP(frame[14:]).src for frame in ear.frames(0.5, lambda frame: frame[12:14] == b"\x08\x00", enough=1)} == {MASTER}
