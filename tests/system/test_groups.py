"""Multicast: groups of the underlay with the kernel's vxlan device as the peer, across a bridge that snoops and
gives groups to nobody who has not joined; groups of tenants."""
import copy
import pathlib
import subprocess
import sys
import time

import pytest
from frames import IP, UDP, Ether, Raw
from lab import wait_until
from scene import TENANT4, Scene
from test_reload import reload
from test_underlay6 import VTEP6, six, six_scene

GROUP, OTHER = "239.1.1.1", "239.1.1.2"
HEAR_GROUP = pathlib.Path(__file__).with_name("hear_group.py")


def mac_of(group):
    parts = [int(part) for part in group.split(".")]
    return bytes([1, 0, 0x5E, parts[1] & 0x7F, parts[2], parts[3]])


def igmp_records(frame):
    """(type, group) of an IGMPv3 report, or nothing."""
    if frame[12:14] != b"\x08\x00" or frame[23] != 2:
        return []
    igmp = frame[14 + (frame[14] & 15) * 4:]
    if igmp[0] != 0x22:
        return []
    return [(igmp[8 + 8 * i], ".".join(str(byte) for byte in igmp[12 + 8 * i:16 + 8 * i]))
            for i in range(int.from_bytes(igmp[6:8], "big"))]


def snoop(scene):
    """The fabric asks who wants which group, and gives groups to nobody else."""
    # The interval first: for one such time after it has begun to ask, a querier does not count, and floods go nowhere.
    scene.fabric.ip("link set br0 type bridge mcast_igmp_version 3 mcast_mld_version 2 mcast_query_response_interval 50 "
                    "mcast_query_interval 200 mcast_startup_query_interval 100")
    scene.fabric.ip("link set br0 type bridge mcast_snooping 1 mcast_querier 1")
    scene.fabric.run("bridge link set dev peer1 mcast_flood off")


def begin(scene):
    scene.start()
    scene.fabric.run("bridge link set dev und0 mcast_flood off")


def group_scene(lab):
    scene = Scene(lab, peers=1)
    scene.tenant()
    peer = scene.peers[0]
    snoop(scene)
    peer.vxlan(remote=None, options=f"group {GROUP} dev eth0")
    scene.segment(remotes=[], group=GROUP, dev="uplink0")
    begin(scene)
    return scene, peer


def members(scene, port="und0"):
    return [line for line in scene.fabric.run("bridge mdb show dev br0").splitlines() if f"port {port}" in line]


def joined(scene, group, port="und0"):
    return any(f"grp {group} " in line for line in members(scene, port))


def test_VX73_a_kernel_peer_and_we_reach_each_other_by_the_group(lab):
    scene, peer = group_scene(lab)
    ear = lab.wire(scene.fabric, "und0")
    wait_until(lambda: joined(scene, GROUP), 5, "the bridge has heard that we join")
    tenant = scene.members["acc0"][0]
    assert tenant.ping(peer.inner4) == 3
    assert peer.namespace.ping(TENANT4) == 3
    # ARP went to the group, with TTL 1; everything else to the VTEP that was learned.
    to_group = [frame for frame in ear.frames(0.3) if frame[:6] == mac_of(GROUP) and frame[23] == 17]
    assert to_group and all(frame[22] == 1 for frame in to_group)
    row = scene.daemon.rpc("maddress")[0]
    assert (row["group"], row["dev"], row["segments"], row["state"]) == (GROUP, "uplink0", ["vx100"], "joined")
    assert row["reports"] >= 2
    assert GROUP in scene.daemon.ctl("maddress").stdout
    assert peer.underlay in str(scene.daemon.rpc("fdb.show", segment="vx100"))
    # The querier is answered, so that the membership lives.
    wait_until(lambda: scene.daemon.rpc("maddress")[0]["queries"] >= 1, 10, "a query was heard")


