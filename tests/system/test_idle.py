"""What the daemon takes of a CPU while there is nothing to do, and how it comes back from that."""
import os
import pathlib
import time

import pytest

from lab import wait_until
from scene import Scene, vtep_pair


def cpu_share(daemon, seconds):
    """Of one CPU, by all threads of the daemon."""
    def used():
        # Nanoseconds on a CPU: clock ticks of 10 ms are too coarse for a few per cent.
        tasks = pathlib.Path(f"/proc/{daemon.process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks)
    before, began = used(), time.monotonic()
    time.sleep(seconds)
    return (used() - before) / 1e9 / (time.monotonic() - began)


def worker(daemon):
    return daemon.rpc("workers")[0]


@pytest.mark.parametrize("policy", ["adaptive", "interrupt"])
def test_RP83_an_idle_daemon_takes_little_cpu_and_answers_at_once(lab, policy):
    scene = vtep_pair(lab, start=False)
    daemon = scene.start(idle=policy)
    tenant, peer = scene.members["acc0"][0], scene.peers[0]
    assert tenant.ping(peer.inner4) == 3
    time.sleep(0.5)
    share = cpu_share(daemon, 1.5)
    print(f"idle: {policy}: {share:.1%} of a CPU")
    # Below 5 % on a machine that does nothing else; neighbours make each wake-up dearer.
    assert share < 0.15
    before = worker(daemon)
    # Each echo request meets a worker that sleeps.
    assert tenant.ping(peer.inner4, count=10, interval=0.06) == 10
    after = worker(daemon)
    assert after["sleeps"] > before["sleeps"]
    assert after["slept_cycles"] > before["slept_cycles"]
    if policy == "interrupt":
        assert after["woken"] - before["woken"] >= 5, "frames do not wake the worker"
        assert "interrupt" not in str(daemon.port("uplink0")["notes"] + daemon.port("acc0")["notes"])


def test_RP83_busy_never_sleeps(lab):
    scene = vtep_pair(lab, start=False)
    daemon = scene.start(idle="busy")
    assert scene.members["acc0"][0].ping(scene.peers[0].inner4) == 3
    now = worker(daemon)
    assert now["sleeps"] == now["slept_cycles"] == now["woken"] == 0


def test_RP83_a_nap_is_no_longer_than_configured(lab):
    scene = vtep_pair(lab, start=False)
    daemon = scene.start(idle_after=1000, idle_sleep=20000)
    time.sleep(0.5)
    seen = []
    for _ in range(8):  # a stray frame begins the growth of naps anew: the calmest moment counts
        before = worker(daemon)
        time.sleep(0.5)
        after = worker(daemon)
        naps = after["sleeps"] - before["sleeps"]
        seen.append((naps, (after["slept_cycles"] - before["slept_cycles"]) / after["tsc_hz"] / max(naps, 1)))
        if 5 <= naps <= 100:
            break
    naps, mean = min(seen)
    assert 5 <= naps <= 100, "naps of up to 20 ms in half a second"
    assert 0.001 < mean < 0.06, "the mean nap, in seconds"


def test_RP83_a_port_without_interrupts_is_named_and_its_worker_naps(lab):
    scene = Scene(lab, underlay="veth")
    tenant = scene.tenant()
    peer = scene.peers[0].vxlan()
    scene.segment()
    daemon = scene.start(idle="interrupt")
    note = "port uplink0: receive queue 0 (net_af_packet) has no interrupt: worker 0 naps as with `idle: adaptive`"
    assert daemon.port("uplink0")["notes"][-1] == note
    assert "interrupt" not in str(daemon.port("acc0")["notes"])
    assert note in daemon.log()
    time.sleep(0.3)
    assert tenant.ping(peer.inner4, count=5, interval=0.05) == 5
    before = worker(daemon)["sleeps"]
    wait_until(lambda: worker(daemon)["sleeps"] - before > 20, 10, "the worker naps")


@pytest.mark.skipif(os.cpu_count() < 2, reason="needs two CPUs")
def test_RP83_two_workers_that_sleep_reach_each_other(lab):
    scene = vtep_pair(lab, start=False)
    daemon = scene.start(workers=[0, 1], idle="interrupt")
    tenant, peer = scene.members["acc0"][0], scene.peers[0]
    time.sleep(0.3)
    assert tenant.ping(peer.inner4, count=10, interval=0.06) == 10
    rows = daemon.rpc("workers")
    assert all(row["sleeps"] > 0 for row in rows)
    assert sum(row["handed_off"] for row in rows) == sum(row["taken_over"] for row in rows) > 0


def test_RP84_what_workers_do_is_exported(lab):
    scene = vtep_pair(lab)
    daemon = scene.daemon
    assert scene.members["acc0"][0].ping(scene.peers[0].inner4, count=5) == 5
    now = worker(daemon)
    assert now["polls"] > now["empty_polls"] > 0
    assert 0 < now["empty_poll_ratio"] <= 1
    assert now["busy_cycles"] > 0
    assert now["packets_per_burst"] > 0
    assert {row["queue"] for row in now["tx"]} == {"uplink0/0", "acc0/0"}, "full queues are told by port and queue"
    assert all("full" in row for row in now["tx"])
    assert "EMPTY" in daemon.ctl("worker").stdout.upper()
