"""Slaves on ports of other kinds than taps: shared memory and virtio towards a guest, a socket of AF_XDP
on a veth. The guest is a second vxplane, which has a tap for its tenant."""
import pytest

from ipvlan import Ipvlan, reaches
from streams import Echo

ENDS = {"memif": ("net_memif0,role=server,socket={},socket-abstract=no",
                  "net_memif0,role=client,socket={},socket-abstract=no"),
        "vhost": ("net_vhost0,iface={}", "net_virtio_user0,path={}")}


def scene_with(lab, name, device):
    """A slave on that device, and one on a tap; both are there for the peer."""
    scene = Ipvlan(lab, "l3")
    scene.topology["ports"][name] = {"device": device, "role": "access"}
    scene.ipvlan["slaves"][name] = {"port": name, "addresses": ["10.1.0.5/24"]}
    scene.slave("s2", "10.2.0.5/24", gateway="10.2.0.1")
    scene.lead("10.0.0.0/8")
    return scene


def everybody_reaches_everybody(scene, one):
    two, peer = scene.netns("s2"), scene.peers[0].namespace
    for here, address in ((one, "192.0.2.11"), (peer, "10.1.0.5"), (one, "10.2.0.5"), (two, "10.1.0.5")):
        reaches(here, address)
        assert here.ping(address, wait=4) == 3, f"{address} from {here.name}"
    for near, far, address in ((one, peer, "192.0.2.11"), (peer, one, "10.1.0.5"), (two, one, "10.1.0.5")):
        with Echo(far, address) as echo:
            assert echo.round_trip(near, megabytes=1) == 1 << 20
    assert scene.daemon.rpc("health")["packets_unaccounted"] == 0


@pytest.mark.parametrize("kind", ENDS)
def test_IV03_IV21_a_slave_behind_shared_memory_and_virtio(lab, kind):
    socket = lab.directory / "guest.sock"
    ours, theirs = (end.format(socket) for end in ENDS[kind])
    scene = scene_with(lab, "g1", ours)
    scene.start()
    inside, tenant = lab.namespace("inside"), lab.namespace("tenant")
    lab.daemon({
        "ports": {
            "none0": {"device": "net_null0,no-rx=1", "role": "underlay", "addresses": ["198.51.100.1/24"]},
            # The same MAC address is at both ends: nothing can be learned.
            "host0": {"device": theirs, "role": "access", "learning": False},
            "acc0": {"device": "net_tap0,iface=acc0", "role": "access", "learning": False},
        },
        "vxlans": {"vx7": {"id": 7, "local": "198.51.100.1", "ports": ["host0", "acc0"]}},
    }, inside).start()
    inside.ip(f"link set acc0 netns {tenant.name}")
    tenant.ip(f"link set acc0 address {scene.daemon.port('uplink0')['mac']}")
    tenant.up("acc0", "10.1.0.5/24")
    tenant.ip("route add default via 10.1.0.1")
    everybody_reaches_everybody(scene, tenant)


def test_IV03_IV21_a_slave_behind_af_xdp(lab):
    scene = scene_with(lab, "x1", "net_af_xdp0,iface=x1")
    tenant = lab.namespace("tenant")
    lab.veth(scene.host, "x1", tenant, "eth0")
    try:
        scene.start()
    except AssertionError as error:
        if "af_xdp" in str(error).lower() or "xsk" in str(error).lower():
            pytest.skip("no AF_XDP here")
        raise
    tenant.ip(f"link set eth0 address {scene.daemon.port('uplink0')['mac']}")
    tenant.up("eth0", "10.1.0.5/24")
    tenant.ip("route add default via 10.1.0.1")
    everybody_reaches_everybody(scene, tenant)
