"""`system: persist`: what was learned outlives the process."""
import time

from frames import tagged
from lab import wait_until
from scene import vtep_pair


def learned(daemon):
    return {entry["mac"]: entry for entry in daemon.fdb() if entry["state"] == "dynamic"}


def teach(lab, scene, count):
    """`count` addresses behind the tenant's port, and the peer's behind its VTEP."""
    tenant, peer = scene.members["acc0"][0], scene.peers[0]
    wait_until(lambda: tenant.ping(peer.inner4, count=1), 10, "the peer answers")
    wire = lab.wire(tenant, "acc0")
    for number in range(count):
        wire.send(tagged(f"02:00:00:01:00:{number:02x}", peer.mac()))
    wait_until(lambda: len(learned(scene.daemon)) > count, 5, "all are learned")


def test_RP95_a_crash_loses_no_more_than_the_last_snapshot(lab):
    scene = vtep_pair(lab, start=False)
    file = lab.directory / "learned"
    daemon = scene.start(persist=str(file), persist_interval=1)
    teach(lab, scene, 100)
    before = learned(daemon)
    wait_until(lambda: file.exists() and all(mac in file.read_text() for mac in before), 10, "a snapshot has them all")
    daemon.kill()
    assert (file.stat().st_mode & 0o777) == 0o600
    # What the next topology does not have is left out.
    text = file.read_text()
    count = int(text.splitlines()[-1].split()[1])
    file.write_text(text.replace(f"end {count}", f"gone 7 02:00:00:00:00:77 1 port acc0\n"
                                 f"vx100 100 02:00:00:00:00:78 1 port vm9\n"
                                 f"vx100 100 02:00:00:00:00:79 1 dst 192.0.2.1\n"
                                 f"vx100 100 02:00:00:00:00:7a 301 dst 192.0.2.11\nend {count + 4}"))
    time.sleep(2)  # ages are told in whole seconds
    daemon.start()
    after = learned(daemon)
    assert before.keys() <= after.keys()
    mac = scene.peers[0].mac()
    assert after[mac]["dst"] == scene.peers[0].underlay and after["02:00:00:01:00:05"]["port"] == "acc0"
    assert all(after[one]["age_s"] >= 1 for one in after if one.startswith("02:00:00:01")), "ages go on"
    assert f"{count} entries" in daemon.log() and "4 skipped" in daemon.log()
    # A clean stop writes too.
    file.unlink()
    daemon.stop()
    assert all(mac in file.read_text() for mac in before)


def test_RP95_a_snapshot_that_is_not_whole_is_not_used(lab):
    scene = vtep_pair(lab, start=False)
    file = lab.directory / "learned"
    whole = "vxplane-fdb 1 1000000000\nvx100 100 02:00:00:00:00:77 1 port acc0\nend 1\n"
    for text in (whole[:-6], whole.replace(" 1 port", " x port"), whole.replace("fdb 1", "fdb 2")):
        file.write_text(text)
        daemon = scene.start(settle=False, persist=str(file))
        assert "02:00:00:00:00:77" not in learned(daemon) and "nothing is restored" in daemon.log(), text
        daemon.stop()
    # A place that cannot be written is told once, and harms nothing.
    daemon = scene.start(persist="/proc/none/learned", persist_interval=1)
    time.sleep(2.5)
    assert daemon.log().count("error persist") == 1, daemon.log()
    wait_until(lambda: scene.members["acc0"][0].ping(scene.peers[0].inner4, count=1), 10, "the peer answers")
