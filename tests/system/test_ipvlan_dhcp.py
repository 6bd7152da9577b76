"""DHCP of l2 slaves, which share one MAC address: answers find who asked, and what is leased leads there."""
import struct

from frames import BROADCAST, IP, UDP, Ether, Raw
from ipvlan import MASTER4, Ipvlan, datagram, reaches, silent
from lab import wait_until

ONE, PEER, LEASED = "192.0.2.101", "192.0.2.11", "192.0.2.150"
DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE = range(1, 8)


def ip_bytes(address):
    return bytes(map(int, address.split(".")))


def option(code, value):
    return bytes([code, len(value)]) + value


def bootp(operation, transaction, mac, kind, client="0.0.0.0", yours="0.0.0.0", flags=0, options=b"", end=b"\xff"):
    head = struct.pack("!BBBBIHH", operation, 1, 6, 0, transaction, 0, flags)
    return head + ip_bytes(client) + ip_bytes(yours) + bytes(8) + bytes.fromhex(mac.replace(":", "")) + \
        bytes(10 + 192) + b"\x63\x82\x53\x63" + option(53, bytes([kind])) + options + end


def reply(frame):
    """(transaction, kind) of a server's message, or None."""
    if frame[12:14] != b"\x08\x00" or frame[23] != 17 or frame[34:38] != b"\0\x43\0\x44":
        return None
    return int.from_bytes(frame[46:50], "big"), frame[42 + 240 + 2]


class Talk:
    """A client in a slave and a server on the wire, frame by frame."""

    def __init__(self, lab, scene):
        self.scene, self.lab = scene, lab
        self.peer = scene.peers[0].namespace
        self.server, self.server_mac = lab.wire(self.peer, "eth0"), self.peer.mac("eth0")
        self.mac = scene.daemon.port("uplink0")["mac"]
        self.ears = {name: lab.wire(namespace, name) for name, (namespace, _, _) in scene.members.items()}

    def ask(self, name, kind, transaction, client="0.0.0.0", wanted=None, to="255.255.255.255", heard=True):
        options = option(50, ip_bytes(wanted)) if wanted else b""
        mac = BROADCAST if to == "255.255.255.255" else self.server_mac
        self.ears[name].send(datagram(self.mac, mac, client, to, UDP(sport=68, dport=67) / Raw(
            bootp(1, transaction, self.mac, kind, client=client, options=options + option(61, b"\xff" + name.encode())))))
        if heard:
            asked = struct.pack("!I", transaction)
            assert self.server.frames(3, lambda frame: frame[34:38] == b"\0\x44\0\x43" and frame[46:50] == asked,
                                      enough=1), "the server hears it"

    def answer(self, kind, transaction, address, seconds=3600, broadcast=False, extra=b""):
        options = option(54, ip_bytes(PEER)) + (option(51, struct.pack("!I", seconds)) if seconds else b"") + extra
        self.server.send(Ether(src=self.server_mac, dst=BROADCAST if broadcast else self.mac) /
                         IP(src=PEER, dst="255.255.255.255" if broadcast else address) /
                         UDP(sport=67, dport=68) / Raw(bootp(2, transaction, self.mac, kind, yours=address, options=options)))

    def hears(self, name, kind, transaction, seconds=3.0):
        return self.ears[name].frames(seconds, lambda frame: reply(frame) == (transaction, kind), enough=1)

    def lease(self, name, transaction, address, seconds=3600):
        for asked, answered in ((DISCOVER, OFFER), (REQUEST, ACK)):
            self.ask(name, asked, transaction, wanted=address if asked == REQUEST else None)
            self.answer(answered, transaction, address, seconds)
            assert self.hears(name, answered, transaction), f"{name} gets its answer"

    def leases(self, name):
        return {lease["address"]: lease for lease in self.scene.daemon.rpc("slaves", name=name)[0]["leases"]}


def talk(lab, **words):
    scene = Ipvlan(lab, "l2", dhcp_snoop=True, **words)
    scene.slave("s1", f"{ONE}/24")
    scene.slave("s2", kernel=[])
    scene.slave("s3", kernel=[])
    scene.start()
    reaches(scene.peers[0].namespace, ONE)
    return Talk(lab, scene)


def test_IV19_a_unicast_offer_finds_who_asked_and_the_lease_leads_there(lab):
    t = talk(lab)
    two = t.scene.netns("s2")
    t.lease("s2", 7001, LEASED)
    assert not t.ears["s1"].frames(0.1, reply) and not t.ears["s3"].frames(0.1, reply)
    lease = t.leases("s2")[LEASED]
    assert lease["origin"] == "dhcp" and 3500 < lease["expires_s"] <= 3600
    assert f"ipvl0/s2 address {LEASED} origin dhcp expires 3" in t.scene.daemon.ctl("slave", "show", "s2").stdout
    two.ip(f"address add {LEASED}/24 dev s2")
    reaches(t.peer, LEASED)
    assert t.peer.ping(LEASED, wait=4) == 3 and two.ping(PEER, wait=4) == 3 and two.ping(ONE, wait=4) == 3
    # A renewal is unicast both ways, and the address is its own by now.
    t.ask("s2", REQUEST, 7002, client=LEASED, to=PEER)
    t.answer(ACK, 7002, LEASED, seconds=7200)
    assert t.hears("s2", ACK, 7002)
    wait_until(lambda: t.leases("s2")[LEASED]["expires_s"] > 7000, 3, "the lease is renewed")
    # A reload that has nothing to do with it keeps it.
    t.scene.reload(lambda topology: topology["ipvlans"]["ipvl0"].update({"host-access": True}))
    assert t.peer.ping(LEASED, wait=4) == 3
    t.ask("s2", RELEASE, 7003, client=LEASED, to=PEER)
    wait_until(lambda: not t.leases("s2"), 3, "the lease is given back")
    assert silent(t.peer, LEASED)


