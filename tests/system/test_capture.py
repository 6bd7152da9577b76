"""`vxctl capture`: what is seen where, filters, limits, and files that must not be written."""
import os

import pytest
from scapy.utils import PcapNgReader

from frames import TAG, is_tagged, numbers, tagged
from lab import inner_frame, sh, wait_until
from scene import VTEP, vtep_pair


def frames_of(path):
    with PcapNgReader(str(path)) as reader:
        return [bytes(packet) for packet in reader]


def start(daemon, *words):
    return int(daemon.ctl("capture", "start", *words).stdout.split()[1])


def capture(daemon, number):
    return next(row for row in daemon.rpc("capture.list") if row["id"] == number)


@pytest.fixture
def scene(lab):
    made = vtep_pair(lab)
    wait_until(lambda: made.members["acc0"][0].ping(made.peers[0].inner4, count=1), 10, "the peer answers")
    return made


def send(scene, first, count, wire, size=64):
    """Numbered frames from the tenant to the peer's inner address; returns when they were sent on."""
    sent = scene.daemon.port("uplink0")["tx"]["packets"]
    for number in range(first, first + count):
        wire.send(tagged(scene.members["acc0"][0].mac("acc0"), scene.peers[0].mac(), number, size))
    wait_until(lambda: scene.daemon.port("uplink0")["tx"]["packets"] >= sent + count, 5, "frames are sent on")


def test_RP41_received_before_and_sent_after_everything(lab, scene):
    daemon, tenant = scene.daemon, scene.members["acc0"][0]
    wire = lab.wire(tenant, "acc0")
    inside, outside = lab.directory / "in.pcapng", lab.directory / "out.pcapng"
    one = start(daemon, "port", "acc0", "file", inside, "direction", "rx")
    other = start(daemon, "port", "uplink0", "file", outside)
    send(scene, 0, 20, wire)
    # Dropped by the very first check, and seen all the same.
    wire.send(tagged(tenant.mac("acc0"), tenant.mac("acc0"), 20))
    wait_until(lambda: tenant.ping(scene.peers[0].inner4, count=1), 10, "the peer answers")
    wait_until(lambda: capture(daemon, one)["frames"] >= 21, 5, "21 frames are written")
    for number in (one, other):
        stopped = daemon.ctl("capture", "stop", number).stdout
        assert "stopped" in stopped, stopped
        assert capture(daemon, number)["lost"] == 0
    received = [frame for frame in frames_of(inside) if is_tagged(frame)]
    assert numbers(received) == list(range(21))
    assert received[0] == tagged(tenant.mac("acc0"), scene.peers[0].mac(), 0)
    sent = [frame for frame in frames_of(outside) if is_tagged(frame)]
    assert [inner_frame(frame, vni=100) for frame in sent] == received[:20], "with the outer header"
    # Both directions of the ping, as tcpdump decodes them.
    text = sh(f"tcpdump -nr {outside}")
    assert "VXLAN" in text and "echo request" in text and "echo reply" in text
    assert oct(os.stat(inside).st_mode & 0o777) == "0o600"


def test_RP43_filters_snap_length_and_limits(lab, scene):
    daemon = scene.daemon
    wire = lab.wire(scene.members["acc0"][0], "acc0")

    def ran(name, *words):
        path = lab.directory / name
        return path, start(daemon, "port", "uplink0", "file", path, "direction", "tx", *words)
    outer_path, outer = ran("outer.pcapng", "filter", "udp dst port 9")
    inner_path, inner = ran("inner.pcapng", "filter", "udp dst port 9 and host 10.0.0.101", "inner", "snaplen", 96)
    few_path, few = ran("few.pcapng", "filter", f"src host {VTEP} and udp port 4789", "limit-count", 5)
    send(scene, 0, 30, wire, size=400)
    wait_until(lambda: capture(daemon, inner)["frames"] == 30, 5, "the inner filter finds all")
    assert daemon.ctl("capture").stdout.count("running") >= 2
    wait_until(lambda: capture(daemon, few)["state"] != "running", 5, "a limit ends a capture")
    for number in (outer, inner):
        daemon.ctl("capture", "stop", number)
    assert frames_of(outer_path) == [] and capture(daemon, outer)["filtered"] >= 30
    cut = frames_of(inner_path)
    assert len(cut) == 30 and {len(frame) for frame in cut} == {96}
    assert "length 450" in sh(f"tcpdump -enr {inner_path}").splitlines()[1], "the whole length is told"
    # The tenant's own kernel may have said something, too.
    few_frames = frames_of(few_path)
    tagged_ones = [frame for frame in few_frames if TAG in frame]
    assert len(few_frames) == 5 and numbers(tagged_ones) == list(range(len(tagged_ones))) and tagged_ones
    assert daemon.ctl("capture", "stop", few, check=False).returncode == 1

    rotated, number = ran("rotated.pcapng", "limit-size", 20000, "rotate", 2)
    send(scene, 0, 250, wire, size=1000)
    wait_until(lambda: capture(daemon, number)["frames"] >= 250, 5, "all are written")
    daemon.ctl("capture", "stop", number)
    files = sorted(path.name for path in lab.directory.glob("rotated.pcapng*"))
    assert files == ["rotated.pcapng", "rotated.pcapng.1", "rotated.pcapng.2"]
    kept = [n for name in reversed(files) for n in
            numbers(frame for frame in frames_of(lab.directory / name) if TAG in frame)]
    assert kept == list(range(kept[0], 250)) and 20 <= len(kept) < 100, "the last ones, without a gap"


