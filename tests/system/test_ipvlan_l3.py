"""ipvlan in modes l3 and l3s: slaves share the master's MAC address and are told apart by their
addresses; what they say beside IP stays here."""
import pytest
from scapy.utils import PcapNgReader

from frames import ARP, BROADCAST, ICMP, IP, UDP, Ether, Raw
from ipvlan import MASTER4, Ipvlan, datagram, is_icmp, reaches, silent, ttl_of_answer
from lab import wait_until
from streams import Echo

ROUTED = pytest.mark.parametrize("mode", ["l3", "l3s"])


def two_slaves(lab, mode="l3", start=True, **words):
    """Two slaves in networks of their own; the peer has routes to both by the master."""
    scene = Ipvlan(lab, mode, **words)
    scene.slave("s1", "10.1.0.5/24", gateway="10.1.0.1")
    scene.slave("s2", "10.2.0.5/24", gateway="10.2.0.1")
    scene.lead("10.0.0.0/8")
    if start:
        scene.start()
    return scene


def arps(frame):
    return ARP(frame[14:]) if frame[12:14] == b"\x08\x06" else None


@ROUTED
def test_IV03_IV21_slaves_share_the_mac_and_are_reached_by_address(lab, mode):
    scene = two_slaves(lab, mode, start=False)
    scene.uplink["host"] = "twin0"
    scene.start()
    one, two, peer = scene.netns("s1"), scene.netns("s2"), scene.peers[0].namespace
    master = scene.daemon.port("uplink0")["mac"]
    assert one.mac("s1") == two.mac("s2") == master
    wire = lab.wire(scene.fabric, "und0")
    for here, address in ((peer, "10.1.0.5"), (peer, "10.2.0.5"), (one, "192.0.2.11"), (two, "192.0.2.11"),
                          (one, "10.2.0.5"), (two, "10.1.0.5")):
        assert here.ping(address, wait=4) == 3, f"{address} from {here.name}"
    for near, far, address in ((one, peer, "192.0.2.11"), (peer, one, "10.1.0.5"), (two, one, "10.1.0.5")):
        with Echo(far, address) as echo:
            assert echo.round_trip(near, megabytes=2) == 2 << 20
    # The host is at its place: its addresses are no slave's.
    scene.host.up("twin0", f"{MASTER4}/24")
    assert scene.host.ping("192.0.2.11", wait=4) == 3
    with Echo(scene.host, MASTER4) as echo:
        assert echo.round_trip(peer, megabytes=1) == 1 << 20
    # Between siblings nothing is on the wire, and only one MAC address is ever seen there.
    seen = [frame for frame in wire.frames(0.2, lambda frame: frame[12:14] == b"\x08\x00")]
    assert seen and {frame[6:12].hex(":") for frame in seen} == {master}
    assert not [frame for frame in seen if {IP(frame[14:]).src, IP(frame[14:]).dst} == {"10.1.0.5", "10.2.0.5"}]


@ROUTED
def test_IV05_IV41_nothing_but_unicast_ip_leaves_a_routed_slave(lab, mode):
    scene = two_slaves(lab, mode)
    one, peer = scene.netns("s1"), scene.peers[0].namespace
    assert one.ping("192.0.2.11", wait=4) == 3
    # The container believes in its gateway: answered here, with the master's address.
    master = scene.daemon.port("uplink0")["mac"]
    assert f"10.1.0.1 lladdr {master}" in one.ip("neighbour show dev s1").replace("  ", " ")
    wire, mouth, ear = lab.wire(scene.fabric, "und0"), lab.wire(one, "s1"), lab.wire(peer, "eth0")
    before = scene.daemon.drops()
    mac = one.mac("s1")
    mouth.send(Ether(src=mac, dst=BROADCAST, type=0x88B5) / Raw(b"local" * 12))
    mouth.send(Ether(src=mac, dst=master, type=0x88B5) / Raw(b"local" * 12))
    mouth.send(datagram(mac, BROADCAST, "10.1.0.5", "255.255.255.255", UDP(sport=68, dport=67)))
    mouth.send(datagram(mac, "01:00:5e:00:00:fb", "10.1.0.5", "224.0.0.251", UDP(sport=5353, dport=5353)))
    # IV-21: no slave and no host answers for a slave's address on the wire.
    ear.send(Ether(src=peer.mac("eth0"), dst=BROADCAST) / ARP(
        op=1, hwsrc=peer.mac("eth0"), psrc="192.0.2.11", pdst="10.1.0.5"))
    wait_until(lambda: scene.drops("slave_group") >= before.get("slave_group", 0) + 3 and
               scene.drops("slave_not_ip") == before.get("slave_not_ip", 0) + 1, 10, "each is counted")
    own = [frame for frame in wire.frames(0.3) if (packet := arps(frame)) and packet.psrc.startswith("10.")]
    assert own == [], "ARP of a slave is on the wire"
    assert not ear.frames(0.1, lambda frame: (packet := arps(frame)) and packet.psrc == "10.1.0.5")


