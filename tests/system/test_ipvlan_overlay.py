"""A pod network as flannel makes it: two vxplane nodes whose pods are l3 slaves, and one plain Linux
node with a kernel vxlan device, static entries and routes. Every pod reaches every pod."""
import copy

import pytest

from ipvlan import reaches
from lab import wait_until
from streams import Echo
from test_reload import reload, varied

VNI, PORT = 1, 8472
NODES = {1: "192.0.2.1", 2: "192.0.2.2", 3: "192.0.2.13"}
MACS = {1: "5e:10:c0:00:02:01", 2: "5e:10:c0:00:02:02", 3: "5e:10:c0:00:02:13"}


class PodNode:
    """A node with vxplane: pods 10.244.N.5 and 10.244.N.6."""

    def __init__(self, lab, fabric, number):
        self.number = number
        self.host = lab.namespace(f"node{number}")
        self.pods = {}
        others = [other for other in NODES if other != number]
        slaves = {}
        ports = {"uplink0": {"device": "net_tap0,iface=und0", "role": "underlay",
                             "addresses": [f"{NODES[number]}/24"]}}
        for index, last in enumerate((5, 6), start=1):
            name, address = f"pod{index}", f"10.244.{number}.{last}"
            namespace = lab.namespace(f"n{number}{name}")
            ports[name] = {"device": f"net_tap{index},iface={name}", "role": "access"}
            slaves[name] = {"port": name, "addresses": [f"{address}/24"], **({"mtu": 1450} if index == 1 else {}),
                            "routes": [{"to": "10.244.0.0/16", "table": "cluster"}]}
            self.pods[address] = name, namespace
        self.daemon = lab.daemon({
            "ports": ports,
            "vxlans": {"flannel.1": {
                "id": VNI, "local": NODES[number], "dstport": PORT, "learning": False, "mac": MACS[number],
                "router": "pods", "fdb": [{"mac": MACS[other], "dst": NODES[other]} for other in others]}},
            "tables": {"cluster": {"routes": [
                {"to": f"10.244.{other}.0/24", "vxlan": "flannel.1", "remote": NODES[other],
                 "lladdr": MACS[other]} for other in others]}},
            "ipvlans": {"pods": {"link": "uplink0", "mode": "l3", "masquerade": True, "slaves": slaves, "rules": [
                {"name": "cluster", "hook": "postrouting", "priority": "srcnat", "daddr": "10.244.0.0/16",
                 "action": "accept"}]}},
        }, self.host).start()
        self.host.ip(f"link set und0 netns {fabric.name}")
        fabric.ip(f"link set und0 name node{number}")
        fabric.ip(f"link set node{number} master br0 up")
        for address, (name, namespace) in self.pods.items():
            self.host.ip(f"link set {name} netns {namespace.name}")
            namespace.up(name, f"{address}/24", mtu=1450 if name == "pod1" else 1500)
            namespace.ip(f"route add default via 10.244.{number}.1 dev {name}")


def linux_node(lab, fabric):
    """The third node, as flannel sets it up: vxlan nolearning, a neighbour and a route for each node."""
    node, pod = lab.namespace("node3"), lab.namespace("n3pod1")
    lab.veth(node, "eth0", fabric, "node3")
    fabric.ip("link set node3 master br0")
    node.up("eth0", f"{NODES[3]}/24")
    node.run("sysctl -qw net.ipv4.ip_forward=1")
    node.ip(f"link add flannel.1 address {MACS[3]} mtu 1450 type vxlan id {VNI} dstport {PORT} "
            f"local {NODES[3]} dev eth0 nolearning")
    node.up("flannel.1", "10.244.3.0/32")
    for other in (1, 2):
        node.run(f"bridge fdb append {MACS[other]} dev flannel.1 dst {NODES[other]}")
        node.ip(f"neighbour add 10.244.{other}.0 lladdr {MACS[other]} dev flannel.1 nud permanent")
        node.ip(f"route add 10.244.{other}.0/24 via 10.244.{other}.0 dev flannel.1 onlink")
    lab.veth(pod, "eth0", node, "cni0")
    node.up("cni0", "10.244.3.1/24", mtu=1450)
    pod.up("eth0", "10.244.3.5/24", mtu=1450)
    pod.ip("route add default via 10.244.3.1")
    return node, pod


