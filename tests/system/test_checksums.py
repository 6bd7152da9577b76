"""Checksums of tunnelled frames, by another implementation than ours: scapy computes each anew."""
import itertools

import pytest

from frames import ICMP, IP, TCP, UDP, VXLAN, Ether, IPv6
from scapy.layers.inet6 import ICMPv6EchoRequest
from lab import wait_until
from scene import VTEP, vtep_pair
from test_frames import REMOTE_MAC, TENANT_MAC, PcapBench

NETWORKS = {"IPv4": lambda: IP(src="10.0.0.1", dst="10.0.0.2"), "IPv6": lambda: IPv6(src="fd00::1", dst="fd00::2")}
TRANSPORTS = {"TCP": lambda version: TCP(sport=2000, dport=80), "UDP": lambda version: UDP(sport=2000, dport=53),
              "other": lambda version: ICMP() if version == "IPv4" else ICMPv6EchoRequest()}
SIZES = (0, 1, 18, 19, 700, 1301)


def spoilt(frame):
    """The same with a wrong checksum in the transport header: the tunnel must not trust it."""
    return frame[:-1] + bytes([frame[-1] ^ 0x5A])


def inner_frames():
    frames = []
    for (version, network), transport in itertools.product(NETWORKS.items(), TRANSPORTS.values()):
        for size in SIZES:
            frame = bytes(Ether(src=TENANT_MAC, dst=REMOTE_MAC) / network() / transport(version) / (b"\xa5" * size))
            frames += [frame, spoilt(frame)] if size else [frame]
    # UDP without a checksum, which IPv4 allows.
    frames.append(bytes(Ether(src=TENANT_MAC, dst=REMOTE_MAC) / NETWORKS["IPv4"]() / UDP(chksum=0) / b"none"))
    return frames


@pytest.mark.parametrize("udpcsum", [False, True], ids=["off", "on"])
def test_RP82_outer_and_inner_checksums_of_every_kind_of_frame(lab, udpcsum):
    frames = inner_frames()
    sent = PcapBench(lab, access_in=frames, udpcsum=udpcsum).sent("underlay", len(frames))
    assert len(sent) == len(frames)
    for inner, got in zip(frames, sent):
        assert got[50:] == inner, "the tunnel changed an inner byte"
        packet = IP(got[14:])
        given = packet.chksum, packet[UDP].chksum
        packet.chksum = packet[UDP].chksum = None
        computed = IP(bytes(packet))
        assert given[0] == computed.chksum
        assert given[1] == (computed[UDP].chksum if udpcsum else 0)


def test_the_log_names_what_devices_do_and_what_is_left_to_workers(lab):
    scene = vtep_pair(lab, start=False)
    scene.topology["ports"]["acc0"]["rx-checksum"] = "off"
    log = scene.start().log()
    for port in ("uplink0", "acc0"):
        shown = scene.daemon.port(port)
        who = "device once it is found to do so" if shown["rx_checksum"] else "workers"
        assert f"port {port}: checksums of received packets are verified by the {who}, large TCP packets" in log, log
    assert scene.daemon.port("acc0")["rx_checksum"] is False


def test_VX38_a_device_is_believed_about_checksums_once_it_was_found_right(lab):
    scene = vtep_pair(lab, start=False)
    scene.topology["ports"]["acc0"]["rx-checksum"] = "on"
    scene.start()
    tenant, peer = scene.members["acc0"][0], scene.peers[0]
    assert scene.daemon.port("acc0")["rx_checksum"] and scene.daemon.port("uplink0")["rx_verdicts"]["state"] == "none"

    def verdicts():
        return scene.daemon.port("acc0")["rx_verdicts"]

    assert verdicts()["state"] == "trying"
    assert tenant.ping(peer.inner4) == 3
    assert verdicts()["state"] == "trying"
    mouth = lab.wire(tenant, "acc0")
    frame = bytes(Ether(src=tenant.mac("acc0"), dst=REMOTE_MAC) / IP(src="10.0.0.1", dst="10.0.0.2") /
                  UDP(sport=1000, dport=9) / (b"x" * 100))
    for _ in range(1100):
        mouth.send(frame)
    seen = wait_until(lambda: verdicts()["state"] == "believed" and verdicts(), 5, "the device to be believed")
    assert seen["believed"] == ["ipv4", "udp4"] and seen["wrong"] == 0
    assert seen["right"]["udp4"] >= 1024 > seen["right"]["udp6"]
    for kind in ("ipv4", "udp4"):
        assert f"verdicts of net_tap about checksums of {kind} are right" in scene.daemon.log()
    assert tenant.ping(peer.inner4) == 3


def test_VX38_an_underlay_port_on_trial_drops_wrong_sums_before_and_after_and_no_sender_can_end_it(lab):
    """What net_tap says of sums is true. That a device which lies is refuted is proved with the worker alone."""
    scene = vtep_pair(lab, start=False)
    scene.topology["ports"]["uplink0"]["rx-checksum"] = "on"
    scene.start()
    tenant, peer = scene.members["acc0"][0], scene.peers[0]
    wire = lab.wire(scene.fabric, "und0")
    ends = {"dst": scene.daemon.port("uplink0")["mac"], "src": peer.namespace.mac("eth0")}
    inner = Ether(dst=tenant.mac("acc0"), src=peer.mac()) / IP(src=peer.inner4, dst="10.0.0.1") / UDP(dport=9) / (b"x" * 60)

    def packet(**udp):
        return Ether(**ends) / IP(src=peer.underlay, dst=VTEP) / UDP(sport=40000, dport=4789, **udp) / VXLAN(
            vni=100, flags="Instance") / inner

    def verdicts():
        return scene.daemon.port("uplink0")["rx_verdicts"]

    def wrong_are_dropped(count):
        before = scene.daemon.drops().get("udp_bad_checksum", 0)
        for _ in range(count):
            wire.send(bytes(packet(chksum=0x1234)))
        wait_until(lambda: scene.daemon.drops().get("udp_bad_checksum", 0) == before + count, 5, "they are dropped")

    assert verdicts()["state"] == "trying" and verdicts()["believed"] == []
    wrong_are_dropped(20)
    # Lengths that disagree, no sum, padding, a first fragment: nothing of it refutes the device.
    for frame in (packet(chksum=0x1234, len=30), packet(chksum=0), bytes(packet()) + bytes(9)):
        wire.send(bytes(frame))
    fragment = packet(chksum=0x1234)
    fragment[IP].flags = "MF"
    wire.send(bytes(fragment))
    right = bytes(packet())
    for _ in range(1100):
        wire.send(right)
    seen = wait_until(lambda: "udp4" in verdicts()["believed"] and verdicts(), 5, "the device to be believed")
    assert seen["state"] == "believed" and seen["wrong"] == 0 and "udp6" not in seen["believed"]
    wrong_are_dropped(20)
    heard = lab.wire(tenant, "acc0")
    wire.send(right)
    assert heard.frames(3, lambda frame: frame == bytes(inner), enough=1), "right ones arrive"
    assert verdicts()["state"] == "believed" and verdicts()["wrong"] == 0
    assert not [alarm for alarm in scene.daemon.rpc("health")["alarms"] if "checksums good" in alarm]
    assert scene.daemon.rpc("health")["packets_unaccounted"] == 0