def test_IV05_without_proxy_arp_a_container_needs_its_own_neighbours(lab):
    scene = Ipvlan(lab, "l3")
    scene.slave("s1", "10.1.0.5/24", gateway="10.1.0.1", proxy_arp=False)
    scene.lead("10.1.0.0/16").start()
    one = scene.netns("s1")
    assert silent(one, "192.0.2.11")
    one.ip(f"neighbour replace 10.1.0.1 lladdr {scene.daemon.port('uplink0')['mac']} dev s1")
    reaches(one, "192.0.2.11")


def test_slave_arp_in_a_foreign_name_is_not_answered(lab):
    scene = two_slaves(lab)
    one = scene.netns("s1")
    mouth = lab.wire(one, "s1")
    mouth.send(Ether(src=one.mac("s1"), dst=BROADCAST) / ARP(
        op=1, hwsrc=one.mac("s1"), psrc="10.2.0.5", pdst="10.1.0.1"))
    wait_until(lambda: scene.drops("slave_arp_foreign") == 1, 10, "it is counted")
    assert not mouth.frames(0.2, lambda frame: arps(frame))


def test_IV46_hops_are_counted_where_it_is_asked_for(lab):
    """TTL is kept from slave to wire; with decrement-ttl that is a hop, and traceroute sees it."""
    scene = two_slaves(lab)
    one, two, peer = scene.netns("s1"), scene.netns("s2"), scene.peers[0].namespace
    reaches(one, "192.0.2.11")
    assert ttl_of_answer(peer, "10.1.0.5") == ttl_of_answer(one, "192.0.2.11") == 64
    assert one.ping("192.0.2.11", options="-t 1", wait=4) == 3
    scene.reload(lambda topology: topology["ipvlans"]["ipvl0"].update({"decrement-ttl": True}))
    assert ttl_of_answer(peer, "10.1.0.5") == 63
    assert ttl_of_answer(one, "10.2.0.5") == 64, "siblings are neighbours"
    text = one.run("ping -n -c 1 -W 2 -t 1 192.0.2.11", check=False)
    assert "Time to live exceeded" in text and MASTER4 in text, text
    assert two.ping("192.0.2.11", options="-t 2", wait=4) == 3


def test_RP74_traceroute_shows_the_host(lab):
    scene = two_slaves(lab, decrement_ttl=True)
    one, peer = scene.netns("s1"), scene.peers[0].namespace
    reaches(one, "192.0.2.11")
    mouth = lab.wire(one, "s1")
    heard = {}
    for ttl in (1, 2):
        mouth.send(datagram(one.mac("s1"), scene.daemon.port("uplink0")["mac"], "10.1.0.5", "192.0.2.11",
                            UDP(sport=40000 + ttl, dport=33434) / Raw(b"trace"), ttl=ttl))
        frame = mouth.frames(3, is_icmp(11 if ttl == 1 else 3), enough=1)[0]
        answer = IP(frame[14:])
        heard[ttl] = answer.src, answer[ICMP].type, answer[ICMP].code
    assert heard == {1: (MASTER4, 11, 0), 2: ("192.0.2.11", 3, 3)}
    assert peer.ping("10.1.0.5", wait=4) == 3


