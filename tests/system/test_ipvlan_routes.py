"""Routing tables of slaves: their types and next hops, changed while it runs, and what a slave is told."""
import time

from frames import ICMP, IP, UDP, Raw
from ipvlan import MASTER4, Ipvlan, datagram, is_icmp, reaches, silent, ttl_of_answer

FAR = "198.51.100.9"


def router(lab, peers=2, **words):
    """s1 and s2; behind every peer is the same far host, on its loopback. `words` are keys of s1."""
    scene = Ipvlan(lab, "l3", peers)
    scene.slave("s1", "10.1.0.5/24", gateway="10.1.0.1", **words)
    scene.slave("s2", "10.2.0.5/24", gateway="10.2.0.1")
    for peer in scene.peers:
        peer.namespace.ip(f"address add {FAR}/32 dev lo")
    scene.lead("10.0.0.0/8").start()
    return scene


def route(scene, *words, check=True):
    return scene.daemon.ctl("route", *words, check=check)


def told(scene, namespace, name, target, within=8):
    """(type, code, sender) of the ICMP error that a datagram of that slave is answered with, or None."""
    wire = scene.lab.wire(namespace, name)
    wire.send(datagram(namespace.mac(name), scene.daemon.port("uplink0")["mac"], "10.1.0.5", target,
                       UDP(sport=4000, dport=9) / Raw(b"who goes there")))
    found = wire.frames(within, lambda frame: is_icmp(3)(frame) and b"who goes there" in frame, enough=1)
    if not found:
        return None
    packet = IP(found[0][14:])
    return packet[ICMP].type, packet[ICMP].code, packet.src


def flows_of(source, destination, count):
    """Datagrams that differ in their source port; each can be told by is_flow() and port_of()."""
    first = datagram(source, destination, "10.1.0.5", FAR, UDP(sport=20000, dport=9, chksum=0) / Raw(b"flow"))
    return [first[:34] + (20000 + number).to_bytes(2, "big") + first[36:] for number in range(count)]


def is_flow(frame):
    return frame.endswith(b"flow") and frame[12:14] == b"\x08\x00" and frame[23] == 17


def ways_of(mouth, frames, ears):
    """Sends each and tells by which of `ears` its flow goes."""
    for frame in frames:
        mouth.send(frame)
    found, deadline = {}, time.monotonic() + 10
    while len(found) < len(frames) and time.monotonic() < deadline:
        for index, ear in enumerate(ears):
            for frame in ear.frames(0.05, is_flow):
                sport = int.from_bytes(frame[34:36], "big")
                assert found.setdefault(sport, index) == index, "a flow goes two ways"
    return found


def test_RP71_route_types_and_what_the_slave_is_told(lab):
    scene = router(lab)
    one, two = scene.netns("s1"), scene.netns("s2")
    table = ("table", "ipvl0/s1")
    assert told(scene, one, "s1", FAR) == (3, 0, MASTER4), "no route at all"
    route(scene, "add", "198.51.100.0/24", "via", "192.0.2.11", *table)
    reaches(one, FAR)
    assert silent(two, FAR), "a table is one slave's"
    for kind, heard, reason in (("unreachable", (3, 1, MASTER4), "route_unreachable"),
                                ("prohibit", (3, 13, MASTER4), "route_prohibit"),
                                ("blackhole", None, "route_blackhole")):
        route(scene, "replace", "198.51.100.0/24", kind, *table)
        before = scene.drops(reason)
        said = told(scene, one, "s1", FAR, within=8 if heard else 0.5)
        assert said == heard or (kind == "unreachable" and said == (3, 0, MASTER4)), f"{kind}: {said}"
        assert scene.drops(reason) > before, f"{kind} is counted"
    # The longest prefix wins; throw goes on in the table of the uplink.
    route(scene, "add", f"{FAR}/32", "via", "192.0.2.12", *table)
    reaches(one, FAR)
    route(scene, "del", f"{FAR}/32", *table)
    assert silent(one, FAR)
    scene.reload(lambda topology: topology.update(routes=[{"to": "198.51.100.0/24", "via": "192.0.2.12"}]))
    assert silent(one, FAR)
    route(scene, "replace", "198.51.100.0/24", "throw", *table)
    reaches(one, FAR)
    assert two.ping(FAR, wait=4) == 3, "the table of the uplink is for all"
    shown = route(scene, "show", *table).stdout
    assert "throw" in shown and "198.51.100.0/24" in shown, shown


