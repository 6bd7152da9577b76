"""VX-22: the MTU of an uplink is lowered while tunnels use it."""
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
