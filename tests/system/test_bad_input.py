"""Bad input: each kind gives a message that names the place and what is allowed, the right exit code
(2 for a bad file, 1 for what the machine cannot give), and leaves nothing behind."""
import copy
import os
import re
import socket
import subprocess

import pytest
import yaml

from lab import VXPLANE, wait_until
from scene import Scene

GOOD = {
    "version": 1,
    "system": {"memory": "128M", "hugepages": "off"},
    "ports": {
        "uplink0": {"device": "net_tap0,iface=und0", "role": "underlay", "addresses": ["192.0.2.1/24"]},
        "acc0": {"device": "net_tap1,iface=acc0", "role": "access"},
        "acc1": {"device": "net_tap2,iface=acc1", "role": "access"},
    },
    "vxlans": {
        "red": {"id": 100, "local": "192.0.2.1", "ports": ["acc0"],
                "fdb": [{"mac": "02:00:00:00:00:01", "dst": "192.0.2.2"}]},
        "blue": {"id": 200, "local": "192.0.2.1", "ports": ["acc1"]},
    },
}

# name -> (path to the value, the bad value, the path that is named, words of the message)
BAD_FILES = {
    "unknown key": (("vxlans", "red", "lerning"), True, "vxlans.red", "learning"),
    "wrong type": (("vxlans", "red", "id"), "many", "vxlans.red.id", "16777215"),
    "VX95 duplicate VNI": (("vxlans", "blue", "id"), 100, "vxlans.blue.id", "red"),
    "VX95 VNI too large": (("vxlans", "red", "id"), 1 << 24, "vxlans.red.id", "16777215"),
    "VX95 VNI zero": (("vxlans", "red", "id"), 0, "vxlans.red.id", "16777215"),
    "dangling port name": (("vxlans", "red", "ports"), ["acc9"], "vxlans.red.ports", "acc9"),
    "port in two segments": (("vxlans", "blue", "ports"), ["acc0"], "vxlans.blue.ports", "acc0"),
    "overlapping addresses": (
        ("ports", "uplink1"), {"device": "net_tap3,iface=und1", "role": "underlay", "addresses": ["192.0.2.9/25"]},
        "ports.uplink1.addresses", "uplink0"),
    "same address twice": (("ports", "uplink0", "addresses"), ["192.0.2.1/24", "192.0.2.1/24"],
                           "ports.uplink0.addresses", "twice"),
    "CPU twice": (("system", "workers"), [1, 1], "system.workers", "CPU 1"),
    "MTU that cannot fit": (("vxlans", "red", "mtu"), 1451, "vxlans.red.mtu", "1450"),
    "multicast MAC": (("vxlans", "red", "mac"), "01:00:5e:00:00:01", "vxlans.red.mac", "unicast"),
    "FDB entry that leads nowhere": (("vxlans", "red", "fdb"), [{"mac": "02:00:00:00:00:01"}],
                                     "vxlans.red.fdb", "dst"),
    "VX60 second remote of a unicast MAC": (
        ("vxlans", "red", "fdb"), [{"mac": "02:00:00:00:00:01", "dst": ["192.0.2.2", "192.0.2.3"]}],
        "vxlans.red.fdb", "second"),
    "one device twice": (("ports", "acc1", "device"), "net_tap1,iface=acc0", "ports.acc1.device", "acc0"),
    "local is not ours": (("vxlans", "red", "local"), "192.0.2.7", "vxlans.red.local", "192.0.2.1"),
    "missing version": (("version",), None, "version", "version"),
}


def changed(path, value):
    topology = copy.deepcopy(GOOD)
    place = topology
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return topology


def run(arguments, namespace=None, timeout=30):
    prefix = ["ip", "netns", "exec", namespace.name] if namespace else []
    return subprocess.run([*prefix, str(VXPLANE), *map(str, arguments)], text=True, capture_output=True,
                          timeout=timeout, stdin=subprocess.DEVNULL)


@pytest.fixture
def write(tmp_path):
    def write_topology(topology, name="topology.yaml"):
        if isinstance(topology, dict):
            topology = copy.deepcopy(topology)
            topology.setdefault("system", {}).setdefault("socket", str(tmp_path / "vxplane.sock"))
            topology = yaml.safe_dump(topology, sort_keys=False)
        file = tmp_path / name
        file.write_text(topology)
        return file
    return write_topology


def test_good_file_passes_the_check(write):
    done = run(["--check", write(GOOD)])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", BAD_FILES)
def test_RP93_bad_file_is_refused_by_check_and_by_start(lab, write, kind):
    path, value, named, word = BAD_FILES[kind]
    file = write(changed(path, value))
    host = lab.namespace("host")
    for arguments in (["--check", file], [file]):
        done = run(arguments, host)
        assert done.returncode == 2, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        lines = [line for line in done.stderr.splitlines() if named in line and word in line]
        assert lines, f"no line names {named} and {word}:\n{done.stderr}"
        assert re.search(rf"{re.escape(str(file))}:\d+:\d+: ", lines[0]), lines[0]
    assert not host.has("acc0") and not host.has("und0"), "ports were made all the same"
    assert not (file.parent / "vxplane.sock").exists()


