"""Slaves as routers for what is behind them, and slaves that are bound to their link."""
from frames import IP, UDP, Raw
from ipvlan import Ipvlan, datagram, reaches, silent
from lab import wait_until

BEHIND = "10.9.0.1"


def slave_words(scene, name="s1", **words):
    return lambda topology: topology["ipvlans"]["ipvl0"]["slaves"][name].update(words)


def test_IV24_RP72_IV29_a_subnet_behind_a_slave(lab):
    """By a route of the uplink; as long as the slave forwards, and in l3s not at all."""
    scene = Ipvlan(lab, "l3", 1)
    one = scene.slave("s1", "10.1.0.5/24", gateway="10.1.0.1")
    two = scene.slave("s2", "10.2.0.5/24", gateway="10.2.0.1")
    scene.topology["routes"] = [{"to": "10.9.0.0/16", "slave": "ipvl0/s1"}]
    scene.lead("10.0.0.0/8").start()
    one.ip(f"address add {BEHIND}/32 dev lo")
    one.run("sysctl -qw net.ipv4.conf.s1.arp_announce=2")  # ARP in another name is refused
    peer = scene.peers[0].namespace
    reaches(peer, BEHIND)
    reaches(two, BEHIND)
    assert peer.ping(BEHIND, wait=4) == 3 and peer.ping("10.1.0.5", wait=4) == 3
    shown = scene.daemon.ctl("route", "show", "table", "main").stdout
    assert "10.9.0.0/16" in shown and "ipvl0/s1" in shown, shown

    scene.reload(slave_words(scene, forwarding=False))
    assert silent(peer, BEHIND) and silent(two, BEHIND)
    assert scene.drops("forwarding_off") >= 2
    assert peer.ping("10.1.0.5", wait=4) == 3, "its own address stays"

    scene.reload(lambda topology: (slave_words(scene, forwarding=True)(topology),
                                   topology["ipvlans"]["ipvl0"].update(mode="l3s")))
    assert silent(peer, BEHIND) and scene.drops("slave_not_local") >= 1
    scene.reload(slave_words(scene, routes=[{"to": "10.9.0.0/24", "type": "local"}]))
    reaches(peer, BEHIND)
    assert silent(peer, "10.9.1.1"), "beside what it has itself"


def test_a_route_to_no_slave_is_refused_by_name(lab):
    scene = Ipvlan(lab, "l3", 1)
    scene.slave("s1", "10.1.0.5/24", gateway="10.1.0.1")
    scene.start()
    said = scene.refused_reload(lambda topology: topology.update(routes=[{"to": "10.9.0.0/16", "slave": "s7"}]))
    assert "routes[0].slave: there is no slave 's7', the nearest is 's1'" in said, said


def test_RP76_a_slave_leaves_by_no_other_exit_unless_its_table_says_so(lab):
    scene = Ipvlan(lab, "l3", 1)
    one = scene.slave("s1", "10.1.0.5/24", gateway="10.1.0.1")
    other = lab.namespace("other")
    scene.topology["ports"]["uplink1"] = {"device": "net_tap9,iface=und1", "role": "underlay",
                                          "addresses": ["198.51.100.1/24"]}
    scene.topology["routes"] = [{"to": "203.0.113.0/24", "via": "198.51.100.11"}]
    scene.lead("10.0.0.0/8").start()
    scene.host.ip(f"link set und1 netns {other.name}")
    other.up("und1", "198.51.100.11/24")
    reaches(one, "192.0.2.11")
    ear, mouth = lab.wire(other, "und1"), lab.wire(one, "s1")

    def heard():
        mouth.send(datagram(one.mac("s1"), scene.daemon.port("uplink0")["mac"], "10.1.0.5", "203.0.113.7",
                            UDP(sport=7, dport=9) / Raw(b"exit")))
        return [IP(frame[14:]).src for frame in ear.frames(0.4, lambda frame: frame.endswith(b"exit"), enough=1)]
    assert heard() == []
    wait_until(lambda: scene.drops("route_other_exit") == 1, 2, "it is counted")
    scene.reload(slave_words(scene, routes=[{"to": "203.0.113.0/24", "via": "198.51.100.11", "dev": "uplink1"}]))
    wait_until(lambda: heard() == ["10.1.0.5"], 10, "a table of its own leads there")
