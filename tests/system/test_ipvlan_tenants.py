"""Tenants with the same addresses behind one public uplink: everything works for each, and nothing
crosses."""
import pytest
from scapy.layers.inet6 import ICMPv6ND_NA

from frames import ARP, BROADCAST, ICMP, UDP, Ether, Raw
from ipvlan import datagram
from lab import wait_until
from tenants import GATEWAY, INTERNET, MASTER, PRIVATE, PUBLIC, Tenants, Who, connect, curl, segment_of


@pytest.fixture(params=["l3s", "l3"])
def scene(lab, request):
    made = Tenants(lab, request.param)
    made.start()
    made.servers = []
    for name in PRIVATE:
        made.servers.append(Who(made.netns(name), name))
    made.servers.append(Who(made.internet, "internet"))
    yield made
    for server in made.servers:
        server.close()


def test_IV51_IV52_IV53_both_tenants_reach_and_are_reached(lab, scene):
    # Out: 1:1 for the webs, the master's address for the others.
    for name in PRIVATE:
        assert curl(scene.netns(name), INTERNET) == ["internet", PUBLIC.get(name, MASTER)], name
        assert scene.netns(name).ping(INTERNET, wait=4) == 3
        assert scene.netns(name).ping(GATEWAY, wait=4) == 3, "the gateway is in neither subnet"
    # In: by the public addresses.
    for name, public in PUBLIC.items():
        assert curl(scene.internet, public) == [name, INTERNET]
        assert scene.internet.ping(public, wait=4) == 3
    # Each at home: the same address is another host.
    for tenant in ("red", "blue"):
        assert curl(scene.netns(f"{tenant}-db"), "10.0.0.5") == [f"{tenant}-web", "10.0.0.6"]
        assert curl(scene.netns(f"{tenant}-web"), "10.0.0.6") == [f"{tenant}-db", "10.0.0.5"]
    # Hairpin: a public address of the other tenant, and of a sibling.
    assert curl(scene.netns("red-db"), PUBLIC["blue-web"]) == ["blue-web", MASTER]
    assert curl(scene.netns("blue-web"), PUBLIC["red-web"]) == ["red-web", PUBLIC["blue-web"]]
    assert curl(scene.netns("red-db"), PUBLIC["red-web"])[0] == "red-web"
    # No way in for what has no public address.
    assert curl(scene.internet, MASTER, within=1) is None
    # Two flows that are equal but for the tenant.
    links = [connect(scene.netns(name), INTERNET, 80, source_port=33333) for name in ("red-db", "blue-db")]
    assert links[0].getsockname() == links[1].getsockname()
    seen = [entry for entry in scene.connections() if "33333" in str(entry)]
    assert len(seen) == 2 and {entry["vrf"] for entry in seen} == {"red", "blue"}, seen
    for link in links:
        link.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert link.recv(200).endswith(b"internet 192.0.2.1\n")
        link.close()


def test_IV52_iperf3_both_ways(lab, scene):
    lab.spawn(scene.internet, "iperf3 -s -p 5300")
    for name in ("red-db", "blue-web"):
        lab.spawn(scene.netns(name), "iperf3 -s -p 5301")

    def run(namespace, address, port, *options):
        def moved():
            text = namespace.run(f"iperf3 -c {address} -p {port} -n 16M -O 0 {' '.join(options)}",
                                 check=False, timeout=60)
            return text if "iperf Done" in text else None
        wait_until(moved, 20, f"iperf3 from {namespace.name} to {address} is done", every=0.2)
    for options in ((), ("-R",)):
        run(scene.netns("red-db"), INTERNET, 5300, *options)
        run(scene.internet, PUBLIC["blue-web"], 5301, *options)
        run(scene.netns("red-web"), "10.0.0.6", 5301, *options)


def test_IV53_conntrack_is_shown_and_flushed_by_tenant(lab, scene):
    links = {name: connect(scene.netns(name), INTERNET, 80) for name in PRIVATE}
    by_vrf = {vrf: scene.connections(vrf=vrf, protocol="tcp") for vrf in ("red", "blue")}
    assert {vrf: len(found) for vrf, found in by_vrf.items()} == {"red": 2, "blue": 2}
    text = scene.daemon.ctl("conntrack", "show").stdout
    for word in ("red", "blue", "ESTABLISHED", INTERNET, PUBLIC["red-web"], MASTER):
        assert word.lower() in text.lower(), f"{word} is not in\n{text}"
    scene.daemon.ctl("conntrack", "flush", "vrf", "red")
    wait_until(lambda: not scene.connections(vrf="red", protocol="tcp"), 10, "red's are gone")
    assert len(scene.connections(vrf="blue", protocol="tcp")) == 2
    for name in ("blue-web", "blue-db"):
        links[name].sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"internet" in links[name].recv(200)
    scene.daemon.ctl("conntrack", "flush")
    wait_until(lambda: not scene.connections(protocol="tcp"), 10, "all are gone")
    for link in links.values():
        link.close()


