"""Reload: what changes while packets flow, what stays, and what is refused."""
import copy
import signal
import threading
import time

import yaml

from frames import TAG, is_tagged, numbers, tagged
from lab import inner_frame, wait_until
from scapy.utils import wrpcap
from scene import VTEP, Scene, vtep_pair

MAC_A, MAC_B = "02:00:00:00:aa:01", "02:00:00:00:bb:01"


def write(daemon, topology):
    daemon.topology = topology
    daemon.file.write_text(yaml.safe_dump(topology, sort_keys=False))


def reload(daemon, topology):
    """Writes the file and reloads it; returns the lines of what changed."""
    write(daemon, topology)
    return daemon.rpc("reload")["changes"]


def varied(daemon, change):
    topology = copy.deepcopy(daemon.topology)
    change(topology)
    return topology


def reaches(namespace, address):
    wait_until(lambda: namespace.ping(address, count=1), 10, f"{address} answers")


class Stream:
    """Numbered frames from `wire`, about `rate` a second, until stop()."""

    def __init__(self, wire, src, dst, rate=2000):
        self.sent, self.running = 0, True
        self.wire, self.rate = wire, rate
        frame = tagged(src, dst)
        at = frame.index(TAG) + len(TAG)
        self.frames = [b"%b%06d%b" % (frame[:at], number, frame[at + 6:]) for number in range(10000)]  # fewer than the receiver's socket holds
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        began = time.monotonic()
        while self.running and self.sent < len(self.frames):
            behind = (time.monotonic() - began) * self.rate - self.sent
            if behind > 100:  # the machine stood still: no queue holds all that is due
                began += behind / self.rate
            elif behind > 0:
                self.wire.send(self.frames[self.sent])
                self.sent += 1
            else:
                time.sleep(0.001)

    def stop(self):
        self.running = False
        self.thread.join()
        return self.sent


def steps(topology):
    """One topology after the other, each a change of another kind; the last is the first."""
    first = copy.deepcopy(topology)
    blue = first["vxlans"]["vx100"]

    def with_segment(**words):
        return first | {"vxlans": {"vx100": blue | words}}
    yield with_segment(ageing=60, maxaddr=500)
    yield with_segment(ttl=9, tos=8, df="set")
    yield with_segment(udpcsum=True, srcport=[40000, 50000])
    yield first | {"vxlans": {"vx100": blue, "other": {"id": 7, "fdb": [{"mac": MAC_B, "dst": "192.0.2.99"}]}}}
    yield first | {"routes": [{"to": "198.51.100.0/24", "via": "192.0.2.99"}]}
    yield first | {"neighbours": first.get("neighbours", []) +
                   [{"address": "192.0.2.98", "lladdr": MAC_A, "dev": "uplink0"}]}
    yield first | {"ports": first["ports"] | {"uplink0": first["ports"]["uplink0"] |
                                              {"addresses": [f"{VTEP}/24", "192.0.2.2/24"]}}}
    yield first | {"nexthops": {5: {"group": ["192.0.2.11", "192.0.2.99"]}},
                   "vxlans": {"vx100": blue | {"fdb": blue["fdb"] + [{"mac": MAC_B, "nhid": 5}]}}}
    yield with_segment(learning=False, mtu=1400)
    yield first


def test_RP91_reloads_under_traffic_lose_nothing(lab):
    scene = vtep_pair(lab)
    daemon, peer = scene.daemon, scene.peers[0]
    tenant = scene.members["acc0"][0]
    reaches(tenant, peer.inner4)
    out, back = lab.wire(tenant, "acc0"), lab.wire(peer.namespace, "vx0")
    neighbour = daemon.neighbour(peer.underlay)
    learned = daemon.fdb(peer.mac())
    assert learned["state"] == "dynamic" and neighbour["lladdr"]
    drops = daemon.drops()
    there, here = Stream(out, MAC_A, peer.mac()), Stream(back, peer.mac(), MAC_A)
    began = time.monotonic()
    rounds = 0
    while time.monotonic() - began < 3:
        for topology in steps(daemon.topology):
            assert reload(daemon, topology), "every step changes something"
            time.sleep(0.02)
        rounds += 1
    sent = {"there": there.stop(), "here": here.stop()}
    time.sleep(0.3)
    found = {"there": numbers(back.frames(0.5, is_tagged)), "here": numbers(out.frames(0.5, is_tagged))}
    for way in ("there", "here"):
        assert found[way] == list(range(sent[way])), f"{way}: {sent[way]} sent, {len(found[way])} arrived"
    assert rounds >= 2 and min(sent.values()) > 3000
    assert daemon.drops() == drops
    assert daemon.rpc("health")["packets_unaccounted"] == 0
    after = daemon.fdb(peer.mac())
    assert after["state"] == "dynamic" and after["dst"] == peer.underlay
    assert daemon.neighbour(peer.underlay)["age_s"] >= neighbour["age_s"], "it was never asked anew"