@ROUTED
def test_IV06_IV21_ipv6_beside_ipv4(lab, mode):
    scene = Ipvlan(lab, mode).with_ipv6()
    one = scene.slave("s1", "10.1.0.5/24", "2001:db8:1::5/64", gateway="2001:db8:1::1", ipv6=True)
    two = scene.slave("s2", "2001:db8:2::5/64", gateway="2001:db8:2::1", ipv6=True)
    scene.lead("2001:db8:1::/64", "2001:db8:2::/64", via="2001:db8::1")
    scene.start()
    peer = scene.peers[0].namespace
    for here, address in ((peer, "2001:db8:1::5"), (peer, "2001:db8:2::5"), (one, "2001:db8::11"),
                          (one, "2001:db8:2::5"), (two, "2001:db8:1::5")):
        reaches(here, address)
        assert here.ping(address, wait=4) == 3
    for near, far, address in ((one, peer, "2001:db8::11"), (peer, two, "2001:db8:2::5")):
        with Echo(far, address) as echo:
            assert echo.round_trip(near, megabytes=1) == 1 << 20
    assert peer.ping("2001:db8::1", wait=4) == 3, "the master's own address"


def test_IV45_too_big_is_told_to_the_slave(lab):
    """A way out with a smaller MTU than the slave's: another uplink. The way back is the master."""
    scene = Ipvlan(lab, "l3")
    one = scene.slave("s1", "10.1.0.5/24", gateway="10.1.0.1",
                      routes=[{"to": "198.51.100.0/24", "dev": "uplink1"}])
    narrow = lab.namespace("narrow")
    scene.topology["ports"]["uplink1"] = {"device": "net_tap9,iface=und1", "role": "underlay", "mtu": 1400,
                                          "addresses": ["198.51.100.1/24"]}
    scene.start()
    scene.host.ip(f"link set und1 netns {narrow.name}")
    narrow.up("und1", "198.51.100.11/24", mtu=1400)
    lab.veth(narrow, "back", scene.fabric, "back")  # slaves are reached by their master alone
    scene.fabric.ip("link set back master br0")
    narrow.up("back", "192.0.2.50/24")
    narrow.ip("route add 10.1.0.0/16 via 192.0.2.1")
    reaches(one, "198.51.100.11")
    text = one.run("ping -n -c 2 -i 0.1 -W 1 -s 1472 -M do 198.51.100.11", check=False)
    assert "mtu = 1400" in text or "mtu=1400" in text, text
    wait_until(lambda: scene.drops("route_too_big") >= 1, 2, "it is counted")
    assert one.ping("198.51.100.11", options="-s 1372 -M do", wait=4) == 3
    with Echo(narrow, "198.51.100.11") as echo:
        assert echo.round_trip(one, megabytes=1) == 1 << 20


def test_IV07_same_address_behind_two_masters(lab):
    scene = Ipvlan(lab, "l3")
    scene.slave("s1", "10.1.0.5/24", gateway="10.1.0.1")
    scene.topology["ports"]["uplink1"] = {"device": "net_tap9,iface=und1", "role": "underlay",
                                          "addresses": ["198.51.100.1/24"]}
    scene.topology["ipvlans"]["ipvl1"] = {"link": "uplink1", "mode": "l3", "slaves": {}}
    scene.slave("s2", "10.1.0.5/24", gateway="10.1.0.1", ipvlan="ipvl1")
    scene.lead("10.1.0.0/16").start()
    other = lab.namespace("other")
    scene.host.ip(f"link set und1 netns {other.name}")
    other.up("und1", "198.51.100.11/24")
    other.ip("route add 10.1.0.0/16 via 198.51.100.1")
    one, two = scene.netns("s1"), scene.netns("s2")
    assert one.mac("s1") != two.mac("s2"), "each has the address of its own master"
    for outside, inside in ((scene.peers[0].namespace, one), (other, two)):
        with Echo(inside, "10.1.0.5") as echo:
            assert echo.round_trip(outside, megabytes=1) == 1 << 20
        assert outside.ping("10.1.0.5", wait=4) == 3


