"""What operators do to a running daemon, and what happens around it: a log that nobody reads any
more, cables that are pulled, crashes, collectors that ask a thousand times a second."""
import json
import os
import pathlib
import signal
import subprocess
import time

import yaml

from lab import VXPLANE, wait_until
from scene import Scene, vtep_pair
from test_rpc import connect, lossless_ping

RUNTIME = pathlib.Path("/run/dpdk")


def alarms(daemon):
    return daemon.rpc("health")["alarms"]


def with_reader(lab, scene):
    """Starts the scene's daemon with a pipe as its log; returns the end that is read."""
    daemon = scene.daemon = lab.daemon(scene.topology, scene.host)
    daemon.file.write_text(yaml.safe_dump(daemon.topology, sort_keys=False))
    reader, writer = os.pipe()
    daemon.process = scene.host.spawn(f"{VXPLANE} {daemon.file}", stdout=writer)
    os.close(writer)

    def ready():
        try:
            return daemon.rpc("version")
        except OSError:
            return None
    wait_until(ready, 20, "vxplane answers on its socket")
    scene.plug()
    scene.settle()
    return reader


def test_reader_of_the_log_goes_away(lab):
    scene = Scene(lab, underlay="veth")
    scene.tenant()
    scene.peers[0].vxlan()
    scene.segment()
    os.close(with_reader(lab, scene))
    daemon = scene.daemon
    for _ in range(5):  # each is a line of the log
        daemon.process.send_signal(signal.SIGHUP)
        time.sleep(0.05)
    scene.host.ip("link set und0 down")  # and so is an alarm
    wait_until(lambda: alarms(daemon), 5, "an alarm")
    scene.host.ip("link set und0 up")
    wait_until(lambda: not alarms(daemon), 5, "the alarm is over")
    assert daemon.process.poll() is None
    assert scene.members["acc0"][0].ping(scene.peers[0].inner4, wait=2) == 3
    daemon.stop()


def test_link_of_an_underlay_port_goes_and_comes_back(lab):
    scene = Scene(lab, underlay="veth")
    tenant = scene.tenant()
    peer = scene.peers[0].vxlan()
    scene.segment()
    daemon = scene.start()
    assert alarms(daemon) == []
    assert daemon.port("uplink0")["link"] is True
    scene.host.ip("link set und0 down")
    wait_until(lambda: alarms(daemon) == ["port uplink0 has no link"], 5, "an alarm about the uplink")
    assert daemon.port("uplink0")["link"] is False
    assert tenant.ping(peer.inner4, count=2, wait=0.3) == 0
    assert daemon.rpc("health")["packets_unaccounted"] == 0
    wait_until(lambda: "alarm: port uplink0 has no link" in daemon.log(), 3, "the alarm is in the log")
    scene.host.ip("link set und0 up")
    wait_until(lambda: alarms(daemon) == [], 5, "the alarm is over")
    wait_until(lambda: "alarm over: port uplink0 has no link" in daemon.log(), 3, "the log says so")
    assert daemon.log().count("alarm: port uplink0") == 1, "an alarm that stays is told once"
    wait_until(lambda: tenant.ping(peer.inner4, count=1), 5, "traffic flows again")


def test_runtime_folders_of_dead_processes_are_swept(lab):
    ended = subprocess.Popen(["true"])
    ended.wait()
    dead, alive = RUNTIME / f"vxplane-{ended.pid}", RUNTIME / f"vxplane-{os.getpid()}"
    lab.undo.append(lambda: [folder.rmdir() for folder in (dead, alive) if folder.exists()])
    scene = vtep_pair(lab)
    for folder in (dead, alive):
        folder.mkdir(parents=True)
    scene.daemon.stop()
    assert not dead.exists(), "the folder of a process that crashed is left"
    assert alive.exists(), "the folder of a process that runs was removed"


def test_restart_after_kill_takes_the_socket_over_and_forwards(lab):
    scene = vtep_pair(lab)
    tenant, peer, daemon = scene.members["acc0"][0], scene.peers[0], scene.daemon
    first = daemon.rpc("version")["pid"]
    daemon.kill()
    assert os.path.exists(daemon.socket), "a killed daemon cannot clean up"
    wait_until(lambda: not scene.fabric.has("und0"), 5, "the kernel removes the taps")
    daemon.start()
    assert daemon.rpc("version")["pid"] != first
    scene.plug(again=True)
    scene.settle()
    assert tenant.ping(peer.inner4) == 3


def test_RP94_a_thousand_requests_a_second_lose_no_packet(lab):
    scene = vtep_pair(lab)
    pid = scene.daemon.process.pid

    def control_seconds():  # the main thread is control
        fields = pathlib.Path(f"/proc/{pid}/task/{pid}/stat").read_text(encoding="ascii").rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    seconds, rate, asked, latest = 3, 1000, 0, 0.0
    with lossless_ping(scene), connect(scene.daemon) as link, link.makefile("rb") as stream:
        used, started = control_seconds(), time.monotonic()
        while (passed := time.monotonic() - started) < seconds:
            if asked >= passed * rate:
                time.sleep(0.0002)
                continue
            began = time.monotonic()
            link.sendall(b'{"jsonrpc":"2.0","id":%d,"method":"ports"}\n' % asked)
            assert json.loads(stream.readline())["id"] == asked
            latest = max(latest, time.monotonic() - began)
            asked += 1
        used = (control_seconds() - used) / passed
    print(f"{asked / passed:.0f} requests/s, control used {used:.1%} of a CPU, slowest answer {latest * 1000:.1f} ms")
    assert asked > seconds * rate * 0.5, "the daemon does not keep up"
    assert scene.daemon.rpc("health")["ok"], alarms(scene.daemon)
