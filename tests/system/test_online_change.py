"""Everything that can be changed while packets flow is changed while packets flow: numbered frames both
ways, of which not one may be lost, and counters that say the same."""
import copy
import json
import pathlib
import socket
import subprocess
import sys

import pytest

from lab import wait_until
from scene import vtep_pair
from sequence import TAIL
from test_reload import reload, varied
from wire_frames import A4, B4, Outside, ethernet, ip4, mac, udp

SEQUENCE = pathlib.Path(__file__).with_name("sequence.py")
SCHEMA = pathlib.Path(__file__).parents[2] / "config/schema/topology.schema.json"
VTEP_MAC, REMOTE_MAC, SECOND_MAC = "02:00:00:00:0e:01", "02:00:00:00:0e:02", "02:00:00:00:0e:03"
TENANT, FAR, NOBODY = "02:00:00:00:0a:01", "02:00:00:00:0b:01", "02:00:00:00:0c:01"
OWN = {4: "192.0.2.1", 6: "2001:db8::1"}
REMOTE = {4: "192.0.2.2", 6: "2001:db8::2"}
SECOND = {4: "192.0.2.3", 6: "2001:db8::3"}
ELSE = {4: "192.0.2.9", 6: "2001:db8::9"}  # another address of ours
RATE = 20_000
COMPOUND = ("proxy-fallback", "proxy-dad", "nexthops", "remote", "group")  # changes of several keys together