@ROUTED
def test_IV42_private_and_vepa_keep_siblings_apart(lab, mode):
    scene = two_slaves(lab, mode, flag="private")
    one, two, peer = scene.netns("s1"), scene.netns("s2"), scene.peers[0].namespace
    reaches(one, "192.0.2.11")
    assert silent(one, "10.2.0.5") and scene.drops("slave_private") >= 2
    assert peer.ping("10.2.0.5", wait=4) == 3
    # vepa: on the wire, and back by a router there. It is the peer.
    peer.run("sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0 "
             "net.ipv4.conf.eth0.send_redirects=0")
    scene.reload(lambda topology: (topology["ipvlans"]["ipvl0"].update(flag="vepa"), topology.update(
        routes=[{"to": "10.0.0.0/8", "via": "192.0.2.11"}])))
    reaches(one, "10.2.0.5")
    assert ttl_of_answer(one, "10.2.0.5") == 63, "a router was between them"
    assert two.ping("10.1.0.5", wait=4) == 3


def test_IV08_a_slave_that_is_down_is_not_there(lab):
    scene = two_slaves(lab)
    one, two, peer = scene.netns("s1"), scene.netns("s2"), scene.peers[0].namespace
    assert peer.ping("10.1.0.5", wait=4) == 3

    scene.daemon.ctl("slave", "set", "s1", "down")
    ear = lab.wire(one, "s1")
    assert silent(peer, "10.1.0.5") and silent(two, "10.1.0.5") and silent(one, "192.0.2.11")
    assert ear.frames(0.1, lambda frame: frame[12:14] == b"\x08\x00") == []
    assert scene.drops("slave_down") >= 1, "what it sends is counted"
    assert peer.ping("10.2.0.5", wait=4) == 3, "its sibling is none the worse"
    scene.daemon.ctl("slave", "set", "s1", "up")
    assert peer.ping("10.1.0.5", wait=4) == 3 and two.ping("10.1.0.5", wait=4) == 3


def test_IV28_slaves_in_the_subnet_of_the_master(lab):
    """The host answers for them; they send no ARP of their own."""
    scene = Ipvlan(lab, "l3s")
    one = scene.slave("s1", "192.0.2.50/24", kernel=["192.0.2.50/24"])
    scene.start()
    wire = lab.wire(scene.fabric, "und0")
    assert one.ping("192.0.2.11", wait=4) == 3
    assert scene.peers[0].namespace.ping("192.0.2.50", wait=4) == 3
    with Echo(one, "192.0.2.50") as echo:
        assert echo.round_trip(scene.peers[0].namespace, megabytes=1) == 1 << 20
    asked = [packet.psrc for frame in wire.frames(0.1) if (packet := arps(frame)) and packet.op == 1]
    assert "192.0.2.50" not in asked


def test_IV44_source_that_no_host_has_and_spoofed_ones(lab):
    scene = Ipvlan(lab, "l3")
    one = scene.slave("s1", "10.1.0.5/24", gateway="10.1.0.1", check_source=True)
    scene.slave("s2", "10.2.0.5/24", gateway="10.2.0.1")
    scene.lead("10.0.0.0/8").start()
    reaches(one, "192.0.2.11")
    ear = lab.wire(scene.peers[0].namespace, "eth0")
    master = scene.daemon.port("uplink0")["mac"]

    def say(slave, source):
        lab.wire(scene.netns(slave), slave).send(
            datagram(master, master, source, "192.0.2.11", UDP(sport=7, dport=9) / Raw(b"say")))
    for source in ("10.2.0.5", "192.0.2.1", "203.0.113.9"):
        say("s1", source)
    wait_until(lambda: scene.drops("slave_spoofed") == 3, 10, "three are refused")
    say("s2", "127.0.0.1")
    wait_until(lambda: scene.drops("slave_bad_source") == 1, 10, "a source that no host has")
    say("s2", "203.0.113.9")  # IV-44: as given
    heard = [IP(frame[14:]).src for frame in ear.frames(1, lambda frame: frame.endswith(b"say"), enough=2)]
    assert heard == ["203.0.113.9"]


