"""vxctl as a person and as a program uses it."""
import json
import re
import socket
import subprocess

import pytest

from lab import VXCTL, Lab, wait_until
from scene import vtep_pair

SHOWS = ["version", "health", "port", "worker", "segment", "fdb", "neigh", "route", "drops", "stages"]


@pytest.fixture(scope="module")
def scene():
    made = Lab("vxctl")
    try:
        scene = vtep_pair(made)
        assert scene.members["acc0"][0].ping(scene.peers[0].inner4) == 3
        yield scene
    finally:
        made.close()


@pytest.mark.parametrize("verb", SHOWS)
def test_tables_for_people_and_json_for_programs(scene, verb):
    table = scene.daemon.ctl(verb).stdout
    assert table.strip() and not table.lstrip().startswith(("{", "[")), table
    assert max(map(len, table.splitlines())) < 250
    json.loads(scene.daemon.ctl("-j", verb).stdout)


def test_tables_name_the_things_of_the_topology(scene):
    for verb, words in {"port": ("uplink0", "acc0"), "segment": ("vx100", "100"), "fdb": ("192.0.2.11", "acc0"),
                        "neigh": ("192.0.2.11", scene.peers[0].mac("eth0")), "route": ("192.0.2.0/24",)}.items():
        table = scene.daemon.ctl(verb).stdout
        for word in words:
            assert word in table, f"{word} is not in the table of {verb}:\n{table}"


def test_watch_shows_rates_and_ends_after_count(scene):
    tenant, peer = scene.members["acc0"][0], scene.peers[0]
    scene.lab.spawn(tenant, f"ping -q -i 0.01 -c 300 {peer.inner4}")
    text = scene.daemon.ctl("--watch", "0.5", "--count", "4", "port").stdout
    assert text.count("uplink0") == 4
    samples = [json.loads(line) for line in
               scene.daemon.ctl("-j", "--watch", "0.2", "--count", "3", "port").stdout.splitlines()]
    assert len(samples) == 3
    packets = [next(port for port in sample if port["name"] == "uplink0")["tx"]["packets"] for sample in samples]
    assert packets == sorted(packets) and packets[0] < packets[-1]


def test_exit_codes(scene):
    daemon = scene.daemon
    assert daemon.ctl("fdb", "del", "02:00:00:00:00:99", "dev", "vx100", check=False).returncode == 1
    assert daemon.ctl("fdb", "add", "02:00:00:00:00:99", "dev", "nowhere", "dst", "192.0.2.9",
                      check=False).returncode == 1
    bad_mac = daemon.ctl("fdb", "add", "not-a-mac", "dev", "vx100", "dst", "1.2.3.4", check=False)
    assert bad_mac.returncode != 0 and "not-a-mac" in bad_mac.stderr
    for words in (["frobnicate"], ["fdb", "add"], ["fdb", "frobnicate"], ["--frobnicate", "port"]):
        done = daemon.ctl(*words, check=False)
        assert done.returncode == 2 and done.stderr, words
    nobody = subprocess.run([VXCTL, "-s", "/nonexistent/sock", "version"], text=True, capture_output=True)
    assert nobody.returncode == 1 and "/nonexistent/sock" in nobody.stderr


def test_stats_reset_begins_the_counters_anew(scene):
    tenant, peer = scene.members["acc0"][0], scene.peers[0]
    assert tenant.ping(peer.inner4, count=20, interval=0.01) == 20
    assert scene.daemon.port("uplink0")["tx"]["packets"] >= 20
    scene.daemon.ctl("stats", "reset")
    assert scene.daemon.port("uplink0")["tx"]["packets"] < 20
    assert scene.daemon.rpc("health")["packets_unaccounted"] == 0


def test_words_may_be_shortened(scene):
    assert scene.daemon.ctl("ver").stdout == scene.daemon.ctl("version").stdout or \
        re.search(r"\d+\.\d+\.\d+", scene.daemon.ctl("ver").stdout)


def test_the_same_figures_are_in_dpdk_telemetry(scene):
    """What dpdk-telemetry.py speaks: a seqpacket socket in DPDK's run-time folder."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
        link.settimeout(5)
        link.connect(f"/run/dpdk/vxplane-{scene.daemon.process.pid}/dpdk_telemetry.v2")
        assert "DPDK" in json.loads(link.recv(1 << 16))["version"]

        def ask(command):
            link.send(command.encode())
            return json.loads(link.recv(1 << 16))[command]
        assert {"/vxplane/ports", "/vxplane/workers", "/vxplane/drops", "/vxplane/health"} <= set(ask("/"))
        assert ask("/vxplane/health")["packets_unaccounted"] == 0
        wait_until(lambda: ask("/vxplane/ports")["uplink0/tx/packets"] > 0, 3, "telemetry is renewed")
