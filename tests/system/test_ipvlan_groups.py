"""Multicast groups of l2 slaves: what containers join by IGMP and MLD is what they hear."""
import socket
import struct

from frames import IP, UDP, Ether, IPv6, Raw
from ipvlan import Ipvlan, datagram, reaches
from lab import wait_until

ONE, TWO, PEER = "192.0.2.101", "192.0.2.102", "192.0.2.11"
GROUP4, GROUP4_MAC = "239.5.6.7", "01:00:5e:05:06:07"
GROUP6, GROUP6_MAC = "ff05::1:7", "33:33:00:01:00:07"


def scene_with(lab, **words):
    scene = Ipvlan(lab, "l2", **words).with_ipv6()
    scene.slave("s1", f"{ONE}/24", "2001:db8::101/64", ipv6=True)
    scene.slave("s2", f"{TWO}/24", "2001:db8::102/64", ipv6=True, groups=["239.1.1.1"])
    scene.start()
    reaches(scene.peers[0].namespace, ONE)
    return scene


def joined(namespace, ifname, group, source=None):
    """A socket of the namespace that is a member of the group (of its packets from `source`)."""
    def join():
        index = socket.if_nametoindex(ifname)
        if ":" in group:
            member = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                              socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", index))
            return member
        member = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        if source:  # IP_ADD_SOURCE_MEMBERSHIP
            member.setsockopt(socket.IPPROTO_IP, 39, socket.inet_aton(group) + socket.inet_aton(ONE) +
                              socket.inet_aton(source))
        else:
            member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                              struct.pack("@4s4si", socket.inet_aton(group), bytes(4), index))
        return member
    return namespace.entered(join)


def snooped(scene, name):
    """Groups of a slave that it joined, with the seconds that they have left."""
    slave = scene.daemon.rpc("slaves", name=name)[0]
    return {group["group"]: group["expires_s"] for group in slave["groups"] if group["origin"] == "snooped"}


def heard(lab, scene, mac, group, source):
    """Which slaves hear a datagram of the peer to that group."""
    peer = scene.peers[0].namespace
    ears = {name: lab.wire(scene.netns(name), name) for name in ("s1", "s2")}
    lab.wire(peer, "eth0").send(datagram(peer.mac("eth0"), mac, source, group, UDP(sport=9, dport=9) / Raw(b"shout")))
    return {name for name, ear in ears.items() if ear.frames(0.4, lambda frame: frame.endswith(b"shout"), enough=1)}


def expect(lab, scene, mac, group, source, names):
    """What is known is with the workers a moment later."""
    wait_until(lambda: heard(lab, scene, mac, group, source) == names, 5, f"{group} is heard by {names}")


def test_IV15_what_a_container_joins_it_hears_until_it_leaves(lab):
    scene = scene_with(lab)
    one = scene.netns("s1")
    wire = lab.wire(scene.peers[0].namespace, "eth0")
    expect(lab, scene, GROUP4_MAC, GROUP4, PEER, set())
    members = [joined(one, "s1", GROUP4), joined(one, "s1", GROUP6)]
    wait_until(lambda: {GROUP4, GROUP6} <= set(snooped(scene, "s1")), 5, "both groups are known")
    assert 200 < snooped(scene, "s1")[GROUP4] <= 260
    assert GROUP4 not in snooped(scene, "s2")
    expect(lab, scene, GROUP4_MAC, GROUP4, PEER, {"s1"})
    expect(lab, scene, GROUP6_MAC, GROUP6, "2001:db8::11", {"s1"})
    # The wire sees the reports as they are.
    reports = wire.frames(3, lambda frame: frame[12:14] == b"\x08\x00" and frame[23] == 2, enough=1)
    assert reports and IP(reports[0][14:]).dst == "224.0.0.22"
    shown = scene.daemon.ctl("slave", "show", "ipvl0/s1").stdout
    assert f"ipvl0/s1 group {GROUP4} origin snooped expires 2" in shown, shown
    assert "ipvl0/s2 group 239.1.1.1 origin static" in scene.daemon.ctl("slave", "show", "s2").stdout
    for member in members:
        member.close()
    wait_until(lambda: not {GROUP4, GROUP6} & set(snooped(scene, "s1")), 6, "both groups are forgotten")
    expect(lab, scene, GROUP4_MAC, GROUP4, PEER, set())
    assert scene.daemon.rpc("health")["packets_unaccounted"] == 0


