"""Topologies of ipvlans that cannot be: each is refused with file, line and what is allowed, code 2."""
import re
import subprocess

import pytest

from lab import VXPLANE

GOOD = """\
version: 1
system: {memory: 128M, hugepages: "off", socket: SOCKET}
ports:
  uplink0: {device: "net_tap0,iface=und0", role: underlay, addresses: [192.0.2.1/24], mtu: 1500}
  s1: {device: "net_tap1,iface=s1", role: access}
  s2: {device: "net_tap2,iface=s2", role: access}
tables:
  a: {routes: [{to: 10.9.0.0/16, via: 192.0.2.11}]}
  b: {routes: [{to: 10.9.0.0/16, via: 192.0.2.11}]}
ipvlans:
  ipvl0:
    link: uplink0
    mode: l3s
    flag: bridge
    masquerade-ports: 20000-29999
    masquerade: true
    rules:
      - {name: one, hook: output, action: accept}
    slaves:
      one: {port: s1, addresses: [10.1.0.5/24], mtu: 1500}
      two: {port: s2, addresses: [10.2.0.5/24], routes: [{to: 10.3.0.0/16, via: 192.0.2.11}]}
"""

# name -> (what is replaced, by what, line of the problem, path, words of the message)
BAD = {
    "IV06 duplicate address names the slave": (
        "[10.2.0.5/24]", "[10.1.0.5/24]", 21, "ipvlans.ipvl0.slaves.two.addresses[0]", "'one'"),
    "IV06 address of the master": (
        "[10.2.0.5/24]", "[192.0.2.1/24]", 21, "ipvlans.ipvl0.slaves.two.addresses[0]", "uplink0"),
    "IV01 private with vepa": ("flag: bridge", "flag: [private, vepa]", 14, "ipvlans.ipvl0.flag", "exclude"),
    "IV04 MTU above the master's": ("mtu: 1500}\n      two", "mtu: 1501}\n      two", 20,
                                    "ipvlans.ipvl0.slaves.one.mtu", "1500"),
    "unknown segment": ("via: 192.0.2.11}]}\n", "vxlan: nowhere, remote: 192.0.2.9, lladdr: \"02:00:00:00:00:09\"}]}\n",
                        21, "ipvlans.ipvl0.slaves.two.routes[0].vxlan", "nowhere"),
    "unknown table": ("{to: 10.3.0.0/16, via: 192.0.2.11}", "{to: 10.3.0.0/16, table: services}", 21,
                      "ipvlans.ipvl0.slaves.two.routes[0].table", "services"),
    "leak loop": (None, None, 8, "tables.a.routes[0]", "circle"),
    "NAT ranges that overlap": (
        "{name: one, hook: output, action: accept}",
        "{hook: postrouting, action: snat, to: 192.0.2.1, protocol: tcp, to-ports: 29999-30001}", 18,
        "ipvlans.ipvl0.rules[0].to-ports", "overlaps"),
    "public address of two slaves": (
        "mtu: 1500}\n      two: {port: s2, ",
        "mtu: 1500, nat: [{public: 192.0.2.9}]}\n      two: {port: s2, nat: [{public: 192.0.2.9}], ", 21,
        "ipvlans.ipvl0.slaves.two.nat[0].public", "'one'"),
    "unknown mode": ("mode: l3s", "mode: l4", 13, "ipvlans.ipvl0.mode", "l2, l3 or l3s"),
    "unknown link": ("link: uplink0", "link: uplink1", 12, "ipvlans.ipvl0.link", "'uplink0'"),
    "port of two slaves": ("two: {port: s2", "two: {port: s1", 21, "ipvlans.ipvl0.slaves.two.port", "'one'"),
    "gateway that is a slave's own address": (
        "10.3.0.0/16, via: 192.0.2.11", "10.3.0.0/16, via: 10.2.0.5", 21, "ipvlans.ipvl0.slaves.two.routes[0].via",
        "own address"),
}


def text_of(what, by):
    if what is None:  # each of the tables leads to the other
        return GOOD.replace("a: {routes: [{to: 10.9.0.0/16, via: 192.0.2.11}", "a: {routes: [{to: 10.9.0.0/16, table: b}") \
                   .replace("b: {routes: [{to: 10.9.0.0/16, via: 192.0.2.11}", "b: {routes: [{to: 10.9.0.0/16, table: a}")
    at = GOOD.rindex(what)
    return GOOD[:at] + by + GOOD[at + len(what):]


def run(directory, text, *options, namespace=None):
    file = directory / "topology.yaml"
    file.write_text(text.replace("SOCKET", str(directory / "vx.sock")))
    prefix = ["ip", "netns", "exec", namespace.name] if namespace else []
    return file, subprocess.run([*prefix, VXPLANE, *options, file], text=True, capture_output=True, timeout=60,
                                stdin=subprocess.DEVNULL)


def test_the_good_one_is_good(tmp_path):
    _, done = run(tmp_path, GOOD, "--check")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", BAD)
def test_bad_ipvlans_are_named(lab, tmp_path, kind):
    what, by, line, path, words = BAD[kind]
    text = text_of(what, by)
    assert text != GOOD
    host = lab.namespace("host")
    for options in (["--check"], []):
        file, done = run(tmp_path, text, *options, namespace=host)
        assert done.returncode == 2, done.stderr
        found = [said for said in (done.stderr + done.stdout).splitlines()
                 if re.match(rf"{re.escape(str(file))}:\d+:\d+: {re.escape(path)}[:\[]", said)]
        assert found and words in found[0], done.stderr
        assert found[0].startswith(f"{file}:{line}:"), found[0]
    assert not host.has("und0") and not host.has("s1"), "ports were made all the same"