def test_routes_that_cannot_be_are_refused_by_name(lab):
    scene = router(lab)
    table = ("table", "ipvl0/s1")
    route(scene, "add", "198.51.100.0/24", "via", "192.0.2.11", *table)
    for words, named in ((("add", "198.51.100.0/24", "via", "192.0.2.12", *table), "use replace"),
                         (("del", "203.0.113.0/24", *table), "no such route"),
                         (("add", "203.0.113.0/24", "via", "192.0.2.11", "table", "ipvl0/s9"), "ipvl0/s9"),
                         (("add", "203.0.113.0/24", "vxlan", "nowhere", "remote", "192.0.2.11", "lladdr",
                           "02:00:00:00:00:09", *table), "nowhere"),
                         (("add", "203.0.113.0/24", "slave", "ipvl0/s7", *table), "s7"),
                         (("add", "203.0.113.1/24", "via", "192.0.2.11", *table), "203.0.113")):
        done = route(scene, *words, check=False)
        assert done.returncode in (1, 2) and named in done.stderr, f"{words}: {done.stdout}{done.stderr}"
    assert scene.netns("s1").ping(FAR, wait=4) == 3


def test_RP73_ecmp_spreads_flows_and_removal_moves_only_its_own(lab):
    scene = router(lab, routes=[{"to": "198.51.100.0/24", "nexthops": [{"via": "192.0.2.11"}, {"via": "192.0.2.12"}]}])
    one = scene.netns("s1")
    master = scene.daemon.port("uplink0")["mac"]
    for peer in scene.peers:
        reaches(one, peer.underlay)
    ears = [lab.wire(peer.namespace, "eth0") for peer in scene.peers]
    mouth = lab.wire(one, "s1")
    flows = 200
    frames = flows_of(one.mac("s1"), master, flows)
    first = ways_of(mouth, frames, ears)
    assert len(first) == flows and ways_of(mouth, frames, ears) == first, "a flow keeps its way"
    shares = [list(first.values()).count(index) for index in (0, 1)]
    assert min(shares) > flows * 0.3, f"unevenly spread: {shares}"
    scene.reload(lambda topology: topology["ipvlans"]["ipvl0"]["slaves"]["s1"].update(
        routes=[{"to": "198.51.100.0/24", "nexthops": [{"via": "192.0.2.12"}]}]))
    assert set(ways_of(mouth, frames, ears).values()) == {1}


def test_RP73_a_third_gateway_leaves_and_the_others_keep_their_flows(lab):
    gateways = [{"via": f"192.0.2.1{number}"} for number in (1, 2, 3)]
    scene = router(lab, peers=3, routes=[{"to": "198.51.100.0/24", "nexthops": gateways}])
    one = scene.netns("s1")
    for peer in scene.peers:
        reaches(one, peer.underlay)
    master = scene.daemon.port("uplink0")["mac"]
    ears = [lab.wire(peer.namespace, "eth0") for peer in scene.peers]
    mouth = lab.wire(one, "s1")

    frames = flows_of(one.mac("s1"), master, 300)
    before = ways_of(mouth, frames, ears)
    assert len(before) == 300
    route(scene, "replace", "198.51.100.0/24", "nexthop", "via", "192.0.2.11", "nexthop", "via", "192.0.2.13",
          "table", "ipvl0/s1")
    after = ways_of(mouth, frames, ears)
    assert len(after) == 300 and set(after.values()) == {0, 2}
    moved = [flow for flow in before if before[flow] != 1 and before[flow] != after[flow]]
    assert len(moved) <= 6, f"{len(moved)} flows of the two that stayed have moved"


