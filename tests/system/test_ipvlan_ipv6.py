"""IPv6 of slaves beyond an echo: tables of their own, what ICMPv6 tells them, address translation for
tenants, and segments that they are routed into."""
import errno
import socket

import pytest
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr

from ipvlan import MASTER6, Ipvlan, datagram, reaches, read, silent
from lab import wait_until
from streams import Echo

PEER6, FAR6 = "2001:db8::11", "2001:db8:f::9"
ONE6, TWO6 = "2001:db8:1::5", "2001:db8:2::5"


def told(namespace, address):
    """The errno of what ICMPv6 says of one datagram; ETIMEDOUT when it says nothing."""
    def ask():
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as link:
            link.setsockopt(socket.IPPROTO_IPV6, 25, 1)  # IPV6_RECVERR
            link.settimeout(4)
            link.connect((address, 9))
            link.send(b"datagram")
            try:
                link.recv(100)
            except OSError as error:
                return error.errno or errno.ETIMEDOUT
        return 0
    return namespace.entered(ask)


def test_RP71_IV44_a_slaves_own_table_and_what_it_is_told(lab):
    scene = Ipvlan(lab, "l3", 2).with_ipv6()
    one = scene.slave("s1", f"{ONE6}/64", gateway="2001:db8:1::1", ipv6=True,
                      routes=[{"to": "2001:db8:f::/64", "via": PEER6}])
    two = scene.slave("s2", f"{TWO6}/64", gateway="2001:db8:2::1", ipv6=True)
    for peer in scene.peers:
        peer.namespace.ip(f"address add {FAR6}/128 dev lo nodad")
    scene.lead("2001:db8:1::/64", "2001:db8:2::/64", via=MASTER6).start()
    first, second = (lab.wire(peer.namespace, "eth0") for peer in scene.peers)
    reaches(one, FAR6)
    assert first.frames(0.2, to_far) and not second.frames(0.05, to_far), "by its own gateway"
    before = scene.drops("route_none")
    assert told(two, FAR6) == errno.ENETUNREACH and scene.drops("route_none") == before + 1
    table = ("table", "ipvl0/s1")
    for kind, wanted, reason in (("prohibit", errno.EACCES, "route_prohibit"),
                                 ("unreachable", errno.EHOSTUNREACH, "route_unreachable"),
                                 ("blackhole", None, "route_blackhole")):
        scene.daemon.ctl("route", "replace", "2001:db8:f::/64", kind, *table)
        assert (silent(one, FAR6) if wanted is None else told(one, FAR6) == wanted), kind
        assert scene.drops(reason) >= 1, f"{kind} is counted"
    scene.daemon.ctl("route", "add", f"{FAR6}/128", "via", "2001:db8::12", *table)
    reaches(one, FAR6)
    assert second.frames(0.2, to_far), "the longest prefix wins"
    # Hops are counted where it is asked for.
    scene.reload(lambda topology: topology["ipvlans"]["ipvl0"].update({"decrement-ttl": True}))
    text = one.run(f"ping -n -c 1 -W 2 -t 1 {PEER6}", check=False)
    assert "Hop limit" in text and MASTER6 in text, text


def to_far(frame):
    return frame[12:14] == b"\x86\xdd" and socket.inet_ntop(socket.AF_INET6, frame[38:54]) == FAR6


def test_IV45_too_big_for_the_way_out_is_told_by_icmpv6(lab):
    scene = Ipvlan(lab, "l3").with_ipv6()
    one = scene.slave("s1", f"{ONE6}/64", gateway="2001:db8:1::1", ipv6=True,
                      routes=[{"to": "2001:db8:f::/64", "dev": "uplink1"}])
    narrow = lab.namespace("narrow", ipv6=True)
    scene.topology["ports"]["uplink1"] = {"device": "net_tap9,iface=und1", "role": "underlay", "mtu": 1400,
                                          "addresses": ["2001:db8:f::1/64"]}
    scene.start()
    scene.host.ip(f"link set und1 netns {narrow.name}")
    narrow.up("und1", f"{FAR6}/64", mtu=1400)
    lab.veth(narrow, "back", scene.fabric, "back")  # slaves are reached by their master alone
    scene.fabric.ip("link set back master br0")
    narrow.up("back", "2001:db8::50/64")
    narrow.ip(f"route add 2001:db8:1::/64 via {MASTER6}")
    reaches(one, FAR6)
    text = one.run(f"ping -n -c 2 -i 0.1 -W 1 -s 1452 -M do {FAR6}", check=False)
    assert "mtu = 1400" in text or "mtu=1400" in text, text
    wait_until(lambda: scene.drops("route_too_big") >= 1, 2, "it is counted")
    assert one.ping(FAR6, options="-s 1352 -M do", wait=4) == 3
    with Echo(narrow, FAR6) as echo:
        assert echo.round_trip(one, megabytes=1) == 1 << 20


