"""The picture of the ipvlan tests, ready to be varied before start():

    slave "s1" --tap "s1"--+
    slave "s2" --tap "s2"--+-- vxplane (master uplink0) --tap "und0"-- fabric (a bridge) -- peer1, ...

The master's address is 192.0.2.1 and peer N is a plain Linux host at 192.0.2.(10+N). A slave is a
namespace of its own, as a container has it; its tap carries the MAC address of the master.
"""
import copy

import yaml

from frames import ICMP, IP, Ether, IPv6
from lab import wait_until
from scene import VTEP, Scene

MASTER4, MASTER6 = VTEP, "2001:db8::1"


class Ipvlan(Scene):
    def __init__(self, lab, mode="l3", peers=1, **words):
        """`words` are keys of the ipvlan; underscores become hyphens."""
        super().__init__(lab, peers)
        self.topology["ipvlans"] = {"ipvl0": {"link": "uplink0", "mode": mode, **hyphens(words), "slaves": {}}}
        self.gateways = []

    @property
    def ipvlan(self):
        return self.topology["ipvlans"]["ipvl0"]

    @property
    def uplink(self):
        return self.topology["ports"]["uplink0"]

    def slave(self, name, *addresses, gateway=None, ipv6=False, kernel=None, ipvlan="ipvl0",
              device="net_tap", **words):
        """A slave whose kernel end has `kernel` addresses (those of the slave unless said) and, with
        `gateway`, default routes by these. Returns its namespace."""
        namespace = self.lab.namespace(name, ipv6=ipv6)
        if ipv6:  # Frames that nobody asked for would disturb counts.
            namespace.run("sysctl -qw net.ipv6.conf.default.router_solicitations=0")
        self.access(name, namespace, *(addresses if kernel is None else kernel), device=device)
        slaves = self.topology["ipvlans"][ipvlan]["slaves"]
        slaves[name] = {"port": name, "addresses": list(addresses), **hyphens(words)}
        for address in [gateway] if isinstance(gateway, str) else gateway or ():
            self.gateways.append((namespace, name, address))
        return namespace

    def with_ipv6(self):
        """Addresses of the second family on the master and on the peers' underlay."""
        self.uplink["addresses"].append(f"{MASTER6}/64")
        for peer in self.peers:
            peer.namespace.run("sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0")
            peer.underlay6 = f"2001:db8::1{peer.number}"
            peer.namespace.up("eth0", f"{peer.underlay6}/64")
        return self

    def lead(self, *prefixes, peers=None, via=MASTER4):
        """The peers reach these prefixes by the master."""
        for peer in self.peers if peers is None else peers:
            for prefix in prefixes:
                peer.namespace.ip(f"route replace {prefix} via {via}")
        return self

    def start(self, settle=True, **system):
        if not self.topology["vxlans"]:
            del self.topology["vxlans"]
        return super().start(settle, **system)

    def settle(self):
        """The peers reach the master; what a first packet of a slave asks for is learned by itself."""
        for peer in self.peers:
            wait_until(lambda: peer.namespace.ping(VTEP, count=1, wait=0.2), 30, "a peer reaches the master")

    def plug(self, again=False):
        super().plug(again)
        for name, (namespace, _, _) in self.members.items():
            mtu = next((slave.get("mtu") for ipvlan in self.topology["ipvlans"].values()
                        for slave in ipvlan["slaves"].values() if slave["port"] == name), None)
            namespace.ip(f"link set {name} mtu {mtu or self.uplink.get('mtu', 1500)}")
        for namespace, name, gateway in self.gateways:
            family = "-6 " if ":" in gateway else ""
            namespace.ip(f"{family}route replace default via {gateway} dev {name} onlink")

    def netns(self, name):
        return self.members[name][0]

    def drops(self, reason):
        return self.daemon.drops().get(reason, 0)

    def reload(self, change):
        """Changes the topology by change(topology) and reloads; returns the lines of what differs."""
        self.write(change)
        return self.daemon.rpc("reload")["changes"]

    def refused_reload(self, change):
        """The text of a reload that is refused; the file is as before afterwards."""
        before = copy.deepcopy(self.daemon.topology)
        self.write(change)
        done = self.daemon.ctl("reload", check=False)
        assert done.returncode == 1 and "nothing was changed" in done.stderr, done.stdout + done.stderr
        self.write(lambda topology: (topology.clear(), topology.update(before)))
        return done.stderr

    def write(self, change):
        topology = copy.deepcopy(self.daemon.topology)
        change(topology)
        self.daemon.topology = topology
        self.daemon.file.write_text(yaml.safe_dump(topology, sort_keys=False))


def hyphens(words):
    """Keys of a topology from keywords of Python; those of `ip` and sysctl keep their underscore."""
    kept = ("proxy_arp", "rp_filter", "mcast_snooping")
    return {key if key in kept else key.replace("_", "-"): value for key, value in words.items()}


def reaches(namespace, address, within=20, options=""):
    wait_until(lambda: namespace.ping(address, count=1, wait=0.3, options=options), within, f"{address} answers")


def silent(namespace, address, options=""):
    return namespace.ping(address, count=2, wait=0.2, options=options) == 0


def ttl_of_answer(namespace, address):
    """The TTL with which an echo reply arrives."""
    text = namespace.run(f"ping -n -c 1 -W 2 {address}", check=False)
    found = [word for word in text.split() if word.startswith("ttl=")]
    assert found, text
    return int(found[0][4:])


def datagram(src_mac, dst_mac, src, dst, payload, **ip):
    """Ethernet bytes of one datagram with scapy's `payload`."""
    layer = IPv6 if ":" in dst else IP
    return bytes(Ether(src=src_mac, dst=dst_mac) / layer(src=src, dst=dst, **ip) / payload)


def read(frame):
    """The scapy IP layer of Ethernet bytes, or None."""
    kind = frame[12:14]
    return IP(frame[14:]) if kind == b"\x08\x00" else IPv6(frame[14:]) if kind == b"\x86\xdd" else None


def is_icmp(kind, code=None):
    """Judges frames: IPv4 ICMP of that type (and code)."""
    def judge(frame):
        packet = read(frame)
        return packet is not None and ICMP in packet and packet[ICMP].type == kind and \
            code in (None, packet[ICMP].code)
    return judge
