#!/usr/bin/python3
"""Writes what floor.sh plays: inner frames for encapsulation, tunnel packets for decapsulation, and the
topologies under which vxplane forwards exactly these. The order of addresses is random and fixed."""
import argparse
import json
import pathlib
import random

from scapy.all import Ether, IP, UDP, wrpcap
from scapy.layers.vxlan import VXLAN

LOCAL, PEER = "10.10.10.1", "10.10.10.2"
UNDERLAY_MAC, PEER_MAC = "02:00:00:00:aa:01", "02:00:00:00:aa:02"
VNI, DSTPORT = 100, 4789


def mac(side, number):
    return f"02:00:{side:02x}:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"


def inner(number, size):
    frame = (Ether(dst=mac(2, number), src=mac(1, number))
             / IP(src=f"192.168.{number >> 8 & 255}.{number & 255}", dst=f"192.169.{number & 255}.1")
             / UDP(sport=1024 + number % 50000, dport=5001, chksum=0))
    return frame / (b"x" * (size - len(frame)))


def outer(frame, number):
    return (Ether(dst=UNDERLAY_MAC, src=PEER_MAC) / IP(src=PEER, dst=LOCAL, flags="DF")
            / UDP(sport=49152 + number % 16384, dport=DSTPORT, chksum=0) / VXLAN(vni=VNI, flags=8) / frame)


def topology(directory, direction, macs, cpu, hugepages):
    """JSON is YAML. The side that only sends is a net_null that receives nothing."""
    played = f"net_pcap0,rx_pcap={directory}/{direction}.pcap,infinite_rx=1"
    sink = "net_null0,no-rx=1"
    encap = direction == "encap"
    entries = [{"mac": mac(2, n)} | ({"dst": PEER} if encap else {"port": "tenant"}) for n in range(macs)]
    return {
        "version": 1,
        "system": {"workers": [cpu], "control": 0, "memory": "256M", "hugepages": hugepages, "idle": "busy",
                   "log": "warning", "socket": f"{directory}/vxplane.sock"},
        "ports": {
            "uplink": {"device": sink if encap else played, "role": "underlay", "mac": UNDERLAY_MAC,
                       "addresses": [f"{LOCAL}/24"]},
            "tenant": {"device": played if encap else sink, "role": "access", "learning": False}},
        "neighbours": [{"address": PEER, "lladdr": PEER_MAC, "dev": "uplink"}],
        "vxlans": {"floor": {"id": VNI, "local": LOCAL, "remote": PEER, "dstport": DSTPORT, "learning": False,
                             "ports": ["tenant"], "fdb": entries}}}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--macs", type=int, default=256, help="different addresses, one frame each")
    parser.add_argument("--size", type=int, default=64, help="bytes of an inner frame, without FCS")
    parser.add_argument("--cpu", type=int, default=1, help="CPU of vxplane's worker")
    parser.add_argument("--hugepages", choices=["auto", "require", "off"], default="auto")
    wanted = parser.parse_args()
    numbers = list(range(wanted.macs))
    random.Random(1).shuffle(numbers)
    frames = [inner(number, wanted.size) for number in numbers]
    for direction in ("encap", "decap"):
        played = frames if direction == "encap" else [outer(f, n) for f, n in zip(frames, numbers)]
        wrpcap(str(wanted.directory / f"{direction}.pcap"), [bytes(frame) for frame in played], linktype=1)
        text = json.dumps(topology(wanted.directory, direction, wanted.macs, wanted.cpu, wanted.hugepages), indent=1)
        (wanted.directory / f"{direction}.yaml").write_text(text)


main()
