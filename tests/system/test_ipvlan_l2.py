"""ipvlan in mode l2: slaves speak ARP and ND themselves, in the subnet of the wire, and hear groups."""
import pytest

from frames import ARP, BROADCAST, IP, UDP, Ether, Raw
from ipvlan import MASTER4, Ipvlan, datagram, reaches, silent
from lab import wait_until
from streams import Echo

ONE, TWO, PEER = "192.0.2.101", "192.0.2.102", "192.0.2.11"


def segment(lab, start=True, ipv6=False, **words):
    scene = Ipvlan(lab, "l2", **words)
    if ipv6:
        scene.with_ipv6()
    scene.slave("s1", f"{ONE}/24", *(["2001:db8::101/64"] if ipv6 else []), ipv6=ipv6)
    scene.slave("s2", f"{TWO}/24", *(["2001:db8::102/64"] if ipv6 else []), ipv6=ipv6, groups=["239.1.1.1"])
    if start:
        scene.start()
    return scene


def shouts(frame):
    return frame.endswith(b"shout")


def test_IV11_IV31_IV32_slaves_siblings_and_peers(lab):
    scene = segment(lab, start=False)
    scene.uplink["host"] = "twin0"
    scene.start()
    scene.host.up("twin0", f"{MASTER4}/24")
    one, two, peer = scene.netns("s1"), scene.netns("s2"), scene.peers[0].namespace
    for here, address in ((one, PEER), (peer, ONE), (two, PEER), (one, TWO), (two, ONE), (scene.host, PEER)):
        reaches(here, address)
        assert here.ping(address, wait=4) == 3, f"{address} from {here.name}"
    for near, far, address in ((one, peer, PEER), (peer, two, TWO), (two, one, ONE)):
        with Echo(far, address) as echo:
            assert echo.round_trip(near, megabytes=2) == 2 << 20
    assert scene.daemon.port("uplink0")["mac"] in peer.ip(f"neighbour show {ONE}")
    # IV-34: the host is apart from its slaves, unless it is asked for.
    assert silent(scene.host, ONE) and silent(one, MASTER4)
    scene.reload(lambda topology: topology["ipvlans"]["ipvl0"].update({"host-access": True}))
    reaches(scene.host, ONE)
    reaches(one, MASTER4)
    assert peer.ping(ONE, wait=4) == 3


def test_IV11_ipv6_by_neighbour_discovery(lab):
    scene = segment(lab, ipv6=True)
    one, two, peer = scene.netns("s1"), scene.netns("s2"), scene.peers[0].namespace
    for here, address in ((one, "2001:db8::11"), (peer, "2001:db8::102"), (one, "2001:db8::102"),
                          (two, "2001:db8::101")):
        reaches(here, address)
        assert here.ping(address, wait=4) == 3, f"{address} from {here.name}"
    with Echo(two, "2001:db8::102") as echo:
        assert echo.round_trip(peer, megabytes=1) == 1 << 20


