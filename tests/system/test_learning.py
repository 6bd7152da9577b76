"""The FDB as traffic shapes it: learning, moving, ageing, limits. Single frames are sent from raw
sockets on the kernel's vxlan devices, so that each test says exactly what was on the wire."""
import copy
import time

import pytest

from frames import BROADCAST, is_tagged, numbers, tagged
from lab import wait_until
from scene import vtep_pair
from test_reload import reload

ROAMER = "02:00:00:00:77:01"
STRANGER = "02:00:00:00:66:01"


def test_VX51_both_sides_are_learned_and_flooding_ends(lab):
    scene = vtep_pair(lab, peers=2)
    tenant, (one, other) = scene.members["acc0"][0], scene.peers
    assert tenant.ping(one.inner4) == 3
    entry = wait_until(lambda: scene.daemon.fdb(one.mac()), 1, "the peer's MAC is learned")
    assert entry["dst"] == one.underlay and entry["state"] == "dynamic" and entry["vni"] == 100
    own = wait_until(lambda: scene.daemon.fdb(tenant.mac("acc0")), 1, "the tenant's MAC is learned")
    assert own["port"] == "acc0" and own["state"] == "dynamic"
    bystander = lab.wire(other.namespace, "vx0")
    sender = lab.wire(tenant, "acc0")
    sender.send(tagged(tenant.mac("acc0"), one.mac()))
    assert bystander.frames(0.3, is_tagged) == [], "a learned destination was flooded"


def test_VX53_mac_moves_between_two_kernel_vteps_at_once(lab):
    scene = vtep_pair(lab, peers=2)
    tenant = scene.members["acc0"][0]
    ears = [lab.wire(peer.namespace, "vx0") for peer in scene.peers]
    mouth = lab.wire(tenant, "acc0")
    for turn, home in enumerate((0, 1, 0)):
        ears[home].send(tagged(ROAMER, BROADCAST, turn))
        wait_until(lambda: (entry := scene.daemon.fdb(ROAMER)) and entry["dst"] == scene.peers[home].underlay,
                   1, f"{ROAMER} is behind peer {home + 1}")
        mouth.send(tagged(tenant.mac("acc0"), ROAMER, 100 + turn))
        assert 100 + turn in numbers(ears[home].frames(1, is_tagged, enough=1))
        assert 100 + turn not in numbers(ears[1 - home].frames(0.2, is_tagged))


def test_VX54_permanent_entry_does_not_move_and_the_frame_is_dropped(lab):
    scene = vtep_pair(lab, peers=2, fdb=[{"mac": ROAMER, "dst": "192.0.2.11"}])
    tenant = scene.members["acc0"][0]
    ear = lab.wire(tenant, "acc0")
    mouth = lab.wire(scene.peers[1].namespace, "vx0")
    mouth.send(tagged(ROAMER, BROADCAST))
    assert ear.frames(0.3, is_tagged) == []
    assert scene.daemon.drops().get("fdb_conflict") == 1
    entry = scene.daemon.fdb(ROAMER)
    assert entry["dst"] == "192.0.2.11" and entry["state"] == "permanent"


def test_VX54_a_frame_in_conflict_goes_on_where_it_may_and_teaches_nothing(lab):
    scene = vtep_pair(lab, peers=2, fdb=[{"mac": ROAMER, "dst": "192.0.2.11"}], **{"fdb-conflict": "forward"})
    ear = lab.wire(scene.members["acc0"][0], "acc0")
    mouth = lab.wire(scene.peers[1].namespace, "vx0")
    mouth.send(tagged(ROAMER, BROADCAST))
    assert len(ear.frames(1, is_tagged, enough=1)) == 1
    assert "fdb_conflict" not in scene.daemon.drops()
    entry = scene.daemon.fdb(ROAMER)
    assert entry["dst"] == "192.0.2.11" and entry["state"] == "permanent"
    # By a reload it changes its mind.
    changed = copy.deepcopy(scene.daemon.topology)
    changed["vxlans"]["vx100"]["fdb-conflict"] = "drop"
    reload(scene.daemon, changed)
    mouth.send(tagged(ROAMER, BROADCAST))
    assert ear.frames(0.3, is_tagged) == []
    assert scene.daemon.drops().get("fdb_conflict") == 1


def test_VX56_dynamic_entry_ages_in_time(lab):
    scene = vtep_pair(lab, ageing=2)
    mouth = lab.wire(scene.peers[0].namespace, "vx0")
    mouth.send(tagged(STRANGER, BROADCAST))
    sent = time.monotonic()
    wait_until(lambda: scene.daemon.fdb(STRANGER), 1, "the MAC is learned")
    wait_until(lambda: scene.daemon.fdb(STRANGER) is None, 5, "the entry ages")
    lived = time.monotonic() - sent
    assert 1.95 <= lived <= 3.3, f"ageing 2 s, lived {lived:.2f} s (2 to 3 allowed)"


