"""Frames in words, for tests that send single frames or compare bytes. Scapy does the building."""
import logging

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.layers.inet import ICMP, IP, TCP, UDP  # noqa: E402,F401
from scapy.layers.inet6 import IPv6  # noqa: E402,F401
from scapy.layers.l2 import ARP, Dot1Q, Ether  # noqa: E402,F401
from scapy.layers.vxlan import VXLAN  # noqa: E402,F401
from scapy.packet import Raw  # noqa: E402

BROADCAST = "ff:ff:ff:ff:ff:ff"
TAG = b"vxplane-test-"


def tagged(src, dst, number=0, size=64, sport=1000):
    """An inner IPv4/UDP frame whose payload carries TAG and a number, so that it can be found again."""
    payload = TAG + b"%06d" % number
    return bytes(Ether(src=src, dst=dst) / IP(src="10.0.0.100", dst="10.0.0.101") /
                 UDP(sport=sport, dport=9) / Raw(payload.ljust(max(size - 42, len(payload)), b".")))


def is_tagged(frame):
    return TAG in frame


def numbers(frames):
    """The numbers of tagged frames, in order of arrival."""
    return [int(frame[frame.index(TAG) + len(TAG):][:6]) for frame in frames]


def outer(inner, vni, *, src_mac, dst_mac, src, dst, sport=40000, dport=4789, flags=0x08):
    """A VXLAN frame as a peer would send it: bytes of the whole Ethernet frame, UDP checksum zero."""
    return bytes(Ether(src=src_mac, dst=dst_mac) / IP(src=src, dst=dst, ttl=64) /
                 UDP(sport=sport, dport=dport, chksum=0) / VXLAN(flags=flags, vni=vni) / Raw(bytes(inner)))
