"""Who is where, as the kernel's vxlan device knows it and as vxplane does: the same commands and the same
frames in random order into both, and after each step the same frames must leave for the same VTEPs."""
import json
import random
import socket

import pytest

from kernel_twin import ADDRESS, REMOTE_MAC, SENTINEL, VTEP_MAC, Options, Twin, until
from lab import sh, wait_until
from wire_frames import Outside, ethernet, mac

OTHERS = {4: ("192.0.2.5", "192.0.2.6", "192.0.2.7"), 6: ("2001:db8::5", "2001:db8::6", "2001:db8::7")}
HOSTS = [f"02:00:00:00:77:0{number}" for number in range(1, 5)]
GROUP, ZERO, STEADY, NOBODY = "01:00:5e:00:01:01", "00:00:00:00:00:00", "02:00:00:00:78:01", "02:00:00:00:79:01"
TENANT = "02:00:00:00:0a:01"
STEPS = 250


class Walk:
    def __init__(self, lab, version, seed):
        self.version, self.random = version, random.Random(seed)
        self.options = Options(0x112233, version, "learning", {"learning": True, "dup-addr-max-moves": 0})
        self.remotes = [ADDRESS[version][1], *OTHERS[version]]
        self.twin = Twin(lab, [self.options], ports=1, others=OTHERS[version]).open()
        self.twin.use([self.options])
        self.daemon = self.twin.daemon
        self.probes = {address: ethernet(mac(address), mac(TENANT), 0x88B5, b"where".ljust(46, b"."))
                       for address in (*HOSTS, GROUP, NOBODY, "ff:ff:ff:ff:ff:ff")}
        self.last = ethernet(mac(STEADY), mac(TENANT), 0x88B5, SENTINEL.ljust(46, b"."))
        self.done = []
        self.entry("add", STEADY, self.remotes[0])

    def entry(self, verb, address, remote, state="permanent"):
        """One command to both. What is refused by one may be nothing for the other: state is what is compared."""
        word = {"controller": "extern_learn dynamic"}.get(state, state)
        self.done.append(f"{verb} {address} dst {remote} {state}")
        verb_there = "append" if verb == "add" and address in (ZERO, GROUP) else verb
        sh(f"bridge -n {self.twin.kernel.name} fdb {verb_there} {address} dev {self.options.name} dst {remote} "
           + (word if verb != "del" else ""), check=False)
        words = {"segment": self.options.name, "mac": address, "dst": remote}
        try:
            self.daemon.rpc(f"fdb.{verb}", **words, **({"state": state} if verb != "del" else {}))
        except LookupError as refused:
            self.done[-1] += f" (refused: {refused.args[0]['message']})"

    def arrive(self, address, remote):
        """One frame of a host from behind a VTEP, into both: it teaches, whatever a command did a moment ago."""
        self.done.append(f"{address} speaks behind {remote}")
        family = socket.AF_INET if self.version == 4 else socket.AF_INET6
        outside = Outside(self.version, mac(REMOTE_MAC), mac(VTEP_MAC), socket.inet_pton(family, remote),
                          socket.inet_pton(family, ADDRESS[self.version][0]), self.options.vni, 4789)
        outside.add("speaks", (None, ethernet(mac(NOBODY), mac(address), 0x88B5, b"here".ljust(46, b"."))))
        self.twin.kernel_ear.send(outside.cases[0].frame)
        before = self.daemon.port("uplink0")["rx"]["packets"]
        self.twin.ear.send(outside.cases[0].frame)
        wait_until(lambda: self.daemon.port("uplink0")["rx"]["packets"] > before, 5, "it is received", every=0.001)

    def where(self):
        """Which remotes each probe went to: (the kernel's, ours)."""
        out = []
        for frames in self.twin.encapsulated(self.options, "acc0", self.probes.values(), self.last):
            found = {address: [] for address in self.probes}
            for frame in frames:
                inner = frame[50 if self.version == 4 else 70:]
                at = frame[30:34] if self.version == 4 else frame[38:54]
                found[inner[:6].hex(":")].append(socket.inet_ntop(
                    socket.AF_INET if self.version == 4 else socket.AF_INET6, at))
            out.append({address: sorted(remotes) for address, remotes in found.items()})
        return out

    def agree(self):
        """Learning takes a moment here: what differs is asked for again."""
        seen = []

        def same():
            seen[:] = self.where()
            return seen[0] == seen[1]
        try:
            wait_until(same, 2, "both know the same", every=0.01)
        except AssertionError:
            kernel = {host: remotes for host, remotes in seen[0].items() if remotes != seen[1][host]}
            ours = {host: seen[1][host] for host in kernel}
            raise AssertionError(f"after {len(self.done)} steps, the last: {self.done[-12:]}\n"
                                 f"kernel {kernel}\nvxplane {ours}\n{json.dumps(self.daemon.fdb(), indent=1)}") from None
        return seen[0]

    def step(self):
        chance, host, remote = self.random.random(), self.random.choice(HOSTS), self.random.choice(self.remotes)
        if chance < 0.45:
            self.arrive(host, remote)
        elif chance < 0.75:
            verb = self.random.choice(("add", "replace", "del"))
            self.entry(verb, host, remote, self.random.choice(("permanent", "static", "dynamic")))
        elif chance < 0.9:
            self.entry(self.random.choice(("add", "del")), ZERO, remote)
        else:
            self.entry(self.random.choice(("add", "del")), GROUP, remote)


@pytest.mark.parametrize("version, seed", [(4, 1), (6, 2)], ids=["over_ipv4", "over_ipv6"])
def test_VX51_VX62_both_know_who_is_where(lab, version, seed):
    walk = Walk(lab, version, seed)
    places = set()
    for _ in range(STEPS):
        walk.step()
        places |= {(host, *remotes) for host, remotes in walk.agree().items()}
    print(f"figure: {len(walk.done)} steps, {len(places)} different places of {len(walk.probes)} addresses, "
          f"{sum('refused' in line for line in walk.done)} refused")
    assert len(places) > 30