def test_VX52_frames_from_a_mac_keep_it_and_frames_to_it_do_not(lab):
    scene = vtep_pair(lab, ageing=2)
    tenant, peer = scene.members["acc0"][0], scene.peers[0]
    far, near = lab.wire(peer.namespace, "vx0"), lab.wire(tenant, "acc0")
    far.send(tagged(STRANGER, BROADCAST))
    wait_until(lambda: scene.daemon.fdb(STRANGER), 1, "the MAC is learned")
    until = time.monotonic() + 4.5
    while time.monotonic() < until:
        far.send(tagged(ROAMER, BROADCAST))
        near.send(tagged(tenant.mac("acc0"), STRANGER))
        time.sleep(0.2)
    assert scene.daemon.fdb(ROAMER), "an entry in use was aged"
    assert scene.daemon.fdb(STRANGER) is None, "sending to a MAC kept its entry"


def test_VX57_permanent_static_and_added_entries_never_age(lab):
    scene = vtep_pair(lab, ageing=1, fdb=[
        {"mac": "02:00:00:00:00:01", "dst": "192.0.2.11"},
        {"mac": "02:00:00:00:00:02", "dst": "192.0.2.11", "state": "static"}])
    scene.daemon.ctl("fdb", "add", "02:00:00:00:00:03", "dev", "vx100", "dst", "192.0.2.11", "permanent")
    lab.wire(scene.peers[0].namespace, "vx0").send(tagged(STRANGER, BROADCAST))
    wait_until(lambda: scene.daemon.fdb(STRANGER), 1, "the MAC is learned")
    wait_until(lambda: scene.daemon.fdb(STRANGER) is None, 4, "the dynamic entry ages")
    time.sleep(1)
    for number in (1, 2, 3):
        assert scene.daemon.fdb(f"02:00:00:00:00:0{number}"), f"entry {number} is gone"


def test_VX59_limit_stops_learning_and_forwarding_goes_on(lab):
    scene = vtep_pair(lab, maxaddr=4)
    tenant = scene.members["acc0"][0]
    far, near = lab.wire(scene.peers[0].namespace, "vx0"), lab.wire(tenant, "acc0")
    for number in range(20):
        far.send(tagged(f"02:00:00:01:00:{number:02x}", BROADCAST, number))
        time.sleep(0.01)
    assert len(numbers(near.frames(1, is_tagged, enough=20))) == 20
    assert len(scene.daemon.fdb(segment="vx100")) <= 4 + 1, "maxaddr 4, and the flood list does not count"
    refused = scene.daemon.ctl("fdb", "add", "02:00:00:00:99:99", "dev", "vx100", "dst", "192.0.2.11", check=False)
    assert refused.returncode == 1 and refused.stderr.strip()


def test_VX61_unknown_destination_without_flood_list_is_dropped_and_counted(lab):
    scene = vtep_pair(lab, remotes=[])
    tenant = scene.members["acc0"][0]
    before = scene.daemon.drops().get("fdb_miss", 0)
    lab.wire(tenant, "acc0").send(tagged(tenant.mac("acc0"), STRANGER))
    wait_until(lambda: scene.daemon.drops().get("fdb_miss", 0) == before + 1, 1, "fdb_miss counts one")


@pytest.mark.parametrize("source", ["00:00:00:00:00:00", "03:00:00:00:00:01"])
def test_VX37_bad_inner_source_is_dropped_and_not_learned(lab, source):
    scene = vtep_pair(lab)
    tenant = scene.members["acc0"][0]
    ear = lab.wire(tenant, "acc0")
    lab.wire(scene.peers[0].namespace, "vx0").send(tagged(source, BROADCAST))
    assert ear.frames(0.3, is_tagged) == []
    assert scene.daemon.drops().get("vxlan_bad_source_mac") == 1
    assert scene.daemon.fdb(source) is None or source.startswith("00"), "learned a bad address"


def test_VX66_a_burst_of_new_macs_is_learned_within_a_second(lab):
    scene = vtep_pair(lab)
    far = lab.wire(scene.peers[0].namespace, "vx0")
    macs = [f"02:00:00:02:{number >> 8:02x}:{number & 255:02x}" for number in range(500)]
    burst = [tagged(mac, BROADCAST) for mac in macs]
    for frame in burst:
        far.send(frame)
    wait_until(lambda: set(macs) <= {entry["mac"] for entry in scene.daemon.fdb()}, 1.5, "all 500 are learned")
