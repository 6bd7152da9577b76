"""Several workers: queues shared out, frames steered to the worker of their inner flow, and what the
machine cannot give. Both workers and control share two CPUs here, so nothing depends on speed."""
import os

import pytest

from lab import wait_until
from scene import Scene
from test_bad_input import GOOD, changed, refused_at_run_time, run, write  # noqa: F401  (write is a fixture)

CPUS = sorted(os.sched_getaffinity(0))
two_cpus = pytest.mark.skipif(len(CPUS) < 2, reason="needs two CPUs")


def two_workers(lab, **system):
    scene = Scene(lab, underlay="veth")
    scene.tenant()
    scene.peers[0].vxlan()
    scene.segment()
    scene.start(workers=CPUS[:2], **system)
    return scene


def flows(scene, count, packets=3):
    """UDP from peer to tenant and back, many flows over one tunnel; returns when all have come.
    The sender stays on one CPU: a veth queues a frame on the CPU that sends it, so a sender that is
    moved between two frames can have them swapped before they reach the daemon."""
    tenant, peer = scene.members["acc0"][0], scene.peers[0]
    wires = [scene.lab.wire(tenant, "acc0"), scene.lab.wire(peer.namespace, "vx0")]
    code = (
        "import os,socket,sys\n"
        "os.sched_setaffinity(0,{max(os.sched_getaffinity(0))})\n"
        "for number in range(int(sys.argv[3])):\n"
        " for flow in range(int(sys.argv[2])):\n"
        "  s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n"
        "  s.setsockopt(socket.SOL_SOCKET,socket.SO_REUSEADDR,1)\n"
        "  s.bind(('',20000+flow)); s.sendto(bytes([number])*8,(sys.argv[1],9)); s.close()\n")
    script = scene.lab.directory / "flows.py"
    script.write_text(code)
    seen = []
    for sender, to, wire in ((peer.namespace, "10.0.0.1", wires[0]), (tenant, peer.inner4, wires[1])):
        # What waits in a kernel for ARP is overtaken by what comes while it is let go.
        wait_until(lambda: sender.ping(to, count=1, wait=0.3), 10, f"{to} is known")
        sender.run(f"/usr/bin/python3 {script} {to} {count} {packets}")

        def wanted(frame):
            return frame[12:14] == b"\x08\x00" and frame[23] == 17 and frame[36:38] == b"\x00\x09"
        seen.append(wire.frames(5, wanted, enough=count * packets))
    return seen


@two_cpus
def test_RP03_RP11_software_steering_spreads_flows_and_keeps_their_order(lab):
    scene = two_workers(lab, steering="software", flow_limit=True)
    daemon = scene.daemon
    assert daemon.rpc("steering") == {"mode": "software", "backlog": 1000, "flow_limit": True,
                                      "workers": [0, 1], "queued": [0, 0]}
    for frames in flows(scene, 40):
        order = {}
        for frame in frames:
            order.setdefault(frame[34:36], []).append(frame[42])
        assert len(order) == 40
        # A crowded machine may lose some on the way to or from a tap, and never turns them round.
        assert all(numbers == sorted(set(numbers)) for numbers in order.values()), "a flow out of order"
    workers = daemon.rpc("workers")
    assert sum(worker["steered_out"] for worker in workers) > 0
    assert sum(w["steered_out"] for w in workers) == sum(w["steered_in"] + w["queued"] for w in workers)
    carried = [w["received"] + w["steered_in"] - w["steered_out"] for w in workers]
    assert all(carried), f"one worker got nothing: {carried}"
    assert daemon.rpc("health")["packets_unaccounted"] == 0
    text = daemon.ctl("worker").stdout
    assert "STEERED-IN" in text and "uplink0/0>" in text, text


@two_cpus
def test_RP14_the_set_of_workers_changes_while_packets_flow(lab):
    scene = two_workers(lab, steering="software")
    daemon = scene.daemon
    tenant, peer = scene.members["acc0"][0], scene.peers[0]
    for workers in ("0", "1", "0,1", "1"):
        answer = daemon.rpc("steering.set", workers=workers)
        assert answer["workers"] == [int(one) for one in workers.split(",")]
        assert tenant.ping(peer.inner4, count=5, wait=2) == 5
    before = daemon.rpc("workers")[0]
    flows(scene, 10)
    after = daemon.rpc("workers")[0]
    assert after["steered_in"] == before["steered_in"], "worker 0 is no target any more"
    for bad in ("2", "", "a", "0,"):
        with pytest.raises(LookupError):
            daemon.rpc("steering.set", workers=bad)


@two_cpus
def test_RP02_one_queue_for_two_workers_is_told_with_the_way_out(lab):
    scene = two_workers(lab)
    notes = [note for note in scene.daemon.port("uplink0")["notes"] if "steering: software" in note]
    assert len(notes) == 1, notes
    assert scene.daemon.log().count(notes[0]) == 1, "logged once"
    assert scene.daemon.rpc("steering")["mode"] == "none"
    with pytest.raises(LookupError):
        scene.daemon.rpc("steering.set", workers="0")


