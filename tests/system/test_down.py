"""Segments that are set down, with the kernel's vxlan device as the peer."""
from scene import TENANT4, VTEP, Scene
from lab import wait_until


def port_unreachable(frame):
    return frame[12:14] == b"\x08\x00" and frame[23] == 1 and frame[34:36] == b"\x03\x03"


def test_VX49_a_segment_is_set_down_and_up(lab):
    scene = Scene(lab, peers=1)
    scene.tenant()
    peer = scene.peers[0]
    peer.vxlan()
    scene.segment()
    scene.start()
    tenant = scene.members["acc0"][0]
    assert tenant.ping(peer.inner4) == 3
    ear = lab.wire(peer.namespace, "eth0")
    assert "state" in scene.daemon.ctl("segment", "set", "vx100", "down").stdout
    assert scene.daemon.rpc("segments", name="vx100")[0]["state"] == "down"
    assert tenant.ping(peer.inner4, count=2, wait=0.2) == 0
    assert peer.namespace.ping(TENANT4, count=2, wait=0.2) == 0
    assert scene.daemon.drops()["admin_down"] >= 2
    told = ear.frames(0.5, port_unreachable)
    assert told and told[0][26:30] == bytes(int(part) for part in VTEP.split("."))
    scene.daemon.ctl("segment", "set", "vx100", "up")
    assert tenant.ping(peer.inner4) == 3
    ear.frames(0.1)
    assert not ear.frames(0.3, port_unreachable)