def test_VX73_over_ipv6_by_MLD(lab):
    group = "ff05::100"
    scene = six_scene(lab)
    scene.fabric.run("sysctl -qw net.ipv6.conf.br0.accept_dad=0")
    scene.fabric.run("sysctl -qw net.ipv6.conf.br0.disable_ipv6=0")
    wait_until(lambda: "fe80" in scene.fabric.ip("-6 address show dev br0"), 5, "the querier has an address")
    snoop(scene)
    peer = six(scene, scene.peers[0], remote=None, options=f"group {group} dev eth0")
    scene.segment(remotes=[], local=VTEP6, group=group, dev="uplink0")
    begin(scene)
    tenant = scene.members["acc0"][0]
    tenant.ip("link set acc0 mtu 1430")
    wait_until(lambda: joined(scene, group) and joined(scene, group, "peer1"), 5, "the bridge has heard that all join")
    assert tenant.ping(peer.inner4) == 3
    assert peer.namespace.ping(TENANT4) == 3
    wait_until(lambda: scene.daemon.rpc("maddress")[0]["queries"] >= 1, 10, "a query was heard")
    assert scene.daemon.rpc("maddress")[0]["protocol"] == "mldv2"


def test_VX73_VX97_another_group_is_joined_before_the_old_one_is_left(lab):
    scene, peer = group_scene(lab)
    tenant = scene.members["acc0"][0]
    ear = lab.wire(scene.fabric, "und0")
    assert tenant.ping(peer.inner4) == 3
    topology = copy.deepcopy(scene.daemon.topology)
    topology["vxlans"]["vx100"]["group"] = OTHER
    reload(scene.daemon, topology)
    wait_until(lambda: joined(scene, OTHER), 5, "the other group is joined")
    # The peer still sends to the old group, and is heard.
    peer.namespace.ip("neighbour flush dev vx0")
    assert peer.namespace.ping(TENANT4) == 3
    peer.namespace.ip(f"link set vx0 type vxlan group {OTHER} dev eth0")
    assert tenant.ping(peer.inner4) == 3
    wait_until(lambda: [row["group"] for row in scene.daemon.rpc("maddress")] == [OTHER], 15, "the old group is left")
    said = [record for frame in ear.frames(0.5) for record in igmp_records(frame)]
    assert (4, OTHER) in said and (3, GROUP) in said
    assert said.index((4, OTHER)) < said.index((3, GROUP))


def test_VX73_after_the_link_was_down_the_group_is_joined_again(lab):
    scene, peer = group_scene(lab)
    wait_until(lambda: joined(scene, GROUP), 5, "joined")
    scene.fabric.ip("link set und0 down")
    wait_until(lambda: not joined(scene, GROUP), 5, "the bridge has forgotten")
    time.sleep(0.3)
    scene.fabric.ip("link set und0 up")
    wait_until(lambda: joined(scene, GROUP), 5, "joined again")
    scene.fabric.run("bridge link set dev und0 mcast_flood off")
    assert scene.members["acc0"][0].ping(peer.inner4) == 3


def multicast(src, group, source="10.0.0.1"):
    """An untagged UDP datagram to a group."""
    mac = ":".join(f"{byte:02x}" for byte in mac_of(group))
    return bytes(Ether(src=src, dst=mac) / IP(src=source, dst=group, ttl=16) / UDP(sport=1000, dport=2000) /
                 Raw(b"x" * 20))


