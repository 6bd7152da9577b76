"""Remote checksum offload with the kernel's vxlan device: it leaves the checksums of TCP and UDP to
the end of the tunnel."""
import os
import socket

import pytest

from frames import IP, TCP, UDP, Ether, IPv6
from scene import TENANT4, TENANT6, Scene
from test_large import Transfer
from test_underlay6 import VTEP6, six

OPTION = 0x00200000
NOT_OURS = {"vxlan_reserved_bits", "vxlan_bad_remcsum", "udp_bad_checksum"}


def offloading(lab, version, options="remcsumtx remcsumrx", **words):
    """One tenant and one kernel VTEP that leaves checksums open; all words go to the segment."""
    scene = Scene(lab)
    tenant, peer = scene.tenant(), scene.peers[0]
    if version == 6:
        scene.topology["ports"]["uplink0"]["addresses"].append(f"{VTEP6}/64")
        six(scene, peer, options=options)
        words |= {"local": VTEP6}
    else:
        peer.vxlan(options=options)
    scene.segment(**words)
    scene.start()
    tenant.ip("link set acc0 mtu 1430")
    peer.namespace.ip("link set vx0 mtu 1430")
    return scene, tenant, peer


def tunnelled(frame):
    """(first word of the VXLAN header, low byte of the second, frame inside), or None."""
    start = {b"\x08\x00": 14 + 20, b"\x86\xdd": 14 + 40}.get(frame[12:14])
    if start is None or frame[start - (11 if start == 34 else 34)] != 17 or frame[start + 2:start + 4] != b"\x12\xb5":
        return None
    header = frame[start + 8:start + 16]
    return int.from_bytes(header[:4], "big"), header[7], frame[start + 16:]


def finished(frame):
    """The same with checksums that another implementation made."""
    packet = Ether(frame)
    for layer in (TCP, UDP):
        if layer in packet:
            packet[layer].chksum = None
    return bytes(Ether(bytes(packet)))


def datagram(sender, receiver, address, payload):
    """Whether a datagram arrives as it was sent: a host drops one with a wrong checksum."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = receiver.entered(lambda: socket.socket(family, socket.SOCK_DGRAM))
    client = sender.entered(lambda: socket.socket(family, socket.SOCK_DGRAM))
    with server, client:
        server.bind((address, 0))
        server.settimeout(2)
        for _ in range(3):
            client.sendto(payload, server.getsockname()[:2])
            try:
                return server.recv(65536) == payload
            except TimeoutError:
                continue
    return False


@pytest.mark.parametrize("version", [4, 6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("udpcsum", [False, True], ids=["noudpcsum", "udpcsum"])
def test_VX33_what_the_kernel_leaves_open_arrives_finished(lab, version, udpcsum):
    sums = {4: ("udpcsum", "noudpcsum"), 6: ("noudp6zerocsumtx", "udp6zerocsumtx udp6zerocsumrx")}[version][not udpcsum]
    words = {4: {"udpcsum": udpcsum}, 6: {"udp6zerocsumtx": not udpcsum, "udp6zerocsumrx": not udpcsum}}[version]
    scene, tenant, peer = offloading(lab, version, f"remcsumtx remcsumrx {sums}", remcsumrx=True, remcsumtx=True, **words)
    for address in (TENANT4, TENANT6):
        assert peer.namespace.ping(address) == 3
    wire, arrived = lab.wire(scene.fabric, "peer1"), lab.wire(tenant, "acc0")
    for address, back in ((TENANT4, peer.inner4), (TENANT6, peer.inner6)):
        for size in (1, 2, 77, 1300):
            assert datagram(peer.namespace, tenant, address, os.urandom(size)), (address, size)
            assert datagram(tenant, peer.namespace, back, os.urandom(size)), (back, size)
        assert Transfer(peer.namespace, tenant, address, 1).intact
        assert Transfer(tenant, peer.namespace, back, 1).intact
    seen = [found for frame in wire.frames(1) if (found := tunnelled(frame))]
    # The kernel left all of TCP and UDP open, and we nothing: a tap finishes what it hands over.
    kinds = {(is_open, kind) for flags, _, frame in seen for kind in kind_of(frame)
             for is_open in [bool(flags & OPTION)]}
    assert kinds >= {(True, kind) for kind in ("TCP4", "UDP4", "TCP6", "UDP6")}, kinds
    whole = {frame for frame in arrived.frames(1) if kind_of(frame)}
    left_open = [frame for flags, _, frame in seen if flags & OPTION]
    assert left_open and all(finished(frame) in whole for frame in left_open[:200])
    assert any(frame not in whole for frame in left_open)
    assert not NOT_OURS & set(scene.daemon.drops()), scene.daemon.drops()
    segment = scene.daemon.rpc("segments")[0]
    assert segment["remcsumtx"] and segment["remcsumrx"]
    assert "remcsumtx yes remcsumrx yes" in str(scene.daemon.ctl("segment", "show", "vx100").stdout)


def kind_of(frame):
    """["TCP4"] and the like; nothing for other frames."""
    packet = Ether(frame)
    return [f"{name}{version}" for version, network in ((4, IP), (6, IPv6)) for name, layer in (("TCP", TCP), ("UDP", UDP))
            if network in packet and layer in packet]


def test_VX33_VX97_without_the_option_the_flag_is_refused_until_it_is_switched_on(lab):
    scene, tenant, peer = offloading(lab, 4)
    assert peer.namespace.ping(TENANT4) == 3, "ICMP has no checksum to leave open"
    assert not datagram(peer.namespace, tenant, TENANT4, b"refused")
    assert scene.daemon.drops()["vxlan_reserved_bits"] >= 3
    learned = scene.daemon.fdb(peer.mac())
    scene.daemon.ctl("segment", "set", "vx100", "remcsumrx", "true")
    assert datagram(peer.namespace, tenant, TENANT4, b"taken")
    assert scene.daemon.fdb(peer.mac())["dst"] == learned["dst"]
    scene.daemon.ctl("segment", "set", "vx100", "remcsumrx", "false")
    assert not datagram(peer.namespace, tenant, TENANT4, b"refused again")


def test_VX33_RP32_what_is_left_open_is_not_merged_and_what_is_merged_is_not_left_open(lab):
    scene = Scene(lab)
    tenant, peer = scene.tenant(), scene.peers[0].vxlan(options="remcsumtx remcsumrx")
    for port in ("uplink0", "acc0"):
        scene.topology["ports"][port]["gro"] = "on"
    scene.segment(remcsumtx=True, remcsumrx=True)
    scene.start()
    assert Transfer(peer.namespace, tenant, TENANT4, 2).intact
    assert Transfer(tenant, peer.namespace, peer.inner4, 2).intact
    assert scene.daemon.port("acc0")["large"]["merged"] > 0, "the tenant leaves nothing open"
    assert not NOT_OURS & set(scene.daemon.drops()), scene.daemon.drops()