def test_RP91_reloads_at_full_speed_lose_nothing(lab):
    """Frames from memory into nowhere, as fast as the worker goes: a million a second and more where a
    CPU is free."""
    played, far = lab.directory / "played.pcap", "02:00:00:00:cc:01"
    wrpcap(str(played), [tagged(MAC_A, far, number) for number in range(256)], linktype=1)
    daemon = lab.daemon({
        "ports": {"uplink0": {"device": "net_null0,no-rx=1", "role": "underlay", "addresses": [f"{VTEP}/24"]},
                  "acc0": {"device": f"net_pcap0,rx_pcap={played},infinite_rx=1", "role": "access"}},
        "neighbours": [{"address": "192.0.2.11", "lladdr": MAC_B, "dev": "uplink0"}],
        "vxlans": {"vx100": {"id": 100, "local": VTEP, "remote": "192.0.2.11", "ports": ["acc0"],
                             "fdb": [{"mac": far, "dst": "192.0.2.11"}]}},
    }, lab.namespace("host")).start()
    before, began, reloads = daemon.port("acc0")["rx"]["packets"], time.monotonic(), 0
    while time.monotonic() - began < 3 or reloads < 10:
        for topology in steps(daemon.topology):
            assert reload(daemon, topology), "every step changes something"
            reloads += 1
    rate = (daemon.port("acc0")["rx"]["packets"] - before) / (time.monotonic() - began)
    print(f"{reloads} reloads at {rate / 1e6:.2f} million frames a second")
    # One answer is one moment of the worker but for the burst that it has in its hands.
    health = daemon.rpc("health")
    assert rate > 50_000 and health["packets_unaccounted"] == 0
    assert not daemon.drops()
    assert daemon.port("uplink0")["tx"]["full"] == 0


def test_RP91_what_was_learned_stays_on_unchanged_segments(lab):
    scene = vtep_pair(lab)
    daemon, peer = scene.daemon, scene.peers[0]
    out = lab.wire(scene.members["acc0"][0], "acc0")
    for number in range(100):
        out.send(tagged(f"02:00:00:01:00:{number:02x}", peer.mac()))
    wait_until(lambda: len(daemon.fdb(segment="vx100")) > 100, 5, "100 addresses are learned")
    before = {entry["mac"]: entry["age_s"] for entry in daemon.fdb() if entry["state"] == "dynamic"}
    changes = reload(daemon, varied(daemon, lambda t: t["vxlans"].update(
        {"other": {"id": 7, "remote": peer.underlay}})))
    assert changes == ["add vxlans.other: id 7, remote 192.0.2.11"]
    after = {entry["mac"]: entry["age_s"] for entry in daemon.fdb(segment="vx100") if entry["state"] == "dynamic"}
    assert after.keys() == before.keys()
    assert all(after[mac] >= before[mac] for mac in before), "ages go on"
    # The new one works, and goes again with all that it knew.
    assert [row["name"] for row in daemon.rpc("segments")] == ["vx100", "other"]
    daemon.rpc("fdb.add", segment="other", mac=MAC_B, dst=peer.underlay)
    assert reload(daemon, varied(daemon, lambda t: t["vxlans"].pop("other"))) == \
        ["remove vxlans.other: id 7, remote 192.0.2.11"]
    assert not daemon.fdb(segment="other")
    assert daemon.fdb(peer.mac()) is None or daemon.fdb(peer.mac())["segment"] == "vx100"


