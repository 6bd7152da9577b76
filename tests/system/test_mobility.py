"""Addresses that move from VTEP to VTEP: too often, and as a controller says."""
import json
import socket

from frames import BROADCAST, is_tagged, tagged
from lab import wait_until
from scene import vtep_pair

ROAMER = "02:00:00:00:77:01"


def test_VX68_an_address_in_two_places_is_found_and_stays_where_it_is(lab):
    scene = vtep_pair(lab, peers=2, **{"dup-addr-max-moves": 3, "dup-addr-freeze": 2})
    mouths = [lab.wire(peer.namespace, "vx0") for peer in scene.peers]
    ear = lab.wire(scene.members["acc0"][0], "acc0")
    for turn in range(4):
        mouths[turn % 2].send(tagged(ROAMER, BROADCAST, turn))
        wait_until(lambda: (entry := scene.daemon.fdb(ROAMER)) and
                   entry["dst"] == scene.peers[turn % 2].underlay, 1, f"move {turn} is followed")
    ear.frames(0.2, is_tagged)
    mouths[0].send(tagged(ROAMER, BROADCAST, 4))
    entry = wait_until(lambda: (entry := scene.daemon.fdb(ROAMER)) and entry["state"] == "duplicate" and entry,
                       1, "one move too many is noticed")
    assert entry["dst"] == scene.peers[1].underlay
    assert "duplicate" in scene.daemon.ctl("fdb", "show", "mac", ROAMER).stdout
    assert f"{ROAMER} moves too often" in scene.daemon.log()
    health = scene.daemon.rpc("health")
    assert health["duplicates"] == 1 and health["duplicates_now"] == 1
    # Frames from the other place are dropped, and counted, until the freeze ends.
    ear.frames(0.2, is_tagged)
    before = scene.daemon.drops().get("fdb_conflict", 0)
    mouths[0].send(tagged(ROAMER, BROADCAST, 5))
    wait_until(lambda: scene.daemon.drops().get("fdb_conflict", 0) == before + 1, 1, "a conflict is counted")
    assert ear.frames(0.2, is_tagged) == []
    wait_until(lambda: scene.daemon.fdb(ROAMER)["state"] == "dynamic", 5, "the freeze ends")
    mouths[0].send(tagged(ROAMER, BROADCAST, 6))
    wait_until(lambda: scene.daemon.fdb(ROAMER)["dst"] == scene.peers[0].underlay, 1, "it may move again")


def test_VX67_VX58_a_controllers_entry_moves_by_a_newer_sequence_number_only(lab):
    scene = vtep_pair(lab, peers=2)
    one, other = (peer.underlay for peer in scene.peers)

    def told(dst, sequence, check=True):
        return scene.daemon.ctl("fdb", "replace", ROAMER, "dev", "vx100", "dst", dst, "controller",
                                "sequence", str(sequence), check=check)

    told(one, 5)
    refused = told(other, 5, check=False)
    assert refused.returncode == 1 and "sequence 5" in refused.stderr
    assert scene.daemon.fdb(ROAMER)["dst"] == one
    told(other, 6)
    assert scene.daemon.fdb(ROAMER)["dst"] == other
    scene.daemon.ctl("fdb", "replace", ROAMER, "dev", "vx100", "dst", one, "permanent")
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(3)
    client.connect(scene.daemon.socket)
    client.sendall(b'{"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": {"topics": ["fdb"]}}\n')
    lines = client.makefile()
    assert "result" in json.loads(lines.readline())
    refused = told(other, 7, check=False)
    assert refused.returncode == 1 and "a person made" in refused.stderr
    event = {"what": ""}
    while event["what"] != "refused":  # peers are learned, too
        event = json.loads(lines.readline())["params"]
    client.close()
    assert event["mac"] == ROAMER and event["dst"] == other and event["segment"] == "vx100" and event["vni"] == 100
    assert scene.daemon.fdb(ROAMER)["dst"] == one and scene.daemon.rpc("health")["adds_refused"] == 1
    wrong = scene.daemon.ctl("fdb", "replace", ROAMER, "dev", "vx100", "dst", one, "permanent",
                             "sequence", "8", check=False)
    assert wrong.returncode != 0 and "controller" in wrong.stderr