def test_all_problems_of_a_kind_are_listed_at_once(write):
    """First all that cannot be read, then (in a file that can) all that does not fit together."""
    unreadable = changed(("vxlans", "red", "id"), "many")
    unreadable["ports"]["acc0"]["mtuu"] = 9
    unreadable["ports"]["uplink0"]["role"] = "upstairs"
    done = run(["--check", write(unreadable)])
    assert done.returncode == 2
    for word in ("vxlans.red.id", "mtuu", "upstairs"):
        assert word in done.stderr, done.stderr
    unfit = changed(("vxlans", "blue", "ports"), ["acc9"])
    unfit["vxlans"]["red"]["fdb"][0]["mac"] = "01:00:5e:00:00:01"
    unfit["vxlans"]["red"]["fdb"][0]["port"] = "acc0"
    unfit["vxlans"]["red"]["local"] = "192.0.2.7"
    done = run(["--check", write(unfit)])
    assert done.returncode == 2
    for word in ("acc9", "vxlans.red.fdb[0]", "192.0.2.7"):
        assert word in done.stderr, done.stderr


@pytest.mark.parametrize("text", ["", "][", "version: 1\nports: [1, 2]\n", "\t\n", "a: &x [*x]\n", "- 1\n"],
                         ids=["empty", "not yaml", "list for a map", "tab", "cycle", "list"])
def test_text_that_is_no_topology_is_refused(write, text):
    done = run(["--check", write(text)])
    assert done.returncode == 2 and done.stderr.strip()


def test_missing_file_and_wrong_usage_have_code_2(tmp_path):
    for arguments in ([tmp_path / "none.yaml"], ["--check", tmp_path / "none.yaml"], [], ["--frobnicate"]):
        done = run(arguments)
        assert done.returncode == 2 and (done.stderr + done.stdout).strip(), arguments


def refused_at_run_time(namespace, file, *words):
    """Starts and expects: code 1, a message with these words, no socket, no port left."""
    done = run([file], namespace)
    text = done.stdout + done.stderr
    assert done.returncode == 1, f"code {done.returncode}:\n{text}"
    for word in words:
        assert word in text, f"'{word}' is not in:\n{text}"
    return text


def test_missing_device_is_a_run_time_failure(lab, write):
    topology = changed(("ports", "acc0", "device"), "net_af_packet1,iface=nowhere0")
    file = write(topology)
    host = lab.namespace("host")
    refused_at_run_time(host, file, "acc0")
    assert not (file.parent / "vxplane.sock").exists()
    assert not host.has("und0"), "half of the ports are left"


def test_missing_pci_device_is_a_run_time_failure(lab, write):
    topology = changed(("ports", "uplink0", "device"), "0000:3b:00.0")
    refused_at_run_time(lab.namespace("host"), write(topology), "0000:3b:00.0")


def test_device_busy_is_a_run_time_failure(lab, write):
    """The name of the tap is taken by somebody else's interface."""
    host, other = lab.namespace("host"), lab.namespace("other")
    lab.veth(host, "acc0", other, "acc0")
    refused_at_run_time(host, write(GOOD), "acc0")
    assert host.has("acc0"), "a foreign interface was removed"


def test_hugepages_required_and_not_enough_there(lab, write):
    """More than any machine of a lab has free, so that this holds with and without hugepages."""
    topology = changed(("system", "hugepages"), "require")
    topology["system"]["memory"] = "512G"
    refused_at_run_time(lab.namespace("host"), write(topology), "hugepage")


def test_socket_of_a_live_daemon_is_refused_and_the_daemon_stays(lab, write):
    scene = Scene(lab)
    scene.tenant()
    scene.segment()
    daemon = scene.start()
    file = write(changed(("system", "socket"), daemon.socket))
    refused_at_run_time(lab.namespace("second"), file, daemon.socket)
    assert daemon.rpc("version"), "the first daemon has lost its socket"
    assert scene.members["acc0"][0].ping("10.0.0.1") == 3


def test_socket_of_a_dead_daemon_is_taken_over(lab):
    scene = Scene(lab)
    scene.tenant()
    scene.segment()
    daemon = scene.start()
    daemon.kill()
    assert os.path.exists(daemon.socket), "a killed daemon cannot clean up"
    wait_until(lambda: not scene.fabric.has("und0"), 5, "the kernel removes the taps")
    daemon.start()
    assert daemon.rpc("version")


def test_a_plain_file_in_the_place_of_the_socket_is_not_removed(lab, write, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("keep")
    refused_at_run_time(lab.namespace("host"), write(changed(("system", "socket"), str(precious))), "precious")
    assert precious.read_text() == "keep"


def test_two_daemons_on_one_device(lab, write):
    """The second one is refused, names the device, and the first one does not notice."""
    scene = Scene(lab, underlay="veth")
    tenant, peer = scene.tenant(), scene.peers[0].vxlan()
    scene.segment()
    scene.start()
    assert tenant.ping(peer.inner4) == 3
    topology = changed(("ports", "uplink0", "device"), "net_af_packet0,iface=und0")
    refused_at_run_time(scene.host, write(topology), "und0")
    assert tenant.ping(peer.inner4) == 3


def test_socket_is_for_owner_and_group_only(lab):
    scene = Scene(lab)
    scene.tenant()
    scene.segment()
    daemon = scene.start()
    assert os.stat(daemon.socket).st_mode & 0o777 == 0o660
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(daemon.socket)