def test_RP91_new_segment_carries_and_headers_change(lab):
    scene = Scene(lab)
    tenant = scene.tenant()
    peer = scene.peers[0].vxlan()
    scene.segment()
    daemon = scene.start()
    reaches(tenant, peer.inner4)
    # Another VNI under the same name: what was learned there is of no use any more.
    peer.vxlan(vni=200, name="vx1", addresses=("10.0.1.11/24",))
    tenant.ip("address add 10.0.1.1/24 dev acc0")
    changes = reload(daemon, varied(daemon, lambda t: t["vxlans"]["vx100"].update(id=200)))
    verbs = [line.split(": ")[0] for line in changes]
    assert verbs.index("remove vxlans.vx100") < verbs.index("add vxlans.vx100")
    reaches(tenant, "10.0.1.11")
    assert tenant.ping(peer.inner4, wait=0.2) == 0
    wire = lab.wire(peer.namespace, "eth0")
    reload(daemon, varied(daemon, lambda t: t["vxlans"]["vx100"].update(ttl=9, tos=16)))
    lab.wire(tenant, "acc0").send(tagged(tenant.mac("acc0"), peer.mac("vx1"), 5))
    frame = wire.frames(3, lambda raw: inner_frame(raw, vni=200) and is_tagged(raw), enough=1)[0]
    assert frame[14 + 8] == 9 and frame[14 + 1] == 16, "learned entries have the new header too"


def test_RP91_bad_file_changes_nothing(lab):
    scene = vtep_pair(lab)
    daemon = scene.daemon
    good = copy.deepcopy(daemon.topology)

    def refused(topology):
        write(daemon, topology)
        done = daemon.ctl("reload", check=False)
        assert done.returncode == 1 and "nothing was changed" in done.stderr
        return done.stderr

    def is_told():
        """Without what frames change that nobody asked for."""
        counted = {"rx", "tx", "flooded", "answered", "untold", "ecn_odd", "oversize", "fdb_used"}
        return [{key: row[key] for key in row.keys() - counted} for row in daemon.rpc("segments")]
    before = is_told(), daemon.fdb()[0]["mac"]
    text = refused(good | {"vxlans": {"vx100": {"id": 99999999}, "vx101": {"ids": 1}}})
    assert f"{daemon.file}:" in text and "vxlans.vx100.id" in text and "vxlans.vx101.ids" in text
    daemon.file.write_text("version: [")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "reload: " in daemon.log(), 5, "the log tells")
    # Good, but not for a running daemon; the rest of it is not done either.
    text = refused(good | {"system": good["system"] | {"memory": "256M", "workers": [0, 1]},
                           "vxlans": {"vx100": {"id": 7}}})
    assert "system.memory" in text and "system.workers" in text and "restart" in text
    assert (is_told(), daemon.fdb()[0]["mac"]) == before
    # What is found too late is taken back.
    entries = [{"mac": f"02:00:00:02:{n >> 8:02x}:{n & 255:02x}", "dst": f"192.0.2.{n % 200 + 20}"} for n in range(300)]
    write(daemon, good | {"routes": [{"to": "198.51.100.0/24", "via": "192.0.2.99"}],
                          "vxlans": good["vxlans"] | {"big": {"id": 8, "fdb": entries}}})
    assert daemon.ctl("reload", "--dry-run").stdout.count("add vxlans.big") == 301
    assert (is_told(), daemon.fdb()[0]["mac"]) == before
    write(daemon, good)
    assert daemon.ctl("reload").stdout == "nothing differs\n"
    reaches(scene.members["acc0"][0], scene.peers[0].inner4)


def test_RP91_failure_halfway_is_rolled_back(lab):
    scene = vtep_pair(lab, start=False, fdb=[{"mac": MAC_A, "port": "acc0"}])
    daemon = scene.start(tunnel_capacity=16)
    good = copy.deepcopy(daemon.topology)
    flood = good["vxlans"]["vx100"]["fdb"][-1:]

    def state():
        segments = [{key: row[key] for key in ("name", "vni", "ports", "remotes", "mtu")} for row in daemon.rpc("segments")]
        return segments, sorted(map(str, daemon.rpc("routes"))), daemon.fdb(MAC_A)["port"]
    before = state()
    remotes = [f"192.0.2.{n}" for n in range(100, 120)]
    write(daemon, good | {"routes": [{"to": "198.51.100.0/24", "via": "192.0.2.99"}],
                          "ports": good["ports"] | {"uplink0": good["ports"]["uplink0"] | {"addresses": [f"{VTEP}/24", "192.0.2.2/24"]}},
                          "vxlans": {"vx100": good["vxlans"]["vx100"] | {"ttl": 7, "ports": [], "fdb": flood},
                                     "many": {"id": 8, "ports": ["acc0"], "fdb": [{"mac": "00:00:00:00:00:00", "dst": remotes}]}}})
    done = daemon.ctl("reload", check=False)
    assert done.returncode == 1 and "tunnel-capacity" in done.stderr, done.stderr
    assert state() == before
    assert daemon.rpc("fdb.show")["tunnels"]["used"] == 1
    reaches(scene.members["acc0"][0], scene.peers[0].inner4)
