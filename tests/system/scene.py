"""The usual picture of the system tests, ready to be varied:

    tenant (10.0.0.1) --tap "acc0"-- vxplane --tap "und0"-- fabric (a bridge) --veth-- peer1, peer2, ...

vxplane's VTEP is 192.0.2.1 and peer N is a Linux kernel VTEP at 192.0.2.(10+N), with 10.0.0.(10+N)
and fd00::1N behind it. Every word of the topology can be changed before start().
"""
import copy

from lab import wait_until

VTEP = "192.0.2.1"
TENANT4, TENANT6 = "10.0.0.1", "fd00::1"


class Peer:
    """A Linux kernel VTEP in a namespace of its own; its underlay interface is `eth0`."""

    def __init__(self, lab, fabric, number):
        self.number = number
        self.namespace = lab.namespace(f"peer{number}", ipv6=True)
        self.underlay = f"192.0.2.{10 + number}"
        self.inner4, self.inner6 = f"10.0.0.{10 + number}", f"fd00::1{number}"
        lab.veth(self.namespace, "eth0", fabric, f"peer{number}")
        fabric.ip(f"link set peer{number} master br0")
        # Nothing but VXLAN and ARP on the underlay.
        self.namespace.run("sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1")
        self.namespace.up("eth0", f"{self.underlay}/24")

    def vxlan(self, vni=100, name="vx0", remote=VTEP, port=4789, addresses=None, options="", mac=None):
        """Adds a kernel vxlan device, as `ip link add type vxlan` does."""
        remote = f"remote {remote}" if remote else ""
        self.namespace.ip(f"link add {name} " + (f"address {mac} " if mac else "") +
                          f"type vxlan id {vni} dstport {port} local {self.underlay} {remote} {options}")
        if addresses is None:
            addresses = (f"{self.inner4}/24", f"{self.inner6}/64")
        self.namespace.up(name, *addresses)
        return self

    def mac(self, name="vx0"):
        return self.namespace.mac(name)

    def in_underlay_subnet(self):
        return self.underlay.startswith("192.0.2.")


class Scene:
    def __init__(self, lab, peers=1, underlay="tap"):
        """underlay: "tap" (net_tap moved into the fabric) or "veth" (net_af_packet on a veth)."""
        self.lab = lab
        self.host = lab.namespace("host")
        self.fabric = lab.namespace("fabric")
        self.fabric.ip("link add br0 type bridge mcast_snooping 0")
        self.fabric.ip("link set br0 up")
        self.peers = [Peer(lab, self.fabric, number) for number in range(1, peers + 1)]
        self.underlay = underlay
        device = "net_tap0,iface=und0"
        if underlay == "veth":
            lab.veth(self.host, "und0", self.fabric, "und0")
            self.fabric.ip("link set und0 master br0")
            device = "net_af_packet0,iface=und0"
        self.topology = {
            "ports": {"uplink0": {"device": device, "role": "underlay", "addresses": [f"{VTEP}/24"]}},
            "vxlans": {},
        }
        self.members = {}  # access port -> (namespace, addresses)
        self.daemon = None

    def access(self, port, namespace, *addresses, device="net_tap"):
        """An access port whose kernel end `port` goes into `namespace`."""
        index = len(self.members) + 1
        if device == "net_af_packet":
            self.lab.veth(self.host, port, namespace, port)
        self.topology["ports"][port] = {"device": f"{device}{index},iface={port}", "role": "access"}
        self.members[port] = (namespace, addresses, device)
        return namespace

    def tenant(self, port="acc0", *addresses, device="net_tap"):
        namespace = self.lab.namespace(port, ipv6=True)
        return self.access(port, namespace, *(addresses or (f"{TENANT4}/24", f"{TENANT6}/64")), device=device)

    def segment(self, name="vx100", vni=100, ports=("acc0",), remotes=None, **words):
        """A segment; its flood list is every peer unless `remotes` says otherwise."""
        if remotes is None:
            remotes = [peer.underlay for peer in self.peers]
        fdb = list(words.pop("fdb", []))
        if remotes:
            fdb.append({"mac": "00:00:00:00:00:00", "dst": list(remotes)})
        self.topology["vxlans"][name] = {"id": vni, "local": VTEP, "ports": list(ports), **words,
                                         **({"fdb": fdb} if fdb else {})}
        return self

    def start(self, settle=True, **system):
        """Starts the daemon and plugs its taps in. Settled means: cables carry, and both ends of the
        underlay know each other's MAC, so that a single frame sent now arrives at once."""
        topology = copy.deepcopy(self.topology)
        if system:
            topology["system"] = {key.replace("_", "-"): value for key, value in system.items()}
        self.daemon = self.lab.daemon(topology, self.host).start()
        self.plug()
        if settle:
            self.settle()
        return self.daemon

    def settle(self):
        for peer in self.peers:
            wait_until(lambda: peer.namespace.ping(VTEP, count=1, wait=0.2), 5, "a peer reaches the VTEP")
        wanted = {peer.underlay for peer in self.peers if peer.in_underlay_subnet()}
        wait_until(lambda: not [entry for entry in self.daemon.rpc("neigh")
                                if entry["address"] in wanted and entry["state"] == "incomplete"],
                   5, "all peers are resolved")

    def plug(self, again=False):
        if self.underlay == "tap":
            self.host.ip(f"link set und0 netns {self.fabric.name}")
            self.fabric.ip("link set und0 master br0 up")
        for port, (namespace, addresses, device) in self.members.items():
            if device == "net_tap":
                self.host.ip(f"link set {port} netns {namespace.name}")
            if device == "net_tap" or not again:
                namespace.up(port, *addresses, mtu=1450)


def vtep_pair(lab, *, peers=1, start=True, **words):
    """The main job: one tenant, one segment (VNI 100), `peers` kernel VTEPs. Words go to the segment."""
    scene = Scene(lab, peers)
    scene.tenant()
    for peer in scene.peers:
        peer.vxlan()
    scene.segment(**words)
    if start:
        scene.start()
    return scene