def test_IV19_a_lease_ends_with_its_time_or_by_a_no(lab):
    t = talk(lab)
    t.lease("s2", 7001, LEASED, seconds=2)
    t.lease("s3", 7002, "192.0.2.151", seconds=0xFFFFFFFF)
    assert "expires_s" not in t.leases("s3")["192.0.2.151"]
    wait_until(lambda: not t.leases("s2"), 6, "two seconds are over")
    t.ask("s3", REQUEST, 7003, wanted="192.0.2.151")
    t.answer(NAK, 7003, "0.0.0.0", seconds=0, broadcast=True)
    wait_until(lambda: not t.leases("s3"), 3, "the server took it back")


def test_IV19_broadcast_answers_lease_too_and_what_nobody_asked_for_is_the_hosts(lab):
    t = talk(lab)
    t.ask("s2", REQUEST, 7001, wanted=LEASED)
    t.answer(ACK, 7001, LEASED, broadcast=True)
    wait_until(lambda: LEASED in t.leases("s2"), 3, "the lease is known")
    assert t.hears("s2", ACK, 7001) and t.hears("s1", ACK, 7001), "a broadcast is for all"
    before = t.scene.drops("host_unclaimed")
    t.answer(ACK, 9999, "192.0.2.160")
    wait_until(lambda: t.scene.drops("host_unclaimed") > before, 3, "the answer is the host's, which has no port here")
    assert not any(t.leases(name) for name in ("s1", "s3"))
    # To the address of a slave it is delivered, whoever asked.
    t.answer(OFFER, 9998, ONE)
    assert t.hears("s1", OFFER, 9998)


def test_IV06_a_lease_of_what_is_somebody_elses_is_refused(lab):
    t = talk(lab)
    for transaction, (address, owner) in enumerate({ONE: "slave ipvl0/s1", MASTER4: "the link"}.items(), 7001):
        before = t.scene.drops("slave_lease_refused")
        t.ask("s2", REQUEST, transaction, wanted=address)
        t.answer(ACK, transaction, address)
        wait_until(lambda: t.scene.drops("slave_lease_refused") > before, 3, "it is counted")
        assert owner in t.scene.daemon.log()
    t.lease("s2", 7010, LEASED)
    t.ask("s3", REQUEST, 7011, wanted=LEASED)
    t.answer(ACK, 7011, LEASED)
    wait_until(lambda: f"{LEASED}: it is leased to slave ipvl0/s2" in t.scene.daemon.log(), 3, "the slave is named")
    assert not t.leases("s3") and t.peer.ping(ONE, wait=4) == 3
    # A topology that gives the address to another slave ends the lease.
    t.scene.reload(lambda topology: topology["ipvlans"]["ipvl0"]["slaves"]["s3"].update({"addresses": [f"{LEASED}/24"]}))
    assert not t.leases("s2") and "its lease of" in t.scene.daemon.log()


def test_IV19_bad_messages_lease_nothing(lab):
    t = talk(lab)
    bad = (option(51, b"\0\0"), option(51, b""), b"\x33\xff", option(52, b"\x07"), option(52, b"\x03") + b"\x33\x04\x01",
           option(53, b""))
    for transaction, extra in enumerate(bad, 7001):
        t.ask("s2", REQUEST, transaction, wanted=LEASED)
        t.answer(ACK, transaction, LEASED, seconds=0, extra=extra)
    for transaction, address in enumerate(("0.0.0.0", "127.0.0.1", "239.1.1.1", "255.255.255.255"), 7101):
        t.ask("s2", REQUEST, transaction, wanted=LEASED)
        t.server.send(datagram(t.server_mac, t.mac, PEER, LEASED, UDP(sport=67, dport=68) / Raw(
            bootp(2, transaction, t.mac, ACK, yours=address, options=option(51, b"\0\0\1\0")))))
    for transaction in range(8000, 9000):  # a slave that asks without end
        t.ask("s3", DISCOVER, transaction, heard=False)
    t.lease("s2", 9100, LEASED)
    assert set(t.leases("s2")) == {LEASED} and not t.leases("s3")
    assert t.scene.daemon.rpc("health")["packets_unaccounted"] == 0


def test_IV19_off_leaves_answers_to_the_host(lab):
    t = talk(lab)
    t.lease("s2", 7001, LEASED)
    t.scene.reload(lambda topology: topology["ipvlans"]["ipvl0"].update({"dhcp-snoop": False}))
    assert not t.leases("s2")
    before = t.scene.drops("host_unclaimed")
    t.ask("s2", DISCOVER, 7002)
    t.answer(OFFER, 7002, LEASED)
    wait_until(lambda: t.scene.drops("host_unclaimed") > before, 3, "nobody has the address")
    assert "mode: l2" in t.scene.refused_reload(
        lambda topology: topology["ipvlans"]["ipvl0"].update({"dhcp-snoop": True, "mode": "l3"}))
