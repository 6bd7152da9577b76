"""Rules of slaves and of the host's side, end to end: what the kernels at both ends see of them, at
which hook, and what `vxctl rule` counts."""
import copy
import errno
import socket
import struct

import pytest

from ipvlan import Ipvlan, hyphens, reaches
from lab import wait_until
from tenants import PUBLIC, Tenants

PEER4, PEER6 = "192.0.2.11", "2001:db8::11"
ONE4, ONE6, TWO4, TWO6 = "10.1.0.5", "2001:db8:1::5", "10.2.0.5", "2001:db8:2::5"
CLOSED, OPEN = 81, 80


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def listen(lab, namespace, *ports):
    """Sockets of both kinds and families at these ports: only a rule is a reason to be refused."""
    def make():
        made = []
        for port in ports:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                server = socket.socket(socket.AF_INET6, kind)
                server.bind(("::", port))
                if kind == socket.SOCK_STREAM:
                    server.listen(64)
                made.append(server)
        return made
    made = namespace.entered(make)
    lab.undo.append(lambda: [server.close() for server in made])
    return made


def tcp(namespace, address, port, timeout=4.0):
    """0 when a connection is made, otherwise the errno of what the sender's kernel was told. It ends
    with a reset: three packets there and one back."""
    def make():
        with socket.socket(family(address)) as link:
            link.settimeout(timeout)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            try:
                link.connect((address, port))
            except OSError as error:
                return error.errno or errno.ETIMEDOUT
        return 0
    return namespace.entered(make)


def udp(namespace, address, port, timeout=4.0):
    """The errno that one datagram is answered with; ETIMEDOUT when with nothing."""
    def make():
        with socket.socket(family(address), socket.SOCK_DGRAM) as link:
            link.settimeout(timeout)
            link.connect((address, port))
            link.send(b"datagram")
            try:
                link.recv(100)
            except OSError as error:
                return error.errno or errno.ETIMEDOUT
        return 0
    return namespace.entered(make)


class Counted:
    """The counters of all rules: whatever passes is said in advance, and nothing else moves."""

    def __init__(self, scene):
        self.scene = scene
        self.total = self.now()

    def now(self):
        return {row["name"]: row["packets"] for row in self.scene.daemon.rpc("rules")}

    def moved(self, **rules):
        """Hyphens of names are underscores here."""
        before = self.total
        self.total = before | {name: before[name] + packets for name, packets in hyphens(rules).items()}

        def as_said():
            seen = self.now()
            return seen == self.total or any(seen[name] > self.total[name] for name in seen)
        wait_until(as_said, 5, f"{rules} are counted")
        seen = self.now()
        assert seen == self.total, {name: seen[name] - before[name] for name in seen if seen[name] != before[name]}

    def as_vxctl_shows_it(self):
        lines = self.scene.daemon.ctl("rule").stdout.splitlines()
        shown = {line.split(" # ")[1]: int(line.split("counter packets ")[1].split()[0]) for line in lines}
        assert shown == self.total


def rule(name, hook, action, **words):
    return {"name": name, "hook": hook, **words, "action": action}


def both_families(lab, mode, **rules):
    """Two slaves with addresses of both families, and a peer that reaches them."""
    scene = Ipvlan(lab, mode, **rules).with_ipv6()
    scene.slave("s1", f"{ONE4}/24", f"{ONE6}/64", gateway=["10.1.0.1", "2001:db8:1::1"], ipv6=True)
    scene.slave("s2", f"{TWO4}/24", f"{TWO6}/64", gateway=["10.2.0.1", "2001:db8:2::1"], ipv6=True)
    scene.lead("10.0.0.0/8").lead("2001:db8:1::/64", "2001:db8:2::/64", via="2001:db8::1")
    return scene


@pytest.mark.parametrize("mode", ["l3", "l3s"])
def test_RP54_reject_is_heard_by_the_senders_kernel(lab, mode):
    """From the wire the host's input judges in mode l3s, the slave's own in mode l3; what a slave
    sends is judged by its own output, then by the host's; between siblings by the receiver."""
    scene = both_families(lab, mode)
    host = [rule(f"host-{hook}-{word}", hook, "reject", protocol=word, dport=port)
            for hook, port in (("input", CLOSED), ("output", 82)) for word in ("tcp", "udp")]
    own = [rule(f"own-{hook}-{word}", hook, "reject", protocol=word, dport=port)
           for hook, port in (("input", CLOSED), ("output", 83)) for word in ("tcp", "udp")]
    scene.ipvlan["rules"] = host
    scene.ipvlan["slaves"]["s1"]["rules"] = own
    scene.start()
    one, two, peer = scene.netns("s1"), scene.netns("s2"), scene.peers[0].namespace
    for namespace in (one, two, peer):
        listen(lab, namespace, OPEN, CLOSED, 82, 83)
    for here, there in ((peer, ONE4), (peer, ONE6), (two, ONE4), (two, ONE6), (one, PEER4), (one, PEER6)):
        reaches(here, there)
    counters, dropped = Counted(scene), scene.drops("hook_drop")
    judge = "host" if mode == "l3s" else "own"
    for here, there, port, by in (
            (peer, ONE4, CLOSED, f"{judge}_input"), (peer, ONE6, CLOSED, f"{judge}_input"),
            (two, ONE4, CLOSED, "own_input"), (two, ONE6, CLOSED, "own_input"),
            (one, PEER4, 83, "own_output"), (one, PEER6, 83, "own_output"),
            (one, PEER4, 82, "host_output"), (one, PEER6, 82, "host_output")):
        assert tcp(here, there, OPEN) == 0, f"from {here.name} to {there}"
        for ask in (tcp, udp):
            told = ask(here, there, port)
            assert told == errno.ECONNREFUSED, f"{told}: {ask.__name__} from {here.name} to {there} port {port}"
            counters.moved(**{f"{by}_{ask.__name__}": 1})
    counters.as_vxctl_shows_it()
    assert scene.drops("hook_drop") == dropped


