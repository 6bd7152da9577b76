"""VX-22: the MTU of an uplink is lowered while tunnels use it."""
import copy
import json
import socket

import pytest

from lab import wait_until
from scene import Scene
from test_reload import reload, varied

OF_PORT = "port uplink0 carries MTU 1400, not the 1500 of its configuration"
OF_SEGMENT = "segment vx100: mtu 1450 of port acc0 exceeds the 1350 that uplink uplink0 leaves"


def carries(tenant, address, length):
    """Whether an echo of so many bytes of IPv4, not to be fragmented, is answered."""
    return tenant.ping(address, count=1, options=f"-M do -s {length - 28}", wait=1) == 1


@pytest.fixture
def scene(lab):
    scene = Scene(lab, underlay="veth")
    scene.peers[0].vxlan()
    scene.tenant()
    scene.topology["ports"]["acc0"]["mtu"] = 1450
    scene.segment()
    scene.start()
    return scene


def alarms(scene):
    return set(scene.daemon.rpc("health")["alarms"])


def lower(scene):
    scene.host.ip("link set und0 mtu 1400")
    wait_until(lambda: alarms(scene) == {OF_PORT, OF_SEGMENT}, 5, "the alarms are raised")


def test_VX22_a_lowered_uplink_lowers_the_cap_and_raises_alarms(scene):
    tenant, peer = scene.members["acc0"][0], scene.peers[0]
    assert carries(tenant, peer.inner4, 1450)
    assert alarms(scene) == set()
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(5)
    client.connect(scene.daemon.socket)
    client.sendall(b'{"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": {"topics": ["alarm"]}}\n')
    lines = client.makefile()
    assert "result" in json.loads(lines.readline())
    lower(scene)
    told = [json.loads(lines.readline())["params"] for _ in range(2)]
    assert {(one["what"], one["alarm"]) for one in told} == {("raised", OF_PORT), ("raised", OF_SEGMENT)}
    # Tenants are told what fits by messages of their own; their port stays as it was configured.
    assert scene.daemon.port("acc0")["mtu"] == 1450
    assert not carries(tenant, peer.inner4, 1351)
    assert carries(tenant, peer.inner4, 1350)
    scene.host.ip("link set und0 mtu 1500")
    told = [json.loads(lines.readline())["params"] for _ in range(2)]
    assert {(one["what"], one["alarm"]) for one in told} == {("cleared", OF_PORT), ("cleared", OF_SEGMENT)}
    client.close()
    tenant.ip("route flush cache")
    assert carries(tenant, peer.inner4, 1450)
    assert scene.daemon.rpc("health")["packets_unaccounted"] == 0


def test_VX22_a_reload_goes_by_what_the_uplink_carries(scene):
    tenant, peer = scene.members["acc0"][0], scene.peers[0]
    lower(scene)
    reload(scene.daemon, varied(scene.daemon, lambda t: t["vxlans"]["vx100"].update(ageing=77)))
    assert alarms(scene) == {OF_PORT, OF_SEGMENT}
    assert carries(tenant, peer.inner4, 1350)
    assert not carries(tenant, peer.inner4, 1351)


def mtu_of(namespace, ifname):
    return json.loads(namespace.ip(f"-j link show {ifname}"))[0]["mtu"]


def test_VX21_the_interface_behind_a_tap_has_what_its_segments_take(lab):
    scene = Scene(lab)
    scene.topology["ports"]["uplink0"]["addresses"].append("2001:db8::1/64")
    taps = {f"t{number}": {"device": f"net_tap{number},iface=t{number}", "role": "access"} for number in range(1, 6)}
    taps["t3"]["mtu"] = 1500  # longer than the segment on purpose: what is said is done
    taps["t2"]["mtu"] = 1400
    scene.topology["ports"] |= taps
    scene.segment("four", 1, ["t1", "t2"])
    scene.segment("six", 2, ["t4"], [], remote="2001:db8::2", local="2001:db8::1")
    scene.topology["vxlans"]["own"] = {"id": 3, "local": "192.0.2.1", "mtu": 1500, "fragment": "inner", "ports": ["t3"]}
    scene.start(settle=False, memory="256M")
    daemon, names = scene.daemon, sorted(taps)
    first = copy.deepcopy(daemon.topology)
    def shown(namespace=scene.host):
        return [mtu_of(namespace, name) for name in names], [daemon.port(name)["mtu"] for name in names]
    expected = [1450, 1400, 1500, 1430, 1500]  # the last one is in no segment
    assert shown() == (expected, expected)
    # Wherever it is: it is moved, and goes with its segment by a reload.
    for name in names:
        scene.host.ip(f"link set {name} netns {scene.fabric.name}")
    reload(daemon, varied(daemon, lambda t: t["vxlans"]["four"].update(mtu=1300, ports=["t1", "t5"])))
    expected = [1300, 1400, 1500, 1430, 1300]
    assert shown(scene.fabric) == (expected, expected)
    daemon.ctl("port", "set", "t1", "mtu", "1280")
    assert mtu_of(scene.fabric, "t1") == 1280
    # What cannot be done changes nothing.
    scene.daemon.file.write_text(json.dumps(varied(daemon, lambda t: (
        t["vxlans"]["six"].update(mtu=1290), t["vxlans"]["four"].update(local="192.0.2.77")))))
    assert daemon.ctl("reload", check=False).returncode != 0
    assert mtu_of(scene.fabric, "t4") == 1430
    reload(daemon, first)
    assert shown(scene.fabric)[0] == [1450, 1400, 1500, 1430, 1500]


def test_VX21_VX22_a_default_is_never_lowered_behind_the_tenants_back(lab):
    scene = Scene(lab, underlay="veth")
    scene.peers[0].vxlan()
    tenant = scene.tenant()
    scene.segment()
    scene.start()
    tenant.ip("link set acc0 mtu 1450")
    lower(scene)
    assert mtu_of(tenant, "acc0") == 1450 and scene.daemon.port("acc0")["mtu"] == 1450
    # A tenant that asks for more than it was told still hears what fits (VX-23).
    scene.host.ip("link set und0 mtu 1500")
    wait_until(lambda: alarms(scene) == set(), 5, "the alarms are cleared")
    tenant.ip("link set acc0 mtu 1500")
    assert not carries(tenant, scene.peers[0].inner4, 1451)
    assert "mtu 1450" in tenant.run(f"ip route get {scene.peers[0].inner4}")


def test_VX27_the_rate_of_messages_is_a_key_and_changes_while_it_runs(lab):
    scene = Scene(lab)
    scene.peers[0].vxlan()
    tenant = scene.tenant()
    scene.segment()
    scene.start(icmp_rate=0)
    address = scene.peers[0].inner4
    tenant.ip("link set acc0 mtu 1500")
    assert not carries(tenant, address, 1451)
    assert "mtu" not in tenant.run(f"ip route get {address}"), "nobody tells it"
    assert scene.daemon.rpc("health")["icmp_suppressed"] >= 1
    assert reload(scene.daemon, varied(scene.daemon, lambda t: t["system"].update({"icmp-rate": 50}))) == \
        ["modify system.icmp-rate: 0 -> 50"]
    assert not carries(tenant, address, 1451)
    assert "mtu 1450" in tenant.run(f"ip route get {address}")
