"""Remotes that are addresses of our own: delivered inside by the VNI of the entry, or by the wire."""
from frames import Ether
from lab import inner_frame, wait_until
from scene import VTEP, Scene

MAC = {"acc0": "02:00:00:00:0a:01", "acc1": "02:00:00:00:0a:02"}


def scene_of(lab, vni=200, **words):
    """Segments 100 and 200 with a tenant each; each one's flood list leads to the other by our own address."""
    scene = Scene(lab)
    for port, address in (("acc0", "10.0.0.1"), ("acc1", "10.0.0.2")):
        scene.tenant(port, f"{address}/24")
    for name, own, other, port in (("vx100", 100, vni, "acc0"), ("vx200", 200, 100, "acc1")):
        scene.segment(name, own, [port], remotes=[], **words,
                      fdb=[{"mac": "00:00:00:00:00:00", "dst": VTEP, "vni": other}])
    scene.start()
    return scene


def test_VX19_local_bypass_joins_two_segments(lab):
    scene = scene_of(lab)
    wire = lab.wire(scene.fabric, "und0")
    assert scene.members["acc0"][0].ping("10.0.0.2") == 3
    assert not wire.frames(0.2, lambda frame: inner_frame(frame) is not None), "nothing leaves"
    rows = {row["name"]: row for row in scene.daemon.rpc("segments")}
    for name in ("vx100", "vx200"):
        assert rows[name]["rx"]["packets"] >= 3 and rows[name]["tx"]["packets"] >= 3
    # Nothing is learned of what came in like that: frames go on being flooded to the other segment.
    assert {entry["state"] for entry in scene.daemon.fdb() if "dst" in entry} == {"permanent"}


def test_VX19_an_unknown_vni_is_dropped(lab):
    scene = scene_of(lab, vni=201)
    before = scene.daemon.drops().get("vxlan_unknown_vni", 0)
    assert scene.members["acc0"][0].ping("10.0.0.2", count=1, wait=0.3) == 0
    wait_until(lambda: scene.daemon.drops().get("vxlan_unknown_vni", 0) > before, 2, "the drop is counted")
    row = next(row for row in scene.daemon.rpc("segments") if row["name"] == "vx100")
    assert row["tx"]["drops"] >= 1


def test_VX19_without_local_bypass_it_goes_to_the_wire(lab):
    scene = scene_of(lab, **{"local-bypass": False})
    wire = lab.wire(scene.fabric, "und0")
    scene.members["acc0"][0].ping("10.0.0.2", count=1, wait=0.3)
    seen = wire.frames(1, lambda frame: inner_frame(frame, vni=200) is not None, enough=1)
    assert seen, "a tunnel packet to ourselves is on the wire"
    mac = scene.daemon.port("uplink0")["mac"]
    frame = Ether(seen[0])
    assert (frame.dst, frame["IP"].dst, frame["IP"].src) == (mac, VTEP, VTEP)
