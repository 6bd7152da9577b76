"""Large packets in the real daemon: jumbo frames on packet sockets, TCP that is merged on the way in
and cut or handed over on the way out, and a device that cannot do what is asked of it."""
import hashlib
import json
import os
import socket
import threading

import pytest

from frames import IP, UDP, Ether
from lab import inner_frame, wait_until
from scene import Scene, TENANT4

RING = "framesz=10240,blocksz=20480,framecnt=128"
OUTER, INNER = 9050, 9000
TENANT_MAC, REMOTE_MAC = "02:00:00:00:0a:01", "02:00:00:00:0b:01"


def jumbo_topology(lab):
    """Access port and underlay are packet sockets on veth cables that carry 9,000 bytes for the tenant."""
    scene = Scene(lab, underlay="veth")
    tenant = scene.tenant("acc0", device="net_af_packet")
    peer = scene.peers[0].vxlan(mac=REMOTE_MAC)
    for name, mtu in (("uplink0", OUTER), ("acc0", INNER)):
        port = scene.topology["ports"][name]
        port |= {"device": f"{port['device']},{RING}", "mtu": mtu}
    for cable in ("und0", "peer1", "br0"):
        scene.fabric.ip(f"link set {cable} mtu {OUTER}")
    peer.namespace.ip(f"link set eth0 mtu {OUTER}")
    peer.namespace.ip(f"link set vx0 mtu {INNER}")
    tenant.ip(f"link set acc0 address {TENANT_MAC}")
    scene.segment()
    return scene, tenant, peer


