"""Broadcast, unknown unicast and multicast by head-end replication to several kernel VTEPs."""
import time

import pytest

from frames import BROADCAST, is_tagged, numbers, tagged
from lab import inner_frame, wait_until
from scene import Scene, vtep_pair


@pytest.mark.parametrize("destination", [BROADCAST, "01:00:5e:01:02:03", "02:00:00:00:55:01"],
                         ids=["broadcast", "multicast", "unknown"])
def test_VX71_VX72_one_copy_to_each_remote_and_none_back(lab, destination):
    scene = vtep_pair(lab, peers=3)
    tenant = scene.members["acc0"][0]
    mouth = lab.wire(tenant, "acc0")
    outside = [lab.wire(peer.namespace, "eth0") for peer in scene.peers]
    inside = [lab.wire(peer.namespace, "vx0") for peer in scene.peers]
    for number in range(10):
        mouth.send(tagged(tenant.mac("acc0"), destination, number, size=600))
    for peer, underlay, overlay in zip(scene.peers, outside, inside):
        assert numbers(overlay.frames(1, is_tagged, enough=10)) == list(range(10))
        copies = [frame for frame in underlay.frames(0.1) if is_tagged(frame)]
        assert len(copies) == 10
        for copy in copies:
            assert copy[30:34] == bytes(map(int, peer.underlay.split("."))), "outer destination"
            assert copy[22] == 64, "outer TTL"
            assert inner_frame(copy, vni=100) is not None
    assert mouth.frames(0.2, is_tagged) == [], "a frame came back to its port"


def test_VX71_flood_reaches_the_other_local_ports_too(lab):
    scene = Scene(lab)
    one, other = scene.tenant("one", "10.0.0.1/24"), scene.tenant("other", "10.0.0.2/24")
    scene.peers[0].vxlan()
    scene.segment(ports=["one", "other"])
    scene.start()
    mouth, ear, far = lab.wire(one, "one"), lab.wire(other, "other"), lab.wire(scene.peers[0].namespace, "vx0")
    mouth.send(tagged(one.mac("one"), BROADCAST, 7))
    assert numbers(ear.frames(1, is_tagged, enough=1)) == [7]
    assert numbers(far.frames(1, is_tagged, enough=1)) == [7]


def test_VX75_frames_from_a_vtep_do_not_go_to_another_vtep(lab):
    scene = vtep_pair(lab, peers=3)
    tenant = scene.members["acc0"][0]
    ear = lab.wire(tenant, "acc0")
    others = [lab.wire(peer.namespace, "eth0") for peer in scene.peers[1:]]
    mouth = lab.wire(scene.peers[0].namespace, "vx0")
    mouth.send(tagged("02:00:00:00:0b:01", BROADCAST, 1))
    mouth.send(tagged("02:00:00:00:0b:01", "02:00:00:00:55:01", 2))
    assert numbers(ear.frames(1, is_tagged, enough=2)) == [1, 2]
    for other in others:
        assert other.frames(0.2, is_tagged) == [], "sent on to another VTEP"
    # Known unicast from one VTEP to a MAC behind another is refused as well, and has its own count.
    lab.wire(scene.peers[1].namespace, "vx0").send(tagged("02:00:00:00:0b:02", BROADCAST, 3))
    wait_until(lambda: scene.daemon.fdb("02:00:00:00:0b:02"), 1, "the second peer's MAC is learned")
    before = scene.daemon.drops().get("fdb_split_horizon", 0)
    mouth.send(tagged("02:00:00:00:0b:01", "02:00:00:00:0b:02", 4))
    wait_until(lambda: scene.daemon.drops().get("fdb_split_horizon", 0) == before + 1, 1, "split horizon counts")
    assert others[0].frames(0.2, lambda frame: is_tagged(frame) and numbers([frame]) == [4]) == []


def test_VX77_broadcast_with_no_other_member_is_counted(lab):
    scene = vtep_pair(lab, remotes=[])
    tenant = scene.members["acc0"][0]
    before = scene.daemon.drops().get("flood_empty", 0)
    lab.wire(tenant, "acc0").send(tagged(tenant.mac("acc0"), BROADCAST))
    wait_until(lambda: scene.daemon.drops().get("flood_empty", 0) > before, 1, "flood_empty counts")


def test_VX76_floods_are_limited_and_counted(lab):
    scene = vtep_pair(lab, **{"flood-limit": 20})
    tenant, peer = scene.members["acc0"][0], scene.peers[0]
    assert tenant.ping(peer.inner4) == 3
    mouth, far = lab.wire(tenant, "acc0"), lab.wire(peer.namespace, "vx0")
    frames = [tagged(tenant.mac("acc0"), BROADCAST, number) for number in range(200)]
    begin = time.monotonic()
    for frame in frames:
        mouth.send(frame)
    took = time.monotonic() - begin
    arrived = len(numbers(far.frames(0.5, is_tagged)))
    assert 5 <= arrived <= 20 * (took + 2), f"{arrived} of 200 frames in {took:.2f} s at 20 a second"
    assert took > 5 or scene.daemon.drops()["flood_limit"] >= 50
    assert tenant.ping(peer.inner4, count=1) == 1, "who is known is not concerned"