@pytest.mark.parametrize("mode", ["l3", "l3s"])
def test_IV51_IV52_IV53_tenants_with_the_same_ipv6_addresses(lab, mode):
    """webs have public addresses, dbs leave with the master's; the same five words are two connections."""
    scene = Ipvlan(lab, mode, masquerade=True, masquerade_ports="20000-59999").with_ipv6()
    inside = {"web": "fd00:5::5", "db": "fd00:5::6"}
    public = {"red-web": "2001:db8::51", "blue-web": "2001:db8::52"}
    for tenant in ("red", "blue"):
        for kind, address in inside.items():
            name = f"{tenant}-{kind}"
            nat = {"nat": [{"public": public[name]}]} if name in public else {}
            scene.slave(name, f"{address}/64", gateway="fd00:5::1", ipv6=True, vrf=tenant, check_source=True, **nat)
    scene.start()
    peer = scene.peers[0].namespace
    for name in scene.ipvlan["slaves"]:
        reaches(scene.netns(name), PEER6)
    with Echo(peer, PEER6) as echo:
        links = {}
        for name in scene.ipvlan["slaves"]:
            links[name] = bound(scene.netns(name), echo, 33333)
            wait_until(lambda: len(echo.open) == len(links), 5, "the server has accepted it")
            seen = echo.open[-1].getpeername()[:2]
            assert seen[0] == public.get(name, MASTER6), name
            assert name in public or 20000 <= seen[1] <= 59999
        for name, link in links.items():
            link.sendall(name.encode())
        for name, link in links.items():
            assert link.recv(100) == name.encode(), "each gets its own"
            link.close()
    for name, address in public.items():
        reaches(peer, address)
        with Echo(scene.netns(name), "::") as echo:
            echo.address = address
            assert echo.round_trip(peer, megabytes=1) == 1 << 20
    with Echo(scene.netns("blue-web"), inside["web"]) as echo:
        echo.address = public["blue-web"]
        assert echo.round_trip(scene.netns("red-db"), megabytes=1) == 1 << 20, "by the other's public address"
        echo.address = inside["web"]
        assert echo.round_trip(scene.netns("blue-db"), megabytes=1) == 1 << 20, "at home"
        with pytest.raises(OSError):
            echo.connect(scene.netns("red-db"), timeout=0.5)


@pytest.mark.parametrize("mode", ["l3", "l3s"])
def test_IV28_slaves_on_the_link_are_there_for_who_solicits_them(lab, mode):
    """Control answers who asks all, who asks the one that it knows, and who wants the address itself."""
    scene = Ipvlan(lab, mode).with_ipv6()
    one = scene.slave("s1", "2001:db8::51/64", ipv6=True)
    scene.start()
    peer, master = scene.peers[0].namespace, scene.daemon.port("uplink0")["mac"]
    reaches(peer, "2001:db8::51")
    assert master in peer.ip("neighbour show 2001:db8::51") and one.ping(PEER6, wait=4) == 3
    wire, inside, own = lab.wire(peer, "eth0"), lab.wire(one, "s1"), peer.mac("eth0")

    def advertised(frame):
        packet = read(frame)
        return packet is not None and ICMPv6ND_NA in packet and packet[ICMPv6ND_NA].tgt == "2001:db8::51"
    for station, group, source in (("33:33:ff:00:00:51", "ff02::1:ff00:51", PEER6),
                                   (master, "2001:db8::51", PEER6), ("33:33:ff:00:00:51", "ff02::1:ff00:51", "::")):
        option = ICMPv6NDOptSrcLLAddr(lladdr=own) if source != "::" else b""
        wire.send(datagram(own, station, source, group, ICMPv6ND_NS(tgt="2001:db8::51") / option, hlim=255))
        heard = wire.frames(5, advertised, enough=1)
        assert heard and read(heard[0])[ICMPv6ND_NA].S == (source != "::"), f"{source} to {group}"
        assert heard[0][6:12].hex(":") == master
    assert not inside.frames(0.1, lambda frame: frame[12:14] == b"\x86\xdd" and frame[54] == 135)


def bound(namespace, echo, source_port):
    def make():
        link = socket.socket(echo.family)
        link.settimeout(10)
        link.bind(("::", source_port))
        link.connect((echo.address, echo.port))
        return link
    return namespace.entered(make)


def test_IV45_ipv6_pods_behind_a_segment(lab):
    """A kernel VTEP is the router of the other node, as the segment is for it."""
    scene = Ipvlan(lab, "l3")
    peer = scene.peers[0]
    node, own, far = "5e:10:c0:00:02:11", "5e:10:c0:00:02:01", "fd00:2::5"
    peer.vxlan(addresses=(f"{far}/64",), remote=None, options="nolearning", mac=node)
    peer.namespace.run(f"bridge fdb append {own} dev vx0 dst 192.0.2.1")
    peer.namespace.ip(f"-6 neighbour add fe80::99 lladdr {own} dev vx0 nud permanent")
    peer.namespace.ip("-6 route add fd00:1::/64 via fe80::99 dev vx0")
    scene.segment(ports=(), remotes=(), learning=False, mac=own, router="ipvl0",
                  fdb=[{"mac": node, "dst": peer.underlay}])
    one = scene.slave("s1", "fd00:1::5/64", gateway="fd00:1::1", ipv6=True, routes=[
        {"to": "fd00:2::/64", "vxlan": "vx100", "remote": peer.underlay, "lladdr": node}])
    scene.start()
    reaches(one, far)
    assert peer.namespace.ping("fd00:1::5", wait=4) == 3
    text = one.run(f"ping -n -c 2 -i 0.1 -W 1 -s 1452 -M do {far}", check=False)
    assert "mtu = 1450" in text or "mtu=1450" in text, text
    assert one.ping(far, options="-s 1402 -M do", wait=4) == 3
    for server, address, client in ((peer.namespace, far, one), (one, "fd00:1::5", peer.namespace)):
        with Echo(server, address) as echo:
            assert echo.round_trip(client, megabytes=1) == 1 << 20