def test_IV15_groups_of_one_source_and_of_siblings(lab):
    scene = scene_with(lab)
    members = [joined(scene.netns(name), name, GROUP4, source=PEER) for name in ("s1",)]
    other = joined(scene.netns("s2"), "s2", GROUP4)
    wait_until(lambda: all(GROUP4 in snooped(scene, name) for name in ("s1", "s2")), 5, "both are members")
    expect(lab, scene, GROUP4_MAC, GROUP4, PEER, {"s1", "s2"})
    other.close()
    wait_until(lambda: GROUP4 not in snooped(scene, "s2"), 6, "one is none any more")
    expect(lab, scene, GROUP4_MAC, GROUP4, PEER, {"s1"})
    members[0].close()
    wait_until(lambda: GROUP4 not in snooped(scene, "s1"), 6, "nor is the other")


def test_IV15_off_and_on_while_it_runs(lab):
    scene = scene_with(lab, mcast_snooping=False)
    member = joined(scene.netns("s1"), "s1", GROUP4)
    expect(lab, scene, GROUP4_MAC, GROUP4, PEER, set())
    assert scene.reload(lambda topology: topology["ipvlans"]["ipvl0"].update({"mcast_snooping": True}))
    member.close()
    member = joined(scene.netns("s1"), "s1", GROUP4)
    wait_until(lambda: GROUP4 in snooped(scene, "s1"), 5, "the group is known")
    expect(lab, scene, GROUP4_MAC, GROUP4, PEER, {"s1"})
    member.close()


def test_IV15_broken_reports_and_a_thousand_groups(lab):
    scene = scene_with(lab)
    one, mouth = scene.netns("s1"), lab.wire(scene.netns("s1"), "s1")
    mac = one.mac("s1")

    def report(groups, count=None, checksum=None):
        body = b"".join(b"\x04\0\0\0" + socket.inet_aton(group) for group in groups)
        message = b"\x22\0\0\0\0\0" + struct.pack("!H", len(groups) if count is None else count) + body
        total = sum(struct.unpack(f"!{len(message) // 2}H", message))
        total = (total >> 16) + (total & 0xFFFF)
        total = ~((total >> 16) + total) & 0xFFFF
        message = message[:2] + struct.pack("!H", total if checksum is None else checksum) + message[4:]
        mouth.send(Ether(src=mac, dst="01:00:5e:00:00:16") /
                   IP(src=ONE, dst="224.0.0.22", ttl=1, proto=2) / Raw(message))
    report([GROUP4], count=2)
    report([GROUP4], count=65535)
    report([GROUP4], checksum=1)
    mouth.send(Ether(src=mac, dst="33:33:00:00:00:16") /
               IPv6(src="fe80::1", dst="ff02::16", hlim=1, nh=0) / Raw(b"\x3a\xff" + b"\xff" * 60))
    for first in range(0, 1000, 100):
        report([f"239.7.{number >> 8}.{number & 255}" for number in range(first, first + 100)])
    wait_until(lambda: scene.daemon.rpc("slaves", name="s1")[0]["groups_refused"] >= 900, 5, "most are refused")
    assert GROUP4 not in snooped(scene, "s1") and len(snooped(scene, "s1")) <= 28
    assert "no room for group" in scene.daemon.log()
    expect(lab, scene, GROUP4_MAC, GROUP4, PEER, set())
    assert "groups refused" in scene.daemon.ctl("slave", "show", "s1").stdout