def test_next_hops_sibling_and_shared_table(lab):
    """A route to a sibling makes it a router; a leak goes on in a table that several share."""
    scene = Ipvlan(lab, "l3", 2)
    one = scene.slave("s1", "10.1.0.5/24", gateway="10.1.0.1", routes=[
        {"to": "10.9.0.0/16", "slave": "s2"}, {"to": "198.51.100.0/24", "table": "services"},
        {"to": "default", "type": "unreachable"}])
    two = scene.slave("s2", "10.2.0.5/24", gateway="10.2.0.1", routes=[{"to": "default", "table": "services"}])
    scene.topology["tables"] = {"services": {"routes": [{"to": f"{FAR}/32", "via": "192.0.2.12"}]}}
    scene.peers[1].namespace.ip(f"address add {FAR}/32 dev lo")
    scene.lead("10.0.0.0/8").start()
    two.ip("address add 10.9.0.1/32 dev lo")
    two.run("sysctl -qw net.ipv4.conf.s2.arp_announce=2")  # ARP in another name is refused
    reaches(one, "10.9.0.1")
    assert ttl_of_answer(one, "10.9.0.1") == 64
    for namespace in (one, two):
        reaches(namespace, FAR)
    assert one.ping("192.0.2.12", count=1, wait=0.3) == 0, "its own table says unreachable"
    assert two.ping("192.0.2.12", wait=4) == 3, "what no table knows is the uplink's"
    route(scene, "replace", f"{FAR}/32", "prohibit", "table", "services")
    assert silent(one, FAR) and silent(two, FAR), "one change for all that share it"
    route(scene, "replace", f"{FAR}/32", "lookup", "ipvl0/s1", "table", "ipvl0/s2")
    route(scene, "replace", f"{FAR}/32", "via", "192.0.2.12", "table", "ipvl0/s1")
    reaches(two, FAR)


def test_RP75_reverse_path_strict(lab):
    scene = router(lab, rp_filter="strict", routes=[{"to": "10.7.0.0/16", "type": "local"}])
    one, peer = scene.netns("s1"), scene.peers[0].namespace
    reaches(one, "192.0.2.11")
    ear, mouth = lab.wire(peer, "eth0"), lab.wire(one, "s1")
    for source in ("10.2.0.5", "203.0.113.5", "192.0.2.77", "10.7.0.9"):
        mouth.send(datagram(one.mac("s1"), scene.daemon.port("uplink0")["mac"], source, "192.0.2.11",
                            UDP(sport=7, dport=9) / Raw(b"reverse")))
    heard = [IP(frame[14:]).src for frame in ear.frames(0.6, lambda frame: frame.endswith(b"reverse"))]
    assert heard == ["10.7.0.9"], "a network behind the slave may speak"
    assert scene.drops("route_reverse") == 3


def test_RP75_reverse_path_loose(lab):
    """Whoever has a route back may be the source, by whatever way."""
    scene = router(lab, rp_filter="loose", routes=[{"to": "203.0.113.0/24", "via": "192.0.2.11"}])
    one, peer = scene.netns("s1"), scene.peers[0].namespace
    reaches(one, "192.0.2.11")
    ear, mouth = lab.wire(peer, "eth0"), lab.wire(one, "s1")
    for source in ("198.51.100.5", "203.0.113.5", "192.0.2.77", "10.1.0.5"):
        mouth.send(datagram(one.mac("s1"), scene.daemon.port("uplink0")["mac"], source, "192.0.2.11",
                            UDP(sport=7, dport=9) / Raw(b"reverse")))
    heard = [IP(frame[14:]).src for frame in ear.frames(5, lambda frame: frame.endswith(b"reverse"), enough=3)]
    assert heard == ["203.0.113.5", "192.0.2.77", "10.1.0.5"]
    assert scene.drops("route_reverse") == 1


def test_RP61_RP62_gateway_that_does_not_answer(lab):
    scene = router(lab, routes=[{"to": "203.0.113.0/24", "via": "192.0.2.99"}])
    one = scene.netns("s1")
    assert told(scene, one, "s1", "203.0.113.7", within=10) == (3, 1, MASTER4)
    assert scene.drops("neigh_failed") == 1
    assert scene.daemon.neighbour("192.0.2.99")["state"] == "failed"
    assert one.ping("192.0.2.11", wait=4) == 3