@pytest.fixture
def cluster(lab):
    fabric = lab.namespace("fabric")
    fabric.ip("link add br0 type bridge mcast_snooping 0")
    fabric.ip("link set br0 up")
    nodes = [PodNode(lab, fabric, number) for number in (1, 2)]
    linux, pod = linux_node(lab, fabric)
    pods = {"10.244.3.5": pod}
    for node in nodes:
        pods |= {address: namespace for address, (_, namespace) in node.pods.items()}
    for node in nodes:
        wait_until(lambda: linux.ping(NODES[node.number], count=1, wait=0.3), 40, f"node {node.number} is there")
    return nodes, linux, pods


def test_flannel_every_pod_reaches_every_pod(lab, cluster):
    nodes, linux, pods = cluster
    for here, namespace in pods.items():
        for there in pods:
            if there != here:
                reaches(namespace, there)
                assert namespace.ping(there, count=2, wait=4) == 2, f"{there} from {here}"
    for far in pods:
        with Echo(pods[far], far) as echo:
            for near, namespace in pods.items():
                if near != far:
                    assert echo.round_trip(namespace, megabytes=1) == 1 << 20, f"{far} from {near}"
    # Pods are themselves inside the cluster, and their node outside.
    wire = lab.wire(linux, "eth0")
    inside = lab.wire(pods["10.244.3.5"], "eth0")
    pod = pods["10.244.1.5"]
    assert pod.ping(NODES[3], count=1, wait=4) == 1 and pod.ping("10.244.3.5", count=1, wait=4) == 1
    plain = [frame for frame in wire.frames(0.2) if frame[12:14] == b"\x08\x00" and frame[23] == 1]
    assert {frame[26:30] for frame in plain} == {bytes((192, 0, 2, 1))}
    assert {frame[26:30] for frame in inside.frames(0.2) if frame[12:14] == b"\x08\x00"} == {bytes((10, 244, 1, 5))}
    for node in nodes:
        assert node.daemon.rpc("health")["packets_unaccounted"] == 0


def test_IV45_too_big_for_the_tunnel_is_told_to_the_pod(lab, cluster):
    """The second pod of a node has the uplink's MTU: path MTU discovery does the rest."""
    nodes, _, pods = cluster
    pod = pods["10.244.1.6"]
    reaches(pod, "10.244.3.5")
    text = pod.run("ping -n -c 2 -i 0.1 -W 1 -s 1472 -M do 10.244.3.5", check=False)
    assert "mtu = 1450" in text or "mtu=1450" in text, text
    assert nodes[0].daemon.drops().get("route_too_big", 0) >= 1
    assert pod.ping("10.244.3.5", count=2, options="-s 1422 -M do", wait=4) == 2
    with Echo(pods["10.244.2.6"], "10.244.2.6") as echo:
        assert echo.round_trip(pod, megabytes=1) == 1 << 20


def test_frames_for_the_router_that_no_pod_has_are_counted(lab, cluster):
    nodes, linux, pods = cluster
    reaches(linux, "10.244.1.5")
    before = nodes[0].daemon.drops().get("slave_unknown", 0)
    assert linux.ping("10.244.1.77", count=2, wait=0.2) == 0
    wait_until(lambda: nodes[0].daemon.drops().get("slave_unknown", 0) >= before + 2, 10, "they are counted")
    # The router is a hop, and says so by the tunnel.
    wait_until(lambda: "Time to live exceeded" in linux.run("ping -n -c 1 -W 1 -t 1 10.244.1.5", check=False),
               10, "who sent it is told")
    assert nodes[0].daemon.drops()["route_ttl"] >= 1
    assert pods["10.244.3.5"].ping("10.244.1.5", count=2, wait=4) == 2


def test_VX97_the_router_goes_and_comes_while_it_runs(lab, cluster):
    nodes, linux, _ = cluster
    daemon = nodes[0].daemon
    reaches(linux, "10.244.1.5")
    first = copy.deepcopy(daemon.topology)
    changes = reload(daemon, varied(daemon, lambda topology: topology["vxlans"]["flannel.1"].pop("router")))
    assert any("vxlans.flannel.1.router" in line for line in changes), changes
    assert linux.ping("10.244.1.5", count=2, wait=0.3) == 0, "nobody has that address"
    reload(daemon, first)
    reaches(linux, "10.244.1.5")