def test_IV12_IV15_groups_reach_those_that_hear_them_once(lab):
    scene = segment(lab)
    one, two, peer = scene.netns("s1"), scene.netns("s2"), scene.peers[0].namespace
    reaches(peer, ONE)
    reaches(peer, TWO)
    ears = {"s1": lab.wire(one, "s1"), "s2": lab.wire(two, "s2"), "peer": lab.wire(peer, "eth0")}

    def said(namespace, ifname, group_mac, group, source, by):
        """How often each hears it when `namespace` says it; all of `by` have to."""
        mouth = lab.wire(namespace, ifname)
        mouth.send(datagram(namespace.mac(ifname), group_mac, source, group, UDP(sport=9, dport=9) / Raw(b"shout")))
        heard = {name: len(ears[name].frames(5, shouts, enough=1)) for name in by}
        return {name: heard.get(name, 0) + len(ear.frames(0.1, shouts)) for name, ear in ears.items()}
    assert said(peer, "eth0", BROADCAST, "192.0.2.255", PEER, ("s1", "s2")) == {"s1": 1, "s2": 1, "peer": 0}
    assert said(one, "s1", BROADCAST, "192.0.2.255", ONE, ("s2", "peer")) == {"s1": 0, "s2": 1, "peer": 1}
    assert said(peer, "eth0", "01:00:5e:01:01:01", "239.1.1.1", PEER, ("s2",)) == {"s1": 0, "s2": 1, "peer": 0}
    assert said(peer, "eth0", "01:00:5e:01:01:02", "239.1.1.2", PEER, ()) == {"s1": 0, "s2": 0, "peer": 0}
    # IV-16, IV-17: said on the uplink's own port, for no bridge carries PAUSE frames there. Even who
    # hears all groups hears the next one first.
    scene.reload(lambda topology: topology["ipvlans"]["ipvl0"]["slaves"]["s1"].update(allmulticast=True))
    uplink, mouth = lab.wire(scene.fabric, "und0"), lab.wire(one, "s1")
    pause = Ether(src=peer.mac("eth0"), dst="01:80:c2:00:00:01", type=0x8808) / Raw(b"\0\1\0\0" + b"shout" * 9)
    stranger = datagram(peer.mac("eth0"), "02:00:00:00:99:99", PEER, ONE, UDP(sport=9, dport=9) / Raw(b"shout"))
    group = datagram(peer.mac("eth0"), "01:00:5e:01:01:02", PEER, "239.1.1.2", UDP(sport=9, dport=9) / Raw(b"shout"))
    before = scene.drops("eth_not_for_us")
    for frame in (pause, stranger, group):
        uplink.send(frame)
    assert ears["s1"].frames(5, shouts, enough=1) == [group]
    assert scene.drops("eth_not_for_us") == before + 1
    pause.src = one.mac("s1")
    mouth.send(pause)
    wait_until(lambda: scene.drops("slave_pause") == 1, 5, "that of a slave is counted")
    assert [ear.frames(0.1, shouts) for ear in ears.values()] == [[], [], []]


def test_IV14_own_broadcasts_that_a_switch_reflects_are_not_heard_twice(lab):
    scene = segment(lab)
    one, two, peer = scene.netns("s1"), scene.netns("s2"), scene.peers[0].namespace
    reaches(peer, ONE)
    ears = [lab.wire(one, "s1"), lab.wire(two, "s2")]
    mac = one.mac("s1")
    lab.wire(peer, "eth0").send(datagram(mac, BROADCAST, ONE, "192.0.2.255", UDP(sport=9, dport=9) / Raw(b"shout")))
    assert [ear.frames(0.25, shouts) for ear in ears] == [[], []]


@pytest.mark.parametrize("flag", ["private", "vepa"])
def test_IV32_IV35_private_and_vepa(lab, flag):
    scene = segment(lab, flag=flag)
    one, two, peer = scene.netns("s1"), scene.netns("s2"), scene.peers[0].namespace
    reaches(one, PEER)
    assert peer.ping(TWO, wait=4) == 3
    assert silent(one, TWO), "a switch does not send back where it came from"
    assert (scene.drops("slave_private") > 0) == (flag == "private")
    scene.fabric.run("bridge link set dev und0 hairpin on")
    if flag == "private":
        assert silent(one, TWO)
    else:
        reaches(one, TWO)
        ear = lab.wire(two, "s2")
        lab.wire(one, "s1").send(datagram(one.mac("s1"), one.mac("s1"), ONE, TWO,
                                          UDP(sport=9, dport=9) / Raw(b"shout")))
        assert len(ear.frames(5, shouts, enough=1)) == 1
        assert ear.frames(0.2, shouts) == [], "delivered once"
        assert two.ping(ONE, wait=4) == 3