@pytest.mark.parametrize("mode,check_source", [("l3s", True), ("l3s", False), ("l3", False)],
                         ids=["l3s-checked", "l3s-unchecked", "l3-unchecked"])
def test_IV53_nothing_crosses_between_tenants(lab, mode, check_source):
    """Spoofed sources and guessed tuples, by scapy, from a slave of red and from the wire; ARP, neighbour
    discovery and IPv6 too."""
    scene = Tenants(lab, mode, check_source=check_source)
    scene.start()
    server = Who(scene.internet, "internet")
    links = {name: connect(scene.netns(name), INTERNET, 80) for name in ("blue-web", "blue-db")}
    entry = {name: next(entry for entry in scene.connections(vrf="blue", protocol="tcp")
                        if PRIVATE[name] in str(entry)) for name in links}
    inside = {name: link.getsockname()[1] for name, link in links.items()}
    outside = {name: entry[name]["reply"]["dport"] for name in links}
    master = scene.daemon.port("uplink0")["mac"]
    ears = {name: lab.wire(scene.netns(name), name) for name in PRIVATE}
    mark = b"crossing"
    mouth = lab.wire(scene.netns("red-db"), "red-db")
    payloads = []
    for source in ("10.0.0.6", "10.0.0.5", INTERNET, MASTER, PUBLIC["blue-web"], GATEWAY, "10.0.0.77"):
        for target in ("10.0.0.5", "10.0.0.6"):
            payloads.append((source, target, UDP(sport=80, dport=53) / Raw(mark)))
            payloads.append((source, target, ICMP() / Raw(mark)))
            for name in links:
                payloads.append((source, target, segment_of(80, inside[name], mark)))
                payloads.append((source, target, segment_of(80, inside[name], mark, flags="R")))
        # The other end of a connection, as the wire would say it.
        payloads.append((source, MASTER, segment_of(80, outside["blue-db"], mark)))
        payloads.append((source, MASTER, segment_of(80, outside["blue-db"], mark, flags="RA")))
    for source, target, payload in payloads:
        mouth.send(datagram(mac_of_red(scene), master, source, target, payload))
    neighbour = ICMPv6ND_NA(tgt="fd00:5::5", R=0) / Raw(mark)
    for station in (master, BROADCAST, "33:33:00:00:00:01"):
        for operation in (1, 2):
            mouth.send(Ether(src=mac_of_red(scene), dst=station) / ARP(
                op=operation, hwsrc="02:66:66:66:66:66", psrc="10.0.0.6", pdst="10.0.0.5") / Raw(mark))
        for source, target in (("fe80::1", "ff02::1"), ("fd00:5::6", "fd00:5::5"), ("fd00:5::6", "fe80::5")):
            for payload in (neighbour, UDP(sport=80, dport=53) / Raw(mark)):
                mouth.send(datagram(mac_of_red(scene), station, source, target, payload, hlim=255))
    # From the wire: private addresses, wrong ends, wrong ports.
    wire = lab.wire(scene.gateway, "eth0")
    for source, target, payload in (
            (INTERNET, "10.0.0.5", UDP(sport=80, dport=53) / Raw(mark)),
            (INTERNET, "10.0.0.6", segment_of(80, inside["blue-db"], mark)),
            (GATEWAY, MASTER, segment_of(80, outside["blue-db"], mark)),
            (INTERNET, MASTER, segment_of(81, outside["blue-db"], mark)),
            (INTERNET, MASTER, segment_of(80, outside["blue-db"] ^ 1, mark))):
        wire.send(datagram(scene.gateway.mac("eth0"), master, source, target, payload))
    heard = {name: len(ears[name].frames(0.3, lambda frame: mark in frame)) for name in ("blue-web", "blue-db")}
    assert heard == {"blue-web": 0, "blue-db": 0}
    if check_source:
        assert scene.drops("slave_spoofed") >= 60
    for name, link in links.items():
        link.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"internet" in link.recv(200), f"the connection of {name} has suffered"
        link.close()
    server.close()


def mac_of_red(scene):
    return scene.netns("red-db").mac("red-db")