def test_VX74_tenants_get_the_groups_that_they_report(lab):
    scene = Scene(lab, peers=1)
    scene.tenant()
    scene.tenant("acc1", "10.0.0.2/24")
    scene.tenant("acc2", "10.0.0.3/24")
    scene.peers[0].vxlan()
    scene.segment(ports=("acc0", "acc1", "acc2"), **{"mcast-snooping": True},
                  mdb=[{"group": "239.7.7.8", "port": "acc2", "dst": scene.peers[0].underlay}])
    scene.start()
    sender, listener, other = (scene.members[name][0] for name in ("acc0", "acc1", "acc2"))
    listener.ip("address add 239.7.7.7/32 dev acc1 autojoin")
    def reported():
        rows = scene.daemon.rpc("mdb.show", segment="vx100")["entries"]
        return [row for row in rows if row["group"] == "239.7.7.7" and row["state"] == "temp"]
    row = wait_until(reported, 5, "the report was heard")[0]
    assert row["port"] == "acc1" and row["filter_mode"] == "exclude"
    mouth, near, far = lab.wire(sender, "acc0"), lab.wire(listener, "acc1"), lab.wire(other, "acc2")
    mac = sender.mac("acc0")
    def got(group):
        mouth.send(multicast(mac, group))
        wanted = lambda frame: frame[:6] == mac_of(group) and frame[23] == 17
        return bool(near.frames(0.3, wanted, enough=1)), bool(far.frames(0.3, wanted, enough=1))
    time.sleep(0.05)
    assert got("239.7.7.7") == (True, False)
    assert got("239.7.7.8") == (False, True)
    assert got("239.7.7.9") == (True, True), "unknown, and no querier: flooded"
    scene.daemon.ctl("mdb", "add", "dev", "vx100", "port", "acc1", "grp", "239.7.7.9")
    assert got("239.7.7.9") == (True, False)
    assert "239.7.7.9" in scene.daemon.ctl("mdb", "show", "dev", "vx100").stdout
    scene.daemon.ctl("mdb", "del", "dev", "vx100", "port", "acc1", "grp", "239.7.7.9")
    assert got("239.7.7.9") == (True, True)
    # What the file says changes while it runs, too.
    topology = copy.deepcopy(scene.daemon.topology)
    topology["vxlans"]["vx100"]["mdb"] = [{"group": "239.7.7.8", "port": "acc1"}]
    assert any("mdb[239.7.7.8 port acc1]" in line for line in reload(scene.daemon, topology))
    assert got("239.7.7.8") == (True, False)


@pytest.mark.parametrize("how, mode, wanted, unwanted", [("only", "include", "10.0.0.1", "10.0.0.3"),
                                                         ("but", "exclude", "10.0.0.3", "10.0.0.1")])
def test_VX74_tenants_get_the_sources_that_they_ask_for(lab, how, mode, wanted, unwanted):
    scene = Scene(lab, peers=1)
    scene.tenant("acc0", "10.0.0.1/24")
    scene.tenant("acc1", "10.0.0.2/24")
    scene.tenant("acc2", "10.0.0.3/24")
    scene.peers[0].vxlan()
    scene.segment(ports=("acc0", "acc1", "acc2"), **{"mcast-snooping": True})
    scene.start()
    namespaces = {f"10.0.0.{number + 1}": (scene.members[f"acc{number}"][0], f"acc{number}") for number in range(3)}
    listener = namespaces["10.0.0.2"][0]
    joined_by = lab.spawn(listener, f"{sys.executable} {HEAR_GROUP} 10.0.0.2 239.7.7.7 {how} 10.0.0.1",
                          stdin=subprocess.PIPE)
    assert joined_by.stdout.readline().strip() == "ready"

    def row():
        rows = scene.daemon.rpc("mdb.show", segment="vx100")["entries"]
        return next(({"filter_mode": row["filter_mode"], "source_list": row["source_list"]} for row in rows
                     if (row["group"], row["port"], row["state"]) == ("239.7.7.7", "acc1", "temp")), None)
    wait_until(lambda: row() == {"filter_mode": mode, "source_list": ["10.0.0.1"]}, 10, "the report was heard")
    time.sleep(0.05)
    mouths = {source: lab.wire(*namespaces[source]) for source in (wanted, unwanted)}
    near, peer = lab.wire(listener, "acc1"), lab.wire(scene.peers[0].namespace, "vx0")

    def heard(wire):
        frames = wire.frames(0.3, lambda frame: frame[:6] == mac_of("239.7.7.7") and frame[23] == 17)
        return sorted(".".join(str(byte) for byte in frame[26:30]) for frame in frames)
    for source, mouth in mouths.items():
        namespace, port = namespaces[source]
        mouth.send(multicast(namespace.mac(port), "239.7.7.7", source))
    assert heard(near) == [wanted]
    assert heard(peer) == sorted((wanted, unwanted)), "what is behind VTEPs is theirs to filter"
    # With its end all sources end.
    joined_by.stdin.close()
    wait_until(lambda: row() is None, 10, "the leave was heard")