def packed(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def inner(src, dst):
    return ethernet(mac(dst), mac(src), 0x0800, ip4(A4, B4, 17, udp(A4, B4, 2000, 9, b"numbers " + TAIL)))


class Flow:
    """Numbered frames from one interface, heard at another."""

    def __init__(self, lab, sender, source, frames, hearer, ear, start, rate=RATE):
        def spawned(namespace, words):
            return lab.spawn(namespace, f"{sys.executable} {SEQUENCE} {words}", stdin=subprocess.PIPE)
        self.ear = spawned(hearer, f"hear {ear} {start.hex()}")
        assert self.ear.stdout.readline().strip() == "ready"
        self.sender = spawned(sender, f"send {source} {rate} {','.join(frame.hex() for frame in frames)}")

    def stop(self):
        sent = json.loads(self.sender.communicate()[0])
        return sent | json.loads(self.ear.communicate()[0])


class Site:
    """One segment between a tap and another, with all its neighbours known; flows both ways."""

    def __init__(self, lab, version):
        self.lab, self.version = lab, version
        host, self.tenant, self.fabric = lab.namespace("host"), lab.namespace("tenant"), lab.namespace("fabric")
        self.daemon = lab.daemon({
            "ports": {"uplink0": {"device": "net_tap0,iface=und0", "role": "underlay", "mac": VTEP_MAC,
                                  "addresses": [f"{address}/{24 if version == 4 else 64}"
                                                for address in (OWN[version], ELSE[version])]},
                      "acc0": {"device": "net_tap1,iface=acc0", "role": "access"},
                      "acc1": {"device": "net_tap2,iface=acc1", "role": "access"}},
            "neighbours": [{"address": REMOTE[version], "lladdr": REMOTE_MAC, "dev": "uplink0"},
                           {"address": SECOND[version], "lladdr": SECOND_MAC, "dev": "uplink0"}],
            "vxlans": {"vx100": {"id": 100, "local": OWN[version], "ports": ["acc0"], "fdb": [
                {"mac": "00:00:00:00:00:00", "dst": [REMOTE[version]]}]}},
        }, host).start()
        for name, namespace in (("und0", self.fabric), ("acc0", self.tenant), ("acc1", self.tenant)):
            host.ip(f"link set {name} netns {namespace.name}")
            # Room for what a machine that stands still for a third of a second has in flight.
            namespace.ip(f"link set {name} up txqueuelen 16384")

    def flows(self):
        known, unknown = inner(TENANT, FAR), inner(TENANT, NOBODY)
        outside = Outside(self.version, mac(REMOTE_MAC), mac(VTEP_MAC), packed(REMOTE[self.version]),
                          packed(OWN[self.version]), 100, 4789)
        outside.add("back", (None, inner(FAR, TENANT)), sport=50000)
        self.there = Flow(self.lab, self.tenant, "acc0", [known, unknown], self.fabric, "und0", mac(REMOTE_MAC))
        self.back = Flow(self.lab, self.fabric, "und0", [outside.cases[0].frame], self.tenant, "acc0", mac(TENANT))

    def kernel_drops(self):
        """Frames that the queues of the taps had no room for, by port."""
        return {port: json.loads(namespace.ip(f"-j -s link show {name}"))[0]["stats64"]["tx"]["dropped"]
                for port, name, namespace in (("acc0", "acc0", self.tenant), ("uplink0", "und0", self.fabric))}


def changes(version):
    """(key, words of the segment) of everything that a segment can be told while packets flow."""
    yield from {
        "srcport": [40000, 50000], "ttl": 9, "tos": 0xB8, "df": "set", "ecn": "rfc3168", "learning": False,
        "ageing": 20, "flood-limit": 10_000_000, "dup-addr-max-moves": 9, "dup-addr-time": 90, "dup-addr-freeze": 60,
        "maxaddr": 1000, "inner-vlan": True, "reserved-bits": "ignore", "mtu": 1300, "mac": "02:00:00:00:0f:99",
        "fdb-conflict": "forward", "fragment": "inner", "local-bypass": False, "remcsumtx": True, "remcsumrx": True, "mss-clamp": True, "neigh-suppress": True,
        "proxy": True, "neigh-learning": True, "neigh-maxaddr": 9, "rsc": True, "l2miss": True, "l3miss": True,
        "check-srcport": "49152-65535", "refuse-vxlan": True, "local": ELSE[version], "ports": ["acc0", "acc1"],
        "peers": [f"{REMOTE[version]}/{32 if version == 4 else 128}"],
        "neighbours": [{"ip": "10.0.0.77", "lladdr": NOBODY, "router": True}],
        "fdb": [{"mac": "00:00:00:00:00:00", "dst": [REMOTE[version], SECOND[version]]},
                {"mac": FAR, "dst": REMOTE[version]}, {"mac": TENANT, "port": "acc0", "state": "static"}],
    }.items()
    yield "ttl", "inherit"
    yield "tos", "inherit"
    yield "df", "inherit"
    yield "reserved-bits", "0xf7ffffff000000ff"
    yield "ageing", 0
    yield "mcast-snooping", True
    yield "mdb", [{"group": "239.7.7.7", "dst": REMOTE[version]}, {"group": "ff05::77", "port": "acc0"}]
    # Two addresses or two keys belong together.
    yield "group", {"group": "239.1.1.1" if version == 4 else "ff05::100", "dev": "uplink0"}
    yield "proxy-fallback", {"proxy": True, "proxy-fallback": "kernel"}
    yield "proxy-dad", {"proxy": True, "proxy-dad": True}
    yield "nexthops", {"fdb": [{"mac": "00:00:00:00:00:00", "dst": [REMOTE[version]]}, {"mac": FAR, "nhid": 5}]}
    yield "remote", {"remote": REMOTE[version], "fdb": []}
    if version == 4:
        yield "udpcsum", True
        yield "local6", OWN[6]
    else:
        yield from {"udp6zerocsumtx": True, "udp6zerocsumrx": True, "flowlabel": "entropy"}.items()
        yield "flowlabel", 0x12345


def topologies(first, version):
    """(what, topology), each a change against the first one."""
    for key, value in changes(version):
        words = value if key in COMPOUND else {key: value}
        topology = copy.deepcopy(first)
        topology["vxlans"]["vx100"] |= copy.deepcopy(words)
        if key == "nexthops":
            topology["nexthops"] = {5: {"group": [REMOTE[version]]}}
        if key == "local6":
            topology["ports"]["uplink0"]["addresses"].append(f"{OWN[6]}/64")
        yield f"vxlans.vx100.{key}" if key != "nexthops" else "nexthops.5", topology
    for port, key, value in (("uplink0", "promiscuous", True), ("acc0", "learning", False), ("acc0", "promiscuous", False),
                             ("uplink0", "reassembly", True), ("uplink0", "mtu", 1400)):
        topology = copy.deepcopy(first)
        topology["ports"][port][key] = value
        yield f"ports.{port}.{key}", topology
    yield "routes[", first | {"routes": [{"to": "198.51.100.0/24", "via": "192.0.2.99"} if version == 4 else
                                         {"to": "2001:db8:9::/48", "via": "2001:db8::99"}]}
    if version == 4:
        yield "routes[", first | {"routes": [{"to": "198.51.100.0/24", "via": "192.0.2.99", "tos": 16}]}
    yield "vxlans.other", first | {"vxlans": first["vxlans"] | {"other": {"id": 7, "remote": SECOND[version]}}}
    yield "system.log", first | {"system": first["system"] | {"log": "warning"}}
    yield "system.icmp-rate", first | {"system": first["system"] | {"icmp-rate": 7}}


def by_hand(site):
    """Changes without a file: entries and neighbours come, change and go."""
    remote, second = REMOTE[site.version], SECOND[site.version]
    ctl, segment = site.daemon.ctl, ("dev", "vx100")
    ctl("fdb", "replace", FAR, *segment, "dst", remote)
    ctl("fdb", "add", "00:00:00:00:00:00", *segment, "dst", second)
    ctl("fdb", "replace", FAR, *segment, "dst", remote, "static")
    ctl("fdb", "del", FAR, *segment)
    ctl("fdb", "replace", FAR, *segment, "dst", remote, "controller", "sequence", "7")
    ctl("fdb", "del", FAR, *segment)
    ctl("fdb", "del", "00:00:00:00:00:00", *segment, "dst", second)
    ctl("fdb", "flush", *segment, "dynamic")
    ctl("neigh", "add", "10.0.0.99", "lladdr", FAR, *segment, "router")
    ctl("neigh", "del", "10.0.0.99", *segment)
    set_by_hand(ctl)
    ctl("port", "set", "acc1", "mtu", "1400")
    ctl("port", "set", "acc1", "mtu", "1500")


def set_by_hand(ctl):
    """Keys of a segment one after the other, and back."""
    for key, value, was in (("learning", "false", "true"), ("ageing", "20", "300"), ("df", "set", "unset"), ("ttl", "9", "auto"),
                            ("tos", "0x20", "0"), ("proxy", "true", "false"), ("neigh-learning", "true", "false"),
                            ("peers", "192.0.2.0/24,2001:db8::/32", "none"), ("flood-limit", "100000", "0"),
                            ("mss-clamp", "true", "false"), ("maxaddr", "900", "0")):
        for one in (value, was):
            shown = ctl("segment", "set", "vx100", key, one).stdout
            assert f"modify vxlans.vx100.{key}" in shown or f"vxlans.vx100.{key}" in shown, (key, one, shown)


@pytest.mark.parametrize("version", [4, 6], ids=["over_ipv4", "over_ipv6"])
def test_VX97_changes_under_traffic_lose_nothing(lab, version):
    site = Site(lab, version)
    daemon, first = site.daemon, copy.deepcopy(site.daemon.topology)
    kernel, drops = site.kernel_drops(), daemon.drops()
    before = {name: daemon.port(name) for name in ("acc0", "uplink0")}
    site.flows()
    wait_until(lambda: daemon.fdb(FAR) and daemon.fdb(TENANT), 5, "both ends are learned")
    number = 0
    for what, topology in topologies(first, version):
        for target in (topology, first):
            lines = reload(daemon, target)
            assert any(what in line and line.startswith(("modify", "add", "remove")) for line in lines), (what, lines)
            number += 1
        if number % 32 == 0:
            by_hand(site)
    found = {"there": site.there.stop(), "back": site.back.stop()}
    lost = {name: count - kernel[name] for name, count in site.kernel_drops().items()}
    after = {name: daemon.port(name) for name in ("acc0", "uplink0")}
    for way, into in {"there": "acc0", "back": "uplink0"}.items():
        flow, moved = found[way], after[into]["rx"]["packets"] - before[into]["rx"]["packets"]
        # What the queue of a tap has no room for is told to the sender, who sends it again.
        kernel_lost = lost[into] - flow["refused"] + flow["socket_lost"]
        print(f"figure: {way}: {flow['sent']} sent at {flow['sent'] / flow['seconds']:.0f}/s during {number} changes, "
              f"{flow['different']} heard, {kernel_lost} lost by the kernel")
        assert flow["different"] + kernel_lost == flow["sent"] and kernel_lost >= 0, (flow, lost)
        # No frame twice, none overtaken by a later one of its flow.
        assert flow["heard"] == flow["different"] and flow["backwards"] == [0, 0], flow
        assert moved >= flow["sent"] - kernel_lost
        assert after[into]["tx"]["full"] == before[into]["tx"]["full"]
        assert after[into]["device_counters"]["imissed"] == after[into]["device_counters"]["rx_nombuf"] == 0
    assert daemon.drops() == drops
    assert daemon.rpc("health")["packets_unaccounted"] == 0


# Keys that cannot be changed in a segment of one VNI without tags, and who changes them while it runs.
ELSEWHERE = {"id": "test_online_change.py", "dstport": "test_online_change.py", "state": "test_online_change.py",
             "gbp": "test_online_change.py", "external": "test_online_change.py", "vni": "test_online_change.py",
             "vnifilter": "test_external.py", "tunnel-info": "test_online_change.py", "gpe": "test_online_change.py",
             "router": "test_ipvlan_overlay.py"}


def test_VX97_every_key_of_a_segment_is_changed_while_it_runs():
    keys = set(next(iter(json.loads(SCHEMA.read_text())["properties"]["vxlans"]["patternProperties"].values()))["properties"])
    changed = set()
    for key, value in (change for version in (4, 6) for change in changes(version)):
        changed |= value.keys() if key in COMPOUND else {key}
    assert changed | ELSEWHERE.keys() <= keys, "keys that no segment has"
    assert not keys - changed - ELSEWHERE.keys(), "keys that no test changes"
    assert not changed & ELSEWHERE.keys(), "keys that are changed here"
    for key, name in ELSEWHERE.items():
        assert f'"{key}"' in pathlib.Path(__file__).with_name(name).read_text(), (key, name)


def neighbour_of_the_changed_one(site):
    """Another segment, with the traffic: its topology, and the flow."""
    segment = {"id": 300, "local": OWN[4], "ports": ["acc1"], "fdb": [{"mac": FAR, "dst": REMOTE[4]}]}
    first = copy.deepcopy(site.daemon.topology)
    first["vxlans"]["vx300"] = segment
    reload(site.daemon, first)
    site.daemon.rpc("fdb.add", segment="vx100", mac=NOBODY, dst=REMOTE[4])
    return first, Flow(site.lab, site.tenant, "acc1", [inner(TENANT, FAR)], site.fabric, "und0", mac(REMOTE_MAC))


@pytest.mark.parametrize("key, value, words", [("id", 200, "id: 100 -> 200"), ("dstport", 8472, "dstport: 4789 -> 8472"),
                                               ("gbp", True, "gbp: false -> true")])
def test_VX97_what_peers_must_know_of_needs_a_new_segment_and_the_diff_says_so(lab, key, value, words):
    site = Site(lab, 4)
    daemon = site.daemon
    first, flow = neighbour_of_the_changed_one(site)
    changed = varied(daemon, lambda topology: topology["vxlans"]["vx100"].update({key: value}))
    daemon.file.write_text(json.dumps(changed))  # which is YAML, too
    said = daemon.ctl("reload", "--dry-run").stdout.splitlines()
    removed, added = (next(place for place, line in enumerate(said) if line.startswith(f"{verb} vxlans.vx100: "))
                      for verb in ("remove", "add"))
    assert removed < added and f"made anew: {words}" in said[removed], said
    assert not any(line.startswith("modify") for line in said), said
    for target in (changed, first) * 10:
        assert reload(daemon, target) and not daemon.fdb(NOBODY), "what it knew went with it"
    found = flow.stop()
    assert found["different"] == found["sent"] - found["socket_lost"] and found["backwards"] == [0, 0], found
    assert not daemon.drops(), daemon.drops()


def test_VX97_a_segment_that_is_down_or_becomes_many_costs_its_neighbour_nothing(lab):
    site = Site(lab, 4)
    daemon = site.daemon
    first, flow = neighbour_of_the_changed_one(site)
    many = {"external": True, "vni": "100-140", "dstport": 4790, "local": OWN[4], "ports": ["acc0"],
            "tunnel-info": [{"vid": "10-50", "id": "100-140"}]}
    courses = (("modify vxlans.vx100.state: up -> down", first["vxlans"]["vx100"] | {"state": "down"}),
               ("add vxlans.vx100: vni 100-140", many), ("made anew: gpe: false -> true", many | {"gpe": True}),
               ("made anew: gpe: true -> false", many),
               ("remove vxlans.vx100: vni 120-140", many | {"vni": "100-119", "tunnel-info": [{"vid": "10-29", "id": "100-119"}]}),
               ("remove vxlans.vx100: vni 100-119", first["vxlans"]["vx100"]))
    for _ in range(4):
        for words, segment in courses:
            lines = reload(daemon, varied(daemon, lambda topology: topology["vxlans"].update(vx100=segment)))
            assert any(words in line for line in lines), (words, lines)
    found = flow.stop()
    assert found["different"] == found["sent"] - found["socket_lost"] and found["backwards"] == [0, 0], found
    assert not daemon.drops(), daemon.drops()
    assert daemon.rpc("health")["packets_unaccounted"] == 0


def test_VX97_a_key_that_is_set_by_hand_is_judged_as_in_a_file(lab):
    scene = vtep_pair(lab)
    ctl, tenant, peer = scene.daemon.ctl, scene.members["acc0"][0], scene.peers[0]
    for words, says in ((("ttl", "300"), "ttl: '300' is not valid here"), (("tos", "fast"), "tos: 'fast' is not valid here"),
                        (("mtu", "1500"), "exceed the mtu 1500 of uplink 'uplink0'"), (("id", "7"), "id"),
                        (("peers", "10.0.0.1/33"), "peers: '10.0.0.1/33' is not valid here"), (("ttl",), "missing value of ttl"),
                        (("learning", "{"), "learning:"), (("remote", "192.0.2.1"), "192.0.2.1")):
        done = ctl("segment", "set", "vx100", *words, check=False)
        assert done.returncode != 0 and says in done.stderr, (words, done.returncode, done.stdout, done.stderr)
    assert ctl("segment", "set", "nobody", "ttl", "9", check=False).returncode != 0
    ear = lab.wire(peer.namespace, "eth0")
    ctl("segment", "set", "vx100", "ttl", "9", "df", "set")
    assert tenant.ping(peer.inner4) == 3
    sent = ear.frames(1, lambda frame: frame[12:14] == b"\x08\x00" and frame[23] == 17 and frame[36:38] == b"\x12\xb5" and
                      frame[26:30] == bytes([192, 0, 2, 1]), enough=3)
    assert sent and all(frame[22] == 9 and frame[20] & 0x40 for frame in sent)
    assert scene.daemon.rpc("reload")["changes"], "the file is what holds in the end"