def jumbo_frame(src, dst, size):
    """An inner frame of `size` bytes behind the Ethernet header, none like its neighbour."""
    payload = bytes((number * 7 + number // 251) & 0xFF for number in range(size - 28))
    return bytes(Ether(src=src, dst=dst) / IP(src="10.0.0.100", dst="10.0.0.101", flags="DF") /
                 UDP(sport=1000, dport=9) / payload)


def test_jumbo_frames_pass_both_ways_byte_for_byte(lab):
    scene, tenant, peer = jumbo_topology(lab)
    scene.start(memory="256M")
    tenant.ip(f"link set acc0 mtu {INNER}")
    assert tenant.ping(peer.inner4, options="-M do -s 8000") == 3
    assert peer.namespace.ping(TENANT4, options="-M do -s 8000") == 3
    here, there = lab.wire(tenant, "acc0"), lab.wire(peer.namespace, "vx0")
    outside = lab.wire(peer.namespace, "eth0")
    for size in (1501, 4096, 8000, INNER):
        out, back = jumbo_frame(TENANT_MAC, REMOTE_MAC, size), jumbo_frame(REMOTE_MAC, TENANT_MAC, size)
        here.send(out)
        assert there.frames(5, lambda frame, out=out: frame == out, enough=1) == [out], size
        there.send(back)
        assert here.frames(5, lambda frame, back=back: frame == back, enough=1) == [back], size
        frame = outside.frames(5, lambda frame, out=out: inner_frame(frame) == out, enough=1)[0]
        assert IP(frame[14:34]).len == size + 50 and len(frame) == size + 64
    assert not scene.daemon.drops(), scene.daemon.drops()
    # One byte more than the underlay carries.
    tenant.ip(f"link set acc0 mtu {OUTER}")
    here.send(jumbo_frame(TENANT_MAC, REMOTE_MAC, INNER + 1))
    assert tenant.ping(peer.inner4, count=1) == 1
    assert sum(scene.daemon.drops().values()) == 1, scene.daemon.drops()


class Transfer:
    """One TCP connection that carries megabytes one way; both ends hash what they see."""

    def __init__(self, sender, receiver, address, megabytes):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        server = receiver.entered(lambda: socket.create_server((address, 0), family=family))
        server.settimeout(20)
        arrived = hashlib.sha256()

        def read():
            link, _ = server.accept()
            with link:
                link.settimeout(20)
                while data := link.recv(1 << 18):
                    arrived.update(data)
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        sent = hashlib.sha256()
        port = server.getsockname()[1]
        link = sender.entered(lambda: socket.create_connection((address, port), timeout=20))
        with link:
            for _ in range(megabytes * 4):
                block = os.urandom(1 << 18)
                sent.update(block)
                link.sendall(block)
        reader.join(30)
        server.close()
        self.intact = sent.digest() == arrived.digest()


def large(daemon, port):
    """The counters of merging and cutting, as vxctl shows them."""
    rows = json.loads(daemon.ctl("-j", "port").stdout)
    return next(row for row in rows if row["name"] == port)["large"]


def merging_scene(lab, underlay="tap", **access):
    scene = Scene(lab, underlay=underlay)
    tenant = scene.tenant()
    peer = scene.peers[0].vxlan()
    scene.topology["ports"]["uplink0"]["gro"] = "on"
    scene.topology["ports"]["acc0"] |= access
    scene.segment()
    scene.start()
    return scene, tenant, peer


@pytest.mark.parametrize("underlay", ["tap", "veth"])
def test_merged_tcp_is_cut_again_for_ports_that_take_no_large_packets(lab, underlay):
    scene, tenant, peer = merging_scene(lab, underlay, gro="on")
    assert Transfer(peer.namespace, tenant, TENANT4, 2).intact
    came, left = large(scene.daemon, "uplink0"), large(scene.daemon, "acc0")
    assert came["gro"] and came["merged"] > 0 and came["made"] > 0, came
    assert left["tso"] == "none" and left["cut"] >= came["made"], left
    assert left["cut_frames"] >= came["made"] + came["merged"], (came, left)
    assert Transfer(tenant, peer.namespace, peer.inner4, 2).intact
    came, left = large(scene.daemon, "acc0"), large(scene.daemon, "uplink0")
    assert came["merged"] > 0 and left["cut"] > 0, (came, left)
    assert scene.daemon.rpc("health")["packets_unaccounted"] == 0


def test_merged_tcp_is_handed_over_whole_to_a_guest(lab):
    """The guest is a second vxplane, which has a tap and cuts for it what it got whole."""
    guest_socket = lab.directory / "guest.sock"
    scene = Scene(lab)
    peer = scene.peers[0].vxlan()
    scene.topology["ports"]["uplink0"]["gro"] = "on"
    scene.topology["ports"]["guest0"] = {"device": f"net_vhost0,iface={guest_socket},tso=1", "role": "access"}
    scene.segment(ports=["guest0"])
    scene.start()
    inside, tenant = lab.namespace("inside"), lab.namespace("tenant")
    guest = lab.daemon({
        "ports": {
            "none0": {"device": "net_null0", "role": "underlay", "addresses": ["198.51.100.1/24"]},
            "host0": {"device": f"net_virtio_user0,path={guest_socket}", "role": "access"},
            "acc0": {"device": "net_tap0,iface=acc0", "role": "access", "gro": "on"},
        },
        "vxlans": {"vx7": {"id": 7, "local": "198.51.100.1", "ports": ["host0", "acc0"]}},
    }, inside).start()
    inside.ip(f"link set acc0 netns {tenant.name}")
    tenant.up("acc0", f"{TENANT4}/24", mtu=1450)
    assert wait_until(lambda: tenant.ping(peer.inner4, count=1), 10, "the guest is connected")

    assert Transfer(peer.namespace, tenant, TENANT4, 2).intact
    came, handed = large(scene.daemon, "uplink0"), large(scene.daemon, "guest0")
    got, left = large(guest, "host0"), large(guest, "acc0")
    assert came["merged"] > 0 and handed["tso"] == "plain", (came, handed)
    assert handed["passed"] > 0 and handed["cut"] == 0, handed
    # A guest that is late loses some of them before it sees them, and TCP sends them again.
    assert left["cut"] >= handed["passed"] // 2 > 0 and left["tso"] == "none", (got, left)

    assert Transfer(tenant, peer.namespace, peer.inner4, 2).intact
    assert large(guest, "host0")["passed"] > 0 and large(scene.daemon, "uplink0")["cut"] > 0
    for daemon in (scene.daemon, guest):
        assert daemon.rpc("health")["packets_unaccounted"] == 0


@pytest.mark.parametrize("device", ["net_tap1,iface=acc0", "net_null1", "net_vhost1,iface={}/vhost.sock"])
def test_RP82_tso_that_the_device_has_not_is_refused_at_its_line(lab, device):
    scene = Scene(lab)
    scene.tenant()
    scene.segment()
    scene.topology["ports"]["acc0"] |= {"device": device.format(lab.directory), "tso": "on"}
    daemon = lab.daemon(scene.topology, scene.host).launch()
    process, daemon.process = daemon.process, None
    try:
        assert process.wait(20) == 1, daemon.log()
    finally:
        process.kill()
    line = next(number for number, text in enumerate(daemon.file.read_text().splitlines(), 1) if "tso:" in text)
    assert f"{daemon.file}:{line}:" in daemon.log() and "ports.acc0.tso: " in daemon.log(), daemon.log()
    assert "cuts no TCP packets" in daemon.log()


def test_memory_too_small_for_jumbo_frames_names_its_key(lab):
    scene = jumbo_topology(lab)[0]
    daemon = lab.daemon(scene.topology | {"system": {"memory": "64M"}}, scene.host).launch()
    process, daemon.process = daemon.process, None
    try:
        assert process.wait(20) == 1, daemon.log()
    finally:
        process.kill()
    assert "system.memory: " in daemon.log() and "buffers of 10368 bytes" in daemon.log(), daemon.log()