@pytest.mark.parametrize("mode", ["l3s", "l3"])
def test_RP54_IV52_reject_behind_a_translation_is_said_by_who_was_asked(lab, mode):
    """The rule judges the slave's own address; the answer is from its public one, and about it."""
    scene = Tenants(lab, mode)
    closed = [rule(f"closed-{word}", "input", "reject", protocol=word, dport=CLOSED) for word in ("tcp", "udp")]
    scene.ipvlan["rules"] = closed if mode == "l3s" else []
    for name in PUBLIC:
        scene.ipvlan["slaves"][name]["rules"] = copy.deepcopy(closed)  # between slaves in mode l3s, too
    scene.start()
    listen(lab, scene.netns("red-web"), OPEN, CLOSED)
    listen(lab, scene.netns("blue-web"), OPEN, CLOSED)
    for here, there in ((scene.internet, PUBLIC["red-web"]), (scene.netns("red-db"), PUBLIC["blue-web"]),
                        (scene.netns("red-db"), PUBLIC["red-web"])):
        assert tcp(here, there, OPEN) == 0
        for ask in (tcp, udp):
            assert ask(here, there, CLOSED) == errno.ECONNREFUSED, f"{ask.__name__} from {here.name} to {there}"


@pytest.mark.parametrize("mode", ["l3", "l3s"])
def test_RP51_IV22_IV23_IV25_IV26_who_is_asked_at_which_hook(lab, mode):
    """One firewall, on the side that its mode asks; everything that the other side says is not heard."""
    scene = both_families(lab, mode)
    firewall = [rule("seen4", "prerouting", "accept", daddr="10.0.0.0/8"),
                rule("seen6", "prerouting", "accept", daddr="2001:db8:1::/64"),
                rule("answers", "input", "accept", ct=["established", "related"]),
                rule("web", "input", "accept", protocol="tcp", dport=OPEN), rule("rest", "input", "drop")]
    deaf = [rule(f"deaf-{hook}-{number}", hook, "drop", daddr=prefix, **words)
            for number, (prefix, words) in enumerate((("10.1.0.0/16", {"saddr": PEER4}),
                                                      ("2001:db8:1::/64", {"saddr": PEER6})))
            for hook in ("prerouting", "input")]
    host, own = ([deaf, firewall], [firewall, deaf])[mode == "l3s"]
    out = {side: [rule(f"{side}-{hook}", hook, "accept") for hook in ("output", "forward", "postrouting")]
           for side in ("host", "own")}
    scene.ipvlan["rules"] = host + out["host"]
    dnat = [rule(name, "prerouting", "dnat", protocol="tcp", daddr=to, dport=8080, to=to, **{"to-ports": OPEN})
            for name, to in (("dnat4", ONE4), ("dnat6", ONE6))]
    scene.ipvlan["slaves"]["s1"]["rules"] = own + out["own"] + dnat
    scene.ipvlan["slaves"]["s2"]["routes"] = [{"to": "10.9.0.0/16", "slave": "s1"}]
    scene.start()
    one, two, peer = scene.netns("s1"), scene.netns("s2"), scene.peers[0].namespace
    one.ip("address add 10.9.0.1/32 dev lo")
    one.run("sysctl -qw net.ipv4.conf.s1.arp_announce=2")
    listen(lab, one, OPEN, 443)
    listen(lab, peer, OPEN)
    two.ip("route add 10.9.0.0/16 via 10.2.0.1")
    reaches(two, "10.9.0.1")
    for address in (PEER4, PEER6):
        reaches(one, address)
        assert one.ping(address, wait=4) == 3
    counters = Counted(scene)

    def out(packets):
        return {f"{side}_{hook}": packets for side in ("own", "host") for hook in ("output", "postrouting")}
    for near, far, seen, dnat in ((PEER4, ONE4, "seen4", "dnat4"), (PEER6, ONE6, "seen6", "dnat6")):
        # Out, and the answers in: each packet once at every hook of its way.
        assert one.ping(near, wait=4) == 3
        counters.moved(**out(3), **{seen: 3}, answers=3)
        assert tcp(one, near, OPEN) == 0
        counters.moved(**out(3), **{seen: 1}, answers=1)
        # In: one port.
        assert tcp(peer, far, OPEN) == 0
        counters.moved(**out(1), **{seen: 3}, web=1, answers=2)
        for ask in (tcp, udp):
            before = scene.drops("hook_drop")
            assert ask(peer, far, 443, timeout=0.3) == errno.ETIMEDOUT
            counters.moved(**{seen: 1}, rest=1)
            assert scene.drops("hook_drop") == before + 1
        # A translation of the slave's own: in mode l3s nobody asks for it.
        if mode == "l3":
            assert tcp(peer, far, 8080) == 0
            counters.moved(**out(1), **{seen: 3, dnat: 1}, web=1, answers=2)
        else:
            assert tcp(peer, far, 8080, timeout=0.3) == errno.ETIMEDOUT
            counters.moved(**{seen: 1}, rest=1)
    # Through a slave, by a route of its sibling: the hooks of who forwards, in both modes. The answer
    # is for the sibling itself, and does not pass the host's side.
    assert two.ping("10.9.0.1", wait=4) == 3
    counters.moved(host_output=3, host_postrouting=3, seen4=3, own_forward=3, own_output=3, own_postrouting=6)
    counters.as_vxctl_shows_it()
    assert not [name for name, packets in counters.total.items() if name.startswith("deaf") and packets]