@two_cpus
def test_RP02_hashing_of_a_port_is_shown_and_its_table_can_be_set(lab):
    scene = Scene(lab, underlay="veth")
    scene.tenant()
    scene.segment()
    scene.topology["ports"]["null0"] = {"device": "net_null0,no-rx=1", "role": "access", "rss": ["ipv4", "ipv4-udp"],
                                        "rss-key": "symmetric", "rss-reta": [1, 0, 0],
                                        "workers": [CPUS[1], CPUS[0]]}
    daemon = scene.start(settle=False, workers=CPUS[:2])
    rss = daemon.port("null0")["rss"]
    assert rss["on"] and rss["symmetric"] and rss["level"] == "outer", rss
    assert rss["types"] == ["ipv4", "ipv4-udp"] and rss["key"].startswith("6d:5a:6d:5a")
    assert rss["reta"][:6] == [1, 0, 0, 1, 0, 0]
    # Queues are polled by the workers that the topology names, in turn.
    assert "null0/0" in daemon.rpc("workers")[1]["queues"]
    assert "null0/1" in daemon.rpc("workers")[0]["queues"]
    assert daemon.rpc("ports.reta", name="null0", queues="1")["reta"] == [1] * len(rss["reta"])
    text = daemon.ctl("port", "show", "null0").stdout
    assert "6d:5a" in text and "128 entries: queue 1, repeated" in text, text
    for queues in ("2", "x", ""):
        with pytest.raises(LookupError):
            daemon.rpc("ports.reta", name="null0", queues=queues)


# name -> (path to the value, the bad value, the path that is named, words of the message)
BAD_FILES = {
    "control where a worker is": (("system",), {"workers": CPUS[:1], "control": CPUS[0]}, "system.control", "worker"),
    "queues of a CPU without worker": (("ports", "acc0", "workers"), [77], "ports.acc0.workers[0]", "CPU 77"),
    "unknown hash type": (("ports", "acc0", "rss"), ["ipv4", "gtp"], "ports.acc0.rss[1]", "ipv4-udp"),
    "hash key": (("ports", "acc0", "rss-key"), "symetric", "ports.acc0.rss-key", "symmetric"),
    "steering by magic": (("system", "steering"), "magic", "system.steering", "software"),
    "backlog": (("system", "backlog"), 1, "system.backlog", "32"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_RP93_bad_words_about_workers_are_refused(write, kind):  # noqa: F811
    path, value, named, word = BAD_FILES[kind]
    file = write(changed(path, value))
    done = run(["--check", file])
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if named in line and word in line]
    assert lines and f"{file}:" in lines[0], done.stderr


# name -> (path to the value, the bad value, words of the message)
NOT_HERE = {
    "lcore": (("system", "workers"), [CPUS[0], 1000], ("system.workers[1]", "CPU 1000", f"({', '.join(map(str, CPUS))})")),
    "queues": (("ports", "acc0", "rx-queues"), 4, ("ports.acc0.rx-queues", "4 receive queues", "(auto, or 1)")),
    "hash types": (("ports", "acc0"), {"device": "net_pcap0,tx_pcap=/dev/null", "role": "access", "rss": ["ipv4"]},
                   ("ports.acc0.rss", "cannot hash ipv4", "(accepted: none)")),
    "inner hash": (("ports", "acc0"), {"device": "net_null0", "role": "access", "rss-level": "inner"},
                   ("ports.acc0.rss-level", "steering: software")),
    "key of another length": (("ports", "acc0"), {"device": "net_null0", "role": "access", "rss-key": "6d:5a"},
                              ("ports.acc0.rss-key", "2 bytes", "40 bytes")),
    "checks of sums": (("ports", "acc0"), {"device": "net_null0", "role": "access", "rx-checksum": "on"},
                       ("ports.acc0.rx-checksum", "auto or off")),
    "buffers": (("system", "mbufs"), 1024, ("system.mbufs", "1024 packet buffers", "acc0: 1 x 1024 rx")),
}


@pytest.mark.parametrize("kind", NOT_HERE)
def test_what_the_machine_does_not_have_is_refused_with_its_place_in_the_file(lab, write, kind):  # noqa: F811
    path, value, words = NOT_HERE[kind]
    file = write(changed(path, value))
    host = lab.namespace("host")
    text = refused_at_run_time(host, file, *words)
    assert any(f"{file}:" in line and words[0] in line for line in text.splitlines()), text
    assert not host.has("und0"), "half of the ports are left"


@two_cpus
def test_RP96_packets_in_the_rings_of_steering_survive_a_stop(lab):
    """The account at the end of the daemon counts what was still in rings."""
    scene = two_workers(lab, steering="software", backlog=64)
    flows(scene, 30, packets=2)
    wait_until(lambda: scene.daemon.rpc("health")["packets_unaccounted"] == 0, 3, "all is accounted for")
    scene.daemon.stop()