def test_IV54_rate_of_a_slave_towards_the_wire(lab):
    scene = Ipvlan(lab, "l3")
    scene.slave("s1", "10.1.0.5/24", gateway="10.1.0.1", rate="1mbit")
    scene.slave("s2", "10.2.0.5/24", gateway="10.2.0.1")
    scene.lead("10.0.0.0/8").start()
    master, ear = scene.daemon.port("uplink0")["mac"], lab.wire(scene.peers[0].namespace, "eth0")

    def heard(name, source, count=300):
        """How many of `count` large datagrams that a slave sends at once are on the wire."""
        reaches(scene.netns(name), "192.0.2.11")
        mouth = lab.wire(scene.netns(name), name)
        frame = datagram(master, master, source, "192.0.2.11", UDP(sport=7, dport=9) / Raw(b"rate" * 350))
        before, dropped = scene.daemon.port("uplink0")["tx"]["packets"], scene.drops("slave_rate")
        for _ in range(count):
            mouth.send(frame)
        wait_until(lambda: scene.daemon.port("uplink0")["tx"]["packets"] - before +
                   scene.drops("slave_rate") - dropped >= count, 10, "all are sent or dropped")
        return len(ear.frames(0.2, lambda frame: frame.endswith(b"rate" * 350)))
    bound = heard("s1", "10.1.0.5")
    assert 1 <= bound < 250 and scene.drops("slave_rate") >= 50, f"{bound} of 300"
    before = scene.drops("slave_rate")
    assert heard("s2", "10.2.0.5") == 300 and scene.drops("slave_rate") == before


@ROUTED
def test_IV23_a_capture_of_the_master_sees_what_is_for_slaves(lab, mode):
    scene = two_slaves(lab, mode)
    one, peer = scene.netns("s1"), scene.peers[0].namespace
    reaches(peer, "10.1.0.5")
    path = lab.directory / "master.pcapng"
    number = int(scene.daemon.ctl("capture", "start", "port", "uplink0", "file", path).stdout.split()[1])
    assert peer.ping("10.1.0.5", wait=4) == 3 and one.ping("10.2.0.5", wait=4) == 3
    wait_until(lambda: next(row for row in scene.daemon.rpc("capture.list") if row["id"] == number)["frames"] >= 6,
               5, "requests and answers are written")
    scene.daemon.ctl("capture", "stop", number)
    with PcapNgReader(str(path)) as reader:
        seen = [(packet[IP].src, packet[IP].dst) for packet in reader if ICMP in packet]
    assert seen == [("192.0.2.11", "10.1.0.5"), ("10.1.0.5", "192.0.2.11")] * 3, "and nothing between siblings"


def test_IV47_counters_of_each_slave(lab):
    scene = two_slaves(lab)
    one, peer = scene.netns("s1"), scene.peers[0].namespace
    reaches(one, "192.0.2.11")

    def counters(name):
        row = scene.daemon.rpc("slaves", name=name)[0]
        return {f"{way} {what}": count for way in ("rx", "tx") for what, count in row[way].items()}
    before, other = counters("s1"), counters("s2")
    assert one.ping("192.0.2.11", count=10, interval=0.01, options="-s 472", wait=4) == 10
    mouth = lab.wire(one, "s1")
    for _ in range(3):
        mouth.send(Ether(src=one.mac("s1"), dst=BROADCAST, type=0x88B5) / Raw(b"local" * 12))
    wait_until(lambda: counters("s1")["tx drops"] >= before["tx drops"] + 3, 10, "three are dropped")
    moved = {key: count - before[key] for key, count in counters("s1").items()}
    assert 10 <= moved["rx packets"] <= 12 and 13 <= moved["tx packets"] <= 15, moved
    assert moved["rx bytes"] >= 10 * 514 and moved["tx bytes"] >= 10 * 514 and moved["rx multicast"] == 0, moved
    assert counters("s2") == other
    text = scene.daemon.ctl("slave", "show").stdout
    for word in ("s1", "s2", "ipvl0", "10.1.0.5/24", "l3"):
        assert word in text, f"{word} is not in\n{text}"
    assert peer.ping("10.2.0.5", wait=4) == 3 and counters("s2")["rx packets"] >= other["rx packets"] + 3
