"""The daemon's life: start and stop under load, restart under TCP, workers, memory."""
import os
import threading
import time

import pytest

from lab import Lab, wait_until
from scene import Scene, vtep_pair
from streams import Echo


def flood_of_packets(lab, scene, seconds):
    """iperf3 in both directions until the process ends."""
    tenant, peer = scene.members["acc0"][0], scene.peers[0]
    lab.spawn(peer.namespace, f"iperf3 -s -B {peer.inner4}")
    time.sleep(0.4)
    return lab.spawn(tenant, f"iperf3 -c {peer.inner4} -t {seconds} -u -b 300M -l 1200 --bidir")


def test_sigterm_under_load_stops_within_two_seconds(lab):
    scene = vtep_pair(lab)
    flood_of_packets(lab, scene, 20)
    wait_until(lambda: scene.daemon.port("uplink0")["tx"]["packets"] > 20000, 8, "load is on")
    scene.daemon.stop(within=5)
    assert scene.daemon.stopped_within < 2
    assert not scene.fabric.has("und0"), "a tap is left over"


def test_sigint_stops_as_well(lab):
    import signal
    scene = vtep_pair(lab)
    process = scene.daemon.process
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=5) == 0, scene.daemon.log()
    scene.daemon.process = None


def test_sigterm_while_starting_stops_cleanly(lab):
    scene = vtep_pair(lab, start=False)
    daemon = lab.daemon(scene.topology, scene.host).launch()
    wait_until(lambda: os.path.exists(daemon.socket), 20, "the socket, which is there before the ports", every=0.001)
    process, daemon.process = daemon.process, None
    process.terminate()
    assert process.wait(timeout=20) == 0, daemon.log()
    assert daemon.log().rstrip().endswith("stopped"), daemon.log()
    assert not os.path.exists(daemon.socket)
    wait_until(lambda: not scene.host.has("und0"), 5, "no tap is left over")


def test_RP96_conservation_under_load(lab):
    scene = vtep_pair(lab)
    load = flood_of_packets(lab, scene, 3)
    load.wait(timeout=20)
    time.sleep(0.3)
    health = scene.daemon.rpc("health")
    assert health["ok"] and health["packets_unaccounted"] == 0, health
    for worker in scene.daemon.rpc("workers"):
        assert worker["unaccounted"] == 0, worker
        assert worker["received"] > 10000


def test_tcp_survives_a_restart_of_the_daemon(lab):
    """Both cables are veth with net_af_packet, so that the interfaces outlive the daemon."""
    scene = Scene(lab, underlay="veth")
    tenant = scene.tenant(device="net_af_packet")
    peer = scene.peers[0].vxlan()
    scene.segment()
    scene.start()
    assert tenant.ping(peer.inner4) == 3
    with Echo(peer.namespace, peer.inner4) as echo:
        outcome = []

        def stream():
            try:
                outcome.append(echo.round_trip(tenant, megabytes=6, pause=0.04, timeout=40))
            except BaseException as error:  # judged by the test's own thread
                outcome.append(error)
        thread = threading.Thread(target=stream)
        thread.start()
        time.sleep(1)
        scene.daemon.stop()
        time.sleep(0.5)
        scene.daemon.start()
        thread.join(60)
    assert outcome == [6 << 20], outcome


@pytest.mark.parametrize("workers", [[1], [0, 1]], ids=["one", "two"])
def test_workers(lab, workers):
    scene = vtep_pair(lab, start=False)
    scene.start(workers=workers)
    tenant, peer = scene.members["acc0"][0], scene.peers[0]
    assert tenant.ping(peer.inner4, count=20, interval=0.01) == 20
    assert peer.namespace.ping("fd00::1", count=20, interval=0.01) == 20
    with Echo(peer.namespace, peer.inner4) as echo:
        assert echo.round_trip(tenant, megabytes=2) == 2 << 20
    rows = scene.daemon.rpc("workers")
    assert len(rows) == len(workers)
    assert sum(row["received"] for row in rows) > 100


def test_with_hugepages(lab, hugepages):
    scene = vtep_pair(lab, start=False)
    scene.start(hugepages="require", memory="256M")
    tenant, peer = scene.members["acc0"][0], scene.peers[0]
    assert tenant.ping(peer.inner4, count=10, interval=0.02) == 10
    with Echo(peer.namespace, peer.inner6) as echo:
        assert echo.round_trip(tenant, megabytes=4) == 4 << 20


def test_idle_daemon_rests():
    """`idle: adaptive`: without traffic the process takes little of a CPU."""
    lab = Lab("idle")
    try:
        scene = vtep_pair(lab)
        time.sleep(2)

        def cpu_ticks():
            with open(f"/proc/{scene.daemon.process.pid}/stat", encoding="ascii") as stat:
                fields = stat.read().rsplit(") ", 1)[1].split()
            return int(fields[11]) + int(fields[12])
        before = cpu_ticks()
        time.sleep(3)
        assert (cpu_ticks() - before) / 3 < 50, "more than half a CPU while idle"
    finally:
        lab.close()


def test_several_daemons_side_by_side(lab):
    one, other = vtep_pair(lab), vtep_pair(lab_second := Lab("second"))
    try:
        for scene in (one, other):
            assert scene.members["acc0"][0].ping(scene.peers[0].inner4) == 3
    finally:
        lab_second.close()


def test_ten_starts_and_stops_leave_nothing(lab):
    scene = vtep_pair(lab, start=False)
    for _ in range(10):
        scene.start(settle=False)
        scene.daemon.stop()
    assert scene.host.ip("-o link show").count("\n") == 1, "only loopback is left"