def test_IV41_does_not_hold_in_l2_and_ip_to_own_mac_is_for_the_host(lab):
    """IV-33; what is not IP goes to the wire as it is."""
    scene = segment(lab, start=False)
    scene.uplink["host"] = "twin0"
    scene.start()
    scene.host.up("twin0")
    one, peer = scene.netns("s1"), scene.peers[0].namespace
    reaches(one, PEER)
    mac = one.mac("s1")
    mouth, ear, host = lab.wire(one, "s1"), lab.wire(peer, "eth0"), lab.wire(scene.host, "twin0")
    local = bytes(Ether(src=mac, dst=peer.mac("eth0"), type=0x88B5) / Raw(b"local" * 12 + b"shout"))
    mouth.send(local)
    assert ear.frames(3, shouts, enough=1) == [local]
    unknown = datagram(mac, mac, ONE, "203.0.113.7", UDP(sport=9, dport=9) / Raw(b"shout"))
    mouth.send(unknown)
    assert [IP(frame[14:]).dst for frame in host.frames(3, shouts, enough=1)] == ["203.0.113.7"]
    assert not ear.frames(0.1, shouts)


def test_RP65_arp_of_the_wire_is_answered_by_whom_it_is_for(lab):
    scene = segment(lab)
    one, peer = scene.netns("s1"), scene.peers[0].namespace
    reaches(one, PEER)
    wire = lab.wire(peer, "eth0")
    mac = peer.mac("eth0")
    for target in (ONE, MASTER4, "192.0.2.200"):
        wire.send(Ether(src=mac, dst=BROADCAST) / ARP(op=1, hwsrc=mac, psrc=PEER, pdst=target))
    answers = {}
    for frame in wire.frames(0.5, lambda frame: frame[12:14] == b"\x08\x06" and frame[21] == 2):
        answers.setdefault(ARP(frame[14:]).psrc, []).append(frame[6:12].hex(":"))
    master = scene.daemon.port("uplink0")["mac"]
    assert answers == {ONE: [master], MASTER4: [master]}
    # A slave that goes down takes its addresses with it: IV-08.
    scene.daemon.ctl("slave", "set", "ipvl0/s1", "down")
    assert silent(peer, ONE)
    scene.daemon.ctl("slave", "set", "ipvl0/s1", "up")
    wait_until(lambda: peer.ping(ONE, count=1, wait=0.3), 5, "and brings them back")


def test_IV12_a_slaves_own_rules_judge_groups_that_it_sends_or_hears(lab):
    scene = segment(lab, start=False)
    scene.ipvlan["slaves"]["s2"]["rules"] = [
        {"name": "no-shouts", "hook": "prerouting", "protocol": "udp", "dport": 9, "action": "drop"}]
    scene.start()
    one, two, peer = scene.netns("s1"), scene.netns("s2"), scene.peers[0].namespace
    reaches(peer, TWO)
    near, far = lab.wire(one, "s1"), lab.wire(two, "s2")
    wire = lab.wire(peer, "eth0")

    def shout(mouth, mac, group_mac, group, source, port=9):
        mouth.send(datagram(mac, group_mac, source, group, UDP(sport=9, dport=port) / Raw(b"shout")))
    before = scene.drops("hook_drop")
    shout(wire, peer.mac("eth0"), BROADCAST, "192.0.2.255", PEER)
    assert len(near.frames(5, shouts, enough=1)) == 1
    shout(wire, peer.mac("eth0"), "01:00:5e:01:01:01", "239.1.1.1", PEER)
    shout(near, one.mac("s1"), BROADCAST, "192.0.2.255", ONE)
    assert len(wire.frames(5, shouts, enough=1)) == 1
    assert far.frames(0.3, shouts) == []
    wait_until(lambda: scene.drops("hook_drop") == before + 3, 3, "each copy is counted")
    shout(wire, peer.mac("eth0"), BROADCAST, "192.0.2.255", PEER, port=10)
    assert len(far.frames(5, shouts, enough=1)) == 1, "the rule is about one port"
    scene.reload(lambda topology: topology["ipvlans"]["ipvl0"]["slaves"]["s2"].update({"rules": [
        {"name": "quiet", "hook": "output", "protocol": "udp", "action": "drop"}]}))
    shout(far, two.mac("s2"), BROADCAST, "192.0.2.255", TWO)
    wait_until(lambda: scene.drops("hook_drop") == before + 4, 3, "what it sends is judged")
    assert wire.frames(0.2, shouts) == []
    assert scene.daemon.rpc("health")["packets_unaccounted"] == 0