def test_RP43_what_cannot_be_captured_is_refused(lab, scene):
    daemon = scene.daemon
    there = lab.directory / "there"
    there.write_text("precious")
    link = lab.directory / "link"
    link.symlink_to(there)
    good = lab.directory / "good.pcapng"
    for words, problem in (
            (("port", "acc0", "file", there), "exists (force overwrites it)"),
            (("port", "acc0", "file", link, "force"), "symbolic link"),
            (("port", "acc0", "file", "/dev/null", "force"), "not an ordinary file"),
            (("port", "acc0", "file", lab.directory / "no/such"), "No such file or directory"),
            (("port", "acc0", "file", lab.directory), "exists"),
            (("port", "vm7", "file", good), "no port 'vm7'"),
            (("port", "acc0", "file", good, "filter", "tcp porg 1"), "filter: 'tcp porg 1'"),
            (("port", "acc0", "file", good, "inner"), "goes with a filter"),
            (("port", "acc0", "file", good, "rotate", 2), "limit_size"),
            (("port", "acc0", "file", good, "snaplen", 0), "snaplen")):
        done = daemon.ctl("capture", "start", *words, check=False)
        assert done.returncode == 1 and problem in done.stderr, (words, done.stderr)
    assert there.read_text() == "precious" and not good.exists()
    number = start(daemon, "port", "acc0", "file", there, "force")
    assert daemon.ctl("capture", "start", "port", "acc0", "file", there, "force", check=False).returncode == 1
    daemon.ctl("capture", "stop", number)
    assert not [frame for frame in frames_of(there) if is_tagged(frame)] and b"precious" not in there.read_bytes()


def test_RP42_taps_never_hold_frames_up(lab):
    """The file's disk is full: the capture ends with a word, frames go on."""
    small = lab.directory / "small"
    small.mkdir()
    # Before the daemon starts: its namespace has the mounts of that moment.
    sh(f"mount -t tmpfs -o size=64k none {small}")
    lab.undo.append(lambda: sh(f"umount {small}"))
    scene = vtep_pair(lab)
    daemon, tenant, peer = scene.daemon, scene.members["acc0"][0], scene.peers[0]
    wait_until(lambda: tenant.ping(peer.inner4, count=1), 10, "the peer answers")
    number = start(daemon, "port", "uplink0", "file", lab.directory / "all.pcapng")
    full = start(daemon, "port", "uplink0", "file", small / "full.pcapng")
    wire = lab.wire(tenant, "acc0")
    send(scene, 0, 500, wire, size=1000)
    wait_until(lambda: "No space" in capture(daemon, full)["state"], 5, "the capture ends")
    wait_until(lambda: capture(daemon, number)["frames"] >= 500, 5, "the other one goes on")
    assert capture(daemon, number)["lost"] == 0
    wait_until(lambda: tenant.ping(peer.inner4, count=1), 10, "the peer answers")
    assert daemon.rpc("health")["packets_unaccounted"] == 0
    # A stop of the daemon ends what runs; the file is whole.
    daemon.stop()
    assert len(frames_of(lab.directory / "all.pcapng")) >= 500
